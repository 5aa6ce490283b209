//! Every threshold of the analysis, with its default.

use goldenpath_runtime::usage::{LeverLimits, Usd};
use serde::{Deserialize, Serialize};

/// A share of a saving in percent, in three scenarios. Each at most 100, and not decreasing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// Cautious.
    pub low: u8,
    /// Expected.
    pub expected: u8,
    /// Everything goes well.
    pub high: u8,
}

impl Shares {
    const fn of(low: u8, expected: u8, high: u8) -> Self {
        Self { low, expected, high }
    }

    /// As a list: low, expected, high.
    pub const fn each(self) -> [u8; 3] {
        [self.low, self.expected, self.high]
    }
}

/// Named settings of the analysis. The defaults are those of the sources named in the fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Groups a breakdown shows before "other".
    pub top_n: usize,
    /// Days looked at when the question names no period.
    pub default_days: i32,
    /// Modified z-score above which a day is unusual (Iglewicz and Hoaglin; NIST: 3.5).
    pub anomaly_score: f64,
    /// And it must matter: at least so many dollars …
    pub anomaly_min_impact: Usd,
    /// … and at least this percentage of the median day.
    pub anomaly_min_percent: f64,
    /// When most days are equal, this percentage of the median stands in for their spread.
    pub anomaly_flat_percent: f64,
    /// Anomalies told, the largest first.
    pub anomalies_shown: usize,
    /// Days the forecast looks ahead.
    pub forecast_days: usize,
    /// R1: requests a group needs.
    pub right_size_min_requests: i64,
    /// R1: percentage of outputs that must be short.
    pub right_size_short_percent: i64,
    /// R1: or else the 95th percentile of the output …
    pub right_size_output_p95: i64,
    /// R1: … and of the input.
    pub right_size_input_p95: i64,
    /// R1: part of the price difference that is saved when requests are routed by difficulty
    /// (RouteLLM reports 35 to 85 % at 95 % of the quality).
    pub right_size_shares: Shares,
    /// R4: requests a group needs before their pattern says anything.
    pub batch_min_requests: i64,
    /// R4: percentage of requests in the night that suggests nobody waits.
    pub batch_night_percent: i64,
    /// R4: coefficient of variation of the hourly requests that suggests jobs.
    pub batch_burstiness: f64,
    /// R4: shares when the source marks the requests as deferrable.
    pub batch_flagged_shares: Shares,
    /// R4: shares when only their pattern suggests it.
    pub batch_guessed_shares: Shares,
    /// R6: shares of what superseded attempts cost.
    pub retry_shares: Shares,
    /// R7: shares of what failed and cut answers cost.
    pub error_shares: Shares,
    /// R7: percentage of cut answers from which on they count.
    pub truncated_percent: f64,
    /// R10: requests a group needs.
    pub verbosity_min_requests: i64,
    /// R10: how many times the median the 99th percentile of the output must be.
    pub verbosity_ratio: i64,
    /// R10: or the output's percentage of the cost.
    pub verbosity_cost_percent: i64,
    /// R10: shares of what outputs above the 95th percentile cost.
    pub verbosity_shares: Shares,
    /// Q1: percentage of spend without team or feature (FinOps allocation practice).
    pub unattributed_percent: f64,
    /// Q2: percentage by which reported and computed cost may differ.
    pub drift_percent: f64,
    /// What takes part in the query itself.
    pub levers: LeverLimits,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            top_n: 8,
            default_days: 30,
            anomaly_score: 3.5,
            anomaly_min_impact: Usd::from_micros(5_000_000),
            anomaly_min_percent: 5.0,
            anomaly_flat_percent: 10.0,
            anomalies_shown: 5,
            forecast_days: 30,
            right_size_min_requests: 100,
            right_size_short_percent: 80,
            right_size_output_p95: 200,
            right_size_input_p95: 2000,
            right_size_shares: Shares::of(35, 60, 85),
            batch_min_requests: 100,
            batch_night_percent: 50,
            batch_burstiness: 2.0,
            batch_flagged_shares: Shares::of(80, 100, 100),
            batch_guessed_shares: Shares::of(25, 50, 100),
            retry_shares: Shares::of(50, 75, 100),
            error_shares: Shares::of(50, 75, 100),
            truncated_percent: 2.0,
            verbosity_min_requests: 100,
            verbosity_ratio: 8,
            verbosity_cost_percent: 60,
            verbosity_shares: Shares::of(50, 100, 100),
            unattributed_percent: 10.0,
            drift_percent: 2.0,
            levers: LeverLimits {
                retry_window_ms: 60_000,
                short_output_tokens: 16,
                night_from_hour: 22,
                night_until_hour: 6,
                groups: 500,
            },
        }
    }
}
