//! What the node did, in its order: every write, every task of a run, every call of a tool, and which messages
//! go first; and what must hold of it, by the same [rules] as in the other simulations.

use crate::node::limits;
use goldenpath_core::auth::Scope;
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Batch, Committed};
use goldenpath_core::id::{ClientMsgId, RunId, Seq, ThreadId, ToolCallId, UserId};
use goldenpath_core::run::{Assignment, CancelReason};
use goldenpath_core::time::{Millis, Mono};
use goldenpath_core::wire::{Draft, Frame};
use goldenpath_runtime::agent::{AgentRuns, Log};
use goldenpath_runtime::shard::{RunControl, RunSink, Runs};
use goldenpath_simulator::store::Store;
use goldenpath_simulator::{Broken, Invariant, rules};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(test)]
mod tests;

/// Time is taken once in a tick: what is told late in one, may be done late in the next.
const GRAIN: Millis = Millis(30);

/// One thing the node did.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// A batch reached the store, which gave this answer, whether or not anybody heard it.
    Wrote(Box<Batch>, Result<Committed, Fault>),
    /// A message is said that interrupts.
    Interrupts { name: ClientMsgId },
    /// The task of a run began; they are numbered through the world.
    Began { task: u64, user: UserId, run_id: RunId },
    /// A task was told to stop.
    Told { task: u64 },
    /// A task is over, however that came.
    Ended { task: u64 },
    /// A call reached a tool.
    Called { user: UserId, thread_id: ThreadId, call: ToolCallId, repeatable: bool },
}

/// The deeds so far, each with its time; clones see the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    now: Mono,
    tasks: u64,
    deeds: Vec<(Mono, Deed)>,
}

impl History {
    /// The time of the world; the node's own may jump.
    pub(crate) fn at(&self, ms: u64) {
        self.inner().now = Mono(ms);
    }

    pub(crate) fn note(&self, deed: Deed) {
        let mut inner = self.inner();
        let now = inner.now;
        inner.deeds.push((now, deed));
    }

    /// All of it.
    pub(crate) fn deeds(&self) -> Vec<(Mono, Deed)> {
        self.inner().deeds.clone()
    }

    /// The time of the world.
    pub(crate) fn now(&self) -> Mono {
        self.inner().now
    }

    fn begin(&self, user: UserId, run_id: RunId) -> u64 {
        let task = {
            let mut inner = self.inner();
            inner.tasks += 1;
            inner.tasks
        };
        self.note(Deed::Began { task, user, run_id });
        task
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When entries and messages were first in the store, in milliseconds. A deed has the time at which its tick
/// began: nobody can hear of it before that.
#[derive(Debug, Default)]
pub(crate) struct Written {
    entries: BTreeMap<(ThreadId, Seq), u64>,
    messages: BTreeMap<(UserId, ClientMsgId), u64>,
}

impl Written {
    pub(crate) fn of(deeds: &[(Mono, Deed)]) -> Self {
        let mut written = Self::default();
        for (Mono(ms), deed) in deeds {
            let Deed::Wrote(batch, Ok(Committed::Done { first_seq })) = deed else { continue };
            for nth in 0..batch.entries.len() as u64 {
                written.entries.entry((batch.thread_id, first_seq.plus(nth))).or_insert(*ms);
            }
            if let Some(message) = &batch.message {
                let named = (batch.scope.user_id().clone(), message.client_msg_id.clone());
                written.messages.entry(named).or_insert(*ms);
            }
        }
        written
    }

    pub(crate) fn entry(&self, thread_id: ThreadId, seq: Seq) -> Option<u64> {
        self.entries.get(&(thread_id, seq)).copied()
    }

    pub(crate) fn message(&self, user: &UserId, name: &ClientMsgId) -> Option<u64> {
        self.messages.get(&(user.clone(), name.clone())).copied()
    }
}

/// What does not hold of a history that ended at `end`. `cancels` are the runs whose cancel was acknowledged;
/// the logs themselves are looked at after each write.
pub(crate) fn check_history(
    deeds: &[(Mono, Deed)],
    end: Mono,
    cancels: &BTreeSet<RunId>,
) -> Vec<Broken> {
    let limits = limits();
    let mut stores: BTreeMap<UserId, Store> = BTreeMap::new();
    let mut at_work: BTreeMap<u64, (&UserId, RunId, Option<Mono>)> = BTreeMap::new();
    let mut calls: BTreeSet<ToolCallId> = BTreeSet::new();
    let mut urgent: BTreeSet<ClientMsgId> = BTreeSet::new();
    let mut broken = Vec::new();
    for (now, deed) in deeds {
        let late = at_work.values().filter_map(|(_, _, told)| *told);
        let late = late.filter_map(|told| rules::of_cancelled(told.after(GRAIN), *now, &limits));
        let mut found: Vec<Broken> = late.collect();
        match deed {
            Deed::Interrupts { name } => {
                urgent.insert(name.clone());
            }
            Deed::Wrote(batch, answer) => {
                let user = batch.scope.user_id().clone();
                let store = stores.entry(user).or_default();
                let own = store.commit(batch);
                if own != *answer {
                    let what = format!("{own:?} is answered {answer:?}: {batch:?}");
                    found.push(Broken { invariant: Invariant::OneOutcome, what });
                }
                // Whether a cancel was honoured is asked in the end: it may be acknowledged after the end.
                let none = BTreeSet::new();
                found.extend(rules::of_thread(store, batch.thread_id, &limits, &none));
            }
            Deed::Began { task, user, run_id } => {
                let of_user = || at_work.values().filter(|(one, ..)| *one == user);
                let again = of_user().any(|(_, one, _)| one == run_id);
                found.extend(rules::of_start(*run_id, again, of_user().count(), &limits));
                let store = stores.get(user);
                found.extend(store.and_then(|store| rules::of_turn(store, *run_id, &urgent)));
                at_work.insert(*task, (user, *run_id, None));
            }
            Deed::Told { task } => {
                if let Some((.., told)) = at_work.get_mut(task) {
                    told.get_or_insert(*now);
                }
            }
            Deed::Ended { task } => {
                at_work.remove(task);
            }
            Deed::Called { user, thread_id, call, repeatable } => {
                let log = stores.get(user).and_then(|store| store.threads.get(thread_id));
                let log = log.map_or(&[][..], |log| &log.decoded);
                let before = !repeatable && !calls.insert(*call);
                found.extend(rules::of_call(*call, log, *repeatable, before));
            }
        }
        broken.extend(found.into_iter().map(|one| at(*now, one)));
    }
    let late = at_work.values().filter_map(|(_, _, told)| *told);
    let late = late.filter_map(|told| rules::of_cancelled(told.after(GRAIN), end, &limits));
    let of_stores = stores.values().flat_map(|store| rules::of_store(store, &limits, cancels));
    broken.extend(late.chain(of_stores).map(|one| at(end, one)));
    broken
}

fn at(now: Mono, one: Broken) -> Broken {
    Broken { what: format!("at {} ms: {}", now.0, one.what), ..one }
}

/// The real runs, with somebody who notes when their tasks begin and end.
pub(crate) struct Watched {
    pub(crate) runs: AgentRuns,
    pub(crate) history: History,
}

impl Runs for Watched {
    fn start(&self, user: Scope, assignment: Assignment, sink: RunSink) -> Box<dyn RunControl> {
        let task = self.history.begin(user.user_id().clone(), assignment.run_id);
        let watch = Watch { history: self.history.clone(), task };
        let log = WatchedLog { watch: watch.clone(), sink };
        let control = self.runs.start_with(user, assignment, log);
        Box::new(WatchedControl { watch, control })
    }
}

#[derive(Clone)]
struct Watch {
    history: History,
    task: u64,
}

impl Watch {
    fn ends(&self) {
        self.history.note(Deed::Ended { task: self.task });
    }
}

struct WatchedControl {
    watch: Watch,
    control: Box<dyn RunControl>,
}

impl RunControl for WatchedControl {
    fn cancel(&self, reason: CancelReason) {
        self.watch.history.note(Deed::Told { task: self.watch.task });
        self.control.cancel(reason);
    }

    fn confirmed(&self, tool_call_id: ToolCallId) {
        self.control.confirmed(tool_call_id);
    }

    fn kill(&self) {
        self.watch.ends();
        self.control.kill();
    }
}

/// It is dropped with its task.
struct WatchedLog {
    watch: Watch,
    sink: RunSink,
}

impl Log for WatchedLog {
    fn append(&self, drafts: Vec<Draft>) {
        self.sink.append(drafts);
    }

    fn confirm(&self, tool_call_id: ToolCallId) {
        self.sink.confirm(tool_call_id);
    }

    fn transient(&self, frame: Frame) {
        self.sink.transient(frame);
    }
}

impl Drop for WatchedLog {
    fn drop(&mut self) {
        self.watch.ends();
    }
}
