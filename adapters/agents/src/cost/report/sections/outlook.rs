//! Unusual days, and the days to come.

use super::Writer;
use crate::cost::anomaly;
use crate::cost::facts::Value;
use crate::cost::markdown::{code, name};

impl Writer<'_> {
    /// The cost per day as a fact: what the facts of this file are derived from.
    fn days_fact(&mut self) {
        let Some(daily) = &self.analysis.measurements.daily else { return };
        let total = daily.value.iter().map(|share| share.cost).sum();
        self.money(
            "daily.total",
            "Cost of every day of the period together",
            total,
            &daily.evidence,
        );
    }

    /// A6.
    pub(super) fn anomalies(&mut self) {
        let analysis = self.analysis;
        let Some(daily) = &analysis.measurements.daily else { return };
        self.heading("Unusual days");
        if analysis.anomalies.is_empty() {
            self.paragraph(if analysis.scope.period.days() < anomaly::MIN_DAYS as i32 {
                "In less than a week no day can be called unusual."
            } else {
                "No day stands out."
            });
            return;
        }
        self.days_fact();
        let mut rows = Vec::new();
        for anomaly in analysis.anomalies.iter().take(self.thresholds.anomalies_shown) {
            let day = anomaly.day;
            let id = format!("anomaly.{day}");
            let cost = self.money(
                &format!("{id}.cost"),
                &format!("Cost of {day}"),
                anomaly.cost,
                &daily.evidence,
            );
            let label = format!("Usual cost of a day like {day}");
            let formula =
                "median of the cost of such days (of its weekday, with three weeks of data)";
            let usual = Value::Money(anomaly.expected);
            let usual = self.facts.derived(
                &format!("{id}.usual"),
                &label,
                usual,
                formula,
                &["daily.total"],
            );
            let label = format!("Modified z-score of {day}");
            let formula =
                "0.6745 × (x − median) ÷ median absolute deviation, x = cost less usual cost";
            let score = Value::Ratio(anomaly.score);
            let inputs = [format!("{id}.cost"), format!("{id}.usual")];
            let inputs = [inputs[0].as_str(), inputs[1].as_str()];
            let score = self.facts.derived(&format!("{id}.score"), &label, score, formula, &inputs);
            let driver = anomaly.driver.as_ref().map_or_else(
                || "–".to_owned(),
                |driver| {
                    let label = format!("Excess of the largest driver on {day}");
                    let excess =
                        self.money(&format!("{id}.driver"), &label, driver.excess, &daily.evidence);
                    let feature = driver.feature.as_deref().unwrap_or(super::UNATTRIBUTED);
                    let model = driver.model.as_deref().unwrap_or("no model named");
                    format!("{} on {} ({excess})", name(feature), name(model))
                },
            );
            rows.push(vec![day.to_string(), cost, usual, score, driver]);
        }
        self.table(&["Day", "Cost", "Usual", "Score", "Driver"], &rows);
        self.next_steps.push(format!("Find out what happened on {}.", analysis.anomalies[0].day));
    }

    /// A7.
    pub(super) fn forecast(&mut self) {
        let analysis = self.analysis;
        let Some(forecast) = &analysis.forecast else { return };
        self.heading("Forecast");
        let first = forecast.days.first().map(|day| day.day.to_string()).unwrap_or_default();
        let last = forecast.days.last().map(|day| day.day.to_string()).unwrap_or_default();
        let label = format!("Expected cost from {first} to {last}");
        self.days_fact();
        let over = |what: &str| format!("{what}, from the cost of each day of the period");
        let total = Value::Money(forecast.total);
        let formula = over(forecast.method.words());
        let total = self.facts.derived("forecast.total", &label, total, &formula, &["daily.total"]);
        let days =
            if first == last { format!("On {first}") } else { format!("From {first} to {last}") };
        let interval = forecast.interval.map(|interval| {
            let formula = over(
                "10th and 90th percentile of the errors of the backtest, widened for the horizon",
            );
            let mut end = |id: &str, label: &str, amount| {
                self.facts.derived(id, label, Value::Money(amount), &formula, &["daily.total"])
            };
            let low = end("forecast.low", "Low end of the 80 % interval", interval.low);
            let high = end("forecast.high", "High end of the 80 % interval", interval.high);
            format!(", with 80 % probability between {low} and {high}")
        });
        let unknown = if interval.is_none() { " No interval can be given." } else { "" };
        self.paragraph(&format!(
            "{days} expect {total}{}. Confidence: {}.{unknown}",
            interval.unwrap_or_default(),
            forecast.confidence.words()
        ));
        let mut notes = format!("Method: {}.", forecast.method.words());
        if let Some(error) = forecast.backtest_error {
            let label = "Mean absolute error per day in the backtest";
            let formula = "mean of the distances between forecast and cost over the last two weeks";
            let error = Value::Money(error);
            let error =
                self.facts.derived("forecast.error", label, error, formula, &["daily.total"]);
            notes.push_str(&format!(
                " In a backtest over the last two weeks it was off by {error} a day."
            ));
        }
        if forecast.replaced_days > 0 {
            notes.push_str(" Unusual days were replaced by usual ones before looking ahead.");
        }
        for reason in &forecast.reasons {
            notes.push_str(&format!(" Limited: {reason}."));
        }
        self.paragraph(&notes);
        if let Some(outlook) = analysis.budget {
            let budget = self.facts.derived(
                "budget",
                "Budget as asked",
                Value::Money(outlook.budget),
                "given",
                &[],
            );
            let probability = outlook.overrun_probability.map(|share| {
                let label = "Probability that the budget is exceeded";
                let formula =
                    "normal distribution around forecast.total with the spread of its interval";
                let inputs = ["forecast.total", "forecast.low", "forecast.high", "budget"];
                self.facts.derived("budget.overrun", label, Value::Share(share), formula, &inputs)
            });
            let ends = outlook.exhausted_on.map_or_else(
                || "and lasts if everything goes as expected".to_owned(),
                |day| format!("and is used up on {day} if everything goes as expected"),
            );
            self.paragraph(&match probability {
                Some(probability) => format!(
                    "A budget of {budget} is exceeded with a probability of {probability}, {ends}."
                ),
                None => format!(
                    "How likely a budget of {budget} is exceeded cannot be said from so few days. It {}.",
                    ends.trim_start_matches("and ")
                ),
            });
        } else {
            let ask = code("Will I stay within $1,000?");
            self.next_steps.push(format!("Ask with a budget, for example {ask}."));
        }
    }
}
