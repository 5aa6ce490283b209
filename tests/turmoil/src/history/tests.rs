//! Each rule can fail: histories made by hand, and real ones that were tampered with.

use super::*;
use crate::plan::{At, Plan, Step};
use crate::world::{Played, play};
use goldenpath_core::wire::RunStatus;

fn say(ms: u64, thread: Option<usize>, text: &str) -> At {
    let (text, multitask) = (text.to_owned(), "enqueue".to_owned());
    let step = Step::Say { device: 0, thread, text, multitask, cancel_on_disconnect: false };
    At { ms, step }
}

/// One person asks twice, the second time for something that cannot be repeated, and nothing goes wrong.
fn peace() -> Vec<(Mono, Deed)> {
    let steps = vec![say(300, None, "all is well"), say(400, Some(0), "data 1 once")];
    let plan = Plan { seed: 5, users: 1, devices: 1, latency_ms: 20, first_frame: false, steps };
    let Played { ground, broken, .. } = play(&plan);
    assert!(broken.is_empty(), "{broken:?}");
    let deeds = ground.history.deeds();
    assert_eq!(check_history(&deeds, ground.history.now(), &BTreeSet::new()), []);
    deeds
}

fn found(deeds: &[(Mono, Deed)], cancels: &BTreeSet<RunId>) -> Vec<Invariant> {
    let end = deeds.last().map_or(Mono(0), |(at, _)| *at).after(Millis::from_secs(60));
    check_history(deeds, end, cancels).into_iter().map(|broken| broken.invariant).collect()
}

fn user() -> UserId {
    UserId::new("ada").unwrap()
}

fn began(task: u64, run: u128) -> (Mono, Deed) {
    (Mono(0), Deed::Began { task, user: user(), run_id: RunId(run) })
}

#[test]
fn two_tasks_of_a_run_and_one_task_too_many_are_found() {
    let none = BTreeSet::new();
    assert_eq!(found(&[began(1, 1), began(2, 1)], &none), [Invariant::OneRunning]);
    let ended = (Mono(0), Deed::Ended { task: 1 });
    assert_eq!(found(&[began(1, 1), ended.clone(), began(2, 1)], &none), []);
    let three = [began(1, 1), began(2, 2), began(3, 3)];
    assert_eq!(found(&three, &none), [Invariant::WithinLimits]);
    let [one, two, three] = three;
    assert_eq!(found(&[one, two, ended, three], &none), []);
}

#[test]
fn a_task_that_does_not_stop_is_found() {
    let told = (Mono(1_000), Deed::Told { task: 1 });
    let ended = |ms| (Mono(ms), Deed::Ended { task: 1 });
    let none = BTreeSet::new();
    let never = found(&[began(1, 1), told.clone()], &none);
    assert_eq!(never, [Invariant::CancelInTime]);
    let late = found(&[began(1, 1), told.clone(), ended(2_100)], &none);
    assert_eq!(late, [Invariant::CancelInTime]);
    assert_eq!(found(&[began(1, 1), told, ended(2_020)], &none), []);
}

#[test]
fn two_runs_of_a_thread_at_work_and_too_many_that_wait_are_found() {
    let is_first = |deed: &Deed| {
        matches!(deed, Deed::Wrote(batch, _)
            if batch.runs.iter().any(|change| change.status.is_terminal()))
    };
    // The first run never ends: the next one is at work beside it, which no store may take.
    let mut deeds = peace();
    let place = deeds.iter().position(|(_, deed)| is_first(deed)).unwrap();
    deeds.remove(place);
    let found_ = found(&deeds, &BTreeSet::new());
    assert!(found_.contains(&Invariant::OneOutcome), "a store that takes it: {found_:?}");
    // A message more than may wait.
    let mut store = Store::default();
    for (_, deed) in peace() {
        if let Deed::Wrote(batch, _) = deed {
            store.commit(&batch).unwrap();
        }
    }
    let (thread_id, run) =
        store.runs.values().next().map(|run| (run.thread_id, run.clone())).unwrap();
    let judged = |store: &Store| {
        let broken = rules::of_thread(store, thread_id, &limits(), &BTreeSet::new());
        broken.into_iter().map(|one| one.invariant).collect::<BTreeSet<_>>()
    };
    assert_eq!(judged(&store), BTreeSet::new());
    let with = |status, many: u128| {
        let mut more = store.clone();
        for nth in 0..many {
            let run = goldenpath_simulator::store::Run { status, ..run.clone() };
            more.runs.insert(RunId(nth), run);
        }
        judged(&more)
    };
    assert_eq!(with(RunStatus::Running, 1), BTreeSet::new());
    assert_eq!(with(RunStatus::Running, 2), BTreeSet::from([Invariant::OneRunning]));
    assert_eq!(with(RunStatus::Queued, 4), BTreeSet::new());
    assert_eq!(with(RunStatus::Queued, 5), BTreeSet::from([Invariant::WithinLimits]));
}

#[test]
fn a_cancel_that_was_promised_and_not_kept_is_found() {
    let deeds = peace();
    let runs: BTreeSet<RunId> = deeds
        .iter()
        .filter_map(|(_, deed)| match deed {
            Deed::Began { run_id, .. } => Some(*run_id),
            _ => None,
        })
        .take(1)
        .collect();
    assert_eq!(found(&deeds, &runs), [Invariant::CancelHonoured]);
}

#[test]
fn an_effect_that_is_repeated_or_too_early_is_found() {
    let deeds = peace();
    let is_call = |deed: &Deed, once: bool| matches!(deed, Deed::Called { repeatable, .. } if *repeatable != once);
    let call = |once| deeds.iter().position(|(_, deed)| is_call(deed, once)).unwrap();
    // A call that is over is made again.
    for once in [false, true] {
        let mut again = deeds.clone();
        again.push(deeds[call(once)].clone());
        assert_eq!(found(&again, &BTreeSet::new()), [Invariant::NoRepeat]);
    }
    // What cannot be repeated is called twice before its result is known, or before it is in the log.
    let once = call(true);
    let mut twice = deeds.clone();
    twice.insert(once, deeds[once].clone());
    assert_eq!(found(&twice, &BTreeSet::new()), [Invariant::AtMostOnce]);
    let mut early = deeds.clone();
    let call = early.remove(once);
    early.insert(0, call);
    assert_eq!(found(&early, &BTreeSet::new()), [Invariant::AtMostOnce]);
}

#[test]
fn an_answer_of_the_store_that_is_not_so_is_found() {
    let mut deeds = peace();
    for (_, deed) in &mut deeds {
        if let Deed::Wrote(_, answer) = deed {
            *answer = Ok(Committed::Fenced);
            break;
        }
    }
    assert_eq!(found(&deeds, &BTreeSet::new()), [Invariant::OneOutcome]);
}

#[test]
fn a_run_that_begins_before_an_older_one_of_its_thread_is_found() {
    let mut deeds = peace();
    let begun = deeds.iter().find_map(|(_, deed)| match deed {
        Deed::Began { run_id, .. } => Some(*run_id),
        _ => None,
    });
    // For the store the first run waits for ever.
    for (_, deed) in &mut deeds {
        if let Deed::Wrote(batch, _) = deed {
            batch.runs.retain(|change| Some(change.run_id) != begun);
        }
    }
    let found = found(&deeds, &BTreeSet::new());
    assert!(found.contains(&Invariant::InTurn), "{found:?}");
}
