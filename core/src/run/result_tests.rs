//! Results of tools that travel by reference: read again after a crash, within bounds.

use super::testing::*;
use super::*;
use crate::wire::{ErrorCode, ErrorInfo, Json, ThoughtKind, ToolStatus};
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

/// A run taken up after a crash; its first agent waits for a result that is stored apart.
struct Waiting {
    run: Run,
    now: Now,
    agent: AgentRunId,
    call: ToolCallId,
}

impl Waiting {
    fn new(limits: Limits) -> Self {
        let (scripts, mut tools) = team(Route::Full);
        tools.get_mut("triage_tool").unwrap().tries = vec![Does::ReturnStored("large".into())];
        let mut world = World::new(scripts, tools, limits.clone());
        world.finish();
        let calls = world.log.iter().enumerate().find_map(|(at, entry)| match &entry.event {
            Event::ToolCompleted { tool_call_id, .. } => Some((at, *tool_call_id)),
            _ => None,
        });
        let (at, call) = calls.unwrap();
        let history = world.log[..=at].to_vec();
        let now = Now { mono: Mono(0), wall: world.now.wall.after(Millis(700)) };
        let (workflow, limits) = (Arc::new(workflow()), Arc::new(limits));
        let run = Run::new(assignment(2, history), workflow, limits, Seed::new(5), now);
        let mut waiting = Self { run, now, agent: AgentRunId(0), call };
        for output in waiting.outputs() {
            if let Output::StartAgent { agent, .. } = output {
                waiting.agent = agent.agent_run_id;
            }
        }
        let think =
            Request::Think { text: "triage".into(), kind: ThoughtKind::Status, progress: None };
        let tool = Request::Tool {
            tool: name("triage_tool"),
            title: "Call triage_tool".into(),
            args: Json::parse("{}").unwrap(),
            policy: ToolPolicy::default(),
        };
        waiting.says(0, think);
        let asked = waiting.says(1, tool);
        assert!(asked.contains(&waiting.load(1)), "{asked:?}");
        waiting
    }

    fn says(&mut self, n: u32, request: Request) -> Vec<Output> {
        let (agent_run_id, says) = (self.agent, AgentSays::Request { n, request });
        self.run.handle_input(self.now, Input::Agent { agent_run_id, says });
        self.outputs()
    }

    fn load(&self, attempt: u32) -> Output {
        Output::LoadResult { tool_call_id: self.call, reference: "/stored/large".into(), attempt }
    }

    fn outputs(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        loop {
            match self.run.poll_output() {
                Output::Idle(_) => return outputs,
                output => outputs.push(output),
            }
        }
    }

    fn deadline(&mut self) -> Option<Mono> {
        match self.run.poll_output() {
            Output::Idle(deadline) => deadline,
            other => panic!("not drained: {other:?}"),
        }
    }

    fn done(&mut self, attempt: u32, outcome: ToolOutcome) -> Vec<Output> {
        let tool_call_id = self.call;
        self.run.handle_input(self.now, Input::ToolDone { tool_call_id, attempt, outcome });
        self.outputs()
    }

    fn fails(&mut self, attempt: u32, retry_after: Option<Millis>) -> Vec<Output> {
        let error = ErrorInfo::new(ErrorCode::ToolFailed, "no disk");
        self.done(attempt, ToolOutcome::Failed { error, transient: true, retry_after })
    }

    fn returns(&mut self, attempt: u32) -> Vec<Output> {
        let value = Json::encode("all of it").unwrap();
        self.done(attempt, ToolOutcome::Returned(ToolResult { value, stored: None }))
    }

    fn wait(&mut self, span: Millis) -> Vec<Output> {
        self.now = self.now.after(span);
        self.run.handle_timeout(self.now);
        self.outputs()
    }

    /// The answer of the agent's second effect.
    fn answer(&self) -> Output {
        let answer = Answer::Tool(Ok(Json::encode("all of it").unwrap()));
        Output::Answer { agent_run_id: self.agent, n: 1, answer }
    }

    /// Everything said until the run has ended.
    fn until_cancelled(&mut self) -> Vec<Output> {
        let mut said = self.outputs();
        for _ in 0..10 {
            let Some(deadline) = self.deadline() else { break };
            said.extend(self.wait(deadline.since(self.now.mono)));
        }
        assert_eq!(self.run.ended(), Some(RunStatus::Cancelled));
        said
    }
}

#[test]
fn a_stored_result_is_read_and_given_to_its_agent() {
    let mut waiting = Waiting::new(Limits::default());
    assert_eq!(waiting.returns(1), [waiting.answer()]);
    assert_eq!(waiting.run.ignored(), 0);
    assert_eq!(waiting.returns(1), [], "once");
    assert_eq!(waiting.run.ignored(), 1);
}

#[test]
fn a_stored_result_that_cannot_be_read_now_is_asked_for_again_when_it_was_said() {
    let mut waiting = Waiting::new(Limits::default());
    assert_eq!(waiting.fails(1, Some(Millis(50))), []);
    assert_eq!(waiting.deadline(), Some(waiting.now.mono.after(Millis(50))));
    assert_eq!(waiting.returns(1), [], "that try is over");
    assert_eq!(waiting.run.ignored(), 1);
    assert_eq!(waiting.wait(Millis(49)), []);
    assert_eq!(waiting.wait(Millis(1)), [waiting.load(2)]);
    assert_eq!(waiting.wait(Millis(1)), [], "asked once");
    assert_eq!(waiting.returns(1), [], "that try is over");
    assert_eq!(waiting.returns(2), [waiting.answer()]);
    assert_eq!(waiting.run.ignored(), 2);
}

#[test]
fn a_stored_result_is_asked_for_again_soon_when_nothing_was_said() {
    let mut waiting = Waiting::new(Limits::default());
    assert_eq!(waiting.fails(1, None), []);
    // A tenth of the longest wait of a tool.
    let longest = Millis(500);
    assert!(waiting.deadline().unwrap() <= waiting.now.mono.after(longest));
    assert_eq!(waiting.wait(longest), [waiting.load(2)]);
}

#[test]
fn a_stored_result_that_stays_away_interrupts_the_run_after_its_tries() {
    let limits = Limits { tool_attempts: 3, ..Limits::default() };
    let mut waiting = Waiting::new(limits);
    for attempt in 1..3 {
        assert_eq!(waiting.fails(attempt, Some(Millis(10))), []);
        assert_eq!(waiting.wait(Millis(10)), [waiting.load(attempt + 1)]);
    }
    let said = waiting.fails(3, Some(Millis(10)));
    assert_eq!(said.last(), Some(&Output::Ended(RunStatus::Interrupted)));
    let reasons: Vec<&String> = said
        .iter()
        .filter_map(|output| match output {
            Output::Append(Draft { event: Event::RunInterrupted { reason, .. }, .. }) => {
                Some(reason)
            }
            _ => None,
        })
        .collect();
    assert_eq!(reasons, ["a stored result could not be read: no disk"]);
}

#[test]
fn a_stored_result_that_is_gone_interrupts_the_run_at_once() {
    let mut waiting = Waiting::new(Limits::default());
    let error = ErrorInfo::new(ErrorCode::ToolFailed, "gone");
    let said = waiting.done(1, ToolOutcome::Failed { error, transient: false, retry_after: None });
    assert_eq!(said.last(), Some(&Output::Ended(RunStatus::Interrupted)));
}

#[test]
fn a_run_that_ends_stops_reading_what_is_under_way_and_only_that() {
    let abort = |waiting: &Waiting| Output::AbortTool { tool_call_id: waiting.call };
    let mut reading = Waiting::new(Limits::default());
    reading.run.handle_input(reading.now, Input::Cancel(CancelReason::User));
    let grace = reading.until_cancelled();
    assert!(grace.contains(&abort(&reading)), "{grace:?}");
    let mut resting = Waiting::new(Limits::default());
    resting.fails(1, Some(Millis(50)));
    resting.run.handle_input(resting.now, Input::Cancel(CancelReason::User));
    let grace = resting.until_cancelled();
    assert!(!grace.contains(&abort(&resting)), "{grace:?}");
}

#[test]
fn a_result_over_the_bound_fails_unless_it_was_stored() {
    // Two quotes belong to the value.
    let most = Limits::default().inline_result_bytes;
    for (length, status) in [(most - 2, ToolStatus::Completed), (most - 1, ToolStatus::Failed)] {
        let (scripts, mut tools) = team(Route::Full);
        tools.insert("triage_tool".into(), ToolRow::returns(&"x".repeat(length)));
        let mut world = World::new(scripts, tools, Limits::default());
        world.finish();
        world.check();
        let first = world.log.iter().find_map(|entry| match &entry.event {
            Event::ToolCompleted { status, error, .. } => Some((*status, error.clone())),
            _ => None,
        });
        let (found, error) = first.unwrap();
        assert_eq!(found, status);
        let why = format!("its result of {} bytes is over {most} and was not stored", most + 1);
        assert_eq!(error.map(|error| error.message), (status == ToolStatus::Failed).then_some(why));
    }
}

#[test]
fn a_run_has_so_many_effects_and_not_one_more() {
    // Four agents, each thinks once and calls a tool once.
    for (effects_per_run, done) in [(8, true), (7, false)] {
        let (scripts, tools) = team(Route::Full);
        let limits = Limits { effects_per_run, ..Limits::default() };
        let mut world = World::new(scripts, tools, limits);
        world.finish();
        world.check();
        assert_eq!(world.ended == [RunStatus::Completed], done, "{:?}", world.lines());
    }
}

#[test]
fn a_run_says_how_long_it_took() {
    let (scripts, tools) = team(Route::Full);
    let mut world = World::new(scripts, tools, Limits::default());
    world.finish();
    let took = world.log.iter().find_map(|entry| match &entry.event {
        Event::RunCompleted { duration_ms, .. } => Some(*duration_ms),
        _ => None,
    });
    // Four tools after each other, five milliseconds each.
    assert_eq!(took, Some(20));
}

#[test]
fn the_output_of_an_agent_may_be_as_long_as_the_bound() {
    let most = Limits::default().inline_result_bytes;
    for (length, whole) in [(most - 2, true), (most - 1, false)] {
        let (mut scripts, tools) = team(Route::Full);
        scripts.get_mut("data").unwrap().end = done(&"x".repeat(length));
        let mut world = World::new(scripts, tools, Limits::default());
        world.finish();
        world.check();
        assert_eq!(world.ended == [RunStatus::Completed], whole, "{:?}", world.ended);
    }
}
