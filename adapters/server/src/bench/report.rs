//! What was measured, as JSON.

use super::numbers::{Spread, rounded};
use core::fmt;
use serde::Serialize;

/// The whole result.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) url: String,
    pub(super) golden_paths: Paths,
    pub(super) single_user_ms: Spread,
    pub(super) round_trip_ms: Spread,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connect: Option<Connects>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idle: Option<Idle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ready: Option<Ready>,
    pub(super) bare: Bare,
}

impl Report {
    /// Whether every run was whole.
    pub(super) fn is_whole(&self) -> bool {
        self.golden_paths.problems() == 0 && self.bare.golden_paths.problems() == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

/// Many users at once, each asking again as soon as it has its answer.
#[derive(Debug, Serialize)]
pub(super) struct Paths {
    pub(super) connections: usize,
    pub(super) runs: usize,
    #[serde(serialize_with = "rounded")]
    pub(super) seconds: f64,
    #[serde(serialize_with = "rounded")]
    pub(super) per_second: f64,
    #[serde(serialize_with = "rounded")]
    pub(super) entries_per_second: f64,
    pub(super) entries_per_run: Range,
    pub(super) latency_ms: Spread,
    pub(super) failures: Vec<String>,
}

/// The least and the most.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Range {
    pub(super) min: usize,
    pub(super) max: usize,
}

/// What opening a connection takes.
#[derive(Debug, Serialize)]
pub(super) struct Connects {
    pub(super) connections: usize,
    #[serde(serialize_with = "rounded")]
    pub(super) per_second: f64,
    #[serde(serialize_with = "rounded")]
    pub(super) cpu_us_per_connection: f64,
    pub(super) ms: Spread,
}

/// What keeping a connection takes.
#[derive(Debug, Serialize)]
pub(super) struct Idle {
    pub(super) connections: usize,
    pub(super) resident_kib_before: usize,
    pub(super) resident_kib_after: usize,
    #[serde(serialize_with = "rounded")]
    pub(super) kib_per_connection: f64,
}

/// From the start of the process to the first healthy answer.
#[derive(Debug, Serialize)]
pub(super) struct Ready {
    #[serde(serialize_with = "rounded")]
    pub(super) ms: f64,
}

/// The same client against a server that sends the same frames and does nothing else.
#[derive(Debug, Serialize)]
pub(super) struct Bare {
    pub(super) golden_paths: Paths,
    pub(super) single_user_ms: Spread,
    pub(super) round_trip_ms: Spread,
    pub(super) ratio: Ratio,
}

/// The server's number divided by the bare one's.
#[derive(Debug, Serialize)]
pub(super) struct Ratio {
    #[serde(serialize_with = "rounded")]
    pub(super) golden_paths: f64,
    #[serde(serialize_with = "rounded")]
    pub(super) single_user: f64,
    #[serde(serialize_with = "rounded")]
    pub(super) round_trip: f64,
}
