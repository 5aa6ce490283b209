//! Loading usage rows: staged in a temporary table, then made visible in one transaction.
//!
//! The staging table lives in SQLite's temporary database on one connection: while a large file is
//! read, nobody else's writes wait, memory stays bounded, and nothing is left after a crash.

use goldenpath_runtime::usage::{
    Day, Finish, ImportOutcome, ImportSpec, ImportWriter, Tenant, UsageError, UsageEvent,
    UsageResult,
};
use sha2::{Digest, Sha256};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Connection, Row, Sqlite, SqliteConnection, SqlitePool};

use super::{count, storage};

/// Rows of one statement; 46 columns each stay below SQLite's limit of 32,766 parameters.
const ROWS_PER_INSERT: usize = 100;

/// The columns that are copied as they are, in the order they are bound.
const COLUMNS: &str = "source, source_id, ts_us, day, provider, model_raw, model, operation, service_tier, batch, \
can_wait, team, project, user_id, end_user, feature, api_key_id, session_id, trace_id, tags, requests, \
input_tokens, cached_tokens, cache_write_5m, cache_write_1h, output_tokens, reasoning_tokens, max_tokens, \
latency_ms, ttft_ms, outcome, error_code, finish_reason, attempt, retry_of, prompt_hash, prefix_hash, cost_pico, \
output_cost_pico, cost_computed_pico, cost_reported_pico, cost_status, price_source, price_date";
const COLUMN_COUNT: usize = 44;

/// The rows to store: equal rows without an id of their own are numbered within the file, rows with the
/// same id count once.
fn staged_rows() -> String {
    format!(
        "SELECT CASE WHEN identified OR n = 1 THEN base_id ELSE base_id || '#' || n END AS id, {COLUMNS}
         FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY base_id ORDER BY position) AS n FROM temp.usage_staging)
         WHERE n = 1 OR NOT identified"
    )
}

/// An open import on a connection of its own.
pub(super) struct SqliteImport {
    conn: PoolConnection<Sqlite>,
    tenant: Tenant,
    spec: ImportSpec,
    staged: u64,
    insert_full: String,
}

impl SqliteImport {
    /// Takes a connection and prepares the staging table.
    pub(super) async fn begin(
        pool: &SqlitePool,
        tenant: &Tenant,
        spec: ImportSpec,
    ) -> Result<Self, UsageError> {
        let mut conn = pool.acquire().await.map_err(storage)?;
        let taken =
            sqlx::query("SELECT 1 FROM usage_import WHERE tenant_id = ?1 AND import_id = ?2")
                .bind(tenant.as_str())
                .bind(&spec.id)
                .fetch_optional(&mut *conn)
                .await
                .map_err(storage)?;
        if taken.is_some() {
            return Err(UsageError::ImportExists);
        }
        // A writer that was dropped may have left its table on this connection.
        run(&mut conn, "DROP TABLE IF EXISTS temp.usage_staging").await?;
        let create =
            format!("CREATE TEMP TABLE usage_staging (base_id, identified, position, {COLUMNS})");
        run(&mut conn, &create).await?;
        let insert_full = insert_sql(ROWS_PER_INSERT);
        Ok(Self { conn, tenant: tenant.clone(), spec, staged: 0, insert_full })
    }

    async fn stage(&mut self, rows: &[UsageEvent]) -> Result<(), UsageError> {
        // One transaction of the temporary database a call, not one a statement.
        let mut tx = self.conn.begin().await.map_err(storage)?;
        for chunk in rows.chunks(ROWS_PER_INSERT) {
            let sql = if chunk.len() == ROWS_PER_INSERT {
                self.insert_full.clone()
            } else {
                insert_sql(chunk.len())
            };
            let mut insert = sqlx::query(AssertSqlSafe(sql));
            for event in chunk {
                insert = bind_event(insert, event);
            }
            insert.execute(&mut *tx).await.map_err(storage)?;
        }
        tx.commit().await.map_err(storage)?;
        self.staged += rows.len() as u64;
        Ok(())
    }

    async fn dry_run(&mut self) -> Result<ImportOutcome, UsageError> {
        let sql = format!(
            "SELECT COUNT(*) FROM ({}) AS staged
             WHERE NOT EXISTS (SELECT 1 FROM usage_event e WHERE e.tenant_id = ?1 AND e.id = staged.id)",
            staged_rows()
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(self.tenant.as_str())
            .fetch_one(&mut *self.conn)
            .await;
        Ok(self.outcome(count(row.map_err(storage)?.get(0))))
    }

    async fn commit(&mut self) -> Result<ImportOutcome, UsageError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await.map_err(storage)?;
        let sql = format!(
            "INSERT INTO usage_event (tenant_id, import_id, id, {COLUMNS})
             SELECT ?1, ?2, id, {COLUMNS} FROM ({}) WHERE true ON CONFLICT DO NOTHING",
            staged_rows()
        );
        let inserted = sqlx::query(AssertSqlSafe(sql))
            .bind(self.tenant.as_str())
            .bind(&self.spec.id)
            .execute(&mut *tx)
            .await
            .map_err(storage)?
            .rows_affected();
        let duplicates = self.staged.saturating_sub(inserted);
        let recorded = sqlx::query(
            "INSERT INTO usage_import (tenant_id, import_id, source, name, rows, duplicates, started_at_us)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        )
        .bind(self.tenant.as_str())
        .bind(&self.spec.id)
        .bind(&self.spec.source)
        .bind(&self.spec.name)
        .bind(stored(inserted))
        .bind(stored(duplicates))
        .bind(self.spec.started_at_us)
        .execute(&mut *tx)
        .await
        .map_err(storage)?;
        if recorded.rows_affected() == 0 {
            // Another import took the id since `begin`: dropping the transaction undoes the rows.
            return Err(UsageError::ImportExists);
        }
        tx.commit().await.map_err(storage)?;
        Ok(ImportOutcome { imported: inserted, duplicates })
    }

    fn outcome(&self, imported: u64) -> ImportOutcome {
        ImportOutcome { imported, duplicates: self.staged.saturating_sub(imported) }
    }
}

impl ImportWriter for SqliteImport {
    fn write(&mut self, rows: Vec<UsageEvent>) -> UsageResult<'_, ()> {
        Box::pin(async move { self.stage(&rows).await })
    }

    fn finish(mut self: Box<Self>, finish: Finish) -> UsageResult<'static, ImportOutcome> {
        Box::pin(async move {
            let outcome = match finish {
                Finish::Commit => self.commit().await?,
                Finish::DryRun => self.dry_run().await?,
            };
            run(&mut self.conn, "DROP TABLE temp.usage_staging").await?;
            Ok(outcome)
        })
    }
}

/// Removes an import with its rows.
pub(super) async fn delete(
    pool: &SqlitePool,
    tenant: &Tenant,
    import_id: &str,
) -> Result<u64, UsageError> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(storage)?;
    let mut removed = 0;
    for sql in [
        "DELETE FROM usage_import WHERE tenant_id = ?1 AND import_id = ?2",
        "DELETE FROM usage_event WHERE tenant_id = ?1 AND import_id = ?2",
    ] {
        let done = sqlx::query(sql).bind(tenant.as_str()).bind(import_id).execute(&mut *tx).await;
        removed = done.map_err(storage)?.rows_affected();
    }
    tx.commit().await.map_err(storage)?;
    Ok(removed)
}

async fn run(conn: &mut SqliteConnection, sql: &str) -> Result<(), UsageError> {
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(conn).await.map(drop).map_err(storage)
}

fn insert_sql(rows: usize) -> String {
    let marks = vec!["?"; COLUMN_COUNT + 3].join(",");
    let values = vec![format!("({marks})"); rows].join(",");
    format!(
        "INSERT INTO temp.usage_staging (base_id, identified, position, {COLUMNS}) VALUES {values}"
    )
}

/// 128 bits of SHA-256 over source and source id, each with its length.
fn event_id(source: &str, source_id: &str) -> String {
    let mut hash = Sha256::new();
    hash.update((source.len() as u64).to_be_bytes());
    hash.update(source);
    hash.update(source_id);
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

type Insert<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

/// Binds in the order of [`COLUMNS`]. Amounts fit: [`UsageEvent::check`] has seen the row.
fn bind_event<'q>(insert: Insert<'q>, event: &UsageEvent) -> Insert<'q> {
    let costing = &event.costing;
    let pico =
        |amount: goldenpath_runtime::usage::Usd| i64::try_from(amount.pico()).unwrap_or(i64::MAX);
    insert
        .bind(event_id(&event.source, &event.source_id))
        .bind(event.identified)
        .bind(stored(event.position))
        .bind(event.source.clone())
        .bind(event.source_id.clone())
        .bind(event.ts_us)
        .bind(Day::of_timestamp(event.ts_us).0)
        .bind(event.provider.clone())
        .bind(event.model_raw.clone())
        .bind(event.model.clone())
        .bind(event.operation.clone())
        .bind(event.service_tier.clone())
        .bind(event.batch)
        .bind(event.deferrable)
        .bind(event.team.clone())
        .bind(event.project.clone())
        .bind(event.user.clone())
        .bind(event.end_user.clone())
        .bind(event.feature.clone())
        .bind(event.api_key_id.clone())
        .bind(event.session_id.clone())
        .bind(event.trace_id.clone())
        .bind(event.tags.clone())
        .bind(event.requests)
        .bind(event.input_tokens)
        .bind(event.cached_tokens)
        .bind(event.cache_write_5m)
        .bind(event.cache_write_1h)
        .bind(event.output_tokens)
        .bind(event.reasoning_tokens)
        .bind(event.max_tokens)
        .bind(event.latency_ms)
        .bind(event.ttft_ms)
        .bind(event.outcome.as_str())
        .bind(event.error_code.clone())
        .bind(event.finish_reason.clone())
        .bind(event.attempt)
        .bind(event.retry_of.clone())
        .bind(event.prompt_hash.clone())
        .bind(event.prefix_hash.clone())
        .bind(pico(costing.effective()))
        .bind(pico(
            costing.computed_output.filter(|_| costing.computed.is_some()).unwrap_or_default(),
        ))
        .bind(costing.computed.map(pico))
        .bind(costing.reported.map(pico))
        .bind(costing.status.as_str())
        .bind(costing.price_source.clone())
        .bind(costing.price_date.clone())
}
