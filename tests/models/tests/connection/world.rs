//! The world around one connection: a peer that may say anything, a verifier that may answer late,
//! twice, wrongly or never, a hub, a clock that moves to the deadline or past it, a server that drains.

use crate::watch::{Seen, Watch, Wrong};
use goldenpath_core::connection::{Connection, Identity, Input, Opening, Output};
use goldenpath_core::fault::PeerFault;
use goldenpath_core::handshake::{Accepted, Dialect, Refusal};
use goldenpath_core::hub::HubReady;
use goldenpath_core::id::{ConnectionId, EffectId};
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Mono, Now, Wall};
use goldenpath_core::wire::{CloseCode, ErrorCode, Frame};
use std::sync::Arc;

pub(crate) const START: Now = Now { mono: Mono(1_000), wall: Wall(1_800_000_000_000) };

/// What the peer gives away, and nobody else may ever see (AUTH-05).
pub(crate) const TOKENS: [&str; 2] = ["t.o.k", "n.e.w"];

/// What a delivered entry looks like.
pub(crate) const ENTRY: &str = "an entry of a thread";

pub(crate) const DRAIN_DELAY: Millis = Millis(300);

/// What the peer can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Text {
    Auth,
    ForAnother,
    Message,
    Noise,
    Ping,
    Refresh,
}

/// What the verifier can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// It is Ada, for a while.
    Ada,
    /// It is Ada, for a moment.
    AdaBriefly,
    /// It is Ada, for longer.
    AdaLonger,
    /// It is Eve.
    Eve,
    /// It is nobody.
    No,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Act {
    /// The driver looks at the clock at the machine's own deadline.
    Deadline,
    /// The deadline passes, and the driver has not looked yet.
    Late,
    Upgraded,
    Peer(Text),
    Alive,
    Binary,
    InvalidUtf8,
    TooBig,
    PeerClosed,
    Lost,
    /// An answer to the question with this number, asked or not.
    Verdict(u64, Answer),
    Attached,
    Deliver,
    HubCloses(CloseCode),
    Overflow,
    Revoked,
    Drain,
    ServiceStatus,
}

/// Where the socket is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Answered with an HTTP status, for a reason.
    Refused(u16, ErrorCode),
    /// The credential is checked before the 101.
    Before(Accepted),
    /// The machine is at work.
    Open(Box<Connection>),
    /// It has ended.
    Over,
}

/// One state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) now: Now,
    pub(crate) texts_left: u8,
    pub(crate) watch: Watch,
}

pub(crate) fn identity(answer: Answer) -> Option<Identity> {
    let (user, seconds) = match answer {
        Answer::Ada => ("ada", 20),
        Answer::AdaBriefly => ("ada", 1),
        Answer::AdaLonger => ("ada", 60),
        Answer::Eve => ("eve", 40),
        Answer::No => return None,
    };
    Some(goldenpath_simulator::identity(user, START.wall.after(Millis::from_secs(seconds))))
}

pub(crate) fn limits() -> Limits {
    Limits {
        auth_timeout: Millis::from_secs(8),
        demo_wait: Millis::from_secs(1),
        heartbeat_interval: Millis::from_secs(18),
        heartbeat_timeout: Millis::from_secs(33),
        connection_max_age: Millis::from_secs(50),
        token_warning: Millis::from_secs(10),
        token_grace: Millis::from_secs(4),
        held_frames: 2,
        violations: 2,
        drain_linger: Millis::from_secs(1),
        ..Limits::default()
    }
}

impl Text {
    fn frame(self, nth: u8) -> String {
        match self {
            Self::Auth => r#"{"type":"auth","id":"a","payload":{"token":"t.o.k"}}"#.into(),
            Self::ForAnother => {
                r#"{"type":"user_message","id":"x","user_id":"bob","payload":{"content":"x"}}"#
                    .into()
            }
            Self::Message => format!(
                r#"{{"type":"user_message","id":"m{nth}","payload":{{"content":"number {nth}"}}}}"#
            ),
            Self::Noise => "{".into(),
            Self::Ping => r#"{"type":"ping","id":"p"}"#.into(),
            Self::Refresh => {
                r#"{"type":"auth_refresh","id":"r","payload":{"token":"n.e.w"}}"#.into()
            }
        }
    }
}

impl State {
    pub(crate) fn new(decided: Result<Accepted, Refusal>, limits: &Arc<Limits>, texts: u8) -> Self {
        let older = decided.as_ref().is_ok_and(|accepted| accepted.dialect == Dialect::Older);
        let phase = match decided {
            Err(refusal) => refused(&refusal),
            Ok(accepted) if accepted.verify_before_upgrade => Phase::Before(accepted),
            Ok(accepted) => Phase::Open(Box::new(connection(accepted, None, limits))),
        };
        let watch = Watch::new(limits, older);
        Self { phase, now: START, texts_left: texts, watch }
    }

    pub(crate) fn connection(&self) -> Option<&Connection> {
        match &self.phase {
            Phase::Open(connection) => Some(connection),
            Phase::Refused(..) | Phase::Before(_) | Phase::Over => None,
        }
    }

    /// When the machine wants to be woken.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        match self.connection()?.clone().poll_output() {
            Output::Idle(deadline) => deadline,
            _ => None,
        }
    }

    /// Lets one thing happen, and says what was seen; `None` when it cannot.
    pub(crate) fn after(&self, act: Act, limits: &Arc<Limits>) -> Option<(Self, Seen)> {
        let mut next = self.clone();
        match &self.phase {
            Phase::Refused(..) | Phase::Over => return None,
            Phase::Before(accepted) => {
                let Act::Verdict(_, answer) = act else { return None };
                next.phase = match identity(answer) {
                    Some(identity) => {
                        next.watch.verified_before(&identity);
                        let accepted = accepted.clone();
                        Phase::Open(Box::new(connection(accepted, Some(identity), limits)))
                    }
                    None => {
                        let fault = PeerFault::new(ErrorCode::Unauthorized, "no");
                        refused(&Refusal::unauthenticated(&fault))
                    }
                };
                return Some((next, Seen::NOTHING));
            }
            Phase::Open(_) => {}
        }
        match act {
            Act::Deadline | Act::Late => {
                let wait = self.deadline()?.since(self.now.mono);
                if act == Act::Late && wait == Millis::ZERO {
                    return None;
                }
                next.now = self.now.after(wait);
            }
            Act::Peer(_) => next.texts_left = self.texts_left.checked_sub(1)?,
            _ => {}
        }
        if act == Act::Late {
            return Some((next, Seen::NOTHING));
        }
        let Phase::Open(machine) = &mut next.phase else { return None };
        let before = machine.clone();
        let nth = next.watch.messages + 1;
        give(machine, next.now, act, nth);
        let outputs = drain(machine);
        let seen = next.watch.see(act, &before, machine, next.now, &outputs);
        if machine.end().is_some() {
            next.watch.check_deaf(machine, next.now);
            next.phase = Phase::Over;
        }
        Some((next, seen))
    }
}

const fn refused(refusal: &Refusal) -> Phase {
    Phase::Refused(refusal.status, refusal.code)
}

fn connection(accepted: Accepted, identity: Option<Identity>, limits: &Arc<Limits>) -> Connection {
    let opening = Opening { connection_id: ConnectionId(1), accepted, identity };
    Connection::new(opening, limits.clone(), Seed::new(1), START)
}

/// Hands an act to the machine.
pub(crate) fn give(machine: &mut Connection, now: Now, act: Act, nth: u8) {
    let entry = [Frame::encode(&ENTRY)];
    let text = if let Act::Peer(text) = act { text.frame(nth) } else { String::new() };
    let input = match act {
        Act::Deadline | Act::Late => return machine.handle_timeout(now),
        Act::Upgraded => Input::Upgraded,
        Act::Peer(_) => Input::Text(&text),
        Act::Alive => Input::Alive,
        Act::Binary => Input::Binary,
        Act::InvalidUtf8 => Input::InvalidUtf8,
        Act::TooBig => Input::TooBig,
        Act::PeerClosed => Input::PeerClosed(Some(1000)),
        Act::Lost => Input::Lost,
        Act::Verdict(effect, answer) => Input::Verdict {
            effect: EffectId(effect),
            verdict: identity(answer).ok_or(ErrorCode::Unauthorized),
        },
        Act::Attached => Input::Attached(HubReady::default()),
        Act::Deliver => Input::Deliver(&entry),
        Act::HubCloses(code) => Input::HubClose(code),
        Act::Overflow => Input::Overflow,
        Act::Revoked => Input::Revoked,
        Act::Drain => Input::Drain { reconnect_after: DRAIN_DELAY },
        Act::ServiceStatus => Input::ServiceStatus { degraded: vec!["store".into()] },
    };
    machine.handle_input(now, input);
}

pub(crate) fn drain(machine: &mut Connection) -> Vec<Output> {
    let mut outputs = Vec::new();
    loop {
        match machine.poll_output() {
            Output::Idle(_) => return outputs,
            output => outputs.push(output),
        }
    }
}

/// Left alone, with the driver awake: whether it ends.
pub(crate) fn ends_by_itself(state: &State, limits: &Arc<Limits>) -> bool {
    let mut state = state.clone();
    for _ in 0..30 {
        if !matches!(state.phase, Phase::Open(_)) {
            return true;
        }
        match state.after(Act::Deadline, limits) {
            Some((next, _)) => state = next,
            None => return false,
        }
    }
    false
}

/// Everybody does now what they should: whether the connection gets ready, or has said why not.
pub(crate) fn gets_ready(state: &State, limits: &Arc<Limits>) -> bool {
    let mut state = state.clone();
    state.texts_left = 1;
    if let Phase::Before(_) = state.phase {
        let verdict = Act::Verdict(0, Answer::AdaLonger);
        state = state.after(verdict, limits).map_or(state, |(next, _)| next);
    }
    let silent = |state: &State| state.watch.questions == 0;
    for act in [Act::Upgraded, Act::Peer(Text::Auth)] {
        if act == Act::Upgraded || silent(&state) {
            state = state.after(act, limits).map_or(state, |(next, _)| next);
        }
    }
    let question = state.watch.questions.saturating_sub(1);
    for act in [Act::Verdict(question, Answer::AdaLonger), Act::Attached] {
        state = state.after(act, limits).map_or(state, |(next, _)| next);
    }
    state.watch.wrong == Wrong::NOTHING
        && (state.watch.ready == 1 || !matches!(state.phase, Phase::Open(_)))
}
