//! How the levers work one after another.

use goldenpath_runtime::usage::{LeverGroup, Usd};
use serde::{Deserialize, Serialize};

use super::{Confidence, Effect, Hit, Recommendation, Rule, Saving, truncation_counts};
use crate::cost::thresholds::Thresholds;

/// Requests and days from which on data suffice for high confidence.
const MANY_REQUESTS: i64 = 1000;
const MANY_DAYS: i32 = 14;
/// The same for medium confidence.
const SOME_REQUESTS: i64 = 100;
const SOME_DAYS: i32 = 7;

/// From what is spent to what would remain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waterfall {
    /// Spend of the window.
    pub spend: Usd,
    /// Days of the window.
    pub window_days: i32,
    /// The rules that apply, in the order of the levers.
    pub recommendations: Vec<Recommendation>,
    /// The expected savings in sequence.
    pub steps: Vec<WaterfallStep>,
    /// All savings in sequence together.
    pub total: Saving,
}

/// One lever of the waterfall.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct WaterfallStep {
    /// The lever.
    pub rule: Rule,
    /// The expected saving over the window.
    pub saving: Usd,
    /// What is left of the spend after it.
    pub remaining: Usd,
}

impl Waterfall {
    /// What remains when everything goes as expected.
    pub fn remaining(&self) -> Usd {
        self.spend - self.total.expected
    }

    /// The expected saving over the window of the levers that are more than an indication.
    pub fn sure(&self) -> Usd {
        let sure = self.recommendations.iter().filter(|found| found.confidence > Confidence::Low);
        sure.map(|found| found.in_sequence.expected).sum()
    }

    /// The recommendations, the most worthwhile first.
    pub fn ranked(&self) -> Vec<&Recommendation> {
        let mut ranked: Vec<&Recommendation> = self.recommendations.iter().collect();
        ranked.sort_by_key(|recommendation| {
            (core::cmp::Reverse(recommendation.rank()), recommendation.rule)
        });
        ranked
    }
}

type Rater<'r> = dyn Fn(&LeverGroup, Rule) -> Option<Effect> + 'r;

/// Applies the levers in order to every group.
pub(super) fn build(
    groups: &[LeverGroup],
    window_days: i32,
    rate: &Rater<'_>,
    thresholds: &Thresholds,
) -> Waterfall {
    let spend: Usd = groups.iter().map(|group| group.all.cost).sum();
    let mut hits: Vec<(Rule, Hit, Confidence)> = Vec::new();
    for group in groups {
        let mut left = Left::of(group, thresholds);
        for rule in Rule::ALL {
            let Some(effect) = rate(group, rule) else { continue };
            let alone = Left::whole(group, thresholds).take(rule, &effect);
            let in_sequence = left.take(rule, &effect);
            if alone.high.is_zero() {
                continue;
            }
            let hit = Hit {
                model: group.model.clone(),
                feature: group.feature.clone(),
                candidate: effect.candidate,
                cost: group.all.cost,
                requests: group.all.requests,
                alone,
                in_sequence,
                trigger: effect.trigger,
            };
            hits.push((rule, hit, effect.confidence));
        }
    }
    let mut waterfall = Waterfall {
        spend,
        window_days,
        recommendations: Vec::new(),
        steps: Vec::new(),
        total: Saving::default(),
    };
    let mut remaining = spend;
    for rule in Rule::ALL {
        let of_rule: Vec<_> = hits.iter().filter(|(of, ..)| *of == rule).collect();
        if of_rule.is_empty() {
            continue;
        }
        let recommendation = recommend(rule, &of_rule, window_days);
        remaining = remaining - recommendation.in_sequence.expected;
        waterfall.total = waterfall.total.plus(recommendation.in_sequence);
        waterfall.steps.push(WaterfallStep {
            rule,
            saving: recommendation.in_sequence.expected,
            remaining,
        });
        waterfall.recommendations.push(recommendation);
    }
    waterfall
}

fn recommend(rule: Rule, hits: &[&(Rule, Hit, Confidence)], window_days: i32) -> Recommendation {
    let mut own: Vec<Hit> = hits.iter().map(|(_, hit, _)| hit.clone()).collect();
    own.sort_by(|one, other| {
        let key = |hit: &Hit| (hit.feature.clone(), hit.model.clone(), hit.candidate.clone());
        other
            .in_sequence
            .expected
            .cmp(&one.in_sequence.expected)
            .then_with(|| key(one).cmp(&key(other)))
    });
    let sum = |of: fn(&Hit) -> Saving| own.iter().map(of).fold(Saving::default(), Saving::plus);
    let mut reasons = Vec::new();
    // The largest hit carries the recommendation: its assumption decides.
    let largest = hits.iter().max_by_key(|(_, hit, _)| hit.alone.expected);
    let assumption = largest.map_or(Confidence::Low, |(.., confidence)| *confidence);
    if assumption < Confidence::High {
        reasons.push(assumption_of(rule).to_owned());
    }
    let requests: i64 = own.iter().map(|hit| hit.requests).sum();
    let data = if requests >= MANY_REQUESTS && window_days >= MANY_DAYS {
        Confidence::High
    } else {
        reasons.push("few requests or days to judge by".to_owned());
        if requests >= SOME_REQUESTS && window_days >= SOME_DAYS {
            Confidence::Medium
        } else {
            Confidence::Low
        }
    };
    Recommendation {
        rule,
        alone: sum(|hit| hit.alone),
        in_sequence: sum(|hit| hit.in_sequence),
        hits: own,
        confidence: assumption.min(data),
        reasons,
        formula: formula(rule).to_owned(),
    }
}

const fn assumption_of(rule: Rule) -> &'static str {
    match rule {
        Rule::R1 => "the quality of the smaller model has to be tested",
        Rule::R4 => "that nobody waits for these requests is a guess from their pattern",
        Rule::R6 | Rule::R7 => "not every failure can be avoided",
        Rule::R10 => "long outputs may be wanted",
    }
}

const fn formula(rule: Rule) -> &'static str {
    match rule {
        Rule::R1 => {
            "cost × (1 − price of the same tokens on the smaller model ÷ on this model) × share routed"
        }
        Rule::R4 => "cost × (1 − batch price ÷ online price) × share that can wait",
        Rule::R6 => "Σ cost of attempts that a retry replaced × share avoided",
        Rule::R7 => "Σ cost of failed and cut answers × share avoided",
        Rule::R10 => "Σ max(0, output − 95th percentile) × output price × share avoided",
    }
}

/// What the levers have left of one group, in the three scenarios.
struct Left {
    superseded: [Usd; 3],
    wasted: [Usd; 3],
    excess: [Usd; 3],
    /// Kept requests' cost, the excess included.
    kept: [Usd; 3],
}

impl Left {
    fn of(group: &LeverGroup, thresholds: &Thresholds) -> Self {
        let counts = truncation_counts(group, thresholds);
        let (cut, uncounted) = if counts {
            (group.truncated.cost, Usd::ZERO)
        } else {
            (Usd::ZERO, group.truncated.cost)
        };
        // Too few cut answers to matter are ordinary requests for the levers after.
        let kept = group.kept.cost + uncounted;
        Self {
            superseded: [group.superseded.cost; 3],
            wasted: [group.failed.cost + cut; 3],
            excess: [group.kept.excess_output_cost.min(kept); 3],
            kept: [kept; 3],
        }
    }

    /// The group before any lever: a price applies to what is wasted as well.
    fn whole(group: &LeverGroup, thresholds: &Thresholds) -> Self {
        let cost = group.all.cost;
        Self {
            excess: [group.all.excess_output_cost.min(cost); 3],
            kept: [cost; 3],
            ..Self::of(group, thresholds)
        }
    }

    /// Applies a lever and says what it saves.
    fn take(&mut self, rule: Rule, effect: &Effect) -> Saving {
        let (numerator, denominator) = effect.part;
        let saved = |base: Usd, percent: u8| {
            let whole = base.scaled(numerator, denominator).min(base).max(Usd::ZERO);
            whole.scaled(i128::from(percent.min(100)), 100)
        };
        let mut savings = [Usd::ZERO; 3];
        for (at, percent) in effect.shares.each().into_iter().enumerate() {
            let base = match rule {
                Rule::R6 => &mut self.superseded,
                Rule::R7 => &mut self.wasted,
                Rule::R10 => &mut self.excess,
                Rule::R1 | Rule::R4 => &mut self.kept,
            };
            let saving = saved(base[at], percent);
            base[at] = base[at] - saving;
            if rule == Rule::R10 {
                self.kept[at] = self.kept[at] - saving;
            }
            savings[at] = saving;
        }
        Saving::from_each(savings)
    }
}
