//! A team that does what the question says: to see what the server does when agents do not do well.
//!
//! The question is a script: `data 1 hang; report 0 panic` makes the agent `data` call a tool that never
//! answers in place of its second effect, and `report` panic before its first. Any other question goes
//! well. Refused in production, where questions are questions.

use crate::team::workflow;
use futures_util::future::BoxFuture;
use goldenpath_runtime::agent::{
    Agent, AgentError, Cx, Finish, Route, Task, Team, TeamError, Tool, ToolCx, ToolError,
    ToolPolicy,
};
use std::sync::Arc;
use std::time::Duration;

/// Hears of every call as it reaches a tool, and whether that tool may be called again.
pub type Ear = Arc<dyn Fn(&ToolCx, bool) + Send + Sync>;

/// Effects of an agent that goes well: thoughts and tools in turn.
const EFFECTS: u32 = 4;

/// How long `block` holds its thread and `slow` waits.
const WHILE: Duration = Duration::from_millis(1500);

/// What may go wrong at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// A tool holds its thread.
    Block,
    /// A tool fails; the agent goes on without it.
    Fail,
    /// A tool never answers.
    Hang,
    /// A tool that takes its time and must not be called twice.
    Once,
    /// The agent panics.
    Panic,
    /// The agent waits for nothing, for ever.
    Silent,
    /// A tool takes its time.
    Slow,
    /// A tool panics.
    ToolPanic,
}

const ACTS: [(&str, Act); 8] = [
    ("block", Act::Block),
    ("fail", Act::Fail),
    ("hang", Act::Hang),
    ("once", Act::Once),
    ("panic", Act::Panic),
    ("silent", Act::Silent),
    ("slow", Act::Slow),
    ("tool-panic", Act::ToolPanic),
];

/// What the question wants of `agent` at its effect `n`.
fn act(question: &str, agent: &str, n: u32) -> Option<Act> {
    question.split(';').find_map(|line| {
        let mut words = line.split_whitespace();
        let here = words.next()? == agent && words.next()?.parse() == Ok(n);
        let word = words.next().filter(|_| here)?;
        ACTS.iter().find(|(name, _)| *name == word).map(|(_, act)| *act)
    })
}

/// The team.
///
/// # Errors
/// Never, as its test shows.
pub fn team() -> Result<Team, TeamError> {
    team_heard_by(Arc::new(|_, _| {}))
}

/// The same, and somebody hears of the calls of its tools.
///
/// # Errors
/// Never.
pub fn team_heard_by(ear: Ear) -> Result<Team, TeamError> {
    let names = ["triage", "data_helper", "data", "optimization", "report"];
    let team = names
        .into_iter()
        .fold(Team::builder(workflow::workflow()), |team, name| team.agent(Scripted { name }));
    team.tool(Obey(ear.clone())).tool(Once(ear)).tool(Block).build()
}

struct Scripted {
    name: &'static str,
}

impl Agent for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> &'static str {
        "Scripted"
    }

    fn run(&self, cx: Cx, task: Task) -> BoxFuture<'static, Result<Finish, AgentError>> {
        let name = self.name;
        Box::pin(async move {
            let mut degraded = false;
            for n in 0..=EFFECTS {
                match act(&task.text, name, n) {
                    Some(Act::Panic) => panic!("the script of {name} says so"),
                    Some(Act::Silent) => std::future::pending().await,
                    Some(Act::Block) => degraded |= cx.tool::<Block>(()).await.is_err(),
                    Some(Act::Hang) => cx.tool::<Obey>("hang".into()).await?,
                    Some(Act::Slow) => cx.tool::<Obey>("slow".into()).await?,
                    Some(Act::Once) => degraded |= cx.tool::<Once>(()).await.is_err(),
                    Some(Act::Fail) => degraded |= cx.tool::<Obey>("fail".into()).await.is_err(),
                    Some(Act::ToolPanic) => {
                        degraded |= cx.tool::<Obey>("panic".into()).await.is_err();
                    }
                    None if n == EFFECTS => {}
                    None if n % 2 == 0 => cx.think(format!("{name} is at {n}")).await,
                    None => cx.tool::<Obey>("answer".into()).await?,
                }
            }
            let mut finish = Finish::with(&(), format!("{name} is done"))?;
            finish.degraded = degraded;
            finish.route = (name == "triage").then_some(Route::Full);
            finish.answer = (name == "report").then(|| format!("Asked: {}", task.text));
            Ok(finish)
        })
    }
}

/// Does what its argument says.
struct Obey(Ear);

impl Tool for Obey {
    type Args = String;
    type Out = ();
    const NAME: &'static str = "obey";
    const TITLE: &'static str = "Do as the script says";

    async fn call(&self, cx: ToolCx, what: String) -> Result<(), ToolError> {
        (self.0)(&cx, Self::policy().repeatable);
        match what.as_str() {
            "hang" => std::future::pending().await,
            "slow" => {
                tokio::time::sleep(WHILE).await;
                Ok(())
            }
            "fail" => Err(ToolError::fatal("the script says so")),
            "panic" => panic!("the script of a tool says so"),
            _ => Ok(()),
        }
    }
}

/// Has an effect that cannot be had twice.
struct Once(Ear);

impl Tool for Once {
    type Args = ();
    type Out = ();
    const NAME: &'static str = "once";
    const TITLE: &'static str = "Do something that cannot be repeated";

    fn policy() -> ToolPolicy {
        ToolPolicy { repeatable: false, ..ToolPolicy::default() }
    }

    async fn call(&self, cx: ToolCx, (): ()) -> Result<(), ToolError> {
        (self.0)(&cx, Self::policy().repeatable);
        tokio::time::sleep(WHILE).await;
        Ok(())
    }
}

/// Holds its thread.
struct Block;

impl Tool for Block {
    type Args = ();
    type Out = ();
    const NAME: &'static str = "block";
    const TITLE: &'static str = "Hold a thread";
    const BLOCKING: bool = true;

    async fn call(&self, _: ToolCx, (): ()) -> Result<(), ToolError> {
        std::thread::sleep(WHILE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_team_is_complete() {
        assert_eq!(team().unwrap().agents().count(), 5);
    }

    #[test]
    fn a_question_is_read_as_a_script() {
        let script = "data 1 hang; report 0 panic; data 2 nonsense";
        assert_eq!(act(script, "data", 1), Some(Act::Hang));
        assert_eq!(act(script, "report", 0), Some(Act::Panic));
        assert_eq!(act(script, "data", 2), None);
        assert_eq!(act("Analyze my AI costs", "data", 1), None);
    }
}
