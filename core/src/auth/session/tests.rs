use super::*;
use crate::id::{SessionId, UserId};
use crate::matrix::{Page, Row};
use crate::time::Mono;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const START: Now = Now { mono: Mono(1_000), wall: Wall(1_800_000_000_000) };
const FIRST: EffectId = EffectId(1);
const SECOND: EffectId = EffectId(2);

fn limits() -> Limits {
    Limits {
        token_warning: Millis::from_secs(60),
        token_grace: Millis::from_secs(10),
        ..Limits::default()
    }
}

fn identity(user: &str, secs: u64) -> Identity {
    Identity {
        user_id: UserId::new(user).unwrap(),
        session_id: SessionId(1),
        issued_at: START.wall,
        expires_at: Some(START.wall.after(Millis::from_secs(secs))),
        demo: false,
    }
}

fn ok(effect: EffectId, user: &str, secs: u64) -> Input {
    Input::Verdict { effect, verdict: Ok(identity(user, secs)) }
}

fn no(effect: EffectId) -> Input {
    Input::Verdict { effect, verdict: Err(ErrorCode::Unauthorized) }
}

fn at(secs: u64) -> Now {
    START.after(Millis::from_secs(secs))
}

fn said(session: &mut Session) -> Vec<Output> {
    let mut outputs = Vec::new();
    loop {
        let output = session.poll_output();
        let idle = matches!(output, Output::Idle(_));
        outputs.push(output);
        if idle {
            return outputs;
        }
    }
}

fn known() -> Session {
    let mut session = Session::new(&limits());
    session.begin_check(FIRST).unwrap();
    session.handle_input(START, ok(FIRST, "ada", 100));
    said(&mut session);
    session
}

fn expiring() -> Session {
    let mut session = known();
    session.handle_timeout(at(40));
    said(&mut session);
    session
}

fn refreshing(mut session: Session) -> Session {
    session.begin_check(SECOND).unwrap();
    session
}

//= specs/auth.md#auth-16
//= type=test
//# A verdict that answers no check under way MUST be ignored.
#[test]
fn only_the_verdict_of_this_check_makes_a_user_known() {
    let mut session = Session::new(&limits());
    session.handle_input(START, ok(FIRST, "ada", 100));
    assert_eq!(session.identity(), None);
    session.begin_check(FIRST).unwrap();
    session.handle_input(START, ok(SECOND, "eve", 100));
    assert_eq!(session.identity(), None);
    session.handle_input(START, ok(FIRST, "ada", 100));
    assert_eq!(session.identity().unwrap().user_id.as_str(), "ada");
}

//= specs/auth.md#auth-15
//= type=test
//# A peer MUST be warned before its credential ends.
#[test]
fn a_credential_is_warned_about_and_ends_after_its_grace() {
    let mut session = known();
    assert_eq!(session.poll_output(), Output::Idle(Some(at(40).mono)));
    session.handle_timeout(at(40));
    let expires_at = at(100).wall;
    assert_eq!(
        said(&mut session),
        [Output::Expiring { expires_at }, Output::Idle(Some(at(110).mono))]
    );
    session.handle_timeout(at(109));
    assert_eq!(said(&mut session).len(), 1);
    session.handle_timeout(at(110));
    assert_eq!(said(&mut session), [Output::Ended(EndReason::Expired), Output::Idle(None)]);
}

#[test]
fn a_refresh_of_the_same_user_gives_new_time_and_a_new_warning() {
    let mut session = refreshing(expiring());
    session.handle_input(at(50), ok(SECOND, "ada", 500));
    assert_eq!(
        said(&mut session),
        [Output::Refreshed { expires_at: Some(at(500).wall) }, Output::Idle(Some(at(440).mono))]
    );
    session.handle_timeout(at(440));
    assert_eq!(said(&mut session)[0], Output::Expiring { expires_at: at(500).wall });
}

#[test]
fn a_refresh_of_another_user_ends_the_session_and_transfers_nothing() {
    let mut session = refreshing(known());
    session.handle_input(at(1), ok(SECOND, "eve", 500));
    assert_eq!(said(&mut session), [Output::Ended(EndReason::OtherUser), Output::Idle(None)]);
    assert_eq!(session.identity(), None);
}

//= specs/auth.md#auth-14
//= type=test
//# A refresh that fails MUST leave the older credential in place until its own end.
#[test]
fn a_failed_refresh_leaves_the_older_credential_and_its_end() {
    let mut session = refreshing(expiring());
    session.handle_input(at(50), no(SECOND));
    assert_eq!(
        said(&mut session),
        [Output::RefreshRefused(ErrorCode::Unauthorized), Output::Idle(Some(at(110).mono))]
    );
}

#[test]
fn a_jump_of_civil_time_is_noticed_at_the_next_occasion() {
    let mut session = known();
    session.handle_timeout(Now { mono: START.mono, wall: at(200).wall });
    assert!(said(&mut session).contains(&Output::Ended(EndReason::Expired)));
}

#[test]
fn a_credential_without_end_never_expires() {
    let mut session = Session::new(&limits());
    session.begin_check(FIRST).unwrap();
    let demo = Identity { expires_at: None, demo: true, ..identity("demo-user-1", 0) };
    session.handle_input(START, Input::Verdict { effect: FIRST, verdict: Ok(demo) });
    session.handle_timeout(Now { mono: Mono(u64::MAX), wall: Wall(u64::MAX) });
    assert_eq!(said(&mut session).last(), Some(&Output::Idle(None)));
    assert!(session.identity().is_some());
}

#[test]
fn every_rejection_closes_with_a_code_that_says_what_to_do() {
    let table: Vec<String> = ErrorCode::ALL
        .iter()
        .map(|code| format!("{code}: {}", EndReason::Rejected(*code).close_code()))
        .collect();
    insta::assert_snapshot!(table.join("\n"));
}

fn input(session: &mut Session, now: Now, input: Input) -> Result<(), Misuse> {
    session.handle_input(now, input);
    Ok(())
}

fn timeout(session: &mut Session, now: Now) -> Result<(), Misuse> {
    session.handle_timeout(now);
    Ok(())
}

fn state_name(session: &Session) -> &'static str {
    match &session.state {
        State::Anonymous => "anonymous",
        State::Verifying(_) => "verifying",
        State::Authenticated(k) if k.refresh.is_some() => "authenticated, refreshing",
        State::Authenticated(_) => "authenticated",
        State::Expiring(k) if k.refresh.is_some() => "expiring, refreshing",
        State::Expiring(_) => "expiring",
        State::Ended(_) => "ended",
    }
}

const PAGE: Page = Page {
    name: "session",
    title: "The session of a connection",
    about: "Who the peer of a connection is, and until when. It belongs to one connection and knows one user at\n\
            most: a newer credential of the same user gives time, one of another user ends it (AUTH-04).",
    states: &[
        ("anonymous", "Nobody is known and nothing is being checked."),
        (
            "verifying",
            "The first credential is being checked elsewhere. Only the answer to this question counts; any other is \
             late and ignored.",
        ),
        (
            "authenticated",
            "The user is known and the credential has more than its warning time left.",
        ),
        (
            "authenticated, refreshing",
            "The same, and a newer credential is being checked. If it is refused the older one lives on.",
        ),
        (
            "expiring",
            "The peer was warned, once, that its credential ends. It may be refreshed until its end and for a \
             short grace after it.",
        ),
        ("expiring, refreshing", "The peer was warned, and its newer credential is being checked."),
        (
            "ended",
            "Nobody is known any more, for one reason: refused, expired, revoked, or another user's credential.",
        ),
    ],
    begins: &["anonymous"],
    rows: Vec::new(),
};

/// Every state meets every input; a changed transition is a visible difference.
#[test]
fn the_matrix_of_states_and_inputs() {
    type Step = (&'static str, fn(&mut Session) -> Result<(), Misuse>);
    let states: [(&str, Session); 7] = [
        ("anonymous", Session::new(&limits())),
        ("verifying", refreshing(Session::new(&limits()))),
        ("authenticated", known()),
        ("authenticated, refreshing", refreshing(known())),
        ("expiring", expiring()),
        ("expiring, refreshing", refreshing(expiring())),
        ("ended", {
            let mut session = known();
            session.handle_input(at(1), Input::Revoked);
            said(&mut session);
            session
        }),
    ];
    let steps: [Step; 9] = [
        ("check", |s| s.begin_check(EffectId(9))),
        ("verdict ada", |s| input(s, at(41), ok(SECOND, "ada", 300))),
        ("verdict eve", |s| input(s, at(41), ok(SECOND, "eve", 300))),
        ("verdict no", |s| input(s, at(41), no(SECOND))),
        ("late verdict", |s| input(s, START, ok(EffectId(77), "eve", 300))),
        ("revoked", |s| input(s, START, Input::Revoked)),
        ("timeout at once", |s| timeout(s, START)),
        ("timeout at warning", |s| timeout(s, at(40))),
        ("timeout after grace", |s| timeout(s, at(110))),
    ];
    let (mut rows, mut seen) = (Vec::new(), Vec::new());
    for (name, before) in &states {
        for (step, act) in &steps {
            let mut session = before.clone();
            let misuse = act(&mut session).err().map(|misuse| format!("misuse: {misuse}"));
            let state = state_name(&session);
            let outputs = said(&mut session).into_iter();
            let words: Vec<String> = misuse
                .into_iter()
                .chain(outputs.filter_map(|output| match output {
                    Output::Authenticated(_) => Some("authenticated".into()),
                    Output::Refreshed { .. } => Some("refreshed".into()),
                    Output::RefreshRefused(code) => Some(format!("refused {code}")),
                    Output::Expiring { .. } => Some("warn".into()),
                    Output::Ended(reason) => Some(format!("end {}", reason.close_code().code())),
                    Output::Idle(_) => None,
                }))
                .collect();
            rows.push(format!("{name} × {step} → {state}: {}", words.join(", ")));
            let outputs: Vec<_> =
                words.into_iter().filter(|word| !word.starts_with("misuse")).collect();
            seen.push(Row::of(name, state_name(before), step, state, &outputs.join(", ")));
        }
    }
    insta::assert_snapshot!(rows.join("\n"));
    Page { rows: seen, ..PAGE }.check();
}

proptest! {
    #![proptest_config(goldenpath_proof::counted())]

    #[test]
    fn in_any_order_the_user_never_changes_and_the_end_is_final(
        steps in prop::collection::vec((0u8..6, 0u64..4, 0u64..200), 0..40)
    ) {
        let mut session = Session::new(&limits());
        let (mut now, mut user, mut ended) = (START, None, false);
        for (kind, effect, secs) in steps {
            now = now.after(Millis::from_secs(secs / 10));
            match kind {
                0 => { let _ = session.begin_check(EffectId(effect)); }
                1 => session.handle_input(now, ok(EffectId(effect), "ada", secs)),
                2 => session.handle_input(now, ok(EffectId(effect), "eve", secs)),
                3 => session.handle_input(now, no(EffectId(effect))),
                4 if secs > 190 => session.handle_input(now, Input::Revoked),
                _ => session.handle_timeout(now),
            }
            let outputs = said(&mut session);
            prop_assert!(outputs.len() <= 4);
            prop_assert!(!ended || outputs == vec![Output::Idle(None)]);
            ended |= outputs.iter().any(|o| matches!(o, Output::Ended(_)));
            if let Some(identity) = session.identity() {
                let user = user.get_or_insert_with(|| identity.user_id.clone());
                prop_assert_eq!(user, &identity.user_id);
            }
        }
    }

    #[test]
    fn no_session_outlives_its_credential_and_grace(
        times in prop::collection::vec(0u64..400, 1..20)
    ) {
        no_longer(&times)?;
    }
}

fn no_longer(times: &[u64]) -> Result<(), TestCaseError> {
    let mut session = known();
    for secs in times {
        session.handle_timeout(at(*secs));
        prop_assert!(*secs < 110 || session.identity().is_none());
    }
    Ok(())
}

#[test]
fn a_session_is_over_in_the_very_second_its_grace_is() {
    no_longer(&[110]).unwrap();
    let mut session = known();
    session.handle_timeout(at(109));
    assert!(session.identity().is_some());
}
