//! One socket's life: any inputs in any order, and the promises of a connection.
//!
//! The observer in this file sees inputs and outputs only. When the inputs end, the connection is left
//! alone, and must end by itself.

use crate::draw::{quoted, seq, text, thread};
use crate::frames::Pieces;
use arbitrary::{Arbitrary, Result, Unstructured};
use goldenpath_core::connection::{Connection, Identity, Input, Opening, Output};
use goldenpath_core::fault::PeerFault;
use goldenpath_core::handshake::{Accepted, Dialect, Presented};
use goldenpath_core::hub::HubReady;
use goldenpath_core::id::{ConnectionId, EffectId, SessionId, UserId};
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Mono, Now, Wall};
use goldenpath_core::wire::{
    AuthMethod, ClientBody, CloseCode, Credential, ErrorCode, Frame, Head, Naming, Secret, decode,
};
use std::sync::Arc;

const START: Now = Now { mono: Mono(5_000), wall: Wall(1_800_000_000_000) };
const ID: ConnectionId = ConnectionId(7);

/// A secret that occurs nowhere else: where it is seen, it was told.
const TOKEN: &str = "s3cr3t.t0ken.s1gnature";

/// What the hub delivers.
const ENTRY: &str = "\"an entry\"";

/// No question was asked yet.
const NOTHING: EffectId = EffectId(u64::MAX);

/// What a frame costs at most, in the unit of the rate: a minute's messages in a millisecond.
const MESSAGE: u64 = 60_000;

/// What happens to a connection.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Act {
    Upgraded,
    Auth,
    Ask,
    Light,
    Pieces,
    Noise,
    Refresh,
    Frame(u8),
    Verdict(u8),
    Attached,
    Deliver(u8),
    Heads,
    HubClose(u8),
    Overflow,
    Revoked,
    Drain,
    Status,
    Wait(u16),
    Deadline,
    WallJumps(i32),
}

/// Bytes draw how the connection opens, its limits, and what happens to it.
pub fn connection(data: &[u8]) {
    let _ = live(&mut Unstructured::new(data));
}

fn live(u: &mut Unstructured<'_>) -> Result<()> {
    let mut life = Life::open(u)?;
    let way = [Act::Upgraded, Act::Auth, Act::Verdict(0), Act::Attached];
    for act in way.into_iter().take(u.int_in_range(0..=7)?) {
        life.act(act, u)?;
    }
    while !u.is_empty() && life.acts < 200 {
        let act = u.arbitrary()?;
        life.act(act, u)?;
    }
    life.ends_when_left_alone();
    Ok(())
}

struct Life {
    connection: Connection,
    limits: Arc<Limits>,
    now: Now,
    deadline: Option<Mono>,
    /// The question that was asked last, and when its user's credential would end.
    asked: EffectId,
    /// What an older client may hear at once, because it was held until the client spoke.
    held: usize,
    acts: usize,
    texts: u64,
    asks: u64,
    seen: Seen,
}

/// What an observer outside remembers.
#[derive(Clone, Debug, Default)]
struct Seen {
    upgraded: bool,
    good_verdict: bool,
    told_attached: bool,
    readies: usize,
    attaches: usize,
    detaches: usize,
    user: Option<UserId>,
    forwarded: u64,
    last_ask: Option<u64>,
    disconnect_said: bool,
    closed: bool,
    ended: bool,
    /// When the credential in use ends, and whether the clocks were moved apart since.
    expires_at: Option<Wall>,
    clocks_agree: bool,
}

fn opening(u: &mut Unstructured<'_>) -> Result<Opening> {
    let credential = Credential::Token(Secret(TOKEN.into()));
    let presented = match u.int_in_range(0..=4)? {
        0 => Presented::Unusable(PeerFault::new(*u.choose(ErrorCode::ALL)?, "no")),
        1 | 2 => Presented::Credential(AuthMethod::Subprotocol, credential),
        _ => Presented::Nothing,
    };
    let older = u.ratio(1, 4)?;
    let verified = older && matches!(presented, Presented::Credential(..));
    let accepted = Accepted {
        subprotocol: (!older).then(|| "golden.v1".into()),
        dialect: if older { Dialect::Older } else { Dialect::GoldenV1 },
        presented,
        demo: u.arbitrary()?,
        verify_before_upgrade: verified,
    };
    Ok(Opening {
        connection_id: ID,
        accepted,
        identity: verified.then(|| identity("ada", Some(600))),
    })
}

fn identity(user: &str, seconds: Option<u64>) -> Identity {
    match seconds {
        Some(seconds) => {
            goldenpath_simulator::identity(user, START.wall.after(Millis::from_secs(seconds)))
        }
        None => Identity::visitor(1, SessionId(1), START.wall),
    }
}

impl Life {
    fn open(u: &mut Unstructured<'_>) -> Result<Self> {
        let limits = Limits {
            held_frames: u.int_in_range(0..=4)?,
            violations: u.int_in_range(1..=5)?,
            message_burst: u.int_in_range(0..=20)?,
            messages_per_minute: *u.choose(&[0, 1, 60, 6_000])?,
            rate_refusals: u.int_in_range(0..=4)?,
            connection_max_age: Millis::from_secs(*u.choose(&[5, 200, 3300])?),
            ..Limits::default()
        };
        let limits = Arc::new(limits);
        let opening = opening(u)?;
        let good_verdict = opening.identity.is_some();
        let held =
            if opening.accepted.dialect == Dialect::Older { limits.held_frames + 3 } else { 0 };
        let expires_at = opening.identity.as_ref().and_then(Identity::expires_at);
        let seen = Seen { good_verdict, expires_at, clocks_agree: true, ..Seen::default() };
        let connection = Connection::new(opening, limits.clone(), Seed::new(2), START);
        let asked = NOTHING;
        Ok(Self {
            connection,
            limits,
            now: START,
            deadline: None,
            asked,
            held,
            acts: 0,
            texts: 0,
            asks: 0,
            seen,
        })
    }

    fn act(&mut self, act: Act, u: &mut Unstructured<'_>) -> Result<()> {
        self.acts += 1;
        match act {
            Act::Upgraded => {
                self.seen.upgraded = true;
                // What came before is handled now, all at once.
                self.input(Input::Upgraded, self.limits.held_frames * 4);
            }
            Act::Auth => {
                self.text(&format!(r#"{{"type":"auth","id":"a","payload":{{"token":"{TOKEN}"}}}}"#))
            }
            Act::Ask => {
                let (nth, user) =
                    (self.asks, u.choose(&["", ",\"user_id\":\"ada\"", ",\"user_id\":\"eve\""])?);
                self.asks += 1;
                let frame = format!(
                    r#"{{"type":"chat","text":"hello","client_msg_id":"ask {nth}"{user}}}"#
                );
                self.text(&frame);
            }
            Act::Light => {
                let kind =
                    u.choose(&["\"ping\",\"nonce\":7", "\"pong\"", "\"received\",\"seq\":1"])?;
                let thread = quoted(&thread(u)?.to_string());
                self.text(&format!(r#"{{"type":{kind},"thread_id":{thread}}}"#));
            }
            Act::Pieces => {
                let frame = Pieces::draw(u)?;
                let frame =
                    if u.arbitrary()? { frame.nested(None) } else { frame.request(Some("1")) };
                self.text(&frame);
            }
            Act::Noise => {
                let noise = text(u)?;
                self.text(&noise);
            }
            Act::Refresh => {
                self.text(&format!(r#"{{"type":"auth_refresh","id":"r","token":"{TOKEN}"}}"#));
            }
            Act::Frame(kind) => self.input(
                match kind % 12 {
                    0 => Input::Binary,
                    1 => Input::InvalidUtf8,
                    2 => Input::TooBig,
                    3 => Input::PeerClosed(Some(1000)),
                    4 => Input::Lost,
                    _ => Input::Alive,
                },
                0,
            ),
            Act::Verdict(kind) => self.verdict(kind),
            Act::Attached => {
                self.seen.told_attached |= self.seen.attaches == 1;
                self.input(Input::Attached(HubReady::default()), self.limits.held_frames * 3);
            }
            Act::Deliver(count) => {
                let frames = vec![Frame::encode(&"an entry"); usize::from(count % 4)];
                self.input(Input::Deliver(&frames), frames.len());
            }
            Act::Heads => {
                let heads = vec![Head { thread_id: thread(u)?, seq: seq(u)? }];
                self.input(Input::Heads(heads), 0);
            }
            Act::HubClose(code) => {
                let code = CloseCode::ALL[usize::from(code) % CloseCode::ALL.len()];
                self.input(Input::HubClose(code), 0);
            }
            Act::Overflow => self.input(Input::Overflow, 0),
            Act::Revoked => self.input(Input::Revoked, 0),
            Act::Drain => self.input(Input::Drain { reconnect_after: Millis(5) }, 0),
            Act::Status => self.input(Input::ServiceStatus { degraded: vec!["llm".into()] }, 0),
            Act::Wait(ms) => {
                self.now = self.now.after(Millis(u64::from(ms)));
                self.timeout();
            }
            Act::Deadline => self.deadline_passes(),
            Act::WallJumps(ms) => {
                self.now.wall = Wall(self.now.wall.0.saturating_add_signed(i64::from(ms)));
                self.seen.clocks_agree = false;
            }
        }
        Ok(())
    }

    fn verdict(&mut self, kind: u8) {
        // An answer to a question nobody asked, or a late one, changes nothing.
        let effect = if kind & 0x80 == 0 { self.asked } else { EffectId(1 << 40) };
        let verdict = match kind & 7 {
            0..=2 => Ok(identity("ada", Some(600))),
            3 => Ok(identity("ada", Some(20))),
            4 => Ok(identity("eve", Some(600))),
            5 => Ok(identity("demo", None)),
            6 => Err(ErrorCode::ALL[usize::from(kind >> 3) % ErrorCode::ALL.len()]),
            _ => Err(ErrorCode::Unauthorized),
        };
        if kind & 0x80 == 0 && self.asked != NOTHING {
            self.seen.good_verdict |= verdict.is_ok();
        }
        if let Ok(identity) = &verdict
            && kind & 0x80 == 0
        {
            // Whichever credential counts, it ends no later than the latest one given.
            self.seen.expires_at = match (self.seen.expires_at, identity.expires_at()) {
                (Some(one), Some(other)) => Some(one.max(other)),
                (None, first) if self.seen.attaches == 0 => first,
                _ => None,
            };
        }
        self.input(Input::Verdict { effect, verdict }, 0);
    }

    fn text(&mut self, text: &str) {
        let naming = Naming { connection_id: ID, nth: self.texts };
        self.texts += 1;
        let is_frame = decode(text, &self.limits, naming).is_ok();
        let listens = self.seen.upgraded && !self.seen.ended;
        let said =
            self.outputs_of(|connection, now| connection.handle_input(now, Input::Text(text)), 0);
        // CONN-10: what cannot be understood is answered, or ends the connection.
        assert!(is_frame || !listens || said > 0, "no answer to {text}");
    }

    fn input(&mut self, input: Input<'_>, more: usize) {
        self.outputs_of(|connection, now| connection.handle_input(now, input), more);
    }

    fn timeout(&mut self) {
        self.outputs_of(Connection::handle_timeout, 0);
        assert!(
            self.deadline.is_none_or(|at| at > self.now.mono),
            "a deadline in the past would spin"
        );
    }

    fn deadline_passes(&mut self) {
        if let Some(at) = self.deadline {
            self.now = self.now.after(at.since(self.now.mono));
            self.timeout();
        }
    }

    /// Acts, and looks at what comes of it; how many outputs that were.
    fn outputs_of(&mut self, act: impl FnOnce(&mut Connection, Now), more: usize) -> usize {
        let mut twin = self.connection.clone();
        act(&mut self.connection, self.now);
        let mut count = 0;
        loop {
            let output = self.connection.poll_output();
            self.see(&output);
            match output {
                Output::Verify { effect, .. } | Output::MakeDemoUser { effect } => {
                    self.asked = effect
                }
                Output::Idle(at) => {
                    self.deadline = at;
                    break;
                }
                _ => {}
            }
            count += 1;
            assert!(count <= 10 + more + self.held, "CONN-07: {count} outputs");
        }
        // An observer that asks again hears nothing new.
        assert_eq!(self.connection.poll_output(), Output::Idle(self.deadline));
        assert_eq!(self.connection.end().is_some(), self.seen.ended);
        assert!(self.seen.ended || self.deadline.is_some(), "a living connection has a deadline");
        if self.seen.ended {
            twin.clone_from(&self.connection);
            twin.handle_timeout(self.now);
            twin.handle_input(self.now, Input::Upgraded);
            assert_eq!(twin.poll_output(), Output::Idle(None), "after the end nothing is heard");
        }
        if let (Some(identity), Some(user)) = (self.connection.identity(), &self.seen.user) {
            assert_eq!(identity.user_id(), user, "CONN-03: the user changed");
        }
        count
    }

    fn see(&mut self, output: &Output) {
        let seen = &mut self.seen;
        assert!(
            !seen.ended || matches!(output, Output::Idle(_)),
            "CONN-05: after the end {output:?}"
        );
        match output {
            Output::Send(frame) => {
                let text = frame.as_str();
                assert!(seen.upgraded, "F08: said before the upgrade");
                assert!(!seen.closed, "CONN-05: said after the close");
                assert!(!text.contains(TOKEN), "AUTH-05: {text}");
                let is_ready = text.contains("\"type\":\"connection_ready\"")
                    || text.contains("\"type\":\"connection_established\"");
                if is_ready {
                    seen.readies += 1;
                    assert_eq!(seen.readies, 1, "CONN-08");
                    assert!(seen.told_attached && seen.good_verdict, "AUTH-01");
                }
                if text == ENTRY {
                    assert_eq!(seen.readies, 1, "AUTH-02: an entry before ready");
                    let grace = self.limits.token_grace;
                    let ended = seen.expires_at.is_some_and(|at| at.after(grace) <= self.now.wall);
                    assert!(
                        !seen.clocks_agree || !ended,
                        "delivered on a credential that has ended"
                    );
                } else {
                    assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
                }
                seen.disconnect_said = text.contains("\"type\":\"disconnect\"");
            }
            Output::Attach { identity, .. } => {
                seen.attaches += 1;
                assert!(seen.good_verdict && seen.attaches == 1, "AUTH-01");
                seen.user = Some(identity.user_id().clone());
            }
            Output::Forward { body, .. } => self.forwarded(body),
            Output::Detach => {
                seen.detaches += 1;
                assert_eq!((seen.attaches, seen.detaches), (1, 1));
            }
            Output::Close(_) => {
                assert!(!seen.closed);
                assert!(seen.disconnect_said || !seen.upgraded, "a close is explained");
                seen.closed = true;
            }
            Output::Ended(_) => {
                assert_eq!(seen.attaches, seen.detaches);
                seen.ended = true;
            }
            Output::MakeDemoUser { .. } | Output::Verify { .. } => {
                assert!(seen.upgraded && !seen.closed, "F08");
            }
            Output::Idle(_) => {}
        }
    }

    /// CONN-01, CONN-02, and the rate: what is forwarded was asked for in this order, and not too often.
    fn forwarded(&mut self, body: &ClientBody) {
        let seen = &mut self.seen;
        assert!(seen.readies == 1 && !seen.closed, "CONN-01");
        if let ClientBody::UserMessage(message) = body
            && let Some(nth) = message.client_msg_id.as_str().strip_prefix("ask ")
        {
            let nth = nth.parse().expect("we counted");
            assert!(seen.last_ask.is_none_or(|last| last < nth), "CONN-02: out of order");
            seen.last_ask = Some(nth);
        }
        // Signs of life, positions and subscriptions cost a tenth.
        let light = matches!(
            body,
            ClientBody::GapRequest { .. }
                | ClientBody::Received { .. }
                | ClientBody::Subscribe { .. }
                | ClientBody::Unsubscribe { .. }
        );
        seen.forwarded += if light { MESSAGE / 10 } else { MESSAGE };
        let elapsed = self.now.mono.since(START.mono).as_millis();
        let earned = elapsed * u64::from(self.limits.messages_per_minute);
        let burst = u64::from(self.limits.message_burst.max(1)) * MESSAGE;
        assert!(seen.forwarded <= burst + earned, "more was forwarded than the rate allows");
    }

    /// CONN-04, CONN-09, AUTH-03: nobody speaks any more, and in finitely many wake-ups it is over.
    fn ends_when_left_alone(&mut self) {
        // Its first deadline is learnt by polling.
        self.input(Input::Alive, 0);
        for _ in 0..400 {
            if self.seen.ended {
                return;
            }
            self.deadline_passes();
        }
        panic!("left alone it does not end: {:?}", self.connection);
    }
}
