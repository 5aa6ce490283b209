//! The data agent: independent measurements side by side, each of which may fail on its own.

use super::triage::Understood;
use super::workflow::{DATA, TRIAGE};
use crate::cost::analysis::Sufficiency;
use crate::cost::display;
use crate::cost::measure::{self, Missing, Scope};
use crate::tools::{
    Groups, UsageAnomalies, UsageBreakdown, UsageDaily, UsageForecast, UsageLevers, UsagePrevious,
    UsageTotals, UsageUnitCosts, Wanted, breakdowns_of,
};
use futures_util::future::BoxFuture;
use goldenpath_core::wire::{ErrorCode, ErrorInfo, Json};
use goldenpath_runtime::agent::{
    Agent, AgentError, Cx, Finish, Inputs, Task, Tool, join, join_all, join3,
};
use goldenpath_runtime::usage::Dimension;
use serde::{Deserialize, Serialize};

/// Measures.
pub struct Data;

/// What the data agent hands on: names of what is on the shelf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Collected {
    /// What was looked at.
    pub scope: Scope,
    /// What is on the shelf.
    pub measured: Vec<String>,
    /// What could not be measured.
    pub missing: Vec<Missing>,
}

impl Collected {
    fn keep<T>(&mut self, name: &str, what: &str, result: Result<T, ErrorInfo>) -> Option<T> {
        match result {
            Ok(value) => {
                self.measured.push(name.into());
                Some(value)
            }
            Err(error) => {
                self.missing.push(Missing { what: what.into(), why: error.message });
                None
            }
        }
    }
}

impl Agent for Data {
    fn name(&self) -> &'static str {
        DATA
    }

    fn title(&self) -> &'static str {
        "Data"
    }

    fn run(&self, cx: Cx, task: Task) -> BoxFuture<'static, Result<Finish, AgentError>> {
        Box::pin(async move {
            let understood: Option<Understood> = Inputs::of(&task)?.get(TRIAGE)?;
            let nothing = || AgentError::new("triage left nothing to measure");
            let understood = understood.ok_or_else(nothing)?;
            let scope = understood.scope.clone().ok_or_else(nothing)?;
            let period = scope.period;
            let only = scope.only().map(|only| format!(", {only}")).unwrap_or_default();
            let days = display::counted(period.days().into(), "day");
            cx.think(format!("Measuring {period} ({days}){only}.")).await;
            let (collected, read) = measure(&cx, &understood, scope).await;
            if collected.measured.is_empty() {
                let why = collected.missing.first().map(|missing| missing.why.clone());
                return Err(AgentError::new(why.unwrap_or_else(|| "nothing was measured".into())));
            }
            cx.think(read.clone()).await;
            look_closer(&cx, &collected).await;
            let degraded = !collected.missing.is_empty();
            Ok(Finish { degraded, ..Finish::with(&collected, read)? })
        })
    }
}

/// All queries at once. What came out, and in words what was read.
async fn measure(cx: &Cx, understood: &Understood, scope: Scope) -> (Collected, String) {
    let of = || Wanted::of(scope.clone());
    let dimensions = breakdowns_of(Some(&understood.reading));
    let breakdowns =
        join_all(dimensions.iter().map(|by| split(cx, *by, Wanted { by: Some(*by), ..of() })));
    // With partial data no optimization step follows, but what the rules need may be there.
    let rules = understood.inventory.sufficiency == Sufficiency::Partial && scope.is_of_groups();
    let levers = async { if rules { Some(cx.tool::<UsageLevers>(of()).await) } else { None } };
    let sums = join3(
        cx.tool::<UsageTotals>(of()),
        cx.tool::<UsagePrevious>(of()),
        cx.tool::<UsageDaily>(of()),
    );
    let ((totals, previous, daily), breakdowns, levers) = join3(sums, breakdowns, levers).await;
    let (measured, missing) = (Vec::new(), Vec::new());
    let mut all = Collected { scope: scope.clone(), measured, missing };
    let totals = all.keep("totals", "totals", totals);
    all.keep("previous", "the period before", previous);
    all.keep("daily", "cost by day", daily);
    let mut groups = Vec::new();
    for (by, breakdown) in dimensions.iter().zip(breakdowns) {
        let what = by.title().to_lowercase();
        let name = format!("by-{}", what.replace(' ', "-"));
        if let Some(breakdown) = all.keep(&name, &format!("cost by {what}"), breakdown) {
            let groups_of = breakdown.measured.groups;
            groups.push(display::counted(i64::try_from(groups_of).unwrap_or(i64::MAX), &what));
        }
    }
    if let Some(levers) = levers {
        all.keep("levers", "savings", levers);
    }
    let read = match &totals {
        Some(totals) => {
            let sums = totals.value;
            format!(
                "Read {}, {}, {}: {} for {}{}.",
                display::counted(sums.rows, "usage row"),
                display::counted(sums.days, "day"),
                groups.join(", "),
                sums.cost.display(),
                display::counted(sums.requests, "request"),
                scope.only().map(|only| format!(", {only}")).unwrap_or_default(),
            )
        }
        None => format!("The totals are missing; measured: {}.", all.measured.join(", ")),
    };
    (all, read)
}

/// One breakdown, under a title that says by what.
async fn split(cx: &Cx, by: Dimension, wanted: Wanted) -> Result<Groups, ErrorInfo> {
    let title = format!("Split the cost by {}", measure::noun(by));
    let shapeless = |error: serde_json::Error| {
        ErrorInfo::new(ErrorCode::ToolFailed, format!("{}: {error}", UsageBreakdown::NAME))
    };
    let args = Json::encode(&wanted).map_err(shapeless)?;
    let (name, policy) = (UsageBreakdown::NAME, UsageBreakdown::policy());
    cx.tool_named(name, &title, args, policy).await?.decode().map_err(shapeless)
}

/// What follows from the measurements. A failure here costs a thought, not the report, which computes
/// the same from the measurements themselves.
async fn look_closer(cx: &Cx, collected: &Collected) {
    let has = |name: &str| collected.measured.iter().any(|measured| measured == name);
    let of = || Wanted::of(collected.scope.clone());
    let units =
        async { if has("totals") { cx.tool::<UsageUnitCosts>(of()).await.ok() } else { None } };
    let ahead = async {
        if has("daily") {
            let (unusual, ahead) =
                join(cx.tool::<UsageAnomalies>(of()), cx.tool::<UsageForecast>(of())).await;
            (unusual.ok(), ahead.ok())
        } else {
            (None, None)
        }
    };
    let (units, (unusual, ahead)) = join(units, ahead).await;
    let mut words = Vec::new();
    if let Some(unit) = units.as_ref().and_then(|units| units.findings.first()) {
        words.push(format!("{} {}", unit.cost.display(), unit.what));
    }
    if let Some(unusual) = &unusual {
        let days = display::counted(i64::try_from(unusual.from).unwrap_or(i64::MAX), "day");
        words.push(format!("{} unusual of {days}", unusual.findings.len()));
    }
    if let Some(ahead) = ahead.as_ref().and_then(|ahead| ahead.findings.first()) {
        words.push(format!("{} expected for the {}", ahead.cost.display(), ahead.what));
    }
    if !words.is_empty() {
        cx.think(format!("{}.", words.join("; "))).await;
    }
}
