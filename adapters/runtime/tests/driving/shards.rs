//! Users on their shards, and what happens when something of theirs fails.

use crate::rig::{PATIENCE, draft, identity, rig, rig_on};
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Batch, Committed, Load, Loaded, RunChange};
use goldenpath_core::id::Fence;
use goldenpath_core::limits::Limits;
use goldenpath_core::wire::{ClientBody, CloseCode, Event, Reply, RunStatus};
use goldenpath_runtime::memory::Failure;
use goldenpath_runtime::ports::Store as _;
use goldenpath_runtime::shard::Delivery;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn users_are_served_side_by_side_and_hear_their_own_only() {
    let rig = rig(Limits::default());
    let (mut ada, mut bob) = (rig.reader("ada").await, rig.reader("bob").await);
    ada.ask("a", "hello").await;
    bob.ask("b", "hello").await;
    for reader in [&mut ada, &mut bob] {
        let heard = reader.until("run_completed").await;
        assert_eq!(heard.iter().filter(|kind| *kind == "user_message").count(), 1, "{heard:?}");
    }
    assert_eq!(rig.connections.shards.load().await.users, 2);
    ada.link.detach(ada.id);
    bob.link.detach(bob.id);
    rig.empty().await;
}

//= specs/delivery.md#dlv-25
//= type=test
//# What a client sent before it closed its connection MUST be handled before the connection is
//# taken for gone.
#[tokio::test(start_paused = true)]
async fn what_was_said_before_the_close_is_handled_before_it() {
    const READERS: usize = 40;
    const SAID: usize = 20;
    let limits =
        Limits { message_burst: u32::MAX, connections_per_user: READERS, ..Limits::default() };
    let rig = rig(limits);
    for settled in [false, true] {
        for n in 0..READERS {
            let reader = rig.reader("ada").await;
            if settled && n % 10 == 0 {
                // The hub knows of the connection before it says anything.
                rig.connections.shards.load().await;
            }
            for said in 0..SAID {
                reader.ask(&format!("{settled}-{n}-{said}"), "hello").await;
            }
            reader.link.detach(reader.id);
        }
    }
    rig.empty().await;
    let all = Load::Threads { limit: u32::MAX };
    let Ok(Loaded::Threads(threads)) = rig.store.load(&identity("ada").scope(), all).await else {
        panic!("the threads can be read");
    };
    assert_eq!(threads.len(), 2 * READERS * SAID, "each message opens a thread of its own");
}

//= specs/dependencies.md#dep-06
//= type=test
//# A failure of the store for a moment MUST NOT lose a message or end its reader's connection.
#[tokio::test(start_paused = true)]
async fn dep_04_a_store_that_fails_for_a_moment_is_asked_again() {
    let rig = rig(Limits::default());
    let mut ada = rig.reader("ada").await;
    rig.store.fail_commits([Failure::Before(Fault::Unavailable), Failure::After]);
    ada.ask("a", "hello").await;
    let heard = ada.until("run_completed").await;
    assert_eq!(heard.iter().filter(|kind| *kind == "ack").count(), 1, "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn f24_a_run_whose_task_vanishes_is_started_again() {
    let rig = rig(Limits::default());
    let mut ada = rig.reader("ada").await;
    ada.ask("a", "vanish").await;
    ada.until("run_completed").await;
    let attempts: Vec<u32> =
        rig.runs.started.lock().unwrap().iter().map(|started| started.attempt).collect();
    assert_eq!(attempts, [1, 2]);
}

//= specs/isolation.md#iso-06
//= type=test
//# A failure inside one user's hub MUST NOT disturb another user.
#[tokio::test(start_paused = true)]
async fn a_hub_that_fails_takes_nobody_with_it() {
    let rig = rig(Limits::default());
    let (mut ada, mut bob) = (rig.reader("ada").await, rig.reader("bob").await);
    let mut carol = rig.reader("carol").await;
    ada.ask("a", "explode").await;
    let closed = loop {
        match ada.hear().await {
            Some(Delivery::Close(code)) => break code,
            Some(_) => {}
            None => panic!("it was closed without a word"),
        }
    };
    assert_eq!(closed, CloseCode::Internal);
    for reader in [&mut bob, &mut carol] {
        reader.ask("b", "hello").await;
        reader.until("run_completed").await;
    }
    // The user is let in again, on a hub made anew.
    let mut again = rig.reader("ada").await;
    again.ask("c", "hello").await;
    again.until("run_completed").await;
}

//= specs/runs.md#run-36
//= type=test
//# A run MUST wait for runs of its own user only, and a place that becomes free goes to the thread
//# that has waited longest.
#[tokio::test(start_paused = true)]
async fn nobody_waits_behind_another_user_and_places_go_to_who_has_waited_longest() {
    let rig = rig(Limits { running_runs_per_user: 1, ..Limits::default() });
    let mut ada = rig.reader("ada").await;
    let asked = [("a", "hang"), ("b", "second"), ("c", "third"), ("d", "fourth")];
    for (id, question) in asked {
        ada.ask(id, question).await;
        ada.until("ack").await;
    }
    for neighbour in ["bob", "carol", "dan", "eve"] {
        let mut reader = rig.reader(neighbour).await;
        reader.ask("a", neighbour).await;
        reader.until("run_completed").await;
    }
    let started = || -> Vec<String> {
        rig.runs.started.lock().unwrap().iter().map(|run| run.question.clone()).collect()
    };
    assert_eq!(started(), ["hang", "bob", "carol", "dan", "eve"]);
    let run_id = Some(rig.runs.started.lock().unwrap()[0].run_id);
    ada.link.command(ada.id, Reply::None, ClientBody::CancelRun { run_id }).await;
    let mut ended = 0;
    while ended < 3 {
        ended +=
            ada.until("run_completed").await.iter().filter(|kind| *kind == "run_completed").count();
    }
    assert_eq!(started()[5..], ["second", "third", "fourth"]);
}

//= specs/drain.md#drain-03
//= type=test
//# Runs that have not ended at half of the deadline MUST be left to the next process.
#[tokio::test(start_paused = true)]
async fn a_drain_lets_runs_end_for_half_its_time_then_leaves_them_to_the_next_process() {
    let rig = rig(Limits::default());
    let mut ada = rig.reader("ada").await;
    ada.ask("a", "hang").await;
    ada.until("ack").await;
    let began = rig.connections.clock.now().mono;
    let mut seed = goldenpath_core::seed::Seed::new(1);
    let drained = goldenpath_runtime::drain::drain(&rig.connections, &mut seed);
    let clean = tokio::time::timeout(PATIENCE, drained).await.unwrap();
    let took = rig.connections.clock.now().mono.since(began);
    let limits = Limits::default();
    assert!(
        clean && took.0 >= limits.drain_deadline.0 / 2 && took <= limits.drain_deadline,
        "{took}"
    );
    let left = rig.store.unfinished_runs().await.unwrap();
    assert_eq!(left.len(), 1, "the log is its checkpoint");
    let next = rig_on(rig.store.clone(), Limits::default(), 4);
    next.connections.shards.recover(left);
    let finished = async {
        while !next.store.unfinished_runs().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, finished).await.expect("the next process goes on with it");
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_was_fenced_off_is_dropped_and_its_user_served_anew() {
    let rig = rig(Limits::default());
    let mut ada = rig.reader("ada").await;
    ada.ask("a", "hang").await;
    ada.until("run_started").await;
    let started = rig.runs.started.lock().unwrap()[0].clone();
    // Another process on the same files takes the run up.
    let deadline_at = started.started_at;
    let claim = draft(&started, 5, Event::RunStarted { attempt: 2, deadline_at });
    let (run_id, status) = (started.run_id, RunStatus::Running);
    let (scope, log) = (identity("ada").scope(), (started.thread_id, started.epoch));
    let entries = vec![claim.encode()];
    let mut batch = Batch::of(claim.id, scope, log, started.started_at, entries);
    batch.runs = vec![RunChange { run_id, fence: Fence(2), status }];
    assert!(matches!(rig.store.commit(batch).await, Ok(Committed::Done { .. })));
    ada.link.command(ada.id, Reply::None, ClientBody::CancelRun { run_id: None }).await;
    let code = loop {
        if let Delivery::Close(code) = ada.hear().await.expect("a close comes first") {
            break code;
        }
    };
    assert_eq!(code, CloseCode::Restarting);
    ada.link.detach(ada.id);
    rig.empty().await;
    let mut again = rig.reader("ada").await;
    again.ask("b", "hello").await;
    again.until("run_completed").await;
}
