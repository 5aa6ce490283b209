//! The optimization agent: measures what the rules need, then applies them one after another.

use super::data::Collected;
use super::workflow::{DATA, OPTIMIZATION};
use crate::cost::display;
use crate::tools::{SavingsWaterfall, UsageLevers, Wanted};
use futures_util::future::BoxFuture;
use goldenpath_runtime::agent::{Agent, AgentError, Cx, Finish, Inputs, Task};

/// Finds savings.
pub struct Optimization;

impl Agent for Optimization {
    fn name(&self) -> &'static str {
        OPTIMIZATION
    }

    fn title(&self) -> &'static str {
        "Optimization"
    }

    fn run(&self, cx: Cx, task: Task) -> BoxFuture<'static, Result<Finish, AgentError>> {
        Box::pin(async move {
            let collected: Option<Collected> = Inputs::of(&task)?.get(DATA)?;
            let collected =
                collected.ok_or_else(|| AgentError::new("there are no measurements"))?;
            if !collected.scope.is_of_groups() {
                let words = "The rules look at whole models and features; the question asks for a part of them.";
                cx.think(words).await;
                return Ok(Finish::with(&Vec::<String>::new(), words)?);
            }
            let of = || Wanted::of(collected.scope.clone());
            let levers = cx.tool::<UsageLevers>(of()).await?;
            cx.think(format!(
                "Trying the rules on {} of {} that cost {}.",
                counted(levers.groups, "group"),
                counted(levers.rows, "row"),
                levers.cost.display(),
            ))
            .await;
            let savings = cx.tool::<SavingsWaterfall>(of()).await?;
            let rules: Vec<String> = savings
                .rules
                .iter()
                .map(|(rule, monthly)| format!("{} {}", rule.id(), monthly.display()))
                .collect();
            let words = if rules.is_empty() {
                format!("None of the rules applies to {}.", counted(savings.groups, "group"))
            } else {
                format!(
                    "{}: {} a month; together, one after another, {} of {}.",
                    if rules.len() == 1 {
                        "1 rule applies".into()
                    } else {
                        format!("{} rules apply", rules.len())
                    },
                    rules.join(", "),
                    savings.monthly.expected.display(),
                    savings.spend.display(),
                )
            };
            cx.think(words.clone()).await;
            Ok(Finish::with(&vec![levers.name], words)?)
        })
    }
}

fn counted(count: u64, noun: &str) -> String {
    display::counted(i64::try_from(count).unwrap_or(i64::MAX), noun)
}
