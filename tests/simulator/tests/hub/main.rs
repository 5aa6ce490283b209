//! The hub against a reference store, sentence by sentence and in random histories.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod clocks;
mod found;
mod histories;
mod matrix;
mod nodes;
#[path = "../../../../core/tests/matrix/mod.rs"]
mod page;
mod readers;
mod runs;

use goldenpath_core::hub::Input;
use goldenpath_core::id::{ConnectionId, Seq, ThreadId};
use goldenpath_core::limits::Limits;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{
    ClientBody, ErrorCode, Feedback, Level, MultitaskStrategy, Reply, ThreadCommand,
};
use goldenpath_simulator::{Fate, HOME, Reader, World, message};
use serde_json::Value;

/// A world with one reader, one thread, and its first run done.
fn after_one_run() -> (World, ConnectionId, ThreadId) {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.settle();
    let thread_id = world.only_thread();
    (world, reader, thread_id)
}

fn kinds(world: &World, thread_id: ThreadId) -> Vec<&'static str> {
    world.entries(thread_id).iter().map(|entry| entry.event.type_name()).collect()
}

fn code(frame: Option<Value>) -> Option<String> {
    Some(frame?["payload"]["code"].as_str()?.to_owned())
}

#[test]
fn a_message_becomes_a_thread_a_run_and_an_answer() {
    let (world, reader, thread_id) = after_one_run();
    assert_eq!(
        kinds(&world, thread_id),
        [
            "thread_created",
            "user_message",
            "run_queued",
            "run_started",
            "agent_started",
            "agent_thinking",
            "tool_executing",
            "tool_completed",
            "agent_completed",
            "assistant_message",
            "run_completed",
        ]
    );
    assert_eq!(world.readers[&reader].positions[&thread_id], Seq(11));
    let ack = world.readers[&reader].heard("ack").unwrap();
    assert_eq!(ack["payload"]["seq"], 2);
    assert_eq!(ack["payload"]["status"], "accepted");
}

//= specs/delivery.md#dlv-01
//= type=test
//# An entry MUST NOT be sent before the store has confirmed it.
//= specs/delivery.md#dlv-12
//= type=test
//# `ack` MUST NOT be sent before message and run are committed together.
#[test]
fn nothing_is_acknowledged_or_sent_before_the_store_has_it() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    assert!(world.readers[&reader].control.0.is_empty());
    assert!(world.home().tasks.is_empty(), "and no run starts");
    world.answer(0, Fate::Well);
    assert!(world.readers[&reader].heard("ack").is_some());
    assert_eq!(world.home().tasks.len(), 1);
}

#[test]
fn the_same_message_twice_is_one_message_and_the_same_answer() {
    let (mut world, reader, thread_id) = after_one_run();
    let first = world.readers[&reader].heard("ack").unwrap()["payload"].clone();
    world.say(reader, message("m1", None));
    world.settle();
    let second = &world.readers[&reader].heard("ack").unwrap()["payload"];
    assert_eq!(second["status"], "duplicate");
    for key in ["message_id", "run_id", "thread_id", "seq"] {
        assert_eq!(second[key], first[key], "{key}");
    }
    assert_eq!(kinds(&world, thread_id).len(), 11);
    assert_eq!(world.store.threads.len(), 1);
}

#[test]
fn the_same_id_with_other_content_is_a_conflict() {
    let (mut world, reader, _) = after_one_run();
    let mut other = message("m1", None);
    other.content = "something else".into();
    world.say(reader, other);
    world.settle();
    assert_eq!(
        code(world.readers[&reader].heard("error")).as_deref(),
        Some("idempotency_conflict")
    );
    assert_eq!(world.store.threads.len(), 1);
}

//= specs/delivery.md#dlv-18
//= type=test
//# A repeated message that would be refused now MUST still get its first outcome.
#[test]
fn a_repeated_message_that_would_be_refused_still_gets_its_first_outcome() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    let mut rejecting = message("m1", None);
    rejecting.multitask = MultitaskStrategy::Reject;
    world.say(reader, rejecting.clone());
    world.answer(0, Fate::Well);
    rejecting.thread_id = Some(world.only_thread());
    world.say(reader, rejecting);
    world.answer(0, Fate::Well);
    assert_eq!(world.readers[&reader].heard("ack").unwrap()["payload"]["status"], "duplicate");
    assert!(world.readers[&reader].heard("error").is_none());
}

//= specs/dependencies.md#dep-04
//= type=test
//# While the store is down a new message MUST be refused as retryable.
#[test]
fn while_the_store_is_down_a_message_is_refused_as_retryable_and_later_accepted() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    for _ in 0..Limits::default().message_commit_tries {
        world.answer(0, Fate::Down);
        world.pass(Millis(5_000));
    }
    let error = world.readers[&reader].heard("error").unwrap();
    assert_eq!(error["payload"]["code"], "storage_unavailable");
    assert_eq!(error["payload"]["retryable"], true);
    assert!(world.home().pending.is_empty(), "certainly not written: given up");
    world.say(reader, message("m1", None));
    world.settle();
    assert_eq!(world.store.runs.len(), 1);
}

//= specs/delivery.md#dlv-11
//= type=test
//# A write of unknown outcome MUST be repeated with the same identity, never renumbered.
#[test]
fn a_commit_of_unknown_outcome_is_repeated_under_the_same_identity() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    for _ in 0..5 {
        world.answer(0, Fate::DoneUnheard);
        world.pass(Millis(5_000));
    }
    world.settle();
    assert_eq!(kinds(&world, world.only_thread()).len(), 11, "written once");
    assert!(world.readers[&reader].heard("ack").is_some());
}

//= specs/drain.md#drain-08
//= type=test
//# A new message MUST be refused as `shutting_down` while the server drains.
#[test]
fn while_draining_nothing_new_starts() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.input(HOME, Input::Drain);
    world.say(reader, message("m1", None));
    assert_eq!(code(world.readers[&reader].heard("error")).as_deref(), Some("shutting_down"));
}

//= specs/delivery.md#dlv-24
//= type=test
//# A message that expects another head of its thread MUST be refused as `thread_advanced`.
#[test]
fn a_thread_that_moved_on_refuses_who_expected_otherwise() {
    let (mut world, reader, thread_id) = after_one_run();
    let mut stale = message("m2", Some(thread_id));
    stale.expected_head_seq = Some(Seq(3));
    world.say(reader, stale);
    world.answer(0, Fate::Well);
    assert_eq!(code(world.readers[&reader].heard("error")).as_deref(), Some("thread_advanced"));
}

#[test]
fn threads_are_made_renamed_listed_read_and_deleted() {
    let (mut world, reader, thread_id) = after_one_run();
    let commands = [
        ThreadCommand::Create { title: Some("plans".into()), metadata: None },
        ThreadCommand::Rename { thread_id, title: Some("costs".into()), metadata: None },
        ThreadCommand::List { limit: 10 },
        ThreadCommand::History { thread_id, after_seq: Seq(0), limit: 3 },
        ThreadCommand::Delete { thread_id },
    ];
    for command in commands {
        world.command(reader, ClientBody::Thread(command));
        world.answer(0, Fate::Well);
    }
    assert!(world.readers[&reader].heard("error").is_none());
    assert_eq!(world.store.threads.len(), 2);
}

#[test]
fn feedback_and_read_positions_are_kept() {
    let (mut world, reader, thread_id) = after_one_run();
    let message_id = world.store.messages.values().next().unwrap().message_id;
    let feedback = Feedback { message_id, rating: 5, comment: None };
    world.command(reader, ClientBody::Feedback(feedback));
    world.command(reader, ClientBody::Received { thread_id, seq: Seq(11) });
    while !world.home().pending.is_empty() {
        world.answer(0, Fate::Well);
    }
    assert!(world.readers[&reader].heard("error").is_none());
}

#[test]
fn a_hub_with_nothing_to_do_and_nobody_there_retires() {
    let (mut world, reader, _) = after_one_run();
    assert!(!world.home().retired);
    world.detach(reader);
    assert!(world.home().retired);
}

#[test]
fn a_request_over_http_follows_nothing() {
    let mut world = World::with(Limits::default());
    let caller = ConnectionId(77);
    world.readers.insert(caller, Reader::default());
    world.input(HOME, Input::Attach { connection_id: caller, resume: Vec::new(), reader: false });
    let body = ClientBody::UserMessage(message("m1", None));
    world.input(HOME, Input::Command { connection_id: caller, reply: Reply::None, body });
    world.answer(0, Fate::Well);
    assert!(world.readers[&caller].heard("ack").is_some());
    assert!(world.readers[&caller].seen.0.is_empty());
}

#[test]
fn an_unknown_thread_is_not_found() {
    let (mut world, reader, _) = after_one_run();
    world.say(reader, message("m2", Some(ThreadId(404))));
    world.answer(0, Fate::Well);
    assert_eq!(
        code(world.readers[&reader].heard("error")).as_deref(),
        Some(ErrorCode::ThreadNotFound.as_str())
    );
}

//= specs/wire.md#wire-52
//= type=test
//# A message to the thread that has the name of its connection MUST open that thread when there is
//# none yet.
#[test]
fn a_message_to_the_thread_of_its_own_connection_opens_it() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    let own = ThreadId::of(reader);
    // The second one comes before the first is written.
    world.say(reader, message("m1", Some(own)));
    world.say(reader, message("m2", Some(own)));
    world.settle();
    assert!(world.readers[&reader].heard("error").is_none());
    let said = kinds(&world, own);
    assert_eq!(said[..2], ["thread_created", "user_message"]);
    assert_eq!(said.iter().filter(|kind| **kind == "run_completed").count(), 2);
    let other = world.attach(HOME, Vec::new());
    world.say(other, message("m3", Some(own)));
    world.settle();
    assert_eq!(kinds(&world, own).iter().filter(|kind| **kind == "run_completed").count(), 3);
    let nobodys = ThreadId::of(ConnectionId(u128::MAX));
    let tries = [
        ClientBody::UserMessage(message("m4", Some(nobodys))),
        ClientBody::Subscribe { thread_id: ThreadId::of(other), level: Level::Full },
    ];
    for body in tries {
        let silent = world.attach(HOME, Vec::new());
        world.command(silent, body);
        world.settle();
        let refused = code(world.readers[&silent].heard("error"));
        assert_eq!(refused.as_deref(), Some(ErrorCode::ThreadNotFound.as_str()));
    }
    assert_eq!(world.store.threads.len(), 1);
}
