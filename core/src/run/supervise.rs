//! What the supervisor does next: a pure function of which steps are done, so that a recovered run goes
//! on exactly where the log ends.

use super::{Finish, Output, Route, Run, StepSpec, Task, agents::Role, plan::MISSING};
use crate::id::{AgentRunId, Name};
use crate::time::Now;
use crate::wire::{AgentRef, AgentStatus, ErrorInfo, Event, Json, ThoughtKind, ToolCount, Usage};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// A step of the plan; what it is stands in the workflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// Its turn has not come.
    #[default]
    Waiting,
    /// Its agent is at work.
    Open(AgentRunId),
    /// Its agent has completed.
    Done(Outcome),
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Outcome {
    pub(super) status: AgentStatus,
    pub(super) finish: Finish,
    pub(super) error: Option<ErrorInfo>,
}

impl Outcome {
    /// Whether there is something later steps can work with.
    pub(super) const fn has_result(&self) -> bool {
        matches!(self.status, AgentStatus::Completed | AgentStatus::Degraded)
    }
}

/// An agent without a result, as the steps after it see it.
#[derive(Serialize)]
struct Missing<'a> {
    agent: &'a Name,
    status: AgentStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ErrorInfo>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Given<'a> {
    Output(&'a Json),
    Missing(Vec<Missing<'a>>),
}

impl Run {
    /// Goes on as far as it can without hearing from an agent.
    pub(super) fn advance(&mut self, now: Now) {
        self.open_supervisor(now);
        for index in 0.. {
            if index == 1 && self.route.is_none() {
                self.make_plan(now);
            }
            let Some(step) = self.steps.get(index) else { return self.conclude(now) };
            match step {
                Step::Done(_) => self.say_what_failed(now, index),
                Step::Open(agent_run_id) => {
                    let agent_run_id = *agent_run_id;
                    if let Some(past) = self.past.remove(&agent_run_id) {
                        if let Some(why) = self.why_skip(index) {
                            self.complete_skipped(now, index, past.agent, &why);
                            continue;
                        }
                        let task = self.task();
                        self.go_on(now, past, Role::Step(index), 1, task);
                    }
                    return;
                }
                Step::Waiting => match self.why_skip(index) {
                    Some(why) => self.skip(now, index, &why),
                    None => return self.start_step(now, index),
                },
            }
        }
    }

    /// The specification of a step; 0 is triage.
    pub(super) fn spec(&self, index: usize) -> &StepSpec {
        let planned = self.route.map_or(&[][..], |route| self.workflow.steps(route));
        index.checked_sub(1).and_then(|at| planned.get(at)).unwrap_or(self.workflow.triage())
    }

    /// Whether the last step of the plan is at work or done.
    pub(super) fn is_reporting(&self) -> bool {
        self.route.is_some() && !matches!(self.steps.last(), Some(Step::Waiting))
    }

    /// Whether the plan is made and this is its last step: the report.
    pub(super) fn is_last(&self, index: usize) -> bool {
        self.route.is_some() && index + 1 == self.steps.len()
    }

    fn open_supervisor(&mut self, now: Now) {
        if self.supervisor.is_none() {
            let spec = self.workflow.supervisor();
            let agent = AgentRef {
                name: spec.agent.clone(),
                agent_run_id: AgentRunId::draw(&mut self.seed, now.wall),
                parent: None,
                attempt: self.assignment.attempt,
            };
            let event = Event::AgentStarted {
                title: spec.title.clone(),
                task: spec.purpose.clone(),
                step: 0,
                of: 2,
                deadline_at: now.wall.after(self.limits.run_timeout),
            };
            self.supervisor = Some(agent.clone());
            self.append(now, Some(agent), event, false);
        }
        let triage = &self.workflow.triage().title;
        let length = self.assignment.question.chars().count();
        self.supervisor_thinks(
            now,
            0,
            format!(
                "Read a question of {length} characters. {triage} decides which agents work on it."
            ),
        );
    }

    /// Says something once: a thought's number says what it is about.
    fn supervisor_thinks(&mut self, now: Now, thought_id: u32, text: String) {
        if self.thoughts.insert(thought_id) {
            let kind = ThoughtKind::Status;
            let event = Event::AgentThinking { thought_id, text, kind, progress: None };
            self.append(now, self.supervisor.clone(), event, false);
        }
    }

    fn make_plan(&mut self, now: Now) {
        let triaged = match self.steps.first() {
            // One that failed has none.
            Some(Step::Done(outcome)) => outcome.finish.route,
            Some(Step::Waiting | Step::Open(_)) | None => None,
        };
        let route = triaged.unwrap_or(Route::Fallback);
        self.adopt_plan(route);
        let steps = self.workflow.plan(route);
        self.append(now, None, Event::RunPlan { route: route.as_str().into(), steps }, false);
    }

    pub(super) fn adopt_plan(&mut self, route: Route) {
        self.route = Some(route);
        self.steps.resize(1 + self.workflow.steps(route).len(), Step::Waiting);
    }

    /// A failure is told when it happens, not only in the report.
    fn say_what_failed(&mut self, now: Now, index: usize) {
        let Some(Step::Done(outcome)) = self.steps.get(index) else { return };
        let how = match outcome.status {
            AgentStatus::Failed => "failed",
            AgentStatus::TimedOut => "ran out of time",
            AgentStatus::Completed
            | AgentStatus::Cancelled
            | AgentStatus::Skipped
            | AgentStatus::Degraded => return,
        };
        if self.is_last(index) {
            return;
        }
        let why = outcome.error.as_ref().map_or("no reason given", |error| error.message.as_str());
        let text = format!("{} {how}: {why}. Going on with what there is.", self.spec(index).title);
        self.supervisor_thinks(now, index as u32 + 1, text);
    }

    fn why_skip(&self, index: usize) -> Option<String> {
        if self.overtime.is_some() && !self.is_last(index) {
            return Some(String::from("skipped: the time left is for the report"));
        }
        let failed = |step: &Step| matches!(step, Step::Done(outcome) if !outcome.has_result());
        if canary!(ReportSkipped) && self.steps[..index].iter().any(failed) {
            return Some(String::from("skipped: a step before it failed"));
        }
        let missing = self.spec(index).needs.iter().find(|needs| {
            !(0..index).any(|before| {
                self.spec(before).agent == **needs
                    && matches!(&self.steps[before], Step::Done(outcome) if outcome.has_result())
            })
        });
        missing.map(|needs| format!("skipped: it needs the result of {needs}"))
    }

    /// A step that cannot run leaves both its events in the log, so that the plan and the agents agree.
    fn skip(&mut self, now: Now, index: usize, why: &str) {
        let agent = self.new_step_agent(now, index);
        self.append_step_started(now, index, &agent);
        self.complete_skipped(now, index, agent, why);
    }

    fn complete_skipped(&mut self, now: Now, index: usize, agent: AgentRef, why: &str) {
        let event = Event::AgentCompleted {
            status: AgentStatus::Skipped,
            duration_ms: 0,
            summary: why.into(),
            output: None,
            error: None,
            usage: Usage::default(),
            tools: ToolCount::default(),
        };
        self.append(now, Some(agent), event, false);
        let finish = Finish { summary: why.into(), ..Finish::default() };
        self.steps[index] =
            Step::Done(Outcome { status: AgentStatus::Skipped, finish, error: None });
    }

    fn start_step(&mut self, now: Now, index: usize) {
        let agent = self.new_step_agent(now, index);
        self.append_step_started(now, index, &agent);
        self.steps[index] = Step::Open(agent.agent_run_id);
        let task = self.task();
        self.start_code(now, agent, Role::Step(index), 1, task);
    }

    fn new_step_agent(&mut self, now: Now, index: usize) -> AgentRef {
        AgentRef {
            name: self.spec(index).agent.clone(),
            agent_run_id: AgentRunId::draw(&mut self.seed, now.wall),
            parent: self.supervisor.as_ref().map(|supervisor| supervisor.agent_run_id),
            attempt: self.assignment.attempt,
        }
    }

    fn append_step_started(&mut self, now: Now, index: usize, agent: &AgentRef) {
        let deadline = self.step_deadline(now, index);
        let spec = self.spec(index);
        let event = Event::AgentStarted {
            title: spec.title.clone(),
            task: spec.purpose.clone(),
            step: index as u32 + 1,
            // Before there is a plan two steps are sure: triage and the report.
            of: self.steps.len().max(2) as u32,
            deadline_at: now.wall.after(deadline.since(now.mono)),
        };
        self.append(now, Some(agent.clone()), event, false);
    }

    /// The question, and what the steps before left behind.
    fn task(&self) -> Task {
        let mut given = BTreeMap::new();
        let mut missing = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            let Step::Done(outcome) = step else { continue };
            let agent = &self.spec(index).agent;
            if outcome.has_result() {
                given.insert(agent.as_str(), Given::Output(&outcome.finish.output));
            } else {
                let (status, error) = (outcome.status, outcome.error.as_ref());
                missing.push(Missing { agent, status, error });
            }
        }
        if !missing.is_empty() {
            given.insert(MISSING, Given::Missing(missing));
        }
        // Text keys and JSON values: encoding has no failing path.
        let inputs = Json::encode(&given).unwrap_or_default();
        Task { text: self.assignment.question.clone(), inputs }
    }

    /// An agent of the plan is done.
    pub(super) fn step_done(&mut self, now: Now, index: usize, outcome: Outcome) {
        self.steps[index] = Step::Done(outcome);
        self.advance(now);
    }

    /// Names whoever has been at work for the step that is open.
    pub(super) fn at_work(&self) -> Option<(usize, AgentRunId)> {
        self.steps.iter().enumerate().find_map(|(index, step)| match step {
            Step::Open(agent_run_id) => Some((index, *agent_run_id)),
            Step::Waiting | Step::Done(_) => None,
        })
    }

    pub(super) fn stop_code(&mut self, agent_run_id: AgentRunId) {
        if self.agents.remove(&agent_run_id).is_some() {
            self.outputs.push_back(Output::StopAgent { agent_run_id });
        }
    }
}
