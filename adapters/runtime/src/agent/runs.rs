//! The team as the shards see it: something that starts runs.

use super::task::{Around, Log, RunTask};
use super::team::Team;
use crate::clock::Clock;
use crate::ports::Artifacts;
use crate::shard::{RunControl, RunSink, Runs};
use goldenpath_core::auth::Scope;
use goldenpath_core::id::ToolCallId;
use goldenpath_core::limits::Limits;
use goldenpath_core::run::{Assignment, CancelReason, Input};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Runs a team's agents, one task per run, on the runtime it is called from.
#[derive(Clone)]
pub struct AgentRuns(Around);

impl AgentRuns {
    /// A team with what its runs need.
    #[must_use]
    pub fn new(
        team: Arc<Team>,
        limits: Arc<Limits>,
        clock: Clock,
        artifacts: Arc<dyn Artifacts>,
    ) -> Self {
        Self(Around { artifacts, clock, limits, team })
    }

    /// Starts a run that writes to `log`; the log is dropped when the task has ended, however it ended.
    /// Dropping the control lets the run go on.
    pub fn start_with(
        &self,
        user: Scope,
        assignment: Assignment,
        log: impl Log,
    ) -> Box<dyn RunControl> {
        let (told, control) = mpsc::unbounded_channel();
        // The machine is made inside the task: a panic there must not reach the shard (F24).
        let around = self.0.clone();
        let task = tokio::spawn(async move {
            RunTask::new(around, user, assignment, log).work(control).await;
        });
        Box::new(Control { told, task: task.abort_handle() })
    }
}

impl Runs for AgentRuns {
    fn start(&self, user: Scope, assignment: Assignment, sink: RunSink) -> Box<dyn RunControl> {
        self.start_with(user, assignment, sink)
    }
}

struct Control {
    told: mpsc::UnboundedSender<Input>,
    task: AbortHandle,
}

impl RunControl for Control {
    fn cancel(&self, reason: CancelReason) {
        // A run that has ended needs no cancel.
        let _ = self.told.send(Input::Cancel(reason));
    }

    fn confirmed(&self, tool_call_id: ToolCallId) {
        let _ = self.told.send(Input::Durable { tool_call_id });
    }

    fn kill(&self) {
        self.task.abort();
    }
}
