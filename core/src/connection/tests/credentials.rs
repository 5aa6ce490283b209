//! Who the peer is and until when: what each requirement says, asked of the machine.

use super::rig::{
    AUTH, HELLO, PING, REFRESH, Rig, START, TOKEN_LIFE, accepted, ada, demo, entry, eve,
    last_frame, with_token, without_credential,
};
use crate::connection::{Identity, Input, Output};
use crate::fault::PeerFault;
use crate::handshake::{Accepted, Dialect, Presented};
use crate::hub::HubReady;
use crate::id::{SessionId, ThreadId, UserId};
use crate::limits::Limits;
use crate::time::Millis;
use crate::wire::ErrorCode;
use alloc::format;
use alloc::string::ToString;

const SECOND: Millis = Millis::from_secs(1);

/// AUTH-01, F01: every refusal has its own code, and none of them is 1011.
//= specs/auth.md#auth-17
//= type=test
//# A refused credential MUST be explained by an error and closed with a code that says what to do.
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
    assert!(rig.text(HELLO).is_empty(), "a message before it is held, not a visitor's");
    assert_eq!(rig.text(AUTH), ["verify FirstMessage"]);
    assert!(rig.wait(SECOND).is_empty());
}

//= specs/auth.md#auth-18
//= type=test
//# In demo mode a client without a credential MUST become a demo user, and its first message MUST
//# NOT be lost.
#[test]
fn in_demo_mode_who_says_anything_else_or_nothing_becomes_a_demo_user() {
    let mut talker = Rig::upgraded(demo());
    assert!(talker.text(HELLO).is_empty(), "who it is may come behind its first message");
    assert_eq!(talker.wait_for_deadline(), ["make demo user"]);
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
    let mut late = Rig::upgraded(demo());
    let said = late.wait(Limits::default().auth_timeout);
    assert!(!said.iter().any(|line| line == "make demo user"), "its time is over: {said:?}");
}

#[test]
fn in_demo_mode_who_says_badly_who_it_is_is_told_and_is_no_visitor() {
    let mut rig = Rig::upgraded(demo());
    let said = rig.text(r#"{"type":"auth","id":"c1","token":"t","resume":{"threads":7}}"#);
    assert!(said.len() == 1 && said[0].contains("validation_failed"), "{said:?}");
    assert!(rig.wait(Limits::default().demo_wait).is_empty(), "nobody is made up for it");
    assert_eq!(rig.text(AUTH), ["verify FirstMessage"], "it may say it again");
}

/// F17: somebody who is logged in never goes on as a visitor, however slow the line.
//= specs/auth.md#auth-21
//= type=test
//# A client whose `auth` comes after it was made a demo user MUST NOT go on as that user: the
//# connection MUST be closed with 4408.
#[test]
fn f17_who_says_too_late_who_it_is_does_not_go_on_as_a_visitor() {
    let visitor = Identity::visitor(1, SessionId(1), START.wall);
    let said = |rig: &mut Rig| {
        let said = rig.text(AUTH).join("; ");
        assert!(said.contains("user_mismatch") && said.contains("close 4408"), "{said}");
        assert!(!said.contains("verify"), "{said}");
    };
    let mut being_made = Rig::upgraded(demo());
    being_made.wait_for_deadline();
    said(&mut being_made);

    let mut attaching = Rig::upgraded(demo());
    attaching.wait_for_deadline();
    attaching.verdict(Ok(visitor.clone()));
    said(&mut attaching);

    let mut ready = Rig::upgraded(demo());
    ready.wait_for_deadline();
    ready.verdict(Ok(visitor));
    ready.input(Input::Attached(HubReady::default()));
    said(&mut ready);
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
//= specs/auth.md#auth-03
//= type=test
//# A connection MUST be closed with 4440 when the grace of its credential ends, unless it was
//# refreshed.
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
//= specs/auth.md#auth-09
//= type=test
//# A connection MUST NOT deliver or forward anything after its credential's grace, however late its
//# driver is.
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

/// Invariant 11: the deadline was worked out before.
#[test]
fn nothing_is_delivered_on_a_token_that_ended_when_the_clock_was_set() {
    for input in [Input::Deliver(&[entry()]), Input::Text(HELLO)] {
        let mut rig = Rig::ready();
        rig.now.wall = rig.now.wall.after(Millis(TOKEN_LIFE.0 + 10_000));
        let said = rig.input(input);
        assert!(said.contains(&"close 4440".into()), "{said:?}");
        assert!(said.iter().all(|words| !words.contains("entry") && !words.contains("forward")));
    }
}

#[test]
fn in_the_very_moment_a_token_ends_nothing_more_is_taken() {
    let mut rig = Rig::ready();
    rig.now = rig.now.after(TOKEN_LIFE);
    assert!(rig.text(HELLO).iter().any(|words| words.contains("forward")));
    rig.now = rig.now.after(Limits::default().token_grace);
    let said = rig.text(HELLO);
    assert!(said.contains(&"close 4440".into()), "{said:?}");
    assert!(said.iter().all(|words| !words.contains("forward")), "{said:?}");
}

#[test]
fn no_two_questions_have_the_same_number() {
    let mut rig = Rig::ready();
    let first = rig.effect;
    rig.text(REFRESH);
    assert_ne!(rig.effect, first);
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

//= specs/auth.md#auth-04
//= type=test
//# A refresh with a token of another user MUST close the connection and MUST NOT transfer anything.
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

/// For the record of who came and who was refused: AUTH-04 is about a connection, not about a token.
#[test]
fn a_good_verdict_counts_as_a_refusal_where_it_is_about_another_user() {
    let rig = Rig::ready();
    let judge = |verdict| rig.connection.judge(&verdict);
    assert_eq!(judge(Ok(eve())), Err(ErrorCode::UserMismatch));
    let newer = Identity { expires_at: None, ..ada() };
    assert_eq!(judge(Ok(newer.clone())), Ok(newer));
    assert_eq!(judge(Err(ErrorCode::TokenExpired)), Err(ErrorCode::TokenExpired));
    let nobody = Rig::upgraded(without_credential());
    assert_eq!(nobody.connection.judge(&Ok(eve())), Ok(eve()));
}

/// AUTH-08, F39.
#[test]
fn a_revoked_credential_closes_with_4441() {
    let said = Rig::ready().input(Input::Revoked);
    assert_eq!(said[..2], ["send error token_revoked fatal", "send disconnect token_revoked"]);
    assert!(said.contains(&"close 4441".to_string()));
}

//= specs/auth.md#auth-05
//= type=test
//# A token or a ticket MUST NOT appear in the debug text of anything, and so not in a log.
#[test]
fn no_token_is_ever_printed() {
    let mut rig = Rig::upgraded(without_credential());
    rig.connection.handle_input(rig.now, Input::Text(AUTH));
    let outputs = format!("{:?} {:?}", rig.outputs(), rig.connection);
    assert!(!outputs.contains("t.o.k"));
}
