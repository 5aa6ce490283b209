//! The durable events: what a thread's log consists of.

use super::{ErrorCode, Json};
use crate::id::{AgentRunId, ClientMsgId, MessageId, Name, RunId, ToolCallId};
use crate::time::Wall;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// How a run came to its end (exactly one per run, RUN-06).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Waiting for its turn.
    Queued,
    /// At work.
    Running,
    /// Ended well.
    Completed,
    /// Ended with an answer although a step failed.
    Degraded,
    /// Ended without an answer.
    Failed,
    /// Ended by its time limit, with what it had.
    TimedOut,
    /// Ended by its user.
    Cancelled,
    /// Ended by a crash it could not be continued from.
    Interrupted,
}

impl RunStatus {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The word on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// How an agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    /// With its result.
    Completed,
    /// With an error.
    Failed,
    /// By its time limit.
    TimedOut,
    /// By a cancel of the run.
    Cancelled,
    /// Not run, because what it needs was missing.
    Skipped,
    /// With a result, although a part of its work failed.
    Degraded,
}

/// How a tool call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolStatus {
    /// With its result.
    Completed,
    /// With an error.
    Failed,
    /// By its time limit.
    TimedOut,
    /// By a cancel of the run.
    Cancelled,
    /// Its agent ended, or its node died, before the outcome was known.
    Abandoned,
}

/// An error inside an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ErrorInfo {
    /// The word both sides know.
    pub code: ErrorCode,
    /// Plain English; no secret, nothing of another user.
    pub message: String,
    /// Whether trying again can help.
    pub retryable: bool,
}

impl ErrorInfo {
    /// An error with the code's own verdict on retrying.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retryable: code.is_retryable() }
    }
}

/// Tokens and money an agent or a run used up with language models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read by models.
    pub input_tokens: u64,
    /// Tokens written by models.
    pub output_tokens: u64,
    /// Millionths of a US dollar.
    pub cost_micro_usd: u64,
}

/// Tools an agent called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ToolCount {
    /// Calls.
    pub total: u32,
    /// Calls that did not complete.
    pub failed: u32,
}

/// How sure an agent is of how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all.
    pub total: u64,
}

/// What an `agent_thinking` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThoughtKind {
    /// What it is doing, with real figures.
    #[default]
    Status,
    /// A model's own reasoning.
    Reasoning,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlanStep {
    /// Who does it.
    pub agent: Name,
    /// What for, in a few words.
    pub title: String,
}

/// What to do when a message meets a running run in its thread (double-texting).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MultitaskStrategy {
    /// Wait for its turn.
    #[default]
    Enqueue,
    /// Refuse with `thread_busy`.
    Reject,
    /// Cancel what runs and go next.
    Interrupt,
}

/// What the loss of the last client means for a run (RUN-12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// Nothing.
    #[default]
    Continue,
    /// The run is cancelled.
    Cancel,
}

/// A durable event: `type` and `payload` of a log entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
pub enum Event {
    /// The first entry of every log.
    ThreadCreated {
        /// Shown in lists.
        title: String,
    },
    /// The thread's title changed.
    ThreadUpdated {
        /// The new one.
        title: String,
    },
    /// A user said something.
    UserMessage {
        /// Its id.
        message_id: MessageId,
        /// The client's own name for it.
        client_msg_id: ClientMsgId,
        /// What was said.
        content: String,
        /// The client's own, handed back as it came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<Json>,
    },
    /// A run was accepted for that message and waits.
    RunQueued {
        /// The message it answers.
        message_id: MessageId,
        /// 0 = next.
        position: u32,
        /// What the loss of the client means.
        #[serde(default)]
        on_disconnect: OnDisconnect,
    },
    /// The run is at work.
    RunStarted {
        /// Grows with every claim after a crash; 1 at first.
        attempt: u32,
        /// When it ends at the latest.
        deadline_at: Wall,
    },
    /// What the supervisor will do; sent again when it changes.
    RunPlan {
        /// The route triage chose, `full`, `partial`, `guidance`, `capabilities`, `fallback`.
        route: String,
        /// In order.
        steps: Vec<PlanStep>,
    },
    /// Critical event 1: an agent begins.
    AgentStarted {
        /// For people.
        title: String,
        /// What it is asked to do.
        task: String,
        /// 1-based place in the plan; 0 for the supervisor.
        step: u32,
        /// Steps in the plan as known now.
        of: u32,
        /// When it ends at the latest.
        deadline_at: Wall,
    },
    /// Critical event 2: what it is doing.
    AgentThinking {
        /// Joins pieces of one thought; unique within the agent.
        thought_id: u32,
        /// In words.
        text: String,
        /// What kind of text.
        #[serde(default)]
        kind: ThoughtKind,
        /// How far it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<Progress>,
    },
    /// Critical event 3: a tool is called.
    ToolExecuting {
        /// Unique.
        tool_call_id: ToolCallId,
        /// Its name.
        tool: Name,
        /// For people.
        title: String,
        /// What it is called with.
        args: Json,
        /// Whether `args` was cut.
        #[serde(default)]
        args_truncated: bool,
        /// When it ends at the latest.
        deadline_at: Wall,
    },
    /// Critical event 4: the tool is done.
    ToolCompleted {
        /// The call it closes.
        tool_call_id: ToolCallId,
        /// Its name.
        tool: Name,
        /// How it ended.
        status: ToolStatus,
        /// How long it took, all attempts together.
        duration_ms: u64,
        /// What it returned, or the preview of it.
        result: Json,
        /// Where the whole result is, when it is too large for an event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result_ref: Option<String>,
        /// Whether `result` is a preview.
        #[serde(default)]
        truncated: bool,
        /// Why it did not complete.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<ErrorInfo>,
        /// The try that ended it, from 1.
        attempt: u32,
    },
    /// Critical event 5: the agent is done.
    AgentCompleted {
        /// How it ended.
        status: AgentStatus,
        /// How long it worked.
        duration_ms: u64,
        /// What came out, in a sentence.
        summary: String,
        /// What it hands to the next; kept so that a recovered run need not ask again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Json>,
        /// Why it did not complete.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<ErrorInfo>,
        /// What it used up.
        #[serde(default)]
        usage: Usage,
        /// What it called.
        #[serde(default)]
        tools: ToolCount,
    },
    /// An agent asks a person.
    ApprovalRequested {
        /// The question's name in the answer.
        request_id: String,
        /// The question.
        title: String,
        /// What is to be approved.
        details: Json,
    },
    /// The answer, stored before it is sent.
    AssistantMessage {
        /// Its id.
        message_id: MessageId,
        /// Markdown.
        content: String,
        /// Whether it is what there was when the run was cut short.
        #[serde(default)]
        partial: bool,
    },
    /// Terminal: done. `status` tells `completed` from `degraded`.
    RunCompleted {
        /// `completed` or `degraded`.
        status: RunStatus,
        /// From start to end.
        duration_ms: u64,
        /// All agents together.
        #[serde(default)]
        usage: Usage,
    },
    /// Terminal: failed.
    RunFailed {
        /// Why.
        error: ErrorInfo,
        /// For the person in front of the screen.
        user_message: String,
        /// From start to end.
        duration_ms: u64,
    },
    /// Terminal: out of time.
    RunTimedOut {
        /// Which agent was at work.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<Name>,
        /// From start to end.
        duration_ms: u64,
        /// Whether a partial answer was stored.
        partial: bool,
    },
    /// Terminal: cancelled.
    RunCancelled {
        /// `user`, `interrupt`, `disconnect`.
        reason: String,
        /// From start to end.
        duration_ms: u64,
    },
    /// Terminal: cut off by a crash and not to be continued.
    RunInterrupted {
        /// Why it could not be continued.
        reason: String,
        /// Whether asking again is offered.
        retryable: bool,
    },
}

impl Event {
    /// The status a terminal event gives its run; `None` for all others.
    #[must_use]
    pub const fn terminal_status(&self) -> Option<RunStatus> {
        match self {
            Self::RunCompleted { status, .. } => Some(*status),
            Self::RunFailed { .. } => Some(RunStatus::Failed),
            Self::RunTimedOut { .. } => Some(RunStatus::TimedOut),
            Self::RunCancelled { .. } => Some(RunStatus::Cancelled),
            Self::RunInterrupted { .. } => Some(RunStatus::Interrupted),
            Self::ThreadCreated { .. }
            | Self::ThreadUpdated { .. }
            | Self::UserMessage { .. }
            | Self::RunQueued { .. }
            | Self::RunStarted { .. }
            | Self::RunPlan { .. }
            | Self::AgentStarted { .. }
            | Self::AgentThinking { .. }
            | Self::ToolExecuting { .. }
            | Self::ToolCompleted { .. }
            | Self::AgentCompleted { .. }
            | Self::ApprovalRequested { .. }
            | Self::AssistantMessage { .. } => None,
        }
    }

    /// The word in `type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::ThreadCreated { .. } => "thread_created",
            Self::ThreadUpdated { .. } => "thread_updated",
            Self::UserMessage { .. } => "user_message",
            Self::RunQueued { .. } => "run_queued",
            Self::RunStarted { .. } => "run_started",
            Self::RunPlan { .. } => "run_plan",
            Self::AgentStarted { .. } => "agent_started",
            Self::AgentThinking { .. } => "agent_thinking",
            Self::ToolExecuting { .. } => "tool_executing",
            Self::ToolCompleted { .. } => "tool_completed",
            Self::AgentCompleted { .. } => "agent_completed",
            Self::ApprovalRequested { .. } => "approval_requested",
            Self::AssistantMessage { .. } => "assistant_message",
            Self::RunCompleted { .. } => "run_completed",
            Self::RunFailed { .. } => "run_failed",
            Self::RunTimedOut { .. } => "run_timed_out",
            Self::RunCancelled { .. } => "run_cancelled",
            Self::RunInterrupted { .. } => "run_interrupted",
        }
    }

    /// Whether a `summary` subscription carries events of this `type`: conversation and run ends, not
    /// the agents' work.
    #[must_use]
    pub fn name_in_summary(type_name: &str) -> bool {
        !matches!(
            type_name,
            "run_plan"
                | "agent_started"
                | "agent_thinking"
                | "tool_executing"
                | "tool_completed"
                | "agent_completed"
        )
    }
}

/// Which agent of a run an event belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AgentRef {
    /// Its name.
    pub name: Name,
    /// This run of it.
    pub agent_run_id: AgentRunId,
    /// Who asked it; absent for the supervisor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<AgentRunId>,
    /// From 1.
    pub attempt: u32,
}

/// Where in a run an event belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunScope {
    /// The run.
    pub run_id: RunId,
    /// The agent; absent for events of the run as a whole.
    pub agent: Option<AgentRef>,
}
