//! What people name in a question, and what the answer is restricted to.

use super::phrasings::{PHRASINGS, TODAY};
use super::*;

/// The names of a company with more in its records than the demonstration has.
fn known() -> Vocabulary {
    let all: [(Dimension, &[&str]); 6] = [
        (
            Dimension::Model,
            &[
                "claude-sonnet-4-6",
                "claude-opus-4-6",
                "gpt-4o",
                "gpt-4o-mini",
                "gpt-4.1",
                "o4-mini",
                "text-embedding-3-small",
                "in-house-llama-70b",
            ],
        ),
        (Dimension::Provider, &["anthropic", "openai"]),
        (Dimension::Team, &["support", "platform", "research", "growth", "customer success"]),
        (Dimension::Feature, &["support-chat", "code-assistant", "semantic-search", "research"]),
        (Dimension::Project, &["apollo"]),
        (Dimension::User, &["12", "14", "ada@example.org"]),
    ];
    all.into_iter().fold(Vocabulary::default(), |known, (dimension, names)| {
        known.with(dimension, names.iter().map(|name| (*name).to_owned()))
    })
}

/// What a question restricts the answer to, in words, and what of it was not understood.
fn read(question: &str) -> (String, Vec<String>) {
    let read = triage(question, Day::parse(TODAY).unwrap(), &known());
    let scope =
        Scope { period: Period::of_days(Day(0), Day(0)), filters: read.slots.filters.clone() };
    let missing = read.missing.iter().map(|missing| missing.what.clone()).collect();
    (scope.only().unwrap_or_default(), missing)
}

const CLAUDE: &str = "“claude-opus-4-6” and “claude-sonnet-4-6”";

/// Question, what it is restricted to, and the words that were not understood.
const NAMINGS: &[(&str, &str, &[&str])] = &[
    ("Analyze my AI costs", "", &[]),
    ("How much did the support team spend in October?", "for the team “support”", &[]),
    ("What did team support spend last week?", "for the team “support”", &[]),
    ("how much did support spend on AI", "for the team “support”", &[]),
    ("How much did AI cost for the growth team?", "for the team “growth”", &[]),
    ("AI costs for growth last month", "for the team “growth”", &[]),
    ("Is AI spend growth slowing?", "", &["slowing"]),
    ("how much did customer success spend on AI", "for the team “customer success”", &[]),
    ("How much did claude cost last week?", "for the models CLAUDE", &[]),
    ("How much does Claude Opus cost us?", "for the model “claude-opus-4-6”", &[]),
    ("what did sonnet cost in October", "for the model “claude-sonnet-4-6”", &[]),
    ("gpt-4o cost", "for the model “gpt-4o”", &[]),
    ("GPT 4o mini cost", "for the model “gpt-4o-mini”", &[]),
    ("how much did gpt cost", "for the models “gpt-4.1”, “gpt-4o” and “gpt-4o-mini”", &[]),
    ("what do embeddings cost us", "for the model “text-embedding-3-small”", &[]),
    ("cost of llama", "for the model “in-house-llama-70b”", &[]),
    ("How much do we pay OpenAI?", "for the provider “openai”", &[]),
    ("How much do we pay Google?", "", &["google"]),
    ("How much did gpt-5 cost?", "", &["gpt-5"]),
    ("feature support-chat", "for the feature “support-chat”", &[]),
    ("cost of the support chat feature", "for the feature “support-chat”", &[]),
    ("cost of the chat feature", "for the feature “support-chat”", &[]),
    ("AI costs of user 12", "for the user “12”", &[]),
    ("user 12", "for the user “12”", &[]),
    ("AI costs of users 12 and 14", "for the users “12” and “14”", &[]),
    ("AI costs of the last 12 days", "", &[]),
    ("how much did ada@example.org spend", "for the user “ada@example.org”", &[]),
    ("spend of project apollo", "for the project “apollo”", &[]),
    ("AI costs without claude", "without the models CLAUDE", &[]),
    ("How much did we spend except for the support team?", "without the team “support”", &[]),
    ("AI spend excluding gpt-4o and claude", "without the models CLAUDE and “gpt-4o”", &[]),
    ("costs of all models other than gpt-4o", "without the model “gpt-4o”", &[]),
    (
        "costs of claude but not opus",
        "for the models CLAUDE without the model “claude-opus-4-6”",
        &[],
    ),
    (
        "AI costs of team platform without claude",
        "for the team “platform” without the models CLAUDE",
        &[],
    ),
    ("AI costs without a team", "without any team", &[]),
    ("AI costs without weekends", "", &["without weekends"]),
    ("AI costs without the acme team", "", &["without the acme"]),
    ("compare gpt-4o and claude", "for the models CLAUDE and “gpt-4o”", &[]),
    ("gpt-4o vs o4-mini cost", "for the models “gpt-4o” and “o4-mini”", &[]),
    (
        "compare AI cost of support, platform and research",
        "for the teams “platform”, “research” and “support”",
        &[],
    ),
    ("How much did research spend?", "for the team “research”", &["a feature"]),
    ("AI cost of the feature research", "for the feature “research”", &[]),
    (
        "support team spend on claude at Anthropic",
        "for the models CLAUDE, the provider “anthropic” and the team “support”",
        &[],
    ),
    ("How much did marketing spend on AI?", "", &["marketing"]),
    ("How much did the marketing team spend on AI?", "", &["marketing"]),
    ("How much did the trend team spend on AI?", "", &["trend"]),
    ("AI spend in Germany last month", "", &["germany"]),
    ("how much did suport spend on gpt-4o", "for the model “gpt-4o”", &["suport"]),
    ("How much did the team spend on AI?", "", &[]),
    ("Which team spends the most on claude?", "for the models CLAUDE", &[]),
    ("Why did costs rise on November 12?", "", &[]),
    ("AI costs since Christmas", "", &["christmas"]),
];

#[test]
fn names_in_a_question_restrict_the_answer_and_other_words_are_handed_back() {
    let mut wrong = Vec::new();
    for (question, only, unread) in NAMINGS {
        let (found, missing) = read(question);
        let only =
            only.replace("CLAUDE and “gpt", "“claude-opus-4-6”, “claude-sonnet-4-6” and “gpt");
        let only = only.replace("CLAUDE", CLAUDE);
        let same = missing.len() == unread.len()
            && missing
                .iter()
                .zip(*unread)
                .all(|(what, word)| what.contains(&format!("“{word}”")) || what.ends_with(word));
        if found != only || !same {
            wrong.push(format!("{question}\n  {found}\n  {only}\n  {missing:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), NAMINGS.len(), wrong.join("\n"));
}

#[test]
fn ordinary_questions_have_no_word_that_is_not_understood() {
    let mut wrong = Vec::new();
    for (intent, phrasings) in PHRASINGS {
        for phrasing in phrasings.iter().filter(|_| *intent != Intent::Unknown) {
            let (_, missing) = read(phrasing);
            if !missing.is_empty() {
                wrong.push(format!("{phrasing}: {missing:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_names_mean_is_about_costs_and_their_words_mean_nothing_else() {
    let read = |question| triage(question, Day::parse(TODAY).unwrap(), &known());
    assert_eq!(read("feature support-chat").intent, Intent::Analyze);
    assert_eq!(read("user 12").intent, Intent::Analyze);
    assert_eq!(read("How much did the growth team spend?").intent, Intent::Spend, "not a trend");
    let compared = read("compare gpt-4o and claude");
    assert!(compared.sections().contains(&Section::Breakdowns));
    assert_eq!(compared.slots.dimension, Some(Dimension::Model));
    assert_eq!(read("What's the weather in Berlin?").missing, [], "we do not answer it at all");
}
