//! The order of a run's events, rule by rule.

use super::testing::{START, name};
use super::*;
use crate::id::{Epoch, EventId, RunId, ThreadId};
use crate::wire::{AgentStatus, Json, RunScope, ToolCount, ToolStatus};
use alloc::string::String;
use alloc::vec::Vec;

const RUN: RunId = RunId(77);

/// A run as its events make it.
struct Events(Grammar);

fn agent(id: u128, parent: Option<u128>) -> AgentRef {
    let (name, parent) = (name("data"), parent.map(AgentRunId));
    AgentRef { name, agent_run_id: AgentRunId(id), parent, attempt: 1 }
}

fn draft_of(run_id: Option<RunId>, agent: Option<AgentRef>, event: Event) -> Draft {
    Draft {
        id: EventId(1),
        thread_id: ThreadId(5),
        epoch: Epoch(1),
        ts: START,
        scope: run_id.map(|run_id| RunScope { run_id, agent }),
        synthesized: false,
        event,
    }
}

fn started() -> Event {
    let (title, task) = (String::new(), String::new());
    Event::AgentStarted { title, task, step: 0, of: 0, deadline_at: START }
}

fn ended() -> Event {
    Event::AgentCompleted {
        status: AgentStatus::Completed,
        duration_ms: 0,
        summary: String::new(),
        output: None,
        error: None,
        usage: Usage::default(),
        tools: ToolCount::default(),
    }
}

fn calls(id: u128, tool: &str) -> Event {
    Event::ToolExecuting {
        tool_call_id: ToolCallId(id),
        tool: name(tool),
        title: String::new(),
        args: Json::null(),
        args_truncated: false,
        deadline_at: START,
    }
}

fn returns(id: u128, tool: &str) -> Event {
    Event::ToolCompleted {
        tool_call_id: ToolCallId(id),
        tool: name(tool),
        status: ToolStatus::Completed,
        duration_ms: 0,
        result: Json::null(),
        result_ref: None,
        truncated: false,
        error: None,
        attempt: 1,
    }
}

impl Events {
    /// The supervisor is open, and an agent 2 it asked.
    fn begun() -> Self {
        let mut events = Self(Grammar::new(RUN));
        assert_eq!(events.add(agent(1, None), started()), Ok(()));
        assert_eq!(events.add(agent(2, Some(1)), started()), Ok(()));
        let open = events.0.open_agents().iter().map(|open| open.agent.agent_run_id.0);
        assert_eq!(open.collect::<Vec<_>>(), [1, 2]);
        events
    }

    fn add(&mut self, agent: AgentRef, event: Event) -> Result<(), Violation> {
        let before = self.0.clone();
        let added = self.0.observe_draft(&draft_of(Some(RUN), Some(agent), event));
        assert!(added.is_ok() || self.0 == before, "refused, and nothing changed");
        added
    }

    fn close(&mut self) -> Vec<Draft> {
        let mut seed = Seed::new(1);
        let mut desk = Desk {
            thread_id: ThreadId(5),
            epoch: Epoch(1),
            now: START.after(Millis(40)),
            synthesized: true,
            seed: &mut seed,
        };
        assert_eq!(desk.since(START), Millis(40));
        let terminal = Event::RunInterrupted { reason: String::new(), retryable: true };
        self.0.close(Closing::Interrupted, terminal, &mut desk)
    }
}

#[test]
fn what_another_run_or_none_says_is_not_of_this_run() {
    let mut events = Events::begun();
    for run_id in [Some(RunId(78)), None] {
        let draft = draft_of(run_id, Some(agent(2, Some(1))), calls(1, "sql"));
        assert_eq!(events.0.observe_draft(&draft), Err(Violation::NotOfThisRun));
    }
    assert_eq!(events.0.open_tools(), []);
}

#[test]
fn a_call_is_closed_under_its_own_name_by_its_own_agent_as_the_tool_it_is() {
    let mut events = Events::begun();
    events.add(agent(2, Some(1)), calls(7, "sql")).unwrap();
    events.add(agent(2, Some(1)), calls(8, "web")).unwrap();
    let wrong = [(1, 7, "sql"), (2, 9, "sql"), (2, 7, "web"), (2, 8, "sql")];
    for (by, call, tool) in wrong {
        let parent = (by == 2).then_some(1);
        let closed = events.add(agent(by, parent), returns(call, tool));
        assert_eq!(closed, Err(Violation::ToolNotOpen), "{by} {call} {tool}");
    }
    let open = events.0.open_tools().iter().map(|open| open.tool_call_id.0);
    assert_eq!(open.collect::<Vec<_>>(), [7, 8]);
    assert_eq!(events.add(agent(2, Some(1)), returns(8, "web")), Ok(()));
    assert_eq!(events.add(agent(2, Some(1)), calls(8, "web")), Err(Violation::ToolStartedTwice));
    assert_eq!(events.add(agent(2, Some(1)), ended()), Err(Violation::ToolOpen));
    assert_eq!(events.add(agent(2, Some(1)), returns(7, "sql")), Ok(()));
    assert_eq!(events.0.agent(AgentRunId(2)).unwrap().tools, ToolCount { total: 2, failed: 0 });
}

#[test]
fn an_agent_starts_once_below_one_that_is_open() {
    let mut events = Events::begun();
    assert_eq!(events.add(agent(3, Some(9)), started()), Err(Violation::AgentNotOpen));
    assert_eq!(events.add(agent(3, None), started()), Err(Violation::SecondRoot));
    assert_eq!(events.add(agent(2, Some(1)), started()), Err(Violation::AgentStartedTwice));
    assert_eq!(events.add(agent(1, None), ended()), Err(Violation::ChildOpen));
    assert_eq!(events.add(agent(2, Some(1)), ended()), Ok(()));
    assert_eq!(events.add(agent(2, Some(1)), started()), Err(Violation::AgentStartedTwice));
    assert_eq!(events.add(agent(3, Some(2)), started()), Err(Violation::AgentNotOpen));
    assert_eq!(events.add(agent(1, None), ended()), Ok(()));
    assert_eq!(events.add(agent(3, None), started()), Err(Violation::SecondRoot));
}

#[test]
fn what_recovery_closes_says_which_try_it_was_and_since_when() {
    let mut events = Events::begun();
    events.add(agent(2, Some(1)), calls(7, "sql")).unwrap();
    events.add(agent(2, Some(1)), calls(8, "web")).unwrap();
    events.0.tried_again(ToolCallId(8), 3);
    assert_eq!(events.0.tool(ToolCallId(7)).map(|open| open.attempt), Some(1));
    assert_eq!(events.0.tool(ToolCallId(8)).map(|open| open.attempt), Some(3));
    assert_eq!(events.0.tool(ToolCallId(9)), None);
    let drafts = events.close();
    let closed: Vec<_> = drafts
        .iter()
        .filter_map(|draft| match &draft.event {
            Event::ToolCompleted { tool_call_id, attempt, duration_ms, .. } => {
                Some((tool_call_id.0, *attempt, *duration_ms))
            }
            _ => None,
        })
        .collect();
    assert_eq!(closed, [(7, 1, 40), (8, 3, 40)]);
    assert!(drafts.iter().all(|draft| draft.synthesized && draft.ts == START.after(Millis(40))));
    assert_eq!(drafts.len(), 5, "two calls, two agents, the end");
    assert_eq!(events.close(), [], "it has ended");
}
