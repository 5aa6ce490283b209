//! A server: one hub, what it waits for, and the tasks of its runs.

use crate::clock::Clock;
use crate::invariant::{Invariant, Witness};
use crate::rules;
use crate::task::{Task, Work};
use crate::team::Team;
use crate::world::{World, owner};
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Batch, Committed, Hub, Input, Load, Loaded, Output};
use goldenpath_core::id::{ConnectionId, EffectId, Fence, RunId, ToolCallId};
use goldenpath_core::limits::Limits;
use goldenpath_core::run::{Assignment, CancelReason};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Mono, Now, earliest};
use goldenpath_core::wire::{Announced, Event, Head, OnDisconnect, Reply, RunStatus, ServerFrame};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tasks that were replaced and may still speak; more are forgotten.
const GHOSTS: usize = 1;

/// A question of a hub that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::large_enum_variant, reason = "a handful at a time")]
pub enum Pending {
    /// A write.
    Commit(EffectId, Batch),
    /// A read.
    Load(EffectId, Load),
    /// Something beside the logs.
    Record(EffectId),
}

/// How the store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// As it should.
    Well,
    /// Nothing is done, and that is sure.
    Down,
    /// It is done, but nobody hears of it.
    DoneUnheard,
    /// Nothing is done, but nobody knows.
    LostUnheard,
    /// Nobody hears of it, and it is done later, or never.
    DoneLater,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Well, Self::Down, Self::DoneUnheard, Self::LostUnheard, Self::DoneLater];
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// The machine; `None` while the process is dead.
    pub hub: Option<Hub>,
    /// What it waits for.
    pub pending: Vec<Pending>,
    /// Its runs at work.
    pub tasks: BTreeMap<RunId, Task>,
    /// Tasks that were stopped by force or replaced, and may still speak.
    pub ghosts: Vec<Task>,
    /// Runs that were told to stop, and why.
    pub cancelled: Vec<(RunId, CancelReason)>,
    /// When the hub wants to be looked at, by the clock of this node.
    pub deadline: Option<Mono>,
    /// What its clocks show.
    pub clock: Clock,
    /// Whether the hub may be dropped.
    pub retired: bool,
    /// The answer it got last, to be given again.
    pub(crate) last: Option<Input>,
    /// How often the process was started.
    pub(crate) starts: u64,
}

impl Node {
    pub(crate) fn new(at: usize, limits: Arc<Limits>) -> Self {
        Self {
            hub: Some(Hub::new(owner(), limits, hub_seed(at, 0))),
            pending: Vec::new(),
            tasks: BTreeMap::new(),
            ghosts: Vec::new(),
            cancelled: Vec::new(),
            deadline: None,
            clock: Clock::default(),
            retired: false,
            last: None,
            starts: 0,
        }
    }

    /// The hub of a process that is alive.
    ///
    /// # Panics
    /// When it is dead.
    #[must_use]
    pub const fn hub(&self) -> &Hub {
        self.hub.as_ref().expect("the process is alive")
    }

    /// The end of the first grace of its tasks that were told to stop, by the clock of the world.
    pub(crate) fn grace(&self, limits: &Limits) -> Option<Mono> {
        let told = self.tasks.values().filter_map(|task| task.cancelled).min();
        told.map(|told| self.clock.in_the_world(told.after(limits.cancel_grace)))
    }

    /// The next deadline of its hub and its runs, by the clock of the world.
    #[must_use]
    pub fn due(&self) -> Option<Mono> {
        let teams = self.tasks.values().filter_map(|task| task.team.as_ref());
        let due = teams.fold(self.deadline, |soonest, team| earliest(soonest, team.deadline()));
        due.map(|due| self.clock.in_the_world(due))
    }
}

pub(crate) fn hub_seed(at: usize, starts: u64) -> Seed {
    Seed::new(1 + at as u64 * 1_000 + starts)
}

impl World {
    /// Gives the hub of a node an input, and does what it says.
    pub fn input(&mut self, at: usize, input: Input) {
        let now = self.now_at(at);
        let node = &mut self.nodes[at];
        let Some(hub) = &mut node.hub else { return };
        node.retired = false;
        hub.handle_input(now, input);
        self.drain(at);
    }

    pub(crate) fn time_at(&mut self, at: usize) {
        let now = self.now_at(at);
        let node = &mut self.nodes[at];
        if let Some(hub) = &mut node.hub {
            hub.handle_timeout(now);
        }
        for task in node.tasks.values_mut() {
            if let Some(team) = &mut task.team {
                team.handle_timeout(now);
            }
        }
        self.drain(at);
    }

    /// Does what the hub and its runs ask for, until all of them rest.
    pub(crate) fn drain(&mut self, at: usize) {
        for _ in 0..10_000 {
            let Some(hub) = &mut self.nodes[at].hub else { return };
            let output = hub.poll_output();
            if let Output::Idle(deadline) = output {
                self.nodes[at].deadline = deadline;
                if !self.drain_teams(at) {
                    return;
                }
            } else {
                self.serve(at, output);
            }
        }
        self.breaks(Invariant::Rests, "a hub never comes to rest");
    }

    /// Does what a hub says.
    pub(crate) fn serve(&mut self, at: usize, output: Output) {
        match output {
            Output::Attached { connection_id, ready } => self.attached(connection_id, ready),
            Output::CancelRun { run_id, reason } => self.cancels(at, run_id, reason),
            Output::Close { connection_id, code } => self.closes(connection_id, code),
            Output::Commit { effect, batch } => {
                self.nodes[at].pending.push(Pending::Commit(effect, batch));
            }
            Output::Confirmed { run_id, fence, tool_call_id } => {
                let now = self.now_at(at);
                if let Some(task) = self.nodes[at].tasks.get_mut(&run_id)
                    && let Some(team) = task.team.as_mut().filter(|_| task.fence == fence)
                {
                    team.durable(now, tool_call_id);
                }
            }
            Output::Deliver { connection_id, frames, .. } => {
                frames.iter().for_each(|frame| self.delivered(connection_id, frame));
            }
            Output::FencedOff => self.fenced_off(at),
            Output::Heads { connection_id, heads } => self.heads(connection_id, heads),
            Output::Idle(_) => {}
            Output::KillRun { run_id } => self.kill(at, run_id),
            Output::Load { effect, load } => {
                self.nodes[at].pending.push(Pending::Load(effect, load));
            }
            Output::Mark { connection_id, mark } => self.marked(connection_id, mark),
            Output::Record { effect, .. } => self.nodes[at].pending.push(Pending::Record(effect)),
            Output::Retire => self.retires(at),
            Output::StartRun { assignment, fence, scope } => {
                if scope != owner() {
                    self.breaks(Invariant::OnlyWhatAsked, "a run of somebody else is started");
                }
                self.start_task(at, assignment, fence);
            }
        }
    }

    fn start_task(&mut self, at: usize, assignment: Assignment, fence: Fence) {
        let (now, run_id) = (self.now_at(at), assignment.run_id);
        let tasks = &self.nodes[at].tasks;
        let again = tasks.contains_key(&run_id);
        self.broken.extend(rules::of_start(run_id, again, tasks.len(), &self.limits));
        // Hubs of one user on several nodes know their own order only: which of them claims next is open.
        if self.nodes.len() == 1 {
            self.broken.extend(rules::of_turn(&self.store, run_id, &self.urgent.0));
        }
        let task = match self.setup.work {
            Work::Effects | Work::Team => {
                let (limits, repeatable) = (self.limits.clone(), self.setup.work == Work::Team);
                let team = Team::new(assignment.clone(), fence, repeatable, limits, now);
                Task::with(assignment, fence, team)
            }
            work => Task::scripted(assignment, fence, now, work),
        };
        self.nodes[at].tasks.insert(run_id, task);
    }

    fn cancels(&mut self, at: usize, run_id: RunId, reason: CancelReason) {
        self.note(Witness::Cancelled);
        let asked = self.store.runs.get(&run_id).map(|run| run.on_disconnect);
        if reason == CancelReason::Disconnect && asked != Some(OnDisconnect::Cancel) {
            self.breaks(Invariant::OnlyWhatAsked, format!("{run_id} ends with its client"));
        }
        let now = self.now_at(at);
        let node = &mut self.nodes[at];
        node.cancelled.push((run_id, reason));
        if let Some(task) = node.tasks.get_mut(&run_id) {
            task.cancelled = task.cancelled.or(Some(now.mono));
            if let Some(team) = &mut task.team {
                team.cancel(now, reason);
            }
        }
    }

    fn kill(&mut self, at: usize, run_id: RunId) {
        if let Some(task) = self.nodes[at].tasks.remove(&run_id) {
            self.note(Witness::Killed);
            self.haunt(at, task);
        }
    }

    fn haunt(&mut self, at: usize, task: Task) {
        let ghosts = &mut self.nodes[at].ghosts;
        ghosts.insert(0, task);
        ghosts.truncate(GHOSTS);
    }

    fn retires(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.retired = true;
        let busy = !(node.pending.is_empty() && node.tasks.is_empty());
        let attached = self.readers.values().any(|r| r.node == at && r.closed.is_none());
        if busy || attached {
            self.breaks(Invariant::Converges, "a hub retires that has work or readers");
        }
    }

    /// The driver drops a hub whose run another writer has taken over; whoever comes gets a new one.
    fn fenced_off(&mut self, at: usize) {
        self.note(Witness::FencedOff);
        let attached = self.readers.values().any(|r| r.node == at && r.closed.is_none());
        if self.nodes.len() == 1 || attached || !self.nodes[at].tasks.is_empty() {
            self.breaks(Invariant::FencedOff, "without another writer, or something is left");
        }
        let node = &mut self.nodes[at];
        for pending in core::mem::take(&mut node.pending) {
            if let Pending::Commit(_, batch) = pending {
                self.late.push(batch);
            }
        }
        (node.last, node.deadline) = (None, None);
        node.starts += 1;
        node.hub = Some(Hub::new(owner(), self.limits.clone(), hub_seed(at, node.starts)));
    }

    fn heads(&mut self, connection_id: ConnectionId, heads: Vec<Head>) {
        let Some(reader) = self.readers.get(&connection_id) else { return };
        let ahead = |head: &Head| reader.positions.get(&head.thread_id) > Some(&head.seq);
        let (is_ahead, of_client) = (heads.iter().any(ahead), reader.seat.is_some());
        // Another node may have written what a hub has not heard of.
        if self.nodes.len() == 1 && is_ahead {
            self.breaks(Invariant::CommittedFirst, "a reader is ahead of the head");
        }
        if of_client {
            let ping = ServerFrame::Ping { heads };
            let frame = ping.encode(&Reply::None, Announced { limits: &self.limits });
            self.seat_delivered(connection_id, &frame);
        }
    }

    /// Lets the real runs of a node do what is to be done. Whether their hub heard something.
    fn drain_teams(&mut self, at: usize) -> bool {
        let runs: Vec<RunId> = self.nodes[at].tasks.keys().copied().collect();
        for run_id in runs {
            let Some(task) = self.nodes[at].tasks.get_mut(&run_id) else { continue };
            let Some(team) = &mut task.team else { continue };
            let driven = team.drain();
            let ended = team.ended();
            let input = task.says(driven.drafts.clone());
            let fence = task.fence;
            let confirm = |tool_call_id| Input::Confirm { run_id, fence, tool_call_id };
            if !driven.rests {
                self.breaks(Invariant::Rests, format!("{run_id} never comes to rest"));
            }
            driven.called.into_iter().for_each(|call| self.calls(run_id, call));
            if driven.drafts.is_empty() {
                continue;
            }
            for draft in &driven.drafts {
                self.said.0.insert(draft.id, fence);
            }
            if ended {
                self.nodes[at].tasks.remove(&run_id);
            }
            let now = self.now_at(at);
            if let Some(hub) = &mut self.nodes[at].hub {
                hub.handle_input(now, input);
                driven.confirms.into_iter().for_each(|id| hub.handle_input(now, confirm(id)));
            }
            return true;
        }
        false
    }

    /// A tool is called; of one that is not repeatable it is the only call that its run ever makes.
    fn calls(&mut self, run_id: RunId, call: ToolCallId) {
        let Some(run) = self.store.runs.get(&run_id) else { return };
        let log = &self.store.threads[&run.thread_id];
        let repeatable = self.setup.work != Work::Effects;
        let before = !repeatable && !self.effects.insert(run_id);
        self.broken.extend(rules::of_call(call, &log.decoded, repeatable, before));
    }

    /// Answers the question at `index` of a node.
    pub fn answer_at(&mut self, at: usize, index: usize, fate: Fate) {
        if index >= self.nodes[at].pending.len() {
            return;
        }
        let answer = match self.nodes[at].pending.remove(index) {
            Pending::Commit(effect, batch) => {
                let result = self.commit(batch, fate);
                Input::Committed { effect, result }
            }
            Pending::Load(effect, load) => {
                let result: Result<Loaded, Fault> = match fate {
                    Fate::Well => Ok(self.store.load(&load)),
                    _ => Err(Fault::Unavailable),
                };
                Input::Loaded { effect, result }
            }
            Pending::Record(effect) => {
                let result = if fate == Fate::Well { Ok(true) } else { Err(Fault::Unknown) };
                Input::Recorded { effect, result }
            }
        };
        self.nodes[at].last = Some(answer.clone());
        self.input(at, answer);
    }

    /// Answers the question at `index` of the only node.
    pub fn answer(&mut self, index: usize, fate: Fate) {
        self.answer_at(crate::world::HOME, index, fate);
    }

    /// The last answer of a node's store comes again.
    pub fn repeat_answer(&mut self, at: usize) {
        if let Some(answer) = self.nodes[at].last.take() {
            self.note(Witness::Repeated);
            self.input(at, answer);
        }
    }

    /// Nothing that was said before will be said again: worlds that differ only in it are the same.
    pub fn never_repeats(&mut self) {
        for node in &mut self.nodes {
            node.last = None;
            let teams = node.tasks.values_mut().filter_map(|task| task.team.as_mut());
            teams.for_each(|team| team.never_repeats());
        }
    }

    /// No tool will answer that nobody waits for any more.
    pub fn never_late(&mut self) {
        for node in &mut self.nodes {
            let teams = node.tasks.values_mut().filter_map(|task| task.team.as_mut());
            teams.for_each(|team| team.never_late());
        }
    }

    /// No agent will speak that was stopped.
    pub fn never_unstopped(&mut self) {
        for node in &mut self.nodes {
            let teams = node.tasks.values_mut().filter_map(|task| task.team.as_mut());
            teams.for_each(|team| team.stays_stopped());
        }
    }

    /// No task that was replaced will speak.
    pub fn never_haunted(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.ghosts.clear());
    }

    fn commit(&mut self, batch: Batch, fate: Fate) -> Result<Committed, Fault> {
        match fate {
            Fate::Well => {
                let result = self.write(&batch);
                if result == Err(Fault::Refused) && self.nodes.len() == 1 {
                    self.breaks(Invariant::OneRunning, format!("refused: {batch:?}"));
                }
                result
            }
            Fate::Down => Err(Fault::Unavailable),
            Fate::DoneUnheard => {
                self.note(Witness::DoneUnheard);
                let _ = self.write(&batch);
                Err(Fault::Unknown)
            }
            Fate::LostUnheard => Err(Fault::Unknown),
            Fate::DoneLater => {
                self.late.push(batch);
                Err(Fault::Unknown)
            }
        }
    }

    /// A write nobody waits for any more lands.
    pub fn land(&mut self, index: usize) {
        if index < self.late.len() {
            let batch = self.late.remove(index);
            let before = self.store.threads.get(&batch.thread_id).map(|log| log.head());
            let _ = self.write(&batch);
            if self.store.threads.get(&batch.thread_id).map(|log| log.head()) != before {
                self.note(Witness::LandedLate);
            }
        }
    }

    /// The store takes a batch; whatever becomes visible must have been allowed to.
    fn write(&mut self, batch: &Batch) -> Result<Committed, Fault> {
        let held: BTreeMap<RunId, Fence> =
            self.store.runs.iter().map(|(run_id, run)| (*run_id, run.fence)).collect();
        let head = self.store.threads.get(&batch.thread_id).map_or(0, |log| log.entries.len());
        let result = self.store.commit(batch);
        if result == Ok(Committed::Fenced) {
            self.note(Witness::Fenced);
        }
        let Some(log) = self.store.threads.get(&batch.thread_id) else { return result };
        let new: Vec<_> = log.decoded.iter().skip(head).cloned().collect();
        for entry in new {
            let Some(run_id) = entry.run_id else { continue };
            if let (Some(said), Some(held)) = (self.said.0.get(&entry.id), held.get(&run_id))
                && said < held
            {
                let what =
                    format!("{} of fence {said:?}, held by {held:?}", entry.event.type_name());
                self.breaks(Invariant::Fenced, what);
            }
            if self.ghostly.0.contains(&entry.id) {
                self.breaks(Invariant::NoGhosts, format!("{} is visible", entry.event.type_name()));
            }
            match entry.event.terminal_status() {
                Some(RunStatus::TimedOut) => self.note(Witness::TimedOut),
                Some(RunStatus::Interrupted) => self.note(Witness::Interrupted),
                _ => {}
            }
            if matches!(&entry.event, Event::RunQueued { position, .. } if *position > 0) {
                self.note(Witness::Waited);
            }
        }
        result
    }

    /// The task of a run at a node says its next `count` lines.
    pub fn speak_at(&mut self, at: usize, run_id: RunId, count: usize) {
        let Some(task) = self.nodes[at].tasks.get_mut(&run_id) else { return };
        let drafts = task.next_lines(count);
        let (input, fence, done) = (task.says(drafts.clone()), task.fence, task.lines.is_empty());
        if done {
            self.nodes[at].tasks.remove(&run_id);
        }
        for draft in &drafts {
            self.said.0.insert(draft.id, fence);
        }
        self.input(at, input);
    }

    /// The task of a run at the only node says its next `count` lines.
    pub fn speak(&mut self, run_id: RunId, count: usize) {
        self.speak_at(crate::world::HOME, run_id, count);
    }

    /// A task that was replaced says its next line.
    pub fn ghost_speaks(&mut self, at: usize) {
        let Some(mut ghost) = self.nodes[at].ghosts.pop() else { return };
        let drafts = ghost.next_lines(1);
        if drafts.is_empty() {
            let (run_id, fence) = (ghost.run_id(), ghost.fence);
            return self.input(at, Input::RunStopped { run_id, fence });
        }
        self.note(Witness::Ghost);
        self.ghostly.0.extend(drafts.iter().map(|draft| draft.id));
        let input = ghost.says(drafts);
        self.nodes[at].ghosts.push(ghost);
        self.input(at, input);
    }

    /// The task of a run dies without a word; its hub learns it.
    pub fn die(&mut self, at: usize, run_id: RunId) {
        if let Some(task) = self.nodes[at].tasks.remove(&run_id) {
            let fence = task.fence;
            self.haunt(at, task);
            self.input(at, Input::RunStopped { run_id, fence });
        }
    }

    /// Does something with the real run of a task, and what follows from it.
    pub fn drive(&mut self, at: usize, run_id: RunId, act: impl FnOnce(&mut Team, Now)) {
        let now = self.now_at(at);
        if let Some(task) = self.nodes[at].tasks.get_mut(&run_id)
            && let Some(team) = &mut task.team
        {
            act(team, now);
            self.drain(at);
        }
    }
}
