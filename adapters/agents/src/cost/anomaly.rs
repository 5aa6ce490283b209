//! A6: days that cost unusually much or little, and what drove them.

use std::collections::BTreeMap;

use goldenpath_runtime::usage::{Day, Usd};
use serde::{Deserialize, Serialize};

use super::measure::DayShare;
use super::statistics::{median, median_absolute_deviation};
use super::thresholds::Thresholds;

/// Days from which on each weekday is compared with itself.
const DAYS_FOR_WEEKDAYS: usize = 21;
/// Days below which nothing can be called unusual.
pub(super) const MIN_DAYS: usize = 7;
/// Makes the median absolute deviation comparable with a standard deviation.
const CONSISTENCY: f64 = 0.6745;

/// An unusual day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// The day.
    pub day: Day,
    /// What it cost.
    pub cost: Usd,
    /// What such a day usually costs: the median of its weekday, with three weeks of data, else of all.
    pub expected: Usd,
    /// Cost less expected.
    pub excess: Usd,
    /// The modified z-score, 0.6745 · (x − median) / MAD.
    pub score: f64,
    /// The feature and model with the largest part in the excess.
    pub driver: Option<Driver>,
}

/// What drove an unusual day.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Driver {
    /// The model.
    pub model: Option<String>,
    /// The feature.
    pub feature: Option<String>,
    /// What it cost that day more (or less) than usual.
    pub excess: Usd,
}

/// Finds the unusual days of a series without gaps, the largest excess first.
pub fn find(days: &[(Day, Usd)], shares: &[DayShare], thresholds: &Thresholds) -> Vec<Anomaly> {
    if days.len() < MIN_DAYS {
        return Vec::new();
    }
    let expected = expectations(days);
    let residuals: Vec<f64> =
        days.iter().zip(&expected).map(|((_, cost), expected)| cost.as_f64() - expected).collect();
    let costs: Vec<f64> = days.iter().map(|(_, cost)| cost.as_f64()).collect();
    let typical = median(&costs).unwrap_or(0.0);
    let center = median(&residuals).unwrap_or(0.0);
    let spread = median_absolute_deviation(&residuals).unwrap_or(0.0);
    // Most days alike: a share of the median stands in for the spread.
    let flat = typical * thresholds.anomaly_flat_percent / 100.0;
    let scale = if spread > 0.0 { spread } else { flat };
    let least = thresholds
        .anomaly_min_impact
        .as_f64()
        .max(typical * thresholds.anomaly_min_percent / 100.0);
    let mut found = Vec::new();
    for (((day, cost), expected), residual) in days.iter().zip(&expected).zip(&residuals) {
        let distance = residual - center;
        // A series of nothing but zeros has no scale: only the impact decides then.
        let score =
            if scale > 0.0 { CONSISTENCY * distance / scale } else { f64::MAX.copysign(distance) };
        if distance.abs() < least || score.abs() <= thresholds.anomaly_score {
            continue;
        }
        let expected = Usd::from_f64(*expected).unwrap_or_default();
        let excess = *cost - expected;
        let driver = driver(*day, excess, days.len(), shares);
        found.push(Anomaly {
            day: *day,
            cost: *cost,
            expected,
            excess,
            score: score.clamp(-1e6, 1e6),
            driver,
        });
    }
    found.sort_by_key(|anomaly| (core::cmp::Reverse(anomaly.excess.abs()), anomaly.day));
    found
}

/// The usual cost of each day: the median of its weekday when there are three weeks, else of all days.
pub(super) fn expectations(days: &[(Day, Usd)]) -> Vec<f64> {
    let of = |weekday: Option<u32>| {
        let same = |day: Day| weekday.is_none_or(|weekday| day.weekday() == weekday);
        let costs: Vec<f64> =
            days.iter().filter(|(day, _)| same(*day)).map(|(_, cost)| cost.as_f64()).collect();
        median(&costs).unwrap_or(0.0)
    };
    let by_weekday = days.len() >= DAYS_FOR_WEEKDAYS;
    let usual: Vec<f64> = (0..7).map(|weekday| of(by_weekday.then_some(weekday))).collect();
    days.iter().map(|(day, _)| usual.get(day.weekday() as usize).copied().unwrap_or(0.0)).collect()
}

fn driver(day: Day, excess: Usd, days: usize, shares: &[DayShare]) -> Option<Driver> {
    let mut groups: BTreeMap<_, BTreeMap<Day, Usd>> = BTreeMap::new();
    for share in shares {
        let group = groups.entry((share.feature.as_deref(), share.model.as_deref())).or_default();
        *group.entry(share.day).or_default() += share.cost;
    }
    let excess_of = |costs: &BTreeMap<Day, Usd>| {
        let mut series: Vec<f64> = costs.values().map(|cost| cost.as_f64()).collect();
        // Days on which the group did not run cost nothing.
        series.resize(days.max(series.len()), 0.0);
        let usual = Usd::from_f64(median(&series).unwrap_or(0.0)).unwrap_or_default();
        costs.get(&day).copied().unwrap_or_default() - usual
    };
    let signed = |amount: Usd| if excess < Usd::ZERO { -amount } else { amount };
    let drivers = groups.iter().map(|((feature, model), costs)| Driver {
        feature: feature.map(str::to_owned),
        model: model.map(str::to_owned),
        excess: excess_of(costs),
    });
    drivers
        .max_by_key(|driver| signed(driver.excess))
        .filter(|driver| signed(driver.excess) > Usd::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(costs: &[i64]) -> Vec<(Day, Usd)> {
        // Day 4 is a Monday.
        costs
            .iter()
            .enumerate()
            .map(|(at, cost)| (Day(4 + at as i32), Usd::from_micros(cost * 1_000_000)))
            .collect()
    }

    const NOTHING: [i32; 0] = [];

    fn unusual(costs: &[i64]) -> Vec<i32> {
        find(&series(costs), &[], &Thresholds::default())
            .iter()
            .map(|anomaly| anomaly.day.0 - 4)
            .collect()
    }

    #[test]
    fn a_day_far_from_the_others_is_found() {
        assert_eq!(unusual(&[20, 21, 19, 22, 18, 60, 20, 21]), [5]);
        assert_eq!(unusual(&[20, 21, 19, 22, 18, 0, 20, 21]), [5], "a fall is unusual too");
        assert_eq!(unusual(&[20, 21, 19, 22, 18, 23, 20, 21]), NOTHING);
    }

    #[test]
    fn the_score_is_that_of_iglewicz_and_hoaglin() {
        let found = find(&series(&[20, 21, 19, 22, 18, 60, 20, 21]), &[], &Thresholds::default());
        // Median 20.5, MAD 1: 0.6745 · 39.5 / 1.
        assert!((found[0].score - 0.6745 * 39.5).abs() < 1e-9, "{}", found[0].score);
    }

    #[test]
    fn without_spread_a_tenth_of_the_median_is_the_scale() {
        assert_eq!(unusual(&[100, 100, 100, 100, 100, 100, 152]), [6], "0.6745 · 52 / 10 > 3.5");
        assert_eq!(
            unusual(&[100, 100, 100, 100, 100, 100, 151]),
            NOTHING,
            "0.6745 · 51 / 10 < 3.5"
        );
    }

    #[test]
    fn what_does_not_matter_is_not_told() {
        assert_eq!(unusual(&[1, 1, 1, 1, 1, 5, 1, 1]), NOTHING, "four dollars");
        assert_eq!(unusual(&[0, 0, 0, 0, 0, 0, 0, 4]), NOTHING);
        assert_eq!(unusual(&[0, 0, 0, 0, 0, 0, 0, 9]), [7]);
        assert_eq!(unusual(&[20, 60, 20]), NOTHING, "three days are too few");
    }

    #[test]
    fn weekends_are_compared_with_weekends() {
        let mut costs: Vec<i64> =
            (0..28).map(|day| if day % 7 >= 5 { 5 } else { 40 + day % 3 }).collect();
        assert_eq!(unusual(&costs), NOTHING);
        costs[19] = 60;
        assert_eq!(unusual(&costs), [19], "a Saturday like a Tuesday");
    }

    #[test]
    fn the_largest_excess_is_named() {
        let days = series(&[20, 20, 20, 20, 20, 20, 20, 90]);
        let share = |day: i32, feature: &str, dollars: i64| DayShare {
            day: Day(4 + day),
            model: Some("m".into()),
            feature: Some(feature.into()),
            cost: Usd::from_micros(dollars * 1_000_000),
            requests: 1,
        };
        let mut shares: Vec<DayShare> =
            (0..7).flat_map(|day| [share(day, "a", 15), share(day, "b", 5)]).collect();
        shares.extend([share(7, "a", 15), share(7, "b", 75)]);
        let found = find(&days, &shares, &Thresholds::default());
        let driver = found[0].driver.clone().unwrap();
        assert_eq!(
            (driver.feature.as_deref(), driver.excess),
            (Some("b"), Usd::from_micros(70_000_000))
        );
    }
}
