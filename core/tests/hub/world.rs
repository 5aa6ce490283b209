//! A hub with everything around it: a store that fails on command, readers that check what they
//! hear, and runs that say what they are told to say.

use crate::store::Store;
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Batch, Hub, Input, Load, Output};
use goldenpath_core::id::{
    AgentRunId, ClientMsgId, ConnectionId, EffectId, Epoch, EventId, Fence, MessageId, Name, RunId,
    Seq, ThreadId, ToolCallId, UserId,
};
use goldenpath_core::limits::Limits;
use goldenpath_core::run::{Assignment, CancelReason};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Mono, Now, Wall};
use goldenpath_core::wire::{
    AgentRef, AgentStatus, ClientBody, Draft, Entry, Event, Frame, Json, MultitaskStrategy,
    OnDisconnect, Reply, ResumePoint, RunScope, RunStatus, ThoughtKind, ToolCount, ToolStatus,
    Usage, UserMessage,
};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A question of the hub that waits for its answer.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a handful at a time")]
pub(crate) enum Pending {
    Commit(EffectId, Batch),
    Load(EffectId, Load),
    Record(EffectId),
}

/// How the store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store3 {
    /// As it should.
    Well,
    /// Nothing is done.
    Down,
    /// It is done, but nobody hears of it.
    DoneUnheard,
}

/// A reader: applies entries by the client rule and checks them.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The last entry of each thread.
    pub(crate) positions: BTreeMap<ThreadId, Seq>,
    /// Bytes of each entry, without the replay mark.
    pub(crate) seen: BTreeMap<(ThreadId, Seq), String>,
    /// Frames without a place.
    pub(crate) control: Vec<Value>,
    /// Whether the first thing it heard was that it is attached.
    pub(crate) attached: bool,
    /// Closed by the hub.
    pub(crate) closed: Option<u16>,
}

/// A run's task: what it will still say.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) assignment: Assignment,
    pub(crate) fence: Fence,
    pub(crate) lines: VecDeque<Draft>,
}

/// All of it.
pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) now: Now,
    pub(crate) store: Store,
    pub(crate) pending: Vec<Pending>,
    pub(crate) readers: BTreeMap<ConnectionId, Reader>,
    pub(crate) tasks: BTreeMap<RunId, Task>,
    pub(crate) cancelled: Vec<(RunId, CancelReason)>,
    pub(crate) deadline: Option<Mono>,
    pub(crate) retired: bool,
    limits: Arc<Limits>,
    seed: Seed,
    next_connection: u128,
}

pub(crate) fn user() -> UserId {
    UserId::new("ada").unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let limits = Arc::new(limits);
        let mut seed = Seed::new(1);
        Self {
            hub: Hub::new(user(), limits.clone(), seed.fork()),
            now: Now { mono: Mono(1_000), wall: Wall(1_795_255_873_000) },
            store: Store::default(),
            pending: Vec::new(),
            readers: BTreeMap::new(),
            tasks: BTreeMap::new(),
            cancelled: Vec::new(),
            deadline: None,
            retired: false,
            limits,
            seed,
            next_connection: 1,
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.retired = false;
        self.hub.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        for _ in 0..100_000 {
            match self.hub.poll_output() {
                Output::Attached { connection_id, ready } => {
                    let reader = self.readers.get_mut(&connection_id).unwrap();
                    assert!(!reader.attached, "attached once");
                    assert!(reader.control.is_empty() && reader.seen.is_empty(), "attached first");
                    reader.attached = true;
                    for resumed in &ready.resume {
                        assert_eq!(resumed.recovered, resumed.reason.is_none());
                        if !resumed.recovered {
                            reader.positions.remove(&resumed.thread_id);
                        }
                    }
                }
                Output::CancelRun { run_id, reason } => self.cancelled.push((run_id, reason)),
                Output::Close { connection_id, code } => {
                    self.readers.get_mut(&connection_id).unwrap().closed = Some(code.code());
                }
                Output::Commit { effect, batch } => {
                    self.pending.push(Pending::Commit(effect, batch));
                }
                Output::Deliver { connection_id, frames, .. } => {
                    for frame in frames.iter() {
                        self.hear(connection_id, frame);
                    }
                }
                Output::Heads { connection_id, heads } => {
                    let reader = &self.readers[&connection_id];
                    for head in heads {
                        if let Some(position) = reader.positions.get(&head.thread_id) {
                            assert!(*position <= head.seq);
                        }
                    }
                }
                Output::Idle(deadline) => {
                    self.deadline = deadline;
                    return;
                }
                Output::KillRun { run_id } => {
                    self.tasks.remove(&run_id);
                }
                Output::Load { effect, load } => self.pending.push(Pending::Load(effect, load)),
                Output::Mark { connection_id, mark } => {
                    self.hub.handle_input(self.now, Input::Marked { connection_id, mark });
                }
                Output::Record { effect, .. } => {
                    self.pending.push(Pending::Record(effect));
                }
                Output::Retire => self.retired = true,
                Output::StartRun { assignment, fence, user_id } => {
                    assert_eq!(user_id, user());
                    assert!(!self.tasks.contains_key(&assignment.run_id), "one task per run");
                    let lines = script(&assignment, self.now, &mut self.seed);
                    self.tasks.insert(assignment.run_id, Task { assignment, fence, lines });
                }
            }
        }
        panic!("the hub never comes to rest");
    }

    /// The client rule, and what must hold of every frame.
    fn hear(&mut self, connection_id: ConnectionId, frame: &Frame) {
        let value: Value = serde_json::from_str(frame.as_str()).unwrap();
        let reader = self.readers.get_mut(&connection_id).unwrap();
        assert!(reader.closed.is_none(), "nothing is sent after a close");
        if value.get("seq").is_none() || value["type"] == "ack" {
            reader.control.push(value);
            return;
        }
        let entry = Entry::decode(frame.bytes()).unwrap();
        let log = &self.store.threads[&entry.thread_id];
        let stored =
            log.entries.get(entry.seq.0 as usize - 1).expect("committed before it is sent");
        assert_eq!(stored.frame(entry.seq, entry.replay), *frame, "the log's own bytes");
        let bytes = stored.frame(entry.seq, false).as_str().to_owned();
        reader.seen.insert((entry.thread_id, entry.seq), bytes);
        let position = reader.positions.entry(entry.thread_id).or_insert(Seq(entry.seq.0 - 1));
        assert!(entry.seq <= position.next(), "a hole in {}", entry.thread_id);
        *position = (*position).max(entry.seq);
    }

    pub(crate) fn attach(&mut self, resume: Vec<ResumePoint>) -> ConnectionId {
        let connection_id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let mut reader = Reader::default();
        for point in &resume {
            reader.positions.insert(point.thread_id, point.after_seq);
        }
        self.readers.insert(connection_id, reader);
        self.input(Input::Attach { connection_id, resume, reader: true });
        connection_id
    }

    pub(crate) fn detach(&mut self, connection_id: ConnectionId) {
        self.input(Input::Detach { connection_id });
    }

    pub(crate) fn command(&mut self, connection_id: ConnectionId, body: ClientBody) {
        self.input(Input::Command { connection_id, reply: Reply::None, body });
    }

    pub(crate) fn say(&mut self, connection_id: ConnectionId, message: UserMessage) {
        self.command(connection_id, ClientBody::UserMessage(message));
    }

    /// Answers the question at `index`.
    pub(crate) fn answer(&mut self, index: usize, how: Store3) {
        match self.pending.remove(index) {
            Pending::Commit(effect, batch) => {
                let result = match how {
                    Store3::Well => Ok(self.store.commit(&batch)),
                    Store3::Down => Err(Fault::Unavailable),
                    Store3::DoneUnheard => {
                        self.store.commit(&batch);
                        Err(Fault::Unknown)
                    }
                };
                self.input(Input::Committed { effect, result });
            }
            Pending::Load(effect, load) => {
                let result = match how {
                    Store3::Well => Ok(self.store.load(&load)),
                    Store3::Down | Store3::DoneUnheard => Err(Fault::Unavailable),
                };
                self.input(Input::Loaded { effect, result });
            }
            Pending::Record(effect) => {
                let result = match how {
                    Store3::Well => Ok(true),
                    Store3::Down | Store3::DoneUnheard => Err(Fault::Unknown),
                };
                self.input(Input::Recorded { effect, result });
            }
        }
    }

    /// The task of a run says its next `count` lines.
    pub(crate) fn speak(&mut self, run_id: RunId, count: usize) {
        let Some(task) = self.tasks.get_mut(&run_id) else { return };
        let drafts: Vec<Draft> = (0..count).filter_map(|_| task.lines.pop_front()).collect();
        let fence = task.fence;
        if task.lines.is_empty() {
            self.tasks.remove(&run_id);
        }
        self.input(Input::Append { run_id, fence, drafts });
    }

    pub(crate) fn pass(&mut self, span: Millis) {
        self.now = self.now.after(span);
        self.hub.handle_timeout(self.now);
        self.drain();
    }

    /// The process dies; the store stays. A new hub finds what was left.
    pub(crate) fn crash(&mut self) {
        self.pending.clear();
        self.tasks.clear();
        self.cancelled.clear();
        self.readers.clear();
        let seed = self.seed.fork();
        self.hub = Hub::new(user(), self.limits.clone(), seed);
        let runs = self.store.unfinished();
        self.input(Input::Recover { runs });
    }

    /// All faults stop: everything is answered, every task speaks to its end, time passes.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.pending.is_empty() {
                self.answer(0, Store3::Well);
            } else if let Some(run_id) = self.tasks.keys().next().copied() {
                self.speak(run_id, 100);
            } else if self.store.unfinished().is_empty() && self.quiet() {
                return;
            } else {
                self.pass(Millis(100));
            }
        }
        panic!("does not converge: {:?}", self.store.unfinished());
    }

    fn quiet(&self) -> bool {
        self.readers.values().filter(|reader| reader.closed.is_none()).all(|reader| {
            reader.positions.iter().all(|(thread_id, seq)| {
                self.store
                    .threads
                    .get(thread_id)
                    .is_none_or(|log| log.entries.len() as u64 == seq.0)
            })
        })
    }

    pub(crate) fn entries(&self, thread_id: ThreadId) -> Vec<Entry> {
        let log = &self.store.threads[&thread_id];
        log.entries.iter().map(|body| Entry::decode(body.bytes()).unwrap()).collect()
    }

    pub(crate) fn only_thread(&self) -> ThreadId {
        assert_eq!(self.store.threads.len(), 1);
        *self.store.threads.keys().next().unwrap()
    }

    /// The last control frame of a type that a reader heard.
    pub(crate) fn heard(&self, connection_id: ConnectionId, kind: &str) -> Option<&Value> {
        let control = &self.readers[&connection_id].control;
        control.iter().rev().find(|frame| frame["type"] == kind)
    }
}

/// A message with the id `name`.
pub(crate) fn message(name: &str, thread_id: Option<ThreadId>) -> UserMessage {
    UserMessage {
        client_msg_id: ClientMsgId::new(name).unwrap(),
        content: format!("question {name}"),
        thread_id,
        multitask: MultitaskStrategy::Enqueue,
        on_disconnect: OnDisconnect::Continue,
        expected_head_seq: None,
        metadata: None,
    }
}

/// What the task of a run says: one agent, one tool, an answer; without what the log already has.
fn script(assignment: &Assignment, now: Now, seed: &mut Seed) -> VecDeque<Draft> {
    let agent = AgentRef {
        name: Name::new("solo").unwrap(),
        agent_run_id: AgentRunId(assignment.run_id.0 + 1),
        parent: None,
        attempt: 1,
    };
    let tool_call_id = ToolCallId(assignment.run_id.0 + 2);
    let tool = Name::new("look").unwrap();
    let agents = [
        Event::AgentStarted {
            title: "Solo".into(),
            task: assignment.question.clone(),
            step: 1,
            of: 1,
            deadline_at: now.wall,
        },
        Event::AgentThinking {
            thought_id: 1,
            text: "reading".into(),
            kind: ThoughtKind::Status,
            progress: None,
        },
        Event::ToolExecuting {
            tool_call_id,
            tool: tool.clone(),
            title: "Look".into(),
            args: Json::null(),
            args_truncated: false,
            deadline_at: now.wall,
        },
        Event::ToolCompleted {
            tool_call_id,
            tool,
            status: ToolStatus::Completed,
            duration_ms: 1,
            result: Json::null(),
            result_ref: None,
            truncated: false,
            error: None,
            attempt: 1,
        },
        Event::AgentCompleted {
            status: AgentStatus::Completed,
            duration_ms: 2,
            summary: "done".into(),
            output: None,
            error: None,
            usage: Usage::default(),
            tools: ToolCount { total: 1, failed: 0 },
        },
    ];
    let run = [
        Event::AssistantMessage {
            message_id: MessageId(assignment.run_id.0 + 3),
            content: "42".into(),
            partial: false,
        },
        Event::RunCompleted {
            status: RunStatus::Completed,
            duration_ms: 3,
            usage: Usage::default(),
        },
    ];
    let with_agent = agents.into_iter().map(|event| (Some(agent.clone()), event));
    let all = with_agent.chain(run.into_iter().map(|event| (None, event)));
    all.skip(assignment.history.len())
        .map(|(agent, event)| Draft {
            id: EventId::draw(seed, now.wall),
            thread_id: assignment.thread_id,
            epoch: assignment.epoch,
            ts: now.wall,
            scope: Some(RunScope { run_id: assignment.run_id, agent }),
            synthesized: false,
            event,
        })
        .collect()
}

/// Where every reader of a world would resume.
pub(crate) fn points(
    reader: &Reader,
    epoch: impl Fn(ThreadId) -> Option<Epoch>,
) -> Vec<ResumePoint> {
    let positions = reader.positions.iter();
    positions
        .map(|(thread_id, after_seq)| ResumePoint {
            thread_id: *thread_id,
            epoch: epoch(*thread_id),
            after_seq: *after_seq,
        })
        .collect()
}
