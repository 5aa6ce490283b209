//! The task of a run: what the runtime would spawn when a hub says `StartRun`.

use crate::team::Team;
use goldenpath_core::hub::Input;
use goldenpath_core::id::{AgentRunId, EventId, Fence, MessageId, Name, RunId, ToolCallId};
use goldenpath_core::run::Assignment;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Mono, Now};
use goldenpath_core::wire::{
    AgentRef, AgentStatus, Draft, Event, Json, RunScope, RunStatus, ThoughtKind, ToolCount,
    ToolStatus, Usage,
};
use std::collections::VecDeque;

/// What runs do in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// An answer and the end.
    Answer,
    /// One agent with one tool, an answer, the end: all five kinds of events.
    FiveKinds,
    /// The same as a team, with a tool that is not repeatable.
    Effects,
    /// The real [`goldenpath_core::run::Run`] with two agents and a tool.
    Team,
}

/// A run's task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// What it was told.
    pub assignment: Assignment,
    /// What its appends carry.
    pub fence: Fence,
    /// What it will still say; empty for a team.
    pub lines: VecDeque<Draft>,
    /// The real machine, if it has one.
    pub team: Option<Box<Team>>,
    /// When it was told to stop, or whoever asked for that was promised it.
    pub cancelled: Option<Mono>,
}

impl Task {
    /// A task that says its lines when it is told to.
    #[must_use]
    pub fn scripted(assignment: Assignment, fence: Fence, now: Now, work: Work) -> Self {
        let lines = script(&assignment, fence, now, work);
        Self { assignment, fence, lines, team: None, cancelled: None }
    }

    /// A task with the real machine in it.
    #[must_use]
    pub fn with(assignment: Assignment, fence: Fence, team: Team) -> Self {
        let lines = VecDeque::new();
        Self { assignment, fence, lines, team: Some(Box::new(team)), cancelled: None }
    }

    /// Its run.
    #[must_use]
    pub const fn run_id(&self) -> RunId {
        self.assignment.run_id
    }

    /// Its next `count` lines.
    pub fn next_lines(&mut self, count: usize) -> Vec<Draft> {
        self.lines.drain(..count.min(self.lines.len())).collect()
    }

    /// What it says to its hub.
    #[must_use]
    pub const fn says(&self, drafts: Vec<Draft>) -> Input {
        Input::Append { run_id: self.run_id(), fence: self.fence, drafts }
    }
}

/// Numbers that depend on the run and its claim alone, so that the order of other things does not
/// make two worlds different.
pub(crate) fn seed_of(run_id: RunId, fence: Fence) -> Seed {
    Seed::new((run_id.0 as u64) ^ ((run_id.0 >> 64) as u64) ^ (fence.0 << 48))
}

/// What the task of a run says, without what the log already has.
fn script(assignment: &Assignment, fence: Fence, now: Now, work: Work) -> VecDeque<Draft> {
    let mut seed = seed_of(assignment.run_id, fence);
    let agents = match work {
        Work::Answer | Work::Effects | Work::Team => Vec::new(),
        Work::FiveKinds => five_kinds(assignment, now),
    };
    let run = [
        Event::AssistantMessage {
            message_id: MessageId(assignment.run_id.0 + 3),
            content: "42".into(),
            partial: false,
        },
        Event::RunCompleted {
            status: RunStatus::Completed,
            duration_ms: 3,
            usage: Usage::default(),
        },
    ];
    let agent = AgentRef {
        name: Name::new("solo").expect("a short text is a name"),
        agent_run_id: AgentRunId(assignment.run_id.0 + 1),
        parent: None,
        attempt: 1,
    };
    let with_agent = agents.into_iter().map(|event| (Some(agent.clone()), event));
    let all = with_agent.chain(run.into_iter().map(|event| (None, event)));
    all.skip(assignment.history.len())
        .map(|(agent, event)| Draft {
            id: EventId::draw(&mut seed, now.wall),
            thread_id: assignment.thread_id,
            epoch: assignment.epoch,
            ts: now.wall,
            scope: Some(RunScope { run_id: assignment.run_id, agent }),
            synthesized: false,
            event,
        })
        .collect()
}

fn five_kinds(assignment: &Assignment, now: Now) -> Vec<Event> {
    let tool_call_id = ToolCallId(assignment.run_id.0 + 2);
    let tool = Name::new("look").expect("a short text is a name");
    vec![
        Event::AgentStarted {
            title: "Solo".into(),
            task: assignment.question.clone(),
            step: 1,
            of: 1,
            deadline_at: now.wall,
        },
        Event::AgentThinking {
            thought_id: 1,
            text: "reading".into(),
            kind: ThoughtKind::Status,
            progress: None,
        },
        Event::ToolExecuting {
            tool_call_id,
            tool: tool.clone(),
            title: "Look".into(),
            args: Json::null(),
            args_truncated: false,
            deadline_at: now.wall,
        },
        Event::ToolCompleted {
            tool_call_id,
            tool,
            status: ToolStatus::Completed,
            duration_ms: 1,
            result: Json::null(),
            result_ref: None,
            truncated: false,
            error: None,
            attempt: 1,
        },
        Event::AgentCompleted {
            status: AgentStatus::Completed,
            duration_ms: 2,
            summary: "done".into(),
            output: None,
            error: None,
            usage: Usage::default(),
            tools: ToolCount { total: 1, failed: 0 },
        },
    ]
}
