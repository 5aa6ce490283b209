//! Every state of a run meets every input.

use super::testing::{START, World, assignment, done, reported, routed, think, workflow};
use super::*;
use crate::matrix::{Page, Row};
use crate::wire::{ErrorCode, ErrorInfo, Json, ThoughtKind};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

const PAGE: Page = Page {
    name: "run",
    title: "A run",
    about: "One answer in the making. It starts the agents of its plan one after the other, writes down what they\n\
            do, and ends with exactly one terminal event. The five events in the right order are its property.",
    states: &[
        (
            "triage",
            "The supervisor and the triage agent have started. What triage finds decides on the plan; if it fails, \
             the plan is the fallback.",
        ),
        (
            "working",
            "The plan is made and one of its agents before the report is at work: it thinks, calls tools, delegates. \
             If it fails or its time is over, the run goes on without its result (F26).",
        ),
        (
            "reporting",
            "The report agent is at work; it runs in every run that is not cancelled (RUN-14) and gives the answer.",
        ),
        (
            "reporting late",
            "The time for everything but the report was over. Who was at work ended timed out, and the report is \
             made from what there is.",
        ),
        ("completed", "Every agent completed and the answer is in the log."),
        ("degraded", "There is an answer, although an agent had no result or only a part of one."),
        ("failed", "There is no report. What the agents had finished is kept as a partial answer."),
        ("timed out", "The time was over; the answer there is, if there is one, is kept."),
        (
            "cancelled",
            "Somebody stopped it. Everything open was closed first; no agent was waited for (RUN-09).",
        ),
        (
            "interrupted",
            "It could not be continued from its log after a crash. Asking again is offered.",
        ),
    ],
    begins: &["triage"],
    rows: Vec::new(),
};

#[derive(Clone)]
struct Stage {
    run: Run,
    now: Now,
    tool: ToolCallId,
}

impl Stage {
    fn new(attempt: u32, history: Vec<crate::wire::Entry>) -> Self {
        let now = Now { mono: Mono(1_000), wall: START };
        let limits = Arc::new(Limits::default());
        let assignment = assignment(attempt, history);
        let run =
            Run::new(assignment, Arc::new(workflow()), limits, Seed::new(u64::from(attempt)), now);
        let mut stage = Self { run, now, tool: ToolCallId(404) };
        stage.listen();
        stage
    }

    /// Goes on after a crash: the log has a thought of triage that its code has not asked for again.
    fn recovered() -> Self {
        let mut script = super::testing::Script::default();
        script.groups.push(vec![vec![think("a thought")]]);
        let scripts = BTreeMap::from([("triage".into(), script)]);
        let world = World::new(scripts, BTreeMap::new(), Limits::default());
        Self::new(2, world.log)
    }

    fn at_work(&self) -> AgentRunId {
        self.run.at_work().map_or(AgentRunId(404), |(_, agent)| agent)
    }

    fn says(&mut self, says: AgentSays) -> String {
        let agent_run_id = self.at_work();
        self.give(Input::Agent { agent_run_id, says })
    }

    fn ends(&mut self, end: Option<Result<Finish, ErrorInfo>>) -> String {
        match end.expect("it ends") {
            Ok(finish) => self.says(AgentSays::Finished(finish)),
            Err(error) => self.says(AgentSays::Failed(error)),
        }
    }

    fn give(&mut self, input: Input) -> String {
        self.run.handle_input(self.now, input);
        self.listen()
    }

    fn wait(&mut self, span: Millis) -> String {
        self.now = self.now.after(span);
        self.run.handle_timeout(self.now);
        self.listen()
    }

    fn deadline(&mut self) -> String {
        let wait = self.run.deadline().map_or(Millis::ZERO, |at| at.since(self.now.mono));
        self.wait(wait)
    }

    fn listen(&mut self) -> String {
        let mut said = Vec::new();
        loop {
            said.push(match self.run.poll_output() {
                Output::Idle(_) => return said.join(", "),
                Output::AbortTool { .. } => "abort tool".into(),
                Output::Answer { .. } => "answer".into(),
                Output::Append(draft) => draft.event.type_name().to_string(),
                Output::CallTool { tool_call_id, .. } => {
                    self.tool = tool_call_id;
                    "call tool".into()
                }
                Output::Confirm { tool_call_id } => {
                    self.tool = tool_call_id;
                    "confirm".into()
                }
                Output::Ended(status) => format!("ended {status:?}"),
                Output::LoadResult { .. } => "load result".into(),
                Output::Progress { .. } => "progress".into(),
                Output::StartAgent { agent, .. } => format!("start {}", agent.name),
                Output::StopAgent { .. } => "stop agent".into(),
            });
        }
    }

    fn then(mut self, act: impl FnOnce(&mut Self) -> String) -> Self {
        act(&mut self);
        self
    }

    fn state_name(&self) -> &'static str {
        match self.run.ended() {
            Some(RunStatus::Cancelled) => "cancelled",
            Some(RunStatus::Completed) => "completed",
            Some(RunStatus::Degraded) => "degraded",
            Some(RunStatus::Failed) => "failed",
            Some(RunStatus::Interrupted) => "interrupted",
            Some(RunStatus::TimedOut) => "timed out",
            Some(RunStatus::Queued | RunStatus::Running) => "not an end",
            None if self.run.overtime.is_some() => "reporting late",
            None if self.run.is_reporting() => "reporting",
            None if self.run.route.is_some() => "working",
            None => "triage",
        }
    }
}

fn tool_request(n: u32) -> AgentSays {
    tool_request_with(n, ToolPolicy::default())
}

/// A call that must not be made twice.
fn effect_request(n: u32) -> AgentSays {
    tool_request_with(n, ToolPolicy { repeatable: false, ..ToolPolicy::default() })
}

fn tool_request_with(n: u32, policy: ToolPolicy) -> AgentSays {
    let request = Request::Tool {
        tool: super::testing::name("calculator"),
        title: "Count".into(),
        args: Json::null(),
        policy,
    };
    AgentSays::Request { n, request }
}

fn error() -> ErrorInfo {
    ErrorInfo::new(ErrorCode::AgentFailed, "no")
}

fn states() -> Vec<(&'static str, Stage)> {
    let triage = || Stage::new(1, vec![]);
    let working = || triage().then(|s| s.ends(routed(Route::Partial)));
    let last_step = || working().then(|s| s.ends(done("data_helper")));
    let reporting = || last_step().then(|s| s.ends(done("data")));
    let late = || {
        working().then(|s| {
            let wait = s.run.work_deadline.since(s.now.mono);
            s.wait(wait)
        })
    };
    let degraded = || triage().then(|s| s.says(AgentSays::Failed(error())));
    vec![
        ("triage", triage()),
        ("triage, with a tool", triage().then(|s| s.says(tool_request(0)))),
        ("triage, recovered", Stage::recovered()),
        ("working", working()),
        ("working, with a tool", working().then(|s| s.says(tool_request(0)))),
        ("working, with a tool held back", working().then(|s| s.says(effect_request(0)))),
        ("working, last step", last_step()),
        ("reporting", reporting()),
        ("reporting, a step failed", degraded().then(|s| s.ends(done("data_helper")))),
        ("reporting late", late()),
        ("completed", reporting().then(|s| s.ends(reported()))),
        ("degraded", degraded().then(|s| s.ends(done("data_helper"))).then(|s| s.ends(reported()))),
        ("failed", reporting().then(|s| s.says(AgentSays::Failed(error())))),
        ("timed out", late().then(|s| s.ends(reported()))),
        ("cancelled", working().then(|s| s.give(Input::Cancel(CancelReason::User)))),
        ("interrupted", Stage::recovered().then(|s| s.ends(done("triage")))),
    ]
}

type Act = fn(&mut Stage) -> String;

fn tool_done(stage: &mut Stage, attempt: u32, outcome: ToolOutcome) -> String {
    let tool_call_id = stage.tool;
    stage.give(Input::ToolDone { tool_call_id, attempt, outcome })
}

fn returned() -> ToolOutcome {
    ToolOutcome::Returned(ToolResult { value: Json::null(), stored: None })
}

const ACTS: [(&str, Act); 17] = [
    ("agent thinks", |s| {
        let (text, kind) = ("hm".into(), ThoughtKind::Status);
        let request = Request::Think { text, kind, progress: None };
        s.says(AgentSays::Request { n: 0, request })
    }),
    ("agent asks for a tool", |s| s.says(tool_request(0))),
    ("agent finishes", |s| s.ends(done("someone"))),
    ("agent finishes, no steps but the report", |s| s.ends(routed(Route::Capabilities))),
    ("agent finishes with an answer", |s| s.ends(reported())),
    ("agent fails", |s| s.says(AgentSays::Failed(error()))),
    ("another agent finishes", |s| {
        let says = AgentSays::Finished(Finish::default());
        s.give(Input::Agent { agent_run_id: AgentRunId(404), says })
    }),
    ("tool returns", |s| tool_done(s, 1, returned())),
    ("tool fails for good", |s| {
        tool_done(s, 1, ToolOutcome::Failed { error: error(), transient: false, retry_after: None })
    }),
    ("tool fails for a moment", |s| {
        tool_done(s, 1, ToolOutcome::Failed { error: error(), transient: true, retry_after: None })
    }),
    ("tool returns from another try", |s| tool_done(s, 9, returned())),
    ("what was appended is durable", |s| {
        let tool_call_id = s.tool;
        s.give(Input::Durable { tool_call_id })
    }),
    ("cancel", |s| s.give(Input::Cancel(CancelReason::User))),
    ("timeout at once", |s| s.wait(Millis::ZERO)),
    ("timeout at the deadline", Stage::deadline),
    ("time for work is over", |s| {
        let wait = s.run.work_deadline.since(s.now.mono);
        s.wait(wait)
    }),
    ("time is over", |s| {
        let wait = s.run.run_deadline.since(s.now.mono);
        s.wait(wait)
    }),
];

#[test]
fn the_matrix_of_states_and_inputs() {
    let (mut rows, mut seen) = (Vec::new(), Vec::new());
    for (name, before) in states() {
        for (act_name, act) in ACTS {
            let mut after = before.clone();
            let said = act(&mut after);
            let (from, to) = (before.state_name(), after.state_name());
            rows.push(format!("{name} × {act_name} → {to}: {said}"));
            seen.push(Row::of(name, from, act_name, to, &said));
        }
    }
    insta::assert_snapshot!(rows.join("\n"));
    Page { rows: seen, ..PAGE }.check();
}

/// RUN-05, RUN-06: whatever the input, each state ends with all closed and one terminal event.
#[test]
fn from_every_state_the_end_of_time_is_one_end() {
    for (name, mut stage) in states() {
        let ended = stage.run.ended();
        let said = stage.wait(Limits::default().run_timeout);
        let ends = said.matches("ended").count();
        assert_eq!(ends, usize::from(ended.is_none()), "{name}: {said}");
        assert!(stage.run.ended().is_some() && stage.wait(Millis(1)).is_empty(), "{name}");
    }
}
