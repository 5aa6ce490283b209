//! Tools: where agents touch the world.

use super::task::Report;
use crate::clock::Clock;
use crate::ports::{Artifact, Artifacts};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use goldenpath_core::auth::Scope;
use goldenpath_core::fault::Fault;
use goldenpath_core::id::{RunId, ThreadId, ToolCallId};
use goldenpath_core::run::{StoredResult, ToolOutcome, ToolPolicy, ToolResult};
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{AgentRef, ErrorCode, ErrorInfo, Json, Progress};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// A tool: typed arguments in, a typed result out, and the only place for clocks, I/O and chance.
pub trait Tool: Send + Sync + 'static {
    /// What it is called with.
    type Args: Serialize + DeserializeOwned + Send + 'static;
    /// What it returns.
    type Out: Serialize + DeserializeOwned + Send + 'static;
    /// As events name it; 1 to 64 bytes.
    const NAME: &'static str;
    /// What it does, for people.
    const TITLE: &'static str;
    /// Whether it computes or waits without awaiting, so that it needs a thread of its own (F34).
    const BLOCKING: bool = false;

    /// How it may be called. The default is a read-only tool's: limits of the run, called again after
    /// a failure or a crash. A tool with an effect on the world says `repeatable: false`: it is called
    /// at most once, after the call is in the log (RUN-35), and a call that a crash cut off is not made
    /// again but ends abandoned (RUN-22).
    #[must_use]
    fn policy() -> ToolPolicy {
        ToolPolicy::default()
    }

    /// Does it. Dropping the future is the cancellation; a blocking tool asks [`ToolCx::is_cancelled`].
    fn call(
        &self,
        cx: ToolCx,
        args: Self::Args,
    ) -> impl Future<Output = Result<Self::Out, ToolError>> + Send;
}

/// Why a tool has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolError {
    error: ErrorInfo,
    transient: bool,
    retry_after: Option<Millis>,
}

impl ToolError {
    /// Trying again will not help.
    pub fn fatal(message: impl Into<String>) -> Self {
        let error =
            ErrorInfo { retryable: false, ..ErrorInfo::new(ErrorCode::ToolFailed, message) };
        Self { error, transient: false, retry_after: None }
    }

    /// The arguments make no sense; the agent may call with others.
    pub fn invalid(message: impl Into<String>) -> Self {
        let error = ErrorInfo::new(ErrorCode::ValidationFailed, message);
        Self { error, transient: false, retry_after: None }
    }

    /// The user may not do this.
    pub fn denied(message: impl Into<String>) -> Self {
        let error = ErrorInfo::new(ErrorCode::Forbidden, message);
        Self { error, transient: false, retry_after: None }
    }

    /// Trying again may help; the run does, within the policy.
    pub fn transient(message: impl Into<String>) -> Self {
        let error = ErrorInfo::new(ErrorCode::ToolFailed, message);
        Self { error, transient: true, retry_after: None }
    }

    /// Not before this much time has passed (`Retry-After`).
    #[must_use]
    pub fn retry_after(self, wait: Millis) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    fn outcome(self) -> ToolOutcome {
        let Self { error, transient, retry_after } = self;
        ToolOutcome::Failed { error, transient, retry_after }
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error.message)
    }
}

impl std::error::Error for ToolError {}

impl From<Fault> for ToolError {
    fn from(fault: Fault) -> Self {
        let error = ErrorInfo::new(ErrorCode::StorageUnavailable, format!("the store: {fault}"));
        Self { error, transient: fault != Fault::Refused, retry_after: None }
    }
}

/// What a tool knows of the call it serves. Everything in it is bound to one user (invariant 9).
#[derive(Clone)]
pub struct ToolCx {
    pub(super) agent: AgentRef,
    pub(super) attempt: u32,
    pub(super) cancelled: Arc<AtomicBool>,
    pub(super) clock: Clock,
    pub(super) reports: mpsc::Sender<Report>,
    pub(super) shelf: Shelf,
    pub(super) started_at: Wall,
    pub(super) thread_id: ThreadId,
    pub(super) tool_call_id: ToolCallId,
}

impl ToolCx {
    /// Whose data the tool may touch.
    #[must_use]
    pub const fn user(&self) -> &Scope {
        &self.shelf.user
    }

    /// The run.
    #[must_use]
    pub const fn run_id(&self) -> RunId {
        self.shelf.run_id
    }

    /// Its thread.
    #[must_use]
    pub const fn thread_id(&self) -> ThreadId {
        self.thread_id
    }

    /// Who calls.
    #[must_use]
    pub const fn agent(&self) -> &AgentRef {
        &self.agent
    }

    /// The call, a name for what it does elsewhere (idempotency key); the same for every try of it.
    #[must_use]
    pub const fn tool_call_id(&self) -> ToolCallId {
        self.tool_call_id
    }

    /// Which try this is, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When the run started.
    #[must_use]
    pub const fn run_started_at(&self) -> Wall {
        self.started_at
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Wall {
        self.clock.now().wall
    }

    /// Shows how far the tool is; may be dropped when there is too much of it. `total` 0: unknown.
    pub fn report(&self, done: u64, total: u64, text: impl Into<String>) {
        let _ = self.reports.try_send((self.tool_call_id, Progress { done, total }, text.into()));
    }

    /// Whether the outcome no longer matters.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Where the run keeps what is too large for events.
    #[must_use]
    pub const fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}

/// The artifacts of one run.
#[derive(Clone)]
pub struct Shelf {
    pub(super) artifacts: Arc<dyn Artifacts>,
    pub(super) clock: Clock,
    pub(super) run_id: RunId,
    pub(super) user: Scope,
}

/// Something on the shelf.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// Its name on the shelf.
    pub name: String,
    /// Where a browser finds it.
    pub url: String,
    /// Its length.
    pub bytes: u64,
}

impl Shelf {
    /// Keeps something; what has the same name is replaced.
    ///
    /// # Errors
    /// When the store does not answer, or no longer knows the run.
    pub async fn put(
        &self,
        name: &str,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Result<Kept, ToolError> {
        let bytes = bytes.into();
        let kept = Kept { name: name.into(), url: self.url(name), bytes: bytes.len() as u64 };
        let at = self.clock.now().wall;
        let artifact = Artifact { name: name.into(), media_type: media_type.into(), bytes, at };
        if self.artifacts.put(&self.user, self.run_id, artifact).await? {
            Ok(kept)
        } else {
            Err(ToolError::fatal("the run is no longer there"))
        }
    }

    /// Reads something.
    ///
    /// # Errors
    /// When the store does not answer, or there is no such thing.
    pub async fn get(&self, name: &str) -> Result<Bytes, ToolError> {
        let found = self.artifacts.get(&self.user, self.run_id, name).await?;
        found
            .map(|artifact| artifact.bytes)
            .ok_or_else(|| ToolError::fatal(format!("there is no artifact {name}")))
    }

    /// Where a browser finds something.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("/api/runs/{}/artifacts/{name}", self.run_id)
    }

    /// The whole result an event refers to.
    pub(super) async fn load(&self, reference: &str) -> ToolOutcome {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let value = match self.get(name).await {
            Ok(bytes) => core::str::from_utf8(&bytes).ok().and_then(|text| Json::parse(text).ok()),
            Err(error) => return error.outcome(),
        };
        match value {
            Some(value) => ToolOutcome::Returned(ToolResult { value, stored: None }),
            None => ToolError::fatal(format!("the artifact {name} is no JSON")).outcome(),
        }
    }
}

/// A tool without its types.
pub(super) trait AnyTool: Send + Sync {
    fn title(&self) -> &'static str;
    fn is_blocking(&self) -> bool;
    /// Calls it; panics and large results are taken care of.
    fn call(
        self: Arc<Self>,
        cx: ToolCx,
        args: Json,
        inline: usize,
    ) -> BoxFuture<'static, ToolOutcome>;
}

impl<T: Tool> AnyTool for T {
    fn title(&self) -> &'static str {
        T::TITLE
    }

    fn is_blocking(&self) -> bool {
        T::BLOCKING
    }

    fn call(
        self: Arc<Self>,
        cx: ToolCx,
        args: Json,
        inline: usize,
    ) -> BoxFuture<'static, ToolOutcome> {
        let work = async move {
            let args: T::Args = match args.decode() {
                Ok(args) => args,
                Err(error) => return ToolError::invalid(format!("arguments: {error}")).outcome(),
            };
            let (shelf, tool_call_id) = (cx.shelf.clone(), cx.tool_call_id);
            let result = match Tool::call(&*self, cx, args).await {
                Ok(result) => Json::encode(&result),
                Err(error) => return error.outcome(),
            };
            match result {
                Ok(value) if value.as_str().len() <= inline => {
                    ToolOutcome::Returned(ToolResult { value, stored: None })
                }
                Ok(value) => store(&shelf, tool_call_id, value).await,
                Err(error) => ToolError::fatal(format!("result: {error}")).outcome(),
            }
        };
        // A panic ends this call and nothing else (F24).
        Box::pin(AssertUnwindSafe(work).catch_unwind().map(|outcome| {
            outcome.unwrap_or_else(|_| ToolError::fatal("the tool panicked").outcome())
        }))
    }
}

/// A result too large for an event: kept whole, shown by its beginning.
async fn store(shelf: &Shelf, tool_call_id: ToolCallId, value: Json) -> ToolOutcome {
    let text = value.as_str();
    let shown: String = text.chars().take(500).collect();
    let preview = serde_json::json!({ "bytes": text.len(), "begins": shown });
    let name = format!("{tool_call_id}.json");
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    match shelf.put(&name, "application/json", bytes).await {
        Ok(kept) => {
            let preview = Json::encode(&preview).unwrap_or_default();
            let stored = Some(StoredResult { reference: kept.url, preview });
            ToolOutcome::Returned(ToolResult { value, stored })
        }
        Err(error) => error.outcome(),
    }
}
