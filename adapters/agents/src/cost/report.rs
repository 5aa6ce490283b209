//! The report: Markdown whose every number links to a fact, with charts beside it.
//!
//! There is always a report. With enough data it is full, with gaps it says which, without data it says
//! what to load and how, and to a question we do not understand it says what we can do.

mod check;
mod guidance;
mod sections;

use serde::{Deserialize, Serialize};

pub use check::{Flaw, check};
pub use guidance::{capabilities, commands, fallback, guidance};

use super::analysis::Analysis;
use super::facts::FactBook;
use super::thresholds::Thresholds;

/// Which of the workflow's ends a report is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// What we can do: the question was not understood.
    Capabilities,
    /// Something failed: what there is, and how to go on.
    Fallback,
    /// Everything.
    Full,
    /// No data: what to load and how.
    Guidance,
    /// What there is, and what is missing.
    Partial,
}

/// A part of a full report; a question may ask for some of them only.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// A1: totals and change.
    Totals,
    /// A1: cost per day.
    Trend,
    /// A2: by model, feature, team.
    Breakdowns,
    /// A3: per request, session, user.
    UnitCosts,
    /// A4: input to output, cache, reasoning, errors.
    Ratios,
    /// A6: unusual days.
    Anomalies,
    /// A7: the next days, and the budget.
    Forecast,
    /// The rules and the waterfall.
    Savings,
    /// Q1 and Q2.
    Quality,
}

impl Section {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 9] = [
        Self::Totals,
        Self::Trend,
        Self::Breakdowns,
        Self::UnitCosts,
        Self::Ratios,
        Self::Anomalies,
        Self::Forecast,
        Self::Savings,
        Self::Quality,
    ];
}

/// A chart beside a report.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its file name; the Markdown refers to `artifact:NAME`.
    pub name: String,
    /// `image/svg+xml`.
    pub media_type: String,
    /// What it shows.
    pub title: String,
    /// The file.
    pub body: String,
}

/// A finished report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Which kind.
    pub kind: ReportKind,
    /// The answer in a sentence, without links.
    pub headline: String,
    /// The text. Numbers are links `[$12.34](fact:ID)`, charts `![Daily cost](artifact:daily.svg)`.
    pub markdown: String,
    /// The charts.
    pub artifacts: Vec<Artifact>,
    /// The facts behind the numbers.
    pub facts: FactBook,
}

/// Writes the report of an analysis with the sections asked for (all of them for an empty list).
pub fn write(analysis: &Analysis, wanted: &[Section], thresholds: &Thresholds) -> Report {
    let sections = if wanted.is_empty() { Section::ALL.as_slice() } else { wanted };
    let mut writer = sections::Writer::new(analysis, thresholds);
    for section in Section::ALL.iter().filter(|section| sections.contains(section)) {
        writer.section(*section);
    }
    writer.finish()
}
