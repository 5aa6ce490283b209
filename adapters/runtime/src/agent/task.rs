//! The task of one run: the machine, its agents' code, its tools, and the clock.

use super::context::Cx;
use super::coroutine::Coroutine;
use super::team::Team;
use super::tool::{Shelf, ToolCx};
use crate::clock::Clock;
use crate::ports::Artifacts;
use crate::shard::RunSink;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use goldenpath_core::auth::Scope;
use goldenpath_core::id::{AgentRunId, Name, RunId, ThreadId, ToolCallId};
use goldenpath_core::limits::Limits;
use goldenpath_core::run::{AgentSays, Assignment, Input, Output, Run, Task, ToolOutcome};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Mono, Wall};
use goldenpath_core::wire::{
    AgentRef, Announced, Draft, ErrorCode, ErrorInfo, Frame, Json, Progress, Reply, ServerFrame,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// Reports of tools that may wait to be shown; beyond it they are dropped.
const REPORTS_WAITING: usize = 64;

/// Where a run writes.
pub trait Log: Send + Sync + 'static {
    /// Appends to the run's thread, in order. The last draft may be the terminal event.
    fn append(&self, drafts: Vec<Draft>);

    /// Asks to hear when what was appended so far is durable (`RunControl::confirmed`).
    fn confirm(&self, tool_call_id: ToolCallId);

    /// Shows something that is not kept.
    fn transient(&self, frame: Frame);
}

impl Log for RunSink {
    fn append(&self, drafts: Vec<Draft>) {
        Self::append(self, drafts);
    }

    fn confirm(&self, tool_call_id: ToolCallId) {
        Self::confirm(self, tool_call_id);
    }

    fn transient(&self, frame: Frame) {
        Self::transient(self, frame);
    }
}

/// What every run of a team works with.
#[derive(Clone)]
pub(super) struct Around {
    pub(super) artifacts: Arc<dyn Artifacts>,
    pub(super) clock: Clock,
    pub(super) limits: Arc<Limits>,
    pub(super) team: Arc<Team>,
}

/// How far a tool is, and in words.
pub(super) type Report = (ToolCallId, Progress, String);

/// A call that was given to the outside.
struct Call {
    attempt: u32,
    abort: AbortHandle,
    cancelled: Arc<AtomicBool>,
}

struct ToolEnd {
    tool_call_id: ToolCallId,
    attempt: u32,
    outcome: ToolOutcome,
}

/// One run at work.
pub(super) struct RunTask<L> {
    run: Run,
    around: Around,
    log: L,
    shelf: Shelf,
    run_id: RunId,
    thread_id: ThreadId,
    started_at: Wall,
    agents: BTreeMap<AgentRunId, Coroutine>,
    calls: BTreeMap<ToolCallId, Call>,
    tools: JoinSet<ToolEnd>,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    batch: Vec<Draft>,
    heard: Vec<AgentSays>,
}

impl<L: Log> RunTask<L> {
    pub(super) fn new(around: Around, user: Scope, assignment: Assignment, log: L) -> Self {
        let (run_id, thread_id) = (assignment.run_id, assignment.thread_id);
        let started_at = assignment.started_at;
        let shelf =
            Shelf { artifacts: around.artifacts.clone(), clock: around.clock, run_id, user };
        let now = around.clock.now();
        // Each attempt draws ids of its own; a simulation gets the same ones again.
        let bits = run_id.0 as u64 ^ (run_id.0 >> 64) as u64;
        let seed = Seed::new(bits.rotate_left(assignment.attempt % 64) ^ now.wall.0);
        let workflow = around.team.workflow().clone();
        let run = Run::new(assignment, workflow, around.limits.clone(), seed, now);
        Self {
            run,
            around,
            log,
            shelf,
            run_id,
            thread_id,
            started_at,
            agents: BTreeMap::new(),
            calls: BTreeMap::new(),
            tools: JoinSet::new(),
            reports: mpsc::channel(REPORTS_WAITING),
            batch: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// Runs it to its end.
    pub(super) async fn work(mut self, mut control: mpsc::UnboundedReceiver<Input>) {
        loop {
            let Some(deadline) = self.drain().await else { return };
            let sleep = deadline.map(|deadline| self.around.clock.instant(deadline));
            let sleep = async move {
                match sleep {
                    Some(instant) => tokio::time::sleep_until(instant).await,
                    None => std::future::pending().await,
                }
            };
            let input = tokio::select! {
                biased;
                Some(told) = control.recv() => Some(told),
                Some(ended) = self.tools.join_next() => match ended {
                    Ok(ToolEnd { tool_call_id, attempt, outcome }) => {
                        self.calls.remove(&tool_call_id);
                        Some(Input::ToolDone { tool_call_id, attempt, outcome })
                    }
                    // Aborted by us: the machine has closed it already.
                    Err(_) => None,
                },
                Some((tool_call_id, progress, text)) = self.reports.1.recv() => {
                    Some(Input::ToolProgress { tool_call_id, progress, text })
                }
                () = sleep => None,
            };
            let now = self.around.clock.now();
            match input {
                Some(input) => self.run.handle_input(now, input),
                None => self.run.handle_timeout(now),
            }
        }
    }

    /// Does what the machine says until it has nothing more to say; `None` when it has ended.
    async fn drain(&mut self) -> Option<Option<Mono>> {
        loop {
            match self.run.poll_output() {
                Output::AbortTool { tool_call_id } => self.abort(tool_call_id),
                Output::Answer { agent_run_id, n, answer } => {
                    if let Some(coroutine) = self.agents.get_mut(&agent_run_id) {
                        coroutine.answer(n, answer);
                        self.poll_agent(agent_run_id);
                    }
                }
                Output::Append(draft) => self.batch.push(draft),
                Output::CallTool { tool_call_id, agent, tool, args, attempt } => {
                    self.call_tool(tool_call_id, agent, &tool, args, attempt).await;
                }
                Output::Confirm { tool_call_id } => {
                    self.flush();
                    self.log.confirm(tool_call_id);
                }
                Output::Ended(_) => {
                    self.flush();
                    return None;
                }
                Output::Idle(deadline) => {
                    self.flush();
                    return Some(deadline);
                }
                Output::LoadResult { tool_call_id, reference, attempt } => {
                    let shelf = self.shelf.clone();
                    let load = async move { shelf.load(&reference).await }.boxed();
                    let cancelled = Arc::default();
                    self.start(tool_call_id, attempt, load, cancelled, false).await;
                }
                Output::Progress { tool_call_id, progress, text } => {
                    self.show(tool_call_id, progress, text);
                }
                Output::StartAgent { agent, task } => self.start_agent(agent, task),
                Output::StopAgent { agent_run_id } => {
                    self.agents.remove(&agent_run_id);
                }
            }
        }
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.log.append(core::mem::take(&mut self.batch));
        }
    }

    fn start_agent(&mut self, agent: AgentRef, task: Task) {
        let id = agent.agent_run_id;
        let begun = match self.around.team.agent(&agent.name) {
            Some(code) => Coroutine::begin(|exchange| {
                let titles = self.around.team.titles().clone();
                code.run(Cx::new(self.started_at, titles, exchange), task)
            }),
            None => {
                let message = format!("there is no agent {}", agent.name);
                Err(ErrorInfo::new(ErrorCode::AgentFailed, message))
            }
        };
        match begun {
            Ok(coroutine) => {
                self.agents.insert(id, coroutine);
                self.poll_agent(id);
            }
            Err(error) => self.agent_says(id, AgentSays::Failed(error)),
        }
    }

    fn poll_agent(&mut self, agent_run_id: AgentRunId) {
        let Some(coroutine) = self.agents.get_mut(&agent_run_id) else { return };
        let mut heard = core::mem::take(&mut self.heard);
        coroutine.poll(&mut heard);
        for says in heard.drain(..) {
            if !matches!(says, AgentSays::Request { .. }) {
                self.agents.remove(&agent_run_id);
            }
            self.agent_says(agent_run_id, says);
        }
        self.heard = heard;
    }

    fn agent_says(&mut self, agent_run_id: AgentRunId, says: AgentSays) {
        let now = self.around.clock.now();
        self.run.handle_input(now, Input::Agent { agent_run_id, says });
    }

    async fn call_tool(
        &mut self,
        tool_call_id: ToolCallId,
        agent: AgentRef,
        tool: &Name,
        args: Json,
        attempt: u32,
    ) {
        let Some(tool) = self.around.team.tool(tool).cloned() else {
            let message = format!("there is no tool {tool}");
            let error = ErrorInfo::new(ErrorCode::ToolFailed, message);
            let outcome = ToolOutcome::Failed { error, transient: false, retry_after: None };
            let now = self.around.clock.now();
            return self.run.handle_input(now, Input::ToolDone { tool_call_id, attempt, outcome });
        };
        let cancelled = Arc::new(AtomicBool::new(false));
        let cx = ToolCx {
            agent,
            attempt,
            cancelled: cancelled.clone(),
            clock: self.around.clock,
            reports: self.reports.0.clone(),
            shelf: self.shelf.clone(),
            started_at: self.started_at,
            thread_id: self.thread_id,
            tool_call_id,
        };
        let blocking = tool.is_blocking();
        let work = tool.call(cx, args, self.around.limits.inline_result_bytes);
        self.start(tool_call_id, attempt, work, cancelled, blocking).await;
    }

    /// Begins something that ends with a `ToolDone`. What is ready at once costs no task.
    async fn start(
        &mut self,
        tool_call_id: ToolCallId,
        attempt: u32,
        mut work: BoxFuture<'static, ToolOutcome>,
        cancelled: Arc<AtomicBool>,
        blocking: bool,
    ) {
        let end = move |outcome| ToolEnd { tool_call_id, attempt, outcome };
        //= specs/isolation.md#iso-09
        //# A tool that is declared blocking MUST NOT hold up other users.
        let abort = if blocking {
            let handle = tokio::runtime::Handle::current();
            self.tools.spawn_blocking(move || end(handle.block_on(work)))
        } else {
            let polled = std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context)));
            if let Poll::Ready(outcome) = polled.await {
                let now = self.around.clock.now();
                let done = Input::ToolDone { tool_call_id, attempt, outcome };
                return self.run.handle_input(now, done);
            }
            self.tools.spawn(work.map(end))
        };
        self.calls.insert(tool_call_id, Call { attempt, abort, cancelled });
    }

    fn abort(&mut self, tool_call_id: ToolCallId) {
        if let Some(call) = self.calls.remove(&tool_call_id) {
            tracing::debug!(run_id = %self.run_id, %tool_call_id, call.attempt, "tool aborted");
            call.cancelled.store(true, Ordering::Relaxed);
            call.abort.abort();
        }
    }

    fn show(&self, tool_call_id: ToolCallId, progress: Progress, text: String) {
        let frame = ServerFrame::ToolProgress {
            thread_id: self.thread_id,
            run_id: self.run_id,
            tool_call_id,
            done: progress.done,
            total: progress.total,
            text,
        };
        let announced = Announced { limits: &self.around.limits };
        self.log.transient(frame.encode(&Reply::None, announced));
    }
}

impl<L> Drop for RunTask<L> {
    /// A blocking tool cannot be aborted, only told.
    fn drop(&mut self) {
        for call in self.calls.values() {
            call.cancelled.store(true, Ordering::Relaxed);
        }
    }
}
