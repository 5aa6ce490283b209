//! Tool calls: made once, tried again when that can help, ended in time.

use super::{Answer, Output, Run, ToolOutcome, ToolPolicy, ToolResult, agents::Reply};
use crate::id::{AgentRunId, Name, ToolCallId};
use crate::time::{Millis, Mono, Now};
use crate::wire::{ErrorCode, ErrorInfo, Event, Json, Progress, ToolStatus};
use alloc::format;
use alloc::string::String;

/// Longest first wait before another try; doubles with each.
const RETRY_MIN: Millis = Millis(100);
/// Longest wait before another try, unless the other side asks for more.
const RETRY_MAX: Millis = Millis(5_000);

impl Default for ToolPolicy {
    /// A read-only tool: as long and as often as the limits allow, again after a crash.
    fn default() -> Self {
        Self { timeout: Millis(u64::MAX), attempts: u32::MAX, repeatable: true }
    }
}

/// What an agent asks a tool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Call {
    pub(super) agent_run_id: AgentRunId,
    /// The effect it is.
    pub(super) n: u32,
    pub(super) tool: Name,
    pub(super) args: Json,
    pub(super) policy: ToolPolicy,
}

/// A call that is executing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tool {
    call: Call,
    deadline: Mono,
    /// The number of this try.
    attempt: u32,
    /// The number of the last try there may be.
    last_attempt: u32,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Its `tool_executing` is not durable yet.
    Held,
    Calling,
    /// Between two tries.
    Waiting {
        until: Mono,
    },
}

impl Tool {
    pub(super) fn due(&self) -> Mono {
        match self.state {
            State::Held | State::Calling => self.deadline,
            State::Waiting { until } => until.min(self.deadline),
        }
    }
}

/// A stored result that recovery is reading.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Loading {
    agent_run_id: AgentRunId,
    reference: String,
    attempt: u32,
    /// Set between two tries.
    again_at: Option<Mono>,
}

impl Loading {
    pub(super) const fn first(agent_run_id: AgentRunId, reference: String) -> Self {
        Self { agent_run_id, reference, attempt: 1, again_at: None }
    }

    pub(super) const fn due(&self) -> Option<Mono> {
        self.again_at
    }
}

impl Run {
    pub(super) fn call_tool(&mut self, now: Now, title: String, call: Call) {
        let Some(agent) = self.agents.get(&call.agent_run_id) else { return };
        let who = agent.agent.clone();
        let tool_call_id = ToolCallId::draw(&mut self.seed, now.wall);
        let deadline = self.tool_deadline(now, &call);
        let (args, args_truncated) = self.shown_args(&call.args);
        let event = Event::ToolExecuting {
            tool_call_id,
            tool: call.tool.clone(),
            title,
            args,
            args_truncated,
            deadline_at: now.wall.after(deadline.since(now.mono)),
        };
        self.append(now, Some(who), event, false);
        if call.policy.repeatable || canary!(ToolTooSoon) {
            return self.start_tool(now, tool_call_id, call, 1);
        }
        //= specs/runs.md#run-35
        //# A tool that is not repeatable MUST be called at most once, and not before its
        //# `tool_executing` is durable.
        let (attempt, last_attempt, state) = (1, 1, State::Held);
        self.tools.insert(tool_call_id, Tool { call, deadline, attempt, last_attempt, state });
        self.outputs.push_back(Output::Confirm { tool_call_id });
    }

    /// Whether the call waited for this.
    pub(super) fn tool_durable(&mut self, tool_call_id: ToolCallId) -> bool {
        let Some(open) = self.tools.get_mut(&tool_call_id) else { return false };
        let held = open.state == State::Held;
        if held {
            open.state = State::Calling;
            self.push_call(tool_call_id);
        }
        held
    }

    /// Calls a tool whose `tool_executing` is in the log.
    pub(super) fn start_tool(
        &mut self,
        now: Now,
        tool_call_id: ToolCallId,
        call: Call,
        attempt: u32,
    ) {
        let deadline = self.tool_deadline(now, &call);
        let most = if call.policy.repeatable { self.limits.tool_attempts } else { 1 };
        let tries = call.policy.attempts.min(most).max(1);
        let last_attempt = attempt + (tries - 1);
        let state = State::Calling;
        self.tools.insert(tool_call_id, Tool { call, deadline, attempt, last_attempt, state });
        self.push_call(tool_call_id);
    }

    /// A call cut off by a crash that must not be made again.
    //= specs/runs.md#run-22
    //# A tool call that is not repeatable MUST end abandoned when a crash cut it off.
    pub(super) fn abandon(&mut self, now: Now, tool_call_id: ToolCallId, call: Call) {
        let (attempt, last_attempt, state) = (1, 1, State::Calling);
        let deadline = now.mono;
        self.tools.insert(tool_call_id, Tool { call, deadline, attempt, last_attempt, state });
        let message = "cut off by a restart of the server; it is not called twice";
        let error = ErrorInfo::new(ErrorCode::ToolFailed, message);
        self.tool_ended(now, tool_call_id, ToolStatus::Abandoned, Err(error), true);
    }

    fn push_call(&mut self, tool_call_id: ToolCallId) {
        let Some(open) = self.tools.get(&tool_call_id) else { return };
        let Some(agent) = self.agents.get(&open.call.agent_run_id) else { return };
        self.grammar.tried_again(tool_call_id, open.attempt);
        self.outputs.push_back(Output::CallTool {
            tool_call_id,
            agent: agent.agent.clone(),
            tool: open.call.tool.clone(),
            args: open.call.args.clone(),
            attempt: open.attempt,
        });
    }

    fn tool_deadline(&self, now: Now, call: &Call) -> Mono {
        let until = self.agents.get(&call.agent_run_id).map_or(now.mono, |agent| agent.deadline);
        now.mono.after(call.policy.timeout.min(self.limits.tool_timeout)).min(until)
    }

    /// The arguments as the log has them: whole, or the first bytes of their text.
    pub(super) fn shown_args(&self, args: &Json) -> (Json, bool) {
        let text = args.as_str();
        let most = self.limits.inline_args_bytes;
        if text.len() <= most {
            return (args.clone(), false);
        }
        let cut = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        // Text always is JSON.
        (Json::encode(&text[..cut]).unwrap_or_default(), true)
    }

    /// Whether the call is open and this is the answer to its present try.
    pub(super) fn tool_done(
        &mut self,
        now: Now,
        tool_call_id: ToolCallId,
        attempt: u32,
        outcome: ToolOutcome,
    ) -> bool {
        if self.loading.contains_key(&tool_call_id) {
            return self.loaded(now, tool_call_id, attempt, outcome);
        }
        let Some(open) = self.tools.get_mut(&tool_call_id) else { return false };
        if open.state != State::Calling || open.attempt != attempt {
            return false;
        }
        match outcome {
            ToolOutcome::Returned(result) => self.tool_returned(now, tool_call_id, result),
            ToolOutcome::Failed { error, transient, retry_after } => {
                let doublings = (open.attempt - 1).min(16);
                let most = Millis(RETRY_MIN.0 << doublings).min(RETRY_MAX);
                let jitter = Millis(self.seed.below(most.0 + 1));
                let wait = retry_after.map_or(jitter, |asked| asked.max(jitter));
                let until = now.mono.after(wait);
                //= specs/runs.md#run-30
                //# A tool that fails for a moment MUST be tried again within its limit and MUST
                //# complete once.
                if transient && attempt < open.last_attempt && until < open.deadline {
                    open.state = State::Waiting { until };
                } else {
                    self.tool_ended(now, tool_call_id, ToolStatus::Failed, Err(error), false);
                }
            }
        }
        true
    }

    fn tool_returned(&mut self, now: Now, tool_call_id: ToolCallId, result: ToolResult) {
        let (bytes, most) = (result.value.as_str().len(), self.limits.inline_result_bytes);
        if result.stored.is_none() && bytes > most {
            let message = format!("its result of {bytes} bytes is over {most} and was not stored");
            let error = ErrorInfo::new(ErrorCode::ToolFailed, message);
            self.tool_ended(now, tool_call_id, ToolStatus::Failed, Err(error), false);
        } else {
            self.tool_ended(now, tool_call_id, ToolStatus::Completed, Ok(result), false);
        }
    }

    /// The one `tool_completed` of a call, and the answer to its agent.
    pub(super) fn tool_ended(
        &mut self,
        now: Now,
        tool_call_id: ToolCallId,
        status: ToolStatus,
        result: Result<ToolResult, ErrorInfo>,
        synthesized: bool,
    ) {
        let Some(Tool { call, attempt, .. }) = self.tools.remove(&tool_call_id) else { return };
        let Some(agent) = self.agents.get(&call.agent_run_id).map(|a| a.agent.clone()) else {
            return;
        };
        let started = self.grammar.tool(tool_call_id).map_or(now.wall, |open| open.started);
        let stored = result.as_ref().ok().and_then(|result| result.stored.as_ref());
        let shown = match (&result, stored) {
            (_, Some(stored)) => stored.preview.clone(),
            (Ok(result), None) => result.value.clone(),
            (Err(_), None) => Json::null(),
        };
        let event = Event::ToolCompleted {
            tool_call_id,
            tool: call.tool,
            status,
            duration_ms: now.wall.since(started).as_millis(),
            result: shown,
            result_ref: stored.map(|stored| stored.reference.clone()),
            truncated: stored.is_some(),
            error: result.as_ref().err().cloned(),
            attempt,
        };
        self.append(now, Some(agent), event, synthesized);
        self.answer(call.agent_run_id, call.n, Answer::Tool(result.map(|result| result.value)));
    }

    /// A stored result was read, or could not be.
    fn loaded(
        &mut self,
        now: Now,
        tool_call_id: ToolCallId,
        attempt: u32,
        outcome: ToolOutcome,
    ) -> bool {
        let Some(loading) = self.loading.get_mut(&tool_call_id) else { return false };
        if loading.again_at.is_some() || loading.attempt != attempt {
            return false;
        }
        match outcome {
            ToolOutcome::Returned(result) => {
                let agent_run_id = loading.agent_run_id;
                self.loading.remove(&tool_call_id);
                if let Some((_, reply)) =
                    self.agents.get_mut(&agent_run_id).and_then(|agent| agent.answers.front_mut())
                {
                    *reply = Reply::Ready(Answer::Tool(Ok(result.value)));
                }
                self.give_answers(agent_run_id);
            }
            ToolOutcome::Failed { transient, retry_after, .. }
                if transient && attempt < self.limits.tool_attempts =>
            {
                let wait = retry_after.unwrap_or(Millis(self.seed.below(RETRY_MAX.0 / 10 + 1)));
                loading.again_at = Some(now.mono.after(wait));
            }
            ToolOutcome::Failed { error, .. } => {
                let reason = format!("a stored result could not be read: {}", error.message);
                self.interrupt(now, &reason);
            }
        }
        true
    }

    /// Whether the call is open.
    pub(super) fn tool_progress(
        &mut self,
        tool_call_id: ToolCallId,
        progress: Progress,
        text: String,
    ) -> bool {
        let open = self.tools.contains_key(&tool_call_id);
        if open {
            self.outputs.push_back(Output::Progress { tool_call_id, progress, text });
        }
        open
    }

    /// Calls what waits for its next try, and ends what is past its limit.
    pub(super) fn tools_due(&mut self, now: Now) {
        while let Some((tool_call_id, open)) =
            self.tools.iter_mut().find(|(_, open)| open.due() <= now.mono)
        {
            let tool_call_id = *tool_call_id;
            //= specs/runs.md#run-19
            //# A tool call past its limit MUST end timed out, and its agent MUST decide what that
            //# means.
            if open.deadline <= now.mono {
                let calling = open.state == State::Calling;
                let error = ErrorInfo::new(ErrorCode::ToolTimeout, "the tool's time is over");
                if calling {
                    self.outputs.push_back(Output::AbortTool { tool_call_id });
                }
                self.tool_ended(now, tool_call_id, ToolStatus::TimedOut, Err(error), false);
            } else {
                open.attempt += 1;
                open.state = State::Calling;
                self.push_call(tool_call_id);
            }
        }
        for (tool_call_id, loading) in &mut self.loading {
            if loading.again_at.is_some_and(|again_at| again_at <= now.mono) {
                loading.again_at = None;
                loading.attempt += 1;
                self.outputs.push_back(Output::LoadResult {
                    tool_call_id: *tool_call_id,
                    reference: loading.reference.clone(),
                    attempt: loading.attempt,
                });
            }
        }
    }

    /// Stops the calls of one agent; their events are written by whoever closes them.
    pub(super) fn abort_tools(&mut self, agent_run_id: AgentRunId) {
        let outputs = &mut self.outputs;
        self.tools.retain(|tool_call_id, open| {
            let stays = open.call.agent_run_id != agent_run_id;
            if !stays && open.state == State::Calling {
                outputs.push_back(Output::AbortTool { tool_call_id: *tool_call_id });
            }
            stays
        });
        self.loading.retain(|tool_call_id, loading| {
            let stays = loading.agent_run_id != agent_run_id;
            if !stays && loading.again_at.is_none() {
                outputs.push_back(Output::AbortTool { tool_call_id: *tool_call_id });
            }
            stays
        });
    }
}
