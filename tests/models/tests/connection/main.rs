//! One connection with its handshake and its session, in a world that may do anything: every state
//! that can be reached is looked at.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod tampered;
mod watch;
mod world;

use goldenpath_core::fault::End;
use goldenpath_core::handshake::{
    Accepted, Admission, Origins, Refusal, ServerCondition, UpgradeRequest, decide,
};
use goldenpath_core::limits::Limits;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{CloseCode, ErrorCode};
use goldenpath_models::{bound, prove};
use stateright::{Model, Property};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use watch::{Seen, Wrong};
use world::{Act, Answer, Phase, State, Text, ends_by_itself, gets_ready, limits};

/// A bounded part of what can happen.
struct World {
    limits: Arc<Limits>,
    upgrades: Vec<Result<Accepted, Refusal>>,
    /// Frames the peer may send, and which.
    texts: u8,
    says: &'static [Text],
    answers: &'static [Answer],
    /// Everything else.
    acts: &'static [Act],
    /// What has to be possible in it.
    possible: Vec<Possible>,
    seen: AtomicU32,
}

type Possible = (&'static str, fn(&World, &State) -> bool);

impl World {
    fn over(acts: &'static [Act]) -> Self {
        Self {
            limits: Arc::new(limits()),
            upgrades: Vec::new(),
            texts: 0,
            says: &[],
            answers: &[Answer::Ada, Answer::Eve, Answer::No],
            acts,
            possible: Vec::new(),
            seen: AtomicU32::new(0),
        }
    }

    fn prove(self, name: &str) {
        let Self { upgrades, texts, says, answers, acts, .. } = &self;
        let acts: Vec<String> = acts.iter().map(|act| format!("{act:?}")).collect();
        let bounds = format!(
            "handshakes {}, frames {texts} of {says:?}, verdicts {answers:?} to any question at any time; {}",
            upgrades.len(),
            acts.join(", ")
        );
        let texts = bound(*texts, texts + 1);
        prove(name, &bounds, Self { texts, ..self });
    }

    fn saw(&self, seen: Seen) -> bool {
        Seen(self.seen.load(Ordering::Relaxed)).has(seen)
    }
}

impl Model for World {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        let state = |decided: &_| State::new(Clone::clone(decided), &self.limits, self.texts);
        self.upgrades.iter().map(state).collect()
    }

    fn actions(&self, state: &State, acts: &mut Vec<Act>) {
        if state.watch.wrong != Wrong::NOTHING {
            return;
        }
        match &state.phase {
            Phase::Refused(..) | Phase::Over => return,
            Phase::Before(_) => {}
            Phase::Open(_) => {
                acts.extend(self.acts);
                if state.texts_left > 0 {
                    acts.extend(self.says.iter().map(|text| Act::Peer(*text)));
                }
            }
        }
        // The last one has not been asked yet.
        for effect in 0..=state.watch.questions {
            acts.extend(self.answers.iter().map(|answer| Act::Verdict(effect, *answer)));
        }
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let (next, seen) = state.after(act, &self.limits)?;
        self.seen.fetch_or(seen.0, Ordering::Relaxed);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! never {
            ($($wrong:ident: $words:literal),* $(,)?) => {
                vec![$(Property::<Self>::always($words, |_, s| !s.watch.wrong.has(Wrong::$wrong))),*]
            };
        }
        let mut properties = never![
            AUTH_01: "AUTH-01 nobody is known without a good verdict to its own question",
            AUTH_02: "AUTH-02 nothing of a thread reaches a connection that is not ready",
            AUTH_03: "AUTH-03 a credential ends with its grace",
            AUTH_04: "AUTH-04 the user never changes",
            AUTH_05: "AUTH-05 no token comes back",
            AUTH_08: "AUTH-08 a revoked credential closes at once",
            CONN_01: "CONN-01 nothing is handled before the upgrade and the user are there",
            CONN_02: "CONN-02 what came early is handled in order or refused",
            CONN_03: "CONN-03 one question at a time, one user for ever",
            CONN_04: "CONN-04 nobody stays unknown beyond the time for it",
            CONN_05: "CONN-05 nothing is said after the end",
            CONN_07: "CONN-07 an input has a bounded number of outputs",
            CONN_08: "CONN-08 connection_ready comes once and first",
            CONN_09: "CONN-09 silence ends a connection",
            CONN_10: "CONN-10 noise is answered and endured",
            DRAIN_04: "DRAIN-04 a connection that drains begins nothing and is closed in time",
            INV_11: "invariant 11: nothing is delivered on a credential that has ended",
            INV_14: "invariant 14: a close has its code and is explained",
            END: "one end, and what was attached is detached",
            SPIN: "the next deadline is in the future",
            WARN: "the end of a credential is announced",
        ];
        properties.extend([
            Property::always("in the end, left alone, it ends", |m: &Self, s| {
                ends_by_itself(s, &m.limits)
            }),
            Property::always(
                "in the end, with everybody's help, it gets ready, or says why not",
                |m, s| gets_ready(s, &m.limits),
            ),
        ]);
        properties
            .extend(self.possible.iter().map(|(words, seen)| Property::sometimes(words, *seen)));
        properties
    }
}

fn closed(state: &State, code: CloseCode) -> bool {
    state.watch.end == Some(End::Closed(code))
}

fn refused(state: &State, status: u16, code: ErrorCode) -> bool {
    state.phase == Phase::Refused(status, code)
}

type Headers<'a> = &'a [(&'a str, &'a [u8])];

fn request(
    headers: Headers<'_>,
    query: &str,
    server: &ServerCondition<'_>,
) -> Result<Accepted, Refusal> {
    let upgrade: [(&str, &[u8]); 4] = [
        ("Connection", b"Upgrade"),
        ("Upgrade", b"websocket"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let headers = [&upgrade, headers].concat();
    decide(&UpgradeRequest { method: "GET", headers: &headers, query }, server)
}

/// Every kind of request meets every condition of the server.
fn upgrades() -> Vec<Result<Accepted, Refusal>> {
    const OFFER: &str = "Sec-WebSocket-Protocol";
    let requests: [(Headers<'_>, &str); 12] = [
        (&[(OFFER, b"golden.v1")], ""),
        (&[(OFFER, b"golden.v1, jwt.t.o.k")], ""),
        (&[(OFFER, b"golden.v1"), ("Authorization", b"Bearer t.o.k")], ""),
        (&[(OFFER, b"golden.v1")], "ticket=t.o.k"),
        (&[(OFFER, b"golden.v1")], "token=t.o.k"),
        (&[(OFFER, b"golden.v1, jwt.t.o.k"), ("Authorization", b"Bearer n.e.w")], ""),
        (&[(OFFER, b"golden.v2")], ""),
        (&[(OFFER, b"jwt-auth, jwt.t.o.k")], ""),
        (&[(OFFER, b"jwt.t.o.k")], ""),
        (&[("Authorization", b"Bearer t.o.k")], ""),
        (&[], ""),
        (&[(OFFER, b"golden.v1"), ("Origin", b"https://evil.example")], ""),
    ];
    let retry_after = Millis(5);
    let conditions = [
        Admission::Open,
        Admission::Crowded { retry_after },
        Admission::Draining { retry_after },
        Admission::Overloaded { retry_after },
        Admission::Starting { retry_after },
        Admission::TooFast { retry_after },
    ];
    let mut decided = Vec::new();
    for (headers, query) in requests {
        for admission in conditions {
            for demo in [false, true] {
                let server = ServerCondition { origins: &NO_PAGES, admission, demo };
                let decision = request(headers, query, &server);
                assert!(decision.is_err() || admission == Admission::Open, "HAND-04");
                if let Ok(Accepted { subprotocol: Some(selected), .. }) = &decision {
                    let offered: Vec<u8> = headers
                        .iter()
                        .filter(|(name, _)| *name == OFFER)
                        .flat_map(|(_, value)| value.to_vec())
                        .collect();
                    let offered = String::from_utf8(offered).unwrap();
                    assert!(offered.split(", ").any(|name| name == selected), "CONN-06");
                    assert!(!selected.contains("t.o.k"), "CONN-06");
                }
                if !decided.contains(&decision) {
                    decided.push(decision);
                }
            }
        }
    }
    decided
}

/// Nothing here is a page.
static NO_PAGES: Origins = Origins::Listed(Vec::new());

fn with_token() -> Vec<Result<Accepted, Refusal>> {
    let server = ServerCondition { origins: &NO_PAGES, admission: Admission::Open, demo: false };
    let headers: [(&str, &[u8]); 1] = [("Sec-WebSocket-Protocol", b"golden.v1, jwt.t.o.k")];
    vec![request(&headers, "", &server)]
}

/// Handshake, first frames, verdicts: who may come in, and what becomes of what is said too early.
#[test]
fn a_stranger_is_let_in_by_a_verdict_and_by_nothing_else() {
    let world = World {
        upgrades: upgrades(),
        texts: 3,
        says: &[Text::Auth, Text::ForAnother, Text::Message, Text::Noise, Text::Ping],
        possible: vec![
            ("ready", |m, _| m.saw(Seen::READY)),
            ("a message held and handled", |m, _| m.saw(Seen::HELD_FORWARDED)),
            ("a message refused before ready", |m, _| m.saw(Seen::HELD_REFUSED)),
            ("a verdict that answers nothing", |m, _| m.saw(Seen::LATE_VERDICT)),
            ("refused: not allowed from there", |_, s| {
                refused(s, 403, ErrorCode::OriginNotAllowed)
            }),
            ("refused: nobody, say verifiers", |_, s| refused(s, 401, ErrorCode::Unauthorized)),
            ("refused: too many here", |_, s| refused(s, 429, ErrorCode::TooManyConnections)),
            ("refused: too many everywhere", |_, s| refused(s, 503, ErrorCode::Overloaded)),
            ("refused: too often", |_, s| refused(s, 429, ErrorCode::RateLimited)),
            ("refused: it drains", |_, s| refused(s, 503, ErrorCode::ShuttingDown)),
            ("refused: it starts", |_, s| refused(s, 503, ErrorCode::Degraded)),
            ("closed with 4408", |_, s| closed(s, CloseCode::AuthTimeout)),
            ("closed with 4401", |_, s| closed(s, CloseCode::Unauthorized)),
            ("closed with 4412", |_, s| closed(s, CloseCode::VersionNotSupported)),
            ("closed with 1012", |_, s| closed(s, CloseCode::Restarting)),
        ],
        ..World::over(&[
            Act::Upgraded,
            Act::Deadline,
            Act::Attached,
            Act::Deliver,
            Act::Drain,
            Act::Lost,
        ])
    };
    world.prove("connection-stranger");
}

/// Refresh, warning, expiry, revocation, a late driver, a server that drains.
#[test]
fn a_credential_lives_as_long_as_it_may_and_no_longer() {
    let world = World {
        upgrades: with_token(),
        texts: 2,
        says: &[Text::Message, Text::Refresh],
        answers: &[Answer::Ada, Answer::AdaBriefly, Answer::AdaLonger, Answer::Eve, Answer::No],
        possible: vec![
            ("warned", |m, _| m.saw(Seen::WARNED)),
            ("refreshed", |m, _| m.saw(Seen::REFRESHED)),
            ("a refresh refused", |m, _| m.saw(Seen::REFRESH_REFUSED)),
            ("delivered while draining", |m, _| m.saw(Seen::DELIVERED_DRAINING)),
            ("closed with 4440", |_, s| closed(s, CloseCode::TokenExpired)),
            ("closed with 4403", |_, s| closed(s, CloseCode::Forbidden)),
            ("closed with 4421", |_, s| closed(s, CloseCode::HeartbeatLost)),
            ("closed with 4410", |_, s| closed(s, CloseCode::MaxAge)),
            ("closed with 1012", |_, s| closed(s, CloseCode::Restarting)),
        ],
        ..World::over(&[
            Act::Upgraded,
            Act::Deadline,
            Act::Late,
            Act::Attached,
            Act::Deliver,
            Act::Revoked,
            Act::Drain,
        ])
    };
    world.prove("connection-credential");
}

/// Every way to end, from everywhere.
#[test]
fn every_end_is_the_right_one_and_explained() {
    let world = World {
        upgrades: with_token(),
        texts: 4,
        says: &[Text::Message, Text::Noise],
        answers: &[Answer::Ada, Answer::No],
        possible: vec![
            ("ready", |m, _| m.saw(Seen::READY)),
            ("closed with 4400", |_, s| closed(s, CloseCode::ProtocolViolated)),
            ("closed with 4429", |_, s| closed(s, CloseCode::RateLimited)),
            ("closed with 1013", |_, s| closed(s, CloseCode::TryAgainLater)),
            ("closed with 1011", |_, s| closed(s, CloseCode::Internal)),
            ("lost", |_, s| s.watch.end == Some(End::Lost)),
        ],
        limits: Arc::new(Limits { message_burst: 3, rate_refusals: 0, ..limits() }),
        ..World::over(&[
            Act::Upgraded,
            Act::Deadline,
            Act::Alive,
            Act::Attached,
            Act::Binary,
            Act::InvalidUtf8,
            Act::TooBig,
            Act::PeerClosed,
            Act::Lost,
            Act::HubCloses(CloseCode::Replaced),
            Act::HubCloses(CloseCode::Internal),
            Act::HubCloses(CloseCode::TryAgainLater),
            Act::Overflow,
            Act::Revoked,
            Act::Drain,
            Act::ServiceStatus,
        ])
    };
    world.prove("connection-ends");
}
