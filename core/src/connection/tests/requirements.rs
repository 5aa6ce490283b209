//! What each requirement says, asked of the machine.

use super::rig::{
    AUTH, HELLO, PING, REFRESH, Rig, START, TOKEN_LIFE, accepted, ada, demo, entry, eve,
    with_token, without_credential,
};
use crate::connection::{Identity, Input, Output};
use crate::fault::{End, PeerFault};
use crate::handshake::{Accepted, Dialect, Presented};
use crate::hub::HubReady;
use crate::id::{ClientMsgId, Seq, ThreadId, UserId};
use crate::limits::Limits;
use crate::time::Millis;
use crate::wire::{ClientBody, CloseCode, ErrorCode, Head, Reply};
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

fn last_frame(rig: &mut Rig, input: Input<'_>) -> serde_json::Value {
    rig.connection.handle_input(rig.now, input);
    let frames = rig.outputs().into_iter().filter_map(|output| match output {
        Output::Send(frame) => Some(frame),
        _ => None,
    });
    serde_json::from_str(frames.last().expect("a frame").as_str()).unwrap()
}

/// F08: invariant 1.
#[test]
fn nothing_is_said_or_handled_before_the_upgrade_is_complete() {
    let mut rig = Rig::new(with_token());
    assert!(rig.text(HELLO).is_empty() && rig.text(AUTH).is_empty() && rig.text(PING).is_empty());
    assert!(rig.attached().is_empty() && rig.verdict(Ok(ada())).is_empty());
    let said = rig.input(Input::Upgraded);
    assert_eq!(said, ["verify Subprotocol", "send error forbidden ref a1", "send pong ref p1"]);
}

/// F09: CONN-01, CONN-02.
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

/// CONN-03.
#[test]
fn a_second_auth_is_refused_and_the_user_stays() {
    let mut rig = Rig::ready();
    assert_eq!(rig.text(AUTH), ["send error forbidden ref a1"]);
    assert_eq!(rig.connection.identity(), Some(&ada()));
}

/// CONN-04.
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

/// CONN-09.
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

#[test]
fn frames_of_a_kind_that_is_not_spoken_close_with_their_code() {
    for (input, code) in [(Input::Binary, 1003), (Input::InvalidUtf8, 1007), (Input::TooBig, 1009)]
    {
        assert!(Rig::ready().input(input).contains(&format!("close {code}")));
    }
}

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

/// AUTH-01, F01: every refusal has its own code, and none of them is 1011.
#[test]
fn a_bad_verdict_is_explained_and_closes_with_its_code() {
    for (code, close) in [
        (ErrorCode::Unauthorized, 4401),
        (ErrorCode::TicketInvalid, 4401),
        (ErrorCode::TokenExpired, 4440),
        (ErrorCode::TokenRevoked, 4441),
        (ErrorCode::Overloaded, 1013),
        (ErrorCode::StorageUnavailable, 1013),
    ] {
        let mut rig = Rig::upgraded(without_credential());
        rig.text(AUTH);
        let said = rig.verdict(Err(code));
        assert_eq!(said[0], format!("send error {code} fatal ref a1"));
        assert!(said[1].starts_with("send disconnect"));
        assert_eq!(said[2..], [format!("close {close}"), format!("ended closed {close}")]);
    }
}

/// F36.
#[test]
fn a_credential_that_can_never_be_accepted_is_explained_inside() {
    for (code, close) in [
        (ErrorCode::Unauthorized, 4401),
        (ErrorCode::AuthAmbiguous, 4400),
        (ErrorCode::UnsupportedVersion, 4412),
    ] {
        let presented = Presented::Unusable(PeerFault::new(code, "no"));
        let said = Rig::new(accepted(presented, true)).input(Input::Upgraded);
        assert_eq!(said[0], format!("send error {code} fatal"));
        assert!(said.contains(&format!("close {close}")));
    }
}

#[test]
fn without_a_credential_the_client_is_asked_for_one() {
    let mut rig = Rig::new(without_credential());
    let frame = last_frame(&mut rig, Input::Upgraded);
    assert_eq!(
        (&frame["type"], &frame["payload"]["timeout_ms"]),
        (&"auth_required".into(), &10_000.into())
    );
}

#[test]
fn auth_carries_the_positions_to_resume_from() {
    let mut rig = Rig::upgraded(without_credential());
    let thread = ThreadId(4);
    rig.text(&format!(
        r#"{{"type":"auth","payload":{{"token":"t","resume":{{"threads":[{{"thread_id":"{thread}","after_seq":3}}]}}}}}}"#
    ));
    assert_eq!(rig.verdict(Ok(ada())), ["attach ada resume 1"]);
}

#[test]
fn in_demo_mode_a_client_may_still_say_who_it_is() {
    let mut rig = Rig::new(demo());
    assert!(rig.input(Input::Upgraded).is_empty());
    rig.text(PING);
    assert_eq!(rig.text(AUTH), ["verify FirstMessage"]);
    assert!(rig.wait(SECOND).is_empty());
}

#[test]
fn in_demo_mode_who_says_anything_else_or_nothing_becomes_a_demo_user() {
    let mut talker = Rig::upgraded(demo());
    assert_eq!(talker.text(HELLO), ["make demo user"]);
    let visitor = Identity {
        user_id: UserId::new("demo-user-1").unwrap(),
        demo: true,
        expires_at: None,
        ..ada()
    };
    talker.verdict(Ok(visitor));
    let ready = {
        talker.connection.handle_input(talker.now, Input::Attached(HubReady::default()));
        talker.outputs()
    };
    let Output::Send(frame) = &ready[0] else { panic!("{ready:?}") };
    assert!(frame.as_str().contains(r#""mode":"demo""#) && frame.as_str().contains(r#""demo""#));
    assert!(matches!(ready[1], Output::Forward { .. }), "the first message is not lost");

    let mut silent = Rig::upgraded(demo());
    assert_eq!(silent.wait_for_deadline(), ["make demo user"]);
    assert_eq!(silent.now.mono, START.mono.after(Limits::default().demo_wait));
}

#[test]
fn an_older_client_in_demo_mode_is_not_kept_waiting() {
    let older = Accepted { dialect: Dialect::Older, subprotocol: None, ..demo() };
    assert_eq!(Rig::new(older).input(Input::Upgraded), ["make demo user"]);
}

#[test]
fn what_was_verified_before_the_upgrade_is_not_asked_again() {
    let accepted = Accepted {
        dialect: Dialect::Older,
        subprotocol: None,
        verify_before_upgrade: true,
        ..with_token()
    };
    let opening = crate::connection::Opening {
        connection_id: crate::id::ConnectionId(1),
        accepted,
        identity: Some(ada()),
    };
    let mut rig = Rig::new(with_token());
    rig.connection = crate::connection::Connection::new(
        opening,
        alloc::sync::Arc::new(Limits::default()),
        crate::seed::Seed::new(1),
        START,
    );
    assert_eq!(rig.input(Input::Upgraded), ["attach ada resume 0"]);
}

/// AUTH-03, F38.
#[test]
fn an_expiring_token_is_announced_and_then_ends_the_connection() {
    let limits = Limits { heartbeat_timeout: Millis::from_secs(9_999), ..Limits::default() };
    let mut rig = Rig::ready_with(limits);
    rig.wait(Millis(TOKEN_LIFE.0 - 60_000 - 1));
    assert_eq!(rig.wait(Millis(1)), ["send token_expiring"]);
    rig.wait(Millis(60_000 + 10_000 - 1));
    assert_eq!(
        rig.wait(Millis(1)),
        [
            "send error token_expired fatal",
            "send disconnect token_expired",
            "close 4440",
            "detach",
            "ended closed 4440"
        ]
    );
}

/// Invariant 11.
#[test]
fn nothing_is_delivered_on_an_ended_token_even_when_the_driver_is_late() {
    for input in [Input::Deliver(&[entry()]), Input::Text(HELLO)] {
        let mut rig = Rig::ready();
        rig.now = rig.now.after(Millis(TOKEN_LIFE.0 + 10_000));
        let said = rig.input(input);
        assert_eq!(said[0], "send token_expiring");
        assert_eq!(said[3], "close 4440");
        assert!(said.iter().all(|words| !words.contains("entry") && !words.contains("forward")));
    }
}

#[test]
fn a_refresh_of_the_same_user_prolongs_the_connection() {
    let limits = Limits { heartbeat_timeout: Millis::from_secs(9_999), ..Limits::default() };
    let mut rig = Rig::ready_with(limits);
    assert_eq!(rig.text(REFRESH), ["verify FirstMessage"]);
    assert_eq!(rig.text(REFRESH), ["send error rate_limited ref r1"]);
    let longer = Identity { expires_at: Some(START.wall.after(Millis::from_secs(3_000))), ..ada() };
    assert_eq!(rig.verdict(Ok(longer)), ["send auth_ok ref r1"]);
    rig.wait(Millis(TOKEN_LIFE.0 * 2));
    assert_eq!(rig.connection.end(), None);
}

/// AUTH-04.
#[test]
fn a_refresh_of_another_user_closes_and_transfers_nothing() {
    let mut rig = Rig::ready();
    rig.text(REFRESH);
    assert_eq!(
        rig.verdict(Ok(eve())),
        [
            "send error user_mismatch fatal ref r1",
            "send disconnect forbidden",
            "close 4403",
            "detach",
            "ended closed 4403"
        ]
    );
    assert_eq!(rig.connection.identity(), None);
}

#[test]
fn a_refresh_that_fails_leaves_the_connection_as_it_was() {
    let mut rig = Rig::ready();
    rig.text(REFRESH);
    assert_eq!(rig.verdict(Err(ErrorCode::Unauthorized)), ["send error unauthorized ref r1"]);
    assert_eq!(rig.text(HELLO), ["forward UserMessage"]);
}

/// AUTH-08, F39.
#[test]
fn a_revoked_credential_closes_with_4441() {
    let said = Rig::ready().input(Input::Revoked);
    assert_eq!(said[..2], ["send error token_revoked fatal", "send disconnect token_revoked"]);
    assert!(said.contains(&"close 4441".to_string()));
}

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
#[test]
fn a_slow_reader_is_told_and_closed_with_4420() {
    let said = Rig::ready().input(Input::Overflow);
    assert_eq!(said, ["send disconnect slow_reader", "close 4420", "detach", "ended closed 4420"]);
}

#[test]
fn parts_that_fail_and_return_are_announced() {
    let mut rig = Rig::ready();
    let frame = last_frame(&mut rig, Input::ServiceStatus { degraded: vec!["store".into()] });
    assert_eq!(frame["payload"]["degraded"][0], "store");
    let frame = last_frame(&mut rig, Input::ServiceStatus { degraded: Vec::new() });
    assert_eq!(frame["payload"]["status"], "healthy");
}

/// AUTH-05.
#[test]
fn no_token_is_ever_printed() {
    let mut rig = Rig::upgraded(without_credential());
    rig.connection.handle_input(rig.now, Input::Text(AUTH));
    let outputs = format!("{:?} {:?}", rig.outputs(), rig.connection);
    assert!(!outputs.contains("t.o.k"));
}

/// What an idle connection costs besides its socket: part of the bar of 6.8 kB.
#[test]
fn an_idle_connection_is_small() {
    let bytes = size_of::<crate::connection::Connection>();
    assert!(bytes <= 512, "{bytes} bytes");
}
