//! What an import says about itself.

use core::fmt::{self, Write};
use std::collections::BTreeMap;

use goldenpath_runtime::usage::{CostStatus, Day, UsageEvent, Usd};
use serde::Serialize;

use super::Format;
use crate::cost::display;

/// Problems that are told with their line; the others are only counted.
const MAX_PROBLEMS: usize = 20;
/// Names of unpriced models that are told.
const MAX_UNPRICED_MODELS: usize = 20;

/// Why a record was not imported.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A number that is none, is negative, or has a fraction where only whole ones make sense.
    BadNumber,
    /// A moment in no known notation.
    BadTimestamp,
    /// Another currency than US dollars.
    Currency,
    /// The parts contradict each other or are out of range.
    Inconsistent,
    /// A field without which the record means nothing.
    MissingField,
    /// Something else than a usage record.
    NotARecord,
    /// A single record larger than 4 MiB: usually an unclosed quote.
    RecordTooLong,
    /// Not well-formed.
    Syntax,
    /// A good record of a file that was refused because of others.
    Withheld,
}

impl Reason {
    /// As said to people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::BadNumber => "bad number",
            Self::BadTimestamp => "bad timestamp",
            Self::Currency => "not in US dollars",
            Self::Inconsistent => "inconsistent",
            Self::MissingField => "missing field",
            Self::NotARecord => "not a usage record",
            Self::RecordTooLong => "record too long",
            Self::Syntax => "not well-formed",
            Self::Withheld => "withheld because the file was refused",
        }
    }
}

/// A record that was not imported, and where it stands.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// Line of the file, from 1. For a record over several lines, where it ends.
    pub line: u64,
    /// The kind of problem.
    pub reason: Reason,
    /// What exactly, naming the field and its value.
    pub message: String,
}

impl Problem {
    pub(super) fn new(line: u64, reason: Reason, message: impl Into<String>) -> Self {
        Self { line, reason, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.reason.words(), self.message)
    }
}

/// How an import ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that is new is stored.
    Imported,
    /// Nothing is stored: it was only tried. The counts are what an import would do.
    Tried,
    /// Nothing is stored: the file has bad records and skipping them was not asked for.
    Refused,
}

/// The result of an import. Always `read = imported + duplicates + Σ rejected`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ImportReport {
    /// Identifies the import, to delete it.
    pub id: String,
    /// The file's name.
    pub name: String,
    /// What it was read as.
    pub format: Format,
    /// The label its rows carry.
    pub source: String,
    /// How it ended.
    pub verdict: Verdict,
    /// Records in the file.
    pub read: u64,
    /// Records that are new.
    pub imported: u64,
    /// Records that were there already, or twice in the file.
    pub duplicates: u64,
    /// Records that were not imported, by reason.
    pub rejected: BTreeMap<Reason, u64>,
    /// The first of them.
    pub problems: Vec<Problem>,
    /// Good records by how their cost is known.
    pub costs: BTreeMap<&'static str, u64>,
    /// What the good records cost together (duplicates included).
    pub cost: Usd,
    /// The first and the last day of the good records.
    pub days: Option<(String, String)>,
    /// Models without a known price, and their records.
    pub unpriced_models: BTreeMap<String, u64>,
    /// Bytes read.
    pub bytes: u64,
}

impl ImportReport {
    /// Whether anything went wrong.
    pub fn is_clean(&self) -> bool {
        self.rejected.is_empty()
    }

    /// Whether every record is accounted for.
    pub fn adds_up(&self) -> bool {
        self.read == self.imported + self.duplicates + self.rejected.values().sum::<u64>()
    }

    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> fmt::Result {
        let count = |number: u64| display::count(i64::try_from(number).unwrap_or(i64::MAX));
        let verb = match self.verdict {
            Verdict::Imported => "imported",
            Verdict::Tried => "dry run, nothing stored",
            Verdict::Refused => "REFUSED, nothing stored",
        };
        writeln!(out, "{} ({}): {verb}", self.name, self.format.title())?;
        writeln!(out, "  read        {:>12}", count(self.read))?;
        writeln!(out, "  imported    {:>12}", count(self.imported))?;
        writeln!(out, "  duplicates  {:>12}", count(self.duplicates))?;
        writeln!(out, "  rejected    {:>12}", count(self.rejected.values().sum()))?;
        for (reason, rows) in &self.rejected {
            writeln!(out, "    {}: {}", reason.words(), count(*rows))?;
        }
        for problem in &self.problems {
            writeln!(out, "  {problem}")?;
        }
        if self.verdict == Verdict::Refused {
            return writeln!(
                out,
                "  Correct the lines above, or import the good ones with --skip-bad."
            );
        }
        if let Some((first, last)) = &self.days {
            writeln!(out, "  days        {first} to {last}")?;
        }
        let unpriced = self.costs.get(CostStatus::Unpriced.as_str()).copied().unwrap_or(0);
        let floor = if unpriced > 0 { " at least" } else { "" };
        writeln!(out, "  cost       {floor} {}", self.cost.display())?;
        for (model, rows) in &self.unpriced_models {
            writeln!(out, "  no price known for {model} ({} records)", count(*rows))?;
        }
        writeln!(out, "  import id   {}", self.id)
    }
}

/// What the parser has seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) read: u64,
    pub(super) good: u64,
    pub(super) bytes: u64,
    pub(super) rejected: BTreeMap<Reason, u64>,
    pub(super) problems: Vec<Problem>,
    pub(super) costs: BTreeMap<&'static str, u64>,
    pub(super) cost: Usd,
    pub(super) days: Option<(Day, Day)>,
    pub(super) unpriced_models: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn good(&mut self, event: &UsageEvent) {
        self.read += 1;
        self.good += 1;
        *self.costs.entry(event.costing.status.as_str()).or_default() += 1;
        self.cost += event.costing.effective();
        let day = Day::of_timestamp(event.ts_us);
        let (first, last) = self.days.unwrap_or((day, day));
        self.days = Some((first.min(day), last.max(day)));
        if event.costing.status == CostStatus::Unpriced {
            let model = event.model.as_deref().unwrap_or("(no model named)");
            if self.unpriced_models.contains_key(model)
                || self.unpriced_models.len() < MAX_UNPRICED_MODELS
            {
                *self.unpriced_models.entry(model.to_owned()).or_default() += 1;
            }
        }
    }

    pub(super) fn bad(&mut self, problem: Problem) {
        self.read += 1;
        *self.rejected.entry(problem.reason).or_default() += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }
}
