//! What the last frames of a connection say: when to come back, and why it ended.

use super::rig::{Rig, START, TOKEN_LIFE, ada, entry};
use crate::connection::{Connection, Input, Output};
use crate::fault::End;
use crate::limits::Limits;
use crate::seed::Seed;
use crate::time::Millis;
use crate::wire::CloseCode;
use alloc::sync::Arc;
use alloc::vec::Vec;
use serde_json::Value;

fn frames(rig: &mut Rig, input: Input<'_>) -> Vec<Value> {
    rig.connection.handle_input(rig.now, input);
    let outputs = rig.outputs();
    let frames = outputs.iter().filter_map(|output| match output {
        Output::Send(frame) => serde_json::from_str(frame.as_str()).ok(),
        _ => None,
    });
    frames.collect()
}

/// When the peer is told to come back as its connection is closed by the hub.
fn comes_back(rig: &mut Rig, code: CloseCode) -> Option<u64> {
    let said = frames(rig, Input::HubClose(code));
    let disconnect = said.iter().find(|frame| frame["type"] == "disconnect");
    disconnect.expect("a close is explained")["payload"]["reconnect_after_ms"].as_u64()
}

#[test]
fn only_a_draining_connection_repeats_when_to_come_back() {
    assert_eq!(comes_back(&mut Rig::ready(), CloseCode::Replaced), None);
    assert_eq!(comes_back(&mut Rig::attaching(), CloseCode::Replaced), None);
    assert_eq!(comes_back(&mut Rig::draining(), CloseCode::Replaced), Some(700));
}

#[test]
fn those_sent_away_for_now_come_back_after_a_second_or_two_and_not_together() {
    let mut times = Vec::new();
    for seed in 0..20 {
        let mut rig = Rig::new(super::rig::with_token());
        let opening = crate::connection::Opening {
            connection_id: crate::id::ConnectionId(1),
            accepted: super::rig::with_token(),
            identity: Some(ada()),
        };
        let limits = Arc::new(Limits::default());
        rig.connection = Connection::new(opening, limits, Seed::new(seed), START);
        rig.input(Input::Upgraded);
        times.push(comes_back(&mut rig, CloseCode::TryAgainLater).unwrap());
    }
    assert!(times.iter().all(|time| (1_000..2_000).contains(time)), "{times:?}");
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 10, "{times:?}");
}

/// SAFE-95.
#[test]
fn a_user_who_connects_too_often_is_told_for_how_long_to_stay_away() {
    let retry_after = Millis(4_200);
    let said = frames(&mut Rig::attaching(), Input::TooOften { retry_after });
    let error = &said[0]["payload"];
    assert_eq!((&error["code"], &error["fatal"]), (&"rate_limited".into(), &true.into()));
    assert_eq!(error["retry_after_ms"], 4_200);
    let left = &said[1]["payload"];
    assert_eq!((&left["code"], &left["reconnect_after_ms"]), (&4429.into(), &4_200.into()));
    assert_eq!(said.len(), 2);
    let mut rig = Rig::attaching();
    let ends = rig.input(Input::TooOften { retry_after }).join(", ");
    assert!(ends.contains("close 4429") && ends.contains("detach"), "{ends}");
}

#[test]
fn a_revoked_credential_is_named_as_the_reason() {
    let said = frames(&mut Rig::ready(), Input::Revoked);
    let error = said.iter().find(|frame| frame["type"] == "error").unwrap();
    assert_eq!(error["payload"]["message"], "the token was revoked");
}

#[test]
fn at_the_end_of_the_grace_nothing_is_delivered_any_more_however_late_the_driver() {
    let end = Millis(TOKEN_LIFE.0 + Limits::default().token_grace.0);
    for (late, delivered) in [(end.0 - 1, true), (end.0, false)] {
        let limits = Limits { heartbeat_timeout: Millis::from_secs(86_400), ..Limits::default() };
        let mut rig = Rig::ready_with(limits);
        rig.now = rig.now.after(Millis(late));
        let said = rig.input(Input::Deliver(&[entry()]));
        assert_eq!(said.iter().any(|line| line.contains("an entry")), delivered, "{said:?}");
        let ended = (!delivered).then_some(End::Closed(CloseCode::TokenExpired));
        assert_eq!(rig.connection.end(), ended);
    }
}

#[test]
fn while_the_hub_is_asked_the_user_is_known() {
    assert_eq!(Rig::attaching().connection.identity(), Some(&ada()));
    assert_eq!(Rig::draining().connection.identity(), Some(&ada()));
    let mut closed = Rig::ready();
    closed.input(Input::Lost);
    assert_eq!(closed.connection.identity(), None);
}
