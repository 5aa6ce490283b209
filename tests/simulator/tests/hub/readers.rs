//! Readers: they come, resume, follow, and fill holes.

use crate::after_one_run;
use goldenpath_core::id::{Epoch, Seq, ThreadId};
use goldenpath_core::limits::Limits;
use goldenpath_core::wire::{ClientBody, Level, ResumePoint};
use goldenpath_simulator::{Fate, HOME, World, message};

pub(crate) fn resume_at(thread_id: ThreadId, after_seq: u64) -> ResumePoint {
    ResumePoint { thread_id, epoch: None, after_seq: Seq(after_seq) }
}

//= specs/delivery.md#dlv-04
//= type=test
//# On one connection the entries of a thread MUST be sent without a gap from the resume position
//# on.
//= specs/delivery.md#dlv-16
//= type=test
//# A replay MUST end with `replay_complete`, which names the last entry replayed.
#[test]
fn a_reader_that_resumes_gets_the_rest_and_then_lives() {
    let (mut world, _, thread_id) = after_one_run();
    let late = world.attach(HOME, vec![resume_at(thread_id, 4)]);
    world.settle();
    assert_eq!(world.readers[&late].positions[&thread_id], Seq(11));
    assert!(!world.readers[&late].seen.0.contains_key(&(thread_id, Seq(4))));
    let complete = world.readers[&late].heard("replay_complete").unwrap();
    assert_eq!(complete["payload"]["to_seq"], 11);
    world.say(late, message("m2", Some(thread_id)));
    world.settle();
    assert_eq!(world.readers[&late].positions[&thread_id], Seq(21));
}

//= specs/delivery.md#dlv-07
//= type=test
//# A resume that cannot be served MUST be answered `recovered:false` with a reason, and MUST NOT be
//# served in part.
#[test]
fn a_resume_that_cannot_be_served_says_why_and_sends_nothing() {
    let (mut world, reader, thread_id) = after_one_run();
    let unknown = ThreadId(99);
    let mut wrong_epoch = resume_at(thread_id, 1);
    wrong_epoch.epoch = Some(Epoch(7));
    for (point, reason) in [
        (resume_at(thread_id, 12), "cursor_invalid"),
        (wrong_epoch, "epoch_mismatch"),
        (resume_at(unknown, 0), "thread_not_found"),
    ] {
        world.command(reader, ClientBody::Resume { threads: vec![point] });
        while !world.home().pending.is_empty() {
            world.answer(0, Fate::Well);
        }
        let resumed = &world.readers[&reader].heard("resumed").unwrap()["payload"]["threads"][0];
        assert_eq!(resumed["recovered"], false);
        assert_eq!(resumed["reason"], reason);
    }
    assert!(world.readers[&reader].heard("replay_complete").is_none());
}

//= specs/delivery.md#dlv-22
//= type=test
//# A resume of more threads than a connection may follow MUST say which are left out.
#[test]
fn a_resume_of_more_threads_than_there_is_room_for_says_which_are_left_out() {
    let (mut world, _, thread_id) = after_one_run();
    let limit = Limits::default().subscriptions_per_connection;
    let reader = world.attach(HOME, Vec::new());
    let threads = vec![resume_at(thread_id, 11); limit + 2];
    world.command(reader, ClientBody::Resume { threads });
    let resumed = &world.readers[&reader].heard("resumed").unwrap()["payload"]["threads"];
    let reasons = resumed.as_array().unwrap().iter().map(|one| one["reason"].as_str());
    assert_eq!(reasons.filter(|reason| *reason == Some("overloaded")).count(), 2);
}

#[test]
fn a_replay_larger_than_the_limit_is_refused_as_a_whole() {
    let (mut world, _, thread_id) = {
        let mut world = World::with(Limits { replay_entries: 5, ..Limits::default() });
        let reader = world.attach(HOME, Vec::new());
        world.say(reader, message("m1", None));
        world.settle();
        let thread_id = world.only_thread();
        (world, reader, thread_id)
    };
    let late = world.attach(HOME, Vec::new());
    world.command(late, ClientBody::Resume { threads: vec![resume_at(thread_id, 0)] });
    let resumed = &world.readers[&late].heard("resumed").unwrap()["payload"]["threads"][0];
    assert_eq!(resumed["reason"], "replay_too_large");
    assert!(world.readers[&late].seen.0.is_empty());
}

//= specs/delivery.md#dlv-21
//= type=test
//# A new thread MUST be followed by every open window of its user from its first entry on.
#[test]
fn a_new_thread_is_heard_in_every_window_of_its_user() {
    let mut world = World::with(Limits::default());
    let (one, two) = (world.attach(HOME, Vec::new()), world.attach(HOME, Vec::new()));
    world.say(one, message("m1", None));
    world.settle();
    let thread_id = world.only_thread();
    assert_eq!(world.readers[&two].positions[&thread_id], Seq(11));
    assert_eq!(world.readers[&one].seen.0, world.readers[&two].seen.0);
}

#[test]
fn a_summary_leaves_the_agents_work_out() {
    let (mut world, _, thread_id) = after_one_run();
    let watcher = world.attach(HOME, Vec::new());
    world.command(watcher, ClientBody::Subscribe { thread_id, level: Level::Summary });
    let sender = world.attach(HOME, Vec::new());
    world.say(sender, message("m2", Some(thread_id)));
    while let Some(run_id) = world.home().tasks.keys().next().copied() {
        world.speak(run_id, 100);
    }
    while !world.home().pending.is_empty() {
        world.answer(0, Fate::Well);
    }
    assert!(world.readers[&watcher].seen.0.len() < 7);
}

//= specs/isolation.md#iso-07
//= type=test
//# Beyond the limit of connections of a user the oldest MUST be closed with 4409.
#[test]
fn beyond_the_limit_the_oldest_window_is_replaced() {
    let mut world = World::with(Limits { connections_per_user: 2, ..Limits::default() });
    let first = world.attach(HOME, Vec::new());
    world.attach(HOME, Vec::new());
    world.attach(HOME, Vec::new());
    assert_eq!(world.readers[&first].closed, Some(4409));
}

//= specs/delivery.md#dlv-19
//= type=test
//# Entries that are asked for again MUST be sent again.
#[test]
fn a_hole_is_filled_on_request() {
    let (mut world, reader, thread_id) = after_one_run();
    let before = world.readers[&reader].seen.0.len();
    world.readers.get_mut(&reader).unwrap().seen.0.clear();
    let gap = ClientBody::GapRequest { thread_id, after_seq: Seq(2), to_seq: Seq(5) };
    world.command(reader, gap);
    world.answer(0, Fate::Well);
    let seen: Vec<u64> = world.readers[&reader].seen.0.keys().map(|(_, seq)| seq.0).collect();
    assert_eq!(seen, [3, 4, 5]);
    assert_eq!(before, 11);
}

#[test]
fn a_new_thread_whose_first_write_is_unsure_is_not_called_unknown() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::DoneUnheard);
    let thread_id = world.only_thread();
    world.command(reader, ClientBody::Resume { threads: vec![resume_at(thread_id, 0)] });
    let resumed = world.readers[&reader].heard("resumed").unwrap();
    assert_eq!(resumed["payload"]["threads"][0]["reason"], "storage_unavailable");
    world.settle();
}
