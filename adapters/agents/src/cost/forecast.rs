//! A7: what the next days will cost, with an interval.
//!
//! Less than a week: the mean, little confidence, and no interval, because nothing says how far off it is. From three weeks on three methods compete on the
//! last two weeks of the data: damped Holt-Winters with a weekly season, the same weekday a week before,
//! and the mean. The one with the smallest error wins. The interval comes from the errors it made.

use goldenpath_runtime::usage::{Day, Usd};
use serde::{Deserialize, Serialize};

use super::anomaly::{Anomaly, expectations};
use super::rules::Confidence;
use super::statistics::{mean, normal_below, quantile};

const WEEK: usize = 7;
/// Days from which on methods compete.
const DAYS_TO_COMPETE: usize = 21;
/// Days at the end that are predicted from what was before, a week ahead each.
const BACKTEST_DAYS: usize = 14;
/// The mean looks back so far.
const RUN_RATE_DAYS: usize = 28;
/// Half of an 80 % interval, in standard deviations.
const Z80: f64 = 1.281_551_6;

/// How a forecast was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Additive Holt-Winters with a damped trend and a weekly season.
    HoltWinters,
    /// The mean of the last days.
    RunRate,
    /// The same weekday, a week before.
    SeasonalNaive,
}

impl Method {
    /// As said to people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::HoltWinters => "damped Holt-Winters with a weekly season",
            Self::RunRate => "run rate (mean per day)",
            Self::SeasonalNaive => "seasonal naive (same weekday, one week before)",
        }
    }
}

/// Where four of five outcomes are expected, in US dollars; `low` is at least zero, and below `high`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// One in ten is expected below.
    pub low: Usd,
    /// One in ten is expected above.
    pub high: Usd,
}

/// One day ahead.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ForecastDay {
    /// The day, UTC; after the last day of the series.
    pub day: Day,
    /// What it will most likely cost, in US dollars; at least zero.
    pub expected: Usd,
    /// The 80 % interval; `None` when the forecast has none.
    pub interval: Option<Interval>,
}

/// What the days after a series will cost, day by day and together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// How it was made.
    pub method: Method,
    /// Day by day, as many as were asked for; at least one.
    pub days: Vec<ForecastDay>,
    /// All days together, in US dollars.
    pub total: Usd,
    /// The 80 % interval of the total; `None` below seven days of data, or when they all cost the same.
    pub interval: Option<Interval>,
    /// Mean absolute error per day in the backtest, in US dollars; `None` below 21 days of data.
    pub backtest_error: Option<Usd>,
    /// Unusual days that were replaced by usual ones before looking ahead.
    pub replaced_days: usize,
    /// How far to trust it.
    pub confidence: Confidence,
    /// Why no further.
    pub reasons: Vec<String>,
}

/// Whether a budget will hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetOutlook {
    /// The budget for the forecast's days.
    pub budget: Usd,
    /// The probability that they cost more, 0 to 1; `None` when the forecast has no interval.
    pub overrun_probability: Option<f64>,
    /// The day on which it is used up when everything goes as expected; none if it lasts.
    pub exhausted_on: Option<Day>,
}

/// Looks `horizon` days ahead of a series without gaps; `None` for an empty series or horizon.
pub fn forecast(days: &[(Day, Usd)], anomalies: &[Anomaly], horizon: usize) -> Option<Forecast> {
    let (last, _) = days.last()?;
    if horizon == 0 {
        return None;
    }
    let series = without_anomalies(days, anomalies);
    let (method, errors) = choose(&series);
    let ahead = predict(method, &series, horizon);
    let residuals = if errors.is_empty() { in_sample_errors(&series) } else { errors.clone() };
    let (below, above) =
        (quantile(&residuals, 0.1).unwrap_or(0.0), quantile(&residuals, 0.9).unwrap_or(0.0));
    let (below, above) = (below.min(0.0), above.max(0.0));
    let usd = |dollars: f64| Usd::from_f64(dollars.max(0.0)).unwrap_or_default();
    let short = series.len() < WEEK;
    let given = !short && below < above;
    let interval = |low: f64, high: f64| given.then(|| Interval { low: usd(low), high: usd(high) });
    let forecast_days = ahead
        .iter()
        .zip(1..)
        .map(|(expected, step)| ForecastDay {
            day: last.plus(step),
            expected: usd(*expected),
            interval: interval(expected + below, expected + above),
        })
        .collect();
    let total: f64 = ahead.iter().map(|expected| expected.max(0.0)).sum();
    // Errors of single days add up like independent ones; the error of the level is common to all days.
    let (h, n) = (horizon as f64, series.len() as f64);
    let widening = (h + h * h / n).sqrt();
    let mut reasons = Vec::new();
    if short {
        reasons.push("less than a week of data: no interval can be given".into());
    } else if series.len() < DAYS_TO_COMPETE {
        reasons.push("less than three weeks of data: weekly patterns are not visible yet".into());
    }
    if horizon > series.len() {
        reasons.push("looks further ahead than the data reach back".into());
    }
    Some(Forecast {
        method,
        days: forecast_days,
        total: usd(total),
        interval: interval(total + below * widening, total + above * widening),
        backtest_error: mean(&errors.iter().map(|error| error.abs()).collect::<Vec<_>>()).map(usd),
        replaced_days: anomalies.len(),
        confidence: if short {
            Confidence::Low
        } else if reasons.is_empty() {
            Confidence::High
        } else {
            Confidence::Medium
        },
        reasons,
    })
}

impl Forecast {
    /// Whether a budget for the forecast's days will hold.
    pub fn outlook(&self, budget: Usd) -> BudgetOutlook {
        let (mean, limit) = (self.total.as_f64(), budget.as_f64());
        let deviation = |interval: Interval| (interval.high - interval.low).as_f64() / (2.0 * Z80);
        let deviation = self.interval.map(deviation).filter(|deviation| *deviation > 0.0);
        let overrun_probability =
            deviation.map(|deviation| 1.0 - normal_below((limit - mean) / deviation));
        let mut spent = Usd::ZERO;
        let exhausted = self.days.iter().find(|day| {
            spent += day.expected;
            spent > budget
        });
        BudgetOutlook { budget, overrun_probability, exhausted_on: exhausted.map(|day| day.day) }
    }
}

fn without_anomalies(days: &[(Day, Usd)], anomalies: &[Anomaly]) -> Vec<f64> {
    let expected = expectations(days);
    let usual = |(at, (day, cost)): (usize, &(Day, Usd))| {
        let unusual = anomalies.iter().any(|anomaly| anomaly.day == *day);
        if unusual { expected.get(at).copied().unwrap_or(0.0) } else { cost.as_f64() }
    };
    days.iter().enumerate().map(usual).collect()
}

/// The method with the smallest mean absolute error, and its errors (actual less predicted).
fn choose(series: &[f64]) -> (Method, Vec<f64>) {
    if series.len() < DAYS_TO_COMPETE {
        return (Method::RunRate, Vec::new());
    }
    let size = |errors: &[f64]| errors.iter().map(|error| error.abs()).sum::<f64>();
    // On a tie the simpler method wins: it comes first.
    [Method::RunRate, Method::SeasonalNaive, Method::HoltWinters]
        .map(|method| (method, backtest(method, series)))
        .into_iter()
        .min_by(|(_, one), (_, other)| size(one).total_cmp(&size(other)))
        .unwrap_or((Method::RunRate, Vec::new()))
}

/// Errors over the last days: from each origin a week is predicted from what was known then.
fn backtest(method: Method, series: &[f64]) -> Vec<f64> {
    let mut errors = Vec::new();
    for origin in (series.len() - BACKTEST_DAYS..series.len()).step_by(WEEK) {
        let (known, future) = series.split_at(origin);
        let predicted = predict(method, known, WEEK.min(future.len()));
        errors.extend(future.iter().zip(predicted).map(|(actual, predicted)| actual - predicted));
    }
    errors
}

fn in_sample_errors(series: &[f64]) -> Vec<f64> {
    let center = mean(series).unwrap_or(0.0);
    series.iter().map(|value| value - center).collect()
}

fn predict(method: Method, series: &[f64], horizon: usize) -> Vec<f64> {
    match method {
        Method::HoltWinters => best_holt_winters(series).ahead(series.len(), horizon),
        Method::RunRate => {
            let recent = series.split_at(series.len().saturating_sub(RUN_RATE_DAYS)).1;
            vec![mean(recent).unwrap_or(0.0); horizon]
        }
        Method::SeasonalNaive => {
            let week = series.split_at(series.len().saturating_sub(WEEK)).1;
            week.iter().copied().cycle().take(horizon).collect()
        }
    }
}

/// State of the additive Holt-Winters method with a damped trend, after a series.
struct HoltWinters {
    level: f64,
    trend: f64,
    damping: f64,
    season: [f64; WEEK],
    /// Sum of the squared errors of one step ahead.
    error: f64,
}

impl HoltWinters {
    fn fit(series: &[f64], alpha: f64, beta: f64, gamma: f64, damping: f64) -> Self {
        let first = mean(series.split_at(WEEK.min(series.len())).0).unwrap_or(0.0);
        let mut season = [0.0; WEEK];
        for (at, slot) in season.iter_mut().enumerate() {
            let same: Vec<f64> = series.iter().skip(at).step_by(WEEK).take(2).copied().collect();
            *slot = mean(&same).unwrap_or(0.0)
                - mean(series.split_at((2 * WEEK).min(series.len())).0).unwrap_or(0.0);
        }
        let mut state = Self { level: first, trend: 0.0, damping, season, error: 0.0 };
        for (at, actual) in series.iter().enumerate() {
            let slot = &mut state.season[at % WEEK];
            let base = state.level + damping * state.trend;
            let miss = actual - (base + *slot);
            if at >= WEEK {
                state.error += miss * miss;
            }
            let level = base + alpha * miss;
            state.trend =
                damping * state.trend + beta * (level - state.level - damping * state.trend);
            state.level = level;
            *slot += gamma * miss;
        }
        state
    }

    /// The days after a series of this length.
    fn ahead(&self, length: usize, horizon: usize) -> Vec<f64> {
        let mut drift = 0.0;
        let mut factor = 1.0;
        (0..horizon)
            .map(|step| {
                factor *= self.damping;
                drift += factor * self.trend;
                self.level + drift + self.season[(length + step) % WEEK]
            })
            .collect()
    }
}

fn best_holt_winters(series: &[f64]) -> HoltWinters {
    let mut best: Option<HoltWinters> = None;
    for alpha in [0.05, 0.15, 0.3, 0.5] {
        for beta in [0.0, 0.05, 0.15] {
            for gamma in [0.05, 0.15, 0.3] {
                for damping in [0.85, 0.95] {
                    let fitted = HoltWinters::fit(series, alpha, beta, gamma, damping);
                    if best.as_ref().is_none_or(|best| fitted.error < best.error) {
                        best = Some(fitted);
                    }
                }
            }
        }
    }
    best.unwrap_or_else(|| HoltWinters::fit(series, 0.3, 0.05, 0.15, 0.95))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(count: usize, cost: impl Fn(usize) -> f64) -> Vec<(Day, Usd)> {
        (0..count).map(|at| (Day(at as i32), Usd::from_f64(cost(at)).unwrap())).collect()
    }

    #[test]
    fn a_few_days_give_a_run_rate_with_low_confidence() {
        let forecast = forecast(&days(5, |_| 10.0), &[], 30).unwrap();
        assert_eq!((forecast.method, forecast.confidence), (Method::RunRate, Confidence::Low));
        assert_eq!(forecast.total, Usd::parse("300").unwrap());
        assert_eq!(forecast.days.first().map(|day| day.day), Some(Day(5)));
        assert!(super::forecast(&[], &[], 30).is_none());
    }

    fn contains(interval: Interval, amount: Usd) -> bool {
        interval.low <= amount && amount <= interval.high
    }

    #[test]
    fn below_a_week_or_without_spread_there_is_no_interval_and_no_probability() {
        let budget = Usd::parse("100").unwrap();
        for (length, differs, given) in [(1, 1, false), (6, 1, false), (7, 1, true), (28, 0, false)]
        {
            let series = days(length, |at| 10.0 + (at % 2 * differs) as f64);
            let forecast = forecast(&series, &[], 30).unwrap();
            assert_eq!(forecast.interval.is_some(), given, "{length} days");
            assert!(forecast.days.iter().all(|day| day.interval.is_some() == given));
            let outlook = forecast.outlook(budget);
            assert_eq!(outlook.overrun_probability.is_some(), given, "{length} days");
            assert!(outlook.exhausted_on.is_some(), "the run rate says when");
        }
    }

    #[test]
    fn a_weekly_pattern_is_recognised() {
        let pattern = |at: usize| if at % 7 >= 5 { 10.0 } else { 40.0 + (at % 3) as f64 };
        let forecast = forecast(&days(42, pattern), &[], 14).unwrap();
        assert_ne!(forecast.method, Method::RunRate);
        for (step, day) in forecast.days.iter().enumerate() {
            let error = (day.expected.as_f64() - pattern(42 + step)).abs();
            assert!(error < 4.0, "{step}: {day:?}");
            assert!(contains(day.interval.unwrap(), day.expected));
        }
        assert!(contains(forecast.interval.unwrap(), forecast.total));
    }

    #[test]
    fn a_trend_is_followed_and_damped() {
        let forecast = forecast(
            &days(56, |at| 20.0 + at as f64 + if at % 7 >= 5 { -8.0 } else { 0.0 }),
            &[],
            14,
        )
        .unwrap();
        assert_eq!(forecast.method, Method::HoltWinters);
        let next = forecast.days[0].expected.as_f64();
        assert!((66.0..86.0).contains(&next), "{next}");
    }

    #[test]
    fn an_unusual_day_does_not_move_the_forecast() {
        let usual = days(28, |at| 20.0 + (at % 2) as f64);
        let mut unusual = usual.clone();
        unusual[20].1 = Usd::from_f64(500.0).unwrap();
        let thresholds = super::super::thresholds::Thresholds::default();
        let anomalies = super::super::anomaly::find(&unusual, &[], &thresholds);
        assert_eq!(anomalies.len(), 1);
        let (with, without) =
            (forecast(&unusual, &anomalies, 30).unwrap(), forecast(&usual, &[], 30).unwrap());
        assert!((with.total.as_f64() - without.total.as_f64()).abs() < 10.0, "{with:?}");
    }

    #[test]
    fn the_interval_covers_most_of_what_then_happens() {
        let mut draws = goldenpath_core::seed::Seed::new(1);
        let (mut inside, mut all) = (0, 0);
        for _ in 0..60 {
            let values: Vec<f64> = (0..56)
                .map(|at| {
                    50.0 + if at % 7 >= 5 { -30.0 } else { 0.0 } + draws.below(1000) as f64 / 100.0
                })
                .collect();
            let forecast = forecast(&days(42, |at| values[at]), &[], 14).unwrap();
            for (day, actual) in forecast.days.iter().zip(&values[42..]) {
                all += 1;
                inside += usize::from({
                    let interval = day.interval.unwrap();
                    (interval.low.as_f64()..=interval.high.as_f64()).contains(actual)
                });
            }
        }
        let share = inside as f64 / all as f64;
        assert!((0.65..0.97).contains(&share), "{share}");
    }

    #[test]
    fn a_budget_is_exhausted_on_the_day_it_is() {
        let forecast = forecast(&days(28, |at| 10.0 + (at % 2) as f64), &[], 30).unwrap();
        let tight = forecast.outlook(Usd::parse("100").unwrap());
        assert!(tight.overrun_probability.unwrap() > 0.99);
        assert_eq!(tight.exhausted_on.map(|day| day.0 - 28), Some(9));
        let wide = forecast.outlook(Usd::parse("1000").unwrap());
        assert!(wide.overrun_probability.unwrap() < 0.01 && wide.exhausted_on.is_none());
    }
}
