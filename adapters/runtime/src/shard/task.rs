//! The loop of one shard.

use super::{Counters, Message, Outgoing, RunControl, RunSink, Services};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use goldenpath_core::hub::{Hub, Input, Output};
use goldenpath_core::id::{ConnectionId, Fence, RunId, UserId};
use goldenpath_core::outbox::{self, Pushed};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Mono, Now};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Messages taken from an inbox at once.
const TAKE: usize = 256;

pub(super) struct Shard {
    services: Services,
    seed: Seed,
    counters: Arc<Counters>,
    sink: RunSink,
    users: HashMap<UserId, User>,
    /// Users with a deadline, the earliest first.
    deadlines: BTreeSet<(Mono, UserId)>,
    effects: FuturesUnordered<BoxFuture<'static, (UserId, Input)>>,
    draining: Vec<oneshot::Sender<()>>,
}

/// One user: the hub, and what its words refer to.
struct User {
    hub: Hub,
    outboxes: BTreeMap<ConnectionId, outbox::Sender<Outgoing>>,
    /// The task of each run, and the fence it was started with.
    runs: BTreeMap<RunId, (Fence, Box<dyn RunControl>)>,
    deadline: Option<Mono>,
}

impl Shard {
    pub(super) fn new(
        services: Services,
        seed: Seed,
        counters: Arc<Counters>,
        sink: RunSink,
    ) -> Self {
        Self {
            services,
            seed,
            counters,
            sink,
            users: HashMap::new(),
            deadlines: BTreeSet::new(),
            effects: FuturesUnordered::new(),
            draining: Vec::new(),
        }
    }

    /// Works until every handle on the shard is gone.
    pub(super) async fn work(
        mut self,
        mut commands: mpsc::Receiver<Message>,
        mut answers: mpsc::UnboundedReceiver<Message>,
    ) {
        let mut taken = Vec::with_capacity(TAKE);
        let mut touched = BTreeSet::new();
        loop {
            let deadline = self.deadlines.first().map(|(at, _)| self.services.clock.instant(*at));
            tokio::select! {
                biased;
                Some((user_id, input)) = self.effects.next() => {
                    taken.push(Message::Hub { user_id, input });
                }
                Some(message) = answers.recv() => taken.push(message),
                message = commands.recv() => match message {
                    Some(message) => taken.push(message),
                    None => return,
                },
                () = sleep_until(deadline) => {}
            }
            self.take_more(&mut taken, &mut commands, &mut answers);
            let now = self.services.clock.now();
            Counters::add(&self.counters.inputs, taken.len() as u64);
            for message in taken.drain(..) {
                self.handle(now, message, &mut touched);
            }
            self.wake_overdue(now, &mut touched);
            while let Some(user_id) = touched.pop_first() {
                self.settle(user_id);
            }
            self.report_drained();
        }
    }

    /// Everything else that is there already goes into the same round.
    fn take_more(
        &mut self,
        taken: &mut Vec<Message>,
        commands: &mut mpsc::Receiver<Message>,
        answers: &mut mpsc::UnboundedReceiver<Message>,
    ) {
        while taken.len() < TAKE
            && let Some(Some((user_id, input))) = self.effects.next().now_or_never()
        {
            taken.push(Message::Hub { user_id, input });
        }
        while taken.len() < TAKE
            && let Ok(message) = answers.try_recv()
        {
            taken.push(message);
        }
        while taken.len() < TAKE
            && let Ok(message) = commands.try_recv()
        {
            taken.push(message);
        }
    }

    fn handle(&mut self, now: Now, message: Message, touched: &mut BTreeSet<UserId>) {
        match message {
            Message::Attach { user_id, connection_id, resume, reader, outbox } => {
                let user = self.user(&user_id);
                user.outboxes.insert(connection_id, outbox);
                user.hub.handle_input(now, Input::Attach { connection_id, resume, reader });
                touched.insert(user_id);
            }
            Message::Hub { user_id, input } => {
                // Only a recovery speaks to a user who is not here; everything else comes too late.
                let user = if matches!(input, Input::Recover { .. }) {
                    self.user(&user_id)
                } else if let Some(user) = self.users.get_mut(&user_id) {
                    user
                } else {
                    return;
                };
                match &input {
                    Input::Detach { connection_id } => {
                        user.outboxes.remove(connection_id);
                    }
                    Input::RunStopped { run_id, fence } => {
                        let ended = user.runs.get(run_id).is_some_and(|(held, _)| held == fence);
                        if ended && user.runs.remove(run_id).is_some() {
                            Counters::sub(&self.counters.runs, 1);
                        }
                    }
                    Input::Committed { .. } => Counters::sub(&self.counters.commits_waiting, 1),
                    _ => {}
                }
                if let Some(user) = self.users.get_mut(&user_id) {
                    user.hub.handle_input(now, input);
                }
                touched.insert(user_id);
            }
            Message::Drain(done) => {
                for (user_id, user) in &mut self.users {
                    user.hub.handle_input(now, Input::Drain);
                    touched.insert(user_id.clone());
                }
                self.draining.push(done);
            }
        }
    }

    fn user(&mut self, user_id: &UserId) -> &mut User {
        if !self.users.contains_key(user_id) {
            let limits = self.services.limits.clone();
            let mut hub = Hub::new(user_id.clone(), limits, self.seed.fork());
            if !self.draining.is_empty() {
                hub.handle_input(self.services.clock.now(), Input::Drain);
            }
            let user =
                User { hub, outboxes: BTreeMap::new(), runs: BTreeMap::new(), deadline: None };
            self.users.insert(user_id.clone(), user);
            Counters::add(&self.counters.hubs, 1);
        }
        self.users.get_mut(user_id).expect("it was put there just now")
    }

    fn wake_overdue(&mut self, now: Now, touched: &mut BTreeSet<UserId>) {
        while let Some((at, user_id)) = self.deadlines.first().cloned()
            && at <= now.mono
        {
            self.deadlines.pop_first();
            if let Some(user) = self.users.get_mut(&user_id) {
                user.deadline = None;
                user.hub.handle_timeout(now);
                touched.insert(user_id);
            }
        }
    }

    /// Does what a hub has to say, until it is idle.
    fn settle(&mut self, user_id: UserId) {
        let Some(user) = self.users.get_mut(&user_id) else { return };
        let mut retire = false;
        loop {
            match user.hub.poll_output() {
                Output::Attached { connection_id, ready } => {
                    push(user, connection_id, Outgoing::Attached(ready), false);
                }
                Output::CancelRun { run_id, reason } => {
                    if let Some((_, run)) = user.runs.get(&run_id) {
                        run.cancel(reason);
                    }
                }
                Output::Close { connection_id, code } => {
                    push(user, connection_id, Outgoing::Close(code), false);
                    user.outboxes.remove(&connection_id);
                }
                Output::Commit { effect, batch } => {
                    Counters::add(&self.counters.commits, 1);
                    Counters::add(&self.counters.commits_waiting, 1);
                    let (id, commit) = (user_id.clone(), self.services.store.commit(batch));
                    self.effects.push(
                        commit.map(move |result| (id, Input::Committed { effect, result })).boxed(),
                    );
                }
                Output::Deliver { connection_id, frames, droppable } => {
                    push(user, connection_id, Outgoing::Frames(frames), droppable);
                }
                Output::Heads { connection_id, heads } => {
                    push(user, connection_id, Outgoing::Heads(heads), false);
                }
                Output::Idle(deadline) => {
                    if user.deadline != deadline {
                        if let Some(old) = user.deadline {
                            self.deadlines.remove(&(old, user_id.clone()));
                        }
                        if let Some(new) = deadline {
                            self.deadlines.insert((new, user_id.clone()));
                        }
                        user.deadline = deadline;
                    }
                    break;
                }
                Output::KillRun { run_id } => {
                    if let Some((_, run)) = user.runs.remove(&run_id) {
                        run.kill();
                        Counters::sub(&self.counters.runs, 1);
                    }
                }
                Output::Load { effect, load } => {
                    let (id, load) = (user_id.clone(), self.services.store.load(&user_id, load));
                    self.effects.push(
                        load.map(move |result| (id, Input::Loaded { effect, result })).boxed(),
                    );
                }
                Output::Mark { connection_id, mark } => {
                    push(user, connection_id, Outgoing::Mark(mark), false);
                }
                Output::Record { effect, record } => {
                    let (id, kept) =
                        (user_id.clone(), self.services.store.record(&user_id, record));
                    self.effects.push(
                        kept.map(move |result| (id, Input::Recorded { effect, result })).boxed(),
                    );
                }
                Output::Retire => retire = true,
                Output::StartRun { assignment, fence, user_id: owner } => {
                    let run_id = assignment.run_id;
                    let sink = self.sink.of(owner.clone(), run_id, fence);
                    let control = self.services.runs.start(owner, assignment, sink);
                    if user.runs.insert(run_id, (fence, control)).is_none() {
                        Counters::add(&self.counters.runs, 1);
                    }
                }
            }
        }
        if retire && user.outboxes.is_empty() {
            self.users.remove(&user_id);
            Counters::sub(&self.counters.hubs, 1);
        }
    }

    /// Tells whoever drains that nothing is under way any more.
    fn report_drained(&mut self) {
        let quiet = || self.effects.is_empty() && self.users.values().all(|u| u.runs.is_empty());
        if !self.draining.is_empty() && quiet() {
            for done in self.draining.drain(..) {
                let _ = done.send(());
            }
        }
    }
}

/// Puts something into a connection's outbox. One that overflowed says so itself, to its own task.
fn push(user: &mut User, connection_id: ConnectionId, item: Outgoing, droppable: bool) {
    let Some(outbox) = user.outboxes.get(&connection_id) else { return };
    let weight = item.weight();
    let pushed =
        if droppable { outbox.push_droppable(item, weight) } else { outbox.push(item, weight) };
    if pushed == Pushed::Closed {
        user.outboxes.remove(&connection_id);
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
