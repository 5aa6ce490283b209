//! The usage store on a real SQLite file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use goldenpath_runtime::usage::{
    Condition, CostStatus, Costing, Day, Dimension, Filter, Finish, Grain, ImportOutcome,
    ImportSpec, LeverLimits, Metric, Outcome, Period, Query, Tenant, UsageError, UsageEvent,
    UsageStore, Usd,
};
use goldenpath_sqlx::usage::SqliteUsage;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

const DAY: i32 = 20_000;

struct Fixture {
    store: SqliteUsage,
    pool: SqlitePool,
    _dir: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let options =
        SqliteConnectOptions::new().filename(dir.path().join("usage.db")).create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
    sqlx::migrate!("./migrations/sqlite").run(&pool).await.unwrap();
    Fixture { store: SqliteUsage::new(pool.clone()), pool, _dir: dir }
}

fn limits() -> LeverLimits {
    LeverLimits {
        retry_window_ms: 60_000,
        short_output_tokens: 16,
        night_from_hour: 22,
        night_until_hour: 6,
        groups: 100,
    }
}

fn spec(id: &str) -> ImportSpec {
    ImportSpec { id: id.into(), source: "test".into(), name: "a.csv".into(), started_at_us: 1 }
}

fn event(id: &str, day: i32, second: i64, model: &str, pico: i128) -> UsageEvent {
    UsageEvent {
        source: "test".into(),
        source_id: id.into(),
        identified: true,
        ts_us: Day(day).start_us() + second * 1_000_000,
        model: Some(model.into()),
        requests: 1,
        input_tokens: 100,
        output_tokens: 10,
        costing: Costing {
            computed: Some(Usd::from_pico(pico)),
            computed_output: Some(Usd::from_pico(pico / 2)),
            status: CostStatus::Priced,
            ..Costing::default()
        },
        ..UsageEvent::default()
    }
}

async fn load(
    store: &SqliteUsage,
    tenant: &Tenant,
    id: &str,
    rows: Vec<UsageEvent>,
    end: Finish,
) -> ImportOutcome {
    let mut writer = store.begin_import(tenant, spec(id)).await.unwrap();
    for (position, mut chunk) in rows.chunks(150).map(<[_]>::to_vec).enumerate() {
        for (at, row) in chunk.iter_mut().enumerate() {
            row.position = (position * 150 + at + 1) as u64;
        }
        writer.write(chunk).await.unwrap();
    }
    writer.finish(end).await.unwrap()
}

fn outcome(imported: u64, duplicates: u64) -> ImportOutcome {
    ImportOutcome { imported, duplicates }
}

async fn total(store: &SqliteUsage, tenant: &Tenant) -> (Usd, u64) {
    let query = Query::of("total", Period::of_days(Day(DAY), Day(DAY + 100)), &[Metric::Cost]);
    let answer = store.query(tenant, &query).await.unwrap();
    (answer.value.value(0, Metric::Cost).money(), answer.evidence.rows)
}

#[tokio::test]
async fn importing_the_same_rows_again_changes_nothing() {
    let Fixture { store, _dir, .. } = fixture().await;
    let (ann, rows) = (
        Tenant::at_the_machine("ann"),
        (0..321).map(|n| event(&n.to_string(), DAY, n, "m", 1_234_567)).collect::<Vec<_>>(),
    );
    assert_eq!(load(&store, &ann, "dry", rows.clone(), Finish::DryRun).await, outcome(321, 0));
    assert_eq!(total(&store, &ann).await, (Usd::ZERO, 0), "a dry run writes nothing");
    assert_eq!(load(&store, &ann, "one", rows.clone(), Finish::Commit).await, outcome(321, 0));
    let once = total(&store, &ann).await;
    assert_eq!(once, (Usd::from_pico(321 * 1_234_567), 321));
    assert_eq!(load(&store, &ann, "two", rows.clone(), Finish::DryRun).await, outcome(0, 321));
    assert_eq!(load(&store, &ann, "two", rows, Finish::Commit).await, outcome(0, 321));
    assert_eq!(total(&store, &ann).await, once);
    let taken = store.begin_import(&ann, spec("two")).await.err();
    assert_eq!(taken, Some(UsageError::ImportExists));
    assert_eq!(store.imports(&ann).await.unwrap().len(), 2);
    assert_eq!(store.delete_import(&ann, "one").await.unwrap(), 321);
    assert_eq!(total(&store, &ann).await, (Usd::ZERO, 0));
}

#[tokio::test]
async fn equal_rows_without_an_id_are_counted_and_rows_with_the_same_id_are_not() {
    let Fixture { store, _dir, .. } = fixture().await;
    let ann = Tenant::at_the_machine("ann");
    let anonymous = || UsageEvent { identified: false, ..event("digest", DAY, 0, "m", 10) };
    let rows =
        vec![anonymous(), anonymous(), event("a", DAY, 1, "m", 10), event("a", DAY, 1, "m", 10)];
    assert_eq!(load(&store, &ann, "one", rows.clone(), Finish::Commit).await, outcome(3, 1));
    let more = [rows, vec![anonymous()]].concat();
    assert_eq!(
        load(&store, &ann, "two", more, Finish::Commit).await,
        outcome(1, 4),
        "one more of the same"
    );
}

#[tokio::test]
async fn a_dropped_import_leaves_nothing_and_the_next_one_works() {
    let Fixture { store, pool, _dir } = fixture().await;
    let ann = Tenant::at_the_machine("ann");
    for _ in 0..5 {
        let mut writer = store.begin_import(&ann, spec("gone")).await.unwrap();
        writer.write(vec![event("x", DAY, 1, "m", 1)]).await.unwrap();
        drop(writer);
    }
    let rows: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM usage_event").fetch_one(&pool).await.unwrap();
    assert_eq!(rows, 0);
    assert_eq!(
        load(&store, &ann, "gone", vec![event("x", DAY, 1, "m", 1)], Finish::Commit).await,
        outcome(1, 0)
    );
}

#[tokio::test]
async fn no_tenant_sees_another_ones_rows() {
    let Fixture { store, _dir, .. } = fixture().await;
    let (ann, bob) = (Tenant::at_the_machine("ann"), Tenant::at_the_machine("bob"));
    let rows = vec![event("1", DAY, 1, "m", 5), event("2", DAY, 1, "m", 5)];
    load(&store, &ann, "i", rows.clone(), Finish::Commit).await;
    assert_eq!(total(&store, &bob).await, (Usd::ZERO, 0));
    assert_eq!(store.coverage(&bob).await.unwrap().value.rows, 0);
    assert!(
        store
            .levers(&bob, Period::of_days(Day(DAY), Day(DAY)), &limits())
            .await
            .unwrap()
            .value
            .is_empty()
    );
    assert!(store.imports(&bob).await.unwrap().is_empty());
    assert_eq!(store.delete_import(&bob, "i").await.unwrap(), 0);
    assert_eq!(
        load(&store, &bob, "i", rows, Finish::Commit).await,
        outcome(2, 0),
        "ids do not collide"
    );
    assert_eq!(total(&store, &ann).await, (Usd::from_pico(10), 2));
}

#[tokio::test]
async fn sums_beyond_64_bits_of_picodollars_are_exact() {
    let Fixture { store, _dir, .. } = fixture().await;
    let ann = Tenant::at_the_machine("ann");
    let large = 9_000_000_000_000_000_007;
    load(
        &store,
        &ann,
        "i",
        (0..40).map(|n| event(&n.to_string(), DAY, n, "m", large)).collect(),
        Finish::Commit,
    )
    .await;
    assert_eq!(total(&store, &ann).await.0, Usd::from_pico(40 * large));
}

#[tokio::test]
async fn groups_filters_and_time_come_out_in_order() {
    let Fixture { store, _dir, .. } = fixture().await;
    let ann = Tenant::at_the_machine("ann");
    let mut rows = vec![
        event("1", DAY, 0, "small", 1),
        event("2", DAY + 1, 0, "large", 9_000_000),
        event("3", DAY + 40, 0, "large", 1),
        event("4", DAY, 0, "small", 1),
    ];
    rows[3].team = Some("core".into());
    load(&store, &ann, "i", rows, Finish::Commit).await;
    let period = Period::of_days(Day(DAY), Day(DAY + 40));
    let by_model =
        Query::of("q", period, &[Metric::Cost, Metric::Requests]).by(&[Dimension::Model]);
    let table = store.query(&ann, &by_model).await.unwrap().value;
    let names: Vec<_> = table.rows.iter().map(|row| row[0].text().unwrap().to_owned()).collect();
    assert_eq!(names, ["large", "small"], "the largest first");
    let cut = store.query(&ann, &Query { limit: 1, ..by_model.clone() }).await.unwrap();
    assert!(cut.value.truncated && cut.value.rows.len() == 1);
    assert_eq!(cut.evidence.rows, 4, "rows of the groups beyond the limit count too");
    for (condition, expected) in [
        (Condition::Missing, 3),
        (Condition::Present, 1),
        (Condition::In(vec!["core".into(), "x".into()]), 1),
        (Condition::NotIn(vec!["core".into(), "x".into()]), 3),
        (Condition::NotIn(vec!["x".into()]), 4),
    ] {
        let filter = Filter { dimension: Dimension::Team, condition };
        let answer = store
            .query(&ann, &Query::of("q", period, &[Metric::Rows]).only(&[filter]))
            .await
            .unwrap();
        assert_eq!(answer.value.value(0, Metric::Rows).count(), expected);
    }
    for (grain, groups) in [(Grain::Hour, 3), (Grain::Day, 3), (Grain::Week, 2), (Grain::Month, 2)]
    {
        let query = Query::of("q", period, &[Metric::Rows]).over_time(grain);
        assert_eq!(store.query(&ann, &query).await.unwrap().value.rows.len(), groups, "{grain:?}");
    }
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_interrupted_and_the_connection_lives_on() {
    let Fixture { store, _dir, .. } = fixture().await;
    let ann = Tenant::at_the_machine("ann");
    load(
        &store,
        &ann,
        "i",
        (0..3000).map(|n| event(&n.to_string(), DAY, n, "m", 1)).collect(),
        Finish::Commit,
    )
    .await;
    let hurried = store.clone().with_time_limit(core::time::Duration::ZERO);
    let period = Period::of_days(Day(DAY), Day(DAY));
    assert_eq!(
        hurried.levers(&ann, period, &limits()).await.err(),
        Some(UsageError::LimitExceeded("time"))
    );
    assert_eq!(store.levers(&ann, period, &limits()).await.unwrap().value.len(), 1);
}

#[tokio::test]
async fn every_row_is_superseded_failed_truncated_or_kept() {
    let Fixture { store, _dir, .. } = fixture().await;
    let ann = Tenant::at_the_machine("ann");
    let with = |id: &str, second, change: fn(&mut UsageEvent)| {
        let mut row = event(id, DAY, second, "m", 1_000_000_000);
        change(&mut row);
        row
    };
    let rows = vec![
        with("failed-and-retried", 0, |row| {
            (row.outcome, row.prompt_hash) = (Outcome::Failed, Some("p".into()))
        }),
        with("the-retry", 30, |row| row.prompt_hash = Some("p".into())),
        with("failed-alone", 0, |row| {
            (row.outcome, row.prompt_hash) = (Outcome::TimedOut, Some("q".into()))
        }),
        with("too-late", 61, |row| row.prompt_hash = Some("q".into())),
        with("cut", 5, |row| row.finish_reason = Some("length".into())),
        with("named", 6, |_| ()),
        with("names-it", 7, |row| row.retry_of = Some("named".into())),
        with("billed-again", 8, |row| row.attempt = Some(2)),
        with("plain", 9, |row| row.output_tokens = 1000),
    ];
    load(&store, &ann, "i", rows, Finish::Commit).await;
    let answer = store.levers(&ann, Period::of_days(Day(DAY), Day(DAY)), &limits()).await.unwrap();
    assert_eq!(answer.evidence.rows, 9);
    let [group] = answer.value.as_slice() else { panic!("one group") };
    assert_eq!(
        (group.superseded.rows, group.failed.rows, group.truncated.rows, group.kept.rows),
        (3, 1, 1, 4)
    );
    let parts = group.superseded.cost + group.failed.cost + group.truncated.cost + group.kept.cost;
    assert_eq!(parts, group.all.cost);
    assert_eq!(group.all.cost, Usd::from_pico(9_000_000_000));
    let lengths = group.lengths;
    assert_eq!((lengths.output_p50, lengths.output_p95, lengths.output_p99), (10, 1000, 1000));
    // Two of them have a date and no time: they say nothing about hours.
    assert_eq!((lengths.rows, lengths.short_outputs, lengths.night), (9, 8, 7));
    assert_eq!((lengths.active_hours, lengths.span_hours, lengths.hourly_squares), (1, 1, 49));
    assert_eq!(
        group.all.excess_output_tokens, 0,
        "nothing is above the 95th percentile of nine rows"
    );
}
