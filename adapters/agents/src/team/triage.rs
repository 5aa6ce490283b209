//! Triage: what is asked, what data there are, and so which way to go.

use super::workflow::TRIAGE;
use crate::cost::analysis::Sufficiency;
use crate::cost::display;
use crate::cost::measure::Scope;
use crate::cost::thresholds::Thresholds;
use crate::cost::triage::{Intent, Triage as Reading};
use crate::tools::{ClassifyQuestion, DataInventory, Inventory, Nothing, Question};
use futures_util::future::BoxFuture;
use goldenpath_runtime::agent::{Agent, AgentError, Cx, Finish, Route, Task, join};
use goldenpath_runtime::usage::{Coverage, Day, Period};
use serde::{Deserialize, Serialize};

/// The first agent of every run.
pub struct Triage;

/// What triage hands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Understood {
    /// What the question asks for.
    pub reading: Reading,
    /// What data there are.
    pub inventory: Inventory,
    /// What to look at; `None` without data.
    pub scope: Option<Scope>,
}

impl Agent for Triage {
    fn name(&self) -> &'static str {
        TRIAGE
    }

    fn title(&self) -> &'static str {
        "Triage"
    }

    fn run(&self, cx: Cx, task: Task) -> BoxFuture<'static, Result<Finish, AgentError>> {
        Box::pin(async move {
            let question = Question { question: task.text };
            let reading = cx.tool::<ClassifyQuestion>(question);
            let inventory = cx.tool::<DataInventory>(Nothing {});
            let (reading, inventory) = join(reading, inventory).await;
            let (reading, inventory) = (reading?, inventory?);
            let coverage = &inventory.coverage.value;
            let found = found(coverage);
            cx.think(format!("{} {found}", understood(&reading))).await;
            let scope = reading.scope(coverage, &Thresholds::default());
            let route = route(reading.intent, inventory.sufficiency, scope.is_some());
            let summary = format!("{} {found} Route: {}.", understood(&reading), route.as_str());
            let output = Understood { reading, inventory, scope };
            Ok(Finish { route: Some(route), ..Finish::with(&output, summary)? })
        })
    }
}

fn understood(reading: &Reading) -> String {
    let asked = match reading.intent {
        Intent::Analyze => "a complete analysis",
        Intent::Anomalies => "unusual days",
        Intent::Breakdown => "a breakdown",
        Intent::Budget => "whether a budget holds",
        Intent::Capabilities => "what this team can do",
        Intent::Data => "what data there are",
        Intent::Forecast => "a forecast",
        Intent::Import => "how to load data",
        Intent::Ratios => "ratios",
        Intent::Savings => "savings",
        Intent::Spend => "how much was spent",
        Intent::Trend => "a trend",
        Intent::UnitCost => "what one of something costs",
        Intent::Unknown => {
            return "The question is not recognised as one about AI costs.".into();
        }
    };
    let only = only(reading).map(|only| format!(", {only}")).unwrap_or_default();
    let mut words = format!(
        "Understood as a question about {asked}{only} (confidence {} %).",
        reading.confidence
    );
    for missing in &reading.missing {
        words.push_str(&format!(" {missing}."));
    }
    words
}

/// The filters of a question in words.
fn only(reading: &Reading) -> Option<String> {
    let period = Period::of_days(Day(0), Day(0));
    Scope { period, filters: reading.slots.filters.clone() }.only()
}

fn found(coverage: &Coverage) -> String {
    let count = |count: u64, noun| display::counted(i64::try_from(count).unwrap_or(i64::MAX), noun);
    match coverage.days {
        None => "There are no usage records.".into(),
        Some((first, last)) => format!(
            "There are {} of {} {}, from {}.",
            count(coverage.rows, "usage record"),
            count(coverage.days_with_data, "day"),
            display::days(Period::of_days(first, last)),
            count(coverage.sources.len() as u64, "source"),
        ),
    }
}

fn route(intent: Intent, data: Sufficiency, has_scope: bool) -> Route {
    match (intent, data) {
        (Intent::Capabilities | Intent::Unknown, _) => Route::Capabilities,
        (Intent::Data | Intent::Import, _) | (_, Sufficiency::None) => Route::Guidance,
        _ if !has_scope => Route::Guidance,
        (_, Sufficiency::Partial) => Route::Partial,
        (_, Sufficiency::Sufficient) => Route::Full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_and_the_data_at_hand_decide_the_route() {
        let cases = [
            (Intent::Analyze, Sufficiency::Sufficient, Route::Full),
            (Intent::Analyze, Sufficiency::Partial, Route::Partial),
            (Intent::Analyze, Sufficiency::None, Route::Guidance),
            (Intent::Savings, Sufficiency::Sufficient, Route::Full),
            (Intent::Import, Sufficiency::Sufficient, Route::Guidance),
            (Intent::Data, Sufficiency::Partial, Route::Guidance),
            (Intent::Unknown, Sufficiency::None, Route::Capabilities),
            (Intent::Capabilities, Sufficiency::Sufficient, Route::Capabilities),
        ];
        for (intent, data, expected) in cases {
            assert_eq!(route(intent, data, true), expected, "{intent:?} with {data:?}");
        }
        assert_eq!(route(Intent::Analyze, Sufficiency::Sufficient, false), Route::Guidance);
    }
}
