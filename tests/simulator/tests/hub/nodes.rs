//! Two nodes over one store: what one of them read may be old when it writes.

use crate::kinds;
use crate::readers::resume_at;
use goldenpath_core::id::Seq;
use goldenpath_core::wire::ClientBody;
use goldenpath_simulator::{Fate, HOME, Setup, Witness, World, message};

/// Two nodes; the first one holds the lease.
fn two_nodes() -> World {
    World::new(Setup { nodes: 2, ..Setup::default() })
}

#[test]
fn a_claim_made_on_a_log_that_has_grown_is_refused_and_the_run_read_again() {
    let mut world = two_nodes();
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    let run_id = *world.home().tasks.keys().next().unwrap();
    world.take_over(1);
    world.answer_at(1, 0, Fate::Well);
    world.answer_at(1, 0, Fate::Well);
    // The second node has read the run's log and is about to claim it; the first one still writes.
    world.speak(run_id, 1);
    world.answer(0, Fate::Well);
    world.settle();
    assert_eq!(world.check(), []);
    let all = kinds(&world, world.only_thread());
    assert_eq!(all.iter().filter(|kind| **kind == "agent_started").count(), 1);
}

#[test]
fn a_run_that_landed_late_in_an_open_thread_is_found_by_looking_again() {
    let mut world = two_nodes();
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.settle();
    let thread_id = world.only_thread();
    world.say(reader, message("m2", Some(thread_id)));
    world.crash_at(HOME);
    world.start_at(1);
    world.take_over(1);
    let late = world.attach(1, vec![resume_at(thread_id, 0)]);
    while !world.nodes[1].pending.is_empty() {
        world.answer_at(1, 0, Fate::Well);
    }
    world.land(0);
    assert_eq!(world.store.unfinished().len(), 1);
    world.settle();
    assert_eq!(world.check(), []);
    assert_eq!(
        world.readers[&late].positions[&thread_id],
        Seq(22),
        "with the second claim of the second run"
    );
}

#[test]
fn a_write_that_finds_others_before_it_makes_its_hub_read_the_thread_again() {
    let mut world = two_nodes();
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    let (thread_id, run_id) = (world.only_thread(), *world.home().tasks.keys().next().unwrap());
    // The first node reads the run's log again, and a message is on its way; the second node claims
    // the run in between.
    world.die(HOME, run_id);
    world.say(reader, message("m2", Some(thread_id)));
    world.answer(0, Fate::Well);
    world.take_over(1);
    for _ in 0..3 {
        world.answer_at(1, 0, Fate::Well);
    }
    while !world.home().pending.is_empty() {
        world.answer(0, Fate::Well);
    }
    world.settle();
    assert_eq!(world.check(), []);
}

#[test]
fn a_cancel_said_to_a_node_that_lost_its_run_is_not_acknowledged_or_known_to_the_next() {
    // Whatever the second node has read by then: nothing, its log, or the claim is written.
    for answers in 0..4 {
        let mut world = two_nodes();
        let reader = world.attach(HOME, Vec::new());
        world.say(reader, message("m1", None));
        world.answer(0, Fate::Well);
        world.take_over(1);
        for _ in 0..answers {
            world.answer_at(1, 0, Fate::Well);
        }
        world.command(reader, ClientBody::CancelRun { run_id: None });
        world.answer(0, Fate::Well);
        assert_eq!(world.cancels.len(), usize::from(answers < 3), "after {answers} answers");
        world.settle();
        assert_eq!(world.check(), []);
    }
}

//= specs/delivery.md#dlv-26
//= type=test
//# A hub whose run was taken over by another writer MUST close its connections with 1012 and MUST be
//# dropped.
#[test]
fn a_hub_that_was_fenced_off_is_dropped_and_its_readers_come_back() {
    let mut world = two_nodes();
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    let (thread_id, run_id) = (world.only_thread(), *world.home().tasks.keys().next().unwrap());
    world.take_over(1);
    for _ in 0..3 {
        world.answer_at(1, 0, Fate::Well);
    }
    assert!(world.nodes[1].tasks.contains_key(&run_id), "the second node is at work on it");
    world.speak(run_id, 1);
    assert_eq!(world.readers[&reader].closed, None);
    world.answer(0, Fate::Well);
    assert_eq!(world.readers[&reader].closed, Some(1012));
    assert!(world.home().tasks.is_empty(), "the first one is not any more");
    assert_eq!(world.home().hub().thread_state(thread_id), "unknown", "and knows nothing of it");
    let back = world.attach(1, vec![resume_at(thread_id, 0)]);
    world.settle();
    assert_eq!(world.check(), []);
    assert_eq!(world.readers[&back].positions[&thread_id], world.store.threads[&thread_id].head());
}

#[test]
fn whoever_lost_the_lease_hears_it_with_the_next_write_and_no_process_has_to_die() {
    let mut world = two_nodes();
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    world.take_over(1);
    world.settle();
    assert_eq!(world.check(), []);
    assert!(world.seen.0.has(Witness::SentAway) && !world.seen.0.has(Witness::Crashed));
    let (thread_id, back) = (world.only_thread(), world.readers.values().next().unwrap());
    assert_eq!((world.readers.len(), back.node), (1, 1));
    assert_eq!(back.positions[&thread_id], world.store.threads[&thread_id].head());
}
