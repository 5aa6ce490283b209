//! The built-in team on real data, through the real driver: every route, faults, crashes.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod support;

use goldenpath_agents::cost::facts::Fact;
use goldenpath_agents::cost::prices::PriceTable;
use goldenpath_agents::cost::thresholds::Thresholds;
use goldenpath_agents::import::{self, ImportOptions};
use goldenpath_agents::tools::{FACTS, Instruments};
use goldenpath_agents::{demo_data, team};
use goldenpath_core::id::RunId;
use goldenpath_core::run::Grammar;
use goldenpath_core::wire::{AgentStatus, Event, RunStatus, ToolStatus};
use goldenpath_runtime::agent::testing::{Played, Stage};
use goldenpath_runtime::usage::{
    Answer, Coverage, Day, Finish, ImportRecord, ImportSpec, ImportWriter, LeverGroup, LeverLimits,
    Period, Query, Table, Tenant, UsageError, UsageResult, UsageStore,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use support::{Database, database, shared_data};

const USER: &str = "ada";

fn today() -> Day {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Day::of_timestamp(i64::try_from(now.as_micros()).unwrap())
}

fn stage(usage: Arc<dyn UsageStore>) -> Stage {
    let instruments = Instruments {
        usage,
        prices: Arc::new(PriceTable::bundled()),
        thresholds: Arc::new(Thresholds::default()),
        demo: true,
    };
    let team = Arc::new(team::built_in(&instruments).unwrap());
    Stage::new(team, goldenpath_simulator::scope_of(USER))
}

/// A store with a month of demonstration data and the month before.
async fn demo() -> Database {
    let database = database().await;
    let prices = PriceTable::bundled();
    let tenant = Tenant::at_the_machine(USER);
    demo_data::seed_tenant(&database.store, &tenant, &prices, 7, today()).await.unwrap();
    database
}

/// A store with a few hundred rows of the same, for tests that ask many times.
async fn small() -> Database {
    let database = database().await;
    let rows = demo_data::generate(7, today(), &PriceTable::bundled());
    let rows: Vec<_> = rows.into_iter().step_by(15).collect();
    assert!(rows.len() > 300, "{}", rows.len());
    let spec = ImportSpec {
        id: "small".into(),
        source: demo_data::SOURCE.into(),
        name: "a part of the demonstration data".into(),
        started_at_us: today().start_us(),
    };
    let mut import =
        database.store.begin_import(&Tenant::at_the_machine(USER), spec).await.unwrap();
    import.write(rows).await.unwrap();
    import.finish(Finish::Commit).await.unwrap();
    database
}

fn steps(played: &Played) -> Vec<(String, AgentStatus)> {
    let ended = played.entries.iter().filter_map(|entry| match &entry.event {
        Event::AgentCompleted { status, .. } => {
            Some((entry.agent.as_ref().unwrap().name.to_string(), *status))
        }
        _ => None,
    });
    ended.collect()
}

fn names(played: &Played) -> Vec<String> {
    steps(played).into_iter().map(|(name, _)| name).collect()
}

fn answer(played: &Played) -> String {
    let answers = played.entries.iter().filter_map(|entry| match &entry.event {
        Event::AssistantMessage { content, .. } => Some(content.clone()),
        _ => None,
    });
    let answers: Vec<String> = answers.collect();
    assert_eq!(answers.len(), 1);
    answers.into_iter().next().unwrap()
}

fn thoughts(played: &Played) -> String {
    let thoughts = played.entries.iter().filter_map(|entry| match &entry.event {
        Event::AgentThinking { text, .. } => Some(text.as_str()),
        _ => None,
    });
    thoughts.collect::<Vec<_>>().join("\n")
}

fn failed_tools(played: &Played) -> usize {
    let failed = played.entries.iter().filter(|entry| {
        matches!(&entry.event, Event::ToolCompleted { status, .. } if *status != ToolStatus::Completed)
    });
    failed.count()
}

/// The grammar, the five kinds, and that every number of the answer opens a fact.
fn check(stage: &Stage, played: &Played) {
    let grammar = Grammar::replay(RunId(7), &played.entries).unwrap();
    assert_eq!(grammar.ended(), played.ended());
    let kinds =
        ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];
    for kind in kinds {
        let has = played.entries.iter().any(|entry| entry.event.type_name() == kind);
        assert!(has, "no {kind}");
    }
    let answer = answer(played);
    let facts: BTreeMap<String, Fact> = stage
        .shelves
        .text(FACTS)
        .map(|text| serde_json::from_str(&text).unwrap())
        .unwrap_or_default();
    for link in answer.split("](fact:").skip(1) {
        let id = link.split(')').next().unwrap();
        let fact = facts.get(id).unwrap_or_else(|| panic!("no fact {id}"));
        assert!(fact.computed_at.is_some());
    }
    for link in answer.split("](artifact:").skip(1) {
        let name = link.split(')').next().unwrap();
        assert!(stage.shelves.text(name).is_some_and(|svg| svg.starts_with("<svg")), "{name}");
    }
}

#[tokio::test]
async fn enough_data_take_the_full_way_and_every_number_opens() {
    let database = demo().await;
    let stage = stage(Arc::new(database.store.clone()));
    let played = stage.ask("Analyze my AI costs").await;
    check(&stage, &played);
    assert_eq!(played.ended(), Some(RunStatus::Completed), "{:?}", steps(&played));
    assert_eq!(names(&played), ["triage", "data", "optimization", "report", "supervisor"]);
    let answer = answer(&played);
    for heading in
        ["# AI cost report", "![", "](fact:total.cost)", "](fact:savings.total.expected)"]
    {
        assert!(answer.contains(heading), "{heading} is missing in\n{answer}");
    }
    let thoughts = thoughts(&played);
    assert!(thoughts.contains("usage rows") && thoughts.contains("rules apply"), "{thoughts}");
    assert!(stage.shelves.names().contains(&"report.md".to_owned()));
}

#[tokio::test]
async fn the_azure_trace_takes_the_partial_way_and_names_what_is_missing() {
    let database = database().await;
    let prices = Arc::new(PriceTable::bundled());
    let options = ImportOptions {
        name: "code.csv".into(),
        model: Some("gpt-4o".into()),
        ..ImportOptions::default()
    };
    let path = shared_data("azure/AzureLLMInferenceTrace_code.csv");
    let store: Arc<dyn UsageStore> = Arc::new(database.store.clone());
    let tenant = Tenant::at_the_machine(USER);
    let report =
        import::import_file(&*store, &tenant, prices, &path, options, &mut |_| {}).await.unwrap();
    assert!(report.imported > 8_000, "{report:?}");
    let stage = stage(store);
    let played = stage.ask("Analyze my AI costs").await;
    check(&stage, &played);
    assert_eq!(names(&played), ["triage", "data_helper", "data", "report", "supervisor"]);
    assert_eq!(played.ended(), Some(RunStatus::Completed), "{:?}", steps(&played));
    let thoughts = thoughts(&played);
    assert!(thoughts.contains("no record names a team"), "{thoughts}");
    assert!(answer(&played).contains("](fact:total.cost)"));
}

#[tokio::test]
async fn without_data_the_answer_is_what_to_load_and_how() {
    let database = database().await;
    let stage = stage(Arc::new(database.store.clone()));
    let played = stage.ask("Analyze my AI costs").await;
    check(&stage, &played);
    assert_eq!(names(&played), ["triage", "data_helper", "report", "supervisor"]);
    assert_eq!(played.ended(), Some(RunStatus::Completed));
    assert!(answer(&played).contains("goldenpath import spend_logs.json --user ada"));
    assert!(answer(&played).find("**Usage data**") < answer(&played).find("goldenpath import"));
}

/// F44.
#[tokio::test]
async fn another_question_gets_an_honest_list_of_what_we_can_do() {
    let database = demo().await;
    let stage = stage(Arc::new(database.store.clone()));
    let played = stage.ask("Write me a poem about the sea").await;
    check(&stage, &played);
    assert_eq!(names(&played), ["triage", "report", "supervisor"]);
    assert_eq!(played.ended(), Some(RunStatus::Completed));
    let answer = answer(&played);
    assert!(answer.contains("Write me a poem about the sea") && answer.contains("What I can do"));
}

#[tokio::test]
async fn what_data_there_are_is_answered_from_the_records() {
    let database = demo().await;
    let stage = stage(Arc::new(database.store.clone()));
    let played = stage.ask("What data do you have?").await;
    check(&stage, &played);
    assert_eq!(names(&played), ["triage", "data_helper", "report", "supervisor"]);
    let answer = answer(&played);
    assert!(answer.contains("](fact:data.rows)") && answer.contains("demo-synthetic"), "{answer}");
}

#[tokio::test]
async fn a_question_about_a_part_gets_that_part() {
    let database = demo().await;
    let stage = stage(Arc::new(database.store.clone()));
    let played = stage.ask("Which team spends the most?").await;
    check(&stage, &played);
    let answer = answer(&played);
    assert!(answer.contains("Team") && !answer.contains("## Forecast"), "{answer}");
}

/// The titles of the tools as a reader sees them.
fn titles(played: &Played) -> Vec<String> {
    let titles = played.entries.iter().filter_map(|entry| match &entry.event {
        Event::ToolExecuting { title, .. } => Some(title.to_string()),
        _ => None,
    });
    titles.collect()
}

#[tokio::test]
async fn a_name_in_the_question_restricts_the_answer_and_is_said_everywhere() {
    let database = demo().await;
    let stage = stage(Arc::new(database.store.clone()));
    let played =
        stage.ask("How much did the research team spend without gpt-4.1 last month?").await;
    check(&stage, &played);
    let only = "for the team “research” without the model “gpt-4.1”";
    let answer = answer(&played);
    assert!(
        answer.contains("For the team “research” without the model “gpt-4.1”, from "),
        "{answer}"
    );
    let thoughts = thoughts(&played);
    for lane in ["Understood as", "Measuring", "Read "] {
        let said = thoughts.lines().any(|line| line.contains(lane) && line.contains(only));
        assert!(said, "{lane} without its filter in\n{thoughts}");
    }
    let facts: BTreeMap<String, Fact> =
        serde_json::from_str(&stage.shelves.text(FACTS).unwrap()).unwrap();
    let total = &facts["total.cost"];
    assert_eq!(total.label, format!("Total cost {only}"));
    assert!(total.query_sql.contains("team IN (") && total.query_sql.contains("model NOT IN ("));
    let teams = facts.keys().filter(|id| id.starts_with("by-team.") && id.ends_with(".cost"));
    assert_eq!(teams.collect::<Vec<_>>(), ["by-team.research.cost"]);
    let titles = titles(&played);
    for by in ["model", "feature", "team"] {
        let title = format!("Split the cost by {by}");
        assert_eq!(titles.iter().filter(|said| **said == title).count(), 1, "{titles:?}");
    }
}

#[tokio::test]
async fn a_word_that_was_not_understood_comes_before_any_number() {
    let database = demo().await;
    let stage = stage(Arc::new(database.store.clone()));
    let played = stage.ask("How much did the marketing team spend on AI?").await;
    check(&stage, &played);
    let answer = answer(&played);
    let said = "I did not understand “marketing”: it is none of the names in your records; this covers everything. ";
    let at = answer.find(said).unwrap_or_else(|| panic!("{answer}"));
    assert!(at < answer.find("](fact:").unwrap());
    let (_, missing) = answer.split_once("## What is missing").unwrap();
    assert!(missing.contains("I did not understand “marketing”"), "{missing}");
}

async fn asked(csv: &str, question: &str) -> String {
    let database = database().await;
    let prices = Arc::new(PriceTable::bundled());
    let store: Arc<dyn UsageStore> = Arc::new(database.store.clone());
    let tenant = Tenant::at_the_machine(USER);
    let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
    std::fs::write(file.path(), csv).unwrap();
    let options = ImportOptions::default();
    let report =
        import::import_file(&*store, &tenant, prices, file.path(), options, &mut |_| {}).await;
    assert!(report.as_ref().unwrap().imported > 0, "{report:?}");
    let stage = stage(store);
    let played = stage.ask(question).await;
    check(&stage, &played);
    answer(&played)
}

#[tokio::test]
async fn two_records_with_a_date_and_no_time_promise_nothing() {
    let csv = "date,model,input_tokens,output_tokens\n\
               2026-10-20,gpt-4o,1000000,1000\n2026-10-21,gpt-4o,1000000,1000\n";
    let answer = asked(csv, "Analyze my AI costs").await;
    assert!(!answer.contains("R4") && !answer.contains("The rules expect"), "{answer}");
    assert!(answer.contains("No interval can be given.") && !answer.contains("80 %"), "{answer}");
    assert!(answer.contains("interval of the forecast"), "{answer}");
    let budget = asked(csv, "Will we stay within $5,000 next month on AI?").await;
    assert!(budget.contains("cannot be said from so few days"), "{budget}");
    assert!(!budget.contains("with a probability of"), "{budget}");
}

#[tokio::test]
async fn one_day_is_one_day_in_words() {
    let csv = "date,model,input_tokens,output_tokens\n2026-10-20,gpt-4o,1000000,1000\n";
    let answer = asked(csv, "Analyze my AI costs").await;
    assert!(answer.contains("On 2026-10-20 you spent"), "{answer}");
    assert!(answer.contains("[1](fact:total.requests) AI request."), "{answer}");
    let what = "(LiteLLM: request_tags \"feature:…\") or map a column";
    assert!(answer.contains(what), "neither cut nor escaped: {answer}");
}

#[tokio::test]
async fn sums_of_a_day_cannot_be_examined_for_savings() {
    let csv = "date,model,input_tokens,output_tokens,requests\n\
               2026-10-20,gpt-4o,1000000,1000,50\n2026-10-21,gpt-4o,1000000,1000,40\n";
    let answer = asked(csv, "Where can we save money on AI?").await;
    assert!(answer.contains("Savings could not be examined: the records are sums"), "{answer}");
    assert!(!answer.contains("None of the rules"), "{answer}");
}

/// F31, ISO-02.
#[tokio::test]
async fn another_users_data_are_not_seen() {
    let database = demo().await;
    let mut stage = stage(Arc::new(database.store.clone()));
    stage.user = goldenpath_simulator::scope_of("eve");
    let played = stage.ask("Analyze my AI costs").await;
    check(&stage, &played);
    assert_eq!(names(&played), ["triage", "data_helper", "report", "supervisor"]);
}

#[tokio::test]
async fn a_crash_after_any_entry_leads_to_the_same_events() {
    let database = small().await;
    let stage = stage(Arc::new(database.store.clone()));
    let played = stage.crash_everywhere("Where can we save money?").await;
    assert_eq!(played.ended(), Some(RunStatus::Completed));
}

/// F26, F44.
#[tokio::test]
async fn one_failing_measurement_leaves_a_report_that_says_so() {
    let database = demo().await;
    let usage =
        Failing { store: Arc::new(database.store.clone()), what: |query| query == "by-team" };
    let stage = stage(Arc::new(usage));
    let played = stage.ask("Analyze my AI costs").await;
    check(&stage, &played);
    assert_eq!(played.ended(), Some(RunStatus::Degraded));
    assert_eq!(failed_tools(&played), 1);
    let answer = answer(&played);
    assert!(answer.contains("cost by team") && answer.contains("](fact:total.cost)"), "{answer}");
}

/// F26, RUN-14.
#[tokio::test]
async fn when_nothing_can_be_measured_the_report_still_answers() {
    let database = demo().await;
    let usage =
        Failing { store: Arc::new(database.store.clone()), what: |query| query != "coverage" };
    let stage = stage(Arc::new(usage));
    let played = stage.ask("Analyze my AI costs").await;
    check(&stage, &played);
    assert_eq!(played.ended(), Some(RunStatus::Degraded));
    let ended = steps(&played);
    assert!(ended.contains(&("data".into(), AgentStatus::Failed)));
    assert!(ended.contains(&("optimization".into(), AgentStatus::Skipped)));
    assert!(ended.contains(&("report".into(), AgentStatus::Completed)));
    assert!(answer(&played).contains("the usage store did not answer"));
}

#[tokio::test]
async fn when_triage_fails_the_way_is_the_fallback() {
    let database = demo().await;
    let usage = Failing { store: Arc::new(database.store.clone()), what: |_| true };
    let stage = stage(Arc::new(usage));
    let played = stage.ask("Analyze my AI costs").await;
    check(&stage, &played);
    assert_eq!(names(&played), ["triage", "data_helper", "report", "supervisor"]);
    assert_eq!(played.ended(), Some(RunStatus::Degraded));
    assert!(answer(&played).contains("could not be finished"));
}

#[tokio::test]
async fn a_cancel_after_any_entry_ends_the_run_at_once() {
    let database = small().await;
    let stage = stage(Arc::new(database.store.clone()));
    let entries = stage.ask("Analyze my AI costs").await.entries.len();
    let mut cancelled = 0;
    for after in 0..entries {
        let played = stage.ask_and_cancel("Analyze my AI costs", after).await;
        let grammar = Grammar::replay(RunId(7), &played.entries).unwrap();
        assert_eq!(grammar.ended(), played.ended());
        match played.ended() {
            Some(RunStatus::Cancelled) => cancelled += 1,
            // The last entries come in one batch: then it is too late.
            Some(RunStatus::Completed) => assert!(after > entries / 2, "after {after}"),
            other => panic!("{other:?} after {after} entries"),
        }
    }
    assert!(cancelled > entries / 2, "{cancelled} of {entries}");
}

/// A store that fails for some queries.
struct Failing {
    store: Arc<dyn UsageStore>,
    what: fn(&str) -> bool,
}

impl Failing {
    fn broken<T: Send + 'static>(&self, what: &str) -> Option<UsageResult<'static, T>> {
        let error = UsageError::Storage("disk I/O error".into());
        (self.what)(what).then(|| Box::pin(async { Err(error) }) as UsageResult<'static, T>)
    }
}

impl UsageStore for Failing {
    fn begin_import<'a>(
        &'a self,
        tenant: &'a Tenant,
        spec: ImportSpec,
    ) -> UsageResult<'a, Box<dyn ImportWriter>> {
        self.store.begin_import(tenant, spec)
    }

    fn imports<'a>(&'a self, tenant: &'a Tenant) -> UsageResult<'a, Vec<ImportRecord>> {
        self.broken("imports").unwrap_or_else(|| self.store.imports(tenant))
    }

    fn delete_import<'a>(&'a self, tenant: &'a Tenant, import_id: &'a str) -> UsageResult<'a, u64> {
        self.store.delete_import(tenant, import_id)
    }

    fn coverage<'a>(&'a self, tenant: &'a Tenant) -> UsageResult<'a, Answer<Coverage>> {
        self.broken("coverage").unwrap_or_else(|| self.store.coverage(tenant))
    }

    fn query<'a>(&'a self, tenant: &'a Tenant, query: &'a Query) -> UsageResult<'a, Answer<Table>> {
        self.broken(&query.id).unwrap_or_else(|| self.store.query(tenant, query))
    }

    fn levers<'a>(
        &'a self,
        tenant: &'a Tenant,
        period: Period,
        limits: &'a LeverLimits,
    ) -> UsageResult<'a, Answer<Vec<LeverGroup>>> {
        self.broken("levers").unwrap_or_else(|| self.store.levers(tenant, period, limits))
    }
}
