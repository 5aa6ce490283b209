//! Checks that a report says nothing without a fact.

use serde::{Deserialize, Serialize};

use super::Report;

/// Something a report must not contain.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// A chart that is not there.
    MissingArtifact(String),
    /// A number that links to no fact.
    UnlinkedNumber(String),
    /// A link to a fact that is not there.
    UnknownFact(String),
    /// A link whose text is not what its fact says.
    WrongText {
        /// The fact.
        fact: String,
        /// What the report shows.
        shown: String,
        /// What the fact says.
        display: String,
    },
}

/// Constant phrases with a number that is no measurement.
const PHRASES: [&str; 6] =
    ["95th percentile", "99th percentile", "80 %", "24 hours", "200 real samples", "30 days"];

/// The flaws of a report; none for a good one.
pub fn check(report: &Report) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let mut text = String::new();
    for line in report.markdown.lines().filter(|line| !line.starts_with("    ")) {
        text.push_str(&without_links(line, report, &mut flaws));
        text.push('\n');
    }
    let mut rest = without_code(&text);
    for phrase in PHRASES {
        rest = rest.replace(phrase, " ");
    }
    let tokens = rest.split(|letter: char| letter.is_whitespace() || "|()[]*;:\"".contains(letter));
    let numbers =
        tokens.map(|token| token.trim_matches(['.', '%', ','])).filter(|token| is_number(token));
    flaws.extend(numbers.map(|number| Flaw::UnlinkedNumber(number.to_owned())));
    flaws
}

/// The line without its fact links and images; each link is checked on the way.
fn without_links(line: &str, report: &Report, flaws: &mut Vec<Flaw>) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(middle) = rest.find("](") {
        let (Some(open), Some(length)) =
            (unescaped_bracket(rest, middle), rest[middle..].find(')'))
        else {
            break;
        };
        let shown = &rest[open + 1..middle];
        let target = &rest[middle + 2..middle + length];
        out.push_str(&rest[..open]);
        if let Some(id) = target.strip_prefix("fact:") {
            match report.facts.get(id) {
                None => flaws.push(Flaw::UnknownFact(id.to_owned())),
                Some(fact) if fact.display != shown => flaws.push(Flaw::WrongText {
                    fact: id.to_owned(),
                    shown: shown.to_owned(),
                    display: fact.display.clone(),
                }),
                Some(_) => {}
            }
        } else if let Some(name) = target.strip_prefix("artifact:") {
            if !report.artifacts.iter().any(|artifact| artifact.name == name) {
                flaws.push(Flaw::MissingArtifact(name.to_owned()));
            }
        } else {
            out.push_str(shown);
        }
        rest = &rest[middle + length + 1..];
    }
    out.push_str(rest);
    out
}

/// The last opening bracket before a place that is not escaped.
fn unescaped_bracket(text: &str, before: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..before).rev().find(|at| bytes[*at] == b'[' && (*at == 0 || bytes[at - 1] != b'\\'))
}

fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// Digits with signs, separators and currency, but no letters: dates and names are no numbers.
fn is_number(token: &str) -> bool {
    let body = token.trim_start_matches(['$', '-', '+', '−', '×', '≈', '<', '>']);
    let is_date = body.len() == 10 && body.as_bytes()[4] == b'-' && body.as_bytes()[7] == b'-';
    body.starts_with(|letter: char| letter.is_ascii_digit())
        && !is_date
        && body.chars().all(|letter| letter.is_ascii_digit() || ".,-/%".contains(letter))
}
