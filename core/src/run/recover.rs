//! Going on where the log ends (RUN-16): what it has of each agent, and how that agent's code joins it.

use super::agents::{Agent, Kept, Reply, Role, delegated};
use super::supervise::{Outcome, Step};
use super::tools::Call;
use super::{Answer, Finish, Request, Route, Run, Task};
use crate::id::{AgentRunId, Name, ToolCallId};
use crate::time::Now;
use crate::wire::{
    AgentRef, AgentStatus, Entry, ErrorCode, ErrorInfo, Event, Json, ThoughtKind, ToolStatus,
};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// An agent as the log has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Past {
    pub(super) agent: AgentRef,
    logged: Vec<Logged>,
    answers: VecDeque<(u32, Reply)>,
    thoughts: u32,
}

/// An effect as the log has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Logged {
    Agent { agent_run_id: AgentRunId, name: Name, task: String, open: bool },
    Thought { text: String, kind: ThoughtKind },
    Tool { tool_call_id: ToolCallId, tool: Name, args: Json, open: bool },
}

impl Logged {
    /// What it is, for a person who looks for the cause.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Agent { name, .. } => format!("an order to {name}"),
            Self::Thought { .. } => String::from("a thought"),
            Self::Tool { tool, .. } => format!("a call of {tool}"),
        }
    }

    fn closed(&mut self) {
        match self {
            Self::Agent { open, .. } | Self::Tool { open, .. } => *open = false,
            Self::Thought { .. } => {}
        }
    }
}

/// Where in an agent's effects something stands.
type Place = (AgentRunId, u32);

#[derive(Default)]
struct Reader {
    agents: BTreeMap<AgentRunId, Past>,
    tools: BTreeMap<ToolCallId, Place>,
    children: BTreeMap<AgentRunId, Place>,
}

impl Reader {
    fn effect(&mut self, of: AgentRunId, logged: Logged) -> Option<Place> {
        let past = self.agents.get_mut(&of)?;
        past.logged.push(logged);
        Some((of, past.logged.len() as u32 - 1))
    }

    fn answer(&mut self, place: Option<Place>, reply: Reply) {
        let Some((of, n)) = place else { return };
        let Some(past) = self.agents.get_mut(&of) else { return };
        if let Some(logged) = past.logged.get_mut(n as usize) {
            logged.closed();
        }
        past.answers.push_back((n, reply));
    }
}

impl Run {
    /// Takes in the log of the attempts before this one.
    ///
    /// # Errors
    /// Why the run cannot be continued from it.
    pub(super) fn recover(&mut self, history: &[Entry]) -> Result<(), String> {
        let mut reader = Reader::default();
        for entry in history {
            let seen = self.grammar.observe_entry(entry);
            seen.map_err(|violation| format!("the log breaks its own order: {violation}"))?;
            match entry.agent.as_ref() {
                None => self.read_run_event(&entry.event)?,
                Some(agent) if agent.parent.is_none() => {
                    self.supervisor = Some(agent.clone());
                    if let Event::AgentThinking { thought_id, .. } = &entry.event {
                        self.thoughts.insert(*thought_id);
                    }
                }
                Some(agent) => self.read_agent_event(&mut reader, agent, &entry.event)?,
            }
        }
        self.past = reader.agents;
        Ok(())
    }

    fn read_run_event(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::RunPlan { route, steps } => {
                let plan = Route::from_word(route);
                let plan = plan.filter(|plan| self.workflow.plan(*plan) == *steps);
                self.adopt_plan(plan.ok_or("the plan is not one this version makes")?);
            }
            Event::AssistantMessage { .. } => self.answered = true,
            Event::ThreadCreated { .. }
            | Event::ThreadUpdated { .. }
            | Event::UserMessage { .. }
            | Event::RunQueued { .. }
            | Event::RunStarted { .. }
            | Event::AgentStarted { .. }
            | Event::AgentThinking { .. }
            | Event::ToolExecuting { .. }
            | Event::ToolCompleted { .. }
            | Event::AgentCompleted { .. }
            | Event::ApprovalRequested { .. }
            | Event::RunCompleted { .. }
            | Event::RunFailed { .. }
            | Event::RunTimedOut { .. }
            | Event::RunCancelled { .. }
            | Event::RunInterrupted { .. } => {}
        }
        Ok(())
    }

    fn read_agent_event(
        &mut self,
        reader: &mut Reader,
        agent: &AgentRef,
        event: &Event,
    ) -> Result<(), String> {
        let id = agent.agent_run_id;
        match event {
            Event::AgentStarted { task, .. } => {
                let supervisor = self.supervisor.as_ref().map(|agent| agent.agent_run_id);
                let parent = agent.parent.filter(|parent| Some(*parent) != supervisor);
                if let Some(parent) = parent {
                    let (name, task) = (agent.name.clone(), task.clone());
                    let order = Logged::Agent { agent_run_id: id, name, task, open: true };
                    if let Some(place) = reader.effect(parent, order) {
                        reader.children.insert(id, place);
                    }
                } else {
                    let at = (0..self.steps.len())
                        .find(|at| self.spec(*at).agent == agent.name)
                        .ok_or_else(|| format!("{} has no place in the plan", agent.name))?;
                    self.steps[at] = Step::Open(id);
                }
                let agent = AgentRef { attempt: self.assignment.attempt, ..agent.clone() };
                let (logged, answers) = (Vec::new(), VecDeque::new());
                reader.agents.insert(id, Past { agent, logged, answers, thoughts: 0 });
            }
            Event::AgentThinking { text, kind, .. } => {
                let place = reader.effect(id, Logged::Thought { text: text.clone(), kind: *kind });
                reader.answer(place, Reply::Ready(Answer::Thought));
                if let Some(past) = reader.agents.get_mut(&id) {
                    past.thoughts += 1;
                }
            }
            Event::ToolExecuting { tool_call_id, tool, args, .. } => {
                let (tool_call_id, tool, args) = (*tool_call_id, tool.clone(), args.clone());
                let call = Logged::Tool { tool_call_id, tool, args, open: true };
                if let Some(place) = reader.effect(id, call) {
                    reader.tools.insert(tool_call_id, place);
                }
            }
            Event::ToolCompleted { tool_call_id, result, result_ref, error, status, .. } => {
                let place = reader.tools.get(tool_call_id).copied();
                reader.answer(
                    place,
                    match (status, result_ref) {
                        (ToolStatus::Completed, Some(reference)) => Reply::Stored {
                            tool_call_id: *tool_call_id,
                            reference: reference.clone(),
                        },
                        (ToolStatus::Completed, None) => {
                            Reply::Ready(Answer::Tool(Ok(result.clone())))
                        }
                        _ => Reply::Ready(Answer::Tool(Err(error.clone().unwrap_or_else(|| {
                            ErrorInfo::new(ErrorCode::ToolFailed, "the tool was stopped")
                        })))),
                    },
                );
            }
            Event::AgentCompleted { status, summary, output, error, usage, .. } => {
                self.count_usage(*usage);
                let kept = output.as_ref().map(Json::decode::<Kept>).transpose();
                let kept = kept.map_err(|_| format!("the output of {} is not ours", agent.name))?;
                let (output, route, answer) = kept.map_or((Json::null(), None, None), |kept| {
                    (kept.output, kept.route, kept.answer)
                });
                let degraded = *status == AgentStatus::Degraded;
                let (summary, usage) = (summary.clone(), *usage);
                let finish = Finish { summary, output, route, answer, degraded, usage };
                let outcome = Outcome { status: *status, finish, error: error.clone() };
                let past = reader.agents.remove(&id);
                self.effects += past.map_or(0, |past| past.logged.len() as u32);
                if let Some(place) = reader.children.get(&id).copied() {
                    reader.answer(Some(place), Reply::Ready(delegated(outcome)));
                } else if let Some(at) = self.steps.iter().position(|s| *s == Step::Open(id)) {
                    let late = error.as_ref().is_some_and(|e| e.code == ErrorCode::RunTimeout);
                    if *status == AgentStatus::TimedOut && late {
                        self.overtime = Some(agent.name.clone());
                    }
                    self.steps[at] = Step::Done(outcome);
                }
            }
            Event::ThreadCreated { .. }
            | Event::ThreadUpdated { .. }
            | Event::UserMessage { .. }
            | Event::RunQueued { .. }
            | Event::RunStarted { .. }
            | Event::RunPlan { .. }
            | Event::ApprovalRequested { .. }
            | Event::AssistantMessage { .. }
            | Event::RunCompleted { .. }
            | Event::RunFailed { .. }
            | Event::RunTimedOut { .. }
            | Event::RunCancelled { .. }
            | Event::RunInterrupted { .. } => {}
        }
        Ok(())
    }

    /// Starts the code of an agent that was at work when the log ended.
    //= specs/runs.md#run-21
    //# After a crash at any entry the events of a run MUST be those it would have had without it.
    pub(super) fn go_on(&mut self, now: Now, past: Past, role: Role, depth: u32, task: Task) {
        let agent_run_id = past.agent.agent_run_id;
        self.start_code(now, past.agent, role, depth, task);
        if let Some(Agent { logged, answers, thoughts, .. }) = self.agents.get_mut(&agent_run_id) {
            (*logged, *answers, *thoughts) = (past.logged, past.answers, past.thoughts);
        }
    }

    /// An effect the log has: nothing is appended, the answer comes from the log if it is there.
    //= specs/runs.md#run-16
    //# A run that goes on after a crash MUST NOT repeat an effect whose result is in the log.
    pub(super) fn rejoin(
        &mut self,
        now: Now,
        agent_run_id: AgentRunId,
        n: u32,
        logged: Logged,
        request: Request,
    ) {
        match (logged, request) {
            (Logged::Thought { text, kind }, Request::Think { text: said, kind: of, .. })
                if text == said && kind == of =>
            {
                self.give_answers(agent_run_id);
            }
            (
                Logged::Tool { tool_call_id, tool, args, open },
                Request::Tool { tool: called, args: with, policy, .. },
            ) if tool == called && args == self.shown_args(&with).0 => {
                self.give_answers(agent_run_id);
                let call = Call { agent_run_id, n, tool: called, args: with, policy };
                if open && policy.repeatable {
                    self.start_tool(now, tool_call_id, call, self.assignment.attempt);
                } else if open {
                    self.abandon(now, tool_call_id, call);
                }
            }
            (
                Logged::Agent { agent_run_id: child, name, task: asked, open },
                Request::Delegate { agent, task, .. },
            ) if name == agent && asked == task.text => {
                self.give_answers(agent_run_id);
                if open && let Some(past) = self.past.remove(&child) {
                    let depth = self.agents.get(&agent_run_id).map_or(1, |parent| parent.depth + 1);
                    self.go_on(now, past, Role::Child { parent: agent_run_id, n }, depth, task);
                    self.refuse_too_deep(now, child, depth);
                }
            }
            //= specs/runs.md#run-23
            //# An agent whose code does not follow its log after a crash MUST end the run as
            //# interrupted.
            (logged, _) => {
                let name = self.agents.get(&agent_run_id).map(|agent| agent.agent.name.clone());
                let name = name.as_ref().map_or("an agent", Name::as_str);
                let words = logged.words();
                let reason = format!(
                    "nondeterminism at effect {n} of {name}: the log has {words}, the code asks for something else"
                );
                self.interrupt(now, &reason);
            }
        }
    }
}
