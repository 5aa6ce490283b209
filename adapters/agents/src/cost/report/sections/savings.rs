//! The recommendations and the waterfall.

use goldenpath_runtime::usage::{Evidence, Usd};

use super::{UNATTRIBUTED, Writer};
use crate::cost::chart::{self, Bar};
use crate::cost::facts::Value;
use crate::cost::markdown::{code, name};
use crate::cost::rules::{Recommendation, Saving, Waterfall};

/// The formula of all levers together.
pub(super) const ALL_LEVERS: &str = "Σ of the savings in sequence";

/// Groups told for each rule.
const HITS_SHOWN: usize = 3;

impl Writer<'_> {
    /// R1, R4, R6, R7, R10, combined.
    pub(super) fn savings(&mut self) {
        let analysis = self.analysis;
        let (Some(savings), Some(levers)) = (&analysis.savings, &analysis.measurements.levers)
        else {
            return;
        };
        self.heading("Savings");
        let rows: i64 = levers.value.iter().map(|group| group.all.rows).sum();
        let single: i64 = levers.value.iter().map(|group| group.lengths.rows).sum();
        if savings.recommendations.is_empty() {
            self.paragraph(match (single, rows) {
                (0, 0) => "There are no records to examine.",
                (0, _) => {
                    "Savings could not be examined: the records are sums of many requests, and the rules look at \
                     single ones."
                }
                (single, rows) if single < rows => {
                    "The rules found nothing to save in the records of single requests. The others are sums and \
                     could not be examined."
                }
                _ => "None of the rules found anything to save.",
            });
            return;
        }
        self.paragraph(
            "Per month of 30 days. *Alone*: if only this were done. *In sequence*: what it adds after the rows above \
             it; these can be summed.",
        );
        self.overview(savings);
        let month = |amount: Usd| amount.scaled(30, i128::from(savings.window_days.max(1)));
        let step = |step: &crate::cost::rules::WaterfallStep| Bar {
            label: step.rule.short().to_owned(),
            amount: month(step.saving),
        };
        let steps: Vec<Bar> = savings.steps.iter().map(step).collect();
        let svg = chart::waterfall(
            "Spend and savings per month",
            month(savings.spend),
            &steps,
            month(savings.remaining()),
        );
        self.chart("savings.svg", "Spend and savings per month", svg);
        for recommendation in savings.ranked() {
            self.recommendation(recommendation, savings.window_days, &levers.evidence);
        }
    }

    /// What the headline promises: the levers that are more than an indication.
    pub(super) fn sure_savings(&mut self) -> Option<String> {
        let savings = self.analysis.savings.as_ref()?;
        let sure = savings.sure();
        if sure.is_zero() {
            return None;
        }
        let monthly = Saving { expected: sure, ..Saving::default() }.monthly(savings.window_days);
        let (id, label) = if sure == savings.total.expected {
            ("savings.total.expected", "Expected saving per month, all levers")
        } else {
            (
                "savings.sure.expected",
                "Expected saving per month, levers of medium or high confidence",
            )
        };
        Some(self.savings_fact(id, label, ALL_LEVERS, monthly.expected))
    }

    /// A monthly amount derived from the levers.
    pub(super) fn savings_fact(
        &mut self,
        id: &str,
        label: &str,
        formula: &str,
        monthly: Usd,
    ) -> String {
        if let Some(levers) = &self.analysis.measurements.levers {
            let spend: Usd = levers.value.iter().map(|group| group.all.cost).sum();
            self.money(
                "savings.spend",
                "Spend of the groups the rules looked at",
                spend,
                &levers.evidence,
            );
        }
        let formula = format!("({formula}) × 30 ÷ days of the period");
        self.facts.derived(id, label, Value::Money(monthly), &formula, &["savings.spend"])
    }

    fn overview(&mut self, savings: &Waterfall) {
        let mut rows = Vec::new();
        for recommendation in &savings.recommendations {
            let rule = recommendation.rule;
            let id = format!("savings.{}", rule.id());
            let (alone, sequence) = (
                recommendation.alone.monthly(savings.window_days),
                recommendation.in_sequence.monthly(savings.window_days),
            );
            let mut fact = |part: &str, amount| {
                self.savings_fact(
                    &format!("{id}.{part}"),
                    &format!("{} per month, {part}", rule.title()),
                    &recommendation.formula,
                    amount,
                )
            };
            rows.push(vec![
                format!("**{}** {}", rule.id(), rule.title()),
                fact("alone", alone.expected),
                fact("in-sequence", sequence.expected),
                fact("low", sequence.low),
                fact("high", sequence.high),
                recommendation.confidence.words().into(),
            ]);
        }
        let total = savings.total.monthly(savings.window_days);
        let mut fact = |part: &str, amount| {
            self.savings_fact(
                &format!("savings.total.{part}"),
                &format!("{part} saving per month, all levers"),
                ALL_LEVERS,
                amount,
            )
        };
        let (low, high) = (fact("low", total.low), fact("high", total.high));
        let label = "Expected saving per month, all levers";
        let expected =
            self.savings_fact("savings.total.expected", label, ALL_LEVERS, total.expected);
        rows.push(vec!["**Together**".into(), String::new(), expected, low, high, String::new()]);
        self.table(&["Lever", "Alone", "In sequence", "Low", "High", "Confidence"], &rows);
    }

    fn recommendation(
        &mut self,
        recommendation: &Recommendation,
        window_days: i32,
        evidence: &Evidence,
    ) {
        let rule = recommendation.rule;
        let id = format!("savings.{}", rule.id());
        let mut text = format!("### {} {}\n\n{}\n\n", rule.id(), rule.title(), rule.action());
        for (at, hit) in recommendation.hits.iter().take(HITS_SHOWN).enumerate() {
            let feature = hit.feature.as_deref().unwrap_or(UNATTRIBUTED);
            let model = hit.model.as_deref().unwrap_or("no model named");
            let hit_id = format!("{id}.{feature}.{model}.{at}");
            let place = format!("{feature} on {model}");
            let monthly = hit.in_sequence.monthly(window_days).expected;
            let label = format!("{} for {place}, per month", rule.title());
            let saving = self.savings_fact(
                &format!("{hit_id}.saving"),
                &label,
                &recommendation.formula,
                monthly,
            );
            let label = format!("Cost of {place} over the period");
            let cost = self.money(&format!("{hit_id}.cost"), &label, hit.cost, evidence);
            let facts = &mut self.facts;
            let why = hit.trigger.fill(|what, value| {
                facts.measured(
                    &format!("{hit_id}.{what}"),
                    &format!("{what}: {place}"),
                    value.clone(),
                    evidence,
                )
            });
            let instead = hit
                .candidate
                .as_deref()
                .map(|model| format!(", use {}", code(model)))
                .unwrap_or_default();
            text.push_str(&format!(
                "- {} on {}{instead}: {saving} a month of {cost} over the period. Why: {why}.\n",
                name(feature),
                name(model)
            ));
        }
        text.push_str(&format!(
            "\nFormula: {}. Confidence: {}",
            code(&recommendation.formula),
            recommendation.confidence.words()
        ));
        if !recommendation.reasons.is_empty() {
            text.push_str(&format!(" ({})", recommendation.reasons.join("; ")));
        }
        self.paragraph(&(text + "."));
        if let Some(hit) = recommendation.hits.first() {
            let feature =
                hit.feature.as_deref().map_or_else(|| "requests without a feature".into(), name);
            self.next_steps.push(format!("{} Start with {feature}.", rule.action()));
        }
    }
}
