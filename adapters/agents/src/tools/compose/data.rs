//! The answer to "What data do you have?".

use crate::cost::facts::{FactBook, Unit, Value};
use crate::cost::markdown::{code, name, prose, table};
use crate::cost::report::{Report, ReportKind, commands};
use crate::tools::look::Inventory;
use goldenpath_runtime::usage::Evidence;

/// What data there are, each number with its query.
pub(super) fn inventory(inventory: &Inventory, user: &str) -> Report {
    let coverage = &inventory.coverage.value;
    let evidence = &inventory.coverage.evidence;
    let mut facts = FactBook::default();
    let mut count = |id: &str, label: &str, count: u64, unit, evidence: &Evidence| {
        let count = Value::Count(i64::try_from(count).unwrap_or(i64::MAX), unit);
        facts.measured(id, label, count, evidence)
    };
    let rows = count("data.rows", "Usage records", coverage.rows, Unit::Number, evidence);
    let requests = count("data.requests", "Requests", coverage.requests, Unit::Requests, evidence);
    let days = count("data.days", "Days with usage", coverage.days_with_data, Unit::Days, evidence);
    let span = coverage.days.map(|(first, last)| format!(" from {first} to {last}"));
    let span = span.unwrap_or_default();
    let mut markdown = format!(
        "# Your usage data\n\nUsage records: {rows}, of requests: {requests}, on days: {days}{span}.\n\n"
    );
    let parts = [
        ("that name a feature", "feature", coverage.with_feature),
        ("that name a team", "team", coverage.with_team),
        ("without a known price", "unpriced", coverage.unpriced),
        ("that stand for one request each", "single", coverage.single_requests),
        ("with a hash of their prompt", "prompt-hash", coverage.with_prompt_hash),
    ];
    let mut lines = Vec::new();
    for (source, rows) in &coverage.sources {
        let id = format!("data.source.{source}");
        let label = format!("Records from {source}");
        let rows = count(&id, &label, *rows, Unit::Number, evidence);
        lines.push(vec![format!("from {}", name(source)), rows]);
    }
    for (what, id, rows) in parts {
        let id = format!("data.{id}");
        let rows = count(&id, &format!("Records {what}"), rows, Unit::Number, evidence);
        lines.push(vec![what.into(), rows]);
    }
    markdown.push_str(&table(&["Records", "Count"], &lines));
    if !inventory.gaps.is_empty() {
        markdown.push_str("\n## What is missing\n\n");
        for gap in &inventory.gaps {
            markdown.push_str(&format!("- **{}**: {}\n", prose(&gap.what), prose(&gap.why)));
        }
    }
    let again = code("Analyze my AI costs");
    let [import, ..] = commands(user);
    let load = code(&import.replace("spend_logs.json", "FILE --dry-run"));
    markdown.push_str(&format!(
        "\n## Next steps\n\n- Ask {again} for the whole picture.\n- **Usage data** in the page loads more; {load} at the machine shows what another file would add.\n"
    ));
    let headline = format!(
        "There are usage records{}{}.",
        span,
        if inventory.gaps.is_empty() { "" } else { ", with gaps" }
    );
    let kind = if inventory.gaps.is_empty() { ReportKind::Full } else { ReportKind::Partial };
    Report { kind, headline, markdown, artifacts: Vec::new(), facts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::analysis::sufficiency;
    use crate::cost::report::check;
    use goldenpath_runtime::usage::{Answer, Coverage, Day};

    #[test]
    fn every_number_of_the_inventory_has_a_fact() {
        let coverage = Coverage {
            rows: 80_706,
            requests: 80_706,
            days: Some((Day(19_000), Day(19_013))),
            days_with_data: 14,
            sources: vec![("azure-trace".into(), 80_706)],
            single_requests: 80_706,
            ..Coverage::default()
        };
        let (enough, gaps) = sufficiency(&coverage);
        let coverage = Answer { value: coverage, evidence: Evidence::default() };
        let report = inventory(&Inventory { coverage, sufficiency: enough, gaps }, "ada");
        assert_eq!(check(&report), []);
        assert!(report.markdown.contains("[80,706](fact:data.rows)"), "{}", report.markdown);
    }
}
