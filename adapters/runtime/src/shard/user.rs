//! One user on a shard: the hub, and the ends of its connections and runs.

use super::effects::{Asked, Call, Calls};
use super::{Delivery, RunControl, RunSink, Surroundings, ToShard};
use crate::connection::weight_of;
use crate::tally;
use goldenpath_core::hub::{Hub, Input, Output};
use goldenpath_core::id::{ConnectionId, Fence, RunId};
use goldenpath_core::limits::Limits;
use goldenpath_core::outbox::{Sender, Weight};
use goldenpath_core::time::{Millis, Mono, Now};
use goldenpath_core::wire::{
    Announced, CloseCode, ErrorCode, ErrorFrame, Frame, Reply, ServerFrame,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What becomes of a user after all was said.
pub(super) enum Settled {
    /// Nothing is under way and nobody is connected.
    Retired,
    /// To be woken at the deadline, if there is one.
    Waits(Option<Mono>),
}

pub(super) struct User {
    hub: Hub,
    pub(super) generation: u64,
    pub(super) connections: BTreeMap<ConnectionId, Sender<Delivery>>,
    pub(super) runs: BTreeMap<RunId, (Fence, Box<dyn RunControl>)>,
    /// Where it stands in the shard's timers.
    pub(super) deadline: Option<Mono>,
    /// Whether it stands in the shard's list of those to be settled.
    pub(super) touched: bool,
}

impl User {
    pub(super) fn new(hub: Hub, generation: u64) -> Self {
        Self {
            hub,
            generation,
            connections: BTreeMap::new(),
            runs: BTreeMap::new(),
            deadline: None,
            touched: false,
        }
    }

    pub(super) fn handle_input(&mut self, now: Now, input: Input) {
        match &input {
            Input::Detach { connection_id } => {
                self.connections.remove(connection_id);
            }
            Input::RunStopped { run_id, fence } => {
                if self.runs.get(run_id).is_some_and(|(held, _)| held == fence) {
                    self.runs.remove(run_id);
                }
            }
            Input::Append { .. }
            | Input::Attach { .. }
            | Input::Command { .. }
            | Input::Committed { .. }
            | Input::Confirm { .. }
            | Input::Drain
            | Input::Loaded { .. }
            | Input::Marked { .. }
            | Input::Recorded { .. }
            | Input::Recover { .. }
            | Input::Transient { .. } => {}
        }
        self.hub.handle_input(now, input);
    }

    pub(super) fn handle_timeout(&mut self, now: Now) {
        self.hub.handle_timeout(now);
    }

    /// Does what the hub says until it has nothing more to say.
    pub(super) fn settle(
        &mut self,
        around: &Surroundings,
        calls: &Calls,
        answers: &mpsc::WeakUnboundedSender<ToShard>,
    ) -> Settled {
        loop {
            match self.hub.poll_output() {
                Output::Attached { connection_id, ready } => {
                    self.push(connection_id, Delivery::Attached(ready));
                }
                Output::CancelRun { run_id, reason } => {
                    if let Some((_, run)) = self.runs.get(&run_id) {
                        run.cancel(reason);
                    }
                }
                Output::Close { connection_id, code } => {
                    if let Some(outbox) = self.connections.remove(&connection_id) {
                        let _ = outbox.push_urgent(Delivery::Close(code));
                    }
                }
                Output::Commit { effect, batch } => {
                    let commit = tally::Commit::of(&batch);
                    let asked = Asked::Commit(around.store.commit(batch), commit);
                    calls.push(self.call(effect, asked));
                }
                Output::Confirmed { run_id, fence, tool_call_id } => {
                    if let Some((held, run)) = self.runs.get(&run_id)
                        && *held == fence
                    {
                        run.confirmed(tool_call_id);
                    }
                }
                Output::Deliver { connection_id, frames, droppable } => {
                    if let Some(outbox) = self.connections.get(&connection_id) {
                        let weight = weight_of(&frames);
                        // An overflow is told to the connection by its outbox, which then detaches.
                        let _ = if droppable {
                            outbox.push_droppable(Delivery::Frames(frames), weight)
                        } else {
                            outbox.push(Delivery::Frames(frames), weight)
                        };
                    }
                }
                Output::FencedOff => {
                    tracing::warn!("a user is served by another process now");
                    self.kill_runs();
                    return Settled::Retired;
                }
                Output::Heads { connection_id, heads } => {
                    self.push(connection_id, Delivery::Heads(heads));
                }
                Output::Idle(deadline) => return Settled::Waits(deadline),
                Output::KillRun { run_id } => {
                    if let Some((_, run)) = self.runs.remove(&run_id) {
                        run.kill();
                    }
                }
                Output::Load { effect, load } => {
                    let answer = around.store.load(self.hub.scope(), load);
                    calls.push(self.call(effect, Asked::Load(answer)));
                }
                Output::Mark { connection_id, mark } => {
                    self.push(connection_id, Delivery::Mark(mark));
                }
                Output::Record { effect, record } => {
                    let answer = around.store.record(self.hub.scope(), record);
                    calls.push(self.call(effect, Asked::Record(answer)));
                }
                Output::Retire => return Settled::Retired,
                Output::StartRun { assignment, fence, scope } => {
                    // Without an inbox the process is ending; the run is continued by the next one.
                    if let Some(answers) = answers.upgrade() {
                        let run_id = assignment.run_id;
                        let sink = RunSink::new(answers, scope.clone(), run_id, fence);
                        let run = around.runs.start(scope, assignment, sink);
                        if let Some((_, older)) = self.runs.insert(run_id, (fence, run)) {
                            older.kill();
                        }
                    }
                }
            }
        }
    }

    /// A connection of this user is told how long to wait; its command was not handled.
    pub(super) fn too_fast(
        &self,
        connection_id: ConnectionId,
        reply: &Reply,
        retry_after: Millis,
        limits: &Limits,
    ) {
        let Some(outbox) = self.connections.get(&connection_id) else { return };
        let mut error = ErrorFrame::new(ErrorCode::RateLimited, "too many messages of this user");
        error.retry_after = Some(retry_after);
        let limit = ServerFrame::RateLimit { retry_after };
        let frames: Arc<[Frame]> = Arc::from([
            ServerFrame::Error(error).encode(reply, Announced { limits }),
            limit.encode(&Reply::None, Announced { limits }),
        ]);
        let weight = weight_of(&frames);
        let _ = outbox.push(Delivery::Frames(frames), weight);
    }

    /// Ends everything of a user whose hub failed: connections hear 1011, runs are dropped.
    pub(super) fn abandon(&mut self) {
        for outbox in self.connections.values() {
            let _ = outbox.push_urgent(Delivery::Close(CloseCode::Internal));
        }
        self.kill_runs();
    }

    pub(super) fn kill_runs(&mut self) {
        for (_, run) in self.runs.values() {
            run.kill();
        }
    }

    fn push(&self, connection_id: ConnectionId, delivery: Delivery) {
        if let Some(outbox) = self.connections.get(&connection_id) {
            let _ = outbox.push(delivery, Weight::default());
        }
    }

    fn call(&self, effect: goldenpath_core::id::EffectId, answer: Asked) -> Call {
        let user = self.hub.scope().clone();
        Call { user, generation: self.generation, effect, answer }
    }
}
