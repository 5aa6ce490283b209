//! Where a number of an answer comes from, as text.

use super::screen::plain;
use core::fmt::Write as _;
use goldenpath_core::id::RunId;
use goldenpath_tungstenite::{Rest, RestError};
use serde::Deserialize;
use serde_json::Value;

/// A number of a report: its value and the query it was read with.
#[derive(Debug, Deserialize)]
pub(super) struct Fact {
    id: String,
    label: String,
    display: String,
    value: Value,
    #[serde(default)]
    unit: Option<String>,
    #[serde(default)]
    formula: Option<String>,
    #[serde(default)]
    inputs: Vec<String>,
    #[serde(default)]
    params: Vec<String>,
    #[serde(default)]
    query_sql: Option<String>,
    #[serde(default)]
    rows: Option<u64>,
}

/// Asks the server for a fact of a run.
///
/// # Errors
/// [`RestError`]; what the run has no fact of is refused with 404.
pub(super) async fn ask(rest: &Rest, run_id: RunId, name: &str) -> Result<Fact, RestError> {
    rest.get(&format!("/api/runs/{run_id}/facts/{}", segment(name))).await
}

/// One segment of an address.
fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut segment, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            let _ = write!(segment, "%{byte:02X}");
        }
        segment
    })
}

impl Fact {
    /// The fact as lines, without what a terminal would obey.
    pub(super) fn to_text(&self) -> String {
        let value = match &self.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut text = format!("{}  {} ({})\n", self.display, self.label, self.id);
        let mut line = |name: &str, words: &str| {
            let _ = writeln!(text, "  {name:<8} {}", words.trim().replace('\n', "\n           "));
        };
        line("exactly", &format!("{value} {}", self.unit.as_deref().unwrap_or_default()));
        if let Some(formula) = &self.formula {
            line("formula", formula);
        }
        if !self.inputs.is_empty() {
            line("from", &self.inputs.join(", "));
        }
        if let Some(sql) = &self.query_sql {
            line("query", sql);
        }
        for (nth, value) in self.params.iter().enumerate() {
            line(&format!("?{}", nth + 1), value);
        }
        if let Some(rows) = self.rows {
            line("rows", &rows.to_string());
        }
        plain(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_told_with_its_query_and_steers_no_terminal() {
        let fact: Fact = serde_json::from_value(serde_json::json!({
            "id": "total.change", "label": "Change\u{1b}[2J", "display": "+22.8 %", "value": "0.228",
            "unit": "share", "formula": "a ÷ b", "inputs": ["total.cost", "previous.cost"],
            "params": ["<tenant>"], "query": "totals", "query_sql": "SELECT 1\nFROM usage_event",
            "rows": 5996, "computed_at": "2026-11-21T15:17:44.839Z",
        }))
        .unwrap();
        let expected = "+22.8 %  Change[2J (total.change)
  exactly  0.228 share
  formula  a ÷ b
  from     total.cost, previous.cost
  query    SELECT 1
           FROM usage_event
  ?1       <tenant>
  rows     5996
";
        assert_eq!(fact.to_text(), expected);
        assert_eq!(segment("a.b-1/ü"), "a.b-1%2F%C3%BC");
    }
}
