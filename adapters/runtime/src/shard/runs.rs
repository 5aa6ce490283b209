//! Between a shard and the tasks of its runs.

use super::ToShard;
use goldenpath_core::auth::Scope;
use goldenpath_core::hub::Input;
use goldenpath_core::id::{Fence, RunId, ToolCallId};
use goldenpath_core::run::{Assignment, CancelReason};
use goldenpath_core::wire::{Draft, Frame};
use tokio::sync::mpsc;

/// Starts the tasks of runs.
pub trait Runs: Send + Sync + 'static {
    /// Starts one. What it has to say goes to `sink`; when its task ends, however it ends, dropping
    /// the sink tells the hub.
    fn start(&self, user: Scope, assignment: Assignment, sink: RunSink) -> Box<dyn RunControl>;
}

/// The shard's hand on a run's task.
pub trait RunControl: Send {
    /// Asks it to end with its terminal event.
    fn cancel(&self, reason: CancelReason);

    /// What it had appended before it asked ([`RunSink::confirm`]) is durable.
    fn confirmed(&self, tool_call_id: ToolCallId);

    /// Ends it at once; nothing it says afterwards matters.
    fn kill(&self);
}

/// The way from a run's task to its hub. It never waits: what a run may say is bounded by
/// `Limits::effects_per_run`, the runs by `Limits::running_runs_per_user`.
#[derive(Debug)]
pub struct RunSink {
    answers: mpsc::UnboundedSender<ToShard>,
    user: Scope,
    run_id: RunId,
    fence: Fence,
}

impl RunSink {
    pub(super) const fn new(
        answers: mpsc::UnboundedSender<ToShard>,
        user: Scope,
        run_id: RunId,
        fence: Fence,
    ) -> Self {
        Self { answers, user, run_id, fence }
    }

    /// Appends to the run's thread, in order. Its last draft may be its terminal event.
    pub fn append(&self, drafts: Vec<Draft>) {
        self.tell(Input::Append { run_id: self.run_id, fence: self.fence, drafts });
    }

    /// Asks to hear when what it has appended so far is durable ([`RunControl::confirmed`]).
    pub fn confirm(&self, tool_call_id: ToolCallId) {
        let (run_id, fence) = (self.run_id, self.fence);
        self.tell(Input::Confirm { run_id, fence, tool_call_id });
    }

    /// Shows something that is not kept.
    pub fn transient(&self, frame: Frame) {
        self.tell(Input::Transient { run_id: self.run_id, frame });
    }

    fn tell(&self, input: Input) {
        // A shard ends with the process only; then nobody is left to be told.
        let _ = self.answers.send(ToShard::Input { user: self.user.clone(), input });
    }
}

impl Drop for RunSink {
    /// The task has ended, or panicked: the hub finds out whether its run had come to its end (F24).
    fn drop(&mut self) {
        self.tell(Input::RunStopped { run_id: self.run_id, fence: self.fence });
    }
}
