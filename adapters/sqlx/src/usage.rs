//! Usage records in SQLite: the [`UsageStore`] of one node.
//!
//! Queries are compiled from enumerated names into parametrised SQL; the tenant is always `?1`. Each
//! runs with a time limit that interrupts SQLite itself, in a task of its own, so that a caller who
//! stops waiting leaves no connection behind in a strange state.

mod compile;
mod import;
mod levers;

use core::time::Duration;
use std::time::Instant;

use goldenpath_runtime::usage::{
    Answer, Coverage, Day, Evidence, ImportRecord, ImportSpec, ImportWriter, LeverGroup,
    LeverLimits, Period, Query, Table, Tenant, UsageError, UsageResult, UsageStore,
};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row, SqlitePool};

/// Virtual-machine steps between two looks at the clock: about a tenth of a millisecond.
const STEPS_BETWEEN_CHECKS: i32 = 10_000;

/// The usage store on a pool whose database has been migrated.
///
/// Cloning is cheap; clones share the pool.
#[derive(Clone, Debug)]
pub struct SqliteUsage {
    pool: SqlitePool,
    time_limit: Duration,
}

impl SqliteUsage {
    /// On this pool, with a limit of 20 seconds a query. The migrations must have run.
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool, time_limit: Duration::from_secs(20) }
    }

    /// With another time limit for each query.
    pub fn with_time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Runs a read within the time limit and returns its rows.
    async fn read(&self, sql: String, params: Vec<Param>) -> Result<Vec<SqliteRow>, UsageError> {
        let (pool, time_limit) = (self.pool.clone(), self.time_limit);
        // Its own task: the handler is removed even when the caller is gone.
        let reading = tokio::spawn(async move {
            let mut conn = pool.acquire().await.map_err(storage)?;
            let deadline = Instant::now() + time_limit;
            conn.lock_handle()
                .await
                .map_err(storage)?
                .set_progress_handler(STEPS_BETWEEN_CHECKS, move || Instant::now() < deadline);
            let rows = bind(sql, &params).fetch_all(&mut *conn).await;
            conn.lock_handle().await.map_err(storage)?.remove_progress_handler();
            rows.map_err(|error| {
                if was_interrupted(&error) {
                    UsageError::LimitExceeded("time")
                } else {
                    storage(error)
                }
            })
        });
        reading.await.map_err(|error| UsageError::Storage(error.to_string()))?
    }
}

/// A parameter of a compiled query.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Param {
    Number(i64),
    Tenant(String),
    Text(String),
}

impl Param {
    /// As the evidence shows it; the user's id stays out of reports.
    fn shown(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Tenant(_) => "<tenant>".into(),
            Self::Text(text) => text.clone(),
        }
    }
}

fn bind<'q>(
    sql: String,
    params: &[Param],
) -> sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments> {
    // The text is made of enumerated names only; every value is a parameter.
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for param in params {
        query = match param {
            Param::Number(number) => query.bind(*number),
            Param::Tenant(text) | Param::Text(text) => query.bind(text.clone()),
        };
    }
    query
}

fn evidence(query: &str, sql: String, params: &[Param], rows: i64) -> Evidence {
    let params = params.iter().map(Param::shown).collect();
    Evidence { query: query.to_owned(), sql, params, rows: count(rows) }
}

fn storage(error: sqlx::Error) -> UsageError {
    UsageError::Storage(error.to_string())
}

/// `SQLITE_INTERRUPT`: the progress handler said stop.
fn was_interrupted(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("9"))
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

const COVERAGE: &str = "\
SELECT COUNT(*), COALESCE(SUM(requests), 0), MIN(day), MAX(day), COUNT(DISTINCT day), MAX(ts_us),
       COUNT(feature), COUNT(team), COALESCE(SUM(cost_status = 'unpriced'), 0),
       COALESCE(SUM(requests = 1), 0), COUNT(prompt_hash)
FROM usage_event WHERE tenant_id = ?1";

const SOURCES: &str = "\
SELECT source, COUNT(*) FROM usage_event WHERE tenant_id = ?1 GROUP BY source ORDER BY 2 DESC, 1 LIMIT 100";

impl UsageStore for SqliteUsage {
    fn begin_import<'a>(
        &'a self,
        tenant: &'a Tenant,
        spec: ImportSpec,
    ) -> UsageResult<'a, Box<dyn ImportWriter>> {
        Box::pin(async move {
            let writer = import::SqliteImport::begin(&self.pool, tenant, spec).await?;
            Ok(Box::new(writer) as Box<dyn ImportWriter>)
        })
    }

    fn imports<'a>(&'a self, tenant: &'a Tenant) -> UsageResult<'a, Vec<ImportRecord>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT import_id, source, name, rows, duplicates, started_at_us FROM usage_import
                 WHERE tenant_id = ?1 ORDER BY started_at_us DESC, import_id LIMIT 1000",
            )
            .bind(tenant.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(storage)?;
            let record = |row: SqliteRow| ImportRecord {
                id: row.get(0),
                source: row.get(1),
                name: row.get(2),
                rows: count(row.get(3)),
                duplicates: count(row.get(4)),
                started_at_us: row.get(5),
            };
            Ok(rows.into_iter().map(record).collect())
        })
    }

    fn delete_import<'a>(&'a self, tenant: &'a Tenant, import_id: &'a str) -> UsageResult<'a, u64> {
        Box::pin(async move { import::delete(&self.pool, tenant, import_id).await })
    }

    fn coverage<'a>(&'a self, tenant: &'a Tenant) -> UsageResult<'a, Answer<Coverage>> {
        Box::pin(async move {
            let params = vec![Param::Tenant(tenant.as_str().to_owned())];
            let sources = self.read(SOURCES.into(), params.clone()).await?;
            let rows = self.read(COVERAGE.into(), params.clone()).await?;
            let row = rows
                .first()
                .ok_or_else(|| UsageError::Storage("an aggregate without a row".into()))?;
            let days = row.get::<Option<i32>, _>(2).zip(row.get::<Option<i32>, _>(3));
            let value = Coverage {
                rows: count(row.get(0)),
                requests: count(row.get(1)),
                days: days.map(|(first, last)| (Day(first), Day(last))),
                days_with_data: count(row.get(4)),
                newest_us: row.get(5),
                sources: sources.iter().map(|row| (row.get(0), count(row.get(1)))).collect(),
                with_feature: count(row.get(6)),
                with_team: count(row.get(7)),
                unpriced: count(row.get(8)),
                single_requests: count(row.get(9)),
                with_prompt_hash: count(row.get(10)),
            };
            let evidence = evidence("coverage", COVERAGE.into(), &params, row.get(0));
            Ok(Answer { value, evidence })
        })
    }

    fn query<'a>(&'a self, tenant: &'a Tenant, query: &'a Query) -> UsageResult<'a, Answer<Table>> {
        Box::pin(async move {
            let compiled = compile::compile(tenant, query)?;
            let rows = self.read(compiled.sql.clone(), compiled.params.clone()).await?;
            let read = rows.first().map_or(0, |row| row.get::<i64, _>(row.len() - 1));
            let value = compiled.table(query, &rows)?;
            Ok(Answer {
                value,
                evidence: evidence(&query.id, compiled.sql, &compiled.params, read),
            })
        })
    }

    fn levers<'a>(
        &'a self,
        tenant: &'a Tenant,
        period: Period,
        limits: &'a LeverLimits,
    ) -> UsageResult<'a, Answer<Vec<LeverGroup>>> {
        Box::pin(async move {
            let params = levers::params(tenant, period, limits);
            let rows = self.read(levers::SQL.into(), params.clone()).await?;
            let read = rows.first().map_or(0, |row| row.get::<i64, _>(row.len() - 1));
            let value = rows.iter().map(levers::group).collect();
            Ok(Answer { value, evidence: evidence("levers", levers::SQL.into(), &params, read) })
        })
    }
}
