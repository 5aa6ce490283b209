//! What each requirement says, asked of the machine; what is about credentials stands beside it.

use super::rig::{
    AUTH, HELLO, PING, Rig, START, ada, entry, last_frame, with_token, without_credential,
};
use crate::connection::{Input, Output};
use crate::fault::End;
use crate::hub::HubReady;
use crate::id::{ClientMsgId, Seq, ThreadId};
use crate::limits::Limits;
use crate::time::Millis;
use crate::wire::{ClientBody, CloseCode, Head, Reply};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

const SECOND: Millis = Millis::from_secs(1);

fn message(content: &str) -> String {
    format!(r#"{{"type":"user_message","id":"{content}","payload":{{"content":"{content}"}}}}"#)
}

fn contents(outputs: Vec<Output>) -> Vec<String> {
    outputs
        .into_iter()
        .filter_map(|output| match output {
            Output::Forward { body: ClientBody::UserMessage(message), .. } => Some(message.content),
            _ => None,
        })
        .collect()
}

/// F08: invariant 1.
//= specs/connection.md#conn-18
//= type=test
//# A connection MUST NOT say or handle anything before its upgrade is complete.
#[test]
fn nothing_is_said_or_handled_before_the_upgrade_is_complete() {
    let mut rig = Rig::new(with_token());
    assert!(rig.text(HELLO).is_empty() && rig.text(AUTH).is_empty() && rig.text(PING).is_empty());
    assert!(rig.attached().is_empty() && rig.verdict(Ok(ada())).is_empty());
    let said = rig.input(Input::Upgraded);
    assert_eq!(said, ["verify Subprotocol", "send error forbidden ref a1", "send pong ref p1"]);
}

/// F09: CONN-01, CONN-02.
//= specs/connection.md#conn-02
//= type=test
//# A frame that comes too early MUST be held and handled in its order once the connection is ready.
#[test]
fn a_message_sent_before_ready_is_handled_after_it_in_order() {
    let mut rig = Rig::upgraded(without_credential());
    assert!(rig.text(&message("one")).is_empty());
    rig.text(AUTH);
    assert!(rig.text(&message("two")).is_empty());
    rig.verdict(Ok(ada()));
    assert!(rig.text(&message("three")).is_empty());
    rig.connection.handle_input(rig.now, Input::Attached(HubReady::default()));
    assert_eq!(contents(rig.outputs()), ["one", "two", "three"]);
}

//= specs/connection.md#conn-11
//= type=test
//# Early frames beyond the bound MUST be refused with an error, and those held MUST stay.
#[test]
fn more_early_messages_than_the_bound_are_refused_and_the_others_kept() {
    let limits = Limits { held_frames: 2, ..Limits::default() };
    let mut rig = Rig::with_limits(with_token(), limits);
    rig.input(Input::Upgraded);
    for (content, said) in [("a", None), ("b", None), ("c", Some("send error overloaded ref c"))] {
        assert_eq!(rig.text(&message(content)).first().map(String::as_str), said);
    }
    rig.verdict(Ok(ada()));
    rig.connection.handle_input(rig.now, Input::Attached(HubReady::default()));
    assert_eq!(contents(rig.outputs()), ["a", "b"]);
}

//= specs/connection.md#conn-03
//= type=test
//# A second `auth` on a ready connection MUST be refused, and its user MUST NOT change.
#[test]
fn a_second_auth_is_refused_and_the_user_stays() {
    let mut rig = Rig::ready();
    assert_eq!(rig.text(AUTH), ["send error forbidden ref a1"]);
    assert_eq!(rig.connection.identity(), Some(&ada()));
}

//= specs/connection.md#conn-04
//= type=test
//# A connection that is not authenticated MUST be closed with 4408 no later than the authentication
//# timeout.
#[test]
fn who_does_not_authenticate_in_time_is_told_4408() {
    let limits = Limits::default();
    let mut rig = Rig::upgraded(without_credential());
    assert_eq!(rig.deadline(), Some(START.mono.after(limits.auth_timeout)));
    rig.wait(Millis(limits.auth_timeout.0 - 1));
    assert_eq!(rig.connection.end(), None);
    let said = rig.wait(Millis(1));
    assert_eq!(said, ["send disconnect auth_timeout", "close 4408", "ended closed 4408"]);

    let mut silent_verifier = Rig::upgraded(with_token());
    assert!(silent_verifier.wait(limits.auth_timeout).contains(&"close 4408".to_string()));
}

#[test]
fn a_hub_that_does_not_answer_means_try_again_later() {
    let mut rig = Rig::attaching();
    let frame = {
        rig.now = rig.now.after(Limits::default().auth_timeout);
        rig.connection.handle_timeout(rig.now);
        rig.outputs()
    };
    assert!(frame.contains(&Output::Close(CloseCode::TryAgainLater)));
    assert!(frame.contains(&Output::Detach));
}

/// CONN-05.
#[test]
fn after_the_end_nothing_is_said_whatever_comes() {
    for end in [Input::Overflow, Input::Lost, Input::PeerClosed(None), Input::Binary] {
        let mut rig = Rig::ready();
        rig.input(end);
        for late in [
            Input::Text(HELLO),
            Input::Binary,
            Input::Deliver(&[entry()]),
            Input::Revoked,
            Input::Lost,
            Input::HubClose(CloseCode::Replaced),
            Input::Drain { reconnect_after: SECOND },
            Input::Upgraded,
        ] {
            assert_eq!(rig.input(late), Vec::<String>::new());
        }
        assert_eq!(rig.deadline(), None);
    }
}

#[test]
fn a_lost_transport_is_not_written_to() {
    let mut rig = Rig::ready();
    assert_eq!(rig.input(Input::Lost), ["detach", "ended Lost"]);
    let mut rig = Rig::ready();
    assert_eq!(rig.input(Input::PeerClosed(Some(1001))), ["detach", "ended Peer(Some(1001))"]);
    assert_eq!(rig.connection.end(), Some(End::Peer(Some(1001))));
}

/// CONN-08: invariant 2.
//= specs/connection.md#conn-08
//= type=test
//# A connection that becomes ready MUST say `connection_ready` exactly once, before anything of a
//# thread.
#[test]
fn connection_ready_is_said_once_and_first() {
    let mut rig = Rig::attaching();
    assert!(rig.input(Input::Deliver(&[entry()])).is_empty(), "AUTH-02");
    assert_eq!(rig.attached(), ["send connection_ready"]);
    assert!(rig.attached().is_empty());
    assert_eq!(rig.input(Input::Deliver(&[entry()])), [r#"send "an entry""#]);
}

#[test]
fn connection_ready_answers_the_auth_frame_and_says_what_is_missing() {
    let mut rig = Rig::upgraded(without_credential());
    rig.input(Input::ServiceStatus { degraded: vec!["llm".into()] });
    rig.text(AUTH);
    rig.verdict(Ok(ada()));
    let ready = last_frame(&mut rig, Input::Attached(HubReady::default()));
    assert_eq!(ready["ref"], "a1");
    let payload = &ready["payload"];
    assert_eq!(payload["degraded"][0], "llm");
    assert_eq!(payload["auth_method"], "first_message");
    assert_eq!((&payload["user_id"], &payload["mode"]), (&"ada".into(), &"normal".into()));
}

//= specs/connection.md#conn-09
//= type=test
//# A peer that is silent for the heartbeat timeout MUST be closed with 4421.
#[test]
fn a_silent_peer_is_pinged_and_then_lost() {
    let limits = Limits::default();
    let mut rig = Rig::ready();
    assert_eq!(rig.wait_for_deadline(), ["send ping"]);
    assert_eq!(rig.wait_for_deadline(), ["send ping"]);
    assert_eq!(rig.now.mono, START.mono.after(Millis(2 * limits.heartbeat_interval.0)));
    let said = rig.wait_for_deadline();
    assert_eq!(rig.now.mono, START.mono.after(limits.heartbeat_timeout));
    assert_eq!(
        said,
        ["send disconnect heartbeat_lost", "close 4421", "detach", "ended closed 4421"]
    );
}

//= specs/connection.md#conn-20
//= type=test
//# A sign of life MUST put off the end by silence.
#[test]
fn any_sign_of_life_keeps_a_connection() {
    let mut rig = Rig::ready();
    for _ in 0..10 {
        rig.wait(Millis::from_secs(50));
        rig.input(Input::Alive);
        rig.wait(Millis::from_secs(1));
    }
    assert_eq!(rig.connection.end(), None);
}

//= specs/delivery.md#dlv-23
//= type=test
//# A ping MUST carry the heads of the threads that are followed.
#[test]
fn a_ping_carries_the_heads_of_what_is_followed() {
    let mut rig = Rig::ready();
    rig.input(Input::Heads(vec![Head { thread_id: ThreadId(3), seq: Seq(12) }]));
    rig.now = rig.now.after(Limits::default().heartbeat_interval);
    rig.connection.handle_timeout(rig.now);
    let Some(Output::Send(ping)) = rig.outputs().pop() else { panic!("no ping") };
    assert!(ping.as_str().contains(r#""seq":12"#), "{}", ping.as_str());
}

/// CONN-10, F41, F03.
//= specs/connection.md#conn-10
//= type=test
//# A malformed, unknown or oversized message MUST be answered with an error and MUST NOT close the
//# connection.
#[test]
fn malformed_input_is_answered_and_the_connection_stays() {
    let mut rig = Rig::ready();
    let long = message(&"x".repeat(8193));
    for (text, error) in [
        ("{", "send error invalid_json"),
        ("[]", "send error invalid_frame"),
        (r#"{"type":"dance","id":"d"}"#, "send error unknown_type ref d"),
        (r#"{"type":"user_message","id":"e"}"#, "send error validation_failed ref e"),
        (long.as_str(), "send error message_too_large"),
    ] {
        assert_eq!(rig.text(text), [error]);
    }
    assert_eq!(rig.text(HELLO), ["forward UserMessage"]);
}

//= specs/connection.md#conn-13
//= type=test
//# A peer that violates the protocol repeatedly MUST be closed with 4400.
#[test]
fn a_peer_that_only_talks_nonsense_is_sent_away_with_4400() {
    let limits = Limits { violations: 3, ..Limits::default() };
    let mut rig = Rig::ready_with(limits);
    rig.text("{");
    rig.text("{");
    rig.text(PING);
    rig.text("{");
    rig.text("{");
    assert_eq!(
        rig.text("{"),
        [
            "send error invalid_json fatal",
            "send disconnect protocol_violated",
            "close 4400",
            "detach",
            "ended closed 4400"
        ]
    );
}

#[test]
fn what_does_not_exist_is_no_violation() {
    let limits = Limits { violations: 1, ..Limits::default() };
    let mut rig = Rig::ready_with(limits);
    let nowhere = r#"{"type":"subscribe","id":"s","payload":{"thread_id":"nowhere"}}"#;
    assert_eq!(rig.text(nowhere), ["send error thread_not_found ref s"]);
}

//= specs/connection.md#conn-15
//= type=test
//# A binary frame MUST be closed with 1003, invalid UTF-8 with 1007, a frame above the hard limit
//# with 1009.
#[test]
fn frames_of_a_kind_that_is_not_spoken_close_with_their_code() {
    for (input, code) in [(Input::Binary, 1003), (Input::InvalidUtf8, 1007), (Input::TooBig, 1009)]
    {
        assert!(Rig::ready().input(input).contains(&format!("close {code}")));
    }
}

//= specs/connection.md#conn-14
//= type=test
//# A peer that sends too fast MUST be told how long to wait, and MUST be closed with 4429 when it
//# goes on.
#[test]
fn too_many_messages_are_refused_with_a_time_and_then_the_peer_is_sent_away() {
    let limits =
        Limits { messages_per_minute: 60, message_burst: 2, rate_refusals: 2, ..Limits::default() };
    let mut rig = Rig::ready_with(limits);
    rig.text(HELLO);
    rig.text(HELLO);
    assert_eq!(rig.text(HELLO), ["send error rate_limited ref m1", "send rate_limit"]);
    let refusal = last_frame(&mut rig, Input::Text(HELLO));
    assert_eq!(refusal["payload"]["retry_after_ms"], 1000);
    let mut patient = rig.clone();
    patient.now = patient.now.after(SECOND);
    assert_eq!(patient.text(HELLO), ["forward UserMessage"]);

    rig.connection.handle_input(rig.now, Input::Text(HELLO));
    let outputs = rig.outputs();
    assert!(outputs.contains(&Output::Close(CloseCode::RateLimited)));
    let Output::Send(disconnect) = &outputs[1] else { panic!("{outputs:?}") };
    assert!(disconnect.as_str().contains(r#""reconnect_after_ms":1000"#));
}

//= specs/isolation.md#iso-05
//= type=test
//# A frame that names another user than its connection's MUST be refused as `user_mismatch`.
#[test]
fn a_frame_that_names_another_user_is_refused() {
    let mut rig = Rig::ready();
    let named = |user: &str| {
        format!(
            r#"{{"type":"user_message","id":"m","payload":{{"content":"x","user_id":"{user}"}}}}"#
        )
    };
    assert_eq!(rig.text(&named("eve")), ["send error user_mismatch ref m"]);
    assert_eq!(rig.text(&named("ada")), ["forward UserMessage"]);
}

//= specs/wire.md#wire-10
//= type=test
//# A message without a name MUST get one that stays the same when a frame with the same id comes
//# again.
#[test]
fn a_message_without_a_name_gets_one_that_is_kept_when_it_is_sent_again() {
    let name = |rig: &mut Rig, text: &str| -> ClientMsgId {
        rig.connection.handle_input(rig.now, Input::Text(text));
        match rig.outputs().pop() {
            Some(Output::Forward { body: ClientBody::UserMessage(message), reply }) => {
                assert!(matches!(reply, Reply::Ref(_) | Reply::None));
                message.client_msg_id
            }
            other => panic!("{other:?}"),
        }
    };
    let mut rig = Rig::ready();
    let first = name(&mut rig, HELLO);
    assert_eq!(name(&mut rig, HELLO), first);
    let unnamed = r#"{"type":"user_message","payload":{"content":"hello"}}"#;
    assert_ne!(name(&mut rig, unnamed), name(&mut rig, unnamed));
}

//= specs/connection.md#conn-16
//= type=test
//# A connection MUST be recycled with 4410 at its maximum age.
#[test]
fn a_connection_is_recycled_at_its_age() {
    let limits = Limits {
        connection_max_age: Millis::from_secs(100),
        heartbeat_timeout: Millis::from_secs(9_999),
        ..Limits::default()
    };
    let mut rig = Rig::ready_with(limits);
    rig.wait(Millis(99_999));
    assert_eq!(rig.wait(Millis(1))[..2], ["send disconnect max_age", "close 4410"]);
}

/// RUN-13, F47.
//= specs/drain.md#drain-04
//= type=test
//# A draining connection MUST refuse new messages, deliver what is under way, and close with 1012.
#[test]
fn a_draining_server_tells_refuses_delivers_and_closes_with_the_given_time() {
    let mut rig = Rig::ready();
    let told = last_frame(&mut rig, Input::Drain { reconnect_after: Millis(700) });
    assert_eq!(told["payload"]["reconnect_after_ms"], 700);
    assert_eq!(rig.text(HELLO), ["send error shutting_down ref m1"]);
    assert_eq!(rig.text(PING), ["send pong ref p1"]);
    assert_eq!(rig.input(Input::Deliver(&[entry()])), [r#"send "an entry""#]);
    rig.now = rig.now.after(Limits::default().drain_linger);
    rig.connection.handle_timeout(rig.now);
    let outputs = rig.outputs();
    let Output::Send(disconnect) = &outputs[0] else { panic!("{outputs:?}") };
    assert!(disconnect.as_str().contains(r#""code":1012"#));
    assert!(disconnect.as_str().contains(r#""reconnect_after_ms":700"#));
    assert_eq!(outputs[1], Output::Close(CloseCode::Restarting));
}

//= specs/drain.md#drain-05
//= type=test
//# A connection that is not ready MUST be closed with 1012 as soon as the server drains.
#[test]
fn a_draining_server_keeps_nobody_who_is_not_ready() {
    for mut rig in [Rig::upgraded(without_credential()), Rig::attaching()] {
        let said = rig.input(Input::Drain { reconnect_after: SECOND });
        assert_eq!(
            said[..3],
            ["send server_draining", "send disconnect server_restarting", "close 1012"]
        );
    }
}

/// F02: a bug of ours is reported with an id that stands in the log, then 1011.
//= specs/connection.md#conn-17
//= type=test
//# A bug of ours MUST be reported as an error with an id before the close with 1011.
#[test]
fn an_internal_error_is_reported_before_1011() {
    let mut rig = Rig::ready();
    rig.connection.handle_input(rig.now, Input::HubClose(CloseCode::Internal));
    let outputs = rig.outputs();
    let Output::Send(error) = &outputs[0] else { panic!("{outputs:?}") };
    assert!(error.as_str().contains("internal") && error.as_str().contains("req_"));
    assert_eq!(outputs[2], Output::Close(CloseCode::Internal));
}

/// F37: invariant 12.
//= specs/delivery.md#dlv-14
//= type=test
//# A reader that is too slow for its bounds MUST be told and closed with 4420.
#[test]
fn a_slow_reader_is_told_and_closed_with_4420() {
    let said = Rig::ready().input(Input::Overflow);
    assert_eq!(said, ["send disconnect slow_reader", "close 4420", "detach", "ended closed 4420"]);
}

//= specs/dependencies.md#dep-10
//= type=test
//# A connection that learns which parts are not available MUST tell its client, and again when they
//# are back.
#[test]
fn parts_that_fail_and_return_are_announced() {
    let mut rig = Rig::ready();
    let frame = last_frame(&mut rig, Input::ServiceStatus { degraded: vec!["store".into()] });
    assert_eq!(frame["payload"]["degraded"][0], "store");
    let frame = last_frame(&mut rig, Input::ServiceStatus { degraded: Vec::new() });
    assert_eq!(frame["payload"]["status"], "healthy");
}

/// What an idle connection costs besides its socket: part of the bar of 6.8 kB.
#[test]
fn an_idle_connection_is_small() {
    let bytes = size_of::<crate::connection::Connection>();
    assert!(bytes <= 512, "{bytes} bytes");
}
