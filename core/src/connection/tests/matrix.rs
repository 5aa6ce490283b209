//! Every state meets every input; a changed transition is a visible difference.

use super::rig::{
    AUTH, HELLO, PING, REFRESH, Rig, ada, demo, entry, eve, with_token, without_credential,
};
use crate::connection::{Input, State};
use crate::hub::HubReady;
use crate::id::{EffectId, Seq, ThreadId};
use crate::time::Millis;
use crate::wire::{CloseCode, ErrorCode, Head};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

fn state_name(rig: &Rig) -> &'static str {
    match &rig.connection.state {
        State::Upgrading(_) => "upgrading",
        State::Authenticating(_) => "authenticating",
        State::Ready(_) => "ready",
        State::Draining(_) => "draining",
        State::Closed(_) => "closed",
    }
}

fn states() -> Vec<(&'static str, Rig)> {
    let mut refreshing = Rig::ready();
    refreshing.text(REFRESH);
    let mut closed = Rig::ready();
    closed.input(Input::Overflow);
    vec![
        ("upgrading", Rig::new(without_credential())),
        ("upgrading, token", Rig::new(with_token())),
        ("upgrading, demo", Rig::new(demo())),
        ("awaiting", Rig::upgraded(without_credential())),
        ("awaiting, demo", Rig::upgraded(demo())),
        ("verifying", Rig::upgraded(with_token())),
        ("attaching", Rig::attaching()),
        ("ready", Rig::ready()),
        ("ready, refreshing", refreshing),
        ("draining", Rig::draining()),
        ("closed", closed),
    ]
}

type Step = fn(&mut Rig) -> Vec<String>;

const STEPS: &[(&str, Step)] = &[
    ("upgraded", |rig| rig.input(Input::Upgraded)),
    ("auth", |rig| rig.text(AUTH)),
    ("user_message", |rig| rig.text(HELLO)),
    ("ping", |rig| rig.text(PING)),
    ("pong", |rig| rig.text(r#"{"type":"pong"}"#)),
    ("auth_refresh", |rig| rig.text(REFRESH)),
    ("not json", |rig| rig.text("{")),
    ("unknown type", |rig| rig.text(r#"{"type":"dance","id":"d1"}"#)),
    ("binary", |rig| rig.input(Input::Binary)),
    ("invalid utf-8", |rig| rig.input(Input::InvalidUtf8)),
    ("too big", |rig| rig.input(Input::TooBig)),
    ("alive", |rig| rig.input(Input::Alive)),
    ("peer closed", |rig| rig.input(Input::PeerClosed(Some(1000)))),
    ("lost", |rig| rig.input(Input::Lost)),
    ("verdict ada", |rig| rig.verdict(Ok(ada()))),
    ("verdict eve", |rig| rig.verdict(Ok(eve()))),
    ("verdict expired", |rig| rig.verdict(Err(ErrorCode::TokenExpired))),
    ("verdict overloaded", |rig| rig.verdict(Err(ErrorCode::Overloaded))),
    ("late verdict", |rig| rig.input(Input::Verdict { effect: EffectId(99), verdict: Ok(eve()) })),
    ("attached", |rig| rig.input(Input::Attached(HubReady::default()))),
    ("deliver", |rig| rig.input(Input::Deliver(&[entry()]))),
    ("heads", |rig| rig.input(Input::Heads(vec![Head { thread_id: ThreadId(1), seq: Seq(2) }]))),
    ("hub closes", |rig| rig.input(Input::HubClose(CloseCode::Replaced))),
    ("hub closes, internal", |rig| rig.input(Input::HubClose(CloseCode::Internal))),
    ("overflow", |rig| rig.input(Input::Overflow)),
    ("revoked", |rig| rig.input(Input::Revoked)),
    ("drain", |rig| rig.input(Input::Drain { reconnect_after: Millis(300) })),
    ("service status", |rig| rig.input(Input::ServiceStatus { degraded: vec!["store".into()] })),
    ("timeout at once", |rig| rig.wait(Millis::ZERO)),
    ("timeout at the deadline", |rig| {
        if rig.deadline().is_some() { rig.wait_for_deadline() } else { rig.wait(Millis::ZERO) }
    }),
    ("timeout after a day", |rig| rig.wait(Millis::from_secs(86_400))),
];

#[test]
fn the_matrix_of_states_and_inputs() {
    let mut rows = Vec::new();
    for (name, before) in states() {
        for (step, act) in STEPS {
            let mut rig = before.clone();
            let said = act(&mut rig).join("; ");
            rows.push(format!("{name} × {step} → {}: {said}", state_name(&rig)));
        }
    }
    insta::assert_snapshot!(rows.join("\n"));
}
