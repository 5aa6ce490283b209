//! Every state meets every input; a changed transition is a visible difference.

use super::rig::{
    AUTH, HELLO, PING, REFRESH, Rig, ada, demo, entry, eve, with_token, without_credential,
};
use crate::connection::Input;
use crate::hub::HubReady;
use crate::id::{EffectId, Seq, ThreadId};
use crate::matrix::{Page, Row};
use crate::time::Millis;
use crate::wire::{CloseCode, ErrorCode, Head};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const PAGE: Page = Page {
    name: "connection",
    title: "A connection",
    about: "One socket's life, from the accepted upgrade to its one end. It reads frames, asks who the peer is,\n\
            hands commands to the hub of that user and says what the hub says, and nothing else.",
    states: &[
        (
            "upgrading",
            "The upgrade was accepted, the 101 is not out yet. Nothing is said and nothing is handled (F08); frames \
             that are here already wait.",
        ),
        (
            "awaiting",
            "The socket is up and the peer has shown no credential. It is asked for one; in demo mode silence is \
             enough. `ping` and `pong` are answered, everything else is held (CONN-02).",
        ),
        (
            "verifying",
            "A credential is being checked. Its verdict decides; other verdicts are ignored. Frames are held.",
        ),
        (
            "attaching",
            "The user is known and the user's hub takes the connection in. Frames are held; the credential ages.",
        ),
        (
            "ready",
            "`connection_ready` has been said and everything may be said: commands go to the hub, entries to the \
             peer. Silence, age, the end of the credential, and too much of anything end it.",
        ),
        (
            "draining",
            "The server restarts and the peer knows when to come back. What is under way is still delivered for a \
             moment; no message begins anything new.",
        ),
        (
            "closed",
            "It has ended, with one reason that the peer was told if it could read. All input is ignored.",
        ),
    ],
    begins: &["upgrading"],
    rows: Vec::new(),
};

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
    ("too often", |rig| rig.input(Input::TooOften { retry_after: Millis(300) })),
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
    let (mut rows, mut seen) = (Vec::new(), Vec::new());
    for (name, before) in states() {
        for (step, act) in STEPS {
            let mut rig = before.clone();
            let said = act(&mut rig).join("; ");
            let (from, to) = (before.connection.state_name(), rig.connection.state_name());
            rows.push(format!("{name} × {step} → {to}: {said}"));
            seen.push(Row::of(name, from, step, to, &said));
        }
    }
    insta::assert_snapshot!(rows.join("\n"));
    Page { rows: seen, ..PAGE }.check();
}
