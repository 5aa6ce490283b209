//! Triage: what a question asks for, found by a deterministic grammar.
//!
//! A lexicon of phrases gives points to intents; slots (period, dimension, filters, budget, format) are
//! read by small parsers. A question without a word about usage or cost is unknown, and gets an honest
//! list of what we can do instead of a guess.

mod amounts;
mod lexicon;
mod names;
#[cfg(test)]
mod namings;
mod ordinary;
mod periods;
#[cfg(test)]
mod phrasings;
mod words;

use std::collections::BTreeMap;

use goldenpath_runtime::usage::{Condition, Coverage, Day, Dimension, Filter, Period, Usd};
use serde::{Deserialize, Serialize};

use super::measure::{Missing, Scope};
use super::report::Section;
use super::thresholds::Thresholds;
use words::Words;

pub use names::{NAMED, Vocabulary};

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

impl Format {
    /// As said to people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Html => "HTML",
            Self::Json => "JSON",
            Self::Markdown => "Markdown",
        }
    }
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
    /// What was said and could not be understood, for the report's list of what is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
}

/// The longest question that is looked at, in words.
const MAX_WORDS: usize = 400;

/// Reads a question asked on a day by somebody whose records have these names.
pub fn triage(question: &str, today: Day, vocabulary: &Vocabulary) -> Triage {
    let said = Words::of(question, MAX_WORDS);
    let names = names::read(&said, vocabulary);
    // What is a name does not mean anything else: the team "growth" asks for no trend.
    let words = said.without(&names.taken);
    let slots = slots(&words, names.filters, today);
    let missing = names.missing;
    let mut points: BTreeMap<Intent, u32> = BTreeMap::new();
    let mut matched = Vec::new();
    for (intent, weight, phrase) in lexicon::PHRASES {
        if words.contains(phrase) {
            matched.push((*phrase).to_owned());
            *points.entry(*intent).or_default() += weight;
        }
    }
    let topical = lexicon::TOPIC.iter().filter(|phrase| said.contains(phrase)).count();
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
    let unknown = |matched| Triage {
        intent: Intent::Unknown,
        slots: slots.clone(),
        confidence: 0,
        matched,
        missing: Vec::new(),
    };
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
    Triage { intent, slots, confidence, matched, missing }
}

/// Whether a question has words that may be names: then it is worth asking which names there are.
pub fn may_name(question: &str) -> bool {
    let words = Words::of(question, MAX_WORDS);
    words.iter().any(|word| {
        ordinary::is_new(word)
            || lexicon::noun(word).is_some()
            || ordinary::EXCLUDING.contains(&word)
    })
}

fn slots(words: &Words, filters: Vec<Filter>, today: Day) -> Slots {
    let (period, horizon_days) = periods::read(words, today);
    let named = filters
        .iter()
        .find(|filter| matches!(&filter.condition, Condition::In(all) if all.len() > 1));
    Slots {
        period,
        horizon_days,
        // Who names several of a kind wants them side by side.
        dimension: lexicon::dimension(words).or(named.map(|filter| filter.dimension)),
        filters,
        budget: amounts::budget(words),
        format: lexicon::FORMATS
            .iter()
            .find(|(phrase, _)| words.contains(phrase))
            .map(|(_, format)| *format),
        top: amounts::top(words),
    }
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
            // Of a few days the breakdown says more than the line.
            Intent::Anomalies | Intent::Trend if self.is_short() || self.compares() => {
                vec![S::Totals, S::Trend, S::Breakdowns, S::Anomalies]
            }
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

    fn is_short(&self) -> bool {
        self.slots.period.is_some_and(|period| period.days() < 7)
    }

    fn compares(&self) -> bool {
        self.slots
            .filters
            .iter()
            .any(|filter| matches!(&filter.condition, Condition::In(all) if all.len() > 1))
    }

    /// What to look at: the period and filters of the question, else the last days with data. A period
    /// that reaches beyond the data on a side ends with them. `None` when the question names no period
    /// and there are no data.
    pub fn scope(&self, coverage: &Coverage, thresholds: &Thresholds) -> Option<Scope> {
        let asked = self.slots.period.or_else(|| Scope::default_period(coverage, thresholds))?;
        let period = match coverage.days {
            Some((first, last)) if asked.from <= last && first < asked.until => {
                Period::of_days(asked.from.max(first), asked.last().min(last))
            }
            _ => asked,
        };
        Some(Scope { period, filters: self.slots.filters.clone() })
    }

    /// What the question asks for beyond the first day with records, when the answer begins there.
    pub fn beyond(&self, coverage: &Coverage) -> Option<Missing> {
        let (asked, (first, last)) = (self.slots.period?, coverage.days?);
        let said = asked.from > periods::BEGINNING && asked.from < first && first < asked.until;
        said.then(|| Missing {
            what: format!("days before {first}"),
            why: format!("there are no records of them; yours reach from {first} to {last}"),
        })
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
