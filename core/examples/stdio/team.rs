//! Two agents and a tool, enough for a golden path: triage says that there is work, the writer counts
//! the words of the question with a tool and reports the count.

use goldenpath_core::id::{AgentRunId, Name};
use goldenpath_core::run::{
    AgentSays, Answer, Finish, Input, Output, Request, Route, StepSpec, ToolOutcome, ToolPolicy,
    ToolResult, Workflow,
};
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{Json, ThoughtKind};
use std::collections::BTreeMap;

/// What each agent at work was asked.
#[derive(Default)]
pub(crate) struct Team {
    questions: BTreeMap<AgentRunId, (Name, String)>,
}

/// Triage, then the writer, whatever the question.
pub(crate) fn workflow() -> Workflow {
    let routes = Route::ALL.map(|route| (route, vec![member("writer")])).into();
    Workflow::new(member("supervisor"), member("triage"), routes)
        .expect("every route ends with the writer")
}

impl Team {
    /// What an agent or tool says to what its run wants of it; nothing to what needs no answer.
    pub(crate) fn work(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::StartAgent { agent, task } => {
                let says = match agent.name.as_str() {
                    "triage" => AgentSays::Finished(Finish {
                        summary: "A question".into(),
                        route: Some(Route::Full),
                        ..Finish::default()
                    }),
                    _ => ask(0, think("I count the words")),
                };
                self.questions.insert(agent.agent_run_id, (agent.name, task.text));
                Some(Input::Agent { agent_run_id: agent.agent_run_id, says })
            }
            Output::Answer { agent_run_id, n, answer } => {
                let (_, question) = self.questions.get(&agent_run_id)?;
                let says = match answer {
                    Answer::Tool(Ok(count)) => finished(count),
                    Answer::Tool(Err(error)) => AgentSays::Failed(error),
                    Answer::Delegated(_) | Answer::Thought => ask(n + 1, count_words(question)),
                };
                Some(Input::Agent { agent_run_id, says })
            }
            Output::CallTool { tool_call_id, args, attempt, .. } => {
                let words = args.decode::<String>().unwrap_or_default();
                let value = Json::encode(&words.split_whitespace().count()).unwrap_or_default();
                let outcome = ToolOutcome::Returned(ToolResult { value, stored: None });
                Some(Input::ToolDone { tool_call_id, attempt, outcome })
            }
            Output::StopAgent { agent_run_id } => {
                self.questions.remove(&agent_run_id);
                None
            }
            _ => None,
        }
    }
}

fn finished(count: Json) -> AgentSays {
    AgentSays::Finished(Finish {
        summary: "Counted".into(),
        answer: Some(format!("Your question has {} words.", count.as_str())),
        output: count,
        ..Finish::default()
    })
}

const fn ask(n: u32, request: Request) -> AgentSays {
    AgentSays::Request { n, request }
}

fn think(text: &str) -> Request {
    Request::Think { text: text.into(), kind: ThoughtKind::Status, progress: None }
}

fn count_words(question: &str) -> Request {
    Request::Tool {
        tool: name("word_count"),
        title: "Count words".into(),
        args: Json::encode(question).unwrap_or_default(),
        policy: ToolPolicy { timeout: Millis::from_secs(1), attempts: 1, repeatable: true },
    }
}

fn member(agent: &str) -> StepSpec {
    StepSpec {
        agent: name(agent),
        title: agent.into(),
        purpose: "shows the path".into(),
        needs: Vec::new(),
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a short text without control characters")
}
