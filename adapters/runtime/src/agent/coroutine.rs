//! One agent's code at work, polled with a waker that does nothing: what wakes it is an answer.

use super::context::Exchange;
use super::team::AgentError;
use futures_util::future::BoxFuture;
use goldenpath_core::run::{AgentSays, Answer, Finish};
use goldenpath_core::wire::{ErrorCode, ErrorInfo};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

pub(super) struct Coroutine {
    future: BoxFuture<'static, Result<Finish, AgentError>>,
    exchange: Exchange,
    /// Effects that were asked for and not answered.
    open: usize,
}

impl Coroutine {
    /// Begins an agent's code; making the future may already run some of it.
    pub(super) fn begin(
        make: impl FnOnce(Exchange) -> BoxFuture<'static, Result<Finish, AgentError>>,
    ) -> Result<Self, ErrorInfo> {
        let exchange = Exchange::default();
        let for_code = exchange.clone();
        let future = catch_unwind(AssertUnwindSafe(|| make(for_code))).map_err(|_| panicked())?;
        Ok(Self { future, exchange, open: 0 })
    }

    pub(super) fn answer(&mut self, n: u32, answer: Answer) {
        self.open = self.open.saturating_sub(1);
        self.exchange.lock().answers.insert(n, answer);
    }

    /// Lets the code run until it waits; what it said meanwhile, in order.
    pub(super) fn poll(&mut self, heard: &mut Vec<AgentSays>) {
        let mut context = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(&mut context)));
        let requests = core::mem::take(&mut self.exchange.lock().requests);
        self.open += requests.len();
        heard.extend(requests.into_iter().map(|(n, request)| AgentSays::Request { n, request }));
        match polled {
            Err(_) => heard.push(AgentSays::Failed(panicked())),
            Ok(Poll::Ready(Ok(finish))) => heard.push(AgentSays::Finished(finish)),
            Ok(Poll::Ready(Err(error))) => heard.push(AgentSays::Failed(error.into())),
            Ok(Poll::Pending) if self.open == 0 => {
                let message = "the agent waits for something that is no effect";
                heard.push(AgentSays::Failed(ErrorInfo::new(ErrorCode::Internal, message)));
            }
            Ok(Poll::Pending) => {}
        }
    }
}

/// The panic's own words are in the log of the process; they may hold a user's data.
fn panicked() -> ErrorInfo {
    ErrorInfo::new(ErrorCode::Internal, "the agent panicked")
}
