//! The hub against a reference store, sentence by sentence and in random histories.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod histories;
mod matrix;
mod store;
mod world;

use goldenpath_core::hub::Input;
use goldenpath_core::id::{ConnectionId, Epoch, RunId, Seq, ThreadId};
use goldenpath_core::limits::Limits;
use goldenpath_core::run::CancelReason;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{
    ClientBody, ErrorCode, Event, Feedback, Level, MultitaskStrategy, OnDisconnect, Reply,
    ResumePoint, RunStatus, ThreadCommand,
};
use serde_json::Value;
use world::{Store3, World, message};

/// A world with one reader, one thread, and its first run done.
fn after_one_run() -> (World, ConnectionId, ThreadId) {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.say(reader, message("m1", None));
    world.settle();
    let thread_id = world.only_thread();
    (world, reader, thread_id)
}

fn kinds(world: &World, thread_id: ThreadId) -> Vec<&'static str> {
    world.entries(thread_id).iter().map(|entry| entry.event.type_name()).collect()
}

fn code(frame: Option<&Value>) -> Option<&str> {
    frame.and_then(|frame| frame["payload"]["code"].as_str())
}

fn resume_at(thread_id: ThreadId, after_seq: u64) -> ResumePoint {
    ResumePoint { thread_id, epoch: None, after_seq: Seq(after_seq) }
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
    let ack = world.heard(reader, "ack").unwrap();
    assert_eq!(ack["payload"]["seq"], 2);
    assert_eq!(ack["payload"]["status"], "accepted");
}

#[test]
fn nothing_is_acknowledged_or_sent_before_the_store_has_it() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.say(reader, message("m1", None));
    assert!(world.readers[&reader].control.is_empty());
    assert!(world.tasks.is_empty(), "and no run starts");
    world.answer(0, Store3::Well);
    assert!(world.heard(reader, "ack").is_some());
    assert_eq!(world.tasks.len(), 1);
}

#[test]
fn the_same_message_twice_is_one_message_and_the_same_answer() {
    let (mut world, reader, thread_id) = after_one_run();
    let first = world.heard(reader, "ack").unwrap()["payload"].clone();
    world.say(reader, message("m1", None));
    world.settle();
    let second = &world.heard(reader, "ack").unwrap()["payload"];
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
    assert_eq!(code(world.heard(reader, "error")), Some("idempotency_conflict"));
    assert_eq!(world.store.threads.len(), 1);
}

#[test]
fn a_repeated_message_that_would_be_refused_still_gets_its_first_outcome() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    let mut rejecting = message("m1", None);
    rejecting.multitask = MultitaskStrategy::Reject;
    world.say(reader, rejecting.clone());
    world.answer(0, Store3::Well);
    rejecting.thread_id = Some(world.only_thread());
    world.say(reader, rejecting);
    world.answer(0, Store3::Well);
    assert_eq!(world.heard(reader, "ack").unwrap()["payload"]["status"], "duplicate");
    assert!(world.heard(reader, "error").is_none());
}

#[test]
fn a_second_message_waits_is_rejected_or_interrupts_as_it_asks() {
    for (strategy, expected) in [
        (MultitaskStrategy::Enqueue, None),
        (MultitaskStrategy::Reject, Some("thread_busy")),
        (MultitaskStrategy::Interrupt, None),
    ] {
        let mut world = World::new();
        let reader = world.attach(Vec::new());
        world.say(reader, message("m1", None));
        world.answer(0, Store3::Well);
        let thread_id = world.only_thread();
        let mut second = message("m2", Some(thread_id));
        second.multitask = strategy;
        world.say(reader, second);
        world.answer(0, Store3::Well);
        assert_eq!(code(world.heard(reader, "error")), expected, "{strategy:?}");
        let interrupted = world.cancelled.iter().any(|(_, r)| *r == CancelReason::Interrupt);
        assert_eq!(interrupted, strategy == MultitaskStrategy::Interrupt);
        world.settle();
    }
}

#[test]
fn queued_runs_start_in_order_one_at_a_time() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Store3::Well);
    let thread_id = world.only_thread();
    for name in ["m2", "m3", "m4"] {
        world.say(reader, message(name, Some(thread_id)));
    }
    world.settle();
    let started: Vec<RunId> = world
        .entries(thread_id)
        .iter()
        .filter(|entry| matches!(entry.event, Event::RunStarted { .. }))
        .filter_map(|entry| entry.run_id)
        .collect();
    let queued: Vec<RunId> = world
        .entries(thread_id)
        .iter()
        .filter(|entry| matches!(entry.event, Event::RunQueued { .. }))
        .filter_map(|entry| entry.run_id)
        .collect();
    assert_eq!(started, queued);
    assert_eq!(started.len(), 4);
}

#[test]
fn a_full_queue_refuses() {
    let mut world = World::with(Limits { queued_runs_per_thread: 1, ..Limits::default() });
    let reader = world.attach(Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Store3::Well);
    let thread_id = world.only_thread();
    for name in ["m2", "m3"] {
        world.say(reader, message(name, Some(thread_id)));
        world.answer(0, Store3::Well);
    }
    assert_eq!(code(world.heard(reader, "error")), Some("queue_full"));
    world.settle();
}

#[test]
fn runs_over_the_users_limit_wait_for_a_place_in_any_thread() {
    let mut world = World::with(Limits { running_runs_per_user: 2, ..Limits::default() });
    let reader = world.attach(Vec::new());
    for name in ["m1", "m2", "m3", "m4"] {
        world.say(reader, message(name, None));
    }
    while !world.pending.is_empty() {
        world.answer(0, Store3::Well);
    }
    assert_eq!(world.tasks.len(), 2);
    world.settle();
    assert!(world.store.runs.values().all(|run| run.status == RunStatus::Completed));
}

#[test]
fn a_reader_that_resumes_gets_the_rest_and_then_lives() {
    let (mut world, _, thread_id) = after_one_run();
    let late = world.attach(vec![resume_at(thread_id, 4)]);
    world.settle();
    assert_eq!(world.readers[&late].positions[&thread_id], Seq(11));
    assert!(!world.readers[&late].seen.contains_key(&(thread_id, Seq(4))));
    let complete = world.heard(late, "replay_complete").unwrap();
    assert_eq!(complete["payload"]["to_seq"], 11);
    world.say(late, message("m2", Some(thread_id)));
    world.settle();
    assert_eq!(world.readers[&late].positions[&thread_id], Seq(21));
}

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
        while !world.pending.is_empty() {
            world.answer(0, Store3::Well);
        }
        let resumed = &world.heard(reader, "resumed").unwrap()["payload"]["threads"][0];
        assert_eq!(resumed["recovered"], false);
        assert_eq!(resumed["reason"], reason);
    }
    assert!(world.heard(reader, "replay_complete").is_none());
}

#[test]
fn a_resume_of_more_threads_than_there_is_room_for_says_which_are_left_out() {
    let (mut world, _, thread_id) = after_one_run();
    let limit = Limits::default().subscriptions_per_connection;
    let reader = world.attach(Vec::new());
    let threads = vec![resume_at(thread_id, 11); limit + 2];
    world.command(reader, ClientBody::Resume { threads });
    let resumed = &world.heard(reader, "resumed").unwrap()["payload"]["threads"];
    let reasons = resumed.as_array().unwrap().iter().map(|one| one["reason"].as_str());
    assert_eq!(reasons.filter(|reason| *reason == Some("overloaded")).count(), 2);
}

#[test]
fn a_replay_larger_than_the_limit_is_refused_as_a_whole() {
    let (mut world, _, thread_id) = {
        let mut world = World::with(Limits { replay_entries: 5, ..Limits::default() });
        let reader = world.attach(Vec::new());
        world.say(reader, message("m1", None));
        world.settle();
        let thread_id = world.only_thread();
        (world, reader, thread_id)
    };
    let late = world.attach(Vec::new());
    world.command(late, ClientBody::Resume { threads: vec![resume_at(thread_id, 0)] });
    let resumed = &world.heard(late, "resumed").unwrap()["payload"]["threads"][0];
    assert_eq!(resumed["reason"], "replay_too_large");
    assert!(world.readers[&late].seen.is_empty());
}

#[test]
fn a_new_thread_is_heard_in_every_window_of_its_user() {
    let mut world = World::new();
    let (one, two) = (world.attach(Vec::new()), world.attach(Vec::new()));
    world.say(one, message("m1", None));
    world.settle();
    let thread_id = world.only_thread();
    assert_eq!(world.readers[&two].positions[&thread_id], Seq(11));
    assert_eq!(world.readers[&one].seen, world.readers[&two].seen);
}

#[test]
fn a_summary_leaves_the_agents_work_out() {
    let (mut world, _, thread_id) = after_one_run();
    let watcher = world.attach(Vec::new());
    world.command(watcher, ClientBody::Subscribe { thread_id, level: Level::Summary });
    let sender = world.attach(Vec::new());
    world.say(sender, message("m2", Some(thread_id)));
    while let Some(run_id) = world.tasks.keys().next().copied() {
        world.speak(run_id, 100);
    }
    while !world.pending.is_empty() {
        world.answer(0, Store3::Well);
    }
    assert!(world.readers[&watcher].seen.len() < 7);
}

#[test]
fn cancel_stops_the_task_and_is_idempotent() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Store3::Well);
    let run_id = *world.tasks.keys().next().unwrap();
    for _ in 0..2 {
        world.command(reader, ClientBody::CancelRun { run_id: Some(run_id) });
    }
    assert_eq!(world.cancelled, [(run_id, CancelReason::User)]);
}

#[test]
fn a_task_that_ignores_cancel_is_ended_within_the_grace() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Store3::Well);
    let run_id = *world.tasks.keys().next().unwrap();
    world.speak(run_id, 3);
    world.answer(0, Store3::Well);
    world.command(reader, ClientBody::CancelRun { run_id: Some(run_id) });
    world.pass(Limits::default().cancel_grace);
    while !world.pending.is_empty() {
        world.answer(0, Store3::Well);
    }
    let thread_id = world.only_thread();
    assert_eq!(world.store.runs[&run_id].status, RunStatus::Cancelled);
    let ends = &kinds(&world, thread_id)[7..];
    assert_eq!(ends, ["tool_completed", "agent_completed", "run_cancelled"]);
    assert!(world.tasks.is_empty(), "the task is killed");
}

#[test]
fn a_task_that_says_nothing_ends_timed_out() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Store3::Well);
    let limits = Limits::default();
    world.pass(Millis(limits.run_timeout.0 + limits.run_supervision_grace.0));
    world.settle();
    assert_eq!(kinds(&world, world.only_thread()).last(), Some(&"run_timed_out"));
}

#[test]
fn a_task_that_dies_is_continued_and_in_the_end_given_up() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Store3::Well);
    for attempt in 1..=3 {
        let (run_id, fence) = {
            let (run_id, task) = world.tasks.iter().next().unwrap();
            assert_eq!(task.assignment.attempt, attempt);
            (*run_id, task.fence)
        };
        world.speak(run_id, 1);
        world.tasks.remove(&run_id);
        world.input(Input::RunStopped { run_id, fence });
        while !world.pending.is_empty() {
            world.answer(0, Store3::Well);
        }
    }
    assert_eq!(kinds(&world, world.only_thread()).last(), Some(&"run_failed"));
}

#[test]
fn what_an_older_task_says_is_dropped() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Store3::Well);
    let (run_id, task) = world.tasks.pop_first().unwrap();
    world.input(Input::RunStopped { run_id, fence: task.fence });
    while !world.pending.is_empty() {
        world.answer(0, Store3::Well);
    }
    let ignored = world.hub.ignored();
    let drafts = task.lines.into_iter().collect();
    world.input(Input::Append { run_id, fence: task.fence, drafts });
    assert_eq!(world.hub.ignored(), ignored + 1);
    world.settle();
}

#[test]
fn a_waiting_run_can_be_taken_back() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Store3::Well);
    let thread_id = world.only_thread();
    world.say(reader, message("m2", Some(thread_id)));
    world.answer(0, Store3::Well);
    let waiting = world.store.unfinished()[1].run_id;
    world.command(reader, ClientBody::CancelQueued { run_id: waiting });
    world.answer(0, Store3::Well);
    assert_eq!(world.store.runs[&waiting].status, RunStatus::Cancelled);
    world.settle();
    let started = kinds(&world, thread_id).iter().filter(|k| **k == "run_started").count();
    assert_eq!(started, 1);
}

#[test]
fn a_run_of_nobody_knows_is_not_found_and_an_ended_one_not_active() {
    let (mut world, reader, _) = after_one_run();
    let ended = *world.store.runs.keys().next().unwrap();
    for (run_id, expected) in [(RunId(404), "run_not_found"), (ended, "run_not_active")] {
        world.command(reader, ClientBody::CancelRun { run_id: Some(run_id) });
        world.answer(0, Store3::Well);
        assert_eq!(code(world.heard(reader, "error")), Some(expected));
    }
}

#[test]
fn the_loss_of_the_last_reader_cancels_only_what_asked_for_that() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.say(reader, message("stays", None));
    let mut leaves = message("leaves", None);
    leaves.on_disconnect = OnDisconnect::Cancel;
    world.say(reader, leaves);
    while !world.pending.is_empty() {
        world.answer(0, Store3::Well);
    }
    world.detach(reader);
    assert_eq!(world.cancelled.len(), 1);
    assert_eq!(world.cancelled[0].1, CancelReason::Disconnect);
}

#[test]
fn while_the_store_is_down_a_message_is_refused_as_retryable_and_later_accepted() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.say(reader, message("m1", None));
    for _ in 0..Limits::default().message_commit_tries {
        world.answer(0, Store3::Down);
        world.pass(Millis(5_000));
    }
    let error = world.heard(reader, "error").unwrap();
    assert_eq!(error["payload"]["code"], "storage_unavailable");
    assert_eq!(error["payload"]["retryable"], true);
    assert!(world.pending.is_empty(), "certainly not written: given up");
    world.say(reader, message("m1", None));
    world.settle();
    assert_eq!(world.store.runs.len(), 1);
}

#[test]
fn a_commit_of_unknown_outcome_is_repeated_under_the_same_identity() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.say(reader, message("m1", None));
    for _ in 0..5 {
        world.answer(0, Store3::DoneUnheard);
        world.pass(Millis(5_000));
    }
    world.settle();
    assert_eq!(kinds(&world, world.only_thread()).len(), 11, "written once");
    assert!(world.heard(reader, "ack").is_some());
}

#[test]
fn runs_left_behind_by_a_crash_go_on_from_the_log() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Store3::Well);
    let thread_id = world.only_thread();
    world.say(reader, message("m2", Some(thread_id)));
    world.answer(0, Store3::Well);
    let run_id = *world.tasks.keys().next().unwrap();
    world.speak(run_id, 3);
    world.answer(0, Store3::Well);
    world.crash();
    world.settle();
    assert!(world.store.runs.values().all(|run| run.status == RunStatus::Completed));
    let all = kinds(&world, thread_id);
    let count = |kind| all.iter().filter(|k| **k == kind).count();
    assert_eq!(count("run_started"), 3, "the first run was claimed twice");
    assert_eq!(count("agent_started"), 2, "and nothing was said twice");
    assert_eq!(count("run_completed"), 2);
}

#[test]
fn beyond_the_limit_the_oldest_window_is_replaced() {
    let mut world = World::with(Limits { connections_per_user: 2, ..Limits::default() });
    let first = world.attach(Vec::new());
    world.attach(Vec::new());
    world.attach(Vec::new());
    assert_eq!(world.readers[&first].closed, Some(4409));
}

#[test]
fn while_draining_nothing_new_starts() {
    let mut world = World::new();
    let reader = world.attach(Vec::new());
    world.input(Input::Drain);
    world.say(reader, message("m1", None));
    assert_eq!(code(world.heard(reader, "error")), Some("shutting_down"));
}

#[test]
fn a_thread_that_moved_on_refuses_who_expected_otherwise() {
    let (mut world, reader, thread_id) = after_one_run();
    let mut stale = message("m2", Some(thread_id));
    stale.expected_head_seq = Some(Seq(3));
    world.say(reader, stale);
    world.answer(0, Store3::Well);
    assert_eq!(code(world.heard(reader, "error")), Some("thread_advanced"));
}

#[test]
fn threads_are_made_renamed_listed_read_and_deleted() {
    let (mut world, reader, thread_id) = after_one_run();
    let commands = [
        ThreadCommand::Create { title: Some("plans".into()) },
        ThreadCommand::Rename { thread_id, title: "costs".into() },
        ThreadCommand::List { limit: 10 },
        ThreadCommand::History { thread_id, after_seq: Seq(0), limit: 3 },
        ThreadCommand::Delete { thread_id },
    ];
    for command in commands {
        world.command(reader, ClientBody::Thread(command));
        world.answer(0, Store3::Well);
    }
    assert!(world.heard(reader, "error").is_none());
    assert_eq!(world.store.threads.len(), 2);
}

#[test]
fn a_hole_is_filled_on_request() {
    let (mut world, reader, thread_id) = after_one_run();
    let before = world.readers[&reader].seen.len();
    world.readers.get_mut(&reader).unwrap().seen.clear();
    let gap = ClientBody::GapRequest { thread_id, after_seq: Seq(2), to_seq: Seq(5) };
    world.command(reader, gap);
    world.answer(0, Store3::Well);
    let seen: Vec<u64> = world.readers[&reader].seen.keys().map(|(_, seq)| seq.0).collect();
    assert_eq!(seen, [3, 4, 5]);
    assert_eq!(before, 11);
}

#[test]
fn feedback_and_read_positions_are_kept() {
    let (mut world, reader, thread_id) = after_one_run();
    let message_id = world.store.messages.values().next().unwrap().1;
    let feedback = Feedback { message_id, rating: 5, comment: None };
    world.command(reader, ClientBody::Feedback(feedback));
    world.command(reader, ClientBody::Received { thread_id, seq: Seq(11) });
    while !world.pending.is_empty() {
        world.answer(0, Store3::Well);
    }
    assert!(world.heard(reader, "error").is_none());
}

#[test]
fn a_hub_with_nothing_to_do_and_nobody_there_retires() {
    let (mut world, reader, _) = after_one_run();
    assert!(!world.retired);
    world.detach(reader);
    assert!(world.retired);
}

#[test]
fn a_request_over_http_follows_nothing() {
    let mut world = World::new();
    let caller = ConnectionId(77);
    world.readers.insert(caller, world::Reader::default());
    world.input(Input::Attach { connection_id: caller, resume: Vec::new(), reader: false });
    let body = ClientBody::UserMessage(message("m1", None));
    world.input(Input::Command { connection_id: caller, reply: Reply::None, body });
    world.answer(0, Store3::Well);
    assert!(world.heard(caller, "ack").is_some());
    assert!(world.readers[&caller].seen.is_empty());
}

#[test]
fn an_unknown_thread_is_not_found() {
    let (mut world, reader, _) = after_one_run();
    world.say(reader, message("m2", Some(ThreadId(404))));
    world.answer(0, Store3::Well);
    assert_eq!(code(world.heard(reader, "error")), Some(ErrorCode::ThreadNotFound.as_str()));
}
