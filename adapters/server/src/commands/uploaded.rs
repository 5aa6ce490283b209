//! What a server says about a file that was sent to it.

use core::fmt::Write as _;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Its report; what is not shown is not read.
#[derive(Debug, Deserialize)]
pub(super) struct Uploaded {
    name: String,
    verdict: Verdict,
    pub(super) read: u64,
    imported: u64,
    duplicates: u64,
    #[serde(default)]
    rejected: BTreeMap<String, u64>,
    #[serde(default)]
    problems: Vec<Problem>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Imported,
    Tried,
    Refused,
}

#[derive(Debug, Deserialize)]
struct Problem {
    line: u64,
    message: String,
}

impl Uploaded {
    /// For a person.
    pub(super) fn to_text(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Imported => "imported",
            Verdict::Tried => "dry run, nothing stored",
            Verdict::Refused => "REFUSED, nothing stored",
        };
        let mut text = format!("{}: {verdict}\n", self.name);
        let withheld = self.rejected.get("withheld").copied().unwrap_or_default();
        let broken = self.rejected.values().sum::<u64>().saturating_sub(withheld);
        for (name, count) in [
            ("read", self.read),
            ("imported", self.imported),
            ("duplicates", self.duplicates),
            ("broken", broken),
            ("withheld", withheld),
        ] {
            let _ = writeln!(text, "  {name:<11} {count:>12}");
        }
        for problem in &self.problems {
            let _ = writeln!(text, "  line {}: {}", problem.line, problem.message);
        }
        if withheld > 0 {
            text.push_str("  Withheld records are good ones; --skip-bad imports them.\n");
        }
        text
    }
}

/// The words of a refusal, or the beginning of whatever came instead.
pub(super) fn words(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        detail: String,
    }
    match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => refusal.detail,
        Err(_) => String::from_utf8_lossy(body).chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_file_tells_what_is_broken_apart_from_what_was_withheld() {
        let report = serde_json::json!({
            "id": "imp_1", "name": "usage.csv", "verdict": "refused", "read": 4, "imported": 0,
            "duplicates": 0, "rejected": {"bad_number": 2, "withheld": 2},
            "problems": [{"line": 3, "reason": "bad_number", "message": "input_tokens is no number"}],
        });
        let report: Uploaded = serde_json::from_value(report).unwrap();
        let text = report.to_text();
        for line in [
            "usage.csv: REFUSED, nothing stored",
            "  broken                 2",
            "  withheld               2",
            "  line 3: input_tokens is no number",
        ] {
            assert!(text.lines().any(|said| said == line), "{line:?} in {text}");
        }
        assert_eq!(words(br#"{"detail":"too large"}"#), "too large");
        assert_eq!(words(b"<html>"), "<html>");
    }
}
