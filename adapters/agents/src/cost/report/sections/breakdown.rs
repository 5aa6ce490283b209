//! A2: where the money goes.

use std::collections::BTreeSet;

use goldenpath_runtime::usage::{Answer, Usd};

use super::{UNATTRIBUTED, Writer};
use crate::cost::chart::{self, Bar};
use crate::cost::facts::{Unit, Value, slug};
use crate::cost::markdown::name;
use crate::cost::measure::{Breakdown, Share};

impl Writer<'_> {
    pub(super) fn breakdowns(&mut self) {
        for answer in &self.analysis.measurements.breakdowns {
            if answer.value.groups.is_empty() {
                continue;
            }
            let title = answer.value.dimension.title().to_lowercase();
            self.heading(&format!("By {title}"));
            let bars = self.breakdown(answer);
            if title == "model" {
                self.chart("models.svg", "Cost by model", chart::bars("Cost by model", &bars));
            }
        }
    }

    /// A2: the largest groups, the rest as "other", and the sum, which is the total.
    fn breakdown(&mut self, answer: &Answer<Breakdown>) -> Vec<Bar> {
        let Answer { value, evidence } = answer;
        let title = value.dimension.title().to_lowercase();
        let total: Usd = value.groups.iter().map(|group| group.cost).sum();
        let requests: i64 = value.groups.iter().map(|group| group.requests).sum();
        let (top, rest) = value.groups.split_at(self.thresholds.top_n.min(value.groups.len()));
        let mut groups: Vec<Share> = top.to_vec();
        if !rest.is_empty() {
            groups.push(Share {
                name: Some(format!("other {title}s")),
                cost: rest.iter().map(|group| group.cost).sum(),
                requests: rest.iter().map(|group| group.requests).sum(),
                unpriced: rest.iter().map(|group| group.unpriced).sum(),
                input_tokens: rest.iter().map(|group| group.input_tokens).sum(),
                output_tokens: rest.iter().map(|group| group.output_tokens).sum(),
            });
        }
        let sum_id = format!("by-{title}.total");
        let sum = self.money(&sum_id, &format!("Total over every {title}"), total, evidence);
        let mut rows = Vec::new();
        let mut bars = Vec::new();
        // Names that differ only in punctuation get ids of their own.
        let mut used = BTreeSet::new();
        for group in &groups {
            let label = group.name.as_deref().unwrap_or(UNATTRIBUTED);
            let mut id = slug(&format!("by-{title}.{label}"));
            while !used.insert(id.clone()) {
                id.push_str(".again");
            }
            let cost_id = format!("{id}.cost");
            let cost =
                self.money(&cost_id, &format!("Cost of {title} {label}"), group.cost, evidence);
            let share = if total.is_zero() { 0.0 } else { group.cost.as_f64() / total.as_f64() };
            let formula = format!("cost of {label} ÷ {sum_id}");
            let share_label = format!("Share of {title} {label} in the cost");
            let inputs = [cost_id.as_str(), sum_id.as_str()];
            let share = self.facts.derived(
                &format!("{id}.share"),
                &share_label,
                Value::Share(share),
                &formula,
                &inputs,
            );
            let count_label = format!("Requests of {title} {label}");
            let count = self.count(
                &format!("{id}.requests"),
                &count_label,
                group.requests,
                Unit::Requests,
                evidence,
            );
            let each = self.per(
                &format!("{id}.unit"),
                &format!("Cost per request of {title} {label}"),
                &cost_id,
                group.cost,
                group.requests,
            );
            if group.unpriced == group.requests && group.cost.is_zero() {
                rows.push(vec![
                    name(label),
                    "no known price".into(),
                    "–".into(),
                    count,
                    "–".into(),
                ]);
                continue;
            }
            rows.push(vec![name(label), cost, share, count, each]);
            bars.push(Bar { label: label.to_owned(), amount: group.cost });
        }
        let all = self.count(
            &format!("by-{title}.requests"),
            &format!("Requests over every {title}"),
            requests,
            Unit::Requests,
            evidence,
        );
        rows.push(vec!["**Total**".into(), sum, String::new(), all, String::new()]);
        self.table(&[value.dimension.title(), "Cost", "Share", "Requests", "Per request"], &rows);
        if value.truncated {
            self.paragraph(
                "There are more groups than were read; the sum covers those above only.",
            );
        }
        bars
    }
}
