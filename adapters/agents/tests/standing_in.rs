//! Stores in front of the store: the demonstration data of the day, and answers given before.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use goldenpath_agents::cost::prices::PriceTable;
use goldenpath_agents::cost::result_cache::ResultCache;
use goldenpath_agents::demo_data::{Demonstration, SOURCE};
use goldenpath_core::time::Wall;
use goldenpath_runtime::Clock;
use goldenpath_runtime::usage::{
    Answer, Coverage, Day, Finish, ImportRecord, ImportSpec, ImportWriter, LeverGroup, LeverLimits,
    Metric, Period, Query, Table, Tenant, UsageEvent, UsageResult, UsageStore,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use support::database;

/// Counts what reaches the store behind.
struct Counting {
    store: Arc<dyn UsageStore>,
    queries: AtomicU64,
}

impl UsageStore for Counting {
    fn begin_import<'a>(
        &'a self,
        tenant: &'a Tenant,
        spec: ImportSpec,
    ) -> UsageResult<'a, Box<dyn ImportWriter>> {
        self.store.begin_import(tenant, spec)
    }

    fn imports<'a>(&'a self, tenant: &'a Tenant) -> UsageResult<'a, Vec<ImportRecord>> {
        self.store.imports(tenant)
    }

    fn delete_import<'a>(&'a self, tenant: &'a Tenant, import_id: &'a str) -> UsageResult<'a, u64> {
        self.store.delete_import(tenant, import_id)
    }

    fn coverage<'a>(&'a self, tenant: &'a Tenant) -> UsageResult<'a, Answer<Coverage>> {
        Box::pin(async move {
            self.queries.fetch_add(1, Ordering::Relaxed);
            self.store.coverage(tenant).await
        })
    }

    fn query<'a>(&'a self, tenant: &'a Tenant, query: &'a Query) -> UsageResult<'a, Answer<Table>> {
        Box::pin(async move {
            self.queries.fetch_add(1, Ordering::Relaxed);
            self.store.query(tenant, query).await
        })
    }

    fn levers<'a>(
        &'a self,
        tenant: &'a Tenant,
        period: Period,
        limits: &'a LeverLimits,
    ) -> UsageResult<'a, Answer<Vec<LeverGroup>>> {
        Box::pin(async move {
            self.queries.fetch_add(1, Ordering::Relaxed);
            self.store.levers(tenant, period, limits).await
        })
    }
}

fn day() -> Day {
    Day::of_date(2026, 11, 20).unwrap()
}

/// One row of this many tokens, as an import of its own.
async fn import(store: &dyn UsageStore, tenant: &Tenant, id: &str, tokens: i64) {
    let spec =
        ImportSpec { id: id.into(), source: "csv".into(), name: id.into(), started_at_us: 1 };
    let mut writer = store.begin_import(tenant, spec).await.unwrap();
    let row = UsageEvent {
        source: "csv".into(),
        source_id: id.into(),
        identified: true,
        ts_us: day().start_us(),
        requests: 1,
        input_tokens: tokens,
        ..UsageEvent::default()
    };
    writer.write(vec![row]).await.unwrap();
    assert_eq!(writer.finish(Finish::Commit).await.unwrap().imported, 1);
}

fn tokens() -> Query {
    Query::of("tokens", Period { from: day(), until: day().plus(1) }, &[Metric::InputTokens])
}

#[tokio::test]
async fn the_same_question_about_the_same_data_is_computed_once() {
    let db = database().await;
    let behind = Arc::new(Counting { store: Arc::new(db.store.clone()), queries: 0.into() });
    let cache = ResultCache::new(behind.clone());
    let (ada, bob) = (Tenant::at_the_machine("ada"), Tenant::at_the_machine("bob"));
    import(&cache, &ada, "one", 5).await;
    import(&cache, &bob, "one", 7).await;
    let question = tokens();
    let first = cache.query(&ada, &question).await.unwrap();
    assert_eq!(cache.query(&ada, &question).await.unwrap(), first);
    assert_eq!(behind.queries.load(Ordering::Relaxed), 1);
    // Two users with imports that look the same have nothing in common (invariant 9).
    let other = cache.query(&bob, &question).await.unwrap();
    assert_ne!(other.value, first.value);
    assert_eq!(other, db.store.query(&bob, &question).await.unwrap());
    // New data behind the cache's back: another process may have written them.
    import(&db.store, &ada, "two", 100).await;
    let second = cache.query(&ada, &question).await.unwrap();
    assert_eq!(second, db.store.query(&ada, &question).await.unwrap());
    assert_ne!(second.value, first.value);
    cache.delete_import(&ada, "two").await.unwrap();
    assert_eq!(cache.query(&ada, &question).await.unwrap(), first);
    let all = cache.coverage(&ada).await.unwrap();
    assert_eq!(all, cache.coverage(&ada).await.unwrap());
    let limits = LeverLimits {
        retry_window_ms: 60_000,
        short_output_tokens: 16,
        night_from_hour: 22,
        night_until_hour: 6,
        groups: 10,
    };
    let levers = cache.levers(&ada, question.period, &limits).await.unwrap();
    assert_eq!(levers, cache.levers(&ada, question.period, &limits).await.unwrap());
    assert_eq!(behind.queries.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn visitors_share_the_demonstration_until_they_import_their_own() {
    let db = database().await;
    let noon = u64::try_from(day().plus(1).start_us() / 1000).unwrap() + 43_200_000;
    let clock = Clock::starting_at(Wall(noon));
    let store: Arc<dyn UsageStore> = Arc::new(db.store.clone());
    let shown = Demonstration::new(store.clone(), Arc::new(PriceTable::bundled()), clock);
    let (ada, bob) = (Tenant::at_the_machine("demo-user-1"), Tenant::at_the_machine("demo-user-2"));
    // Both at once: whoever comes second waits for the first.
    let (first, second) = tokio::join!(shown.coverage(&ada), shown.coverage(&bob));
    let (first, second) = (first.unwrap().value, second.unwrap().value);
    assert_eq!(first, second);
    assert_eq!(first.sources[0].0, SOURCE);
    assert_eq!(first.days.unwrap().1, day());
    assert_eq!(shown.imports(&ada).await.unwrap()[0].source, SOURCE);
    // Nothing of it is theirs, and nobody else sees it.
    assert_eq!(db.store.coverage(&ada).await.unwrap().value.rows, 0);
    assert_eq!(shown.delete_import(&ada, "demo").await.unwrap(), 0);
    assert_eq!(shown.coverage(&Tenant::at_the_machine("carol")).await.unwrap().value.rows, 0);
    // Made-up and real figures are not added up.
    import(&shown, &ada, "mine", 5).await;
    let mine = shown.coverage(&ada).await.unwrap().value;
    assert_eq!((mine.rows, mine.sources[0].0.as_str()), (1, "csv"));
    assert_eq!(shown.coverage(&bob).await.unwrap().value, second);
}

#[tokio::test]
async fn the_demonstration_is_laid_out_once_a_day_and_old_ones_go() {
    let db = database().await;
    let store: Arc<dyn UsageStore> = Arc::new(db.store.clone());
    let prices = Arc::new(PriceTable::bundled());
    let mut laid_out = Vec::new();
    for age in 0..3 {
        let wall = u64::try_from(day().plus(1 + age).start_us() / 1000).unwrap();
        // A restart: nothing is remembered but what the store holds.
        for _ in 0..2 {
            let clock = Clock::starting_at(Wall(wall));
            let shown = Demonstration::new(store.clone(), prices.clone(), clock);
            laid_out.push(shown.lay_out().await.unwrap());
        }
    }
    laid_out.dedup();
    let mut rows = Vec::new();
    for tenant in &laid_out {
        rows.push(db.store.coverage(tenant).await.unwrap().value.rows > 0);
    }
    assert_eq!(rows, [false, true, true]);
}
