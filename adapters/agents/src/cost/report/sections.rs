//! The sections of a full or partial report.

mod breakdown;
mod outlook;
mod quality;
mod savings;

use goldenpath_runtime::usage::{Answer, Evidence, Usd};

use super::{Artifact, Report, ReportKind, Section};
use crate::cost::analysis::Analysis;
use crate::cost::chart;
use crate::cost::display;
use crate::cost::facts::{FactBook, Unit, Value};
use crate::cost::markdown::{code, prose, table, unescaped};
use crate::cost::measure::Totals;
use crate::cost::thresholds::Thresholds;

/// What rows without a value are called.
const UNATTRIBUTED: &str = "not attributed";

/// Writes a report section by section.
pub(super) struct Writer<'a> {
    analysis: &'a Analysis,
    thresholds: &'a Thresholds,
    facts: FactBook,
    artifacts: Vec<Artifact>,
    body: String,
    next_steps: Vec<String>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(analysis: &'a Analysis, thresholds: &'a Thresholds) -> Self {
        Self {
            analysis,
            thresholds,
            facts: FactBook::about(analysis.scope.only()),
            artifacts: Vec::new(),
            body: String::new(),
            next_steps: Vec::new(),
        }
    }

    pub(super) fn section(&mut self, section: Section) {
        if self.is_empty() {
            return;
        }
        match section {
            Section::Anomalies => self.anomalies(),
            Section::Breakdowns => self.breakdowns(),
            Section::Forecast => self.forecast(),
            Section::Quality => self.quality(),
            Section::Ratios => self.ratios(),
            Section::Savings => self.savings(),
            Section::Totals => self.totals(),
            Section::Trend => self.trend(),
            Section::UnitCosts => self.unit_costs(),
        }
    }

    /// Puts the headline on top and next steps, gaps and queries at the end.
    pub(super) fn finish(mut self) -> Report {
        let (headline, linked) = self.headline();
        self.gaps();
        self.steps();
        self.queries();
        let whole = self.analysis.gaps.is_empty() && !self.is_empty();
        let kind = if whole { ReportKind::Full } else { ReportKind::Partial };
        let mut markdown = format!("# AI cost report\n\n{linked}\n{}", self.body);
        while markdown.contains("\n\n\n") {
            markdown = markdown.replace("\n\n\n", "\n\n");
        }
        Report { kind, headline, markdown, artifacts: self.artifacts, facts: self.facts }
    }

    fn heading(&mut self, title: &str) {
        self.body.push_str(&format!("\n## {title}\n\n"));
    }

    fn paragraph(&mut self, text: &str) {
        self.body.push_str(text);
        self.body.push_str("\n\n");
    }

    fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        self.body.push_str(&table(head, rows));
        self.body.push('\n');
    }

    fn chart(&mut self, file: &str, title: &str, body: String) {
        self.artifacts.push(Artifact {
            name: file.to_owned(),
            media_type: "image/svg+xml".into(),
            title: title.to_owned(),
            body,
        });
        self.paragraph(&format!("![{title}](artifact:{file})"));
    }

    /// The totals and what measured them.
    fn measured_totals(&self) -> Option<&'a Answer<Totals>> {
        self.analysis.measurements.totals.as_ref()
    }

    fn money(&mut self, id: &str, label: &str, amount: Usd, evidence: &Evidence) -> String {
        self.facts.measured(id, label, Value::Money(amount), evidence)
    }

    fn count(
        &mut self,
        id: &str,
        label: &str,
        count: i64,
        unit: Unit,
        evidence: &Evidence,
    ) -> String {
        self.facts.measured(id, label, Value::Count(count, unit), evidence)
    }

    /// The answer in a sentence: plain, and with links.
    fn headline(&mut self) -> (String, String) {
        let linked = self.caution() + &self.answer();
        (plain(&linked), linked)
    }

    /// What was not understood comes before any number.
    fn caution(&self) -> String {
        let caution = self.analysis.caution.as_ref();
        caution.map(|caution| format!("{}. ", prose(&caution.to_string()))).unwrap_or_default()
    }

    /// Whether there is nothing to write about.
    fn is_empty(&self) -> bool {
        self.measured_totals().is_some_and(|totals| totals.value.rows == 0)
    }

    /// The one sentence about a period or a part without records.
    fn nothing(&self) -> String {
        let scope = &self.analysis.scope;
        let days = display::days(scope.period);
        let coverage = self.analysis.measurements.coverage.as_ref();
        match coverage.and_then(|coverage| coverage.value.days) {
            Some((first, last)) if scope.period.last() < first => {
                format!("There are no records before {first}; yours reach from {first} to {last}.")
            }
            Some((first, last)) if last < scope.period.from => {
                format!("There are no records after {last}; yours reach from {first} to {last}.")
            }
            _ => match scope.only() {
                Some(only) => format!("There are no records {} {days}.", prose(&only)),
                None => format!("There are no records {days}."),
            },
        }
    }

    fn answer(&mut self) -> String {
        let analysis = self.analysis;
        if self.is_empty() {
            return self.nothing();
        }
        let days = display::days(analysis.scope.period);
        let when = match analysis.scope.only() {
            Some(only) => display::sentence(&format!("{}, {days}", prose(&only))),
            None => display::sentence(&days),
        };
        let Some(answer) = self.measured_totals() else {
            return format!("{when}: the spend could not be measured.");
        };
        let (totals, evidence) = (answer.value, &answer.evidence);
        let cost = self.money("total.cost", "Total cost", totals.cost, evidence);
        let requests =
            self.count("total.requests", "Requests", totals.requests, Unit::Requests, evidence);
        let floor = if totals.unpriced > 0 { "at least " } else { "" };
        let noun = if totals.requests == 1 { "request" } else { "requests" };
        let mut linked = format!("{when} you spent {floor}{cost} on {requests} AI {noun}");
        if let Some(change) = self.change() {
            linked.push_str(&format!(", {change} against the period before"));
        }
        linked.push('.');
        if let Some(link) = self.sure_savings() {
            linked.push_str(&format!(" The rules expect savings of {link} a month."));
        }
        linked
    }

    /// A1: the change against the period before, when that has data.
    fn change(&mut self) -> Option<String> {
        let now = self.measured_totals()?;
        let before = self.analysis.measurements.previous.as_ref()?;
        if before.value.cost.is_zero() || before.value.days * 2 < now.value.days {
            return None;
        }
        self.money("total.cost", "Total cost", now.value.cost, &now.evidence);
        self.money(
            "previous.cost",
            "Total cost of the period before",
            before.value.cost,
            &before.evidence,
        );
        let share = (now.value.cost - before.value.cost).as_f64() / before.value.cost.as_f64();
        let formula = "(total.cost − previous.cost) ÷ previous.cost";
        let label = "Change of the cost against the period before";
        Some(self.facts.derived(
            "total.change",
            label,
            Value::Change(share),
            formula,
            &["total.cost", "previous.cost"],
        ))
    }

    fn totals(&mut self) {
        let Some(answer) = self.measured_totals() else { return };
        let (totals, evidence) = (answer.value, &answer.evidence);
        self.heading("Totals");
        let mut rows = vec![
            vec!["Cost".into(), self.money("total.cost", "Total cost", totals.cost, evidence)],
            vec![
                "Requests".into(),
                self.count("total.requests", "Requests", totals.requests, Unit::Requests, evidence),
            ],
            vec![
                "Input tokens".into(),
                self.count(
                    "total.input-tokens",
                    "Input tokens",
                    totals.input_tokens,
                    Unit::Tokens,
                    evidence,
                ),
            ],
            vec![
                "Output tokens".into(),
                self.count(
                    "total.output-tokens",
                    "Output tokens",
                    totals.output_tokens,
                    Unit::Tokens,
                    evidence,
                ),
            ],
            vec![
                "Days with usage".into(),
                self.count("total.days", "Days with usage", totals.days, Unit::Days, evidence),
            ],
        ];
        if let Some(before) =
            self.analysis.measurements.previous.as_ref().filter(|before| before.value.rows > 0)
        {
            let label = "Total cost of the period before";
            let cost = self.money("previous.cost", label, before.value.cost, &before.evidence);
            rows.push(vec![
                format!("Cost of the period before ({})", self.analysis.scope.period.previous()),
                cost,
            ]);
        }
        if let Some(change) = self.change() {
            rows.push(vec!["Change".into(), change]);
        }
        self.table(&["", "Value"], &rows);
    }

    fn trend(&mut self) {
        let analysis = self.analysis;
        let Some(daily) = &analysis.measurements.daily else { return };
        self.heading("Cost per day");
        let days = analysis.measurements.cost_by_day(analysis.scope.period);
        let svg =
            chart::daily("Daily cost", &days, &analysis.anomalies, analysis.forecast.as_ref());
        self.chart("daily.svg", "Daily cost", svg);
        let highest = days.iter().max_by_key(|(day, cost)| (*cost, core::cmp::Reverse(*day)));
        if let Some((day, cost)) = highest.filter(|_| days.len() > 1) {
            let top = self.money(
                "daily.highest",
                "Cost of the most expensive day",
                *cost,
                &daily.evidence,
            );
            self.paragraph(&format!("The most expensive day was {day} with {top}."));
        }
        if days.len() >= 14 {
            let week = |from_end: usize| -> Usd {
                days.iter().rev().skip(from_end).take(7).map(|(_, cost)| *cost).sum()
            };
            let (last, before) = (week(0), week(7));
            let label = "Cost of the last seven days";
            let last_link = self.money("daily.last-week", label, last, &daily.evidence);
            let label = "Cost of the seven days before";
            let before_link = self.money("daily.week-before", label, before, &daily.evidence);
            let mut text = format!(
                "The last seven days cost {last_link}, the seven days before {before_link}"
            );
            if !before.is_zero() {
                let share = (last - before).as_f64() / before.as_f64();
                let formula = "(daily.last-week − daily.week-before) ÷ daily.week-before";
                let inputs = ["daily.last-week", "daily.week-before"];
                let label = "Change week over week";
                let link = self.facts.derived(
                    "daily.week-change",
                    label,
                    Value::Change(share),
                    formula,
                    &inputs,
                );
                text.push_str(&format!(" ({link})"));
            }
            self.paragraph(&(text + "."));
        }
    }

    /// An amount per something; a dash when there is none of it.
    fn per(&mut self, id: &str, label: &str, cost_id: &str, cost: Usd, count: i64) -> String {
        if count <= 0 {
            return "–".into();
        }
        let each = Value::Money(cost.scaled(1, i128::from(count)));
        self.facts.derived(id, label, each, &format!("{cost_id} ÷ count"), &[cost_id])
    }

    /// A3: what one of each costs.
    fn unit_costs(&mut self) {
        let Some(answer) = self.measured_totals() else { return };
        let (totals, evidence) = (answer.value, &answer.evidence);
        self.heading("Unit costs");
        self.money("total.cost", "Total cost", totals.cost, evidence);
        let mut rows = Vec::new();
        for (what, label, count) in [
            ("request", "Requests", totals.requests),
            ("session", "Sessions", totals.sessions),
            ("user", "Users", totals.users),
        ] {
            let unit = if what == "request" { Unit::Requests } else { Unit::Number };
            let number = self.count(&format!("total.{what}s"), label, count, unit, evidence);
            let id = format!("unit.{what}");
            let each = self.per(&id, &format!("Cost per {what}"), "total.cost", totals.cost, count);
            rows.push(vec![format!("Per {what}"), each, number]);
        }
        let tokens = totals.input_tokens + totals.output_tokens;
        let label = "Tokens, input and output";
        let number = self.count("total.tokens", label, tokens, Unit::Tokens, evidence);
        let per_million =
            if tokens > 0 { totals.cost.scaled(1_000_000, i128::from(tokens)) } else { Usd::ZERO };
        let formula = "total.cost ÷ total.tokens × one million";
        let inputs = ["total.cost", "total.tokens"];
        let label = "Cost per million tokens";
        let each =
            self.facts.derived("unit.mtok", label, Value::Money(per_million), formula, &inputs);
        rows.push(vec!["Per million tokens".into(), each, number]);
        self.table(&["", "Cost", "Count"], &rows);
        if totals.sessions == 0 || totals.users == 0 {
            self.paragraph("A dash means that no record names a session or a user.");
        }
    }

    /// A4: how tokens and requests relate.
    fn ratios(&mut self) {
        let Some(answer) = self.measured_totals() else { return };
        let (totals, evidence) = (answer.value, &answer.evidence);
        self.heading("Ratios");
        let quotient = |part: i64, of: i64| if of > 0 { part as f64 / of as f64 } else { f64::NAN };
        let mut rows = Vec::new();
        for (id, label, value) in [
            (
                "ratio.in-out",
                "Input tokens per output token",
                Value::Ratio(quotient(totals.input_tokens, totals.output_tokens)),
            ),
            (
                "ratio.cache",
                "Input read from a cache",
                Value::Share(quotient(totals.cached_tokens, totals.input_tokens)),
            ),
            (
                "ratio.reasoning",
                "Output spent on reasoning",
                Value::Share(quotient(totals.reasoning_tokens, totals.output_tokens)),
            ),
            (
                "ratio.errors",
                "Failed requests",
                Value::Share(quotient(totals.errors, totals.requests)),
            ),
            (
                "ratio.output-cost",
                "Output in the cost",
                Value::Share(if totals.cost.is_zero() {
                    f64::NAN
                } else {
                    totals.output_cost.as_f64() / totals.cost.as_f64()
                }),
            ),
        ] {
            rows.push(vec![label.to_owned(), self.facts.measured(id, label, value, evidence)]);
        }
        self.table(&["", "Value"], &rows);
    }

    fn gaps(&mut self) {
        if self.analysis.gaps.is_empty() {
            return;
        }
        self.heading("What is missing");
        let gaps: Vec<String> = self
            .analysis
            .gaps
            .iter()
            .map(|gap| format!("- **{}**: {}", prose(&gap.what), prose(&gap.why)))
            .collect();
        self.paragraph(&gaps.join("\n"));
    }

    fn steps(&mut self) {
        self.heading("Next steps");
        let mut steps = core::mem::take(&mut self.next_steps);
        steps.truncate(5);
        if steps.is_empty() {
            let newer =
                "Import newer usage as it comes (**Usage data** in the page) and ask again.";
            let other = "Ask about days with records, or import more (**Usage data** in the page).";
            steps.push(if self.is_empty() { other } else { newer }.into());
        }
        let list: Vec<String> = steps.iter().map(|step| format!("- {step}")).collect();
        self.paragraph(&list.join("\n"));
    }

    /// How to check: the queries by name.
    fn queries(&mut self) {
        let queries: Vec<String> = self.facts.queries().keys().map(|query| code(query)).collect();
        if queries.is_empty() {
            return;
        }
        self.heading("Where the numbers come from");
        let text = format!(
            "Every number above opens its fact: the query, its parameters, and the records read. Queries: {}.",
            queries.join(", ")
        );
        self.paragraph(&text);
    }
}

/// A sentence without its links.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for part in text.split('[') {
        match part.split_once("](fact:") {
            Some((shown, rest)) => {
                out.push_str(shown);
                out.push_str(rest.split_once(')').map_or("", |(_, after)| after));
            }
            None => out.push_str(part),
        }
    }
    unescaped(&out)
}
