//! A run taken up from any place of its log: what its agents are answered, and what it refuses.

use super::testing::*;
use super::*;
use crate::wire::{AgentStatus, Entry, Json, ThoughtKind};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

/// A run that begins again with a part of the log of another, and its first agent.
struct Again {
    run: Run,
    now: Now,
    agent: AgentRef,
}

impl Again {
    /// After the first entry for which `last` holds.
    fn after(world: &World, last: impl Fn(&Entry) -> bool) -> Self {
        let at = world.log.iter().position(last).unwrap();
        let now = Now { mono: Mono(0), wall: world.now.wall.after(Millis(700)) };
        let assignment = assignment(2, world.log[..=at].to_vec());
        let (workflow, limits) = (Arc::new(workflow()), world.limits.clone());
        let mut run = Run::new(assignment, workflow, limits, Seed::new(5), now);
        let started = outputs(&mut run).into_iter().find_map(|output| match output {
            Output::StartAgent { agent, .. } => Some(agent),
            _ => None,
        });
        Self { run, now, agent: started.unwrap() }
    }

    fn asks(&mut self, n: u32, request: Request) -> Vec<Output> {
        let (agent_run_id, says) = (self.agent.agent_run_id, AgentSays::Request { n, request });
        self.run.handle_input(self.now, Input::Agent { agent_run_id, says });
        outputs(&mut self.run)
    }
}

fn outputs(run: &mut Run) -> Vec<Output> {
    let mut outputs = Vec::new();
    loop {
        match run.poll_output() {
            Output::Idle(_) => return outputs,
            output => outputs.push(output),
        }
    }
}

fn finished(change: impl FnOnce(&mut World)) -> World {
    let (scripts, tools) = team(Route::Full);
    let mut world = World::new(BTreeMap::new(), BTreeMap::new(), Limits::default());
    (world.scripts, world.tools) = (scripts, tools);
    change(&mut world);
    world = World::new(world.scripts, world.tools, world.limits.as_ref().clone());
    world.finish();
    world.check();
    world
}

fn delegating(end: Option<Result<Finish, crate::wire::ErrorInfo>>) -> World {
    finished(|world| {
        world.scripts.get_mut("triage").unwrap().end = routed(Route::Capabilities);
        let report = world.scripts.get_mut("report").unwrap();
        report.groups = vec![vec![vec![Act::Delegate("data".into())]]];
        world.scripts.get_mut("data").unwrap().end = end;
    })
}

fn thinks(text: &str) -> Request {
    Request::Think { text: text.into(), kind: ThoughtKind::Status, progress: None }
}

fn calls(tool: &str, args: &str) -> Request {
    Request::Tool {
        tool: name(tool),
        title: format!("Call {tool}"),
        args: Json::parse(args).unwrap(),
        policy: ToolPolicy::default(),
    }
}

fn asks_of(agent: &str, text: &str) -> Request {
    Request::Delegate {
        agent: name(agent),
        title: format!("The {agent} agent"),
        task: Task { text: text.into(), inputs: Json::null() },
    }
}

fn is_of(entry: &Entry, agent: &str) -> bool {
    entry.agent.as_ref().is_some_and(|of| of.name.as_str() == agent)
}

fn ends(agent: &'static str) -> impl Fn(&Entry) -> bool {
    move |entry| is_of(entry, agent) && matches!(entry.event, Event::AgentCompleted { .. })
}

#[test]
fn an_agent_started_again_is_of_the_new_attempt_and_hears_what_its_tool_returned() {
    let world = finished(|_| {});
    let returned = |entry: &Entry| matches!(entry.event, Event::ToolCompleted { .. });
    let mut again = Again::after(&world, returned);
    assert_eq!((again.agent.name.as_str(), again.agent.attempt), ("triage", 2));
    again.asks(0, thinks("triage"));
    let answer = Answer::Tool(Ok(Json::encode("triage_tool").unwrap()));
    let agent_run_id = again.agent.agent_run_id;
    let said = again.asks(1, calls("triage_tool", "{}"));
    assert_eq!(said, [Output::Answer { agent_run_id, n: 1, answer }]);
}

#[test]
fn what_another_agent_found_is_the_same_after_a_crash() {
    for degraded in [true, false] {
        let finish = Finish { summary: "half".into(), degraded, ..Finish::default() };
        let world = delegating(Some(Ok(finish)));
        let mut again = Again::after(&world, ends("data"));
        let said = again.asks(0, asks_of("data", "go"));
        let [Output::Answer { n: 0, answer: Answer::Delegated(Ok(found)), .. }] = said.as_slice()
        else {
            panic!("{said:?}")
        };
        assert_eq!((found.summary.as_str(), found.degraded), ("half", degraded));
    }
}

#[test]
fn an_agent_that_asks_for_anything_else_than_its_log_has_ends_the_run() {
    let interrupted = |said: &[Output]| said.contains(&Output::Ended(RunStatus::Interrupted));
    let world = finished(|_| {});
    let calling = |entry: &Entry| matches!(entry.event, Event::ToolExecuting { .. });
    let tools = [
        (calls("triage_tool", "{}"), false),
        (calls("other_tool", "{}"), true),
        (calls("triage_tool", "[]"), true),
        (thinks("triage"), true),
    ];
    for (request, ended) in tools {
        let mut again = Again::after(&world, calling);
        again.asks(0, thinks("triage"));
        assert_eq!(interrupted(&again.asks(1, request)), ended);
    }
    let world = delegating(done("data"));
    let agents = [
        (asks_of("data", "go"), false),
        (asks_of("optimization", "go"), true),
        (asks_of("data", "stop"), true),
    ];
    for (request, ended) in agents {
        let mut again = Again::after(&world, ends("data"));
        assert_eq!(interrupted(&again.asks(0, request)), ended);
    }
}

#[test]
fn effects_before_a_crash_count_as_effects() {
    for (effects_per_run, whole) in [(8, true), (7, false)] {
        let (scripts, tools) = team(Route::Full);
        let limits = Limits { effects_per_run, ..Limits::default() };
        let mut world = World::new(scripts, tools, limits);
        world.finish();
        let keep = world.log.iter().position(ends("triage")).unwrap() + 1;
        world.crash(keep);
        world.finish();
        world.check();
        assert_eq!(world.ended == [RunStatus::Completed], whole, "{:?}", world.lines());
    }
}

#[test]
fn whose_time_was_over_before_a_crash_is_known_after_it() {
    let none = Limits::default().run_timeout;
    for (run_timeout, status) in [(none, RunStatus::Degraded), (Millis(3_000), RunStatus::TimedOut)]
    {
        let mut world = finished(|world| {
            world.scripts.get_mut("data").unwrap().end = None;
            world.limits = Arc::new(Limits { run_timeout, ..Limits::default() });
        });
        assert_eq!(world.ended, [status]);
        let keep = world.log.iter().position(ends("data")).unwrap() + 1;
        world.crash(keep);
        world.finish();
        world.check();
        assert_eq!(world.ended, [status]);
    }
}

#[test]
fn a_crash_makes_no_agent_less_deep() {
    let mut world = finished(|world| {
        let data = world.scripts.get_mut("data").unwrap();
        data.groups = vec![vec![vec![Act::Delegate("data".into())]]];
    });
    let starts =
        |entry: &Entry| is_of(entry, "data") && matches!(entry.event, Event::AgentStarted { .. });
    let count = |world: &World| world.log.iter().filter(|entry| starts(entry)).count();
    assert_eq!(count(&world), 4);
    let third = world.log.iter().enumerate().filter(|(_, entry)| starts(entry)).nth(2);
    let keep = third.unwrap().0 + 1;
    world.crash(keep);
    world.finish();
    world.check();
    assert_eq!(count(&world), 4);
}

#[test]
fn a_step_is_told_what_those_before_it_found_and_who_found_nothing() {
    let given = |world: &World| -> serde_json::Value {
        let (_, task) = world.tasks.iter().find(|(agent, _)| agent == "report").unwrap();
        assert_eq!(task.text, "Analyze my AI costs");
        serde_json::from_str(task.inputs.as_str()).unwrap()
    };
    let whole = given(&finished(|_| {}));
    assert_eq!(whole["data"], "data");
    assert_eq!(whole["optimization"], "optimization");
    assert_eq!(whole.get(MISSING), None);
    let part = given(&finished(|world| {
        world.scripts.get_mut("data").unwrap().end = broken("the table is locked");
    }));
    assert_eq!(part[MISSING][0]["agent"], "data");
    assert_eq!(part[MISSING][0]["status"], "failed");
    assert_eq!(part.get("data"), None);
}

#[test]
fn an_agent_is_done_with_an_output_and_a_sentence() {
    let finish = Finish::with(&[3, 4], "found two").unwrap();
    assert_eq!((finish.summary.as_str(), finish.output.as_str()), ("found two", "[3,4]"));
}

/// The first tool call of a run, before its tool has answered.
fn calling() -> (World, ToolCallId, u32) {
    let (scripts, mut tools) = team(Route::Full);
    tools.get_mut("triage_tool").unwrap().tries = vec![Does::Hang];
    let world = World::new(scripts, tools, Limits::default());
    let (tool_call_id, _, attempt) = world.calls[0].clone();
    (world, tool_call_id, attempt)
}

fn fails(retry_after: Option<Millis>) -> ToolOutcome {
    let error = crate::wire::ErrorInfo::new(crate::wire::ErrorCode::ToolFailed, "busy");
    ToolOutcome::Failed { error, transient: true, retry_after }
}

fn deadline(run: &mut Run) -> Option<Mono> {
    match run.poll_output() {
        Output::Idle(deadline) => deadline,
        other => panic!("not drained: {other:?}"),
    }
}

/// The longest pause that many seeds lead to after this input.
fn longest_pause(run: &Run, now: Now, input: &Input) -> Millis {
    let pauses = (0..8_000).map(|seed| {
        let mut run = run.clone();
        run.seed = Seed::new(seed);
        run.handle_input(now, input.clone());
        deadline(&mut run).unwrap().since(now.mono)
    });
    pauses.max().unwrap()
}

#[test]
fn a_tool_rests_longer_each_time_it_fails() {
    let (mut world, tool_call_id, _) = calling();
    for (attempt, longest) in [(1, Millis(100)), (2, Millis(200))] {
        let input = Input::ToolDone { tool_call_id, attempt, outcome: fails(None) };
        assert_eq!(longest_pause(&world.run, world.now, &input), longest);
        world.input(input);
        world.step();
    }
    let third = Input::ToolDone { tool_call_id, attempt: 3, outcome: fails(None) };
    world.input(third);
    assert!(world.lines().iter().any(|line| line.contains("tool_completed triage_tool Failed")));
    let calls = world.calls.iter().filter(|(id, ..)| *id == tool_call_id).count();
    assert_eq!(calls, 3, "its tries are over");
}

#[test]
fn a_tool_is_not_tried_again_when_its_time_would_be_over() {
    for (early, again) in [(1, true), (0, false)] {
        let (mut world, tool_call_id, attempt) = calling();
        let left = deadline(&mut world.run).unwrap().since(world.now.mono);
        let outcome = fails(Some(Millis(left.0 - early)));
        world.input(Input::ToolDone { tool_call_id, attempt, outcome });
        let failed = world.lines().iter().any(|line| line.contains("tool_completed triage_tool"));
        assert_eq!(failed, !again);
    }
}

#[test]
fn a_stored_result_that_cannot_be_read_is_asked_for_again_within_half_a_second() {
    let world = finished(|world| {
        world.tools.get_mut("triage_tool").unwrap().tries =
            vec![Does::ReturnStored("large".into())];
    });
    let returned = |entry: &Entry| matches!(entry.event, Event::ToolCompleted { .. });
    let mut again = Again::after(&world, returned);
    again.asks(0, thinks("triage"));
    let said = again.asks(1, calls("triage_tool", "{}"));
    let [Output::LoadResult { tool_call_id, attempt, .. }] = said.as_slice() else {
        panic!("{said:?}")
    };
    let (tool_call_id, attempt) = (*tool_call_id, *attempt);
    let input = Input::ToolDone { tool_call_id, attempt, outcome: fails(None) };
    assert_eq!(longest_pause(&again.run, again.now, &input), Millis(500));
}

#[test]
fn who_is_skipped_is_listed_with_its_reason() {
    let world = finished(|world| {
        world.scripts.get_mut("data").unwrap().end = broken("the table is locked");
    });
    let skipped = world.log.iter().find_map(|entry| match &entry.event {
        Event::AgentCompleted { status: AgentStatus::Skipped, .. } => entry.agent.clone(),
        _ => None,
    });
    assert_eq!(skipped.map(|agent| agent.name.to_string()), Some(String::from("optimization")));
}
