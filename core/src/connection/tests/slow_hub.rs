//! A credential goes on ageing while the hub takes its time.

use super::rig::{Rig, START, ada, with_token};
use crate::connection::{Identity, Input};
use crate::fault::End;
use crate::hub::HubReady;
use crate::id::EffectId;
use crate::time::Millis;
use crate::wire::{CloseCode, ErrorCode};

fn ending_in(span: Millis) -> Identity {
    Identity { expires_at: Some(START.wall.after(span)), ..ada() }
}

fn attaching(identity: Identity) -> Rig {
    let mut rig = Rig::upgraded(with_token());
    rig.verdict(Ok(identity));
    rig
}

/// AUTH-03.
#[test]
fn a_credential_that_ends_before_the_hub_answers_closes_the_connection() {
    let mut rig = attaching(ending_in(Millis::ZERO));
    assert_eq!(rig.deadline(), Some(START.mono.after(Millis::from_secs(10))));
    rig.wait_for_deadline();
    assert_eq!(rig.connection.end(), Some(End::Closed(CloseCode::TokenExpired)));
}

/// Invariant 11.
#[test]
fn a_hub_that_answers_after_the_end_of_the_credential_does_not_make_it_ready() {
    let mut rig = attaching(ending_in(Millis::from_secs(1)));
    rig.now = START.after(Millis::from_secs(11));
    let said = rig.input(Input::Attached(HubReady::default()));
    assert!(!said.iter().any(|said| said.contains("connection_ready")), "{said:?}");
    assert_eq!(rig.connection.end(), Some(End::Closed(CloseCode::TokenExpired)));
}

#[test]
fn a_late_verdict_does_not_swallow_the_warning() {
    let mut rig = attaching(ending_in(Millis::from_secs(30)));
    rig.input(Input::Verdict { effect: EffectId(99), verdict: Err(ErrorCode::Unauthorized) });
    let said = rig.attached();
    assert!(said.iter().any(|said| said.contains("token_expiring")), "{said:?}");
}
