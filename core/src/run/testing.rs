//! A world for runs: agents as scripts, tools as rows of a table, a log. No async, no clock.

use super::*;
use crate::id::{Epoch, MessageId, RunId, Seq, ThreadId};
use crate::time::Wall;
use crate::wire::{Entry, ErrorCode, ErrorInfo, Json, ThoughtKind};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

pub(super) const START: Wall = Wall(1_795_255_873_000);

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(super) fn step(agent: &str, needs: &[&str]) -> StepSpec {
    StepSpec {
        agent: name(agent),
        title: format!("The {agent} agent"),
        purpose: format!("do {agent}"),
        needs: needs.iter().map(|needs| name(needs)).collect(),
    }
}

pub(super) fn workflow() -> Workflow {
    let report = || step("report", &[]);
    let routes = BTreeMap::from([
        (Route::Capabilities, vec![report()]),
        (Route::Fallback, vec![step("data_helper", &[]), report()]),
        (Route::Full, vec![step("data", &[]), step("optimization", &["data"]), report()]),
        (Route::Guidance, vec![step("data_helper", &[]), report()]),
        (Route::Partial, vec![step("data_helper", &[]), step("data", &[]), report()]),
    ]);
    Workflow::new(step("supervisor", &[]), step("triage", &[]), routes).unwrap()
}

/// One thing an agent does.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Think(String),
    /// Calls the tool of this name.
    Tool(String),
    Delegate(String),
}

/// What an agent does: chains joined group by group; the acts of a chain wait for each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub(super) groups: Vec<Vec<Vec<Act>>>,
    /// `None`: never ends.
    pub(super) end: Option<Result<Finish, ErrorInfo>>,
}

/// What a tool does at each try; the last counts for all after it.
#[derive(Clone, Debug)]
pub(super) enum Does {
    Return(String),
    /// A result that travels by reference.
    ReturnStored(String),
    Fail {
        transient: bool,
    },
    Hang,
}

#[derive(Clone, Debug)]
pub(super) struct ToolRow {
    pub(super) tries: Vec<Does>,
    pub(super) takes: Millis,
    pub(super) policy: ToolPolicy,
}

impl ToolRow {
    pub(super) fn returns(text: &str) -> Self {
        let policy = ToolPolicy::default();
        Self { tries: vec![Does::Return(text.into())], takes: Millis(5), policy }
    }
}

/// A script at work.
struct Coroutine {
    script: Script,
    group: usize,
    /// Per chain: the next act, and the effect it waits for.
    chains: Vec<(usize, Option<u32>)>,
    next: u32,
}

impl Coroutine {
    fn poll(&mut self, tools: &BTreeMap<String, ToolRow>) -> Vec<AgentSays> {
        let mut says = Vec::new();
        loop {
            let Some(group) = self.script.groups.get(self.group) else {
                says.extend(match self.script.end.take() {
                    Some(Ok(finish)) => Some(AgentSays::Finished(finish)),
                    Some(Err(error)) => Some(AgentSays::Failed(error)),
                    None => None,
                });
                return says;
            };
            self.chains.resize(group.len(), (0, None));
            for (chain, (at, waits)) in group.iter().zip(&mut self.chains) {
                if waits.is_none()
                    && let Some(act) = chain.get(*at)
                {
                    let request = match act {
                        Act::Think(text) => Request::Think {
                            text: text.clone(),
                            kind: ThoughtKind::Status,
                            progress: None,
                        },
                        Act::Tool(tool) => Request::Tool {
                            tool: name(tool),
                            title: format!("Call {tool}"),
                            args: Json::parse("{}").unwrap(),
                            policy: tools[tool].policy,
                        },
                        Act::Delegate(agent) => Request::Delegate {
                            agent: name(agent),
                            title: format!("The {agent} agent"),
                            task: Task { text: "go".into(), inputs: Json::null() },
                        },
                    };
                    says.push(AgentSays::Request { n: self.next, request });
                    *waits = Some(self.next);
                    *at += 1;
                    self.next += 1;
                }
            }
            let done = |(chain, (at, waits)): (&Vec<Act>, &(usize, Option<u32>))| {
                waits.is_none() && *at == chain.len()
            };
            if !group.iter().zip(&self.chains).all(done) {
                return says;
            }
            self.group += 1;
            self.chains.clear();
        }
    }

    fn answered(&mut self, n: u32) {
        for (_, waits) in &mut self.chains {
            if *waits == Some(n) {
                *waits = None;
            }
        }
    }
}

/// Everything around a run.
pub(super) struct World {
    pub(super) scripts: BTreeMap<String, Script>,
    pub(super) tools: BTreeMap<String, ToolRow>,
    pub(super) limits: Arc<Limits>,
    pub(super) now: Now,
    pub(super) run: Run,
    pub(super) log: Vec<Entry>,
    pub(super) ended: Vec<RunStatus>,
    /// Tool calls that reached the outside: tool and attempt.
    pub(super) calls: Vec<(ToolCallId, String, u32)>,
    /// What each agent was asked to do.
    pub(super) tasks: Vec<(String, Task)>,
    /// Input doubled now and then, as a nervous driver would.
    pub(super) doubling: Option<Seed>,
    coroutines: BTreeMap<AgentRunId, Coroutine>,
    pending: Vec<(Mono, ToolCallId, u32, ToolOutcome)>,
}

pub(super) fn assignment(attempt: u32, history: Vec<Entry>) -> Assignment {
    Assignment {
        run_id: RunId(77),
        thread_id: ThreadId(5),
        epoch: Epoch(1),
        message_id: MessageId(6),
        message_seq: Seq(2),
        question: "Analyze my AI costs".into(),
        attempt,
        started_at: START,
        history,
    }
}

impl World {
    pub(super) fn new(
        scripts: BTreeMap<String, Script>,
        tools: BTreeMap<String, ToolRow>,
        limits: Limits,
    ) -> Self {
        let now = Now { mono: Mono(1_000), wall: START };
        let limits = Arc::new(limits);
        let assignment = assignment(1, vec![]);
        let run = Run::new(assignment, Arc::new(workflow()), limits.clone(), Seed::new(1), now);
        let mut world = Self {
            scripts,
            tools,
            limits,
            now,
            run,
            log: vec![],
            ended: vec![],
            calls: vec![],
            tasks: vec![],
            doubling: None,
            coroutines: BTreeMap::new(),
            pending: vec![],
        };
        world.drain();
        world
    }

    /// The server died after `keep` entries and comes back.
    pub(super) fn crash(&mut self, keep: usize) {
        self.log.truncate(keep);
        self.coroutines.clear();
        self.pending.clear();
        self.ended.clear();
        self.calls.clear();
        self.now = Now { mono: Mono(0), wall: self.now.wall.after(Millis(700)) };
        let attempt = self.run.assignment.attempt + 1;
        self.run = Run::new(
            assignment(attempt, self.log.clone()),
            Arc::new(workflow()),
            self.limits.clone(),
            Seed::new(1000 + u64::from(attempt)),
            self.now,
        );
        self.drain();
    }

    pub(super) fn input(&mut self, input: Input) {
        self.run.handle_input(self.now, input.clone());
        if self.doubling.as_mut().is_some_and(|seed| seed.below(3) == 0) {
            let ignored = self.run.ignored();
            self.run.handle_input(self.now, input.clone());
            let known = matches!(input, Input::ToolProgress { .. });
            assert!(known || self.run.ignored() == ignored + 1, "taken in twice: {input:?}");
        }
        self.drain();
    }

    fn speak(&mut self, agent_run_id: AgentRunId) {
        let Some(coroutine) = self.coroutines.get_mut(&agent_run_id) else { return };
        for says in coroutine.poll(&self.tools) {
            // A real driver hands over all requests of one poll before it drains.
            self.run.handle_input(self.now, Input::Agent { agent_run_id, says });
        }
    }

    pub(super) fn drain(&mut self) {
        loop {
            match self.run.poll_output() {
                Output::AbortTool { tool_call_id } => {
                    self.pending.retain(|(_, id, ..)| *id != tool_call_id);
                }
                Output::Answer { agent_run_id, n, .. } => {
                    if let Some(coroutine) = self.coroutines.get_mut(&agent_run_id) {
                        coroutine.answered(n);
                        self.speak(agent_run_id);
                    }
                }
                Output::Append(draft) => {
                    assert!(self.ended.is_empty(), "something after the end");
                    let seq = Seq(self.log.len() as u64 + 3);
                    let frame = draft.encode().frame(seq, false);
                    self.log.push(Entry::decode(frame.bytes()).unwrap());
                }
                Output::CallTool { tool_call_id, tool, attempt, .. } => {
                    self.calls.push((tool_call_id, tool.to_string(), attempt));
                    let row = &self.tools[tool.as_str()];
                    let at = (attempt as usize - 1).min(row.tries.len() - 1);
                    let due = self.now.mono.after(row.takes);
                    if let Some(outcome) = outcome(&row.tries[at]) {
                        self.pending.push((due, tool_call_id, attempt, outcome));
                    }
                }
                Output::Confirm { tool_call_id } => {
                    self.run.handle_input(self.now, Input::Durable { tool_call_id });
                }
                Output::Ended(status) => self.ended.push(status),
                Output::Idle(_) => return,
                Output::LoadResult { tool_call_id, reference, attempt } => {
                    let value = Json::encode(reference.trim_start_matches("/stored/")).unwrap();
                    let outcome = ToolOutcome::Returned(ToolResult { value, stored: None });
                    let due = self.now.mono.after(Millis(3));
                    self.pending.push((due, tool_call_id, attempt, outcome));
                }
                Output::Progress { .. } => {}
                Output::StartAgent { agent, task } => {
                    self.tasks.push((agent.name.to_string(), task));
                    let script = self.scripts.get(agent.name.as_str()).cloned();
                    let script = script.unwrap_or_default();
                    let coroutine = Coroutine { script, group: 0, chains: vec![], next: 0 };
                    self.coroutines.insert(agent.agent_run_id, coroutine);
                    self.speak(agent.agent_run_id);
                }
                Output::StopAgent { agent_run_id } => {
                    self.coroutines.remove(&agent_run_id);
                }
            }
        }
    }

    /// Moves to the next thing that happens, and lets it happen; `false` when nothing will.
    pub(super) fn step(&mut self) -> bool {
        let deadline = match self.run.poll_output() {
            Output::Idle(deadline) => deadline,
            other => panic!("not drained: {other:?}"),
        };
        let next = self.pending.iter().map(|(due, ..)| *due).min();
        let Some(due) = earliest(next, deadline) else { return false };
        let wait = due.since(self.now.mono);
        self.now = self.now.after(wait);
        if next.is_some_and(|next| next <= self.now.mono) {
            let at = self.pending.iter().position(|(due, ..)| *due <= self.now.mono).unwrap();
            let (_, tool_call_id, attempt, outcome) = self.pending.remove(at);
            self.input(Input::ToolDone { tool_call_id, attempt, outcome });
        } else {
            self.run.handle_timeout(self.now);
            self.drain();
        }
        true
    }

    pub(super) fn finish(&mut self) {
        for _ in 0..20_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the run does not end");
    }

    /// What an event list must look like, whatever happened (RUN-02 to RUN-06).
    pub(super) fn check(&self) {
        let grammar = Grammar::replay(RunId(77), &self.log).unwrap();
        assert_eq!(self.ended.len(), 1, "one end");
        assert_eq!(grammar.ended(), Some(self.ended[0]));
        let terminal = self.log.iter().filter(|e| e.event.terminal_status().is_some()).count();
        assert_eq!(terminal, 1, "one terminal event");
        assert!(self.log.last().unwrap().event.terminal_status().is_some());
    }

    /// The log as lines, ids replaced by what they belong to.
    pub(super) fn lines(&self) -> Vec<String> {
        self.log.iter().map(line).collect()
    }
}

fn outcome(does: &Does) -> Option<ToolOutcome> {
    let value = |text: &String| Json::encode(text).unwrap();
    Some(match does {
        Does::Return(text) => {
            ToolOutcome::Returned(ToolResult { value: value(text), stored: None })
        }
        Does::ReturnStored(text) => ToolOutcome::Returned(ToolResult {
            value: value(text),
            stored: Some(StoredResult {
                reference: format!("/stored/{text}"),
                preview: Json::encode("…").unwrap(),
            }),
        }),
        Does::Fail { transient } => ToolOutcome::Failed {
            error: ErrorInfo::new(ErrorCode::ToolFailed, "it broke"),
            transient: *transient,
            retry_after: None,
        },
        Does::Hang => return None,
    })
}

fn line(entry: &Entry) -> String {
    let who = entry.agent.as_ref().map_or("run", |agent| agent.name.as_str());
    let what = match &entry.event {
        Event::RunPlan { route, steps } => {
            let steps: Vec<_> = steps.iter().map(|step| step.agent.as_str()).collect();
            format!("run_plan {route}: {}", steps.join(", "))
        }
        Event::AgentStarted { step, of, .. } => format!("agent_started {step}/{of}"),
        Event::AgentThinking { thought_id, text, .. } => {
            format!("agent_thinking #{thought_id} {text}")
        }
        Event::ToolExecuting { tool, .. } => format!("tool_executing {tool}"),
        Event::ToolCompleted { tool, status, result, error, .. } => {
            let error = error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
            format!("tool_completed {tool} {status:?} {result:?} {error}")
        }
        Event::AgentCompleted { status, summary, tools, .. } => {
            format!(
                "agent_completed {status:?} \"{summary}\" tools {}/{}",
                tools.failed, tools.total
            )
        }
        Event::AssistantMessage { content, partial, .. } => {
            format!("assistant_message partial={partial} {content:?}")
        }
        Event::RunCompleted { status, .. } => format!("run_completed {status:?}"),
        Event::RunTimedOut { agent, partial, .. } => {
            format!("run_timed_out {agent:?} partial={partial}")
        }
        Event::RunFailed { error, .. } => format!("run_failed {}", error.message),
        Event::RunInterrupted { reason, .. } => format!("run_interrupted {reason}"),
        Event::RunCancelled { reason, .. } => format!("run_cancelled {reason}"),
        other => other.type_name().to_string(),
    };
    format!("{who}: {what}").trim_end().to_string()
}

pub(super) fn done(summary: &str) -> Option<Result<Finish, ErrorInfo>> {
    let output = Json::encode(summary).unwrap();
    Some(Ok(Finish { summary: summary.into(), output, ..Finish::default() }))
}

pub(super) fn broken(message: &str) -> Option<Result<Finish, ErrorInfo>> {
    Some(Err(ErrorInfo::new(ErrorCode::AgentFailed, message)))
}

pub(super) fn routed(route: Route) -> Option<Result<Finish, ErrorInfo>> {
    let finish = Finish { summary: "Routed".into(), route: Some(route), ..Finish::default() };
    Some(Ok(finish))
}

pub(super) fn reported() -> Option<Result<Finish, ErrorInfo>> {
    let finish = Finish {
        summary: "Reported".into(),
        answer: Some("# The answer".into()),
        ..Finish::default()
    };
    Some(Ok(finish))
}

pub(super) fn think(text: &str) -> Act {
    Act::Think(text.into())
}

pub(super) fn call(tool: &str) -> Act {
    Act::Tool(tool.into())
}

/// Scripts of a team in which every agent thinks and calls a tool of its own.
pub(super) fn team(route: Route) -> (BTreeMap<String, Script>, BTreeMap<String, ToolRow>) {
    let mut scripts = BTreeMap::new();
    let mut tools = BTreeMap::new();
    for agent in ["triage", "data", "data_helper", "optimization", "report"] {
        let tool = format!("{agent}_tool");
        tools.insert(tool.clone(), ToolRow::returns(&tool));
        let end = match agent {
            "triage" => routed(route),
            "report" => reported(),
            _ => done(agent),
        };
        let groups = vec![vec![vec![think(agent), call(&tool)]]];
        scripts.insert(agent.into(), Script { groups, end });
    }
    (scripts, tools)
}
