//! The whole analysis on seeded demonstration data: one snapshot, and what must hold for every report.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use goldenpath_agents::cost::analysis::{Analysis, Sufficiency, analyse, sufficiency};
use goldenpath_agents::cost::measure::{self, Scope};
use goldenpath_agents::cost::prices::PriceTable;
use goldenpath_agents::cost::report::{Flaw, Report, ReportKind, Section, check, write};
use goldenpath_agents::cost::rules::Rule;
use goldenpath_agents::cost::thresholds::Thresholds;
use goldenpath_agents::demo_data;
use goldenpath_runtime::usage::{
    Condition, Day, Dimension, Filter, Period, Tenant, UsageStore, Usd,
};
use support::{Database, database};

fn last_day() -> Day {
    Day::of_date(2026, 11, 20).unwrap()
}

fn demo() -> Tenant {
    Tenant::at_the_machine("demo-user-1")
}

async fn seeded() -> Database {
    let db = database().await;
    let prices = PriceTable::bundled();
    let outcome = demo_data::seed_tenant(&db.store, &demo(), &prices, 7, last_day()).await.unwrap();
    assert!(outcome.imported > 5_000 && outcome.duplicates == 0, "{outcome:?}");
    db
}

async fn analysed(db: &Database, scope: Option<Scope>, budget: Option<Usd>) -> Analysis {
    let thresholds = Thresholds::default();
    let coverage = db.store.coverage(&demo()).await.unwrap().value;
    let scope =
        scope.unwrap_or_else(|| Scope::of(Scope::default_period(&coverage, &thresholds).unwrap()));
    let measurements = measure::everything(&db.store, &demo(), &scope, &thresholds).await;
    analyse(measurements, scope, last_day().plus(1), budget, &PriceTable::bundled(), &thresholds)
}

fn report(analysis: &Analysis) -> Report {
    let report = write(analysis, &[], &Thresholds::default());
    assert_eq!(check(&report), [], "a report says nothing without a fact");
    report
}

#[tokio::test]
async fn the_full_report_on_demonstration_data() {
    let db = seeded().await;
    let analysis = analysed(&db, None, Usd::parse("500")).await;
    let report = report(&analysis);
    insta::assert_snapshot!("full_report", report.markdown);
    let names: Vec<_> = report.artifacts.iter().map(|artifact| artifact.name.as_str()).collect();
    assert_eq!(names, ["daily.svg", "models.svg", "savings.svg"]);
    for artifact in &report.artifacts {
        insta::assert_snapshot!(format!("full_report_{}", artifact.name), artifact.body);
    }
}

#[tokio::test]
async fn demonstration_data_plant_what_the_analysis_finds() {
    let db = seeded().await;
    let analysis = analysed(&db, None, None).await;
    let rules: Vec<Rule> =
        analysis.savings.as_ref().unwrap().recommendations.iter().map(|found| found.rule).collect();
    assert_eq!(rules, Rule::ALL, "every rule finds what was planted for it");
    let unusual = &analysis.anomalies[0];
    assert_eq!(unusual.day, demo_data::runaway_day(last_day()));
    assert_eq!(unusual.driver.as_ref().unwrap().feature.as_deref(), Some("code-assistant"));
    assert!(analysis.quality.without_team.is_some(), "Q1");
    assert!(analysis.quality.unpriced_requests > 0, "Q2");
    assert_eq!(
        sufficiency(&analysis.measurements.coverage.unwrap().value),
        (Sufficiency::Sufficient, vec![])
    );
}

#[tokio::test]
async fn a_visitor_gets_the_demonstration_data_once() {
    let db = seeded().await;
    let again = demo_data::seed_tenant(&db.store, &demo(), &PriceTable::bundled(), 7, last_day())
        .await
        .unwrap();
    assert_eq!((again.imported, again.duplicates), (0, 0));
    let other = Tenant::at_the_machine("demo-user-2");
    assert_eq!(db.store.coverage(&other).await.unwrap().value.rows, 0);
    assert!(db.store.delete_import(&demo(), demo_data::IMPORT_ID).await.unwrap() > 5_000);
    assert_eq!(db.store.coverage(&demo()).await.unwrap().value.rows, 0);
}

#[tokio::test]
async fn breakdowns_add_up_to_the_total() {
    let db = seeded().await;
    let analysis = analysed(&db, None, None).await;
    let total = analysis.measurements.totals.as_ref().unwrap().value.cost;
    assert_eq!(analysis.measurements.breakdowns.len(), 3);
    for breakdown in &analysis.measurements.breakdowns {
        assert_eq!(breakdown.value.groups.iter().map(|group| group.cost).sum::<Usd>(), total);
    }
    let days = analysis.measurements.cost_by_day(analysis.scope.period);
    assert_eq!(days.iter().map(|(_, cost)| *cost).sum::<Usd>(), total);
    assert_eq!(analysis.savings.unwrap().spend, total, "the rules looked at everything");
}

#[tokio::test]
async fn a_filtered_question_gets_a_partial_report_without_savings() {
    let db = seeded().await;
    let filter =
        Filter { dimension: Dimension::Team, condition: Condition::In(vec!["support".into()]) };
    let period = Period::of_days(last_day().plus(-6), last_day());
    let analysis = analysed(&db, Some(Scope { period, filters: vec![filter] }), None).await;
    let report = report(&analysis);
    assert_eq!(report.kind, ReportKind::Partial);
    let begins = "For the team “support”, from 2026-11-14 to 2026-11-20 you spent $";
    assert!(report.headline.starts_with(begins), "{}", report.headline);
    assert_eq!(report.facts.get("total.cost").unwrap().label, "Total cost for the team “support”");
    assert_eq!(report.facts.get("data.rows").unwrap().label, "Usage records loaded");
    assert!(
        report.markdown.contains("## What is missing") && !report.markdown.contains("## Savings")
    );
}

#[tokio::test]
async fn savings_of_a_model_are_those_of_its_groups() {
    let db = seeded().await;
    let all = analysed(&db, None, None).await;
    let of = |condition| Filter { dimension: Dimension::Model, condition };
    let model = || vec!["gpt-4.1".to_owned()];
    let mut spend = Usd::ZERO;
    for (condition, batch) in [(Condition::In(model()), true), (Condition::NotIn(model()), false)] {
        let scope = Scope { period: all.scope.period, filters: vec![of(condition)] };
        let analysis = analysed(&db, Some(scope), None).await;
        report(&analysis);
        let savings = analysis.savings.unwrap();
        assert_eq!(savings.spend, analysis.measurements.totals.unwrap().value.cost);
        let found = savings.recommendations.iter().any(|found| found.rule == Rule::R4);
        assert_eq!(found, batch, "the demonstration's jobs run on gpt-4.1");
        spend += savings.spend;
    }
    assert_eq!(spend, all.savings.unwrap().spend);
}

#[tokio::test]
async fn a_period_without_usage_is_said_so() {
    let db = seeded().await;
    let period =
        Period::of_days(Day::of_date(2020, 1, 1).unwrap(), Day::of_date(2020, 1, 31).unwrap());
    let analysis = analysed(&db, Some(Scope::of(period)), None).await;
    let report = report(&analysis);
    assert_eq!(report.kind, ReportKind::Partial);
    assert_eq!(
        report.headline,
        "There are no records before 2026-09-22; yours reach from 2026-09-22 to 2026-11-20."
    );
    for word in ["$0", "## Totals", "most expensive", "Nothing limits", "## What is missing"] {
        assert!(!report.markdown.contains(word), "{word} in {}", report.markdown);
    }
}

#[tokio::test]
async fn a_question_for_one_part_gets_that_part() {
    let db = seeded().await;
    let analysis = analysed(&db, None, None).await;
    for section in Section::ALL {
        let report = write(&analysis, &[section], &Thresholds::default());
        assert_eq!(check(&report), [], "{section:?}");
        assert!(report.markdown.contains("## Next steps"));
    }
    let forecast = write(&analysis, &[Section::Forecast], &Thresholds::default());
    assert!(forecast.markdown.contains("## Forecast") && !forecast.markdown.contains("## Savings"));
}

#[tokio::test]
async fn the_check_finds_what_must_not_be_in_a_report() {
    let db = seeded().await;
    let good = report(&analysed(&db, None, None).await);
    let with = |text: &str| {
        let mut bad = good.clone();
        bad.markdown.push_str(text);
        check(&bad)
    };
    assert_eq!(with("\nIt was $12.34.\n"), [Flaw::UnlinkedNumber("$12.34".into())]);
    assert_eq!(with("\n1,234 of them\n"), [Flaw::UnlinkedNumber("1,234".into())]);
    assert_eq!(with("\n[1](fact:nope)\n"), [Flaw::UnknownFact("nope".into())]);
    assert_eq!(with("\n![x](artifact:nope.svg)\n"), [Flaw::MissingArtifact("nope.svg".into())]);
    assert!(matches!(with("\n[$1.00](fact:total.cost)\n").as_slice(), [Flaw::WrongText { .. }]));
    assert_eq!(with("\non 2026-11-20, by gpt-4o\n"), []);
}

#[tokio::test]
async fn every_fact_can_be_measured_again() {
    let db = seeded().await;
    let report = report(&analysed(&db, None, None).await);
    for fact in report.facts.iter() {
        let given = fact.formula.as_deref() == Some("given");
        assert!(
            given || (!fact.query_sql.is_empty() && fact.query_sql.contains("tenant_id = ?1")),
            "{fact:?}"
        );
        assert!(fact.inputs.iter().all(|input| report.facts.get(input).is_some()), "{fact:?}");
        assert!(
            !fact.params.iter().any(|param| param.contains("demo-user")),
            "the user's id stays out"
        );
    }
    // Run the query of the total by hand.
    let fact = report.facts.get("total.cost").unwrap();
    let mut query = sqlx::query_as::<_, (i64, i64)>(sqlx::AssertSqlSafe(fact.query_sql.clone()))
        .bind("demo-user-1");
    for param in &fact.params[1..] {
        // A day is followed by its date.
        let number = param.split(' ').next().unwrap();
        query = query.bind(number.parse::<i64>().unwrap());
    }
    let (micros, rest) = query.fetch_one(&db.pool).await.unwrap();
    assert_eq!((Usd::from_micros(micros) + Usd::from_pico(rest.into())).to_string(), fact.value);
}

#[tokio::test]
async fn an_analysis_survives_being_stored() {
    let db = seeded().await;
    let analysis = analysed(&db, None, None).await;
    let text = serde_json::to_string(&analysis).unwrap();
    assert_eq!(
        write(&serde_json::from_str(&text).unwrap(), &[], &Thresholds::default()),
        report(&analysis)
    );
}
