//! A team: agents, tools, and the order of their work.

use super::context::Cx;
use super::tool::{AnyTool, Tool};
use futures_util::future::BoxFuture;
use goldenpath_core::id::Name;
use goldenpath_core::run::{Finish, Route, Task, Workflow};
use goldenpath_core::wire::{ErrorCode, ErrorInfo};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// An agent: orchestration, and nothing that could come out otherwise the second time.
pub trait Agent: Send + Sync + 'static {
    /// As plans and events name it; 1 to 64 bytes.
    fn name(&self) -> &'static str;

    /// Its name for people.
    fn title(&self) -> &'static str;

    /// Its work.
    fn run(&self, cx: Cx, task: Task) -> BoxFuture<'static, Result<Finish, AgentError>>;
}

/// Why an agent has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentError(ErrorInfo);

impl AgentError {
    /// In plain words.
    pub fn new(message: impl Into<String>) -> Self {
        Self(ErrorInfo::new(ErrorCode::AgentFailed, message))
    }
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for AgentError {}

impl From<ErrorInfo> for AgentError {
    fn from(error: ErrorInfo) -> Self {
        Self(error)
    }
}

impl From<serde_json::Error> for AgentError {
    fn from(error: serde_json::Error) -> Self {
        Self::new(format!("a value has another shape than expected: {error}"))
    }
}

impl From<AgentError> for ErrorInfo {
    fn from(error: AgentError) -> Self {
        error.0
    }
}

/// Who works, with what, in which order. Made once, shared by all runs.
pub struct Team {
    workflow: Arc<Workflow>,
    agents: BTreeMap<Name, Arc<dyn Agent>>,
    tools: BTreeMap<Name, Arc<dyn AnyTool>>,
    titles: Arc<BTreeMap<Name, &'static str>>,
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Team")
            .field("agents", &self.agents.keys())
            .field("tools", &self.tools.keys())
            .finish_non_exhaustive()
    }
}

impl Team {
    /// A team that works by this workflow.
    #[must_use]
    pub fn builder(workflow: Workflow) -> TeamBuilder {
        TeamBuilder { workflow, agents: BTreeMap::new(), tools: BTreeMap::new(), bad: None }
    }

    /// The order of work.
    #[must_use]
    pub const fn workflow(&self) -> &Arc<Workflow> {
        &self.workflow
    }

    /// Names and titles of the agents, in alphabetical order.
    pub fn agents(&self) -> impl Iterator<Item = (&Name, &'static str)> {
        self.agents.iter().map(|(name, agent)| (name, agent.title()))
    }

    /// Names and titles of the tools, in alphabetical order.
    pub fn tools(&self) -> impl Iterator<Item = (&Name, &'static str)> {
        self.tools.iter().map(|(name, tool)| (name, tool.title()))
    }

    pub(super) fn agent(&self, name: &Name) -> Option<&Arc<dyn Agent>> {
        self.agents.get(name)
    }

    pub(super) fn tool(&self, name: &Name) -> Option<&Arc<dyn AnyTool>> {
        self.tools.get(name)
    }

    pub(super) const fn titles(&self) -> &Arc<BTreeMap<Name, &'static str>> {
        &self.titles
    }
}

/// A team being put together.
pub struct TeamBuilder {
    workflow: Workflow,
    agents: BTreeMap<Name, Arc<dyn Agent>>,
    tools: BTreeMap<Name, Arc<dyn AnyTool>>,
    bad: Option<TeamError>,
}

impl TeamBuilder {
    /// Adds an agent.
    #[must_use]
    pub fn agent(mut self, agent: impl Agent) -> Self {
        match Name::new(agent.name()) {
            Ok(name) => {
                if self.agents.insert(name.clone(), Arc::new(agent)).is_some() {
                    self.bad = Some(TeamError::Doubled(name));
                }
            }
            Err(_) => self.bad = Some(TeamError::BadName(agent.name())),
        }
        self
    }

    /// Adds a tool.
    #[must_use]
    pub fn tool<T: Tool>(mut self, tool: T) -> Self {
        match Name::new(T::NAME) {
            Ok(name) => {
                if self.tools.insert(name.clone(), Arc::new(tool)).is_some() {
                    self.bad = Some(TeamError::Doubled(name));
                }
            }
            Err(_) => self.bad = Some(TeamError::BadName(T::NAME)),
        }
        self
    }

    /// The team.
    ///
    /// # Errors
    /// When a name is bad or used twice, or a step of the workflow has no agent.
    pub fn build(self) -> Result<Team, TeamError> {
        if let Some(bad) = self.bad {
            return Err(bad);
        }
        let steps = Route::ALL.into_iter().flat_map(|route| self.workflow.steps(route));
        for step in core::iter::once(self.workflow.triage()).chain(steps) {
            if !self.agents.contains_key(&step.agent) {
                return Err(TeamError::NoAgent(step.agent.clone()));
            }
        }
        let titles = self.agents.iter().map(|(name, agent)| (name.clone(), agent.title()));
        Ok(Team {
            titles: Arc::new(titles.collect()),
            workflow: Arc::new(self.workflow),
            agents: self.agents,
            tools: self.tools,
        })
    }
}

/// Why a team cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TeamError {
    /// A name that is empty, too long, or holds control characters.
    BadName(&'static str),
    /// Two agents or two tools with one name.
    Doubled(Name),
    /// A step of the workflow that nobody does.
    NoAgent(Name),
}

impl fmt::Display for TeamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName(name) => write!(f, "{name:?} cannot be a name"),
            Self::Doubled(name) => write!(f, "{name} is there twice"),
            Self::NoAgent(name) => write!(f, "the workflow needs the agent {name}"),
        }
    }
}

impl std::error::Error for TeamError {}
