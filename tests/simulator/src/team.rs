//! The real run machine with the smallest team there is: triage, and a report that calls one tool.
//! Agents and tools do nothing by themselves; the world says who moves, or nobody does.

use crate::task::seed_of;
use goldenpath_core::id::{AgentRunId, Fence, Name, ToolCallId};
use goldenpath_core::limits::Limits;
use goldenpath_core::run::{
    AgentSays, Assignment, CancelReason, Finish, Input, Output, Request, Route, Run, StepSpec,
    ToolOutcome, ToolPolicy, ToolResult, Workflow,
};
use goldenpath_core::time::{Mono, Now};
use goldenpath_core::wire::{Draft, ErrorCode, ErrorInfo, Json};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Calls and agents each that were given up and may still speak; more are forgotten.
const LATE: usize = 1;

/// A run machine, and the code of its agents.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Team {
    run: Run,
    agents: BTreeMap<AgentRunId, Agent>,
    /// Tool calls under way, each with its try.
    calls: Vec<(ToolCallId, u32)>,
    /// Calls that nobody waits for any more, and that may still answer.
    late: Vec<(ToolCallId, u32)>,
    /// Agents that were stopped, and may still speak.
    stopped: Vec<(AgentRunId, Agent)>,
    /// Whether its tool may be called again.
    repeatable: bool,
    /// Calls made, for the check that none is repeated.
    called: BTreeSet<ToolCallId>,
    /// What it was told last, to be told again.
    last: Option<Input>,
    deadline: Option<Mono>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Agent {
    name: Name,
    turn: Turn,
}

impl Agent {
    /// What comes next.
    fn says(&self, repeatable: bool) -> AgentSays {
        match self.turn {
            _ if self.name.as_str() == "triage" => AgentSays::Finished(Finish {
                summary: "A question".into(),
                route: Some(Route::Full),
                ..Finish::default()
            }),
            Turn::Begins => AgentSays::Request { n: 0, request: look(repeatable) },
            Turn::Answered | Turn::Waits => AgentSays::Finished(Finish {
                summary: "Reported".into(),
                answer: Some("42".into()),
                ..Finish::default()
            }),
        }
    }
}

/// How far an agent's code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Turn {
    Begins,
    Waits,
    Answered,
}

/// How a tool ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolEnd {
    /// With a result.
    Returns,
    /// With an error that another try may mend.
    FailsForNow,
    /// With an error.
    Fails,
}

/// What came of driving a team.
#[derive(Debug, Default)]
pub struct Driven {
    /// What its run appends.
    pub drafts: Vec<Draft>,
    /// Calls of tools that reached the outside; each try of one that is not repeatable.
    pub called: Vec<ToolCallId>,
    /// Calls that wait until they are durable.
    pub confirms: Vec<ToolCallId>,
    /// Whether it came to rest.
    pub rests: bool,
}

impl Team {
    /// The run as a node would start it.
    #[must_use]
    pub fn new(
        assignment: Assignment,
        fence: Fence,
        repeatable: bool,
        limits: Arc<Limits>,
        now: Now,
    ) -> Self {
        let seed = seed_of(assignment.run_id, fence);
        Self {
            run: Run::new(assignment, Arc::new(workflow()), limits, seed, now),
            agents: BTreeMap::new(),
            calls: Vec::new(),
            late: Vec::new(),
            stopped: Vec::new(),
            repeatable,
            called: BTreeSet::new(),
            last: None,
            deadline: None,
        }
    }

    /// When the run wants to be looked at.
    #[must_use]
    pub const fn deadline(&self) -> Option<Mono> {
        self.deadline
    }

    /// Whether the run has ended.
    #[must_use]
    pub const fn ended(&self) -> bool {
        self.run.ended().is_some()
    }

    /// Agents whose turn it is.
    #[must_use]
    pub fn movers(&self) -> usize {
        self.agents.values().filter(|agent| agent.turn != Turn::Waits).count()
    }

    /// Tools that have not answered.
    #[must_use]
    pub const fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Tools that nobody waits for any more.
    #[must_use]
    pub const fn late(&self) -> usize {
        self.late.len()
    }

    /// Agents that were stopped, and may still speak.
    #[must_use]
    pub const fn stopped(&self) -> usize {
        self.stopped.len()
    }

    /// Whether it is a result that would be told again.
    #[must_use]
    pub const fn can_repeat_a_result(&self) -> bool {
        matches!(self.last, Some(Input::ToolDone { .. }))
    }

    /// Whether there is something to be told again.
    #[must_use]
    pub const fn can_repeat(&self) -> bool {
        self.last.is_some()
    }

    /// The `index`-th agent whose turn it is does its next thing.
    pub fn moves(&mut self, now: Now, index: usize) {
        let mut movers = self.agents.iter_mut().filter(|(_, agent)| agent.turn != Turn::Waits);
        let Some((agent_run_id, agent)) = movers.nth(index) else { return };
        let agent_run_id = *agent_run_id;
        let says = agent.says(self.repeatable);
        agent.turn = Turn::Waits;
        if matches!(says, AgentSays::Finished(_)) {
            self.agents.remove(&agent_run_id);
        }
        self.tell(now, Input::Agent { agent_run_id, says });
    }

    /// The `index`-th tool ends.
    pub fn tool(&mut self, now: Now, index: usize, end: ToolEnd) {
        if index < self.calls.len() {
            let call = self.calls.remove(index);
            self.ends(now, call, end);
        }
    }

    /// The `index`-th tool that nobody waits for any more ends.
    pub fn late_tool(&mut self, now: Now, index: usize, end: ToolEnd) {
        if index < self.late.len() {
            let call = self.late.remove(index);
            self.ends(now, call, end);
        }
    }

    /// No tool that nobody waits for will answer.
    pub fn never_late(&mut self) {
        self.late.clear();
    }

    /// An agent that was stopped says what it would have said next.
    pub fn stopped_agent(&mut self, now: Now) {
        if let Some((agent_run_id, agent)) = self.stopped.pop() {
            let says = agent.says(self.repeatable);
            self.tell(now, Input::Agent { agent_run_id, says });
        }
    }

    /// No agent that was stopped will speak.
    pub fn stays_stopped(&mut self) {
        self.stopped.clear();
    }

    fn ends(&mut self, now: Now, (tool_call_id, attempt): (ToolCallId, u32), end: ToolEnd) {
        let error = ErrorInfo::new(ErrorCode::ToolFailed, "out of order");
        let outcome = match end {
            ToolEnd::Returns => {
                ToolOutcome::Returned(ToolResult { value: Json::null(), stored: None })
            }
            ToolEnd::FailsForNow => {
                ToolOutcome::Failed { error, transient: true, retry_after: None }
            }
            ToolEnd::Fails => ToolOutcome::Failed { error, transient: false, retry_after: None },
        };
        self.tell(now, Input::ToolDone { tool_call_id, attempt, outcome });
    }

    /// What was said last is said again.
    pub fn repeat(&mut self, now: Now) {
        if let Some(input) = self.last.take() {
            self.run.handle_input(now, input);
        }
    }

    /// What was said last will not be said again.
    pub fn never_repeats(&mut self) {
        self.last = None;
    }

    /// Its hub wants it to stop.
    pub fn cancel(&mut self, now: Now, reason: CancelReason) {
        self.run.handle_input(now, Input::Cancel(reason));
    }

    /// What it has appended is durable.
    pub fn durable(&mut self, now: Now, tool_call_id: ToolCallId) {
        self.tell(now, Input::Durable { tool_call_id });
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.run.handle_timeout(now);
    }

    fn tell(&mut self, now: Now, input: Input) {
        self.last = Some(input.clone());
        self.run.handle_input(now, input);
    }

    /// Asks for so much at once that no driver comes to the end of it.
    #[cfg(test)]
    pub(crate) fn babbles(&mut self, now: Now) {
        let agent_run_id = *self.agents.keys().next().expect("an agent at work");
        for n in 0..1_000 {
            let kind = goldenpath_core::wire::ThoughtKind::Status;
            let request = Request::Think { text: format!("thought {n}"), kind, progress: None };
            let says = AgentSays::Request { n, request };
            self.run.handle_input(now, Input::Agent { agent_run_id, says });
        }
    }

    /// Does what the run asks for, until it rests.
    pub fn drain(&mut self) -> Driven {
        let mut driven = Driven::default();
        for _ in 0..1000 {
            match self.run.poll_output() {
                Output::AbortTool { tool_call_id } => {
                    let given_up = self.calls.extract_if(.., |(id, _)| *id == tool_call_id);
                    self.late.splice(..0, given_up);
                    self.late.truncate(LATE);
                }
                Output::Answer { agent_run_id, .. } => {
                    if let Some(agent) = self.agents.get_mut(&agent_run_id) {
                        agent.turn = Turn::Answered;
                    }
                }
                Output::Append(draft) => driven.drafts.push(draft),
                Output::CallTool { tool_call_id, attempt, .. } => {
                    self.calls.push((tool_call_id, attempt));
                    if self.called.insert(tool_call_id) || !self.repeatable {
                        driven.called.push(tool_call_id);
                    }
                }
                Output::Confirm { tool_call_id } => driven.confirms.push(tool_call_id),
                Output::Ended(_) | Output::Progress { .. } => {}
                Output::Idle(deadline) => {
                    self.deadline = deadline;
                    driven.rests = true;
                    break;
                }
                // No result of this team is large.
                Output::LoadResult { .. } => break,
                Output::StartAgent { agent, .. } => {
                    let turn = Turn::Begins;
                    self.agents.insert(agent.agent_run_id, Agent { name: agent.name, turn });
                }
                Output::StopAgent { agent_run_id } => {
                    let stopped = self.agents.remove_entry(&agent_run_id);
                    self.stopped.splice(..0, stopped);
                    self.stopped.truncate(LATE);
                }
            }
        }
        driven
    }
}

fn look(repeatable: bool) -> Request {
    Request::Tool {
        tool: name("look"),
        title: "Look".into(),
        args: Json::null(),
        policy: ToolPolicy { attempts: 2, repeatable, ..ToolPolicy::default() },
    }
}

/// Triage, then the report, whatever the question.
fn workflow() -> Workflow {
    let routes = Route::ALL.map(|route| (route, vec![member("report")])).into();
    Workflow::new(member("supervisor"), member("triage"), routes)
        .expect("every route ends with the report")
}

fn member(agent: &str) -> StepSpec {
    StepSpec {
        agent: name(agent),
        title: agent.into(),
        purpose: "shows the path".into(),
        needs: Vec::new(),
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a short text is a name")
}
