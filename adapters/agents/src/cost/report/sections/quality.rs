//! Q1 and Q2: how complete and reliable the data are.

use super::Writer;
use crate::cost::facts::{Unit, Value};
use crate::cost::markdown::code;

impl Writer<'_> {
    /// Q1, Q2 and where the data come from.
    pub(super) fn quality(&mut self) {
        let analysis = self.analysis;
        self.heading("Data quality");
        if let Some(coverage) = &analysis.measurements.coverage {
            let rows = i64::try_from(coverage.value.rows).unwrap_or(i64::MAX);
            let rows = self.count(
                "data.rows",
                "Usage records loaded",
                rows,
                Unit::Number,
                &coverage.evidence,
            );
            let sources: Vec<String> =
                coverage.value.sources.iter().map(|(source, _)| code(source)).collect();
            let days = coverage
                .value
                .days
                .map(|(first, last)| format!(" from {first} to {last}"))
                .unwrap_or_default();
            self.paragraph(&format!(
                "{rows} usage records are loaded{days}; sources: {}.",
                sources.join(", ")
            ));
            if coverage.value.sources.iter().any(|(source, _)| source == crate::demo_data::SOURCE) {
                self.paragraph("**These are synthetic demonstration data.** Import your own to see your costs.");
            }
        }
        let by = |dimension| {
            analysis.measurements.breakdowns.iter().find(move |by| by.value.dimension == dimension)
        };
        let gaps = [
            (
                "feature",
                analysis.quality.without_feature,
                by(goldenpath_runtime::usage::Dimension::Feature),
            ),
            ("team", analysis.quality.without_team, by(goldenpath_runtime::usage::Dimension::Team)),
        ];
        let mut clean = true;
        for (what, gap, answer) in gaps {
            let (Some(gap), Some(answer)) = (gap, answer) else { continue };
            clean = false;
            let cost_id = format!("quality.no-{what}");
            let cost =
                self.money(&cost_id, &format!("Cost without a {what}"), gap.cost, &answer.evidence);
            let label = format!("Share of the cost without a {what}");
            let formula = format!("{cost_id} ÷ total");
            let share = self.facts.derived(
                &format!("{cost_id}.share"),
                &label,
                Value::Share(gap.share),
                &formula,
                &[&cost_id],
            );
            self.paragraph(&format!(
                "**Q1** {cost} ({share}) of the spend names no {what}: nobody can act on it."
            ));
            self.next_steps.push(format!(
                "Name the {what} of every request (a tag, a key per {what}, or a column)."
            ));
        }
        let Some(answer) = self.measured_totals() else { return };
        if analysis.quality.unpriced_requests > 0 {
            clean = false;
            let label = "Requests without a known cost";
            let count = self.count(
                "quality.unpriced",
                label,
                analysis.quality.unpriced_requests,
                Unit::Requests,
                &answer.evidence,
            );
            self.paragraph(&format!(
                "**Q2** Requests to models without a known price: {count}. Every total is a floor."
            ));
            self.next_steps
                .push("Give the missing prices, or import records that carry their cost.".into());
        }
        if let Some(drift) = analysis.quality.drift {
            clean = false;
            let label = "Reported less computed cost, as a share of computed";
            let drift =
                self.facts.measured("quality.drift", label, Value::Change(drift), &answer.evidence);
            self.paragraph(&format!(
                "**Q2** What the sources reported differs from the list prices by {drift}."
            ));
        }
        if clean {
            self.paragraph("Nothing limits the statements above.");
        }
        self.paragraph(&format!(
            "Prices: {} (list prices of the day of each request). Money is exact to the pico-dollar and rounded for display.",
            code(crate::cost::prices::PRICE_TABLE)
        ));
    }
}
