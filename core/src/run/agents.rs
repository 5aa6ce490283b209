//! Agents at work: what they ask for, what they are answered, how they end.

use super::recover::Logged;
use super::supervise::Outcome;
use super::tools::{Call, Loading};
use super::{AgentSays, Answer, Closing, Finish, Output, Request, Route, Run, Task};
use crate::id::{AgentRunId, Name, ToolCallId};
use crate::time::{Mono, Now};
use crate::wire::{
    AgentRef, AgentStatus, ErrorCode, ErrorInfo, Event, Json, Progress, ThoughtKind, Usage,
};
use alloc::collections::VecDeque;
use alloc::collections::btree_map::Entry;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// An agent whose code runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Agent {
    pub(super) agent: AgentRef,
    pub(super) role: Role,
    /// 1 for an agent of the plan, one more for each delegation.
    pub(super) depth: u32,
    pub(super) deadline: Mono,
    /// The effects the log has of it; its code asks for them again first.
    pub(super) logged: Vec<Logged>,
    /// Answers in the order of their log entries, each with the effect it belongs to. One waits here
    /// only while recovery has not come to it.
    pub(super) answers: VecDeque<(u32, Reply)>,
    pub(super) next_effect: u32,
    pub(super) thoughts: u32,
}

/// Whom an agent works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// Another agent, to whose `n`-th effect its result is the answer.
    Child { parent: AgentRunId, n: u32 },
    /// The supervisor: this step of the plan.
    Step(usize),
}

/// An answer on its way to an agent's code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reply {
    Ready(Answer),
    /// To be read from where it is stored.
    Stored {
        tool_call_id: ToolCallId,
        reference: String,
    },
}

/// What `agent_completed.output` holds: everything of a [`Finish`] that the event has no field for.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub(super) output: Json,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) route: Option<Route>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<String>,
}

impl Run {
    /// Whether the agent is known and this was its turn to speak.
    pub(super) fn agent_says(
        &mut self,
        now: Now,
        agent_run_id: AgentRunId,
        says: AgentSays,
    ) -> bool {
        let Some(agent) = self.agents.get_mut(&agent_run_id) else { return false };
        match says {
            AgentSays::Failed(error) => self.agent_failed(now, agent_run_id, error),
            AgentSays::Finished(finish) => self.agent_finished(now, agent_run_id, finish),
            AgentSays::Request { n, request } => {
                if n != agent.next_effect {
                    return false;
                }
                agent.next_effect += 1;
                self.effects += 1;
                //= specs/runs.md#run-28
                //# A run MUST NOT perform more effects than its limit.
                if self.effects > self.limits.effects_per_run {
                    let most = self.limits.effects_per_run;
                    let message = format!("the run asked for more than {most} effects");
                    let error = ErrorInfo::new(ErrorCode::AgentFailed, message);
                    self.agent_failed(now, agent_run_id, error);
                } else if let Some(logged) = agent.logged.get(n as usize).cloned() {
                    self.rejoin(now, agent_run_id, n, logged, request);
                } else {
                    self.perform(now, agent_run_id, n, request);
                }
            }
        }
        true
    }

    /// An effect the log does not have yet.
    fn perform(&mut self, now: Now, agent_run_id: AgentRunId, n: u32, request: Request) {
        match request {
            Request::Delegate { agent, title, task } => {
                self.delegate(now, agent_run_id, n, agent, title, task);
            }
            Request::Think { text, kind, progress } => {
                self.think(now, agent_run_id, n, text, kind, progress);
            }
            Request::Tool { tool, title, args, policy } => {
                self.call_tool(now, title, Call { agent_run_id, n, tool, args, policy });
            }
        }
    }

    fn think(
        &mut self,
        now: Now,
        agent_run_id: AgentRunId,
        n: u32,
        text: String,
        kind: ThoughtKind,
        progress: Option<Progress>,
    ) {
        let Some(agent) = self.agents.get_mut(&agent_run_id) else { return };
        let thought_id = agent.thoughts;
        agent.thoughts += 1;
        let who = Some(agent.agent.clone());
        self.append(now, who, Event::AgentThinking { thought_id, text, kind, progress }, false);
        self.answer(agent_run_id, n, Answer::Thought);
    }

    fn delegate(
        &mut self,
        now: Now,
        parent: AgentRunId,
        n: u32,
        name: Name,
        title: String,
        task: Task,
    ) {
        let Some(asking) = self.agents.get(&parent) else { return };
        let (depth, until) = (asking.depth + 1, asking.deadline);
        let agent = AgentRef {
            name,
            agent_run_id: AgentRunId::draw(&mut self.seed, now.wall),
            parent: Some(parent),
            attempt: self.assignment.attempt,
        };
        let deadline = now.mono.after(self.limits.agent_timeout).min(until);
        let event = Event::AgentStarted {
            title,
            task: task.text.clone(),
            step: 0,
            of: 0,
            deadline_at: now.wall.after(deadline.since(now.mono)),
        };
        self.append(now, Some(agent.clone()), event, false);
        let agent_run_id = agent.agent_run_id;
        self.start_code(now, agent, Role::Child { parent, n }, depth, task);
        self.refuse_too_deep(now, agent_run_id, depth);
    }

    pub(super) fn refuse_too_deep(&mut self, now: Now, agent_run_id: AgentRunId, depth: u32) {
        //= specs/runs.md#run-29
        //# Agents MUST NOT ask each other deeper than the limit.
        if depth > self.limits.delegation_depth {
            let most = self.limits.delegation_depth;
            let message = format!("agents may ask each other {most} deep, not deeper");
            self.agent_failed(now, agent_run_id, ErrorInfo::new(ErrorCode::AgentFailed, message));
        }
    }

    /// When an agent of the plan ends at the latest: the report has the time kept back for it.
    pub(super) fn step_deadline(&self, now: Now, index: usize) -> Mono {
        let latest = if self.is_last(index) { self.run_deadline } else { self.work_deadline };
        now.mono.after(self.limits.agent_timeout).min(latest)
    }

    /// Starts an agent's code whose `agent_started` is in the log.
    pub(super) fn start_code(
        &mut self,
        now: Now,
        agent: AgentRef,
        role: Role,
        depth: u32,
        task: Task,
    ) {
        let deadline = match role {
            Role::Step(index) => self.step_deadline(now, index),
            Role::Child { parent, .. } => {
                let until = self.agents.get(&parent).map_or(now.mono, |parent| parent.deadline);
                now.mono.after(self.limits.agent_timeout).min(until)
            }
        };
        let started = Agent {
            agent: agent.clone(),
            role,
            depth,
            deadline,
            logged: Vec::new(),
            answers: VecDeque::new(),
            next_effect: 0,
            thoughts: 0,
        };
        self.agents.insert(agent.agent_run_id, started);
        self.outputs.push_back(Output::StartAgent { agent, task });
    }

    /// Queues an answer behind those whose entries came before, and gives out what may go.
    pub(super) fn answer(&mut self, agent_run_id: AgentRunId, n: u32, answer: Answer) {
        if let Some(agent) = self.agents.get_mut(&agent_run_id) {
            agent.answers.push_back((n, Reply::Ready(answer)));
            self.give_answers(agent_run_id);
        }
    }

    /// Gives an agent's code the answers it has asked for, in log order: with the same order of answers
    /// its code asks in the same order again.
    pub(super) fn give_answers(&mut self, agent_run_id: AgentRunId) {
        let Some(agent) = self.agents.get_mut(&agent_run_id) else { return };
        while let Some((n, reply)) = agent.answers.front() {
            if *n >= agent.next_effect {
                return;
            }
            if let Reply::Stored { tool_call_id, reference } = reply {
                let (tool_call_id, reference) = (*tool_call_id, reference.clone());
                if let Entry::Vacant(place) = self.loading.entry(tool_call_id) {
                    place.insert(Loading::first(agent_run_id, reference.clone()));
                    let attempt = 1;
                    self.outputs.push_back(Output::LoadResult { tool_call_id, reference, attempt });
                }
                return;
            }
            if let Some((n, Reply::Ready(answer))) = agent.answers.pop_front() {
                self.outputs.push_back(Output::Answer { agent_run_id, n, answer });
            }
        }
    }

    fn agent_finished(&mut self, now: Now, agent_run_id: AgentRunId, finish: Finish) {
        let Some(agent) = self.agents.get(&agent_run_id) else { return };
        if let Some(unasked) = agent.logged.get(agent.next_effect as usize) {
            let (name, n) = (&agent.agent.name, agent.next_effect);
            let reason = format!(
                "nondeterminism at effect {n} of {name}: it ended, the log has {}",
                unasked.words()
            );
            return self.interrupt(now, &reason);
        }
        let (bytes, most) = (finish.output.as_str().len(), self.limits.inline_result_bytes);
        if bytes > most {
            let message =
                format!("its output of {bytes} bytes is over {most}; a reference to it is wanted");
            return self.agent_failed(
                now,
                agent_run_id,
                ErrorInfo::new(ErrorCode::AgentFailed, message),
            );
        }
        let answers = matches!(agent.role, Role::Step(index) if self.is_last(index));
        // The answer has an entry of its own, before the agent's end: then nobody needs it here.
        let answer = if answers { None } else { finish.answer.clone() };
        let output = Kept { output: finish.output.clone(), route: finish.route, answer };
        // The output is JSON already and the rest is text: encoding has no failing path.
        let output = Json::encode(&output).unwrap_or_default();
        if answers {
            self.close_below(now, agent_run_id, Closing::Abandoned);
            self.answer_question(now, finish.answer.as_deref().unwrap_or_default());
        }
        let status = if finish.degraded { AgentStatus::Degraded } else { AgentStatus::Completed };
        self.agent_ended(now, agent_run_id, status, finish, Some(output), None);
    }

    fn agent_failed(&mut self, now: Now, agent_run_id: AgentRunId, error: ErrorInfo) {
        let finish = Finish { summary: error.message.clone(), ..Finish::default() };
        self.agent_ended(now, agent_run_id, AgentStatus::Failed, finish, None, Some(error));
    }

    /// Closes what is open below the agent, then the agent, and tells whoever asked for it.
    fn agent_ended(
        &mut self,
        now: Now,
        agent_run_id: AgentRunId,
        status: AgentStatus,
        finish: Finish,
        output: Option<Json>,
        error: Option<ErrorInfo>,
    ) {
        let Some(agent) = self.agents.get(&agent_run_id) else { return };
        let (who, role) = (agent.agent.clone(), agent.role);
        self.close_below(now, agent_run_id, Closing::Abandoned);
        // An agent that failed may still be polled by its driver; one that finished cannot.
        if error.is_some() {
            self.stop_code(agent_run_id);
        } else {
            self.agents.remove(&agent_run_id);
        }
        let (started, tools) = self
            .grammar
            .agent(agent_run_id)
            .map_or((now.wall, Default::default()), |open| (open.started, open.tools));
        self.count_usage(finish.usage);
        let event = Event::AgentCompleted {
            status,
            duration_ms: now.wall.since(started).as_millis(),
            summary: finish.summary.clone(),
            output,
            error: error.clone(),
            usage: finish.usage,
            tools,
        };
        self.append(now, Some(who), event, false);
        self.tell(now, role, Outcome { status, finish, error });
    }

    /// An agent is done: the one who asked for it goes on.
    fn tell(&mut self, now: Now, role: Role, outcome: Outcome) {
        match role {
            Role::Step(index) => self.step_done(now, index, outcome),
            Role::Child { parent, n } => self.answer(parent, n, delegated(outcome)),
        }
    }

    /// Closes an agent's tools and everything below it; the agent itself stays open.
    //= specs/runs.md#run-05
    //# `agent_completed` MUST NOT occur while a tool of that agent is open: it is closed first.
    fn close_below(&mut self, now: Now, agent_run_id: AgentRunId, how: Closing) {
        for child in self.grammar.below(agent_run_id) {
            if child == agent_run_id {
                continue;
            }
            self.close_agent(now, child, how);
        }
        self.abort_tools(agent_run_id);
        let mut drafts = Vec::new();
        let mut grammar =
            core::mem::replace(&mut self.grammar, super::Grammar::new(self.assignment.run_id));
        grammar.close_tools(agent_run_id, how, &mut self.desk(now, false), &mut drafts);
        self.grammar = grammar;
        self.append_closed(drafts);
    }

    /// Closes an agent and everything below it, without telling anyone.
    fn close_agent(&mut self, now: Now, agent_run_id: AgentRunId, how: Closing) {
        for below in self.grammar.below(agent_run_id) {
            self.abort_tools(below);
            self.stop_code(below);
            self.past.remove(&below);
        }
        let mut grammar =
            core::mem::replace(&mut self.grammar, super::Grammar::new(self.assignment.run_id));
        let drafts = grammar.close_agent(agent_run_id, how, &mut self.desk(now, false));
        self.grammar = grammar;
        self.append_closed(drafts);
    }

    /// Agents past their limit end timed out (RUN-11).
    pub(super) fn agents_due(&mut self, now: Now) {
        while let Some(agent_run_id) =
            self.agents.values().find(|a| a.deadline <= now.mono).map(|a| a.agent.agent_run_id)
        {
            self.agent_timed_out(now, agent_run_id, Closing::AgentTimedOut);
        }
    }

    pub(super) fn agent_timed_out(&mut self, now: Now, agent_run_id: AgentRunId, how: Closing) {
        let Some(agent) = self.agents.get(&agent_run_id) else { return };
        let role = agent.role;
        self.close_agent(now, agent_run_id, how);
        let error = how.error();
        let finish = Finish { summary: String::from("out of time"), ..Finish::default() };
        self.tell(now, role, Outcome { status: AgentStatus::TimedOut, finish, error });
    }

    pub(super) fn count_usage(&mut self, usage: Usage) {
        let sum = &mut self.usage;
        sum.input_tokens = sum.input_tokens.saturating_add(usage.input_tokens);
        sum.output_tokens = sum.output_tokens.saturating_add(usage.output_tokens);
        sum.cost_micro_usd = sum.cost_micro_usd.saturating_add(usage.cost_micro_usd);
    }
}

/// What the asking agent hears of a delegation.
pub(super) fn delegated(outcome: Outcome) -> Answer {
    Answer::Delegated(if outcome.has_result() {
        Ok(outcome.finish)
    } else {
        let nameless = || ErrorInfo::new(ErrorCode::AgentFailed, outcome.finish.summary.clone());
        Err(outcome.error.clone().unwrap_or_else(nameless))
    })
}
