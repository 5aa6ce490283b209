//! The tools of the built-in team: where its agents touch data, prices and clocks.
//!
//! Measurements may be large, so they stay on the run's shelf: the log gets what a person wants to see of
//! each, the report is made from the whole. A shelf is written before its tool's event, so a recovered
//! run finds there what its log speaks of.

mod compose;
mod derive;
mod look;
mod measure;

pub(crate) use compose::dimensions as breakdowns_of;
pub use compose::{Ask, ComposeReport, Composed, FACTS, Kind};
pub use derive::{
    Derived, Finding, Savings, SavingsWaterfall, UsageAnomalies, UsageForecast, UsageUnitCosts,
};
pub use look::{ClassifyQuestion, DataInventory, InspectData, Inspection, Inventory, Question};
pub use measure::{
    Groups, Measured, UsageBreakdown, UsageDaily, UsageLevers, UsagePrevious, UsageTotals, Wanted,
};

use crate::cost::prices::PriceTable;
use crate::cost::thresholds::Thresholds;
use goldenpath_runtime::agent::{Shelf, TeamBuilder, ToolCx, ToolError};
use goldenpath_runtime::usage::{Answer, Day, Tenant, UsageError, UsageStore};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the tools work with; shared by all runs.
#[derive(Clone)]
pub struct Instruments {
    /// The usage records.
    pub usage: Arc<dyn UsageStore>,
    /// What models cost.
    pub prices: Arc<PriceTable>,
    /// The settings of the analysis.
    pub thresholds: Arc<Thresholds>,
    /// Whether a visitor can have demonstration data.
    pub demo: bool,
}

/// No arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// Gives a team all tools.
#[must_use]
pub fn equip(team: TeamBuilder, instruments: &Instruments) -> TeamBuilder {
    let with = || instruments.clone();
    team.tool(ClassifyQuestion(with()))
        .tool(DataInventory(with()))
        .tool(InspectData(with()))
        .tool(UsageTotals(with()))
        .tool(UsagePrevious(with()))
        .tool(UsageBreakdown(with()))
        .tool(UsageDaily(with()))
        .tool(UsageLevers(with()))
        .tool(UsageUnitCosts)
        .tool(UsageAnomalies(with()))
        .tool(UsageForecast(with()))
        .tool(SavingsWaterfall(with()))
        .tool(ComposeReport(with()))
}

/// Whose rows: those of the run's user and no others.
fn tenant(cx: &ToolCx) -> Tenant {
    Tenant::of(cx.user())
}

/// The day the run started: the same for all its tools, and after a crash.
fn today(cx: &ToolCx) -> Day {
    let micros = cx.run_started_at().0.saturating_mul(1000);
    Day::of_timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// What the user hears of a store that did not answer; its own words go to the log.
fn refused(error: UsageError) -> ToolError {
    match error {
        UsageError::LimitExceeded(limit) => {
            ToolError::fatal(format!("it took more {limit} than allowed"))
        }
        UsageError::Refused(why) => ToolError::invalid(why),
        UsageError::ImportExists => ToolError::fatal("an import is in the way"),
        UsageError::Storage(why) => {
            tracing::warn!(why, "the usage store failed");
            ToolError::transient("the usage store did not answer")
        }
    }
}

/// Keeps a measurement for the tools after this one.
async fn shelve<T: Serialize>(
    shelf: &Shelf,
    name: &str,
    answer: &Answer<T>,
) -> Result<(), ToolError> {
    let bytes = serde_json::to_vec(answer).map_err(|error| ToolError::fatal(error.to_string()))?;
    shelf.put(&on_shelf(name), "application/json", bytes).await.map(drop)
}

/// Takes a measurement from the shelf.
async fn take<T: DeserializeOwned>(shelf: &Shelf, name: &str) -> Result<Answer<T>, ToolError> {
    let bytes = shelf.get(&on_shelf(name)).await?;
    serde_json::from_slice(&bytes).map_err(|error| ToolError::fatal(format!("{name}: {error}")))
}

fn on_shelf(name: &str) -> String {
    format!("measured-{name}.json")
}
