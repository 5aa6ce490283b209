//! A conversation in the older dialect: whatever its client says and the hub delivers, each entry has one
//! image, each run one end, and the first words keep their order.

use crate::draw::{entry, quoted, run, text};
use crate::frames::{NAMING, Pieces};
use arbitrary::{Result, Unstructured};
use goldenpath_core::connection::{Connection, Input, Opening, Output};
use goldenpath_core::handshake::{Accepted, Dialect, Presented};
use goldenpath_core::hub::HubReady;
use goldenpath_core::id::{ConnectionId, Epoch, RunId, Seq, ThreadId};
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Mono, Now, Wall};
use goldenpath_core::wire::older::{Heard, Names, read};
use goldenpath_core::wire::{
    ActiveRun, Announced, AuthMethod, Credential, Entry, Frame, Reply, Resumed, RunStatus, Secret,
    ServerFrame, decode,
};
use serde_json::Value;
use std::sync::Arc;

const START: Now = Now { mono: Mono(5_000), wall: Wall(1_800_000_000_000) };
const THREAD: ThreadId = ThreadId(1);

/// Words an older client says that nobody else does.
const WORDS: &[&str] = &["handshake_acknowledged", "session_acknowledged", "typing", "", "ack"];

/// Text that begins like JSON is read as it is; anything else draws a conversation.
pub fn older(data: &[u8]) {
    if matches!(data.first(), Some(b'{' | b'[' | b'"' | b' ')) {
        means_the_same(&String::from_utf8_lossy(data));
    } else {
        // Too few bytes draw nothing, which is nothing to check.
        let _ = converse(&mut Unstructured::new(data));
    }
}

/// Calls no run anything.
struct Nameless;

impl Names for Nameless {
    fn thread(&self) -> ThreadId {
        THREAD
    }

    fn run(&self, _: &str) -> Option<RunId> {
        None
    }
}

/// What is read is what anybody else would have said, but for the thread and the name of the run.
fn means_the_same(text: &str) {
    let limits = Limits::default();
    let heard = read(text, &limits, NAMING, &Nameless);
    assert_eq!(heard, read(text, &limits, NAMING, &Nameless), "the same text, the same result");
    match (decode(text, &limits, NAMING), heard) {
        (Ok(plain), Ok(Heard::Frame { frame, .. })) => {
            assert_eq!(plain.reply, frame.reply);
            assert_eq!(plain.claimed_user, frame.claimed_user);
            let kind = std::mem::discriminant(&plain.body);
            assert_eq!(kind, std::mem::discriminant(&frame.body), "{text}");
        }
        (Ok(plain), other) => panic!("{plain:?} is heard as {other:?}"),
        (Err(_), Ok(Heard::Unknown { received_type, .. })) => {
            assert!(!received_type.contains(char::is_control) && received_type.len() <= 256);
        }
        (Err(_), Ok(Heard::Acknowledged | Heard::Frame { .. })) => {}
        (Err(_), Err(_)) => {}
    }
}

struct Life {
    connection: Connection,
    now: Now,
    /// Frames in the order they were sent.
    sent: Vec<Value>,
    seq: u64,
    /// Places delivered, and how many of them end a run.
    delivered: Vec<u64>,
    ends: usize,
}

fn converse(u: &mut Unstructured<'_>) -> Result<()> {
    let mut life = Life::begin(u)?;
    while !u.is_empty() && life.seq < 200 {
        match u.int_in_range(0..=7)? {
            0 => life.acknowledge(u)?,
            1 => {
                let frame = Pieces::draw(u)?;
                life.text(&frame.nested(None));
            }
            2 => {
                let message =
                    format!(r#"{{"type":"chat","text":"hello","run_id":{}}}"#, quoted(&text(u)?));
                life.text(&message);
            }
            3 | 4 => life.deliver(u)?,
            5 => life.control(u)?,
            6 => {
                life.now = life.now.after(Millis(u64::from(u.arbitrary::<u16>()? / 64)));
                life.connection.handle_timeout(life.now);
                life.hear();
            }
            _ => {
                life.text(&text(u)?);
            }
        }
    }
    life.check();
    Ok(())
}

impl Life {
    fn begin(u: &mut Unstructured<'_>) -> Result<Self> {
        let credential = Credential::Token(Secret("a.b.c".into()));
        let accepted = Accepted {
            subprotocol: None,
            dialect: Dialect::Older,
            presented: Presented::Credential(AuthMethod::Subprotocol, credential),
            demo: false,
            verify_before_upgrade: true,
        };
        let never = Wall(START.wall.0 + 1_000_000_000);
        let identity = goldenpath_simulator::identity("ada", never);
        // What is refused costs nothing here: the rate has a target of its own.
        let limits = Limits {
            message_burst: 100_000,
            violations: u32::MAX,
            heartbeat_timeout: Millis::from_secs(86_400),
            heartbeat_interval: Millis::from_secs(86_400),
            ..Limits::default()
        };
        let opening =
            Opening { connection_id: ConnectionId(7), accepted, identity: Some(identity) };
        let connection = Connection::new(opening, Arc::new(limits), Seed::new(2), START);
        let mut life = Self {
            connection,
            now: START,
            sent: Vec::new(),
            seq: 0,
            delivered: Vec::new(),
            ends: 0,
        };
        life.input(Input::Upgraded);
        let active_runs = if u.ratio(1, 3)? {
            vec![ActiveRun { run_id: run(u)?, thread_id: THREAD, status: RunStatus::Running }]
        } else {
            Vec::new()
        };
        life.input(Input::Attached(HubReady { resume: Vec::new(), active_runs }));
        let first: Vec<_> = life.sent.iter().map(|frame| frame["type"].clone()).collect();
        assert_eq!(first, ["connection_established", "handshake_response"]);
        Ok(life)
    }

    fn acknowledge(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (word, before) = (*u.choose(WORDS)?, self.sent.len());
        let count = self.text(&format!(r#"{{"type":"{word}"}}"#));
        let kinds: Vec<_> = self.sent[before..].iter().map(|frame| &frame["type"]).collect();
        if word.ends_with("acknowledged") {
            assert_eq!(kinds.first(), Some(&&Value::from("handshake_complete")));
        } else {
            let last = self.sent.last().expect("an answer");
            assert_eq!((&last["type"], &last["received_type"]), (&"ack".into(), &word.into()));
            assert_eq!(last["status"], "acknowledged");
        }
        assert!(count > 0);
        Ok(())
    }

    /// An entry that is live: the next of its log.
    fn deliver(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.seq += 1;
        let draft = entry(u, THREAD, Epoch(1), Seq(self.seq))?;
        let frame = draft.encode().frame(Seq(self.seq), false);
        let read = Entry::decode(frame.bytes()).expect("an entry is read back");
        self.delivered.push(self.seq);
        self.ends += usize::from(read.event.terminal_status().is_some());
        self.input(Input::Deliver(&[frame]));
        Ok(())
    }

    fn control(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let resumed = Resumed {
            thread_id: THREAD,
            recovered: u.arbitrary()?,
            epoch: None,
            from_seq: Seq(u.int_in_range(0..=3)?),
            to_seq: Seq(u.int_in_range(0..=9)?),
            reason: None,
            snapshot_url: None,
        };
        let frame = match u.int_in_range(0..=2)? {
            0 => ServerFrame::Resumed { threads: vec![resumed] },
            1 => ServerFrame::ReplayComplete { thread_id: THREAD, to_seq: resumed.to_seq },
            _ => ServerFrame::RateLimit { retry_after: Millis(5) },
        };
        let limits = Limits::default();
        let frame: Frame = frame.encode(&Reply::None, Announced { limits: &limits });
        self.input(Input::Deliver(&[frame]));
        Ok(())
    }

    fn text(&mut self, text: &str) -> usize {
        means_the_same(text);
        self.input(Input::Text(text))
    }

    fn input(&mut self, input: Input<'_>) -> usize {
        self.connection.handle_input(self.now, input);
        self.hear()
    }

    fn hear(&mut self) -> usize {
        let before = self.sent.len();
        loop {
            match self.connection.poll_output() {
                Output::Send(frame) => {
                    self.sent.push(serde_json::from_str(frame.as_str()).expect("JSON"));
                }
                Output::Idle(deadline) => {
                    assert!(deadline.is_none_or(|at| at > self.now.mono || before == 0));
                    return self.sent.len() - before;
                }
                _ => {}
            }
        }
    }

    /// One frame with each place, in order; one end for each run that ended; all of them flat.
    fn check(&mut self) {
        self.now = self.now.after(Millis::from_secs(2));
        self.connection.handle_timeout(self.now);
        self.hear();
        if self.connection.end().is_some() {
            return;
        }
        let placed = self.sent.iter().filter(|frame| frame["epoch"].is_string());
        let places: Vec<u64> = placed.filter_map(|frame| frame["seq"].as_u64()).collect();
        assert_eq!(places, self.delivered);
        let of = |kind: &str| self.sent.iter().filter(|frame| frame["type"] == kind).count();
        assert_eq!(of("agent_completed"), self.ends);
        for frame in self.sent.iter().filter(|frame| frame.get("jsonrpc").is_none()) {
            let mut top = frame.as_object().expect("an object").clone();
            assert!(top.remove("type").is_some_and(|kind| kind.is_string()));
            let (payload, data) = (top.remove("payload"), top.remove("data"));
            assert_eq!(payload, Some(Value::Object(top)), "{frame}");
            assert_eq!(payload, data);
        }
    }
}
