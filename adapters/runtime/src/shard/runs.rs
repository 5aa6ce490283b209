//! Between a shard and the tasks of its runs.

use super::Message;
use goldenpath_core::hub::Input;
use goldenpath_core::id::{Fence, RunId, UserId};
use goldenpath_core::run::{Assignment, CancelReason};
use goldenpath_core::wire::{Draft, Frame};
use tokio::sync::mpsc;

/// Starts the tasks of runs.
pub trait Runs: Send + Sync + 'static {
    /// Starts one. What it has to say goes to `sink`; when its task ends, however it ends, dropping
    /// the sink tells the shard.
    fn start(&self, user_id: UserId, assignment: Assignment, sink: RunSink) -> Box<dyn RunControl>;
}

/// The shard's hand on a run's task.
pub trait RunControl: Send {
    /// Asks it to end.
    fn cancel(&self, reason: CancelReason);

    /// Ends it at once; nothing it says afterwards matters.
    fn kill(&self);
}

/// The way from a run's task to its hub.
#[derive(Debug)]
pub struct RunSink {
    answers: mpsc::UnboundedSender<Message>,
    run: Option<(UserId, RunId, Fence)>,
}

impl RunSink {
    pub(super) const fn new(answers: mpsc::UnboundedSender<Message>) -> Self {
        Self { answers, run: None }
    }

    pub(super) fn of(&self, user_id: UserId, run_id: RunId, fence: Fence) -> Self {
        Self { answers: self.answers.clone(), run: Some((user_id, run_id, fence)) }
    }

    /// Appends to the run's thread, in order.
    pub fn append(&self, drafts: Vec<Draft>) {
        self.tell(|run_id, fence| Input::Append { run_id, fence, drafts });
    }

    /// Shows something that is not kept.
    pub fn transient(&self, frame: Frame) {
        self.tell(|run_id, _| Input::Transient { run_id, frame });
    }

    fn tell(&self, input: impl FnOnce(RunId, Fence) -> Input) {
        if let Some((user_id, run_id, fence)) = &self.run {
            let message = Message::Hub { user_id: user_id.clone(), input: input(*run_id, *fence) };
            // The shard is gone only when the process ends.
            let _ = self.answers.send(message);
        }
    }
}

impl Drop for RunSink {
    /// The task has ended, or panicked: the hub finds out whether its run had come to its end (F24).
    fn drop(&mut self) {
        self.tell(|run_id, fence| Input::RunStopped { run_id, fence });
    }
}
