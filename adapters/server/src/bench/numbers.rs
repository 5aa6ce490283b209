//! Many measurements as a few numbers.

use core::time::Duration;
use serde::Serialize;

/// Where measured times lie, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) count: usize,
    #[serde(serialize_with = "rounded")]
    pub(super) p50: f64,
    #[serde(serialize_with = "rounded")]
    pub(super) p90: f64,
    #[serde(serialize_with = "rounded")]
    pub(super) p99: f64,
    #[serde(serialize_with = "rounded")]
    pub(super) max: f64,
}

impl Spread {
    /// Nearest-rank percentiles; all zero of nothing.
    pub(super) fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let rank = |percent: usize| {
            let nth = (took.len() * percent).div_ceil(100).max(1) - 1;
            took.get(nth).copied().map_or(0.0, ms)
        };
        Self { count: took.len(), p50: rank(50), p90: rank(90), p99: rank(99), max: rank(100) }
    }
}

/// Milliseconds with their fraction.
pub(super) fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

/// A count as a number one can divide; exact up to 2⁵³.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of connections and kibibytes are far below 2^53"
)]
pub(super) const fn float(count: usize) -> f64 {
    count as f64
}

/// Three digits after the point: a microsecond.
pub(super) fn rounded<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1e3).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let took = (1..=200).rev().map(Duration::from_millis).collect();
        let spread = Spread::of(took);
        assert_eq!((spread.p50, spread.p90, spread.p99, spread.max), (100.0, 180.0, 198.0, 200.0));
        assert_eq!(Spread::of(vec![Duration::from_millis(7)]).p99, 7.0);
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }
}
