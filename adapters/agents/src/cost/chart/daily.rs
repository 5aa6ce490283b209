//! Cost per day, unusual days, and the forecast with its band.

use goldenpath_runtime::usage::{Day, Usd};

use super::{BLUE, ORANGE, Svg, WIDTH, ticks};
use crate::cost::anomaly::Anomaly;
use crate::cost::forecast::{Forecast, Interval};

const HEIGHT: f64 = 300.0;
const LEFT: f64 = 78.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 258.0;
const RIGHT: f64 = WIDTH - 16.0;

/// A line over the days; the forecast continues it, dashed, inside its 80 % band.
pub fn daily(
    title: &str,
    days: &[(Day, Usd)],
    anomalies: &[Anomaly],
    forecast: Option<&Forecast>,
) -> String {
    let ahead = forecast.map(|forecast| forecast.days.as_slice()).unwrap_or_default();
    let peak =
        |amounts: &mut dyn Iterator<Item = Usd>| amounts.map(Usd::as_f64).fold(0.0, f64::max);
    let most = peak(&mut days.iter().map(|(_, cost)| *cost)).max(peak(
        &mut ahead.iter().map(|day| day.interval.map_or(day.expected, |interval| interval.high)),
    ));
    let ticks = ticks(most);
    let top = ticks.last().copied().unwrap_or(1.0);
    let first = days.first().map_or(0, |(day, _)| day.0);
    let last = ahead
        .last()
        .map(|day| day.day)
        .or(days.last().map(|(day, _)| *day))
        .map_or(first, |day| day.0);
    let span = f64::from((last - first).max(1));
    let x = |day: Day| LEFT + f64::from(day.0 - first) / span * (RIGHT - LEFT);
    let y = |amount: Usd| BOTTOM - amount.as_f64() / top * (BOTTOM - TOP);

    let has_interval = ahead.iter().any(|day| day.interval.is_some());
    let mut svg = Svg::new(title, &describe(days, anomalies, forecast), HEIGHT);
    for tick in &ticks {
        let height = BOTTOM - tick / top * (BOTTOM - TOP);
        svg.line((LEFT, height), (RIGHT, height));
        let amount = Usd::from_f64(*tick).unwrap_or_default();
        svg.text(LEFT - 6.0, height + 4.0, "end", &axis_label(amount));
    }
    for (day, anchor) in
        [(Day(first), "start"), (Day((first + last) / 2), "middle"), (Day(last), "end")]
    {
        svg.text(x(day), BOTTOM + 20.0, anchor, &day.to_string());
    }
    if let Some((from, cost)) = days.last().filter(|_| !ahead.is_empty()) {
        let start = (x(*from), y(*cost));
        let intervals = || ahead.iter().filter_map(|day| Some((x(day.day), day.interval?)));
        let upper = intervals().map(|(x, interval)| (x, y(interval.high)));
        let lower = intervals().rev().map(|(x, interval)| (x, y(interval.low)));
        let band: Vec<(f64, f64)> = core::iter::once(start).chain(upper).chain(lower).collect();
        if has_interval {
            svg.area(&band, ORANGE);
        }
        let line = ahead.iter().map(|day| (x(day.day), y(day.expected)));
        let line: Vec<(f64, f64)> = core::iter::once(start).chain(line).collect();
        svg.path(&line, ORANGE, true);
    }
    let line: Vec<(f64, f64)> = days.iter().map(|(day, cost)| (x(*day), y(*cost))).collect();
    svg.path(&line, BLUE, false);
    if let ([only], [(day, cost)]) = (line.as_slice(), days) {
        svg.dot(*only, BLUE, &format!("{day}: {}", cost.display()));
    }
    for anomaly in anomalies {
        let told = format!(
            "{}: {} instead of {}",
            anomaly.day,
            anomaly.cost.display(),
            anomaly.expected.display()
        );
        svg.dot((x(anomaly.day), y(anomaly.cost)), ORANGE, &told);
    }
    let ahead = match (ahead.is_empty(), has_interval) {
        (true, _) => "",
        (false, false) => "   - - forecast",
        (false, true) => "   - - forecast with its 80 % interval",
    };
    let legend = format!("— cost per day{ahead}   ● unusual day");
    svg.text(LEFT, HEIGHT - 6.0, "start", &legend);
    svg.finish()
}

/// Axes need no cents from ten dollars on.
fn axis_label(amount: Usd) -> String {
    let text = amount.display();
    text.strip_suffix(".00").map_or(text.clone(), str::to_owned)
}

fn describe(days: &[(Day, Usd)], anomalies: &[Anomaly], forecast: Option<&Forecast>) -> String {
    let mut text = match (days.first(), days.last()) {
        (Some((first, from)), Some((last, to))) => {
            format!("Cost per day from {first} ({}) to {last} ({})", from.display(), to.display())
        }
        _ => "No days".to_owned(),
    };
    for anomaly in anomalies {
        text.push_str(&format!("; unusual on {}: {}", anomaly.day, anomaly.cost.display()));
    }
    if let Some(forecast) = forecast {
        text.push_str(&format!("; forecast {} in total", forecast.total.display()));
        if let Some(Interval { low, high }) = forecast.interval {
            text.push_str(&format!(", between {} and {}", low.display(), high.display()));
        }
    }
    text
}
