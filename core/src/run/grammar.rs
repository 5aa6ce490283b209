//! The order events of a run must have, kept as what is open now.
//!
//! [`Run`](super::Run) checks every event it appends with it, the hub closes with it what a dead task
//! left open, and tests use it as the oracle (RUN-02 to RUN-06).

use crate::id::{AgentRunId, Epoch, EventId, Name, RunId, ThreadId, ToolCallId};
use crate::seed::Seed;
use crate::time::{Millis, Wall};
use crate::wire::{
    AgentRef, AgentStatus, Draft, Entry, ErrorCode, ErrorInfo, Event, Json, RunScope, RunStatus,
    ToolCount, ToolStatus, Usage,
};
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What of a run is open, and what has been closed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grammar {
    run_id: RunId,
    /// Open agents in the order they started: parents before their children.
    agents: Vec<OpenAgent>,
    /// Open tool calls in the order they were made.
    tools: Vec<OpenTool>,
    closed_agents: BTreeSet<AgentRunId>,
    closed_tools: BTreeSet<ToolCallId>,
    attempt: u32,
    answered: bool,
    ended: Option<RunStatus>,
}

/// An agent that has started and not completed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OpenAgent {
    /// Which.
    pub agent: AgentRef,
    /// When it started.
    pub started: Wall,
    /// What it called so far.
    pub tools: ToolCount,
}

/// A tool call that is executing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OpenTool {
    /// The call.
    pub tool_call_id: ToolCallId,
    /// Whose.
    pub agent_run_id: AgentRunId,
    /// The tool's name.
    pub tool: Name,
    /// When it was called.
    pub started: Wall,
    /// Which try it is at, from 1.
    pub attempt: u32,
}

/// Why an event may not come now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Violation {
    /// An event of an agent that is not open (RUN-03).
    AgentNotOpen,
    /// The same agent starts again (RUN-02).
    AgentStartedTwice,
    /// An agent completes while an agent it asked is open.
    ChildOpen,
    /// The run has had its terminal event (RUN-06).
    Ended,
    /// The run completes although nothing was answered.
    NoAnswer,
    /// An event of an agent does not say which.
    NoAgent,
    /// It belongs to another run, or to none.
    NotOfThisRun,
    /// The run ends while something is open (RUN-05).
    StillOpen,
    /// An agent without a parent starts beside the supervisor.
    SecondRoot,
    /// The run starts with an attempt it had before.
    StartedTwice,
    /// A tool call completes that is not executing, or as another tool or of another agent (RUN-04).
    ToolNotOpen,
    /// An agent completes while a tool of it is open (RUN-05).
    ToolOpen,
    /// The same call executes again (RUN-04).
    ToolStartedTwice,
    /// A terminal event with a status that does not belong to it.
    WrongStatus,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AgentNotOpen => "the agent is not open",
            Self::AgentStartedTwice => "the agent has started before",
            Self::ChildOpen => "an agent below it is open",
            Self::Ended => "the run has ended",
            Self::NoAgent => "the event names no agent",
            Self::NoAnswer => "the run completes without an answer",
            Self::NotOfThisRun => "the event is not of this run",
            Self::SecondRoot => "the run has a supervisor already",
            Self::StartedTwice => "the attempt has started before",
            Self::StillOpen => "agents or tools are open",
            Self::ToolNotOpen => "the tool is not executing",
            Self::ToolOpen => "a tool of the agent is open",
            Self::ToolStartedTwice => "the call has been made before",
            Self::WrongStatus => "the status does not fit the event",
        })
    }
}

impl core::error::Error for Violation {}

/// Why something open is being closed; decides the statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Closing {
    /// Whoever asked for it has ended without waiting.
    Abandoned,
    /// Its agent's time is over.
    AgentTimedOut,
    /// The run was cancelled.
    Cancelled,
    /// The run failed.
    Failed,
    /// The run's node died, or its log does not fit its code.
    Interrupted,
    /// The run's time is over.
    TimedOut,
}

impl Closing {
    const fn agent(self) -> AgentStatus {
        match self {
            Self::Abandoned | Self::Cancelled => AgentStatus::Cancelled,
            Self::Failed | Self::Interrupted => AgentStatus::Failed,
            Self::AgentTimedOut | Self::TimedOut => AgentStatus::TimedOut,
        }
    }

    const fn tool(self) -> ToolStatus {
        match self {
            Self::Cancelled => ToolStatus::Cancelled,
            Self::Abandoned | Self::Failed | Self::Interrupted => ToolStatus::Abandoned,
            Self::AgentTimedOut | Self::TimedOut => ToolStatus::TimedOut,
        }
    }

    /// What the closing events give as the reason.
    #[must_use]
    pub fn error(self) -> Option<ErrorInfo> {
        let (code, message) = match self {
            Self::Abandoned | Self::Cancelled => return None,
            Self::AgentTimedOut => (ErrorCode::AgentTimeout, "the agent's time is over"),
            Self::Failed => (ErrorCode::AgentFailed, "the run failed"),
            Self::Interrupted => (ErrorCode::Internal, "cut off by a restart of the server"),
            Self::TimedOut => (ErrorCode::RunTimeout, "the run's time is over"),
        };
        Some(ErrorInfo::new(code, message))
    }

    fn words(self) -> String {
        String::from(match self {
            Self::Abandoned => "no longer needed",
            Self::Cancelled => "cancelled",
            Self::Failed => "ended with the run",
            Self::Interrupted => "interrupted",
            Self::AgentTimedOut | Self::TimedOut => "out of time",
        })
    }
}

impl Grammar {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn new(run_id: RunId) -> Self {
        Self {
            run_id,
            agents: Vec::new(),
            tools: Vec::new(),
            closed_agents: BTreeSet::new(),
            closed_tools: BTreeSet::new(),
            attempt: 0,
            answered: false,
            ended: None,
        }
    }

    /// What is open after these entries of the run.
    ///
    /// # Errors
    /// The first entry that may not stand where it does.
    pub fn replay(run_id: RunId, entries: &[Entry]) -> Result<Self, Violation> {
        let mut grammar = Self::new(run_id);
        entries.iter().try_for_each(|entry| grammar.observe_entry(entry))?;
        Ok(grammar)
    }

    /// Checks an entry and takes it in.
    ///
    /// # Errors
    /// Why it may not come now; then nothing changed.
    pub fn observe_entry(&mut self, entry: &Entry) -> Result<(), Violation> {
        if entry.run_id != Some(self.run_id) {
            return Err(Violation::NotOfThisRun);
        }
        self.observe(entry.agent.as_ref(), &entry.event, entry.ts)
    }

    /// Checks a draft and takes it in.
    ///
    /// # Errors
    /// Why it may not come now; then nothing changed.
    pub fn observe_draft(&mut self, draft: &Draft) -> Result<(), Violation> {
        match &draft.scope {
            Some(scope) if scope.run_id == self.run_id => {
                self.observe(scope.agent.as_ref(), &draft.event, draft.ts)
            }
            Some(_) | None => Err(Violation::NotOfThisRun),
        }
    }

    //= specs/runs.md#run-06
    //# A run MUST have exactly one terminal event, and nothing durable of it MUST follow.
    fn observe(
        &mut self,
        agent: Option<&AgentRef>,
        event: &Event,
        ts: Wall,
    ) -> Result<(), Violation> {
        if self.ended.is_some() {
            return Err(Violation::Ended);
        }
        match event {
            Event::ThreadCreated { .. } | Event::ThreadUpdated { .. } => {
                return Err(Violation::NotOfThisRun);
            }
            Event::UserMessage { .. } | Event::RunQueued { .. } | Event::RunPlan { .. } => {}
            Event::RunStarted { attempt, .. } => {
                if *attempt <= self.attempt {
                    return Err(Violation::StartedTwice);
                }
                self.attempt = *attempt;
            }
            Event::AssistantMessage { .. } => self.answered = true,
            Event::AgentStarted { .. } => {
                self.start_agent(agent.ok_or(Violation::NoAgent)?, ts)?;
            }
            Event::AgentThinking { .. } | Event::ApprovalRequested { .. } => {
                self.open_agent(agent)?;
            }
            Event::ToolExecuting { tool_call_id, tool, .. } => {
                self.start_tool(agent, *tool_call_id, tool, ts)?;
            }
            //= specs/runs.md#run-04
            //# Each `tool_executing` MUST be closed by exactly one matching `tool_completed`.
            Event::ToolCompleted { tool_call_id, tool, status, .. } => {
                let at = self.open_agent(agent)?;
                let id = self.agents[at].agent.agent_run_id;
                let open = self.tools.iter().position(|open| {
                    open.tool_call_id == *tool_call_id
                        && open.agent_run_id == id
                        && open.tool == *tool
                });
                self.tools.remove(open.ok_or(Violation::ToolNotOpen)?);
                self.closed_tools.insert(*tool_call_id);
                if *status != ToolStatus::Completed {
                    self.agents[at].tools.failed += 1;
                }
            }
            Event::AgentCompleted { .. } => {
                let at = self.open_agent(agent)?;
                let id = self.agents[at].agent.agent_run_id;
                if self.tools.iter().any(|tool| tool.agent_run_id == id) {
                    return Err(Violation::ToolOpen);
                }
                if self.agents.iter().any(|child| child.agent.parent == Some(id)) {
                    return Err(Violation::ChildOpen);
                }
                self.agents.remove(at);
                self.closed_agents.insert(id);
            }
            Event::RunCompleted { .. }
            | Event::RunFailed { .. }
            | Event::RunTimedOut { .. }
            | Event::RunCancelled { .. }
            | Event::RunInterrupted { .. } => self.end(event)?,
        }
        Ok(())
    }

    //= specs/runs.md#run-03
    //# An event of an agent MUST NOT occur before its `agent_started` or after its
    //# `agent_completed`.
    fn open_agent(&self, agent: Option<&AgentRef>) -> Result<usize, Violation> {
        let id = agent.ok_or(Violation::NoAgent)?.agent_run_id;
        let at = self.agents.iter().position(|open| open.agent.agent_run_id == id);
        at.ok_or(Violation::AgentNotOpen)
    }

    //= specs/runs.md#run-02
    //# `agent_started` MUST be the first event of an agent and MUST occur exactly once for it.
    fn start_agent(&mut self, agent: &AgentRef, ts: Wall) -> Result<(), Violation> {
        let id = agent.agent_run_id;
        let open = |id| self.agents.iter().any(|open| open.agent.agent_run_id == id);
        if open(id) || self.closed_agents.contains(&id) {
            return Err(Violation::AgentStartedTwice);
        }
        match agent.parent {
            Some(parent) if !open(parent) => return Err(Violation::AgentNotOpen),
            None if !(self.agents.is_empty() && self.closed_agents.is_empty()) => {
                return Err(Violation::SecondRoot);
            }
            Some(_) | None => {}
        }
        let tools = ToolCount::default();
        self.agents.push(OpenAgent { agent: agent.clone(), started: ts, tools });
        Ok(())
    }

    fn start_tool(
        &mut self,
        agent: Option<&AgentRef>,
        tool_call_id: ToolCallId,
        tool: &Name,
        ts: Wall,
    ) -> Result<(), Violation> {
        let at = self.open_agent(agent)?;
        let open = self.tools.iter().any(|open| open.tool_call_id == tool_call_id);
        if open || self.closed_tools.contains(&tool_call_id) {
            return Err(Violation::ToolStartedTwice);
        }
        self.agents[at].tools.total += 1;
        let agent_run_id = self.agents[at].agent.agent_run_id;
        let (tool, started, attempt) = (tool.clone(), ts, 1);
        self.tools.push(OpenTool { tool_call_id, agent_run_id, tool, started, attempt });
        Ok(())
    }

    fn end(&mut self, event: &Event) -> Result<(), Violation> {
        if !(self.agents.is_empty() && self.tools.is_empty()) {
            return Err(Violation::StillOpen);
        }
        if let Event::RunCompleted { status, .. } = event {
            if !matches!(status, RunStatus::Completed | RunStatus::Degraded) {
                return Err(Violation::WrongStatus);
            }
            //= specs/runs.md#run-27
            //# A run MUST NOT complete without an answer.
            if !self.answered {
                return Err(Violation::NoAnswer);
            }
        }
        self.ended = event.terminal_status();
        Ok(())
    }

    /// Closes what is open, tools before their agent and agents before the one that asked them, and
    /// ends with `terminal`. Nothing when the run has ended. The drafts are taken in already.
    pub fn close(&mut self, how: Closing, terminal: Event, desk: &mut Desk<'_>) -> Vec<Draft> {
        let mut drafts = Vec::with_capacity(self.agents.len() + self.tools.len() + 1);
        if self.ended.is_some() {
            return drafts;
        }
        while let Some(agent) = self.agents.last().map(|open| open.agent.agent_run_id) {
            drafts.extend(self.close_agent(agent, how, desk));
        }
        self.take_in(desk.draft(self.run_id, None, terminal), &mut drafts);
        drafts
    }

    /// Closes one agent with everything below it.
    pub fn close_agent(
        &mut self,
        agent_run_id: AgentRunId,
        how: Closing,
        desk: &mut Desk<'_>,
    ) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for agent_run_id in self.below(agent_run_id) {
            if !(canary!(OpenToolOnCancel) && how == Closing::Cancelled) {
                self.close_tools(agent_run_id, how, desk, &mut drafts);
            }
            let Some(open) = self.agent(agent_run_id) else { continue };
            let event = Event::AgentCompleted {
                status: how.agent(),
                duration_ms: desk.now.since(open.started).as_millis(),
                summary: how.words(),
                output: None,
                error: how.error(),
                usage: Usage::default(),
                tools: open.tools,
            };
            let agent = open.agent.clone();
            self.take_in(desk.draft(self.run_id, Some(agent), event), &mut drafts);
        }
        drafts
    }

    /// Closes the tools of one agent.
    pub fn close_tools(
        &mut self,
        agent_run_id: AgentRunId,
        how: Closing,
        desk: &mut Desk<'_>,
        drafts: &mut Vec<Draft>,
    ) {
        let Some(agent) = self.agent(agent_run_id).map(|open| open.agent.clone()) else { return };
        let open: Vec<OpenTool> =
            self.tools.iter().filter(|tool| tool.agent_run_id == agent_run_id).cloned().collect();
        for tool in open {
            let event = Event::ToolCompleted {
                tool_call_id: tool.tool_call_id,
                tool: tool.tool,
                status: how.tool(),
                duration_ms: desk.now.since(tool.started).as_millis(),
                result: Json::null(),
                result_ref: None,
                truncated: false,
                error: how.error(),
                attempt: tool.attempt,
            };
            self.take_in(desk.draft(self.run_id, Some(agent.clone()), event), drafts);
        }
    }

    fn take_in(&mut self, draft: Draft, drafts: &mut Vec<Draft>) {
        let allowed = self.observe_draft(&draft);
        debug_assert!(allowed.is_ok(), "closing broke the grammar: {allowed:?}");
        drafts.push(draft);
    }

    /// A call is being tried again.
    pub(super) fn tried_again(&mut self, tool_call_id: ToolCallId, attempt: u32) {
        if let Some(open) = self.tools.iter_mut().find(|open| open.tool_call_id == tool_call_id) {
            open.attempt = attempt;
        }
    }

    /// An open agent and all agents below it, the deepest and latest first.
    #[must_use]
    pub fn below(&self, agent_run_id: AgentRunId) -> Vec<AgentRunId> {
        let mut tree = Vec::new();
        // Agents are listed in the order they started: whoever asked stands before who was asked.
        for open in &self.agents {
            let asked = open.agent.parent.is_some_and(|parent| tree.contains(&parent));
            if open.agent.agent_run_id == agent_run_id || asked {
                tree.push(open.agent.agent_run_id);
            }
        }
        tree.reverse();
        tree
    }

    /// An open agent.
    #[must_use]
    pub fn agent(&self, agent_run_id: AgentRunId) -> Option<&OpenAgent> {
        self.agents.iter().find(|open| open.agent.agent_run_id == agent_run_id)
    }

    /// An open tool call.
    #[must_use]
    pub fn tool(&self, tool_call_id: ToolCallId) -> Option<&OpenTool> {
        self.tools.iter().find(|open| open.tool_call_id == tool_call_id)
    }

    /// The agents that have started and not completed, in that order.
    #[must_use]
    pub fn open_agents(&self) -> &[OpenAgent] {
        &self.agents
    }

    /// The tool calls under way, in the order they were made.
    #[must_use]
    pub fn open_tools(&self) -> &[OpenTool] {
        &self.tools
    }

    /// How the run ended, if it has.
    #[must_use]
    pub const fn ended(&self) -> Option<RunStatus> {
        self.ended
    }
}

/// What a draft needs besides its event: where, when, and a seed for its id.
#[derive(Debug)]
pub struct Desk<'a> {
    /// The run's thread.
    pub thread_id: ThreadId,
    /// The log's epoch.
    pub epoch: Epoch,
    /// When it happens.
    pub now: Wall,
    /// Whether recovery writes, not the agents themselves.
    pub synthesized: bool,
    /// Where ids come from.
    pub seed: &'a mut Seed,
}

impl Desk<'_> {
    /// Writes down an event of a run.
    #[must_use]
    pub fn draft(&mut self, run_id: RunId, agent: Option<AgentRef>, event: Event) -> Draft {
        Draft {
            id: EventId::draw(self.seed, self.now),
            thread_id: self.thread_id,
            epoch: self.epoch,
            ts: self.now,
            scope: Some(RunScope { run_id, agent }),
            synthesized: self.synthesized,
            event,
        }
    }

    /// How long ago something was.
    #[must_use]
    pub const fn since(&self, earlier: Wall) -> Millis {
        self.now.since(earlier)
    }
}
