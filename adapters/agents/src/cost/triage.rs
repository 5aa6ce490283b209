//! Triage: what a question asks for, found by a deterministic grammar.
//!
//! A lexicon of phrases gives points to intents; slots (period, dimension, filters, budget, format) are
//! read by small parsers. A question without a word about usage or cost is unknown, and gets an honest
//! list of what we can do instead of a guess.

mod amounts;
mod lexicon;
mod periods;
#[cfg(test)]
mod phrasings;
mod words;

use std::collections::BTreeMap;

use goldenpath_runtime::usage::{Condition, Coverage, Day, Dimension, Filter, Period, Usd};
use serde::{Deserialize, Serialize};

use super::measure::Scope;
use super::report::Section;
use super::thresholds::Thresholds;
use words::Words;

/// What a question asks for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Everything: "Analyze my AI costs".
    Analyze,
    /// Unusual days.
    Anomalies,
    /// Cost by a dimension.
    Breakdown,
    /// Whether a budget holds.
    Budget,
    /// What we can do.
    Capabilities,
    /// What data there are.
    Data,
    /// The days to come.
    Forecast,
    /// How to load data.
    Import,
    /// How tokens and requests relate; errors, caching.
    Ratios,
    /// What to do to pay less.
    Savings,
    /// How much was spent.
    Spend,
    /// How the cost develops.
    Trend,
    /// What one of something costs.
    UnitCost,
    /// None of these.
    Unknown,
}

/// How an answer is wanted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Comma-separated values.
    Csv,
    /// A page.
    Html,
    /// Data.
    Json,
    /// Text.
    Markdown,
}

/// The values found in a question.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Slots {
    /// The days meant.
    pub period: Option<Period>,
    /// How many days to look ahead.
    pub horizon_days: Option<u32>,
    /// What to group by.
    pub dimension: Option<Dimension>,
    /// Which rows only.
    pub filters: Vec<Filter>,
    /// The budget.
    pub budget: Option<Usd>,
    /// The format.
    pub format: Option<Format>,
    /// How many groups.
    pub top: Option<u32>,
}

/// What a question asks for, with what, and how sure that is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Triage {
    /// What it asks for.
    pub intent: Intent,
    /// With what.
    pub slots: Slots,
    /// From 0 to 100.
    pub confidence: u8,
    /// The phrases that decided.
    pub matched: Vec<String>,
}

/// The longest question that is looked at, in words.
const MAX_WORDS: usize = 400;

/// Reads a question asked on a day.
pub fn triage(question: &str, today: Day) -> Triage {
    let words = Words::of(question, MAX_WORDS);
    let slots = slots(&words, today);
    let mut points: BTreeMap<Intent, u32> = BTreeMap::new();
    let mut matched = Vec::new();
    for (intent, weight, phrase) in lexicon::PHRASES {
        if words.contains(phrase) {
            matched.push((*phrase).to_owned());
            *points.entry(*intent).or_default() += weight;
        }
    }
    let topical = lexicon::TOPIC.iter().filter(|phrase| words.contains(phrase)).count();
    let topical =
        topical + usize::from(!slots.filters.is_empty()) + usize::from(slots.budget.is_some());
    let about_data = words.contains_any(lexicon::DATA_TOPIC);
    if topical > 0 {
        if slots.dimension.is_some() && words.contains_any(lexicon::GROUPING) {
            *points.entry(Intent::Breakdown).or_default() += 4;
        }
        if slots.budget.is_some() && words.contains_any(lexicon::LIMITING) {
            *points.entry(Intent::Budget).or_default() += 5;
        }
        if slots.horizon_days.is_some() {
            *points.entry(Intent::Forecast).or_default() += 3;
        }
        if points.is_empty() {
            // A word about cost and nothing else: the whole picture is never wrong.
            *points.entry(Intent::Analyze).or_default() += 1;
        }
    }
    // The most points; on a tie the intent that comes first in the lexicon's order.
    let best = lexicon::PRECEDENCE
        .iter()
        .filter_map(|intent| points.get(intent).map(|sum| (*intent, *sum)))
        .rev()
        .max_by_key(|(_, sum)| *sum);
    let foreign = words.contains_any(lexicon::FOREIGN);
    let unknown =
        |matched| Triage { intent: Intent::Unknown, slots: slots.clone(), confidence: 0, matched };
    let Some((intent, sum)) = best else { return unknown(matched) };
    let needs_topic = !matches!(intent, Intent::Capabilities | Intent::Data | Intent::Import);
    let off_topic = if needs_topic {
        topical == 0 || (foreign && topical < 3)
    } else {
        foreign || (intent != Intent::Capabilities && topical == 0 && !about_data)
    };
    if off_topic {
        return unknown(matched);
    }
    let others = points.values().sum::<u32>() - sum;
    let share = sum * 100 / (sum + others / 2).max(1);
    let strength = (40 + sum * 12 + topical as u32 * 6).min(100);
    let confidence = u8::try_from(share.min(strength)).unwrap_or(100);
    Triage { intent, slots, confidence, matched }
}

fn slots(words: &Words, today: Day) -> Slots {
    let (period, horizon_days) = periods::read(words, today);
    Slots {
        period,
        horizon_days,
        dimension: lexicon::dimension(words),
        filters: filters(words),
        budget: amounts::budget(words),
        format: lexicon::FORMATS
            .iter()
            .find(|(phrase, _)| words.contains(phrase))
            .map(|(_, format)| *format),
        top: amounts::top(words),
    }
}

fn filters(words: &Words) -> Vec<Filter> {
    let mut filters = Vec::new();
    let mut only = |dimension, values: Vec<String>| {
        if !values.is_empty() {
            filters.push(Filter { dimension, condition: Condition::In(values) });
        }
    };
    only(
        Dimension::Model,
        words.iter().filter(|word| lexicon::is_model(word)).map(str::to_owned).collect(),
    );
    let providers = words.iter().filter(|word| lexicon::PROVIDERS.contains(word));
    only(Dimension::Provider, providers.map(str::to_owned).collect());
    for (noun, dimension) in [
        ("team", Dimension::Team),
        ("feature", Dimension::Feature),
        ("project", Dimension::Project),
    ] {
        only(dimension, words.named(noun).into_iter().collect());
    }
    filters
}

impl Triage {
    /// The parts of the report this question is about; empty for all.
    pub fn sections(&self) -> Vec<Section> {
        use Section as S;
        match self.intent {
            Intent::Analyze
            | Intent::Capabilities
            | Intent::Data
            | Intent::Import
            | Intent::Unknown => Vec::new(),
            Intent::Anomalies => vec![S::Totals, S::Trend, S::Anomalies],
            Intent::Breakdown => vec![S::Totals, S::Breakdowns, S::Quality],
            Intent::Budget | Intent::Forecast => vec![S::Totals, S::Trend, S::Forecast],
            Intent::Ratios => vec![S::Totals, S::Ratios],
            Intent::Savings => vec![S::Totals, S::Savings, S::Quality],
            Intent::Spend => vec![S::Totals, S::Trend, S::Breakdowns, S::Quality],
            Intent::Trend => vec![S::Totals, S::Trend, S::Anomalies],
            Intent::UnitCost => vec![S::Totals, S::UnitCosts, S::Breakdowns],
        }
    }

    /// What to look at: the period and filters of the question, else the last days with data. `None`
    /// when the question names no period and there are no data.
    pub fn scope(&self, coverage: &Coverage, thresholds: &Thresholds) -> Option<Scope> {
        let period = self.slots.period.or_else(|| Scope::default_period(coverage, thresholds))?;
        Some(Scope { period, filters: self.slots.filters.clone() })
    }

    /// The thresholds with what the question says about them: how many groups, how far ahead.
    pub fn adjust(&self, thresholds: &Thresholds) -> Thresholds {
        let mut own = thresholds.clone();
        if let Some(top) = self.slots.top {
            own.top_n = (top as usize).clamp(1, 50);
        }
        if let Some(days) = self.slots.horizon_days {
            own.forecast_days = (days as usize).clamp(1, 366);
        }
        own
    }
}
