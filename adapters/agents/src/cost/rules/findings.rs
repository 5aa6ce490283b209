//! Q1 and Q2: how complete and how reliable the data are.

use goldenpath_runtime::usage::{Answer, Dimension, Usd};
use serde::{Deserialize, Serialize};

use crate::cost::measure::{Breakdown, Measurements};
use crate::cost::thresholds::Thresholds;

/// What limits the statements of a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Q1: spend without a feature, when it is too much.
    pub without_feature: Option<Gap>,
    /// Q1: spend without a team, when it is too much.
    pub without_team: Option<Gap>,
    /// Q2: requests without a known cost: the total is a floor.
    pub unpriced_requests: i64,
    /// Q2: reported less computed cost, as a share of computed, when it is too much.
    pub drift: Option<f64>,
}

/// Spend that lacks an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// The spend.
    pub cost: Usd,
    /// Its share of the total.
    pub share: f64,
}

/// Judges the data of an analysis.
pub fn quality(measurements: &Measurements, thresholds: &Thresholds) -> Quality {
    let gap = |dimension| {
        let of = |answer: &&Answer<Breakdown>| answer.value.dimension == dimension;
        let breakdown = &measurements.breakdowns.iter().find(of)?.value;
        let total: Usd = breakdown.groups.iter().map(|group| group.cost).sum();
        let cost: Usd = breakdown
            .groups
            .iter()
            .filter(|group| group.name.is_none())
            .map(|group| group.cost)
            .sum();
        let share = if total.is_zero() { 0.0 } else { cost.as_f64() / total.as_f64() };
        (share * 100.0 > thresholds.unattributed_percent).then_some(Gap { cost, share })
    };
    let totals = measurements.totals.as_ref().map(|totals| totals.value).unwrap_or_default();
    let drift = (!totals.computed.is_zero())
        .then(|| (totals.reported - totals.computed).as_f64() / totals.computed.as_f64())
        .filter(|drift| drift.abs() * 100.0 > thresholds.drift_percent);
    Quality {
        without_feature: gap(Dimension::Feature),
        without_team: gap(Dimension::Team),
        unpriced_requests: totals.unpriced,
        drift,
    }
}
