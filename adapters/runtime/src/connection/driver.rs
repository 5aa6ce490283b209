//! The loop of one connection. It never waits for the peer alone: while a slow reader blocks the
//! writing, deadlines, overflow and what else ends a connection (a log-out, the hub, a drain) are still
//! heard.

use super::registry::Entry;
use super::{
    Connections, LAST_WORDS, Lost, Outbox, Received, Sighting, Transport, Whence, finished,
};
use crate::shard::{Delivery, HubLink};
use crate::tally;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use goldenpath_core::connection::{Connection, Identity, Input, Output};
use goldenpath_core::edge::Limit;
use goldenpath_core::fault::End;
use goldenpath_core::id::EffectId;
use goldenpath_core::outbox;
use goldenpath_core::time::Mono;
use goldenpath_core::wire::{AuthMethod, CloseCode, ErrorCode, Frame};
use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// How long one more is listened to whom nothing can be written to any more.
const LISTENED: Duration = Duration::from_secs(2);
/// Deliveries taken at once.
const BATCH: usize = 64;
/// Answers that may wait for a peer who does not read before nothing more is read from it.
const UNSENT: usize = 256;
/// Steps without a pause after which what was written is flushed anyway.
const STEPS_UNFLUSHED: u32 = 16;

/// Which question, by which place the credential came, and the verdict.
type Checked = (EffectId, AuthMethod, Result<Identity, ErrorCode>);
type Check = BoxFuture<'static, Checked>;

pub(super) struct Driver {
    around: Connections,
    machine: Connection,
    outbox: outbox::Receiver<Delivery>,
    /// Handed to the hub when the connection is attached.
    sender: Option<Outbox>,
    entry: Entry,
    whence: Whence,
    hub: Option<Attachment>,
    /// Credentials being checked, one at a time, in order.
    checks: VecDeque<Check>,
    unsent: VecDeque<Unsent>,
    /// Marks everything before which is written.
    passed: Vec<u64>,
    /// Whether something was taken by the transport and not flushed.
    unflushed: bool,
    /// There once nothing can be written: until then the peer is listened to.
    deaf: Option<Pin<Box<Sleep>>>,
    steps: u32,
    deadline: Option<Mono>,
    ended: Option<End>,
}

enum Unsent {
    Close(CloseCode),
    Frame(Frame),
    Mark(u64),
}

/// The hub hears of the end, also when the driver panics.
struct Attachment {
    link: HubLink,
    connection_id: goldenpath_core::id::ConnectionId,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.link.detach(self.connection_id);
    }
}

enum Woken<T> {
    Checked(Checked),
    Delivered,
    Lost,
    Marks,
    Overflow,
    Received(Received<T>),
    Timer,
}

impl Driver {
    pub(super) fn new(
        around: Connections,
        machine: Connection,
        outbox: outbox::Receiver<Delivery>,
        sender: Outbox,
        entry: Entry,
        whence: Whence,
    ) -> Self {
        Self {
            around,
            machine,
            outbox,
            sender: Some(sender),
            entry,
            whence,
            hub: None,
            checks: VecDeque::new(),
            unsent: VecDeque::new(),
            passed: Vec::new(),
            unflushed: false,
            deaf: None,
            steps: 0,
            deadline: None,
            ended: None,
        }
    }

    /// What all connections share.
    pub(super) const fn around(&self) -> &Connections {
        &self.around
    }

    pub(super) async fn run<T: Transport>(&mut self, transport: &mut T) {
        let clock = self.around.clock;
        let mut sleep = pin!(sleep_until(Instant::now()));
        let mut taken = Vec::new();
        self.machine.handle_input(clock.now(), Input::Upgraded);
        self.obey().await;
        while self.ended.is_none() {
            let woken = std::future::poll_fn(|context| {
                self.poll(transport, sleep.as_mut(), &mut taken, context)
            })
            .await;
            let now = clock.now();
            match woken {
                Woken::Checked((effect, method, verdict)) => {
                    let place = self.whence.place.as_deref();
                    let judged = self.machine.judge(&verdict);
                    let seen = Sighting { method, place, verdict: &judged };
                    self.around.verifier.seen(seen);
                    let is_over = judged.is_ok_and(|identity| self.is_over(&identity));
                    let verdict = Input::Verdict { effect, verdict };
                    let input = if is_over { Input::Revoked } else { verdict };
                    self.machine.handle_input(now, input);
                }
                Woken::Delivered => {
                    for delivery in taken.drain(..) {
                        self.deliver(delivery);
                        self.obey().await;
                    }
                    if taken.capacity() > BATCH {
                        taken = Vec::new();
                    }
                }
                Woken::Lost => self.machine.handle_input(now, Input::Lost),
                Woken::Marks => {
                    if let Some(hub) = &self.hub {
                        for mark in std::mem::take(&mut self.passed) {
                            hub.link.marked(hub.connection_id, mark);
                        }
                    }
                }
                Woken::Overflow => self.machine.handle_input(now, Input::Overflow),
                Woken::Received(received) => self.receive(received),
                Woken::Timer => self.machine.handle_timeout(now),
            }
            self.obey().await;
        }
        self.hub = None;
        if let Some(end) = self.ended {
            tally::ended(end);
        }
        if self.ended != Some(End::Lost) {
            let last_words = Box::pin(self.say_last_words(transport));
            let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
        }
    }

    /// Does what the machine says until it has nothing more to say.
    async fn obey(&mut self) {
        loop {
            let now = self.around.clock.now();
            match self.machine.poll_output() {
                Output::Attach { identity, resume } => {
                    let id = self.machine.id();
                    if self.is_over(&identity) {
                        self.machine.handle_input(now, Input::Revoked);
                        continue;
                    }
                    if let Some(newcomer) = self.whence.newcomer.take()
                        && let Err(retry_after) = newcomer.is_of(identity.user_id())
                    {
                        self.machine.handle_input(now, Input::TooOften { retry_after });
                        continue;
                    }
                    if let Some(outbox) = self.sender.take() {
                        let shards = &self.around.shards;
                        let link = shards.attach(&identity.scope(), id, resume, true, outbox).await;
                        self.hub = Some(Attachment { link, connection_id: id });
                    }
                }
                Output::Close(code) => self.unsent.push_back(Unsent::Close(code)),
                Output::Detach => self.hub = None,
                Output::Ended(end) => self.ended = Some(end),
                Output::Forward { reply, body } => {
                    if let Some(hub) = &self.hub {
                        Box::pin(hub.link.command(hub.connection_id, reply, body)).await;
                    }
                }
                Output::Idle(deadline) => {
                    self.deadline = deadline;
                    return;
                }
                Output::MakeDemoUser { effect } => {
                    let made = self.around.verifier.demo_user(now.wall);
                    self.checks
                        .push_back(made.map(move |made| (effect, AuthMethod::Demo, made)).boxed());
                }
                Output::Send(frame) => self.unsent.push_back(Unsent::Frame(frame)),
                Output::Verify { effect, credential, method } => {
                    let verifier = &self.around.verifier;
                    let origin = self.whence.origin.as_deref();
                    let verdict = verifier.verify(&credential, origin, now.wall);
                    self.checks.push_back(verdict.map(move |v| (effect, method, v)).boxed());
                }
            }
        }
    }

    /// From here on whoever ends this log-in finds its socket; whether somebody did that since its
    /// verdict, and found none (AUTH-08).
    fn is_over(&self, identity: &Identity) -> bool {
        self.entry.authenticated(identity);
        self.around.verifier.is_over(identity)
    }

    fn deliver(&mut self, delivery: Delivery) {
        let now = self.around.clock.now();
        let input = match &delivery {
            Delivery::Attached(ready) => Input::Attached(ready.clone()),
            Delivery::Close(code) => Input::HubClose(*code),
            Delivery::Drain { reconnect_after } => {
                Input::Drain { reconnect_after: *reconnect_after }
            }
            Delivery::Frames(frames) => Input::Deliver(frames),
            Delivery::Heads(heads) => Input::Heads(heads.clone()),
            Delivery::Mark(mark) => return self.unsent.push_back(Unsent::Mark(*mark)),
            Delivery::Revoked => {
                // What a slow reader was not given before is not given to it on a log-in that has ended;
                // only last words, which may have been said already: some ends are told twice.
                if self.ended.is_none() {
                    self.unsent.clear();
                }
                Input::Revoked
            }
            Delivery::ServiceStatus(degraded) => {
                Input::ServiceStatus { degraded: degraded.clone() }
            }
        };
        self.machine.handle_input(now, input);
    }

    fn receive<T: AsRef<str>>(&mut self, received: Received<T>) {
        let now = self.around.clock.now();
        let input = match &received {
            Received::Alive => Input::Alive,
            Received::Binary => Input::Binary,
            Received::Closed(code) => Input::PeerClosed(*code),
            Received::InvalidUtf8 => Input::InvalidUtf8,
            Received::Lost => Input::Lost,
            Received::Text(text) => Input::Text(text.as_ref()),
            Received::TooBig => Input::TooBig,
        };
        self.machine.handle_input(now, input);
        if matches!(received, Received::Text(_)) && self.machine.is_too_fast() {
            tally::limited(Limit::Frames);
        }
    }

    /// Writes what it can, then waits for whatever happens first.
    fn poll<T: Transport>(
        &mut self,
        transport: &mut T,
        mut sleep: Pin<&mut Sleep>,
        taken: &mut Vec<Delivery>,
        context: &mut Context<'_>,
    ) -> Poll<Woken<T::Text>> {
        let written = self.poll_write(transport, context).map(|written| {
            if let Err(Lost) = written {
                self.gone_deaf();
            }
        });
        if self.is_listened_to_its_end(context) {
            return Poll::Ready(Woken::Lost);
        }
        if !self.passed.is_empty() {
            return Poll::Ready(Woken::Marks);
        }
        if self.steps < STEPS_UNFLUSHED {
            let happened = self.poll_events(transport, written.is_ready(), taken, context);
            if happened.is_ready() {
                self.steps += 1;
                return happened;
            }
        }
        if self.unflushed && written.is_ready() {
            match transport.poll_flush(context) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(Lost)) => self.gone_deaf(),
                Poll::Pending => {}
            }
        }
        if self.steps >= STEPS_UNFLUSHED {
            let happened = self.poll_events(transport, written.is_ready(), taken, context);
            self.steps = 0;
            if happened.is_ready() {
                return happened;
            }
        }
        self.steps = 0;
        if self.is_listened_to_its_end(context) {
            return Poll::Ready(Woken::Lost);
        }
        self.poll_timer(sleep.as_mut(), context)
    }

    /// The peer does not hear us any more. What it said before is still on its way to us: whoever
    /// closes without reading is answered by nobody, but was sent no refusal either.
    //= specs/safety.md#safe-86
    //# What a client sent before it left MUST be handled, also when nothing can be written to it any
    //# more.
    fn gone_deaf(&mut self) {
        self.deaf.get_or_insert_with(|| Box::pin(sleep(LISTENED)));
        self.unflushed = false;
    }

    fn is_listened_to_its_end(&mut self, context: &mut Context<'_>) -> bool {
        self.deaf.as_mut().is_some_and(|deaf| deaf.as_mut().poll(context).is_ready())
    }

    fn poll_events<T: Transport>(
        &mut self,
        transport: &mut T,
        writable: bool,
        taken: &mut Vec<Delivery>,
        context: &mut Context<'_>,
    ) -> Poll<Woken<T::Text>> {
        if let Some(check) = self.checks.front_mut()
            && let Poll::Ready(checked) = check.poll_unpin(context)
        {
            self.checks.pop_front();
            return Poll::Ready(Woken::Checked(checked));
        }
        //= specs/delivery.md#dlv-29
        //# What ends a connection MUST be heard although its peer does not read, and before anything
        //# that this peer says later.
        let delivered = if writable {
            self.outbox.poll_recv_many(context, taken, BATCH)
        } else {
            self.outbox.poll_urgent(context, taken)
        };
        match delivered {
            Poll::Ready(outbox::Received::Items(_)) => return Poll::Ready(Woken::Delivered),
            Poll::Ready(outbox::Received::Overflow) => return Poll::Ready(Woken::Overflow),
            // The registry holds a sender as long as this task lives.
            Poll::Ready(outbox::Received::Closed) | Poll::Pending => {}
        }
        if self.unsent.len() < UNSENT {
            return transport.poll_receive(context).map(Woken::Received);
        }
        Poll::Pending
    }

    /// Ready when nothing is unsent.
    fn poll_write<T: Transport>(
        &mut self,
        transport: &mut T,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Lost>> {
        if self.deaf.is_some() {
            self.unsent.clear();
        }
        while let Some(next) = self.unsent.front() {
            match next {
                Unsent::Close(code) => {
                    transport.close(code.code(), code.reason())?;
                    self.unflushed = true;
                }
                Unsent::Frame(frame) => {
                    ready!(transport.poll_ready(context))?;
                    transport.send(frame.clone())?;
                    self.unflushed = true;
                }
                Unsent::Mark(mark) => {
                    if self.unflushed {
                        ready!(transport.poll_flush(context))?;
                        self.unflushed = false;
                    }
                    self.passed.push(*mark);
                }
            }
            self.unsent.pop_front();
        }
        if self.unsent.capacity() > UNSENT / 8 {
            self.unsent = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    /// A later deadline than the one slept for is looked at when the sleep ends: resetting a timer
    /// with every frame costs more than waking once too often.
    fn poll_timer<T>(
        &mut self,
        mut sleep: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) -> Poll<Woken<T>> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let deadline = self.around.clock.instant(deadline);
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(Woken::Timer);
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    async fn say_last_words<T: Transport>(&mut self, transport: &mut T) {
        let written = std::future::poll_fn(|context| self.poll_write(transport, context)).await;
        if written.is_ok() {
            finished(transport).await;
        }
    }
}
