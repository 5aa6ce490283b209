//! Writing the answer: the analysis of what is on the shelf, every number tied to a fact.

mod data;

use super::look::Inventory;
use super::measure::breakdown_name;
use super::{Instruments, take, today};
use crate::cost::analysis::analyse;
use crate::cost::facts::Fact;
use crate::cost::measure::{Measurements, Missing, Scope};
use crate::cost::report::{self, Report, ReportKind};
use crate::cost::triage::{Format, Triage};
use goldenpath_core::time::Millis;
use goldenpath_runtime::agent::{Kept, Shelf, Tool, ToolCx, ToolError, ToolPolicy};
use goldenpath_runtime::usage::Dimension;
use serde::{Deserialize, Serialize};

/// What the answer is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// An analysis of what was measured.
    Analysis {
        /// Of what.
        scope: Scope,
    },
    /// What we can do.
    Capabilities,
    /// What data there are.
    Data {
        /// These.
        inventory: Inventory,
    },
    /// What to load and how.
    Guidance,
    /// What went wrong.
    Fallback {
        /// In words for the user.
        what: String,
    },
}

/// An answer to be written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// In the user's words.
    pub question: String,
    /// What the question asks for, if it could be read.
    pub triage: Option<Triage>,
    /// What the answer is to be.
    pub kind: Kind,
    /// What is on the shelf.
    pub measured: Vec<String>,
    /// What could not be measured.
    pub missing: Vec<Missing>,
}

/// A written answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Composed {
    /// Which kind it became.
    pub kind: ReportKind,
    /// The answer in a sentence.
    pub headline: String,
    /// All of it.
    pub markdown: String,
    /// Charts and facts.
    pub artifacts: Vec<Kept>,
    /// Numbers that can be opened.
    pub facts: u64,
    /// Numbers without a fact, broken links: none in a good report.
    pub flaws: Vec<report::Flaw>,
}

/// Where `GET /api/runs/{id}/facts/{fact}` looks: an object from fact ids to facts.
pub const FACTS: &str = "facts.json";

/// Writes the answer and keeps its charts and facts.
pub struct ComposeReport(pub(super) Instruments);

impl Tool for ComposeReport {
    type Args = Ask;
    type Out = Composed;
    const NAME: &'static str = "compose_report";
    const TITLE: &'static str = "Write the report";
    /// Charts and a hundred facts are computed without a pause.
    const BLOCKING: bool = true;

    fn policy() -> ToolPolicy {
        ToolPolicy { timeout: Millis::from_secs(12), ..ToolPolicy::default() }
    }

    async fn call(&self, cx: ToolCx, args: Ask) -> Result<Composed, ToolError> {
        let mut report = self.write(&cx, args).await?;
        let flaws = report::check(&report);
        for flaw in &flaws {
            tracing::error!(run_id = %cx.run_id(), ?flaw, "the report has a flaw");
        }
        report.facts.stamp(&cx.now().to_rfc3339().to_string());
        let artifacts = keep(cx.shelf(), &report).await?;
        Ok(Composed {
            kind: report.kind,
            headline: report.headline,
            markdown: report.markdown,
            artifacts,
            facts: report.facts.len() as u64,
            flaws,
        })
    }
}

impl ComposeReport {
    async fn write(&self, cx: &ToolCx, args: Ask) -> Result<Report, ToolError> {
        let user = cx.user().user_id().as_str();
        match args.kind {
            Kind::Capabilities => Ok(report::capabilities(&args.question)),
            Kind::Data { inventory } => Ok(data::inventory(&inventory, user)),
            Kind::Fallback { what } => Ok(report::fallback(&what)),
            Kind::Guidance => Ok(report::guidance(self.0.demo, user)),
            Kind::Analysis { scope } => {
                let measured = &args.measured;
                let measurements = collect(cx.shelf(), measured, args.missing, &args.triage);
                let Instruments { prices, thresholds, .. } = &self.0;
                let own = args.triage.as_ref().map(|triage| triage.adjust(thresholds));
                let thresholds = own.as_ref().unwrap_or(thresholds);
                let slots = args.triage.as_ref().map(|triage| &triage.slots);
                let budget = slots.and_then(|slots| slots.budget);
                let wanted = args.triage.as_ref().map(Triage::sections).unwrap_or_default();
                let measurements = measurements.await?;
                let analysis = analyse(measurements, scope, today(cx), budget, prices, thresholds);
                let analysis = match &args.triage {
                    Some(triage) => analysis.of(triage),
                    None => analysis,
                };
                Ok(report::write(&analysis, &wanted, thresholds))
            }
        }
    }
}

/// Takes from the shelf what was measured.
async fn collect(
    shelf: &Shelf,
    measured: &[String],
    missing: Vec<Missing>,
    triage: &Option<Triage>,
) -> Result<Measurements, ToolError> {
    let has = |name: &str| measured.iter().any(|measured| measured == name);
    let mut all = Measurements { missing, ..Measurements::default() };
    if has("coverage") {
        all.coverage = Some(take(shelf, "coverage").await?);
    }
    if has("totals") {
        all.totals = Some(take(shelf, "totals").await?);
    }
    if has("previous") {
        all.previous = Some(take(shelf, "previous").await?);
    }
    if has("daily") {
        all.daily = Some(take(shelf, "daily").await?);
    }
    if has("levers") {
        all.levers = Some(take(shelf, "levers").await?);
    }
    for by in dimensions(triage.as_ref()) {
        let name = breakdown_name(by);
        if has(&name) {
            all.breakdowns.push(take(shelf, &name).await?);
        }
    }
    let format = triage.as_ref().and_then(|triage| triage.slots.format);
    if let Some(format) = format.filter(|format| *format != Format::Markdown) {
        let what = format!("the answer as {}", format.words());
        let why = "answers are written as text with tables; the facts can be downloaded as JSON";
        all.missing.push(Missing { what, why: why.into() });
    }
    Ok(all)
}

/// The breakdowns of a question: model, feature and team, and the one it names.
pub(crate) fn dimensions(triage: Option<&Triage>) -> Vec<Dimension> {
    let mut all = vec![Dimension::Model, Dimension::Feature, Dimension::Team];
    let named = triage.and_then(|triage| triage.slots.dimension);
    all.extend(named.filter(|named| !all.contains(named)));
    all
}

async fn keep(shelf: &Shelf, report: &Report) -> Result<Vec<Kept>, ToolError> {
    let mut kept = Vec::new();
    for artifact in &report.artifacts {
        let body = artifact.body.clone();
        kept.push(shelf.put(&artifact.name, &artifact.media_type, body).await?);
    }
    if !report.facts.is_empty() {
        let by_id: std::collections::BTreeMap<&str, &Fact> =
            report.facts.iter().map(|fact| (fact.id.as_str(), fact)).collect();
        let body = serde_json::to_vec(&by_id).map_err(|e| ToolError::fatal(e.to_string()))?;
        kept.push(shelf.put(FACTS, "application/json", body).await?);
    }
    kept.push(shelf.put("report.md", "text/markdown", report.markdown.clone()).await?);
    Ok(kept)
}
