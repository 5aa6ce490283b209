//! The clock of a node is set while it lives, or has moved on while the node stood still.

use crate::kinds;
use goldenpath_core::limits::Limits;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{Entry, RunStatus};
use goldenpath_simulator::{Fate, HOME, World, message};

const HOUR_MS: i64 = 3_600_000;

/// A run at work and a reader who listens.
fn at_work() -> World {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    world
}

#[test]
fn civil_time_that_is_set_ends_no_run_and_what_is_written_goes_by_the_new_one() {
    for by_ms in [6 * HOUR_MS, -6 * HOUR_MS] {
        let mut world = at_work();
        let run_id = *world.home().tasks.keys().next().unwrap();
        let (thread_id, before) = (world.only_thread(), world.home().deadline);
        world.set_clock(HOME, by_ms);
        assert!(world.home().tasks.contains_key(&run_id) && world.home().pending.is_empty());
        assert_eq!(world.home().deadline, before, "time for deadlines was not set");
        let reader = *world.readers.keys().next().unwrap();
        world.say(reader, message("m2", Some(thread_id)));
        world.settle();
        assert_eq!(world.check(), []);
        let ends = world.entries(thread_id);
        let ends = ends.iter().filter_map(|entry| entry.event.terminal_status());
        assert_eq!(ends.collect::<Vec<_>>(), [RunStatus::Completed; 2]);
        let asked = |entry: &&Entry| entry.event.type_name() == "user_message";
        let times: Vec<u64> =
            world.entries(thread_id).iter().filter(asked).map(|entry| entry.ts.0).collect();
        assert_eq!(times[1], times[0].saturating_add_signed(by_ms));
    }
}

#[test]
fn a_node_that_stood_still_ends_what_was_due_once() {
    let mut world = at_work();
    world.stands_still(HOME, Millis::from_secs(7_200));
    world.settle();
    assert_eq!(world.check(), []);
    let kinds = kinds(&world, world.only_thread());
    assert_eq!(kinds.iter().filter(|kind| **kind == "run_timed_out").count(), 1);
    assert_eq!(kinds.last(), Some(&"run_timed_out"));
    assert!(world.readers.values().all(|reader| reader.closed.is_none()));
}
