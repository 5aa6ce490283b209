//! One user's threads, runs and connections: ordering, delivery, queueing.
//!
//! This is the user context of the golden path. A hub knows exactly one user; nothing in it can name
//! another (invariant 9). What others may see has been committed before (persist, then publish): the
//! only way to a reader is [`crate::thread::Subscription`], which is fed by commits and by reads of the store.

mod commands;
mod commit;
mod effect;
mod io;
mod outcome;
mod readers;
mod recovery;
mod runs;
mod state;

pub use effect::{
    Batch, Committed, FirstOutcome, Load, Loaded, NewAnswer, NewMessage, NewThread, Record, RunAt,
    RunCancel, RunChange, StoredRun, StoredThread, ThreadSummary,
};
pub use io::{HubReady, Input, Output};

use crate::auth::Scope;
use crate::fault::Fault;
use crate::id::{ConnectionId, EffectId, EventId, RunId, ThreadId};
use crate::limits::Limits;
use crate::seed::Seed;
use crate::time::{Mono, Now, earliest};
use crate::wire::{Announced, ErrorFrame, Frame, Reply, ServerFrame};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use state::{Asked, Connection, Thread};

/// The state of one user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
//= specs/isolation.md#iso-01
//# What one user does MUST NOT change what another hears while no shared limit is reached.
pub struct Hub {
    scope: Scope,
    limits: Arc<Limits>,
    seed: Seed,
    connections: BTreeMap<ConnectionId, Connection>,
    threads: BTreeMap<ThreadId, Thread>,
    /// Questions under way and whom their answers are for.
    asked: BTreeMap<EffectId, Asked>,
    next_effect: EffectId,
    next_mark: u64,
    /// Threads in which a run waits for a free place, in the order they began to wait.
    waiting_threads: VecDeque<ThreadId>,
    /// Threads with work to look at before the hub is idle again.
    dirty: BTreeSet<ThreadId>,
    /// When reads that failed are tried again.
    reload_at: Option<Mono>,
    /// When followers are next told the heads.
    heads_at: Option<Mono>,
    draining: bool,
    retired: bool,
    fenced_off: bool,
    ignored: u64,
    out: VecDeque<Output>,
}

impl Hub {
    /// The hub of a user who has nothing loaded yet.
    #[must_use]
    pub fn new(scope: Scope, limits: Arc<Limits>, seed: Seed) -> Self {
        Self {
            scope,
            limits,
            seed,
            connections: BTreeMap::new(),
            threads: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_effect: EffectId::default(),
            next_mark: 0,
            waiting_threads: VecDeque::new(),
            dirty: BTreeSet::new(),
            reload_at: None,
            heads_at: None,
            draining: false,
            retired: false,
            fenced_off: false,
            ignored: 0,
            out: VecDeque::new(),
        }
    }

    /// Whose it is.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Inputs that came too late or for nobody and changed nothing (RUN-07).
    #[must_use]
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    /// How a thread stands, in a word, for the dashboard; `unknown` when nothing is under way in it here.
    #[must_use]
    pub fn thread_state(&self, thread_id: ThreadId) -> &'static str {
        self.threads.get(&thread_id).map_or("unknown", Thread::state_name)
    }

    /// From outside; never fails.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        if self.fenced_off {
            return self.ignore();
        }
        self.retired = false;
        match input {
            Input::Attach { connection_id, resume, reader } => {
                self.attach(connection_id, resume, reader);
            }
            Input::Detach { connection_id } => self.detach(now, connection_id),
            Input::Command { connection_id, reply, body } => {
                self.command(now, connection_id, reply, body);
            }
            Input::Committed { effect, result } => self.committed(now, effect, result),
            Input::Loaded { effect, result } => self.loaded(now, effect, result),
            Input::Marked { connection_id, mark } => self.marked(connection_id, mark),
            Input::Recorded { effect, result } => self.recorded(effect, result),
            Input::Append { run_id, fence, drafts } => self.append(now, run_id, fence, drafts),
            Input::Confirm { run_id, fence, tool_call_id } => {
                self.confirm(run_id, fence, tool_call_id);
            }
            Input::Transient { run_id, frame } => self.transient(run_id, &frame),
            Input::RunStopped { run_id, fence } => self.run_stopped(now, run_id, fence),
            Input::Recover { runs } => self.recover(runs),
            Input::Drain => self.draining = true,
        }
        self.settle(now);
    }

    /// Time has passed. Harmless at any time, any number of times.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.reload_at.is_some_and(|at| at <= now.mono) {
            self.reload_at = None;
            self.reload();
            self.dirty.extend(self.threads.keys().copied());
        }
        if self.heads_at.is_some_and(|at| at <= now.mono) {
            self.heads_at = None;
            self.tell_heads();
        }
        //= specs/runs.md#run-08
        //# Every accepted run MUST reach its terminal event, provided the store accepts writes in
        //# the end.
        self.retry_commits(now);
        self.supervise(now);
        self.settle(now);
    }

    /// The next thing to do; after [`Output::Idle`] the caller waits for input or the deadline.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        if self.is_idle() && !self.retired && !self.fenced_off {
            self.retired = true;
            return Output::Retire;
        }
        Output::Idle(self.deadline())
    }

    fn deadline(&self) -> Option<Mono> {
        let threads = self.threads.values().map(Thread::deadline).fold(None, earliest);
        earliest(threads, earliest(self.reload_at, self.heads_at))
    }

    fn is_idle(&self) -> bool {
        self.connections.is_empty()
            && self.asked.is_empty()
            && self.threads.values().all(Thread::is_quiet)
    }

    /// Brings every thread that changed as far as it can go. A free place goes to the thread that has
    /// waited longest; whoever has nothing to start any more gives it on (RUN-15).
    //= specs/runs.md#run-36
    //# A run MUST wait for runs of its own user only, and a place that becomes free goes to the
    //# thread that has waited longest.
    fn settle(&mut self, now: Now) {
        loop {
            while let Some(thread_id) = self.dirty.pop_first() {
                self.advance(now, thread_id);
                self.read_on(now, thread_id);
            }
            if self.draining || self.running_runs() >= self.limits.running_runs_per_user {
                return;
            }
            let Some(next) = self.waiting_threads.pop_front() else { return };
            self.dirty.insert(next);
        }
    }

    fn ask(&mut self, asked: Asked) -> EffectId {
        let effect = self.next_effect.take_next();
        self.asked.insert(effect, asked);
        effect
    }

    fn load(&mut self, asked: Asked, load: Load) -> EffectId {
        let effect = self.ask(asked);
        self.out.push_back(Output::Load { effect, load });
        effect
    }

    fn draw_event_id(&mut self, now: Now) -> EventId {
        EventId::draw(&mut self.seed, now.wall)
    }

    fn ignore(&mut self) {
        self.ignored += 1;
    }

    fn reply(&mut self, connection_id: ConnectionId, reply: &Reply, frame: &ServerFrame) {
        let frame = frame.encode(reply, Announced { limits: &self.limits });
        self.deliver(connection_id, Arc::from([frame]), false);
    }

    fn refuse(&mut self, connection_id: ConnectionId, reply: &Reply, error: ErrorFrame) {
        self.reply(connection_id, reply, &ServerFrame::Error(error));
    }

    fn deliver(&mut self, connection_id: ConnectionId, frames: Arc<[Frame]>, droppable: bool) {
        if self.connections.contains_key(&connection_id) && !frames.is_empty() {
            self.out.push_back(Output::Deliver { connection_id, frames, droppable });
        }
    }

    fn loaded(&mut self, now: Now, effect: EffectId, result: Result<Loaded, Fault>) {
        let Some(asked) = self.asked.remove(&effect) else { return self.ignore() };
        match asked {
            Asked::Thread(thread_id) => self.thread_loaded(now, thread_id, result),
            Asked::Page { connection_id, thread_id } => {
                self.page_loaded(now, effect, connection_id, thread_id, result);
            }
            Asked::Reply { connection_id, reply, request } => {
                self.answer_loaded(connection_id, &reply, request, result);
            }
            Asked::History { thread_id, run_id } => {
                self.history_loaded(now, thread_id, run_id, result);
            }
            Asked::Commit(_) | Asked::Record { .. } => self.ignore(),
        }
    }

    /// Runs at work, over all threads.
    fn running_runs(&self) -> usize {
        self.threads.values().filter(|thread| thread.has_running()).count()
    }

    fn thread_of_run(&self, run_id: RunId) -> Option<ThreadId> {
        let found = self.threads.iter().find(|(_, thread)| thread.holds_run(run_id));
        found.map(|(thread_id, _)| *thread_id)
    }

    fn readers(&self) -> Vec<ConnectionId> {
        let readers = self.connections.iter().filter(|(_, connection)| connection.reader);
        readers.map(|(connection_id, _)| *connection_id).collect()
    }
}

#[cfg(test)]
mod answer_tests;
