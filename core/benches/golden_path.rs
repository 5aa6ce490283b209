//! What one golden path costs in the machines: a message, its run of 28 entries, all commits answered
//! at once, one reader. No sockets, no store, no tasks.

use core::hint::black_box;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use goldenpath_core::connection::Identity;
use goldenpath_core::hub::{Committed, Hub, Input, Output};
use goldenpath_core::id::{
    AgentRunId, ClientMsgId, ConnectionId, EventId, MessageId, Name, RunId, Seq, SessionId,
    ThreadId, ToolCallId,
};
use goldenpath_core::limits::Limits;
use goldenpath_core::run::Assignment;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Mono, Now, Wall};
use goldenpath_core::wire::{
    AgentRef, AgentStatus, ClientBody, Draft, Event, Json, MultitaskStrategy, OnDisconnect, Reply,
    RunScope, RunStatus, ThoughtKind, ToolCount, ToolStatus, Usage, UserMessage,
};
use std::sync::Arc;

const NOW: Now = Now { mono: Mono(0), wall: Wall(1_800_000_000_000) };
const READER: ConnectionId = ConnectionId(1);

/// A hub with one reader and a thread it writes to, and where the thread's head is.
struct Bench {
    hub: Hub,
    head: u64,
    thread_id: Option<ThreadId>,
    asked: u64,
    bytes: usize,
}

impl Bench {
    fn new() -> Self {
        let visitor = Identity::visitor(1, SessionId(1), NOW.wall);
        let mut hub = Hub::new(visitor.scope(), Arc::new(Limits::default()), Seed::new(1));
        hub.handle_input(
            NOW,
            Input::Attach { connection_id: READER, resume: Vec::new(), reader: true },
        );
        let mut bench = Self { hub, head: 0, thread_id: None, asked: 0, bytes: 0 };
        bench.settle();
        bench.golden_path();
        bench
    }

    fn golden_path(&mut self) -> u64 {
        self.asked += 1;
        let before = self.head;
        let message = UserMessage {
            client_msg_id: ClientMsgId::new(&format!("m{}", self.asked)).expect("a valid name"),
            content: "Analyze my AI costs".into(),
            thread_id: self.thread_id,
            multitask: MultitaskStrategy::Enqueue,
            on_disconnect: OnDisconnect::Continue,
            expected_head_seq: None,
            metadata: None,
        };
        let body = ClientBody::UserMessage(message);
        self.hub
            .handle_input(NOW, Input::Command { connection_id: READER, reply: Reply::None, body });
        self.settle();
        self.head - before
    }

    fn settle(&mut self) {
        loop {
            match self.hub.poll_output() {
                Output::Commit { effect, batch } => {
                    self.thread_id = Some(batch.thread_id);
                    let first_seq = Seq(self.head + 1);
                    self.head += batch.entries.len() as u64;
                    let result = Ok(Committed::Done { first_seq });
                    self.hub.handle_input(NOW, Input::Committed { effect, result });
                }
                Output::Deliver { frames, .. } => {
                    self.bytes += frames.iter().map(|frame| frame.len()).sum::<usize>();
                }
                Output::StartRun { assignment, fence, .. } => {
                    let (run_id, drafts) = (assignment.run_id, run(&assignment));
                    self.hub.handle_input(NOW, Input::Append { run_id, fence, drafts });
                }
                Output::Idle(_) => return,
                other => {
                    black_box(other);
                }
            }
        }
    }
}

/// The supervisor, four agents with a thought and a tool each, the answer.
fn run(assignment: &Assignment) -> Vec<Draft> {
    let base = assignment.run_id.0;
    let mut drafts = Vec::with_capacity(28);
    let mut say = |agent: Option<AgentRef>, event: Event| {
        drafts.push(Draft {
            id: EventId(base + 100 + drafts.len() as u128),
            thread_id: assignment.thread_id,
            epoch: assignment.epoch,
            ts: NOW.wall,
            scope: Some(RunScope { run_id: assignment.run_id, agent }),
            synthesized: false,
            event,
        });
    };
    let supervisor = agent("supervisor", base, None);
    say(Some(supervisor.clone()), started("Supervisor"));
    for (n, name) in (1u128..).zip(["triage", "data", "optimization", "report"]) {
        let agent = agent(name, base + n, Some(AgentRunId(base)));
        let (tool_call_id, tool) = (ToolCallId(base + 10 + n), named("at_once"));
        say(Some(agent.clone()), started(name));
        say(
            Some(agent.clone()),
            Event::AgentThinking {
                thought_id: 0,
                text: "read 80,706 usage rows, 14 days, 6 models".into(),
                kind: ThoughtKind::Status,
                progress: None,
            },
        );
        say(
            Some(agent.clone()),
            Event::ToolExecuting {
                tool_call_id,
                tool: tool.clone(),
                title: "At once".into(),
                args: Json::null(),
                args_truncated: false,
                deadline_at: NOW.wall,
            },
        );
        say(
            Some(agent.clone()),
            Event::ToolCompleted {
                tool_call_id,
                tool,
                status: ToolStatus::Completed,
                duration_ms: 0,
                result: Json::null(),
                result_ref: None,
                truncated: false,
                error: None,
                attempt: 1,
            },
        );
        say(Some(agent), completed(1));
    }
    say(Some(supervisor), completed(0));
    let answer = Event::AssistantMessage {
        message_id: MessageId(base + 50),
        content: "All tools answered.".into(),
        partial: false,
    };
    say(None, answer);
    let usage = Usage::default();
    say(None, Event::RunCompleted { status: RunStatus::Completed, duration_ms: 1, usage });
    drafts
}

fn named(name: &str) -> Name {
    Name::new(name).expect("a valid name")
}

fn agent(name: &str, id: u128, parent: Option<AgentRunId>) -> AgentRef {
    AgentRef { name: named(name), agent_run_id: AgentRunId(id), parent, attempt: 1 }
}

fn started(title: &str) -> Event {
    Event::AgentStarted {
        title: title.into(),
        task: "Analyze my AI costs".into(),
        step: 1,
        of: 4,
        deadline_at: NOW.wall,
    }
}

fn completed(total: u32) -> Event {
    Event::AgentCompleted {
        status: AgentStatus::Completed,
        duration_ms: 1,
        summary: "done".into(),
        output: None,
        error: None,
        usage: Usage::default(),
        tools: ToolCount { total, failed: 0 },
    }
}

fn golden_paths(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hub");
    let entries = Bench::new().golden_path();
    assert!(entries > 20, "a whole run: {entries} entries");
    group.throughput(Throughput::Elements(1));
    group.bench_function("golden path", |bencher| {
        let mut bench = Bench::new();
        bencher.iter(|| black_box(bench.golden_path()));
    });
    group.bench_function("a run's drafts, encoded", |bencher| {
        let assignment = Assignment {
            run_id: RunId(1 << 100),
            thread_id: ThreadId(2),
            epoch: goldenpath_core::id::Epoch(1),
            message_id: MessageId(3),
            message_seq: Seq(2),
            question: String::new(),
            attempt: 1,
            started_at: NOW.wall,
            history: Vec::new(),
        };
        bencher.iter_batched(
            || run(&assignment),
            |drafts| drafts.iter().map(|draft| draft.encode().bytes().len()).sum::<usize>(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, golden_paths);
criterion_main!(benches);
