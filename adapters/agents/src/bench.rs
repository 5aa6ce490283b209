//! `goldenpath serve --agents bench`: five agents whose tools answer at once, to measure the server and
//! not the analytics. A run has 28 entries; the snapshot of the test lists those that agents make.

use crate::team::workflow::{self, DATA, DATA_HELPER, OPTIMIZATION, REPORT, TRIAGE};
use futures_util::future::BoxFuture;
use goldenpath_runtime::agent::{
    Agent, AgentError, Cx, Finish, Route, Task, Team, TeamError, Tool, ToolCx, ToolError,
};
use serde::{Deserialize, Serialize};

/// The team.
///
/// # Errors
/// Never, as its test shows.
pub fn team() -> Result<Team, TeamError> {
    Team::builder(workflow::workflow())
        .agent(Step { name: TRIAGE, title: "Triage" })
        .agent(Step { name: DATA_HELPER, title: "Data helper" })
        .agent(Step { name: DATA, title: "Data" })
        .agent(Step { name: OPTIMIZATION, title: "Optimization" })
        .agent(Step { name: REPORT, title: "Report" })
        .tool(AtOnce)
        .build()
}

/// An agent that thinks (triage does not), calls one tool, and is done.
struct Step {
    name: &'static str,
    title: &'static str,
}

impl Agent for Step {
    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> &'static str {
        self.title
    }

    fn run(&self, cx: Cx, _: Task) -> BoxFuture<'static, Result<Finish, AgentError>> {
        let name = self.name;
        Box::pin(async move {
            if name != TRIAGE {
                cx.think("Calling a tool that answers at once.").await;
            }
            let Echo { number } = cx.tool::<AtOnce>(Echo { number: 28 }).await?;
            Ok(Finish {
                summary: format!("The tool answered {number}."),
                route: (name == TRIAGE).then_some(Route::Full),
                answer: (name == REPORT).then(|| format!("All tools answered, with {number}.")),
                ..Finish::default()
            })
        })
    }
}

/// Returns what it is given.
struct AtOnce;

#[derive(Serialize, Deserialize)]
struct Echo {
    number: u64,
}

impl Tool for AtOnce {
    type Args = Echo;
    type Out = Echo;
    const NAME: &'static str = "at_once";
    const TITLE: &'static str = "Answer at once";

    async fn call(&self, _: ToolCx, args: Echo) -> Result<Echo, ToolError> {
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldenpath_core::wire::{Entry, Event};
    use goldenpath_runtime::agent::testing::Stage;
    use std::sync::Arc;

    /// `user_message`, `run_queued` and `run_started` are the hub's.
    const OF_THE_HUB: usize = 3;

    fn line(entry: &Entry) -> String {
        let who = entry.agent.as_ref().map_or("run", |agent| agent.name.as_str());
        format!("{who}: {}", entry.event.type_name())
    }

    #[tokio::test]
    async fn a_run_has_28_entries_in_one_batch() {
        let stage = Stage::new(Arc::new(team().unwrap()), goldenpath_simulator::scope_of("ada"));
        let played = stage.ask("Anything").await;
        let lines: Vec<String> = played.entries.iter().map(line).collect();
        insta::assert_snapshot!(lines.join("\n"));
        assert_eq!(lines.len() + OF_THE_HUB, 28);
        assert_eq!(played.batches, 1);
        assert!(matches!(played.entries.last().unwrap().event, Event::RunCompleted { .. }));
    }

    #[tokio::test]
    async fn a_crash_at_any_entry_changes_nothing() {
        let stage = Stage::new(Arc::new(team().unwrap()), goldenpath_simulator::scope_of("ada"));
        stage.crash_everywhere("Anything").await;
    }
}
