//! Names in a question: which of its words are models, teams, features … of the user's own records.
//!
//! The names come from the records, never from a list of ours. Several names of one dimension widen the
//! answer, a negation excludes them, and a word that is neither a name nor a word of the language is
//! handed back as not understood: nothing that was said is dropped in silence.

use std::collections::{BTreeMap, BTreeSet};

use goldenpath_runtime::usage::{Condition, Dimension, Filter};
use serde::{Deserialize, Serialize};

use super::words::Words;
use super::{lexicon, ordinary};
use crate::cost::measure::{self, Missing};

/// Words one name may consist of.
const LONGEST: usize = 6;
/// Values a filter may name (the store's limit).
const MOST_VALUES: usize = 100;
/// Things not understood that are told one by one.
const TOLD: usize = 5;

/// The dimensions whose names a question may contain. The earlier wins when a name is in several.
pub const NAMED: [Dimension; 7] = [
    Dimension::Model,
    Dimension::Provider,
    Dimension::Team,
    Dimension::Feature,
    Dimension::Project,
    Dimension::User,
    Dimension::ApiKey,
];

/// The names in a user's records, by dimension. Empty for a user without records.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Vocabulary(BTreeMap<Dimension, Vec<String>>);

impl Vocabulary {
    /// Adds the names of a dimension.
    #[must_use]
    pub fn with(mut self, dimension: Dimension, names: impl IntoIterator<Item = String>) -> Self {
        self.0.entry(dimension).or_default().extend(names);
        self
    }

    fn of(&self, dimension: Dimension) -> &[String] {
        self.0.get(&dimension).map_or(&[], Vec::as_slice)
    }

    fn is_empty(&self) -> bool {
        self.0.values().all(Vec::is_empty)
    }
}

/// What the names of a question restrict, and what could not be understood.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) filters: Vec<Filter>,
    pub(super) missing: Vec<Missing>,
    /// Which words are names, or say what kind of name stands beside them.
    pub(super) taken: Vec<bool>,
}

/// A name found: the words from `at` to `until` stand for these values.
struct Found {
    at: usize,
    until: usize,
    dimension: Dimension,
    values: Vec<String>,
    /// Where the noun stands that says what kind of name it is.
    noun: Option<usize>,
}

/// Reads the names of a question. Without a vocabulary nothing is a name and nothing is missing: there
/// are no records that could be mistaken for others.
pub(super) fn read(words: &Words, vocabulary: &Vocabulary) -> Names {
    let mut names = Names { taken: vec![false; words.len()], ..Names::default() };
    if vocabulary.is_empty() {
        return names;
    }
    let found = find(words, vocabulary, &mut names.missing);
    let mut only: BTreeMap<Dimension, BTreeSet<String>> = BTreeMap::new();
    let mut except = only.clone();
    for found in &found {
        names.taken.iter_mut().take(found.until).skip(found.at).for_each(|taken| *taken = true);
        if let Some(noun) = found.noun.and_then(|noun| names.taken.get_mut(noun)) {
            *noun = true;
        }
        let excluded = negation(words, &names.taken, found.at).is_some();
        let side = if excluded { &mut except } else { &mut only };
        side.entry(found.dimension).or_default().extend(found.values.iter().cloned());
    }
    let only = only.into_iter().map(|(by, values)| (by, values, false));
    let except = except.into_iter().map(|(by, values)| (by, values, true));
    for (dimension, values, excluded) in only.chain(except) {
        if values.len() > MOST_VALUES {
            names.missing.push(Missing {
                what: format!("I cannot look at so many {}s at once", measure::noun(dimension)),
                why: "the question names more than a hundred; name them more closely".into(),
            });
            continue;
        }
        let values = values.into_iter().collect();
        let condition = if excluded { Condition::NotIn(values) } else { Condition::In(values) };
        names.filters.push(Filter { dimension, condition });
    }
    without_values(words, &mut names);
    unread(words, &found, &mut names);
    names
}

fn find(words: &Words, vocabulary: &Vocabulary, missing: &mut Vec<Missing>) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let longest = LONGEST.min(words.len() - at);
        let found = (1..=longest).rev().find_map(|length| {
            let after = all.last().filter(|last| joined(words, last.until, at));
            let after = after.map(|last| last.dimension);
            one(words, vocabulary, at, at + length, after, missing)
        });
        match found {
            Some(found) => {
                at = found.until;
                all.push(found);
            }
            None => at += 1,
        }
    }
    all
}

/// Whether nothing but "and" or "or" stands between two places.
fn joined(words: &Words, from: usize, until: usize) -> bool {
    (from + 1 == until || from == until)
        && (from..until).all(|at| matches!(words.get(at), Some("and" | "or" | "vs" | "versus")))
}

/// The name the words from `at` to `until` are, if they are one.
fn one(
    words: &Words,
    vocabulary: &Vocabulary,
    at: usize,
    until: usize,
    after: Option<Dimension>,
    missing: &mut Vec<Missing>,
) -> Option<Found> {
    let span: Vec<&str> = (at..until).filter_map(|at| words.get(at)).collect();
    let noun = noun(words, at, until);
    let hint = noun.map(|(_, dimension)| dimension).or(after);
    let new = span.iter().all(|word| ordinary::is_new(word));
    // A word of the language is a name only where a name is expected.
    let led = at.checked_sub(1).and_then(|at| words.get(at)).is_some_and(|before| {
        matches!(before, "did" | "does" | "for" | "from" | "of")
            || ordinary::EXCLUDING.contains(&before)
    });
    let worded = led && !span.iter().any(|word| ordinary::is_function(word));
    if !(new || hint.is_some() || worded) || span.iter().all(|word| ordinary::is_joint(word)) {
        return None;
    }
    let wanted = key(&span.concat());
    let exactly = |dimension: &Dimension| -> Option<Vec<String>> {
        let same = |value: &&String| key(value) == wanted;
        let values: Vec<String> = vocabulary.of(*dimension).iter().filter(same).cloned().collect();
        (!values.is_empty() && !wanted.is_empty()).then_some(values)
    };
    let found = |dimension, values| {
        let noun = noun.filter(|(_, of)| *of == dimension).map(|(at, _)| at);
        Some(Found { at, until, dimension, values, noun })
    };
    if let Some((dimension, values)) = hint.and_then(|hint| Some((hint, exactly(&hint)?))) {
        return found(dimension, values);
    }
    // Numbers are names only beside a noun that says so.
    if span.iter().all(|word| ordinary::is_number(word)) || !(new || worded) {
        return None;
    }
    let mut exact = NAMED.iter().filter_map(|named| Some((*named, exactly(named)?)));
    if let Some((dimension, values)) = exact.next() {
        if let Some((other, _)) = exact.next() {
            let (this, that) = (measure::noun(dimension), measure::noun(other));
            missing.push(Missing {
                what: format!("“{}” is a {this} and a {that}", span.join(" ")),
                why: format!("this takes it for the {this}; say “{that}” if you mean that"),
            });
        }
        return found(dimension, values);
    }
    if !new {
        return None;
    }
    let family = |dimension: Dimension| -> Option<Vec<String>> {
        let is = |value: &&String| is_of_family(value, &span, &wanted);
        let values: Vec<String> = vocabulary.of(dimension).iter().filter(is).cloned().collect();
        (!values.is_empty()).then_some(values)
    };
    // Models have families ("claude"); of others a part of the name will do beside their noun.
    let dimension = hint.filter(|_| noun.is_some()).unwrap_or(Dimension::Model);
    found(dimension, family(dimension)?)
}

/// Whether a value begins with what was said, or every word said is a part of it.
fn is_of_family(value: &str, span: &[&str], wanted: &str) -> bool {
    if wanted.chars().count() < 2 {
        return false;
    }
    let value = value.to_lowercase();
    let parts: Vec<&str> = value.split(|letter: char| !letter.is_alphanumeric()).collect();
    let said = |word: &&str| {
        let singular = word.strip_suffix('s').unwrap_or(word);
        parts.iter().any(|part| part == word || *part == singular)
    };
    key(&value).starts_with(wanted) || span.iter().all(said)
}

/// The noun beside some words that says what they name: "team X", "the X team".
fn noun(words: &Words, at: usize, until: usize) -> Option<(usize, Dimension)> {
    let of = |at: usize| {
        let (word, next) = (words.get(at)?, words.get(at + 1));
        if word == "api" && matches!(next, Some("key" | "keys")) {
            return None;
        }
        let dimension = lexicon::noun(word).or((word == "key").then_some(Dimension::ApiKey))?;
        NAMED.contains(&dimension).then_some((at, dimension))
    };
    at.checked_sub(1).and_then(of).or_else(|| of(until))
}

/// Letters and digits, lower case: "GPT 4o" and "gpt-4o" are the same name.
fn key(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Where the negation stands that holds for a place: nothing but names, joints and nouns is between.
fn negation(words: &Words, taken: &[bool], place: usize) -> Option<usize> {
    for at in (0..place).rev() {
        let word = words.get(at)?;
        if ordinary::EXCLUDING.contains(&word) {
            return Some(at);
        }
        let before = at.checked_sub(1).and_then(|at| words.get(at));
        match (before, word) {
            (Some("except"), "for")
            | (Some("other"), "than")
            | (Some("apart" | "aside"), "from") => return Some(at - 1),
            (_, "not" | "no" | "never") => return Some(at),
            _ => {}
        }
        let passes = taken.get(at).copied().unwrap_or(false)
            || ordinary::is_joint(word)
            || lexicon::noun(word).is_some()
            || matches!(
                word,
                "all"
                    | "any"
                    | "anything"
                    | "cost"
                    | "costs"
                    | "from"
                    | "of"
                    | "our"
                    | "requests"
                    | "the"
                    | "usage"
            );
        if !passes {
            return None;
        }
    }
    None
}

/// "without a team": records that name none.
fn without_values(words: &Words, names: &mut Names) {
    for at in 0..words.len() {
        if words.get(at) != Some("without") {
            continue;
        }
        let next =
            if matches!(words.get(at + 1), Some("a" | "an" | "any")) { at + 2 } else { at + 1 };
        let taken = names.taken.get(next).copied().unwrap_or(true);
        let named = names.taken.get(next + 1).copied().unwrap_or(false);
        let dimension = words.get(next).and_then(lexicon::noun);
        if let (false, false, Some(dimension)) = (taken, named, dimension) {
            names.filters.push(Filter { dimension, condition: Condition::Missing });
            if let Some(taken) = names.taken.get_mut(next) {
                *taken = true;
            }
        }
    }
}

/// Names the words that were said and had no effect.
fn unread(words: &Words, found: &[Found], names: &mut Names) {
    let mut phrases: Vec<String> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let until = (at..words.len()).find(|at| !is_unread(words, &names.taken, *at));
        let until = until.unwrap_or(words.len());
        if until > at {
            let from = negation(words, &names.taken, at).unwrap_or(at);
            phrases.push(between(words, from, until));
        }
        at = until + 1;
    }
    // A negation that excludes nothing.
    for at in 0..words.len() {
        let word = words.get(at).unwrap_or_default();
        if !ordinary::EXCLUDING.contains(&word) {
            continue;
        }
        let kept = found.iter().any(|found| negation(words, &names.taken, found.at) == Some(at));
        let nothing = (at..words.len().min(at + 4)).any(|at| names.taken.get(at) == Some(&true));
        let said = between(words, at, words.len().min(at + 3));
        if !kept && !nothing && !phrases.iter().any(|phrase| phrase.starts_with(word)) {
            phrases.push(said);
        }
    }
    phrases.dedup();
    let covers =
        if names.filters.is_empty() { "this covers everything" } else { "it changes nothing here" };
    let more = phrases.len() > TOLD;
    for phrase in phrases.into_iter().take(TOLD) {
        names.missing.push(Missing {
            what: format!("I did not understand “{}”", cut(&phrase)),
            why: format!("it is none of the names in your records; {covers}"),
        });
    }
    if more {
        names.missing.push(Missing {
            what: "I did not understand other words".into(),
            why: "the question is long; ask for one thing at a time".into(),
        });
    }
}

/// Whether a word was said and is neither a name nor a word of the language.
fn is_unread(words: &Words, taken: &[bool], at: usize) -> bool {
    let Some(word) = words.get(at) else { return false };
    if taken.get(at).copied().unwrap_or(false) || !word.chars().any(char::is_alphanumeric) {
        return false;
    }
    if ordinary::is_new(word) {
        return !ordinary::is_number(word);
    }
    // "the growth team": a word of the language where a name is expected.
    let singular = |at: usize| {
        let noun =
            words.get(at).filter(|noun| matches!(*noun, "feature" | "project" | "team" | "user"));
        noun.is_some() && taken.get(at) != Some(&true)
    };
    let before = |steps: usize| at.checked_sub(steps).and_then(|at| words.get(at)).unwrap_or("");
    let led = |word: &str| {
        matches!(word, "did" | "for" | "from" | "of") || word == "the" || word == "our"
    };
    !ordinary::is_function(word)
        && !lexicon::is_grouping(word)
        && ((singular(at + 1) && matches!(before(1), "our" | "the"))
            || (at > 0 && singular(at - 1) && before(2) != "the" && led(before(2))))
}

/// At most so many letters of what a user typed.
fn cut(phrase: &str) -> String {
    const LETTERS: usize = 60;
    let cut: String = phrase.chars().take(LETTERS).collect();
    if cut.len() < phrase.len() { cut + "…" } else { cut }
}

fn between(words: &Words, from: usize, until: usize) -> String {
    (from..until).filter_map(|at| words.get(at)).collect::<Vec<_>>().join(" ")
}
