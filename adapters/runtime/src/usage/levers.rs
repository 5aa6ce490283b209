//! What the optimization rules know about one group of requests.

use serde::{Deserialize, Serialize};

use super::money::Usd;

/// Thresholds that take part in the query itself.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LeverLimits {
    /// A failed request followed within this time by the same prompt was retried (R6).
    pub retry_window_ms: i64,
    /// An output of at most so many tokens looks like a classification (R1).
    pub short_output_tokens: i64,
    /// The night, in hours UTC: from this hour …
    pub night_from_hour: i64,
    /// … up to this one (R4).
    pub night_until_hour: i64,
    /// At most so many groups, the most expensive first.
    pub groups: u32,
}

/// One group: requests of one model for one feature, batch apart from online.
///
/// A row is *superseded* when a retry replaced it, else *failed* when it ended in an error, else
/// *truncated* when its answer was cut; what remains is *kept*. The four parts add up to `all`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct LeverGroup {
    /// The provider.
    pub provider: Option<String>,
    /// The model, as the price table calls it.
    pub model: Option<String>,
    /// The feature.
    pub feature: Option<String>,
    /// Whether these requests go through a batch API or a flex tier already.
    pub discounted: bool,
    /// Every row of the group.
    pub all: Sums,
    /// Rows a retry replaced (R6).
    pub superseded: Wasted,
    /// Rows that failed and still cost (R7).
    pub failed: Wasted,
    /// Rows whose answer was cut or filtered (R7).
    pub truncated: Wasted,
    /// What remains after those three.
    pub kept: Sums,
    /// How long inputs and outputs are, over rows of one request each.
    pub lengths: Lengths,
}

/// Sums over rows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Rows.
    pub rows: i64,
    /// Requests.
    pub requests: i64,
    /// Effective cost.
    pub cost: Usd,
    /// The output's part of it.
    pub output_cost: Usd,
    /// Input tokens, cached and writes included.
    pub input_tokens: i64,
    /// Cached input tokens.
    pub cached_tokens: i64,
    /// Cache writes for five minutes.
    pub cache_write_5m: i64,
    /// Cache writes for an hour.
    pub cache_write_1h: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// Output tokens above the group's 95th percentile (R10).
    pub excess_output_tokens: i64,
    /// What they cost.
    pub excess_output_cost: Usd,
}

/// Rows whose cost bought nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Wasted {
    /// Rows.
    pub rows: i64,
    /// Effective cost.
    pub cost: Usd,
}

/// The shape of a group. Percentiles are nearest-rank.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    /// Rows of exactly one request: the others have no lengths.
    pub rows: i64,
    /// Median output tokens.
    pub output_p50: i64,
    /// 95th percentile of output tokens.
    pub output_p95: i64,
    /// 99th percentile of output tokens.
    pub output_p99: i64,
    /// Median input tokens.
    pub input_p50: i64,
    /// 95th percentile of input tokens.
    pub input_p95: i64,
    /// Rows with a short output.
    pub short_outputs: i64,
    /// Rows with a limit on the output set by the caller.
    pub capped: i64,
    /// Rows in the night hours.
    pub night: i64,
    /// Rows with a user or session.
    pub attended: i64,
    /// Rows their source marks as deferrable.
    pub deferrable: i64,
    /// Distinct hours with requests.
    pub active_hours: i64,
    /// Hours from the first to the last request, both included.
    pub span_hours: i64,
    /// Sum over hours of the squared number of rows, for the coefficient of variation.
    pub hourly_squares: i64,
}
