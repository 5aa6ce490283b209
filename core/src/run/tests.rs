//! What a run does, as event lists, and what holds whatever happens.

use super::testing::*;
use super::*;
use crate::wire::{AgentStatus, Entry};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use proptest::prelude::*;

fn ran(route: Route, change: impl FnOnce(&mut World2)) -> World {
    let (scripts, tools) = team(route);
    let mut parts = World2 { scripts, tools, limits: Limits::default() };
    change(&mut parts);
    let mut world = World::new(parts.scripts, parts.tools, parts.limits);
    world.finish();
    world.check();
    world
}

/// What a test may change before the world begins.
struct World2 {
    scripts: BTreeMap<String, Script>,
    tools: BTreeMap<String, ToolRow>,
    limits: Limits,
}

impl World2 {
    fn end(&mut self, agent: &str, end: Option<Result<Finish, crate::wire::ErrorInfo>>) {
        self.scripts.get_mut(agent).unwrap().end = end;
    }

    fn tries(&mut self, tool: &str, tries: Vec<Does>) {
        self.tools.get_mut(tool).unwrap().tries = tries;
    }
}

fn agents(world: &World) -> Vec<(String, AgentStatus)> {
    let completed = world.log.iter().filter_map(|entry| match &entry.event {
        Event::AgentCompleted { status, .. } => {
            Some((entry.agent.as_ref().unwrap().name.to_string(), *status))
        }
        _ => None,
    });
    completed.collect()
}

/// F21: the events come from the run, not from convention.
#[test]
fn a_full_run_has_all_five_kinds_of_events_in_order() {
    let world = ran(Route::Full, |_| {});
    insta::assert_snapshot!(world.lines().join("\n"));
    assert_eq!(world.run.ended(), Some(RunStatus::Completed));
}

#[test]
fn every_route_has_the_steps_of_the_workflow() {
    let mut text = String::new();
    for route in Route::ALL {
        let world = ran(route, |_| {});
        let steps: Vec<_> = agents(&world).into_iter().map(|(name, _)| name).collect();
        text += &format!("{}: {} → {:?}\n", route.as_str(), steps.join(" → "), world.ended[0]);
    }
    insta::assert_snapshot!(text);
}

/// F26, RUN-14.
//= specs/runs.md#run-26
//= type=test
//# A step that fails MUST NOT end the run: it goes on without its result and ends `degraded`.
#[test]
fn the_report_runs_when_data_failed_and_the_run_ends_degraded() {
    let world = ran(Route::Full, |parts| parts.end("data", broken("the table is locked")));
    insta::assert_snapshot!(world.lines().join("\n"));
    assert_eq!(world.ended, [RunStatus::Degraded]);
}

#[test]
fn triage_that_fails_leads_to_the_fallback() {
    let world = ran(Route::Full, |parts| parts.end("triage", broken("no idea")));
    let names: Vec<_> = agents(&world).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["triage", "data_helper", "report", "supervisor"]);
    assert_eq!(world.ended, [RunStatus::Degraded]);
}

#[test]
fn a_report_that_fails_fails_the_run_and_keeps_what_there_is() {
    let world = ran(Route::Full, |parts| parts.end("report", broken("no words")));
    let last: Vec<_> = world.lines().into_iter().rev().take(4).rev().collect();
    insta::assert_snapshot!(last.join("\n"));
}

/// F24, F26, RUN-11.
#[test]
fn an_agent_that_never_answers_ends_by_its_timeout_and_the_report_follows() {
    let world = ran(Route::Full, |parts| parts.end("data", None));
    let how = agents(&world);
    assert!(how.contains(&("data".into(), AgentStatus::TimedOut)));
    assert!(how.contains(&("optimization".into(), AgentStatus::Skipped)));
    assert!(how.contains(&("report".into(), AgentStatus::Completed)));
    assert_eq!(world.ended, [RunStatus::Degraded]);
}

/// RUN-11, RUN-14.
//= specs/runs.md#run-11
//= type=test
//# An agent or a run past its limit MUST end timed out.
#[test]
fn when_the_run_has_no_time_left_the_report_still_gets_its_part() {
    let world = ran(Route::Full, |parts| {
        parts.end("data", None);
        parts.limits.run_timeout = Millis(3_000);
    });
    insta::assert_snapshot!(world.lines().join("\n"));
    assert_eq!(world.ended, [RunStatus::TimedOut]);
}

/// F24, RUN-08, RUN-11.
#[test]
fn a_team_that_never_answers_ends_by_the_run_timeout() {
    let world = ran(Route::Full, |parts| {
        parts.scripts.values_mut().for_each(|script| script.end = None);
        parts.end("triage", routed(Route::Full));
    });
    assert_eq!(world.ended, [RunStatus::TimedOut]);
    assert_eq!(world.now.mono, Mono(1_000).after(Limits::default().run_timeout));
    let last: Vec<_> = world.lines().into_iter().rev().take(4).rev().collect();
    insta::assert_snapshot!(last.join("\n"));
}

//= specs/runs.md#run-19
//= type=test
//# A tool call past its limit MUST end timed out, and its agent MUST decide what that means.
#[test]
fn a_tool_that_hangs_is_closed_by_its_own_limit() {
    let world = ran(Route::Full, |parts| {
        parts.tries("data_tool", vec![Does::Hang]);
        parts.tools.get_mut("data_tool").unwrap().policy.timeout = Millis(250);
    });
    let line = world.lines().into_iter().find(|line| line.contains("completed data_tool"));
    insta::assert_snapshot!(line.unwrap(), @r#"data: tool_completed data_tool TimedOut null the tool's time is over"#);
    assert_eq!(world.ended, [RunStatus::Completed], "the agent decides what that means");
}

/// RUN-04.
//= specs/runs.md#run-30
//= type=test
//# A tool that fails for a moment MUST be tried again within its limit and MUST complete once.
#[test]
fn a_transient_failure_is_tried_again_and_completes_once() {
    let fails = Does::Fail { transient: true };
    let world = ran(Route::Full, |parts| {
        parts.tries("data_tool", vec![fails.clone(), fails, Does::Return("in the end".into())]);
    });
    let tries: Vec<_> = world.calls.iter().filter(|(_, tool, _)| tool == "data_tool").collect();
    assert_eq!(tries.iter().map(|(.., attempt)| *attempt).collect::<Vec<_>>(), [1, 2, 3]);
    let completed = world.lines().into_iter().filter(|line| line.contains("completed data_tool"));
    assert_eq!(completed.count(), 1);
}

#[test]
fn a_failure_for_good_is_not_tried_again() {
    let world = ran(Route::Full, |parts| {
        parts.tries("data_tool", vec![Does::Fail { transient: false }]);
    });
    assert_eq!(world.calls.iter().filter(|(_, tool, _)| tool == "data_tool").count(), 1);
}

#[test]
fn a_wait_that_was_asked_for_is_kept_and_not_longer_than_the_tool_has() {
    let (scripts, mut tools) = team(Route::Full);
    tools.get_mut("triage_tool").unwrap().tries = vec![Does::Hang];
    let mut world = World::new(scripts, tools, Limits::default());
    let (tool_call_id, _, attempt) = world.calls[0].clone();
    let failed = |retry_after| ToolOutcome::Failed {
        error: crate::wire::ErrorInfo::new(crate::wire::ErrorCode::ToolFailed, "busy"),
        transient: true,
        retry_after: Some(Millis(retry_after)),
    };
    world.input(Input::ToolDone { tool_call_id, attempt, outcome: failed(2_000) });
    assert_eq!(world.run.poll_output(), Output::Idle(Some(Mono(3_000))));
    world.step();
    assert_eq!(world.calls.len(), 2);
    world.input(Input::ToolDone { tool_call_id, attempt: 2, outcome: failed(60_000) });
    assert!(world.lines().last().unwrap().contains("completed") || world.calls.len() > 2);
    assert!(world.lines().iter().any(|line| line.contains("tool_completed triage_tool Failed")));
}

/// F50, RUN-07, RUN-09, RUN-10.
//= specs/runs.md#run-17
//= type=test
//# What comes late or twice for a run MUST be ignored and counted.
#[test]
fn cancel_closes_everything_at_once_and_a_second_one_does_nothing() {
    let (mut scripts, mut tools) = team(Route::Full);
    tools.get_mut("triage_tool").unwrap().tries = vec![Does::Hang];
    scripts.get_mut("triage").unwrap().groups =
        vec![vec![vec![call("triage_tool")], vec![call("triage_tool")]]];
    let mut world = World::new(scripts, tools, Limits::default());
    world.input(Input::Cancel(CancelReason::User));
    world.check();
    insta::assert_snapshot!(world.lines().join("\n"));
    let (log, ignored) = (world.log.clone(), world.run.ignored());
    world.input(Input::Cancel(CancelReason::User));
    let late = ToolOutcome::Returned(ToolResult { value: crate::wire::Json::null(), stored: None });
    let (tool_call_id, _, attempt) = world.calls[0].clone();
    world.input(Input::ToolDone { tool_call_id, attempt, outcome: late });
    assert_eq!(world.log, log);
    assert_eq!(world.run.ignored(), ignored + 2);
    assert_eq!(world.run.poll_output(), Output::Idle(None));
}

//= specs/runs.md#run-05
//= type=test
//# `agent_completed` MUST NOT occur while a tool of that agent is open: it is closed first.
#[test]
fn an_agent_that_ends_with_tools_open_abandons_them() {
    let (scripts, mut tools) = team(Route::Full);
    tools.get_mut("triage_tool").unwrap().tries = vec![Does::Hang];
    let mut world = World::new(scripts, tools, Limits::default());
    let triage = world.log.last().unwrap().agent.clone().unwrap().agent_run_id;
    let finish = Finish { route: Some(Route::Capabilities), ..Finish::default() };
    let says = AgentSays::Finished(finish);
    world.input(Input::Agent { agent_run_id: triage, says });
    world.finish();
    world.check();
    assert!(world.lines().iter().any(|line| line.contains("tool_completed triage_tool Abandoned")));
    assert_eq!(world.ended, [RunStatus::Completed]);
}

#[test]
fn agents_ask_other_agents_and_hear_what_came_out() {
    let world = ran(Route::Capabilities, |parts| {
        let both = vec![
            vec![Act::Delegate("data".into())],
            vec![call("triage_tool"), Act::Delegate("optimization".into())],
        ];
        parts.scripts.get_mut("report").unwrap().groups = vec![both];
    });
    insta::assert_snapshot!(world.lines().join("\n"));
}

//= specs/runs.md#run-29
//= type=test
//# Agents MUST NOT ask each other deeper than the limit.
#[test]
fn agents_may_not_ask_each_other_for_ever() {
    let world = ran(Route::Full, |parts| {
        let data = parts.scripts.get_mut("data").unwrap();
        data.groups = vec![vec![vec![Act::Delegate("data".into())]]];
    });
    let deep = world.lines().into_iter().filter(|line| line.contains("3 deep")).count();
    assert_eq!(deep, 1);
    let data = agents(&world).into_iter().filter(|(name, _)| name == "data").count();
    assert_eq!(data, 4, "three as deep as allowed, and the one that was refused");
    assert_eq!(world.ended, [RunStatus::Completed]);
}

#[test]
fn a_run_costs_what_its_agents_cost() {
    let usage = |n: u64| Usage { input_tokens: n, output_tokens: 10 * n, cost_micro_usd: 100 * n };
    let costs = |summary: &str, n| {
        Some(Ok(Finish { summary: summary.into(), usage: usage(n), ..Finish::default() }))
    };
    let mut world = ran(Route::Full, |parts| {
        parts.end("data", costs("data", 3));
        parts.end("optimization", costs("optimization", 4));
    });
    let sum = |world: &World| match world.log.last().unwrap().event {
        Event::RunCompleted { usage, .. } => usage,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(sum(&world), usage(7));
    let done = |entry: &crate::wire::Entry| matches!(&entry.event, Event::AgentCompleted { usage: spent, .. } if *spent == usage(3));
    let keep = world.log.iter().position(done).unwrap() + 1;
    world.crash(keep);
    world.finish();
    assert_eq!(sum(&world), usage(7), "what was spent before the crash counts");
}

//= specs/runs.md#run-28
//= type=test
//# A run MUST NOT perform more effects than its limit.
#[test]
fn a_run_may_not_ask_for_more_effects_than_its_limit() {
    let world = ran(Route::Full, |parts| {
        parts.limits.effects_per_run = 10;
        let data = parts.scripts.get_mut("data").unwrap();
        data.groups = vec![vec![(0..20).map(|n| think(&n.to_string())).collect()]];
    });
    assert!(world.lines().iter().any(|line| line.contains("more than 10 effects")));
}

#[test]
fn an_output_too_large_for_an_event_is_refused_with_its_size() {
    let world = ran(Route::Full, |parts| {
        parts.limits.inline_result_bytes = 40;
        parts.end("data", done(&"x".repeat(60)));
    });
    assert!(world.lines().iter().any(|line| line.contains("output of 62 bytes is over 40")));
    assert_eq!(world.ended, [RunStatus::Degraded]);
}

#[test]
fn large_arguments_are_cut_in_the_event_only() {
    let limits = Limits { inline_args_bytes: 5, ..Limits::default() };
    let run = Run::new(
        assignment(1, vec![]),
        Arc::new(workflow()),
        Arc::new(limits),
        Seed::new(1),
        Now::default(),
    );
    let args = crate::wire::Json::encode("äöü").unwrap();
    let (shown, cut) = run.shown_args(&args);
    assert_eq!((shown.as_str(), cut), (r#""\"äö""#, true));
}

#[test]
fn the_effect_of_another_turn_is_ignored() {
    let (scripts, mut tools) = team(Route::Full);
    tools.get_mut("triage_tool").unwrap().tries = vec![Does::Hang];
    let mut world = World::new(scripts, tools, Limits::default());
    let agent_run_id = world.log.last().unwrap().agent.clone().unwrap().agent_run_id;
    for n in [0, 1, 7] {
        let request = Request::Think {
            text: "again".into(),
            kind: crate::wire::ThoughtKind::Status,
            progress: None,
        };
        world.input(Input::Agent { agent_run_id, says: AgentSays::Request { n, request } });
    }
    assert_eq!(world.run.ignored(), 3);
    assert!(!world.lines().iter().any(|line| line.contains("again")));
}

#[test]
fn progress_of_an_open_tool_is_passed_on_and_of_another_ignored() {
    let (scripts, mut tools) = team(Route::Full);
    tools.get_mut("triage_tool").unwrap().tries = vec![Does::Hang];
    let mut world = World::new(scripts, tools, Limits::default());
    let progress = crate::wire::Progress { done: 1, total: 2 };
    let tool_call_id = world.calls[0].0;
    let report = |tool_call_id| Input::ToolProgress { tool_call_id, progress, text: "half".into() };
    world.run.handle_input(world.now, report(tool_call_id));
    assert!(matches!(world.run.poll_output(), Output::Progress { .. }));
    world.run.handle_input(world.now, report(ToolCallId(0)));
    assert_eq!(world.run.ignored(), 1);
}

/// Agents, tools and limits as they come.
fn scripts() -> impl Strategy<Value = BTreeMap<String, Script>> {
    let act = prop_oneof![
        3 => "[a-c]{1,3}".prop_map(Act::Think),
        4 => (0..6usize).prop_map(|n| Act::Tool(format!("tool{n}"))),
        1 => prop_oneof![Just("helper"), Just("loner")].prop_map(|to| Act::Delegate(to.into())),
    ];
    let chain = prop::collection::vec(act, 1..4);
    let groups = prop::collection::vec(prop::collection::vec(chain, 1..4), 0..3);
    let names = ["triage", "data", "data_helper", "optimization", "report", "helper"];
    let end = (0..8usize, any::<prop::sample::Index>());
    prop::collection::vec((groups, end), names.len()).prop_map(move |all| {
        let with = names.iter().zip(all).map(|(agent, (groups, (how, route)))| {
            let end = match (how, *agent) {
                (0, _) => broken("it broke"),
                (1, _) => None,
                (_, "triage") => routed(*route.get(&Route::ALL)),
                (_, "report") => reported(),
                _ => done(agent),
            };
            (agent.to_string(), Script { groups, end })
        });
        with.collect()
    })
}

fn tools() -> impl Strategy<Value = BTreeMap<String, ToolRow>> {
    let does = prop_oneof![
        4 => "[a-z]{1,9}".prop_map(Does::Return),
        1 => "[a-z]{1,9}".prop_map(Does::ReturnStored),
        1 => Just(Does::Fail { transient: true }),
        1 => Just(Does::Fail { transient: false }),
        1 => Just(Does::Hang),
    ];
    let row = (prop::collection::vec(does, 1..4), 0..3_000u64, 1..20_000u64, any::<bool>());
    prop::collection::vec(row, 6).prop_map(|rows| {
        let with = rows.into_iter().enumerate().map(|(n, (tries, takes, timeout, repeatable))| {
            let policy = ToolPolicy { timeout: Millis(timeout), attempts: 3, repeatable };
            (format!("tool{n}"), ToolRow { tries, takes: Millis(takes), policy })
        });
        with.collect()
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    (1_000..60_000u64, 500..30_000u64, 3..200u32).prop_map(|(run, agent, effects_per_run)| Limits {
        run_timeout: Millis(run),
        agent_timeout: Millis(agent),
        effects_per_run,
        ..Limits::default()
    })
}

/// The log of any run, from its plan to its end: agents that fail and fall silent, a cancel, crashes.
pub(crate) fn any_log() -> impl Strategy<Value = Vec<Entry>> {
    let cancel_after = prop::option::of(0..40usize);
    let crash = prop::option::of((0..25usize, 0..40usize));
    (scripts(), tools(), limits(), cancel_after, crash).prop_map(
        |(scripts, tools, limits, cancel_after, crash)| {
            let mut world = World::new(scripts, tools, limits);
            if let Some((steps, keep)) = crash {
                for _ in 0..steps {
                    world.step();
                }
                let keep = keep.min(world.log.len());
                world.crash(keep);
            }
            for _ in 0..cancel_after.unwrap_or(0) {
                world.step();
            }
            if cancel_after.is_some() {
                world.input(Input::Cancel(CancelReason::User));
            }
            world.finish();
            world.log
        },
    )
}

proptest! {
    #![proptest_config(goldenpath_proof::counted_to(300))]

    //= specs/runs.md#run-02
    //= type=test
    //# `agent_started` MUST be the first event of an agent and MUST occur exactly once for it.
    //= specs/runs.md#run-03
    //= type=test
    //# An event of an agent MUST NOT occur before its `agent_started` or after its
    //# `agent_completed`.
    //= specs/runs.md#run-04
    //= type=test
    //# Each `tool_executing` MUST be closed by exactly one matching `tool_completed`.
    //= specs/runs.md#run-06
    //= type=test
    //# A run MUST have exactly one terminal event, and nothing durable of it MUST follow.
    //= specs/runs.md#run-14
    //= type=test
    //# The report agent MUST run in every run that is not cancelled, interrupted or cut off with
    //# its task.
    #[test]
    fn whatever_agents_and_tools_do_the_grammar_holds_and_the_run_ends_once(
        scripts in scripts(),
        tools in tools(),
        limits in limits(),
        cancel_after in prop::option::of(0..40usize),
        crashes in prop::collection::vec((0..25usize, 0..40usize), 0..3),
        doubling in any::<u64>(),
    ) {
        ends_once(Setting { scripts, tools, limits }, cancel_after, crashes, doubling)?;
    }
}

struct Setting {
    scripts: BTreeMap<String, Script>,
    tools: BTreeMap<String, ToolRow>,
    limits: Limits,
}

fn ends_once(
    Setting { scripts, tools, limits }: Setting,
    cancel_after: Option<usize>,
    crashes: Vec<(usize, usize)>,
    doubling: u64,
) -> Result<(), TestCaseError> {
    let most = limits.run_timeout;
    let mut world = World::new(scripts, tools, limits);
    world.doubling = Some(Seed::new(doubling));
    for (steps, keep) in crashes {
        for _ in 0..steps {
            world.step();
        }
        let keep = keep.min(world.log.len());
        world.crash(keep);
    }
    let begun = world.now.mono;
    for _ in 0..cancel_after.unwrap_or(0) {
        world.step();
    }
    if cancel_after.is_some() {
        world.input(Input::Cancel(CancelReason::User));
        prop_assert!(world.run.ended().is_some());
    }
    world.finish();
    world.check();
    prop_assert!(world.now.mono <= begun.after(most), "RUN-11");
    let worked = |e: &Entry| matches!(&e.event, Event::AgentCompleted { status, .. } if *status != AgentStatus::Skipped);
    let of_report = |e: &Entry| e.agent.as_ref().is_some_and(|a| a.name.as_str() == "report");
    let reported = world.log.iter().any(|e| worked(e) && of_report(e));
    let ended = world.run.ended();
    let cut = matches!(ended, Some(RunStatus::Cancelled | RunStatus::Interrupted));
    prop_assert!(reported || cut, "RUN-14: {:?}\n{}", ended, world.lines().join("\n"));
    Ok(())
}

#[test]
fn a_run_that_is_cancelled_before_its_first_step_ends_once() {
    let think = |text: &str| Act::Think(text.into());
    let tool = |name: &str| Act::Tool(name.into());
    let groups = BTreeMap::from([
        ("triage", vec![vec![vec![think("a")]]]),
        ("report", vec![vec![vec![Act::Delegate("helper".into())]]]),
        ("helper", vec![vec![vec![think("a"), tool("tool0")], vec![think("a"), tool("tool2")]]]),
    ]);
    let agents = ["triage", "data", "data_helper", "optimization", "report", "helper"];
    let script = |agent: &str| {
        let groups = groups.get(agent).cloned().unwrap_or_default();
        (agent.to_string(), Script { groups, end: broken("it broke") })
    };
    let row = |n: usize| {
        let (does, timeout) = if n == 2 {
            (Does::Fail { transient: true }, 222)
        } else {
            (Does::Return("a".into()), 1)
        };
        let policy = ToolPolicy { timeout: Millis(timeout), attempts: 3, repeatable: false };
        (format!("tool{n}"), ToolRow { tries: vec![does], takes: Millis(0), policy })
    };
    let limits = Limits {
        run_timeout: Millis(1_000),
        agent_timeout: Millis(500),
        effects_per_run: 6,
        ..Limits::default()
    };
    let scripts = agents.into_iter().map(script).collect();
    let setting = Setting { scripts, tools: (0..6).map(row).collect(), limits };
    ends_once(setting, Some(0), Vec::new(), 0).unwrap();
}

#[test]
fn every_violation_says_something_of_its_own() {
    let all = [
        Violation::AgentNotOpen,
        Violation::AgentStartedTwice,
        Violation::ChildOpen,
        Violation::Ended,
        Violation::NoAgent,
        Violation::NoAnswer,
        Violation::NotOfThisRun,
        Violation::SecondRoot,
        Violation::StartedTwice,
        Violation::StillOpen,
        Violation::ToolNotOpen,
        Violation::ToolOpen,
        Violation::ToolStartedTwice,
        Violation::WrongStatus,
    ];
    let words: alloc::collections::BTreeSet<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), all.len());
    assert!(words.iter().all(|words| words.len() > 10), "{words:?}");
}
