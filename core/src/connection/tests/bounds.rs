//! The last moment and the last item that are still within a bound, and the first that is not.

use super::rig::{AUTH, HELLO, PING, Rig, demo, without_credential};
use crate::connection::{Connection, Input, Opening};
use crate::fault::End;
use crate::id::ConnectionId;
use crate::limits::Limits;
use crate::seed::Seed;
use crate::time::Millis;
use crate::wire::CloseCode;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

#[test]
fn an_auth_that_names_two_credentials_is_closed_with_its_reason() {
    let mut rig = Rig::upgraded(without_credential());
    let said = rig.text(r#"{"type":"auth","payload":{"token":"t.o.k","ticket":"x"}}"#);
    assert!(said[0].contains("auth_ambiguous"), "{said:?}");
    assert_eq!(rig.connection.end(), Some(End::Closed(CloseCode::ProtocolViolated)));
}

#[test]
fn before_the_upgrade_frames_are_held_to_the_bound_and_the_rest_is_refused() {
    let limits = Limits { held_frames: 2, ..Limits::default() };
    for (early, refused) in [(2, false), (3, true)] {
        let mut rig = Rig::with_limits(without_credential(), limits.clone());
        for _ in 0..early {
            assert_eq!(rig.text(PING), Vec::<String>::new());
        }
        let said = rig.input(Input::Upgraded);
        let pongs = said.iter().filter(|line| line.contains("pong")).count();
        let errors = said.iter().filter(|line| line.contains("overloaded")).count();
        assert_eq!((pongs, errors > 0), (2, refused), "{said:?}");
    }
}

#[test]
fn before_the_upgrade_a_frame_may_be_as_long_as_any() {
    let at_most = HELLO.len();
    for (frame_bytes, refused) in [(at_most, false), (at_most - 1, true)] {
        let limits = Limits { frame_bytes, ..Limits::default() };
        let mut rig = Rig::with_limits(without_credential(), limits);
        rig.text(HELLO);
        let said = rig.input(Input::Upgraded);
        let error = said.iter().any(|line| line.contains("overloaded"));
        assert_eq!(error, refused, "{said:?}");
    }
}

#[test]
fn a_client_without_a_credential_has_its_time_to_the_last_millisecond() {
    let mut rig = Rig::upgraded(without_credential());
    let time = Limits::default().auth_timeout;
    assert_eq!(rig.wait(Millis(time.0 - 1)), Vec::<String>::new());
    rig.wait(Millis(1));
    assert_eq!(rig.connection.end(), Some(End::Closed(CloseCode::AuthTimeout)));
}

#[test]
fn an_upgrade_that_does_not_complete_has_the_same_time() {
    let mut rig = Rig::new(without_credential());
    let time = Limits::default().auth_timeout;
    rig.wait(Millis(time.0 - 1));
    assert_eq!(rig.connection.end(), None);
    rig.wait(Millis(1));
    assert_eq!(rig.connection.end(), Some(End::Closed(CloseCode::AuthTimeout)));
}

#[test]
fn a_visitor_of_the_demonstration_is_waited_for_to_the_last_millisecond() {
    let mut rig = Rig::upgraded(demo());
    let wait = Limits::default().demo_wait;
    assert_eq!(rig.wait(Millis(wait.0 - 1)), Vec::<String>::new());
    assert_eq!(rig.wait(Millis(1)), ["make demo user"]);
    assert_eq!(rig.wait(Millis(1)), Vec::<String>::new(), "asked for once");
    let mut early = Rig::upgraded(demo());
    assert!(early.text(AUTH).iter().any(|line| line.starts_with("verify")));
    assert_eq!(early.wait(wait), Vec::<String>::new(), "it has a credential of its own");
}

#[test]
fn silence_ends_a_ready_connection_at_its_time_and_a_ping_comes_before() {
    let limits = Limits::default();
    let mut rig = Rig::ready();
    assert_eq!(rig.wait(Millis(limits.heartbeat_interval.0 - 1)), Vec::<String>::new());
    assert!(rig.wait(Millis(1))[0].contains("ping"));
    let mut silent = Rig::ready();
    silent.wait(Millis(limits.heartbeat_timeout.0 - 1));
    assert_eq!(silent.connection.end(), None);
    silent.wait(Millis(1));
    assert_eq!(silent.connection.end(), Some(End::Closed(CloseCode::HeartbeatLost)));
}

#[test]
fn protocol_violations_are_forgiven_by_a_good_frame_and_counted_exactly() {
    let limits = Limits { violations: 3, ..Limits::default() };
    let mut rig = Rig::ready_with(limits);
    rig.text("{");
    rig.text("{");
    rig.text(PING);
    rig.text("{");
    rig.text("{");
    assert_eq!(rig.connection.end(), None);
    let said = rig.text("{");
    assert_eq!(rig.connection.end(), Some(End::Closed(CloseCode::ProtocolViolated)), "{said:?}");
}

#[test]
fn talking_too_fast_is_refused_as_often_as_allowed_and_then_ends_it() {
    let limits =
        Limits { message_burst: 1, messages_per_minute: 60, rate_refusals: 2, ..Limits::default() };
    let mut rig = Rig::ready_with(limits);
    rig.text(HELLO);
    assert!(!rig.connection.is_too_fast());
    let first = rig.text(HELLO);
    assert!(rig.connection.is_too_fast());
    assert_eq!(first.len(), 2, "the error and, once, how long to wait: {first:?}");
    assert_eq!(rig.text(HELLO).len(), 1);
    assert_eq!(rig.connection.end(), None);
    rig.text(HELLO);
    assert_eq!(rig.connection.end(), Some(End::Closed(CloseCode::RateLimited)));
}

#[test]
fn a_pause_makes_good_for_having_talked_too_fast() {
    let limits =
        Limits { message_burst: 1, messages_per_minute: 60, rate_refusals: 1, ..Limits::default() };
    let mut rig = Rig::ready_with(limits);
    for _ in 0..5 {
        rig.text(HELLO);
        rig.text(HELLO);
        assert_eq!(rig.connection.end(), None);
        rig.now = rig.now.after(Millis(1_000));
    }
}

#[test]
fn a_connection_knows_its_number() {
    let opening =
        Opening { connection_id: ConnectionId(77), accepted: without_credential(), identity: None };
    let limits = Arc::new(Limits::default());
    let connection = Connection::new(opening, limits, Seed::new(1), super::rig::START);
    assert_eq!(connection.id(), ConnectionId(77));
}
