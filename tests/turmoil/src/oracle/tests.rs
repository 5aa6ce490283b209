//! A history that was tampered with is found out: each rule can fail.

use super::*;
use crate::plan::{At, Plan, Step};
use crate::world::{Played, play};

fn say(ms: u64, device: usize) -> At {
    let (text, multitask) = ("all is well".to_owned(), "enqueue".to_owned());
    let step = Step::Say { device, thread: None, text, multitask, cancel_on_disconnect: false };
    At { ms, step }
}

/// Two people ask once each, and nothing goes wrong.
fn peace() -> (Played, Logs) {
    let steps = vec![say(300, 0), say(400, 1)];
    let plan = Plan { seed: 5, users: 2, devices: 1, latency_ms: 20, first_frame: false, steps };
    let played = play(&plan);
    assert!(played.broken.is_empty(), "{:?}", played.broken);
    let logs = Logs::read(&played.ground);
    assert_eq!(check_frames(&played.ground, &logs, &played.heard), []);
    (played, logs)
}

/// The nth frame of a type that a device heard.
fn find(heard: &[Heard], device: usize, kind: &str, nth: usize) -> usize {
    let is_it = |one: &Heard| match &one.what {
        What::Text(text) => one.device == device && crate::tap::kind(text) == kind,
        What::Close(_) | What::Shown(_) => false,
    };
    let places = heard.iter().enumerate().filter(|(_, one)| is_it(one));
    places.map(|(place, _)| place).nth(nth).expect("it was heard")
}

fn text(heard: &Heard) -> String {
    match &heard.what {
        What::Text(text) => text.clone(),
        What::Close(_) | What::Shown(_) => panic!("no text"),
    }
}

/// What is found after the tape was changed.
fn after(change: impl FnOnce(&mut Vec<Heard>)) -> Vec<Invariant> {
    let (mut played, logs) = peace();
    change(&mut played.heard);
    let found = check_frames(&played.ground, &logs, &played.heard);
    found.into_iter().map(|broken| broken.invariant).collect()
}

fn rewrite(heard: &mut [Heard], place: usize, from: &str, to: &str) {
    let before = text(&heard[place]);
    let after = before.replacen(from, to, 1);
    assert_ne!(before, after);
    heard[place].what = What::Text(after);
}

#[test]
fn an_entry_that_is_missing_changed_or_foreign_is_found() {
    let missing = after(|heard| {
        let place = find(heard, 0, "agent_thinking", 1);
        heard.remove(place);
    });
    assert_eq!(missing, [Invariant::Order]);
    let twice = after(|heard| {
        let place = find(heard, 0, "agent_thinking", 1);
        heard.insert(place, heard[place].clone());
    });
    assert_eq!(twice, [Invariant::Order]);
    let changed = after(|heard| {
        let place = find(heard, 0, "agent_thinking", 1);
        rewrite(heard, place, "is at", "is not at");
    });
    assert_eq!(changed, [Invariant::SameBytes]);
    let foreign = after(|heard| {
        let place = find(heard, 1, "run_started", 0);
        heard[place].device = 0;
    });
    assert!(foreign.contains(&Invariant::CommittedFirst), "{foreign:?}");
}

#[test]
fn a_connection_that_is_ready_late_or_twice_or_as_another_is_found() {
    let late = after(|heard| {
        let place = find(heard, 0, "connection_ready", 0);
        heard.remove(place);
    });
    assert!(late.iter().all(|one| *one == Invariant::AttachedFirst) && !late.is_empty());
    let twice = after(|heard| {
        let place = find(heard, 0, "connection_ready", 0);
        heard.insert(place, heard[place].clone());
    });
    assert_eq!(twice, [Invariant::AttachedFirst]);
    let other = after(|heard| {
        let place = find(heard, 0, "connection_ready", 0);
        let (ada, grace) = (r#""payload":{"connection_id""#, r#""payload":{"user_id":"grace","x""#);
        let with_other = text(&heard[place]).replace(r#""user_id":"ada""#, r#""user_id":"grace""#);
        assert!(with_other.contains(ada) && !with_other.contains(grace));
        heard[place].what = What::Text(with_other);
    });
    assert_eq!(other, [Invariant::AttachedFirst]);
}

#[test]
fn an_acknowledgement_of_nothing_or_of_something_else_is_found() {
    let name = |text: &str| {
        let frame: serde_json::Value = serde_json::from_str(text).unwrap();
        frame["payload"]["client_msg_id"].as_str().unwrap().to_owned()
    };
    let nothing = after(|heard| {
        let place = find(heard, 0, "ack", 0);
        let name = name(&text(&heard[place]));
        rewrite(heard, place, &name, "never-said");
    });
    assert_eq!(nothing, [Invariant::Kept]);
    let else_ = after(|heard| {
        let place = find(heard, 0, "ack", 0);
        rewrite(heard, place, "\"seq\":", "\"seq\":1");
    });
    assert!(else_.contains(&Invariant::OneOutcome), "{else_:?}");
}

#[test]
fn a_close_without_a_word_before_it_is_found() {
    let silent = after(|heard| {
        let (ms, device) = (heard[heard.len() - 1].ms, 0);
        let socket = heard[find(heard, 0, "connection_ready", 0)].socket;
        heard.push(Heard { ms, device, socket, what: What::Close(4420) });
    });
    assert_eq!(silent, [Invariant::FaultsCloseNothing]);
}

#[test]
fn a_log_out_of_order_or_without_an_end_is_found() {
    for (change, invariant) in [
        ((|log| log.truncate(log.len() - 1)) as fn(&mut Vec<EntryBody>), Invariant::Converges),
        (
            |log| {
                let last = log.len() - 1;
                log.swap(last - 1, last);
            },
            Invariant::Grammar,
        ),
    ] {
        let (played, mut logs) = peace();
        let log = logs.0.values_mut().flat_map(BTreeMap::values_mut).next().unwrap();
        change(log);
        let mut broken = Vec::new();
        logs.check(&played.ground, &mut broken);
        assert!(broken.iter().any(|one| one.invariant == invariant), "{broken:?}");
    }
}

#[test]
fn a_view_that_shows_something_else_and_one_that_is_behind_are_found() {
    let (played, logs) = peace();
    assert_eq!(check_views(&played.ground, &logs), []);
    assert!(unsettled(&played.ground).is_empty());
    let last = {
        let mut seat = played.ground.seat(0);
        let view = seat.views.values_mut().next().unwrap();
        let last = view.last();
        view.entries.insert(last, goldenpath_core::id::EventId(1));
        last
    };
    let found = check_views(&played.ground, &logs);
    assert_eq!(found.iter().map(|one| one.invariant).collect::<Vec<_>>(), [Invariant::EachOnce]);
    played.ground.seat(0).views.values_mut().next().unwrap().entries.remove(&last);
    assert_eq!(unsettled(&played.ground).len(), 1);
}
