//! Facts: every number a report shows, with where it comes from.
//!
//! A fact is *measured*, by a query whose text, parameters and row count it carries, or *derived*, by a
//! formula over other facts. Reports link each number to its fact: `[$12.34](fact:total.cost)`.

use std::collections::BTreeMap;

use goldenpath_runtime::usage::{Day, Evidence, Usd};
use serde::{Deserialize, Serialize};

use super::display;

/// What a fact's value is measured in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Days.
    Days,
    /// A count of rows, users, sessions, …
    Number,
    /// A share, 1 is everything.
    Share,
    /// A quotient or a score without unit.
    Ratio,
    /// Requests.
    Requests,
    /// Tokens.
    Tokens,
    /// US dollars.
    Usd,
}

/// One number and its origin.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Names it inside its report: lower-case letters, digits, dots and dashes.
    pub id: String,
    /// What it is, in words.
    pub label: String,
    /// The exact value, as a decimal number.
    pub value: String,
    /// What it is measured in.
    pub unit: Unit,
    /// As shown in the report.
    pub display: String,
    /// The query that measured it, by its name in the evidence; for a derived fact that of its inputs.
    pub query: String,
    /// The SQL that was run.
    pub query_sql: String,
    /// Its parameters, in order; the tenant is shown as `<tenant>`, a day as its number and date:
    /// `20748 (2026-10-22)`.
    pub params: Vec<String>,
    /// Usage rows that were read for it.
    pub rows: u64,
    /// How it follows from other facts; absent for a measured one.
    pub formula: Option<String>,
    /// The facts in the formula.
    pub inputs: Vec<String>,
    /// When the query was answered, if the caller says so; RFC 3339.
    pub computed_at: Option<String>,
}

/// A value and how it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A whole number of something.
    Count(i64, Unit),
    /// Money.
    Money(Usd),
    /// A share; shown in percent.
    Share(f64),
    /// A change as a share; shown in percent with its sign.
    Change(f64),
    /// A quotient or score; shown with two decimals.
    Ratio(f64),
}

impl Value {
    fn unit(&self) -> Unit {
        match self {
            Self::Count(_, unit) => *unit,
            Self::Money(_) => Unit::Usd,
            Self::Change(_) | Self::Share(_) => Unit::Share,
            Self::Ratio(_) => Unit::Ratio,
        }
    }

    fn exact(&self) -> String {
        match self {
            Self::Count(count, _) => count.to_string(),
            Self::Money(money) => money.to_string(),
            Self::Change(value) | Self::Ratio(value) | Self::Share(value) => format!("{value}"),
        }
    }

    /// As shown in a report.
    pub fn display(&self) -> String {
        match self {
            Self::Count(count, _) => display::count(*count),
            Self::Money(money) => money.display(),
            Self::Change(share) => display::change(*share),
            Self::Share(share) => display::percent(*share),
            Self::Ratio(value) => display::ratio(*value),
        }
    }
}

/// The facts of one report.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FactBook {
    facts: BTreeMap<String, Fact>,
    /// What the labels end with: what the facts are restricted to.
    #[serde(skip)]
    only: Option<String>,
}

/// The query that looks at all records, whatever the question.
const COVERAGE: &str = "coverage";

impl FactBook {
    /// An empty book of facts about a part of the records, in words; `None` for all of them.
    pub fn about(only: Option<String>) -> Self {
        Self { only, ..Self::default() }
    }

    /// Records a measured fact and gives its link. The same id and value is the same fact; the same id
    /// with another value gets a number appended.
    pub fn measured(&mut self, id: &str, label: &str, value: Value, evidence: &Evidence) -> String {
        self.insert(id, label, &value, evidence.clone(), None, Vec::new())
    }

    /// Records a fact derived from others and gives its link. Its query and rows are those of its first
    /// input.
    pub fn derived(
        &mut self,
        id: &str,
        label: &str,
        value: Value,
        formula: &str,
        inputs: &[&str],
    ) -> String {
        let inputs: Vec<String> = inputs.iter().map(|input| slug(input)).collect();
        let first = inputs.first().and_then(|input| self.facts.get(input));
        let evidence = first.map_or_else(Evidence::default, |fact| Evidence {
            query: fact.query.clone(),
            sql: fact.query_sql.clone(),
            params: fact.params.clone(),
            rows: fact.rows,
        });
        self.insert(id, label, &value, evidence, Some(formula.to_owned()), inputs)
    }

    /// The fact of this id.
    pub fn get(&self, id: &str) -> Option<&Fact> {
        self.facts.get(id)
    }

    /// All facts, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Fact> {
        self.facts.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// The link to a fact that is there: `[$12.34](fact:total.cost)`.
    pub fn link(&self, id: &str) -> Option<String> {
        self.facts.get(&slug(id)).map(link)
    }

    /// The queries behind the facts, by name: text, parameters, rows.
    pub fn queries(&self) -> BTreeMap<&str, &Fact> {
        let measured = self.facts.values().filter(|fact| fact.formula.is_none());
        measured.map(|fact| (fact.query.as_str(), fact)).collect()
    }

    /// Says of every fact when it was computed.
    pub fn stamp(&mut self, computed_at: &str) {
        for fact in self.facts.values_mut() {
            fact.computed_at = Some(computed_at.to_owned());
        }
    }

    fn insert(
        &mut self,
        id: &str,
        label: &str,
        value: &Value,
        evidence: Evidence,
        formula: Option<String>,
        inputs: Vec<String>,
    ) -> String {
        let wanted = slug(id);
        let restricted = !evidence.query.is_empty() && evidence.query != COVERAGE;
        let only = self.only.as_ref().filter(|_| restricted);
        let mut fact = Fact {
            id: wanted.clone(),
            label: only.map_or_else(|| label.to_owned(), |only| format!("{label} {only}")),
            value: value.exact(),
            unit: value.unit(),
            display: value.display(),
            params: dated(&evidence),
            query: evidence.query,
            query_sql: evidence.sql,
            rows: evidence.rows,
            formula,
            inputs,
            computed_at: None,
        };
        // Two names of the user's data may become the same id: the facts stay apart.
        for suffix in 2.. {
            match self.facts.get(&fact.id) {
                Some(known) if known.label != fact.label || known.value != fact.value => {
                    fact.id = format!("{wanted}-{suffix}");
                }
                _ => break,
            }
        }
        let text = link(&fact);
        self.facts.insert(fact.id.clone(), fact);
        text
    }
}

/// The parameters, days with their date: `20748 (2026-10-22)`.
fn dated(evidence: &Evidence) -> Vec<String> {
    let shown = |(at, param): (usize, &String)| {
        let is_day = [" >= ", " < ", " <= "].iter().any(|is| {
            evidence.sql.match_indices(&format!("day{is}?{at}")).any(|(found, text)| {
                let next = evidence.sql[found + text.len()..].chars().next();
                next.is_none_or(|next| !next.is_ascii_digit())
            })
        });
        match param.parse().ok().filter(|_| is_day) {
            Some(day) => format!("{param} ({})", Day(day)),
            // A derived fact has taken over what is dated already.
            None => param.clone(),
        }
    };
    (1..).zip(&evidence.params).map(shown).collect()
}

fn link(fact: &Fact) -> String {
    format!("[{}](fact:{})", fact.display, fact.id)
}

/// An id made of lower-case letters, digits, dots and dashes.
pub fn slug(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase).take(96) {
        if letter == '.' {
            out.truncate(out.trim_end_matches('-').len());
            out.push(letter);
        } else if letter.is_ascii_alphanumeric() {
            out.push(letter);
        } else if !out.ends_with(['-', '.']) {
            out.push('-');
        }
    }
    out.trim_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence() -> Evidence {
        Evidence { query: "q".into(), sql: "SELECT 1".into(), params: vec![], rows: 7 }
    }

    #[test]
    fn facts_with_colliding_ids_stay_apart() {
        let mut book = FactBook::default();
        let money = |micros| Value::Money(Usd::from_micros(micros));
        assert_eq!(
            book.measured("model.a b", "a b", money(1_000_000), &evidence()),
            "[$1.00](fact:model.a-b)"
        );
        assert_eq!(
            book.measured("model.a-b", "a-b", money(2_000_000), &evidence()),
            "[$2.00](fact:model.a-b-2)"
        );
        assert_eq!(
            book.measured("model.a b", "a b", money(1_000_000), &evidence()),
            "[$1.00](fact:model.a-b)"
        );
        assert_eq!(book.len(), 2);
    }

    #[test]
    fn days_among_the_parameters_have_their_date() {
        let sql =
            "SELECT 1 WHERE tenant_id = ?1 AND day >= ?2 AND day < ?3 AND n < ?4 AND day >= ?12";
        let params = ["<tenant>", "20748", "20778", "20748"].map(String::from).to_vec();
        let evidence = Evidence { query: "q".into(), sql: sql.into(), params, rows: 7 };
        let mut book = FactBook::default();
        book.measured("cost", "Cost", Value::Money(Usd::from_micros(10)), &evidence);
        book.derived("half", "Half", Value::Ratio(0.5), "cost / 2", &["cost"]);
        let expected = ["<tenant>", "20748 (2026-10-22)", "20778 (2026-11-21)", "20748"];
        assert_eq!(book.get("cost").unwrap().params, expected);
        assert_eq!(book.get("half").unwrap().params, expected);
    }

    #[test]
    fn facts_about_a_part_say_so() {
        let mut book = FactBook::about(Some("for the team “support”".into()));
        let money = |micros| Value::Money(Usd::from_micros(micros));
        book.measured("cost", "Total cost", money(10), &evidence());
        book.measured(
            "all",
            "Records",
            money(10),
            &Evidence { query: "coverage".into(), ..evidence() },
        );
        assert_eq!(book.get("cost").unwrap().label, "Total cost for the team “support”");
        assert_eq!(book.get("all").unwrap().label, "Records");
    }

    #[test]
    fn a_derived_fact_names_its_formula_and_inherits_the_query() {
        let mut book = FactBook::default();
        book.measured("cost", "Cost", Value::Money(Usd::from_micros(10)), &evidence());
        book.derived(
            "per-request",
            "Cost per request",
            Value::Ratio(0.5),
            "cost / requests",
            &["cost"],
        );
        let fact = book.get("per-request").unwrap();
        assert_eq!(
            (fact.rows, fact.query_sql.as_str(), fact.inputs.as_slice()),
            (7, "SELECT 1", &["cost".to_owned()][..])
        );
        assert_eq!(book.queries().len(), 1);
    }
}
