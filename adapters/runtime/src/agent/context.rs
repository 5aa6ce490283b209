//! What an agent's code sees of the world: effects, and nothing else.

use super::tool::Tool;
use goldenpath_core::id::Name;
use goldenpath_core::run::{Answer, Finish, MISSING, Request, Task, ToolPolicy};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{AgentStatus, ErrorCode, ErrorInfo, Json, Progress, ThoughtKind};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// The context of one agent at work. Its effects are requested when they are first polled, those of one
/// poll together; awaiting anything else makes an agent end as failed.
#[derive(Clone)]
pub struct Cx {
    started_at: Wall,
    titles: Arc<BTreeMap<Name, &'static str>>,
    exchange: Exchange,
}

impl Cx {
    pub(super) fn new(
        started_at: Wall,
        titles: Arc<BTreeMap<Name, &'static str>>,
        exchange: Exchange,
    ) -> Self {
        Self { started_at, titles, exchange }
    }

    /// When the run started: the only time an agent knows, the same after a crash.
    #[must_use]
    pub const fn now(&self) -> Wall {
        self.started_at
    }

    /// Tells what the agent is doing, with real figures.
    pub async fn think(&self, text: impl Into<String>) {
        let (text, kind) = (text.into(), ThoughtKind::Status);
        self.effect(Request::Think { text, kind, progress: None }).await;
    }

    /// Tells what the agent is doing and how far it is.
    pub async fn think_at(&self, text: impl Into<String>, done: u64, total: u64) {
        let (text, kind) = (text.into(), ThoughtKind::Status);
        let progress = Some(Progress { done, total });
        self.effect(Request::Think { text, kind, progress }).await;
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// Why it did not complete, after all its tries; or that its result has another shape than `T::Out`.
    pub async fn tool<T: Tool>(&self, args: T::Args) -> Result<T::Out, ErrorInfo> {
        let args = Json::encode(&args).map_err(|error| shapeless(T::NAME, &error))?;
        let result = self.tool_named(T::NAME, T::TITLE, args, T::policy()).await?;
        result.decode().map_err(|error| shapeless(T::NAME, &error))
    }

    /// Calls a tool that is known by its name only.
    ///
    /// # Errors
    /// Why it did not complete, after all its tries.
    pub async fn tool_named(
        &self,
        tool: &str,
        title: &str,
        args: Json,
        policy: ToolPolicy,
    ) -> Result<Json, ErrorInfo> {
        let tool = named(tool)?;
        match self.effect(Request::Tool { tool, title: title.into(), args, policy }).await {
            Answer::Tool(result) => result,
            Answer::Delegated(_) | Answer::Thought => Err(mixed_up()),
        }
    }

    /// Has another agent of the team do something.
    ///
    /// # Errors
    /// Why it has no result.
    pub async fn delegate(&self, agent: &str, task: Task) -> Result<Finish, ErrorInfo> {
        let agent = named(agent)?;
        let title = String::from(self.titles.get(&agent).copied().unwrap_or(agent.as_str()));
        match self.effect(Request::Delegate { agent, title, task }).await {
            Answer::Delegated(result) => result,
            Answer::Thought | Answer::Tool(_) => Err(mixed_up()),
        }
    }

    fn effect(&self, request: Request) -> Effect {
        Effect { exchange: self.exchange.clone(), state: State::New(Some(request)) }
    }
}

fn named(name: &str) -> Result<Name, ErrorInfo> {
    let message = "an agent or a tool has a name of 1 to 64 bytes";
    Name::new(name).map_err(|_| ErrorInfo::new(ErrorCode::AgentFailed, message))
}

fn shapeless(tool: &str, error: &serde_json::Error) -> ErrorInfo {
    ErrorInfo::new(ErrorCode::ToolFailed, format!("{tool}: {error}"))
}

fn mixed_up() -> ErrorInfo {
    ErrorInfo::new(ErrorCode::Internal, "an answer to another effect")
}

/// Between an agent's code and whoever polls it.
#[derive(Clone, Default)]
pub(super) struct Exchange(Arc<Mutex<Waiting>>);

#[derive(Default)]
pub(super) struct Waiting {
    pub(super) requests: Vec<(u32, Request)>,
    pub(super) answers: BTreeMap<u32, Answer>,
    next: u32,
}

impl Exchange {
    pub(super) fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing is left half done under this lock, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Effect {
    exchange: Exchange,
    state: State,
}

enum State {
    New(Option<Request>),
    Asked(u32),
}

impl Future for Effect {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answer> {
        let this = &mut *self;
        let mut waiting = this.exchange.lock();
        match &mut this.state {
            State::New(request) => {
                let n = waiting.next;
                waiting.next += 1;
                waiting.requests.extend(request.take().map(|request| (n, request)));
                this.state = State::Asked(n);
                Poll::Pending
            }
            State::Asked(n) => match waiting.answers.remove(n) {
                Some(answer) => Poll::Ready(answer),
                None => Poll::Pending,
            },
        }
    }
}

/// What the steps before an agent left for it: [`Task::inputs`], read.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    outputs: BTreeMap<String, Json>,
    missing: Vec<Missing>,
}

/// A step before this one that has no result.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Missing {
    /// Whose.
    pub agent: Name,
    /// How it ended.
    pub status: AgentStatus,
    /// Why.
    #[serde(default)]
    pub error: Option<ErrorInfo>,
}

impl Inputs {
    /// Reads the inputs of a task.
    ///
    /// # Errors
    /// When they are not what the supervisor writes.
    pub fn of(task: &Task) -> Result<Self, serde_json::Error> {
        let all: Option<BTreeMap<String, Json>> = task.inputs.decode()?;
        let mut outputs = all.unwrap_or_default();
        let missing = outputs.remove(MISSING);
        let missing = missing.map(|json| json.decode()).transpose()?.unwrap_or_default();
        Ok(Self { outputs, missing })
    }

    /// The output of an agent; `None`: it has none.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn get<T: DeserializeOwned>(&self, agent: &str) -> Result<Option<T>, serde_json::Error> {
        self.outputs.get(agent).map(|json| json.decode()).transpose()
    }

    /// The agents without a result.
    #[must_use]
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }
}
