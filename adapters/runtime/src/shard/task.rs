//! The loop of one shard: many inputs per wake-up, then every hub they touched until it is idle.

use super::effects::{Asked, Call, Calls, Done};
use super::timers::Timers;
use super::user::{Settled, User};
use super::{Load, Surroundings, ToShard};
use crate::tally;
use goldenpath_core::auth::Scope;
use goldenpath_core::connection::Cost;
use goldenpath_core::edge::{Allowances, Limit, Policy};
use goldenpath_core::hub::{Hub, Input};
use goldenpath_core::id::{EffectId, RequestId};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::Now;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Inputs taken at once.
const BATCH: usize = 512;
/// Users whose messages are counted; a hub may come and go meanwhile.
const REMEMBERED: usize = 50_000;
/// Before what a lost hub left behind is read, and between tries.
const RECOVERY_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Shard {
    number: usize,
    around: Surroundings,
    seed: Seed,
    users: BTreeMap<Scope, User>,
    /// Messages, over all connections of a user and over HTTP.
    messages: Allowances<Scope>,
    timers: Timers,
    calls: Calls,
    /// Users whose hubs have something to say.
    touched: Vec<Scope>,
    next_generation: u64,
    draining: bool,
    /// To give to runs; weak, so that the shard ends when everybody else has gone.
    answers: mpsc::WeakUnboundedSender<ToShard>,
}

impl Shard {
    pub(super) fn new(
        number: usize,
        around: Surroundings,
        seed: Seed,
        answers: mpsc::WeakUnboundedSender<ToShard>,
    ) -> Self {
        let limits = &around.limits;
        let policy = Policy::per_minute(limits.message_burst, limits.messages_per_minute);
        Self {
            number,
            messages: Allowances::new(policy, REMEMBERED),
            around,
            seed,
            users: BTreeMap::new(),
            timers: Timers::default(),
            calls: Calls::default(),
            touched: Vec::new(),
            next_generation: 0,
            draining: false,
            answers,
        }
    }

    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<ToShard>,
        mut answers: mpsc::UnboundedReceiver<ToShard>,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut sleep = pin!(sleep_until(Instant::now()));
        loop {
            let deadline = self.timers.next().map(|at| self.around.clock.instant(at));
            if let Some(deadline) = deadline
                && sleep.deadline() != deadline
            {
                sleep.as_mut().reset(deadline);
            }
            let woken = poll_fn(|context| {
                if !self.calls.is_empty()
                    && let Poll::Ready(Some(done)) = self.calls.poll_done(context)
                {
                    return Poll::Ready(Woken::Done(done));
                }
                // Both, so that one wake-up takes all there is; answers first, as they free something.
                let answered = answers.poll_recv_many(context, &mut batch, BATCH);
                let commanded = commands.poll_recv_many(context, &mut batch, BATCH);
                if answered.is_ready() || commanded.is_ready() {
                    return Poll::Ready(if batch.is_empty() { Woken::Over } else { Woken::Inbox });
                }
                if deadline.is_some() && sleep.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Woken::Timer);
                }
                Poll::Pending
            })
            .await;
            let now = self.around.clock.now();
            match woken {
                Woken::Done(done) => self.done(now, done),
                Woken::Inbox => {}
                Woken::Over => return,
                Woken::Timer => {}
            }
            for message in batch.drain(..) {
                self.handle(now, message);
            }
            while let Some(done) = self.calls.take_ready() {
                self.done(now, done);
            }
            while let Some(user) = self.timers.take_due(now.mono) {
                self.timeout(now, user);
            }
            self.settle();
        }
    }

    fn handle(&mut self, now: Now, message: ToShard) {
        match message {
            ToShard::Attach { user, connection_id, resume, reader, outbox } => {
                #[cfg(feature = "canary")]
                let user = self.perhaps_a_neighbour(user);
                self.user(&user, now).connections.insert(connection_id, outbox);
                self.input(now, &user, Input::Attach { connection_id, resume, reader });
            }
            ToShard::Input { user, input: Input::Command { connection_id, reply, body } } => {
                let Some(known) = self.users.get(&user) else { return };
                //= specs/safety.md#safe-45
                //# Messages of one user MUST be limited over all of its connections together.
                let paid = match Cost::of(&body) {
                    Cost::Light => Ok(()),
                    Cost::Message => self.messages.spend(&user, now.mono).map(|_| ()),
                };
                match paid {
                    Ok(()) => {
                        self.input(now, &user, Input::Command { connection_id, reply, body });
                    }
                    Err(wait) => {
                        tally::limited(Limit::Messages);
                        known.too_fast(connection_id, &reply, wait, &self.around.limits);
                    }
                }
            }
            ToShard::Input { user, input } => {
                // What is about a hub that is gone concerns nobody; the rest makes one.
                let makes_one = matches!(input, Input::Recover { .. });
                if makes_one || self.users.contains_key(&user) {
                    self.input(now, &user, input);
                }
            }
            ToShard::Drain => {
                self.draining = true;
                let users: Vec<Scope> = self.users.keys().cloned().collect();
                for user in users {
                    self.input(now, &user, Input::Drain);
                }
            }
            ToShard::KillRuns => self.users.values_mut().for_each(User::kill_runs),
            ToShard::Measure(answer) => {
                // What came before counts: whom it leaves idle is gone.
                self.settle();
                let connections = self.users.values().map(|user| user.connections.len()).sum();
                let runs = self.users.values().map(|user| user.runs.len()).sum();
                let (effects, users) = (self.calls.len(), self.users.len());
                let _ = answer.send(Load { connections, effects, runs, users });
            }
        }
    }

    /// The user, or the first one there is: a bug that the suites must catch.
    #[cfg(feature = "canary")]
    fn perhaps_a_neighbour(&self, user: Scope) -> Scope {
        let loose = goldenpath_core::canary::Canary::NeighboursHub.is_loose();
        self.users.keys().next().filter(|_| loose).cloned().unwrap_or(user)
    }

    fn done(&mut self, now: Now, done: Done) {
        let known = self.users.get(&done.user).map(|user| user.generation);
        if known == Some(done.generation) || matches!(done.input, Input::Recover { .. }) {
            self.input(now, &done.user, done.input);
        }
    }

    /// The user, made on first use.
    fn user(&mut self, id: &Scope, now: Now) -> &mut User {
        self.users.entry(id.clone()).or_insert_with(|| {
            self.next_generation += 1;
            let hub = Hub::new(id.clone(), self.around.limits.clone(), self.seed.fork());
            let mut user = User::new(hub, self.next_generation);
            if self.draining {
                user.handle_input(now, Input::Drain);
            }
            user
        })
    }

    fn input(&mut self, now: Now, id: &Scope, input: Input) {
        let user = self.user(id, now);
        let handled = catch_unwind(AssertUnwindSafe(|| user.handle_input(now, input)));
        self.after(id, handled.is_ok());
    }

    fn timeout(&mut self, now: Now, id: Scope) {
        let Some(user) = self.users.get_mut(&id) else { return };
        user.deadline = None;
        let handled = catch_unwind(AssertUnwindSafe(|| user.handle_timeout(now)));
        self.after(&id, handled.is_ok());
    }

    fn after(&mut self, id: &Scope, well: bool) {
        if !well {
            return self.lost(id);
        }
        if let Some(user) = self.users.get_mut(id)
            && !user.touched
        {
            user.touched = true;
            self.touched.push(id.clone());
        }
    }

    fn settle(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let Some(user) = self.users.get_mut(&id) else { continue };
            user.touched = false;
            let (around, calls, answers) = (&self.around, &self.calls, &self.answers);
            match catch_unwind(AssertUnwindSafe(|| user.settle(around, calls, answers))) {
                Ok(Settled::Waits(deadline)) => {
                    self.timers.set(&id, user.deadline, deadline);
                    user.deadline = deadline;
                }
                Ok(Settled::Retired) => {
                    self.timers.set(&id, user.deadline, None);
                    self.users.remove(&id);
                }
                Err(_) => self.lost(&id),
            }
        }
    }

    /// A hub panicked: a bug of ours. Its user starts anew from the store; no other user notices.
    //= specs/isolation.md#iso-06
    //# A failure inside one user's hub MUST NOT disturb another user.
    fn lost(&mut self, id: &Scope) {
        let request_id = RequestId::draw(&mut self.seed, self.around.clock.now().wall);
        tracing::error!(%request_id, shard = self.number, "a hub failed; its user starts anew");
        let Some(mut user) = self.users.remove(id) else { return };
        user.abandon();
        self.timers.set(id, user.deadline, None);
        self.next_generation += 1;
        let store = self.around.store.clone();
        let unfinished = async move {
            // Not at once: what made it fail may make it fail again.
            loop {
                tokio::time::sleep(RECOVERY_PAUSE).await;
                if let Ok(found) = store.unfinished_runs().await {
                    return Ok(found);
                }
            }
        };
        self.calls.push(Call {
            user: id.clone(),
            generation: self.next_generation,
            effect: EffectId::default(),
            answer: Asked::Unfinished(Box::pin(unfinished)),
        });
    }
}

enum Woken {
    Done(Done),
    Inbox,
    Over,
    Timer,
}
