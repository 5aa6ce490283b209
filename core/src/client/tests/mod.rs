//! The client state by state: the whole matrix here, one sentence for each rule in the files below.

mod asking;
mod limits;
mod link;
mod messages;
mod reading;

use super::*;
use crate::fault::Fault;
use crate::id::{ConnectionId, EventId, MessageId, SessionId, UserId};
use crate::limits::Limits;
use crate::matrix::{Page, Row};
use crate::time::{Mono, Wall};
use crate::wire::{
    AckFrame, Announced, AuthMethod, Draft, Entry, Head, MultitaskStrategy, OnDisconnect,
    ReadyFrame, Resumed, RunScope, RunStatus, Secret, ServerFrame,
};
use alloc::string::String;
use alloc::vec;

const THREAD: ThreadId = ThreadId(1);
const RUN: RunId = RunId(2);

/// A client with its clock and everything it said so far.
struct Bench {
    now: Now,
    client: Client,
    said: Vec<Output>,
}

impl Bench {
    fn new(config: Config, credential: Option<Credential>) -> Self {
        let now = Now { mono: Mono(1000), wall: Wall(1_000_000) };
        Self { now, client: Client::new(config, Seed::new(1), credential), said: Vec::new() }
    }

    fn dialing() -> Self {
        let mut bench = Self::new(Config::default(), None);
        bench.client.connect(bench.now).unwrap();
        bench.drain();
        bench
    }

    fn authenticating() -> Self {
        let mut bench = Self::dialing();
        bench.opened();
        bench
    }

    fn resuming() -> Self {
        let mut bench = Self::authenticating();
        bench.client.follow(bench.now, THREAD, Some(Epoch(1)), Seq(4)).unwrap();
        bench.hear(&ready());
        bench
    }

    fn ready() -> Self {
        let mut bench = Self::resuming();
        bench.hear(&resumed(4));
        bench.said.clear();
        bench
    }

    fn backoff() -> Self {
        let mut bench = Self::ready();
        bench.closed(Some(1012));
        bench
    }

    fn ended() -> Self {
        let mut bench = Self::ready();
        bench.client.disconnect();
        bench.drain();
        bench
    }

    fn drain(&mut self) -> Option<Mono> {
        loop {
            match self.client.poll_output() {
                Output::Idle(deadline) => return deadline,
                output => self.said.push(output),
            }
        }
    }

    fn dial(&self) -> EffectId {
        self.client.state.dial().unwrap_or(EffectId(99))
    }

    fn input(&mut self, input: Input<'_>) {
        self.client.handle_input(self.now, input);
        self.drain();
    }

    fn opened(&mut self) {
        let dial = self.dial();
        self.input(Input::Opened { dial });
    }

    fn closed(&mut self, code: Option<u16>) {
        let dial = self.dial();
        self.input(Input::Closed { dial, code });
    }

    fn text(&mut self, text: &str) {
        let dial = self.dial();
        self.input(Input::Text { dial, text });
    }

    fn hear(&mut self, frame: &ServerFrame) {
        self.hear_reply(frame, &Reply::None);
    }

    fn hear_reply(&mut self, frame: &ServerFrame, reply: &Reply) {
        let text = frame.encode(reply, Announced { limits: &Limits::default() });
        self.text(text.as_str());
    }

    fn entry(&mut self, seq: u64) {
        self.text(&entry_text(seq, 1));
    }

    fn wait(&mut self, span: Millis) {
        self.now = self.now.after(span);
        self.client.handle_timeout(self.now);
        self.drain();
    }

    fn send(&mut self, id: &str, content: &str) -> Result<(), Misuse> {
        let sent = self.client.send(self.now, message(id, content));
        self.drain();
        sent
    }

    /// What was said since the last look, one word or line each.
    fn look(&mut self) -> Vec<String> {
        self.said.drain(..).map(|output| describe(&output)).collect()
    }

    fn applied(&mut self) -> Vec<u64> {
        let outputs = self.said.drain(..);
        let seqs = outputs.filter_map(|output| match output {
            Output::Event(Event::Applied(entry)) => Some(entry.seq.0),
            _ => None,
        });
        seqs.collect()
    }
}

fn describe(output: &Output) -> String {
    match output {
        Output::Dial { credential, .. } => match credential {
            Some(_) => "dial with credential".into(),
            None => "dial".into(),
        },
        Output::Send { frame, .. } => {
            let value: serde_json::Value = serde_json::from_str(frame.as_str()).unwrap();
            format!("send {} {}", value["type"].as_str().unwrap(), value["payload"])
        }
        Output::Hangup { code, .. } => format!("hang up {}", code.code()),
        Output::Event(Event::Applied(entry)) => format!("applied {}", entry.seq),
        Output::Event(Event::Connection(link)) => format!("→ {link:?}"),
        Output::Event(Event::Message { client_msg_id, state }) => match state {
            MessageState::Queued => format!("{client_msg_id} queued"),
            MessageState::Sent => format!("{client_msg_id} sent"),
            MessageState::Acked(_) => format!("{client_msg_id} acked"),
            MessageState::Refused(error) => format!("{client_msg_id} refused {}", error.code),
        },
        Output::Event(Event::Ready(_)) => "ready".into(),
        Output::Event(Event::Error { error, .. }) => format!("error {}", error.code),
        Output::Event(event) => format!("{event:?}"),
        Output::LoadSnapshot { after_seq, .. } => format!("load snapshot after {after_seq}"),
        Output::NeedCredential(why) => format!("need credential: {why:?}"),
        Output::Idle(_) => "idle".into(),
    }
}

fn message(id: &str, content: &str) -> UserMessage {
    UserMessage {
        client_msg_id: ClientMsgId::new(id).unwrap(),
        content: content.into(),
        thread_id: Some(THREAD),
        multitask: MultitaskStrategy::Enqueue,
        on_disconnect: OnDisconnect::Continue,
        expected_head_seq: None,
        metadata: None,
    }
}

fn ready() -> ServerFrame {
    ServerFrame::Ready(ReadyFrame {
        connection_id: ConnectionId(7),
        user_id: UserId::new("u").unwrap(),
        session_id: SessionId(8),
        auth_method: AuthMethod::Demo,
        mode: "demo",
        server_time: Wall(0),
        token_expires_at: None,
        resume: vec![],
        active_runs: vec![],
        degraded: vec![],
    })
}

fn resumed(to_seq: u64) -> ServerFrame {
    let to_seq = Seq(to_seq);
    ServerFrame::Resumed {
        threads: vec![Resumed {
            thread_id: THREAD,
            recovered: true,
            epoch: Some(Epoch(1)),
            from_seq: Seq(4),
            to_seq,
            reason: None,
            snapshot_url: None,
        }],
    }
}

fn not_resumed(reason: ErrorCode, epoch: u32) -> ServerFrame {
    ServerFrame::Resumed {
        threads: vec![Resumed {
            thread_id: THREAD,
            recovered: false,
            epoch: Some(Epoch(epoch)),
            from_seq: Seq(4),
            to_seq: Seq(900),
            reason: Some(reason),
            snapshot_url: Some("/api/x".into()),
        }],
    }
}

fn ack(id: &str, duplicate: bool, seq: u64) -> ServerFrame {
    ServerFrame::Ack(AckFrame {
        duplicate,
        client_msg_id: ClientMsgId::new(id).unwrap(),
        message_id: MessageId(3),
        thread_id: THREAD,
        run_id: RUN,
        run_status: RunStatus::Running,
        queue_position: 0,
        seq: Seq(seq),
    })
}

fn draft(epoch: u32, event: crate::wire::Event) -> Draft {
    Draft {
        id: EventId(1),
        thread_id: THREAD,
        epoch: Epoch(epoch),
        ts: Wall(0),
        scope: Some(RunScope { run_id: RUN, agent: None }),
        synthesized: false,
        event,
    }
}

fn entry_text(seq: u64, epoch: u32) -> String {
    let event = crate::wire::Event::ThreadUpdated { title: "t".into() };
    draft(epoch, event).encode().frame(Seq(seq), false).as_str().to_string()
}

fn error(code: ErrorCode) -> ServerFrame {
    ServerFrame::Error(ErrorFrame::new(code, "why"))
}

fn token() -> Credential {
    Credential::Token(Secret("t".into()))
}

/// The reference of the last frame sent.
fn last_reference(bench: &Bench) -> Reply {
    Reply::Ref(FrameRef::new(&format!("c{}", bench.client.frames)).unwrap())
}

const PAGE: Page = Page {
    name: "client",
    title: "The client",
    about: "The other end of the wire: it dials, resumes where it was, keeps messages until they are\n\
            acknowledged, shows each entry once and in order, and comes back by itself.",
    states: &[
        (
            "Idle",
            "Nothing was asked for yet. Messages are kept and sent once there is a connection.",
        ),
        ("Dialing", "A socket was asked for. It opens, it fails, or its time is over."),
        (
            "Authenticating",
            "The socket is open; the server has not said `connection_ready`. A credential is shown when it is asked \
             for.",
        ),
        (
            "Resuming",
            "The server is ready and what was missed in the threads followed is being read. Messages are sent.",
        ),
        (
            "Ready",
            "Everything missed was read. Entries come as they are committed; a hole is asked for.",
        ),
        (
            "Backoff",
            "No socket. It dials again after a wait, or once there is another credential; messages are kept.",
        ),
        (
            "Ended",
            "It was told to stop, or the server said that coming back is useless. Nothing is dialled any more.",
        ),
    ],
    begins: &["Idle"],
    rows: Vec::new(),
};

/// A frame by its type; changes of the link are a column of their own.
fn in_short(said: &str) -> Option<&str> {
    if said.starts_with('→') {
        return None;
    }
    Some(said.split(" {").next().unwrap_or(said))
}

#[test]
fn the_whole_matrix_of_states_and_inputs() {
    type Make = fn() -> Bench;
    let states: [(&str, Make); 8] = [
        ("Idle", || Bench::new(Config::default(), None)),
        ("Dialing", Bench::dialing),
        ("Authenticating", Bench::authenticating),
        ("Authenticating, following", || {
            let mut bench = Bench::authenticating();
            bench.client.follow(bench.now, THREAD, Some(Epoch(1)), Seq(4)).unwrap();
            bench
        }),
        ("Resuming", Bench::resuming),
        ("Ready", Bench::ready),
        ("Backoff", Bench::backoff),
        ("Ended", Bench::ended),
    ];
    type Act = fn(&mut Bench);
    let acts: [(&str, Act); 24] = [
        ("connect", |b| b.client.connect(b.now).unwrap_or_default()),
        ("disconnect", |b| b.client.disconnect()),
        ("send", |b| b.send("m1", "hi").unwrap_or_default()),
        ("cancel", |b| b.client.cancel(RUN).unwrap_or_default()),
        ("set credential", |b| b.client.set_credential(b.now, token()).unwrap_or_default()),
        ("opened", Bench::opened),
        ("dial failed", |b| {
            let (dial, why) = (b.dial(), DialFailure::Unreachable);
            b.input(Input::DialFailed { dial, why });
        }),
        ("dial refused 401", |b| {
            let why = DialFailure::Refused { status: 401, retry_after: None };
            let dial = b.dial();
            b.input(Input::DialFailed { dial, why });
        }),
        ("dial refused 403", |b| {
            let why = DialFailure::Refused { status: 403, retry_after: None };
            let dial = b.dial();
            b.input(Input::DialFailed { dial, why });
        }),
        ("closed 1000", |b| b.closed(Some(1000))),
        ("closed 1012", |b| b.closed(Some(1012))),
        ("closed 4401", |b| b.closed(Some(4401))),
        ("closed 4408", |b| b.closed(Some(4408))),
        ("closed 4410", |b| b.closed(Some(4410))),
        ("closed 4440", |b| b.closed(Some(4440))),
        ("lost", |b| b.closed(None)),
        ("auth_required", |b| b.hear(&ServerFrame::AuthRequired { timeout: Millis(9) })),
        ("connection_ready", |b| b.hear(&ready())),
        ("resumed", |b| b.hear(&resumed(4))),
        ("ack", |b| b.hear(&ack("m1", false, 5))),
        ("next entry", |b| b.entry(5)),
        ("ping", |b| b.hear(&ServerFrame::Ping { heads: vec![] })),
        ("noise", |b| b.text("noise")),
        ("a day passes", |b| b.wait(Millis::from_secs(86_400))),
    ];
    let (mut table, mut seen) = (String::new(), Vec::new());
    for (state, make) in states {
        for (name, act) in &acts {
            let mut bench = make();
            bench.said.clear();
            let from = format!("{:?}", bench.client.link());
            let from = from.split('(').next().unwrap_or_default();
            assert_eq!(state.split(',').next(), Some(from));
            act(&mut bench);
            bench.drain();
            let said = bench.look();
            let link = format!("{:?}", bench.client.link());
            table.push_str(&format!("{state:14} × {name:16} = {link}: {}\n", said.join("; ")));
            let in_short: Vec<&str> = said.iter().filter_map(|said| in_short(said)).collect();
            let to = link.split('(').next().unwrap_or_default();
            seen.push(Row::of(state, from, name, to, &in_short.join(", ")));
        }
    }
    insta::assert_snapshot!(table);
    Page { rows: seen, ..PAGE }.check();
}

#[test]
fn a_deadline_is_always_in_the_future_once_it_was_handled() {
    for make in
        [Bench::dialing, Bench::authenticating, Bench::resuming, Bench::ready, Bench::backoff]
    {
        let mut bench = make();
        bench.send("m1", "hi").unwrap();
        for _ in 0..50 {
            let Some(deadline) = bench.drain() else { break };
            assert!(deadline >= bench.now.mono, "{:?}", bench.client);
            bench.wait(deadline.since(bench.now.mono));
            let later = bench.drain();
            assert!(later.is_none_or(|later| later > bench.now.mono), "{:?}", bench.client);
        }
    }
}
