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
    assert!(answer(&played).contains("goldenpath import spend_logs.json"));
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
