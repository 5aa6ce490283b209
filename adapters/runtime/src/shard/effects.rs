//! Calls to the store that are under way, without a task for each.

use crate::ports::Answer;
use crate::tally;
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, Stream, StreamExt as _};
use goldenpath_core::auth::{Scope, Unfinished};
use goldenpath_core::hub::{Committed, Input, Loaded};
use goldenpath_core::id::EffectId;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What came back, for which hub.
pub(super) struct Done {
    pub(super) user: Scope,
    /// The hub that asked; a later one of the same user counts its effects anew.
    pub(super) generation: u64,
    pub(super) input: Input,
}

/// A call under way.
pub(super) struct Call {
    pub(super) user: Scope,
    pub(super) generation: u64,
    pub(super) effect: EffectId,
    pub(super) answer: Asked,
}

/// What was asked.
pub(super) enum Asked {
    Commit(Answer<Committed>, tally::Commit),
    Load(Answer<Loaded>),
    Record(Answer<bool>),
    /// After a hub was lost: what its user's runs are.
    Unfinished(Answer<Vec<Unfinished>>),
}

impl Future for Call {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Done> {
        let effect = self.effect;
        let polled = match &mut self.answer {
            Asked::Commit(answer, commit) => answer.poll_unpin(context).map(|result| {
                commit.answered(&result);
                Input::Committed { effect, result }
            }),
            Asked::Load(answer) => {
                answer.poll_unpin(context).map(|result| Input::Loaded { effect, result })
            }
            Asked::Record(answer) => {
                answer.poll_unpin(context).map(|result| Input::Recorded { effect, result })
            }
            Asked::Unfinished(answer) => {
                let answer = answer.poll_unpin(context);
                let user = &self.user;
                answer.map(|result| {
                    let all = result.unwrap_or_default();
                    let mine = all.into_iter().find(|runs| runs.owner() == user.user_id());
                    let runs = mine.and_then(Unfinished::take_up).map(|(_, runs)| runs);
                    Input::Recover { runs: runs.unwrap_or_default() }
                })
            }
        };
        polled.map(|input| Done { user: self.user.clone(), generation: self.generation, input })
    }
}

/// All calls of a shard.
#[derive(Default)]
pub(super) struct Calls(FuturesUnordered<Call>);

impl Calls {
    pub(super) fn push(&self, call: Call) {
        self.0.push(call);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn poll_done(&mut self, context: &mut Context<'_>) -> Poll<Option<Done>> {
        Pin::new(&mut self.0).poll_next(context)
    }

    /// The next answer that is already there.
    pub(super) fn take_ready(&mut self) -> Option<Done> {
        self.0.next().now_or_never().flatten()
    }
}
