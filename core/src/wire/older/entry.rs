//! The image of a log entry: one frame with the entry's place. A run's terminal entry is the older
//! client's `agent_completed`; when the run failed, an `agent_error` without a place comes before it.

use super::super::{AgentStatus, Entry, ErrorCode, ErrorInfo, Event, Frame, RunStatus, ToolStatus};
use super::flat::Flat;
use crate::id::Name;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Who stands for a run as a whole, when its supervisor was not heard.
const SUPERVISOR: &str = "supervisor";

/// What an image says that its entry does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About<'a> {
    /// Whose log it is.
    pub user_id: &'a str,
    /// The client's own name for the run.
    pub run_name: Option<&'a str>,
    /// The agent that leads the run.
    pub supervisor: Option<&'a Name>,
    /// What the run has answered, as far as it was heard.
    pub answer: Option<&'a str>,
}

/// What an older client hears of an entry, in order.
//= specs/wire.md#wire-54
//# Every durable event MUST have exactly one image in the older dialect, flat, with its fields
//# repeated under `payload` and `data`.
#[must_use]
pub fn of_entry(entry: &Entry, about: &About<'_>) -> Vec<Frame> {
    match Ending::of(&entry.event) {
        Some(ending) => ending.images(entry, about),
        None => vec![placed(entry, about, image(entry, about)).encode()],
    }
}

/// Where and when it was, and whose it is.
fn placed(entry: &Entry, about: &About<'_>, image: Flat) -> Flat {
    let image = image
        .with("id", &entry.id)
        .with("seq", &entry.seq)
        .with("epoch", &entry.epoch)
        .maybe("replay", entry.replay.then_some(true))
        .maybe("synthesized", entry.synthesized.then_some(true));
    described(entry, about, image)
}

fn described(entry: &Entry, about: &About<'_>, image: Flat) -> Flat {
    let agent = entry.agent.as_ref();
    let lead = entry.run_id.map(|_| about.supervisor.map_or(SUPERVISOR, Name::as_str));
    let name = agent.map(|agent| agent.name.as_str()).or(lead);
    let image = image.with("thread_id", &entry.thread_id).with("user_id", about.user_id);
    let image = match (entry.run_id, about.run_name) {
        (Some(run_id), Some(named)) => image.with("run_id", named).with("server_run_id", &run_id),
        (Some(run_id), None) => image.with("run_id", &run_id),
        (None, _) => image,
    };
    image
        .maybe("agent_name", name)
        .maybe("agent", name)
        .maybe("agent_id", agent.map(|agent| agent.agent_run_id))
        .maybe("parent_agent_id", agent.and_then(|agent| agent.parent))
}

/// The fields of what happened.
fn image(entry: &Entry, about: &About<'_>) -> Flat {
    let of = |kind| Flat::new(kind, entry.ts);
    match &entry.event {
        Event::ThreadCreated { title } => of("thread_created").with("title", title),
        Event::ThreadUpdated { title } => of("thread_updated").with("title", title),
        Event::UserMessage { message_id, client_msg_id, content, metadata } => of("user_message")
            .with("message_id", message_id)
            .with("client_msg_id", client_msg_id)
            .with("content", content)
            .maybe("metadata", metadata.as_ref()),
        Event::RunQueued { message_id, position, on_disconnect: _ } => of("run_queued")
            .with("message_id", message_id)
            .named(&["position", "queue_position"], position),
        Event::RunStarted { attempt, deadline_at } => {
            of("run_started").with("attempt", attempt).with("deadline_at", deadline_at)
        }
        Event::RunPlan { route, steps } => {
            of("run_plan").with("route", route).named(&["steps", "plan"], steps)
        }
        Event::ApprovalRequested { request_id, title, details } => of("approval_requested")
            .with("request_id", request_id)
            .named(&["title", "message"], title)
            .with("details", details),
        Event::AssistantMessage { message_id, content, partial } => of("assistant_message")
            .with("message_id", message_id)
            .with("content", content)
            .with("partial", partial),
        Event::AgentStarted { .. }
        | Event::AgentThinking { .. }
        | Event::ToolExecuting { .. }
        | Event::ToolCompleted { .. }
        | Event::AgentCompleted { .. } => of_agent(entry),
        // The callers ask for these elsewhere; said again here they would still be one image.
        Event::RunCompleted { .. }
        | Event::RunFailed { .. }
        | Event::RunTimedOut { .. }
        | Event::RunCancelled { .. }
        | Event::RunInterrupted { .. } => {
            of("agent_completed").with("response", about.answer.unwrap_or_default())
        }
    }
}

fn of_agent(entry: &Entry) -> Flat {
    let of = |kind| Flat::new(kind, entry.ts);
    if let Event::AgentStarted { title, task, step, of: all, deadline_at } = &entry.event {
        of("agent_started")
            .with("title", title)
            .named(&["task", "message"], task)
            .with("step", step)
            .named(&["of", "total_steps"], all)
            .with("deadline_at", deadline_at)
            .with("status", "started")
    } else if let Event::AgentThinking { thought_id, text, kind, progress } = &entry.event {
        of("agent_thinking")
            .named(&["reasoning", "thought", "text"], text)
            .with("thought_id", thought_id)
            .with("kind", kind)
            .maybe("progress", progress.as_ref())
    } else if let Event::ToolExecuting {
        tool_call_id,
        tool,
        title,
        args,
        args_truncated,
        deadline_at,
    } = &entry.event
    {
        of("tool_executing")
            .named(&["tool_name", "tool"], tool)
            .named(&["parameters", "input"], args)
            .with("parameters_truncated", args_truncated)
            .with("tool_call_id", tool_call_id)
            .with("title", title)
            .with("deadline_at", deadline_at)
            .with("status", "executing")
    } else if let Event::ToolCompleted {
        tool_call_id,
        tool,
        status,
        duration_ms,
        result,
        result_ref,
        truncated,
        error,
        attempt,
    } = &entry.event
    {
        of("tool_completed")
            .named(&["tool_name", "tool"], tool)
            .with("tool_call_id", tool_call_id)
            .named(&["result", "results", "output"], result)
            .named(&["execution_time_ms", "duration_ms"], duration_ms)
            .with("status", status)
            .with("success", &matches!(status, ToolStatus::Completed))
            .with("truncated", truncated)
            .maybe("result_ref", result_ref.as_ref())
            .maybe("error", error.as_ref())
            .with("attempt", attempt)
    } else if let Event::AgentCompleted {
        status,
        duration_ms,
        summary,
        output,
        error,
        usage,
        tools,
    } = &entry.event
    {
        // Its run goes on to store the answer; only the end of the run ends an older client's wait.
        let leads = entry.agent.as_ref().is_none_or(|agent| agent.parent.is_none());
        of(if leads { "supervisor_completed" } else { "subagent_completed" })
            .with("status", status)
            .with("success", &matches!(status, AgentStatus::Completed | AgentStatus::Degraded))
            .named(&["execution_time_ms", "duration_ms"], duration_ms)
            .named(&["summary", "result", "response"], summary)
            .maybe("output", output.as_ref())
            .maybe("error", error.as_ref())
            .with("usage", usage)
            .with("tools", tools)
    } else {
        of(entry.event.type_name())
    }
}

/// How a run ended, in the words of the older dialect.
struct Ending<'a> {
    /// `completed`, `failed` or `cancelled`.
    status: &'static str,
    run_status: RunStatus,
    duration_ms: Option<u64>,
    error: Option<ErrorInfo>,
    /// What is said when nothing was answered.
    words: &'a str,
}

impl<'a> Ending<'a> {
    fn of(event: &'a Event) -> Option<Self> {
        let run_status = event.terminal_status()?;
        let failed = |code: ErrorCode, message: &str| Some(ErrorInfo::new(code, message));
        let (status, duration_ms, error, words) =
            if let Event::RunCompleted { duration_ms, .. } = event {
                ("completed", Some(*duration_ms), None, "")
            } else if let Event::RunFailed { error, user_message, duration_ms } = event {
                ("failed", Some(*duration_ms), Some(error.clone()), user_message.as_str())
            } else if let Event::RunTimedOut { duration_ms, .. } = event {
                let code = ErrorCode::RunTimeout;
                let error = failed(code, "the run was out of time");
                ("failed", Some(*duration_ms), error, code.user_message())
            } else if let Event::RunCancelled { duration_ms, .. } = event {
                ("cancelled", Some(*duration_ms), None, "")
            } else if let Event::RunInterrupted { reason, .. } = event {
                let code = ErrorCode::AgentFailed;
                ("failed", None, failed(code, reason), code.user_message())
            } else {
                return None;
            };
        Some(Self { status, run_status, duration_ms, error, words })
    }

    //= specs/wire.md#wire-56
    //# A run that failed MUST be told as `agent_error`, then as its one `agent_completed` with
    //# `status` `failed`.
    fn images(&self, entry: &Entry, about: &About<'_>) -> Vec<Frame> {
        let mut images = Vec::with_capacity(2);
        if let Some(error) = &self.error {
            let said = Flat::new("agent_error", entry.ts)
                .named(&["error_code", "code"], &error.code)
                .named(&["error_message", "message", "error"], &error.message)
                .with("user_message", self.words)
                .named(&["recoverable", "retryable"], &error.retryable)
                .with("status", "failed")
                .maybe("replay", entry.replay.then_some(true));
            images.push(described(entry, about, said).encode());
        }
        images.push(self.completed(entry, about).encode());
        images
    }

    //= specs/wire.md#wire-55
    //# A run MUST be told to have ended by exactly one `agent_completed`, its last frame, with the
    //# final answer; agents below the supervisor end with `subagent_completed`.
    fn completed(&self, entry: &Entry, about: &About<'_>) -> Flat {
        let answer = about.answer.filter(|answer| !answer.is_empty()).unwrap_or(self.words);
        let usage = match &entry.event {
            Event::RunCompleted { usage, .. } => Some(usage),
            _ => None,
        };
        let said = Flat::new("agent_completed", entry.ts)
            .with("status", self.status)
            .with("run_status", &self.run_status)
            .with("success", &(self.status == "completed"))
            .named(&["result", "final_response", "response"], answer)
            .maybe("duration_ms", self.duration_ms)
            .maybe("execution_time_ms", self.duration_ms)
            .maybe("usage", usage)
            .maybe("error", self.error.as_ref().map(|error| error.message.as_str()))
            .maybe("error_code", self.error.as_ref().map(|error| error.code));
        placed(entry, about, said)
    }
}

/// The name a client gave to a run, kept in the metadata of its message so that every later reader
/// finds it in the log.
pub(super) const RUN_NAME: &str = "client_run_id";

/// The client's own name for a run, where the entry says it.
#[must_use]
pub fn run_name(event: &Event) -> Option<String> {
    let Event::UserMessage { metadata: Some(metadata), .. } = event else { return None };
    let fields: alloc::collections::BTreeMap<String, &serde_json::value::RawValue> =
        metadata.decode().ok()?;
    serde_json::from_str(fields.get(RUN_NAME)?.get()).ok()
}
