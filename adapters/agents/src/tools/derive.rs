//! What follows from measurements on the shelf, without another query.

use super::{Instruments, Wanted, take, today};
use crate::cost::forecast::Interval;
use crate::cost::measure::{DayShare, Measurements, Totals};
use crate::cost::rules::{self, Rule, Saving};
use crate::cost::{anomaly, forecast};
use goldenpath_runtime::agent::{Shelf, Tool, ToolCx, ToolError};
use goldenpath_runtime::usage::{Day, LeverGroup, Usd};
use serde::{Deserialize, Serialize};

/// Something computed, in a form for people; the report computes it again from the same measurements.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Derived {
    /// What it was computed from: days, requests, groups.
    pub from: u64,
    /// What came out.
    pub findings: Vec<Finding>,
}

/// One of the things that came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// How much.
    pub cost: Usd,
}

impl Finding {
    fn of(what: impl Into<String>, cost: Usd) -> Self {
        Self { what: what.into(), cost }
    }
}

/// What one of something costs.
pub struct UsageUnitCosts;

impl Tool for UsageUnitCosts {
    type Args = Wanted;
    type Out = Derived;
    const NAME: &'static str = "usage_unit_costs";
    const TITLE: &'static str = "Work out what one request costs";

    async fn call(&self, cx: ToolCx, _: Wanted) -> Result<Derived, ToolError> {
        let totals = take::<Totals>(cx.shelf(), "totals").await?.value;
        let each = [
            ("per request", totals.requests),
            ("per session", totals.sessions),
            ("per user", totals.users),
            ("per day with usage", totals.days),
        ];
        let counted = each.into_iter().filter(|(_, count)| *count > 0);
        let findings = counted
            .map(|(what, count)| Finding::of(what, totals.cost.scaled(1, i128::from(count))))
            .collect();
        Ok(Derived { from: u64::try_from(totals.requests).unwrap_or(0), findings })
    }
}

async fn by_day(
    shelf: &Shelf,
    args: &Wanted,
) -> Result<(Vec<(Day, Usd)>, Vec<DayShare>), ToolError> {
    let daily = take::<Vec<DayShare>>(shelf, "daily").await?;
    let shares = daily.value.clone();
    let measurements = Measurements { daily: Some(daily), ..Measurements::default() };
    Ok((measurements.cost_by_day(args.scope.period), shares))
}

/// Days that cost unusually much or little.
pub struct UsageAnomalies(pub(super) Instruments);

impl Tool for UsageAnomalies {
    type Args = Wanted;
    type Out = Derived;
    const NAME: &'static str = "usage_anomalies";
    const TITLE: &'static str = "Look for unusual days";

    async fn call(&self, cx: ToolCx, args: Wanted) -> Result<Derived, ToolError> {
        let (days, shares) = by_day(cx.shelf(), &args).await?;
        let found = anomaly::find(&days, &shares, &self.0.thresholds);
        let findings = found.iter().map(|day| Finding::of(day.day.to_string(), day.excess));
        Ok(Derived { from: days.len() as u64, findings: findings.collect() })
    }
}

/// The days to come.
pub struct UsageForecast(pub(super) Instruments);

impl Tool for UsageForecast {
    type Args = Wanted;
    type Out = Derived;
    const NAME: &'static str = "usage_forecast";
    const TITLE: &'static str = "Look ahead";
    /// The backtest tries a grid of parameters.
    const BLOCKING: bool = true;

    async fn call(&self, cx: ToolCx, args: Wanted) -> Result<Derived, ToolError> {
        let (days, shares) = by_day(cx.shelf(), &args).await?;
        let thresholds = &self.0.thresholds;
        let anomalies = anomaly::find(&days, &shares, thresholds);
        let ahead = forecast::forecast(&days, &anomalies, thresholds.forecast_days);
        let findings = ahead.iter().flat_map(|ahead| {
            let next = match ahead.days.len() {
                1 => String::from("next day"),
                days => format!("next {days} days"),
            };
            let words = format!("{next}, {}", ahead.method.words());
            let end = |of: fn(Interval) -> Usd| -> Option<Usd> {
                ahead.days.iter().map(|day| day.interval.map(of)).sum()
            };
            let low = end(|interval| interval.low);
            let high = end(|interval| interval.high);
            let ends = [("low", low), ("high", high)].into_iter().filter_map(|(end, sum)| {
                Some(Finding::of(format!("the same, {end} end of each day"), sum?))
            });
            let expected = ahead.days.iter().map(|day| day.expected).sum();
            core::iter::once(Finding::of(words, expected)).chain(ends).collect::<Vec<_>>()
        });
        Ok(Derived { from: days.len() as u64, findings: findings.collect() })
    }
}

/// Applies the rules one after another, so that nothing is saved twice.
pub struct SavingsWaterfall(pub(super) Instruments);

/// What the rules found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Savings {
    /// Groups the rules were tried on.
    pub groups: u64,
    /// Spend of the window.
    pub spend: Usd,
    /// What remains of it when everything goes as expected.
    pub remaining: Usd,
    /// Everything together, per month.
    pub monthly: Saving,
    /// The rules that apply with their expected saving per month, the most worthwhile first.
    pub rules: Vec<(Rule, Usd)>,
}

impl Tool for SavingsWaterfall {
    type Args = Wanted;
    type Out = Savings;
    const NAME: &'static str = "savings_waterfall";
    const TITLE: &'static str = "Apply the savings rules";

    async fn call(&self, cx: ToolCx, args: Wanted) -> Result<Savings, ToolError> {
        let groups = take::<Vec<LeverGroup>>(cx.shelf(), "levers").await?.value;
        let Instruments { prices, thresholds, .. } = &self.0;
        let window_days = args.scope.period.days();
        let waterfall = rules::apply(&groups, window_days, today(&cx), prices, thresholds);
        let monthly = |saving: Saving| saving.monthly(window_days);
        let rules = waterfall.ranked().into_iter().map(|recommendation| {
            (recommendation.rule, monthly(recommendation.in_sequence).expected)
        });
        Ok(Savings {
            groups: groups.len() as u64,
            spend: waterfall.spend,
            remaining: waterfall.remaining(),
            monthly: monthly(waterfall.total),
            rules: rules.collect(),
        })
    }
}
