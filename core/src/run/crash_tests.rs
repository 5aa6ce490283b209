//! The server dies after every entry, and the run goes on as if it had not (RUN-16).

use super::testing::*;
use super::*;
use crate::id::Seq;
use crate::time::Wall;
use crate::wire::Entry;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::{format, vec};

/// A team that does everything: joined tools of different speed, a retry, large results, a delegation
/// inside a join, and a step that fails.
fn busy_team() -> (BTreeMap<String, Script>, BTreeMap<String, ToolRow>) {
    let (mut scripts, mut tools) = team(Route::Partial);
    for (at, takes) in [30u64, 10, 20, 10].into_iter().enumerate() {
        let tool = format!("part{at}");
        let mut row = ToolRow::returns(&tool);
        row.takes = Millis(takes);
        tools.insert(tool, row);
    }
    tools.get_mut("part2").unwrap().tries =
        vec![Does::Fail { transient: true }, Does::ReturnStored("large".into())];
    tools.get_mut("part1").unwrap().tries = vec![Does::ReturnStored("larger".into())];
    scripts.get_mut("data").unwrap().groups = vec![
        vec![
            vec![think("first"), call("part0"), think("then")],
            vec![call("part1"), call("part3")],
        ],
        vec![
            vec![Act::Delegate("optimization".into()), think("joined")],
            vec![call("part2"), call("part0")],
        ],
        vec![vec![think("last")]],
    ];
    scripts.get_mut("data_helper").unwrap().end = broken("nothing there");
    (scripts, tools)
}

fn busy() -> World {
    let (scripts, tools) = busy_team();
    World::new(scripts, tools, Limits::default())
}

/// One agent's events in the order of the log: what concurrency may not change.
fn by_agent(world: &World) -> BTreeMap<String, alloc::vec::Vec<String>> {
    let mut lists = BTreeMap::<_, alloc::vec::Vec<_>>::new();
    for line in world.lines() {
        let (who, what) = line.split_once(": ").unwrap();
        lists.entry(String::from(who)).or_default().push(String::from(what));
    }
    lists
}

/// F46, RUN-16.
//= specs/runs.md#run-16
//= type=test
//# A run that goes on after a crash MUST NOT repeat an effect whose result is in the log.
#[test]
fn after_a_crash_at_every_entry_the_list_of_events_is_the_same_and_nothing_is_repeated() {
    let mut whole = busy();
    whole.finish();
    whole.check();
    let expected = whole.lines();
    insta::assert_snapshot!(expected.join("\n"));
    for keep in 0..whole.log.len() {
        let mut world = busy();
        world.finish();
        let known = world.log[..keep].iter().filter_map(|entry| match &entry.event {
            Event::ToolCompleted { tool_call_id, .. } => Some(*tool_call_id),
            _ => None,
        });
        let known: alloc::vec::Vec<_> = known.collect();
        world.crash(keep);
        world.finish();
        world.check();
        // What runs side by side may interleave otherwise; each agent's own list may not change,
        // except for tools joined in one poll, which are the same set.
        let sorted = |world: &World| {
            let mut lists = by_agent(world);
            lists.values_mut().for_each(|list| list.sort());
            lists
        };
        assert_eq!(sorted(&world), sorted(&whole), "after {keep} entries");
        assert_eq!(world.log[..keep], whole.log[..keep], "after {keep} entries");
        for (tool_call_id, tool, _) in &world.calls {
            assert!(!known.contains(tool_call_id), "{tool} called again after {keep} entries");
        }
    }
}

//= specs/runs.md#run-21
//= type=test
//# After a crash at any entry the events of a run MUST be those it would have had without it.
#[test]
fn without_concurrency_the_list_is_the_same_to_the_line() {
    let whole = |route| {
        let (scripts, tools) = team(route);
        World::new(scripts, tools, Limits::default())
    };
    for route in Route::ALL {
        let mut expected = whole(route);
        expected.finish();
        for keep in 0..expected.log.len() {
            let mut world = whole(route);
            world.finish();
            world.crash(keep);
            world.finish();
            world.check();
            assert_eq!(world.lines(), expected.lines(), "{route:?} after {keep} entries");
        }
    }
}

#[test]
fn every_prefix_crashes_again_and_again_and_still_ends() {
    let mut world = busy();
    world.finish();
    let entries = world.log.len();
    let mut world = busy();
    for kept in 1..entries {
        world.finish();
        world.crash(kept);
    }
    world.finish();
    world.check();
    assert_eq!(world.ended, [RunStatus::Degraded]);
}

/// RUN-16.
//= specs/runs.md#run-22
//= type=test
//# A tool call that is not repeatable MUST end abandoned when a crash cut it off.
#[test]
fn a_call_that_must_not_be_repeated_ends_abandoned() {
    let (scripts, mut tools) = team(Route::Full);
    tools.get_mut("data_tool").unwrap().policy.repeatable = false;
    let mut world = World::new(scripts, tools, Limits::default());
    world.finish();
    let called = |line: &String| line.contains("tool_executing data_tool");
    let keep = world.lines().iter().position(called).unwrap() + 1;
    world.crash(keep);
    world.finish();
    world.check();
    let line = world.lines().into_iter().find(|line| line.contains("completed data_tool"));
    insta::assert_snapshot!(line.unwrap(), @"data: tool_completed data_tool Abandoned null cut off by a restart of the server; it is not called twice");
    assert!(world.calls.iter().all(|(_, tool, _)| tool != "data_tool"));
    let marked = world.log.iter().filter(|entry| entry.synthesized).count();
    assert_eq!(marked, 1);
}

//= specs/runs.md#run-23
//= type=test
//# An agent whose code does not follow its log after a crash MUST end the run as interrupted.
#[test]
fn code_that_does_something_else_than_the_log_is_noticed() {
    for (change, expected) in [
        (think("something new"), "the log has a thought, the code asks for something else"),
        (call("data_tool"), "the log has a thought, the code asks for something else"),
    ] {
        let (scripts, tools) = team(Route::Full);
        let mut world = World::new(scripts, tools, Limits::default());
        world.finish();
        let thought = |line: &String| line.contains("tool_executing data_tool");
        let keep = world.lines().iter().position(thought).unwrap() + 1;
        world.scripts.get_mut("data").unwrap().groups[0][0][0] = change;
        world.crash(keep);
        world.check();
        assert_eq!(world.ended, [RunStatus::Interrupted]);
        let last = world.lines().pop().unwrap();
        assert_eq!(
            last,
            format!("run: run_interrupted nondeterminism at effect 0 of data: {expected}")
        );
    }
}

#[test]
fn code_that_asks_for_less_than_the_log_is_noticed() {
    let (scripts, tools) = team(Route::Full);
    let mut world = World::new(scripts, tools, Limits::default());
    world.finish();
    let called = |line: &String| line.contains("tool_executing data_tool");
    let keep = world.lines().iter().position(called).unwrap() + 1;
    world.scripts.get_mut("data").unwrap().groups[0][0].truncate(1);
    world.crash(keep);
    world.check();
    let last = world.lines().pop().unwrap();
    insta::assert_snapshot!(last, @"run: run_interrupted nondeterminism at effect 1 of data: it ended, the log has a call of data_tool");
}

#[test]
fn a_run_whose_end_is_in_the_log_says_so_and_nothing_else() {
    let mut world = busy();
    world.finish();
    let (log, ended) = (world.log.clone(), world.ended.clone());
    world.crash(log.len());
    world.finish();
    assert_eq!((world.log, world.ended), (log, ended));
}

#[test]
fn the_hubs_entries_of_earlier_attempts_do_no_harm() {
    let mut world = busy();
    world.finish();
    let like = world.log[0].clone();
    let hubs = |attempt| Entry {
        event: Event::RunStarted { attempt, deadline_at: Wall(0) },
        agent: None,
        ..like.clone()
    };
    let mut history = vec![hubs(1)];
    history.extend(world.log[..20].iter().cloned());
    history.push(hubs(2));
    let grammar = Grammar::replay(crate::id::RunId(77), &history).unwrap();
    assert!(grammar.ended().is_none());
    let mut run = Run::new(
        assignment(2, history),
        Arc::new(workflow()),
        Arc::new(Limits::default()),
        Seed::new(9),
        world.now,
    );
    assert!(matches!(run.poll_output(), Output::StartAgent { .. }));
}

#[test]
fn a_dead_run_is_closed_from_its_log_at_every_entry() {
    let mut world = busy();
    world.finish();
    for keep in 0..world.log.len() - 1 {
        let mut log = world.log[..keep].to_vec();
        let mut grammar = Grammar::replay(crate::id::RunId(77), &log).unwrap();
        let mut seed = Seed::new(3);
        let mut desk = Desk {
            thread_id: crate::id::ThreadId(5),
            epoch: crate::id::Epoch(1),
            now: world.now.wall,
            synthesized: true,
            seed: &mut seed,
        };
        let terminal = Event::RunInterrupted { reason: "dead".into(), retryable: true };
        let drafts = grammar.close(Closing::Interrupted, terminal, &mut desk);
        for draft in drafts {
            let frame = draft.encode().frame(Seq(log.len() as u64 + 1), false);
            log.push(Entry::decode(frame.bytes()).unwrap());
        }
        let closed = Grammar::replay(crate::id::RunId(77), &log).unwrap();
        assert_eq!(closed.ended(), Some(RunStatus::Interrupted), "after {keep} entries");
        assert_eq!(closed, grammar);
    }
}

/// RUN-02 to RUN-06.
//= specs/runs.md#run-27
//= type=test
//# A run MUST NOT complete without an answer.
#[test]
fn an_oracle_that_accepted_anything_would_be_noticed() {
    let mut world = busy();
    world.finish();
    let whole = &world.log;
    let broken = |change: &dyn Fn(&mut alloc::vec::Vec<Entry>)| {
        let mut log = whole.clone();
        change(&mut log);
        Grammar::replay(crate::id::RunId(77), &log).unwrap_err()
    };
    let at = |found: &dyn Fn(&Event) -> bool| whole.iter().position(|e| found(&e.event)).unwrap();
    let tool = at(&|event| matches!(event, Event::ToolCompleted { .. }));
    let call = at(&|event| matches!(event, Event::ToolExecuting { .. }));
    let ended = at(&|event| matches!(event, Event::AgentCompleted { .. }));
    let answer = at(&|event| matches!(event, Event::AssistantMessage { .. }));
    let start = at(&|event| matches!(event, Event::AgentStarted { step: 1, .. }));
    let last = whole.len() - 1;
    assert_eq!(broken(&|log| drop(log.remove(tool))), Violation::ToolOpen);
    assert_eq!(broken(&|log| drop(log.remove(call))), Violation::ToolNotOpen);
    assert_eq!(broken(&|log| log.insert(tool, log[tool].clone())), Violation::ToolNotOpen);
    assert_eq!(broken(&|log| log.insert(call, log[call].clone())), Violation::ToolStartedTwice);
    assert_eq!(broken(&|log| log.insert(last, log[tool].clone())), Violation::AgentNotOpen);
    assert_eq!(broken(&|log| drop(log.remove(start))), Violation::AgentNotOpen);
    assert_eq!(broken(&|log| log.insert(start, log[start].clone())), Violation::AgentStartedTwice);
    assert_eq!(broken(&|log| drop(log.remove(last - 1))), Violation::StillOpen);
    assert_eq!(broken(&|log| drop(log.remove(answer))), Violation::NoAnswer);
    assert_eq!(broken(&|log| log.push(log[answer].clone())), Violation::Ended);
    assert_eq!(broken(&|log| log[ended].agent = None), Violation::NoAgent);
    assert_eq!(broken(&|log| log[ended].run_id = None), Violation::NotOfThisRun);
    assert_eq!(broken(&|log| log.insert(ended, log[last - 1].clone())), Violation::ChildOpen);
    let again = |log: &mut alloc::vec::Vec<Entry>| {
        let mut root = log[0].clone();
        root.agent.as_mut().unwrap().agent_run_id = AgentRunId(1);
        log.insert(1, root);
    };
    assert_eq!(broken(&again), Violation::SecondRoot);
}
