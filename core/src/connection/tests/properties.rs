//! Any inputs in any order: what must hold whatever the peer, the hub and the clock do.

use super::rig::{
    AUTH, HELLO, PING, REFRESH, START, accepted, ada, demo, entry, eve, with_token,
    without_credential,
};
use crate::connection::{Connection, Input, Opening, Output};
use crate::fault::PeerFault;
use crate::handshake::{Accepted, Dialect, Presented};
use crate::hub::HubReady;
use crate::id::{ConnectionId, EffectId, Seq, ThreadId, UserId};
use crate::limits::Limits;
use crate::seed::Seed;
use crate::time::{Millis, Now};
use crate::wire::{CloseCode, ErrorCode, Head};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

#[derive(Clone, Debug)]
enum Act {
    Upgraded,
    Text(String),
    Frame(u8),
    Verdict { late: bool, kind: u8 },
    Attached,
    Deliver(usize),
    Heads,
    HubClose(CloseCode),
    Overflow,
    Revoked,
    Drain,
    Status,
    Wait(u64),
    Deadline,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::Upgraded),
        12 => prop_oneof![
            1 => "\\PC{0,30}",
            1 => Just(String::from(AUTH)),
            4 => Just(String::from(HELLO)),
            2 => Just(String::from(PING)),
            1 => Just(String::from(REFRESH)),
        ]
        .prop_map(Act::Text),
        1 => (0u8..6).prop_map(Act::Frame),
        4 => (prop::bool::weighted(0.2), 0u8..5).prop_map(|(late, kind)| Act::Verdict { late, kind }),
        4 => Just(Act::Attached),
        6 => (0usize..4).prop_map(Act::Deliver),
        4 => Just(Act::Heads),
        1 => proptest::sample::select(CloseCode::ALL).prop_map(Act::HubClose),
        1 => Just(Act::Overflow),
        1 => Just(Act::Revoked),
        1 => Just(Act::Drain),
        4 => Just(Act::Status),
        3 => (0u64..30_000).prop_map(Act::Wait),
        2 => Just(Act::Deadline),
    ]
}

/// The first steps of the way to ready, as far as they are taken, and then anything.
fn history() -> impl Strategy<Value = Vec<Act>> {
    let way = [
        Act::Upgraded,
        Act::Text(String::from(AUTH)),
        Act::Verdict { late: false, kind: 0 },
        Act::Attached,
    ];
    (0usize..=7, prop::collection::vec(act(), 0..60))
        .prop_map(move |(taken, rest)| way.iter().take(taken).cloned().chain(rest).collect())
}

fn opening() -> impl Strategy<Value = Accepted> {
    let unusable = Presented::Unusable(PeerFault::new(ErrorCode::AuthAmbiguous, "two"));
    let older = Accepted { dialect: Dialect::Older, subprotocol: None, ..demo() };
    proptest::sample::select(vec![
        with_token(),
        without_credential(),
        demo(),
        older,
        accepted(unusable, false),
    ])
}

fn limits() -> Limits {
    Limits {
        held_frames: 3,
        violations: 4,
        message_burst: 20,
        rate_refusals: 3,
        connection_max_age: Millis::from_secs(200),
        ..Limits::default()
    }
}

/// What an observer outside remembers of a connection.
#[derive(Default)]
struct Witness {
    upgraded: bool,
    readies: usize,
    forwards: usize,
    attaches: usize,
    detaches: usize,
    good_verdict: bool,
    attached_told: bool,
    user: Option<UserId>,
    closed: bool,
    ended: bool,
    disconnect_said: bool,
}

impl Witness {
    fn see(&mut self, output: &Output) -> Result<(), TestCaseError> {
        let idle = matches!(output, Output::Idle(_));
        prop_assert!(idle || !self.ended, "CONN-05: after the end {output:?}");
        match output {
            Output::Send(frame) => {
                prop_assert!(self.upgraded, "F08: said before the upgrade");
                prop_assert!(!self.closed, "CONN-05: said after the close");
                let text = frame.as_str();
                let ready = [r#""type":"connection_ready""#, r#""type":"connection_established""#];
                if ready.iter().any(|ready| text.contains(ready)) {
                    self.readies += 1;
                    prop_assert_eq!(self.readies, 1, "CONN-08: ready twice");
                    prop_assert!(self.attached_told && self.good_verdict, "AUTH-01");
                }
                if text == r#""an entry""# {
                    prop_assert_eq!(self.readies, 1, "AUTH-02: an entry before ready");
                }
                self.disconnect_said = text.contains(r#""type":"disconnect""#);
            }
            Output::Attach { identity, .. } => {
                self.attaches += 1;
                prop_assert!(self.good_verdict && self.attaches == 1, "AUTH-01");
                self.user = Some(identity.user_id.clone());
            }
            Output::Forward { .. } => {
                self.forwards += 1;
                prop_assert!(self.readies == 1 && !self.closed, "CONN-01");
            }
            Output::Detach => {
                self.detaches += 1;
                prop_assert_eq!((self.attaches, self.detaches), (1, 1));
            }
            Output::Close(_) => {
                prop_assert!(!self.closed);
                prop_assert!(self.disconnect_said || !self.upgraded, "invariant 14");
                self.closed = true;
            }
            Output::Ended(_) => {
                prop_assert_eq!(self.attaches, self.detaches);
                self.ended = true;
            }
            Output::MakeDemoUser { .. } | Output::Verify { .. } => {
                prop_assert!(self.upgraded && !self.closed, "F08");
            }
            Output::Idle(_) => {}
        }
        Ok(())
    }
}

fn verdict_of(kind: u8) -> Result<crate::connection::Identity, ErrorCode> {
    match kind {
        0..=2 => Ok(ada()),
        3 => Ok(eve()),
        _ => Err(ErrorCode::Unauthorized),
    }
}

/// CONN-01, 02, 03, 05, 07, 08, AUTH-01, 02, 04; invariants 1, 2, 14. The counts at the end show that
/// the promises were put to the test.
//= specs/connection.md#conn-01
//= type=test
//# A client frame other than `auth`, `ping` and `pong` MUST NOT be handled before the connection is
//# ready.
//= specs/connection.md#conn-05
//= type=test
//# A connection MUST NOT send anything after its close frame or after its transport was lost.
//= specs/connection.md#conn-07
//= type=test
//# A connection MUST take every input in every state without panic and with a bounded number of
//# outputs.
//= specs/connection.md#conn-12
//= type=test
//# A close it decides on MUST carry a code of the table, preceded by `disconnect` when the peer can
//# read.
//= specs/auth.md#auth-01
//= type=test
//# A connection MUST NOT become ready without a good verdict received in its own handshake.
//= specs/auth.md#auth-02
//= type=test
//# What belongs to a thread MUST NOT reach a connection that is not ready.
#[test]
fn in_any_order_the_promises_hold() {
    let (readies, forwards, closes) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(goldenpath_proof::counted_to(1_000));
    let histories = (opening(), history());
    let checked = runner.run(&histories, |(accepted, acts)| {
        let witness = live(accepted, acts)?;
        readies.set(readies.get() + witness.readies);
        forwards.set(forwards.get() + witness.forwards);
        closes.set(closes.get() + usize::from(witness.closed));
        Ok(())
    });
    assert!(checked.is_ok(), "{checked:?}");
    assert!(readies.get() > 200, "{} connections became ready", readies.get());
    assert!(forwards.get() > 100, "{} commands were forwarded", forwards.get());
    assert!(closes.get() > 100, "{} connections were closed", closes.get());
}

fn live(accepted: Accepted, acts: Vec<Act>) -> Result<Witness, TestCaseError> {
    let limits = Arc::new(limits());
    // An older client hears at once what was held until it spoke.
    let held = if accepted.dialect == Dialect::Older { limits.held_frames + 3 } else { 0 };
    let bound = 8 + limits.held_frames * 2 + held;
    let opening = Opening { connection_id: ConnectionId(1), accepted, identity: None };
    let mut connection = Connection::new(opening, limits, Seed::new(2), START);
    let (mut now, mut asked, mut deadline) = (START, EffectId(u64::MAX), None);
    let mut witness = Witness::default();
    for act in acts {
        let frames = vec![entry(); 3];
        let mut allowed = bound;
        let input = match &act {
            Act::Upgraded => {
                witness.upgraded = true;
                Some(Input::Upgraded)
            }
            Act::Text(text) => Some(Input::Text(text)),
            Act::Frame(0) => Some(Input::Binary),
            Act::Frame(1) => Some(Input::InvalidUtf8),
            Act::Frame(2) => Some(Input::TooBig),
            Act::Frame(3) => Some(Input::PeerClosed(Some(1000))),
            Act::Frame(4) => Some(Input::Lost),
            Act::Frame(_) => Some(Input::Alive),
            Act::Verdict { late, kind } => {
                let verdict = verdict_of(*kind);
                witness.good_verdict |= !late && verdict.is_ok();
                let effect = if *late { EffectId(1 << 40) } else { asked };
                Some(Input::Verdict { effect, verdict })
            }
            Act::Attached => {
                witness.attached_told |= witness.attaches == 1;
                Some(Input::Attached(HubReady::default()))
            }
            Act::Deliver(n) => {
                allowed += n;
                Some(Input::Deliver(&frames[..(*n).min(3)]))
            }
            Act::Heads => Some(Input::Heads(vec![Head { thread_id: ThreadId(1), seq: Seq(1) }])),
            Act::HubClose(code) => Some(Input::HubClose(*code)),
            Act::Overflow => Some(Input::Overflow),
            Act::Revoked => Some(Input::Revoked),
            Act::Drain => Some(Input::Drain { reconnect_after: Millis(5) }),
            Act::Status => Some(Input::ServiceStatus { degraded: Vec::new() }),
            Act::Wait(ms) => {
                now = now.after(Millis(*ms));
                None
            }
            Act::Deadline => {
                if let Some(at) = deadline {
                    let wait = crate::time::Mono::since(at, now.mono);
                    now = now.after(wait);
                }
                None
            }
        };
        match input {
            Some(input) => connection.handle_input(now, input),
            None => connection.handle_timeout(now),
        }
        let mut count = 0;
        loop {
            let output = connection.poll_output();
            witness.see(&output)?;
            match output {
                Output::Verify { effect, .. } | Output::MakeDemoUser { effect } => asked = effect,
                Output::Idle(at) => {
                    deadline = at;
                    break;
                }
                _ => {}
            }
            count += 1;
            prop_assert!(count <= allowed, "CONN-07: {count} outputs");
        }
        prop_assert!(connection.end().is_some() == witness.ended);
        prop_assert!(witness.ended || deadline.is_some(), "a living connection has a deadline");
        if let (Some(identity), Some(user)) = (connection.identity(), &witness.user) {
            prop_assert_eq!(&identity.user_id, user, "CONN-03: the user changed");
        }
    }
    Ok(witness)
}

proptest! {
    #![proptest_config(goldenpath_proof::counted())]

    /// CONN-04, AUTH-03, CONN-09: a connection nobody talks to ends by itself, whatever its state, and
    /// in finitely many wake-ups.
    //= specs/connection.md#conn-19
    //= type=test
    //# A connection that is left alone MUST end by itself after a finite number of wake-ups.
    #[test]
    fn left_alone_every_connection_ends(
        accepted in opening(), steps in 0usize..4,
    ) {
        leave_alone(accepted, steps)?;
    }
}

fn leave_alone(accepted: Accepted, steps: usize) -> Result<(), TestCaseError> {
    let opening = Opening { connection_id: ConnectionId(1), accepted, identity: None };
    let mut connection = Connection::new(opening, Arc::new(limits()), Seed::new(2), START);
    let mut now: Now = START;
    for step in 0..steps {
        match step {
            0 => connection.handle_input(now, Input::Upgraded),
            1 => connection
                .handle_input(now, Input::Verdict { effect: EffectId(0), verdict: Ok(ada()) }),
            _ => connection.handle_input(now, Input::Attached(HubReady::default())),
        }
    }
    for _ in 0..200 {
        match connection.poll_output() {
            Output::Idle(None) => break,
            Output::Idle(Some(at)) => {
                prop_assert!(at > now.mono, "a deadline that has passed would spin");
                now = now.after(at.since(now.mono));
                connection.handle_timeout(now);
            }
            _ => {}
        }
    }
    prop_assert!(connection.end().is_some());
    Ok(())
}

#[test]
fn an_older_client_that_was_let_in_as_a_visitor_and_left_alone_ends() {
    let accepted = Accepted {
        subprotocol: None,
        dialect: Dialect::Older,
        presented: Presented::Nothing,
        demo: true,
        verify_before_upgrade: false,
    };
    leave_alone(accepted, 3).unwrap();
}
