//! Runs: who is next, who is stopped, who is continued.

use crate::{after_one_run, code, kinds};
use goldenpath_core::hub::Input;
use goldenpath_core::id::{ConnectionId, RunId};
use goldenpath_core::limits::Limits;
use goldenpath_core::run::CancelReason;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{ClientBody, Event, MultitaskStrategy, OnDisconnect, RunStatus};
use goldenpath_simulator::{Fate, HOME, Setup, ToolEnd, Work, World, message};

//= specs/runs.md#run-31
//= type=test
//# A second message into a busy thread MUST wait, be refused or interrupt, as it asks.
#[test]
fn a_second_message_waits_is_rejected_or_interrupts_as_it_asks() {
    for (strategy, expected) in [
        (MultitaskStrategy::Enqueue, None),
        (MultitaskStrategy::Reject, Some("thread_busy")),
        (MultitaskStrategy::Interrupt, None),
    ] {
        let mut world = World::with(Limits::default());
        let reader = world.attach(HOME, Vec::new());
        world.say(reader, message("m1", None));
        world.answer(0, Fate::Well);
        let thread_id = world.only_thread();
        let mut second = message("m2", Some(thread_id));
        second.multitask = strategy;
        world.say(reader, second);
        world.answer(0, Fate::Well);
        assert_eq!(
            code(world.readers[&reader].heard("error")).as_deref(),
            expected,
            "{strategy:?}"
        );
        let interrupted = world.home().cancelled.iter().any(|(_, r)| *r == CancelReason::Interrupt);
        assert_eq!(interrupted, strategy == MultitaskStrategy::Interrupt);
        world.settle();
    }
}

//= specs/runs.md#run-15
//= type=test
//# Queued runs of a thread MUST start one at a time and in their order.
#[test]
fn queued_runs_start_in_order_one_at_a_time() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
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
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    let thread_id = world.only_thread();
    for name in ["m2", "m3"] {
        world.say(reader, message(name, Some(thread_id)));
        world.answer(0, Fate::Well);
    }
    assert_eq!(code(world.readers[&reader].heard("error")).as_deref(), Some("queue_full"));
    world.settle();
}

//= specs/isolation.md#iso-03
//= type=test
//# The runs of one user at work MUST NOT exceed the limit, over all threads; the others wait.
#[test]
fn runs_over_the_users_limit_wait_for_a_place_in_any_thread() {
    let mut world = World::with(Limits { running_runs_per_user: 2, ..Limits::default() });
    let reader = world.attach(HOME, Vec::new());
    for name in ["m1", "m2", "m3", "m4"] {
        world.say(reader, message(name, None));
    }
    while !world.home().pending.is_empty() {
        world.answer(0, Fate::Well);
    }
    assert_eq!(world.home().tasks.len(), 2);
    world.settle();
    assert!(world.store.runs.values().all(|run| run.status == RunStatus::Completed));
}

//= specs/runs.md#run-10
//= type=test
//# Cancelling a run again MUST change nothing.
#[test]
fn cancel_stops_the_task_and_is_idempotent() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    let run_id = *world.home().tasks.keys().next().unwrap();
    for _ in 0..2 {
        world.command(reader, ClientBody::CancelRun { run_id: Some(run_id) });
    }
    assert_eq!(world.home().cancelled, [(run_id, CancelReason::User)]);
}

//= specs/runs.md#run-09
//= type=test
//# A run at work that is cancelled MUST end within the cancel grace, even if its agent never
//# answers.
#[test]
fn a_task_that_ignores_cancel_is_ended_within_the_grace() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    let run_id = *world.home().tasks.keys().next().unwrap();
    world.speak(run_id, 3);
    world.answer(0, Fate::Well);
    world.command(reader, ClientBody::CancelRun { run_id: Some(run_id) });
    world.pass(Limits::default().cancel_grace);
    while !world.home().pending.is_empty() {
        world.answer(0, Fate::Well);
    }
    let thread_id = world.only_thread();
    assert_eq!(world.store.runs[&run_id].status, RunStatus::Cancelled);
    let ends = &kinds(&world, thread_id)[7..];
    assert_eq!(ends, ["tool_completed", "agent_completed", "run_cancelled"]);
    assert!(world.home().tasks.is_empty(), "the task is killed");
}

#[test]
fn a_task_that_says_nothing_ends_timed_out() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    let limits = Limits::default();
    world.pass(Millis(limits.run_timeout.0 + limits.run_supervision_grace.0));
    world.settle();
    assert_eq!(kinds(&world, world.only_thread()).last(), Some(&"run_timed_out"));
}

//= specs/runs.md#run-24
//= type=test
//# A run whose task dies MUST be continued from the log, and given up after a bounded number of
//# attempts.
#[test]
fn a_task_that_dies_is_continued_and_in_the_end_given_up() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    for attempt in 1..=3 {
        let (run_id, fence) = {
            let (run_id, task) = world.home().tasks.iter().next().unwrap();
            assert_eq!(task.assignment.attempt, attempt);
            (*run_id, task.fence)
        };
        world.speak(run_id, 1);
        world.home_mut().tasks.remove(&run_id);
        world.input(HOME, Input::RunStopped { run_id, fence });
        while !world.home().pending.is_empty() {
            world.answer(0, Fate::Well);
        }
    }
    assert_eq!(kinds(&world, world.only_thread()).last(), Some(&"run_failed"));
}

//= specs/runs.md#run-07
//= type=test
//# What an older task of a run says MUST be dropped without effect.
#[test]
fn what_an_older_task_says_is_dropped() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    let (run_id, task) = world.home_mut().tasks.pop_first().unwrap();
    world.input(HOME, Input::RunStopped { run_id, fence: task.fence });
    while !world.home().pending.is_empty() {
        world.answer(0, Fate::Well);
    }
    let ignored = world.home().hub().ignored();
    let drafts = task.lines.into_iter().collect();
    world.input(HOME, Input::Append { run_id, fence: task.fence, drafts });
    assert_eq!(world.home().hub().ignored(), ignored + 1);
    world.settle();
}

//= specs/runs.md#run-32
//= type=test
//# A waiting run that was taken back MUST NOT start.
#[test]
fn a_waiting_run_can_be_taken_back() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    let thread_id = world.only_thread();
    world.say(reader, message("m2", Some(thread_id)));
    world.answer(0, Fate::Well);
    let waiting = world.store.unfinished()[1].run_id;
    world.command(reader, ClientBody::CancelQueued { run_id: waiting });
    world.answer(0, Fate::Well);
    assert_eq!(world.store.runs[&waiting].status, RunStatus::Cancelled);
    world.settle();
    let started = kinds(&world, thread_id).iter().filter(|k| **k == "run_started").count();
    assert_eq!(started, 1);
}

//= specs/runs.md#run-18
//= type=test
//# Cancelling an ended run MUST be refused as `run_not_active`, and an unknown one as
//# `run_not_found`.
#[test]
fn a_run_of_nobody_knows_is_not_found_and_an_ended_one_not_active() {
    let (mut world, reader, _) = after_one_run();
    let ended = *world.store.runs.keys().next().unwrap();
    for (run_id, expected) in [(RunId(404), "run_not_found"), (ended, "run_not_active")] {
        world.command(reader, ClientBody::CancelRun { run_id: Some(run_id) });
        world.answer(0, Fate::Well);
        assert_eq!(code(world.readers[&reader].heard("error")).as_deref(), Some(expected));
    }
}

//= specs/runs.md#run-12
//= type=test
//# The loss of a client MUST NOT end a run unless its message asked for that.
#[test]
fn the_loss_of_the_last_reader_cancels_only_what_asked_for_that() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("stays", None));
    let mut leaves = message("leaves", None);
    leaves.on_disconnect = OnDisconnect::Cancel;
    world.say(reader, leaves);
    while !world.home().pending.is_empty() {
        world.answer(0, Fate::Well);
    }
    world.detach(reader);
    assert_eq!(world.home().cancelled.len(), 1);
    assert_eq!(world.home().cancelled[0].1, CancelReason::Disconnect);
}

#[test]
fn runs_left_behind_by_a_crash_go_on_from_the_log() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    let thread_id = world.only_thread();
    world.say(reader, message("m2", Some(thread_id)));
    world.answer(0, Fate::Well);
    let run_id = *world.home().tasks.keys().next().unwrap();
    world.speak(run_id, 3);
    world.answer(0, Fate::Well);
    world.crash();
    world.settle();
    assert!(world.store.runs.values().all(|run| run.status == RunStatus::Completed));
    let all = kinds(&world, thread_id);
    let count = |kind| all.iter().filter(|k| **k == kind).count();
    assert_eq!(count("run_started"), 3, "the first run was claimed twice");
    assert_eq!(count("agent_started"), 2, "and nothing was said twice");
    assert_eq!(count("run_completed"), 2);
}

//= specs/runs.md#run-13
//= type=test
//# Once the server drains, a waiting run MUST NOT be taken up.
#[test]
fn while_draining_a_waiting_run_stays_waiting() {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    let thread_id = world.only_thread();
    world.say(reader, message("m2", Some(thread_id)));
    world.answer(0, Fate::Well);
    world.input(HOME, Input::Drain);
    let at_work = *world.home().tasks.keys().next().unwrap();
    world.speak(at_work, 100);
    while !world.home().pending.is_empty() {
        world.answer(0, Fate::Well);
    }
    assert_eq!(world.store.runs[&at_work].status, RunStatus::Completed, "what is at work may end");
    assert!(world.home().tasks.is_empty(), "and nothing takes its place");
    let left: Vec<RunStatus> = world.store.unfinished().iter().map(|run| run.status).collect();
    assert_eq!(left, [RunStatus::Queued], "the next process finds it");
}

#[test]
fn a_place_that_a_cancelled_run_waited_for_goes_to_the_next() {
    let mut world = World::with(Limits { running_runs_per_user: 1, ..Limits::default() });
    let reader = world.attach(HOME, Vec::new());
    for name in ["m1", "m2", "m3"] {
        world.say(reader, message(name, None));
    }
    while !world.home().pending.is_empty() {
        world.answer(0, Fate::Well);
    }
    let waiting = world.store.unfinished()[1].run_id;
    world.command(reader, ClientBody::CancelQueued { run_id: waiting });
    world.answer(0, Fate::Well);
    let run_id = *world.home().tasks.keys().next().unwrap();
    world.speak(run_id, 100);
    while !world.home().pending.is_empty() {
        world.answer(0, Fate::Well);
    }
    assert_eq!(world.home().tasks.len(), 1, "the third one is at work");
}

/// Everything a node waits for is answered as it should be.
fn answered(world: &mut World) {
    while !world.home().pending.is_empty() {
        world.answer(0, Fate::Well);
    }
}

/// A world with a run at work that has said so many lines, and its reader.
fn at_work(lines: usize) -> (World, ConnectionId, RunId) {
    let mut world = World::with(Limits::default());
    let reader = world.attach(HOME, Vec::new());
    world.say(reader, message("m1", None));
    world.answer(0, Fate::Well);
    let run_id = *world.home().tasks.keys().next().unwrap();
    world.speak(run_id, lines);
    (world, reader, run_id)
}

const STOP: ClientBody = ClientBody::CancelRun { run_id: None };

#[test]
fn an_accepted_cancel_survives_a_crash_wherever_it_falls() {
    for lines in 0..=6 {
        for busy in [false, true] {
            let (mut world, reader, run_id) = at_work(lines);
            if !busy {
                answered(&mut world);
            }
            world.command(reader, STOP);
            assert!(world.home().cancelled.len() == 1, "the work is stopped at once");
            assert!(world.cancels.is_empty(), "and nobody says so before it is kept");
            answered(&mut world);
            assert!(world.cancels.contains(&run_id), "{lines} {busy}");
            world.crash();
            world.settle();
            assert_eq!(world.check(), []);
            let all = kinds(&world, world.only_thread());
            assert_eq!(all.last(), Some(&"run_cancelled"));
            let starts = all.iter().filter(|kind| **kind == "run_started").count();
            assert_eq!(starts, 1, "nothing was set to work again");
        }
    }
}

#[test]
fn a_cancel_that_the_store_cannot_keep_is_not_acknowledged() {
    let (mut world, reader, run_id) = at_work(0);
    world.command(reader, STOP);
    for _ in 0..Limits::default().message_commit_tries {
        world.answer(0, Fate::Down);
        world.pass_to_deadline();
    }
    assert_eq!(code(world.readers[&reader].heard("error")).as_deref(), Some("storage_unavailable"));
    assert!(world.cancels.is_empty());
    world.settle();
    assert_eq!(
        world.store.runs[&run_id].status,
        RunStatus::Cancelled,
        "it is stopped all the same"
    );
}

#[test]
fn a_run_that_ends_before_its_cancel_is_kept_says_so_and_after_it_ends_cancelled() {
    let (mut world, reader, run_id) = at_work(0);
    world.command(reader, STOP);
    world.speak(run_id, usize::MAX);
    answered(&mut world);
    assert_eq!(code(world.readers[&reader].heard("error")).as_deref(), Some("run_not_active"));
    assert_eq!(world.store.runs[&run_id].status, RunStatus::Completed);
    assert_eq!(world.check(), []);

    let (mut world, reader, run_id) = at_work(1);
    answered(&mut world);
    world.command(reader, STOP);
    answered(&mut world);
    world.speak(run_id, usize::MAX);
    answered(&mut world);
    assert_eq!(world.store.runs[&run_id].status, RunStatus::Cancelled);
    assert_eq!(world.check(), []);
}

#[test]
fn an_accepted_interrupt_survives_a_crash() {
    let (mut world, reader, run_id) = at_work(2);
    answered(&mut world);
    let mut second = message("m2", Some(world.only_thread()));
    second.multitask = MultitaskStrategy::Interrupt;
    world.say(reader, second);
    world.answer(0, Fate::Well);
    world.crash();
    world.settle();
    assert_eq!(world.check(), []);
    let mut others = world.store.runs.clone();
    assert_eq!(others.remove(&run_id).map(|run| run.status), Some(RunStatus::Cancelled));
    assert!(others.values().all(|run| run.status == RunStatus::Completed));
}

//= specs/runs.md#run-35
//= type=test
//# A tool that is not repeatable MUST be called at most once, and not before its `tool_executing` is
//# durable.
#[test]
fn an_effect_that_cannot_be_repeated_happens_at_most_once_wherever_a_crash_falls() {
    let setup = Setup { work: Work::Effects, ..Setup::default() };
    let begin = || {
        let mut world = World::new(setup.clone());
        let reader = world.attach(HOME, Vec::new());
        world.say(reader, message("m1", None));
        world.answer(0, Fate::Well);
        world
    };
    // One step: the store answers, or an agent moves, or the tool ends.
    let step = |world: &mut World| {
        if !world.home().pending.is_empty() {
            world.answer(0, Fate::Well);
        } else if let Some((run_id, team)) =
            world.home().tasks.iter().find_map(|(id, task)| Some((*id, task.team.clone()?)))
        {
            let moves = team.movers() > 0;
            world.drive(HOME, run_id, |team, now| match moves {
                true => team.moves(now, 0),
                false => team.tool(now, 0, ToolEnd::Returns),
            });
        }
    };
    let (mut abandoned, mut called) = (0, 0);
    for steps in 0..30 {
        for fate in Fate::ALL {
            let mut world = begin();
            (0..steps).for_each(|_| step(&mut world));
            if !world.home().pending.is_empty() {
                world.answer(0, fate);
            }
            let calls_before = world.effects.len();
            world.crash();
            world.settle();
            assert_eq!(world.check(), [], "{steps} steps, then {fate:?} and a crash");
            let ends = kinds(&world, world.only_thread());
            assert_eq!(ends.last(), Some(&"run_completed"), "{steps} {fate:?}");
            called += world.effects.len() - calls_before;
            abandoned += calls_before;
        }
    }
    assert!(abandoned > 0 && called > 0, "crashes fell before and after the call");
}
