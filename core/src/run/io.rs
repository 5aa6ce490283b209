//! What a run hears and says.

use crate::id::{AgentRunId, Epoch, MessageId, Name, RunId, Seq, ThreadId, ToolCallId};
use crate::time::{Millis, Mono, Wall};
use crate::wire::{
    AgentRef, Draft, Entry, ErrorInfo, Json, Progress, RunStatus, ThoughtKind, Usage,
};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What a run is told when it is made; the same after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Assignment {
    /// The run.
    pub run_id: RunId,
    /// Its thread.
    pub thread_id: ThreadId,
    /// The log's epoch.
    pub epoch: Epoch,
    /// The message it answers.
    pub message_id: MessageId,
    /// Where that message is in the log.
    pub message_seq: Seq,
    /// What was asked.
    pub question: String,
    /// From 1; grows with every claim after a crash.
    pub attempt: u32,
    /// When its first attempt started; agents see no other clock than this and what follows from the log.
    pub started_at: Wall,
    /// Entries this run already has in the log, in order; empty for a fresh one.
    pub history: Vec<Entry>,
}

/// From outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// An agent's code asks for something, or ends.
    Agent {
        /// Which agent.
        agent_run_id: AgentRunId,
        /// What it says.
        says: AgentSays,
    },
    /// Stop.
    Cancel(CancelReason),
    /// The answer to [`Output::Confirm`].
    Durable {
        /// Which call.
        tool_call_id: ToolCallId,
    },
    /// A tool ended, or the stored result of one was read.
    ToolDone {
        /// Which call.
        tool_call_id: ToolCallId,
        /// The try it belongs to; an answer of an earlier one is ignored (RUN-07).
        attempt: u32,
        /// How it ended.
        outcome: ToolOutcome,
    },
    /// A tool reports how far it is.
    ToolProgress {
        /// Which call.
        tool_call_id: ToolCallId,
        /// How far.
        progress: Progress,
        /// In words.
        text: String,
    },
}

/// Why a run is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CancelReason {
    /// Its last client left, and the message asked for that.
    Disconnect,
    /// A newer message interrupts it.
    Interrupt,
    /// Its user pressed stop.
    User,
}

/// What an agent's code says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AgentSays {
    /// It ended with an error, or panicked.
    Failed(ErrorInfo),
    /// It is done.
    Finished(Finish),
    /// Its `n`-th effect, from 0 in the order its code asks.
    Request {
        /// Names the effect, the same on every replay.
        n: u32,
        /// What it asks for.
        request: Request,
    },
}

/// An effect an agent asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Have another agent do something.
    Delegate {
        /// Who.
        agent: Name,
        /// For people.
        title: String,
        /// What; text and JSON.
        task: Task,
    },
    /// Tell what it is doing; answered at once.
    Think {
        /// In words, with real figures.
        text: String,
        /// What kind of text.
        kind: ThoughtKind,
        /// How far it is.
        progress: Option<Progress>,
    },
    /// Call a tool.
    Tool {
        /// Its name.
        tool: Name,
        /// For people.
        title: String,
        /// What it is called with.
        args: Json,
        /// How it may be called.
        policy: ToolPolicy,
    },
}

/// What an agent is asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Task {
    /// The user's question, or the delegating agent's words.
    pub text: String,
    /// Outputs of the steps before it, by agent, as one JSON object; the key `missing` lists the agents
    /// that have none, each with its status and error.
    pub inputs: Json,
}

/// How a tool may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ToolPolicy {
    /// Longest call, all attempts together; at most `Limits::tool_timeout`.
    pub timeout: Millis,
    /// Tries when the failure is transient; at most `Limits::tool_attempts`, and one if it is not
    /// repeatable.
    pub attempts: u32,
    /// Whether calling it again does no harm. If not, it is called once, after its `tool_executing` is
    /// durable (RUN-35), and a call that a crash cut off ends `abandoned` (RUN-22).
    pub repeatable: bool,
}

/// How a tool ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ToolOutcome {
    /// With an error.
    Failed {
        /// What went wrong.
        error: ErrorInfo,
        /// Whether another try may help.
        transient: bool,
        /// Not before this (Retry-After).
        retry_after: Option<Millis>,
    },
    /// With a result.
    Returned(ToolResult),
}

/// What a tool returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ToolResult {
    /// All of it.
    pub value: Json,
    /// For a result over `Limits::inline_result_bytes`: where the caller of the tool has stored it,
    /// and the preview that the event carries instead.
    pub stored: Option<StoredResult>,
}

/// A result that travels by reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredResult {
    /// The artifact's URL path.
    pub reference: String,
    /// What the event carries.
    pub preview: Json,
}

/// How an agent is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Finish {
    /// In a sentence.
    pub summary: String,
    /// For the agents after it.
    pub output: Json,
    /// From triage: how to go on.
    pub route: Option<Route>,
    /// From the report agent: the answer, Markdown.
    pub answer: Option<String>,
    /// A part of its work failed.
    pub degraded: bool,
    /// What it used up.
    pub usage: Usage,
}

impl Finish {
    /// Done, with an output for the agents after it.
    ///
    /// # Errors
    /// When the output cannot be JSON.
    pub fn with<T: Serialize>(
        output: &T,
        summary: impl Into<String>,
    ) -> Result<Self, serde_json::Error> {
        let (output, summary) = (Json::encode(output)?, summary.into());
        Ok(Self { summary, output, ..Self::default() })
    }
}

/// The ways a run can take; triage chooses, the plan follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// The question is none we can work on: an honest list of what we can do.
    Capabilities,
    /// Triage failed.
    Fallback,
    /// All data at hand.
    Full,
    /// No data: what to load and how.
    Guidance,
    /// Some data.
    Partial,
}

/// What an agent's code is answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// What the other agent made of it.
    Delegated(Result<Finish, ErrorInfo>),
    /// The thought is recorded.
    Thought,
    /// What the tool made of it.
    Tool(Result<Json, ErrorInfo>),
}

/// To the outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Stop a tool call; its answer no longer matters.
    AbortTool {
        /// Which call.
        tool_call_id: ToolCallId,
    },
    /// Give an agent's code its answer and let it go on.
    Answer {
        /// Which agent.
        agent_run_id: AgentRunId,
        /// To its `n`-th effect.
        n: u32,
        /// The answer.
        answer: Answer,
    },
    /// Append to the log.
    Append(Draft),
    /// Call a tool.
    CallTool {
        /// The call.
        tool_call_id: ToolCallId,
        /// Who calls.
        agent: AgentRef,
        /// Its name.
        tool: Name,
        /// With what.
        args: Json,
        /// Which try, from 1.
        attempt: u32,
    },
    /// Say when everything appended so far is durable; the answer is `Durable`, and the call is made
    /// only then (RUN-35).
    Confirm {
        /// Which call.
        tool_call_id: ToolCallId,
    },
    /// The run is over; its terminal event has been appended; nothing follows.
    Ended(RunStatus),
    /// Nothing more for now; call `handle_timeout` at the deadline, if there is one.
    Idle(Option<Mono>),
    /// Read a stored tool result; the answer is `ToolDone` with the attempt given here.
    LoadResult {
        /// The call it belongs to.
        tool_call_id: ToolCallId,
        /// Where it is.
        reference: String,
        /// The try to answer with.
        attempt: u32,
    },
    /// Transient: how far a tool is.
    Progress {
        /// Which call.
        tool_call_id: ToolCallId,
        /// How far.
        progress: Progress,
        /// In words.
        text: String,
    },
    /// Start an agent's code.
    StartAgent {
        /// Which agent.
        agent: AgentRef,
        /// What it is asked.
        task: Task,
    },
    /// Drop an agent's code.
    StopAgent {
        /// Which agent.
        agent_run_id: AgentRunId,
    },
}
