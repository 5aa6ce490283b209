//! A client against a server behind a network that loses, doubles and reorders frames, cuts sockets and
//! refuses dials: whatever happens, the view is each entry once and in order; and when it stops, every
//! message is acknowledged and the view is the log.

use super::*;
use crate::fault::Fault;
use crate::id::{ConnectionId, EventId, MessageId, SessionId, UserId};
use crate::limits::Limits;
use crate::time::Mono;
use crate::wire::{
    AckFrame, Announced, AuthMethod, Draft, Entry, EntryBody, Head, MultitaskStrategy, Naming,
    OnDisconnect, ReadyFrame, Resumed, RunStatus, ServerFrame, decode,
};
use alloc::string::String;
use alloc::vec;
use proptest::prelude::*;

/// A server that keeps logs and answers, without any fault of its own but those it is told.
#[derive(Default)]
struct Server {
    logs: BTreeMap<ThreadId, (Epoch, Vec<EntryBody>)>,
    acks: BTreeMap<ClientMsgId, (String, AckFrame)>,
    followed: BTreeSet<ThreadId>,
    next_id: u128,
    refuse_next: bool,
    said: VecDeque<String>,
}

const REPLAY_MOST: usize = 6;

impl Server {
    fn connected(&mut self) {
        self.followed.clear();
        self.said.clear();
        self.say(&ServerFrame::Ready(ReadyFrame {
            connection_id: ConnectionId(1),
            user_id: UserId::new("u").unwrap(),
            session_id: SessionId(1),
            auth_method: AuthMethod::Demo,
            mode: "demo",
            server_time: crate::time::Wall(0),
            token_expires_at: None,
            resume: vec![],
            active_runs: vec![],
            degraded: vec![],
        }));
    }

    fn say(&mut self, frame: &ServerFrame) {
        self.answer(frame, &Reply::None);
    }

    fn answer(&mut self, frame: &ServerFrame, reply: &Reply) {
        let text = frame.encode(reply, Announced { limits: &Limits::default() });
        self.said.push_back(text.as_str().to_string());
    }

    fn append(&mut self, thread_id: ThreadId) {
        self.next_id += 1;
        let (epoch, log) = self.logs.entry(thread_id).or_insert((Epoch(1), Vec::new()));
        let draft = Draft {
            id: EventId(self.next_id),
            thread_id,
            epoch: *epoch,
            ts: crate::time::Wall(0),
            scope: None,
            synthesized: false,
            event: crate::wire::Event::ThreadUpdated { title: format!("{}", self.next_id) },
        };
        log.push(draft.encode());
        let frame = draft.encode().frame(Seq(log.len() as u64), false);
        if self.followed.contains(&thread_id) {
            self.said.push_back(frame.as_str().to_string());
        }
    }

    /// The log is lost and begins anew.
    fn wipe(&mut self, thread_id: ThreadId) {
        if let Some((epoch, log)) = self.logs.get_mut(&thread_id) {
            *epoch = Epoch(epoch.0 + 1);
            log.clear();
            self.followed.clear();
            self.append(thread_id);
        }
    }

    fn replay(&mut self, thread_id: ThreadId, after: Seq, to: Seq) {
        let Some((_, log)) = self.logs.get(&thread_id) else { return };
        for (seq, body) in (1..).map(Seq).zip(log) {
            if after < seq && seq <= to {
                self.said.push_back(body.frame(seq, true).as_str().to_string());
            }
        }
    }

    fn hear(&mut self, text: &str) {
        let naming = Naming { connection_id: ConnectionId(1), nth: 0 };
        let frame = decode(text, &Limits::default(), naming).expect("a client writes valid frames");
        match frame.body {
            ClientBody::UserMessage(message) => self.message(&frame.reply, message),
            ClientBody::Resume { threads } => self.resume(&frame.reply, threads),
            ClientBody::GapRequest { thread_id, after_seq, to_seq } => {
                self.replay(thread_id, after_seq, to_seq);
            }
            ClientBody::Pong => {}
            other => panic!("unexpected {other:?}"),
        }
    }

    fn message(&mut self, reply: &Reply, message: UserMessage) {
        if core::mem::take(&mut self.refuse_next) {
            let error = ErrorFrame::new(ErrorCode::StorageUnavailable, "later");
            return self.answer(&ServerFrame::Error(error), reply);
        }
        let id = message.client_msg_id;
        if let Some((content, ack)) = self.acks.get(&id) {
            assert_eq!(*content, message.content, "one name, two contents");
            let ack = AckFrame { duplicate: true, ..ack.clone() };
            return self.answer(&ServerFrame::Ack(ack), reply);
        }
        self.next_id += 1;
        let thread_id = message.thread_id.unwrap_or(ThreadId(1000 + self.next_id));
        self.followed.insert(thread_id);
        let seq = Seq(self.logs.get(&thread_id).map_or(0, |(_, log)| log.len()) as u64 + 1);
        let ack = AckFrame {
            duplicate: false,
            client_msg_id: id.clone(),
            message_id: MessageId(self.next_id),
            thread_id,
            run_id: RunId(self.next_id),
            run_status: RunStatus::Running,
            queue_position: 0,
            seq,
        };
        self.acks.insert(id, (message.content, ack.clone()));
        self.answer(&ServerFrame::Ack(ack), reply);
        for _ in 0..3 {
            self.append(thread_id);
        }
    }

    fn resume(&mut self, reply: &Reply, points: Vec<ResumePoint>) {
        let mut resumed = Vec::new();
        let mut replays = Vec::new();
        for point in points {
            let Some((epoch, log)) = self.logs.get(&point.thread_id) else { continue };
            let (epoch, to_seq) = (*epoch, Seq(log.len() as u64));
            let reason = if point.epoch.is_some_and(|e| e != epoch) || point.after_seq > to_seq {
                Some(ErrorCode::EpochMismatch)
            } else if to_seq.0 - point.after_seq.0 > REPLAY_MOST as u64 {
                Some(ErrorCode::ReplayTooLarge)
            } else {
                replays.push((point.thread_id, point.after_seq, to_seq));
                None
            };
            self.followed.insert(point.thread_id);
            resumed.push(Resumed {
                thread_id: point.thread_id,
                recovered: reason.is_none(),
                epoch: Some(epoch),
                from_seq: point.after_seq,
                to_seq,
                reason,
                snapshot_url: reason.map(|_| "/snapshot".to_string()),
            });
        }
        self.answer(&ServerFrame::Resumed { threads: resumed }, reply);
        for (thread_id, after, to_seq) in replays {
            self.replay(thread_id, after, to_seq);
            self.say(&ServerFrame::ReplayComplete { thread_id, to_seq });
        }
    }

    fn ping(&mut self) {
        let seq = |thread_id| Seq(self.logs.get(thread_id).map_or(0, |(_, log)| log.len()) as u64);
        let heads = self.followed.iter().map(|id| Head { thread_id: *id, seq: seq(id) }).collect();
        self.say(&ServerFrame::Ping { heads });
    }

    fn snapshot(&self, thread_id: ThreadId, after: Seq, epoch: Option<Epoch>) -> Snapshot {
        let (current, log) = &self.logs[&thread_id];
        let after = if epoch == Some(*current) { after } else { Seq::ZERO };
        let bodies = (1..).map(Seq).zip(log).filter(|(seq, _)| *seq > after);
        let entries =
            bodies.map(|(seq, body)| Entry::decode(body.frame(seq, false).bytes()).unwrap());
        Snapshot { epoch: *current, entries: entries.collect() }
    }
}

struct World {
    now: Now,
    client: Client,
    server: Server,
    dialed: Option<EffectId>,
    open: Option<EffectId>,
    said: VecDeque<String>,
    loads: VecDeque<(EffectId, ThreadId, Seq, Option<Epoch>)>,
    view: BTreeMap<ThreadId, Vec<EventId>>,
    epochs: BTreeMap<ThreadId, Epoch>,
    acked: BTreeMap<ClientMsgId, u32>,
    sent: BTreeSet<ClientMsgId>,
    contents: BTreeMap<ClientMsgId, String>,
    seen: Seen,
}

/// What happened in a world, to know that the worlds are not idle.
#[derive(Debug, Default)]
struct Seen {
    applied: usize,
    gaps: usize,
    loads: usize,
    resets: usize,
    resumes: usize,
    sent_again: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut client = Client::new(Config::default(), Seed::new(seed), None);
        let now = Now { mono: Mono(1000), wall: crate::time::Wall(1000) };
        client.connect(now).unwrap();
        let mut world = Self {
            now,
            client,
            server: Server::default(),
            dialed: None,
            open: None,
            said: VecDeque::new(),
            loads: VecDeque::new(),
            view: BTreeMap::new(),
            epochs: BTreeMap::new(),
            acked: BTreeMap::new(),
            sent: BTreeSet::new(),
            contents: BTreeMap::new(),
            seen: Seen::default(),
        };
        world.drain();
        world
    }

    /// Does what the client asks for; 1,000 outputs in a row would be a loop.
    fn drain(&mut self) {
        for _ in 0..1000 {
            match self.client.poll_output() {
                Output::Dial { dial, .. } => (self.dialed, self.open) = (Some(dial), None),
                Output::Send { dial, frame } => {
                    assert_eq!(Some(dial), self.open, "a frame for a socket that is not open");
                    self.seen.gaps += usize::from(frame.as_str().contains("gap_request"));
                    self.seen.resumes += usize::from(frame.as_str().contains("resume"));
                    self.said.push_back(frame.as_str().to_string());
                }
                Output::Hangup { .. } => (self.dialed, self.open) = (None, None),
                Output::LoadSnapshot { effect, thread_id, epoch, after_seq, .. } => {
                    self.seen.loads += 1;
                    self.loads.push_back((effect, thread_id, after_seq, epoch));
                }
                Output::Event(event) => self.event(event),
                Output::NeedCredential(why) => panic!("nobody asked for one: {why:?}"),
                Output::Idle(_) => return,
            }
        }
        panic!("the client does not come to rest");
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Applied(entry) => {
                let view = self.view.entry(entry.thread_id).or_default();
                view.push(entry.id);
                self.seen.applied += 1;
                assert_eq!(
                    entry.seq,
                    Seq(view.len() as u64),
                    "each once, in order, without a hole"
                );
                let epoch = *self.epochs.entry(entry.thread_id).or_insert(entry.epoch);
                assert_eq!(epoch, entry.epoch, "two logs in one view");
            }
            Event::Reset { thread_id, epoch } => {
                self.seen.resets += 1;
                self.view.remove(&thread_id);
                self.epochs.insert(thread_id, epoch);
            }
            Event::Message { client_msg_id, state: MessageState::Acked(_) } => {
                *self.acked.entry(client_msg_id).or_default() += 1;
            }
            Event::Message { client_msg_id, state: MessageState::Sent } => {
                self.seen.sent_again += usize::from(!self.sent.insert(client_msg_id));
            }
            Event::Message { state: MessageState::Refused(error), .. } => panic!("{error:?}"),
            _ => {}
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Advance(ms) => self.advance(Millis(*ms)),
            Step::AnswerDial(true) => self.accept(),
            Step::AnswerDial(false) => self.refuse(),
            Step::Cut(code) => self.cut(*code),
            Step::Load(works) => self.load(*works),
            Step::Ping if self.open.is_some() => self.server.ping(),
            Step::Append(nth) => {
                if let Some(thread_id) = self.server.logs.keys().nth(*nth).copied() {
                    self.server.append(thread_id);
                }
            }
            Step::Wipe(nth) => {
                if let Some(thread_id) = self.server.logs.keys().nth(*nth).copied() {
                    self.server.wipe(thread_id);
                    self.cut(None);
                }
            }
            Step::RefuseNext => self.server.refuse_next = true,
            Step::Send { in_thread } => self.send(*in_thread),
            Step::ToServer { nth, fate } => {
                if let Some(text) = fate.pick(&mut self.said, *nth) {
                    self.server.hear(&text);
                }
            }
            Step::ToClient { nth, fate } => {
                if let Some(text) = fate.pick(&mut self.server.said, *nth) {
                    self.reaches_client(&text);
                }
            }
            Step::Ping => {}
        }
        self.drain();
    }

    fn advance(&mut self, span: Millis) {
        self.now = self.now.after(span);
        self.client.handle_timeout(self.now);
    }

    fn accept(&mut self) {
        if let Some(dial) = self.dialed.take() {
            self.open = Some(dial);
            self.said.clear();
            self.server.connected();
            self.client.handle_input(self.now, Input::Opened { dial });
        }
    }

    fn refuse(&mut self) {
        if let Some(dial) = self.dialed.take() {
            let why = DialFailure::Unreachable;
            self.client.handle_input(self.now, Input::DialFailed { dial, why });
        }
    }

    fn cut(&mut self, code: Option<u16>) {
        if let Some(dial) = self.open.take() {
            self.client.handle_input(self.now, Input::Closed { dial, code });
        }
    }

    fn load(&mut self, works: bool) {
        if let Some((effect, thread_id, after, epoch)) = self.loads.pop_front() {
            let snapshot = self.server.snapshot(thread_id, after, epoch);
            let result = if works { Ok(snapshot) } else { Err(Fault::Unavailable) };
            self.client.handle_input(self.now, Input::Snapshot { effect, result });
        }
    }

    fn send(&mut self, in_thread: bool) {
        let client_msg_id = self.client.draw_message_id(self.now);
        let content = format!("message {client_msg_id}");
        let thread_id = self.view.keys().next().copied().filter(|_| in_thread);
        let message = UserMessage {
            client_msg_id: client_msg_id.clone(),
            content: content.clone(),
            thread_id,
            multitask: MultitaskStrategy::Enqueue,
            on_disconnect: OnDisconnect::Continue,
            expected_head_seq: None,
            metadata: None,
        };
        if self.client.send(self.now, message).is_ok() {
            self.contents.insert(client_msg_id, content);
        }
    }

    fn reaches_client(&mut self, text: &str) {
        if let Some(dial) = self.open {
            self.client.handle_input(self.now, Input::Text { dial, text });
        }
    }

    fn is_up_to_date(&self) -> bool {
        self.client.link() == Link::Ready
            && self.client.unacknowledged() == 0
            && self.server.logs.iter().all(|(thread_id, (epoch, log))| {
                self.epochs.get(thread_id) == Some(epoch)
                    && self.view.get(thread_id).is_some_and(|view| view.len() == log.len())
            })
    }

    /// No more faults: every frame arrives in order, every dial and load works, pings come in time.
    fn heal(&mut self) {
        for _ in 0..2000 {
            if self.is_up_to_date() && self.said.is_empty() && self.server.said.is_empty() {
                return;
            }
            self.server.refuse_next = false;
            if self.dialed.is_some() {
                self.step(&Step::AnswerDial(true));
            } else if !self.loads.is_empty() {
                self.step(&Step::Load(true));
            } else if !self.said.is_empty() {
                self.step(&Step::ToServer { nth: 0, fate: Fate::Arrives });
            } else if !self.server.said.is_empty() {
                self.step(&Step::ToClient { nth: 0, fate: Fate::Arrives });
            } else {
                self.step(&Step::Advance(1000));
                self.step(&Step::Ping);
            }
        }
        panic!("not up to date after the faults stopped: {:?}", self.client);
    }
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    IsLost,
    ComesTwice,
}

impl Fate {
    fn pick(self, queue: &mut VecDeque<String>, nth: usize) -> Option<String> {
        let at = nth % queue.len().max(1);
        match self {
            Self::Arrives => queue.remove(at),
            Self::IsLost => queue.remove(at).and(None),
            Self::ComesTwice => queue.get(at).cloned(),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    AnswerDial(bool),
    Append(usize),
    Cut(Option<u16>),
    Load(bool),
    Ping,
    RefuseNext,
    Send { in_thread: bool },
    ToClient { nth: usize, fate: Fate },
    ToServer { nth: usize, fate: Fate },
    Wipe(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let fate = || {
        prop_oneof![
            6 => Just(Fate::Arrives),
            1 => Just(Fate::IsLost),
            1 => Just(Fate::ComesTwice),
        ]
    };
    let nth = || prop_oneof![4 => Just(0_usize), 1 => 0..4_usize];
    let code = proptest::sample::select(
        &[None, Some(1006), Some(1012), Some(4410), Some(4420), Some(4421)][..],
    );
    prop_oneof![
        3 => (0..20_000_u64).prop_map(Step::Advance),
        4 => prop::bool::weighted(0.8).prop_map(Step::AnswerDial),
        3 => (0..3_usize).prop_map(Step::Append),
        1 => code.prop_map(Step::Cut),
        1 => any::<bool>().prop_map(Step::Load),
        1 => Just(Step::Ping),
        1 => Just(Step::RefuseNext),
        3 => any::<bool>().prop_map(|in_thread| Step::Send { in_thread }),
        12 => (nth(), fate()).prop_map(|(nth, fate)| Step::ToClient { nth, fate }),
        8 => (nth(), fate()).prop_map(|(nth, fate)| Step::ToServer { nth, fate }),
        1 => (0..3_usize).prop_map(Step::Wipe),
    ]
}

proptest! {
    #![proptest_config(goldenpath_proof::counted_to(400))]

    //= specs/delivery.md#dlv-06
    //= type=test
    //# A reader that follows the client rule MUST see each entry exactly once and in order.
    #[test]
    fn whatever_the_network_does_the_view_is_the_log_in_the_end(
        seed: u64, steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new(seed);
        for step in &steps {
            world.step(step);
        }
        world.heal();
        for (thread_id, (epoch, log)) in &world.server.logs {
            let ids: Vec<EventId> =
                log.iter().map(|body| Entry::decode(body.bytes()).unwrap().id).collect();
            prop_assert_eq!(&world.view[thread_id], &ids);
            prop_assert_eq!(world.epochs[thread_id], *epoch);
        }
        for id in world.contents.keys() {
            prop_assert_eq!(world.acked.get(id), Some(&1), "acknowledged once");
            prop_assert_eq!(&world.server.acks[id].0, &world.contents[id]);
        }
    }

    //= specs/client.md#clnt-14
    //= type=test
    //# The same seed and the same inputs MUST give the same client.
    #[test]
    fn the_same_seed_and_the_same_inputs_give_the_same_client(
        seed: u64, steps in proptest::collection::vec(step(), 0..60),
    ) {
        let run = || {
            let mut world = World::new(seed);
            steps.iter().for_each(|step| world.step(step));
            world.client
        };
        prop_assert_eq!(run(), run());
    }
}

#[test]
fn the_worlds_are_not_idle() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut total = Seen::default();
    for seed in 0..100 {
        let steps = proptest::collection::vec(step(), 100).new_tree(&mut runner).unwrap().current();
        let mut world = World::new(seed);
        steps.iter().for_each(|step| world.step(step));
        world.heal();
        let seen = world.seen;
        total.applied += seen.applied;
        total.gaps += seen.gaps;
        total.loads += seen.loads;
        total.resets += seen.resets;
        total.resumes += seen.resumes;
        total.sent_again += seen.sent_again;
    }
    let Seen { applied, gaps, loads, resets, resumes, sent_again } = total;
    let all = [applied, gaps, loads, resets, resumes, sent_again];
    assert!(all.iter().all(|count| *count > 10), "{total:?}");
}
