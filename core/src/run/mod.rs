//! One agent run: plan, event grammar, timeouts, cancel, recovery by replay.
//!
//! The run itself is the supervisor: it starts triage, makes the plan triage's route asks for, lets the
//! steps run in order, and ends with exactly one terminal event. Agents are code elsewhere; what they
//! ask for arrives as [`Input::Agent`] and becomes log entries and effects here, so the five events in
//! the right order are a property of this machine and not a convention among agents (F21).
//!
//! ```text
//!             Input::Agent, ToolDone, timeouts
//!                  ┌────────────────┐
//! Run::new ──▶ step 0 (triage) ─▶ plan ─▶ step 1 … ─▶ report ─▶ answer ─▶ Ended
//!                  └─ cancel, run time, nondeterminism ── close all ──────▶ Ended
//! ```
//!
//! # Time
//! Every attempt of a run has `Limits::run_timeout` from the moment the attempt begins: a crash costs
//! the user the time until the restart, not the answer. A part of it is kept back for the report
//! (RUN-14): when the rest is used up, what is at work ends timed out, the report is made from what
//! there is, and the run ends `run_timed_out` with that answer.
//!
//! # Recovery
//! With a history the machine is where the log left it. Agents that completed are not started again;
//! the code of the others runs from its beginning and is answered from the log, in log order, until it
//! asks for something the log does not have (RUN-16). The order of an agent's requests depends on
//! nothing but the order of its answers, and answers have the order of their entries.

mod agents;
mod ending;
mod grammar;
mod io;
mod plan;
mod recover;
mod supervise;
mod tools;

#[cfg(test)]
mod again_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod grammar_tests;
#[cfg(test)]
mod matrix_tests;
#[cfg(test)]
mod result_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
pub(crate) mod tests;

pub use grammar::{Closing, Desk, Grammar, OpenAgent, OpenTool, Violation};
pub use io::{
    AgentSays, Answer, Assignment, CancelReason, Finish, Input, Output, Request, Route,
    StoredResult, Task, ToolOutcome, ToolPolicy, ToolResult,
};
pub use plan::{MISSING, PlanError, StepSpec, Workflow};

use crate::id::{AgentRunId, Name, ToolCallId};
use crate::limits::Limits;
use crate::seed::Seed;
use crate::time::{Millis, Mono, Now, earliest};
use crate::wire::{AgentRef, Draft, Event, RunStatus, Usage};
use agents::Agent;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use recover::Past;
use supervise::Step;
use tools::{Loading, Tool};

/// One run, from its first agent to its terminal event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// Its history has been taken in and is empty.
    assignment: Assignment,
    workflow: Arc<Workflow>,
    limits: Arc<Limits>,
    seed: Seed,
    grammar: Grammar,
    /// The root of all agents, once it has started.
    supervisor: Option<AgentRef>,
    /// Which of its thoughts the log has.
    thoughts: BTreeSet<u32>,
    /// Triage, then the plan's steps once there is a plan.
    steps: alloc::vec::Vec<Step>,
    route: Option<Route>,
    answered: bool,
    /// Who was at work when the time for everything but the report was over.
    overtime: Option<Name>,
    agents: BTreeMap<AgentRunId, Agent>,
    tools: BTreeMap<ToolCallId, Tool>,
    loading: BTreeMap<ToolCallId, Loading>,
    /// What the log knows of agents whose code has not been started again yet.
    past: BTreeMap<AgentRunId, Past>,
    usage: Usage,
    effects: u32,
    work_deadline: Mono,
    run_deadline: Mono,
    outputs: VecDeque<Output>,
    ignored: u64,
}

impl Run {
    /// A run that begins, or goes on from `assignment.history`. The entry `run_started` of this attempt
    /// is the hub's; the first thing said here is the supervisor's `agent_started`.
    #[must_use]
    pub fn new(
        mut assignment: Assignment,
        workflow: Arc<Workflow>,
        limits: Arc<Limits>,
        seed: Seed,
        now: Now,
    ) -> Self {
        let history = core::mem::take(&mut assignment.history);
        let reserve = Millis((limits.run_timeout.0 / 3).min(limits.agent_timeout.0));
        let run_deadline = now.mono.after(limits.run_timeout);
        let mut run = Self {
            grammar: Grammar::new(assignment.run_id),
            assignment,
            workflow,
            work_deadline: Mono(run_deadline.0.saturating_sub(reserve.0)),
            limits,
            seed,
            supervisor: None,
            thoughts: BTreeSet::new(),
            steps: alloc::vec![Step::default()],
            route: None,
            answered: false,
            overtime: None,
            agents: BTreeMap::new(),
            tools: BTreeMap::new(),
            loading: BTreeMap::new(),
            past: BTreeMap::new(),
            usage: Usage::default(),
            effects: 0,
            run_deadline,
            outputs: VecDeque::new(),
            ignored: 0,
        };
        match run.recover(&history) {
            Err(reason) => run.interrupt(now, &reason),
            Ok(()) => match run.grammar.ended() {
                Some(status) => run.outputs.push_back(Output::Ended(status)),
                None => run.advance(now),
            },
        }
        run
    }

    /// Takes in what happened outside. What comes late, twice, or for something unknown is ignored
    /// (RUN-07).
    pub fn handle_input(&mut self, now: Now, input: Input) {
        let known = self.ended().is_none()
            && match input {
                Input::Agent { agent_run_id, says } => self.agent_says(now, agent_run_id, says),
                Input::Cancel(reason) => self.cancel(now, reason),
                Input::Durable { tool_call_id } => self.tool_durable(tool_call_id),
                Input::ToolDone { tool_call_id, attempt, outcome } => {
                    self.tool_done(now, tool_call_id, attempt, outcome)
                }
                Input::ToolProgress { tool_call_id, progress, text } => {
                    self.tool_progress(tool_call_id, progress, text)
                }
            };
        //= specs/runs.md#run-17
        //# What comes late or twice for a run MUST be ignored and counted.
        if !known {
            self.ignored += 1;
        }
    }

    /// Ends what is past its limit (RUN-11). Harmless at any time.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.ended().is_some() {
            return;
        }
        if now.mono >= self.run_deadline {
            return self.out_of_time(now);
        }
        if now.mono >= self.work_deadline {
            self.go_into_overtime(now);
        }
        //= specs/runs.md#run-11
        //# An agent or a run past its limit MUST end timed out.
        self.tools_due(now);
        self.agents_due(now);
    }

    /// What is to be done, one at a time; `Idle` when there is nothing more for now.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Idle(self.deadline()))
    }

    /// How the run ended, if it has; afterwards every input is ignored.
    #[must_use]
    pub const fn ended(&self) -> Option<RunStatus> {
        self.grammar.ended()
    }

    /// Inputs that came late, twice, or for something unknown.
    #[must_use]
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    fn deadline(&self) -> Option<Mono> {
        if self.ended().is_some() {
            return None;
        }
        let working = self.overtime.is_none() && !self.is_reporting();
        let mut deadline = Some(if working { self.work_deadline } else { self.run_deadline });
        for agent in self.agents.values() {
            deadline = earliest(deadline, Some(agent.deadline));
        }
        for tool in self.tools.values() {
            deadline = earliest(deadline, Some(tool.due()));
        }
        for loading in self.loading.values() {
            deadline = earliest(deadline, loading.due());
        }
        deadline
    }

    /// Puts an event into the log, in its place.
    fn append(&mut self, now: Now, agent: Option<AgentRef>, event: Event, synthesized: bool) {
        let run_id = self.assignment.run_id;
        let draft = self.desk(now, synthesized).draft(run_id, agent, event);
        let allowed = self.grammar.observe_draft(&draft);
        debug_assert!(allowed.is_ok(), "{allowed:?}: {draft:?}");
        if allowed.is_ok() {
            self.outputs.push_back(Output::Append(draft));
        }
    }

    fn append_closed(&mut self, drafts: alloc::vec::Vec<Draft>) {
        self.outputs.extend(drafts.into_iter().map(Output::Append));
    }

    fn desk(&mut self, now: Now, synthesized: bool) -> Desk<'_> {
        Desk {
            thread_id: self.assignment.thread_id,
            epoch: self.assignment.epoch,
            now: now.wall,
            synthesized,
            seed: &mut self.seed,
        }
    }

    fn age_ms(&self, now: Now) -> u64 {
        now.wall.since(self.assignment.started_at).as_millis()
    }
}
