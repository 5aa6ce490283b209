//! From measurements to an analysis: pure, the same input gives the same result.

use goldenpath_runtime::usage::{Coverage, Day, Usd};
use serde::{Deserialize, Serialize};

use super::anomaly::{self, Anomaly};
use super::forecast::{self, BudgetOutlook, Forecast};
use super::measure::{Measurements, Missing, Scope};
use super::prices::PriceTable;
use super::rules::{self, Quality, Waterfall};
use super::thresholds::Thresholds;
use super::triage::Triage;

/// Everything computed for one question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// What was looked at.
    pub scope: Scope,
    /// What was measured.
    pub measurements: Measurements,
    /// A6: unusual days, the largest first.
    pub anomalies: Vec<Anomaly>,
    /// A7: the next days.
    pub forecast: Option<Forecast>,
    /// Whether the budget of the question will hold.
    pub budget: Option<BudgetOutlook>,
    /// The rules that save money.
    pub savings: Option<Waterfall>,
    /// Q1 and Q2.
    pub quality: Quality,
    /// What limits the analysis, in words for the user.
    pub gaps: Vec<Missing>,
    /// What the answer has to begin with: the question was not understood as a whole. `None` when it was.
    #[serde(default)]
    pub caution: Option<Missing>,
}

impl Analysis {
    /// Says what of the question the analysis does not answer.
    #[must_use]
    pub fn of(mut self, question: &Triage) -> Self {
        self.caution = question.missing.first().cloned();
        self.gaps.extend(question.missing.iter().cloned());
        let coverage = self.measurements.coverage.as_ref();
        self.gaps.extend(coverage.and_then(|coverage| question.beyond(&coverage.value)));
        self
    }
}

/// How much data there are: decides the workflow (full, partial, guidance).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sufficiency {
    /// Enough for every analysis.
    Sufficient,
    /// Something, with gaps to be named.
    Partial,
    /// Nothing: say what to load and how.
    None,
}

/// Days of data below which trends and anomalies are not reliable.
const FEW_DAYS: u64 = 7;

/// Judges what data there are, and names the gaps.
pub fn sufficiency(coverage: &Coverage) -> (Sufficiency, Vec<Missing>) {
    if coverage.rows == 0 {
        return (Sufficiency::None, Vec::new());
    }
    let mut gaps = Vec::new();
    let mut gap = |what: &str, why: &str| gaps.push(Missing { what: what.into(), why: why.into() });
    if coverage.days_with_data < FEW_DAYS {
        gap(
            "trend, unusual days, interval of the forecast",
            "less than a week of data; load more days",
        );
    }
    if coverage.with_feature == 0 {
        gap(
            "cost by feature",
            "no record names a feature; tag requests (LiteLLM: request_tags \"feature:…\") or map a column",
        );
    }
    if coverage.with_team == 0 {
        gap(
            "cost by team",
            "no record names a team; use one key or team per owner, or map a column",
        );
    }
    if coverage.unpriced == coverage.rows {
        gap(
            "cost",
            "no record has a known price; check the model names, or load records with their cost",
        );
    }
    if coverage.single_requests == 0 {
        gap(
            "savings by request",
            "the records are daily sums; load request-level logs to find waste and verbose answers",
        );
    }
    let sufficiency = if gaps.is_empty() { Sufficiency::Sufficient } else { Sufficiency::Partial };
    (sufficiency, gaps)
}

/// Analyses what was measured. `today` selects the prices of the savings, `budget` is for the forecast's
/// days.
pub fn analyse(
    measurements: Measurements,
    scope: Scope,
    today: Day,
    budget: Option<Usd>,
    prices: &PriceTable,
    thresholds: &Thresholds,
) -> Analysis {
    let days = measurements.cost_by_day(scope.period);
    let shares = measurements.daily.as_ref().map(|daily| daily.value.as_slice());
    let anomalies =
        shares.map(|shares| anomaly::find(&days, shares, thresholds)).unwrap_or_default();
    let horizon = thresholds.forecast_days;
    let forecast = shares.and_then(|_| forecast::forecast(&days, &anomalies, horizon));
    let outlook = forecast.as_ref().zip(budget).map(|(forecast, budget)| forecast.outlook(budget));
    let window_days = scope.period.days();
    let savings = measurements
        .levers
        .as_ref()
        .map(|levers| rules::apply(&levers.value, window_days, today, prices, thresholds));
    let quality = rules::quality(&measurements, thresholds);
    let mut gaps = measurements.missing.clone();
    if let Some(coverage) = &measurements.coverage {
        gaps.extend(sufficiency(&coverage.value).1);
    }
    let nothing = measurements.totals.as_ref().is_some_and(|totals| totals.value.rows == 0);
    if nothing {
        // The answer is that there is nothing: no other gap matters beside it.
        gaps.clear();
    } else if !scope.is_of_groups() {
        let why = "they are found for whole models and features; ask for one of those to see them";
        gaps.push(Missing { what: "savings".into(), why: why.into() });
    }
    let (budget, caution) = (outlook, None);
    Analysis { scope, measurements, anomalies, forecast, budget, savings, quality, gaps, caution }
}
