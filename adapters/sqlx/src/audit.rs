//! Who was let in and who was not.

use crate::columns::{Column, get, get_optional, read_fault, signed};
use crate::store::{Side, SqliteStore, Wrote};
use futures_util::FutureExt;
use goldenpath_core::fault::Fault;
use goldenpath_core::time::Wall;
use goldenpath_runtime::ports::{Answer, AuditLog, AuditRecord, AuditRow};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

impl AuditLog for SqliteStore {
    fn append(&self, records: Vec<AuditRecord>) -> Answer<()> {
        self.write(Side::Audit(records)).map(|wrote| wrote.map(|_| ())).boxed()
    }

    fn read(&self, before: Option<u64>, limit: u32) -> Answer<Vec<AuditRow>> {
        let pool = self.readers.clone();
        async move {
            let rows = sqlx::query("SELECT * FROM audit WHERE n < ? ORDER BY n DESC LIMIT ?")
                .bind(before.map_or(i64::MAX, signed))
                .bind(i64::from(limit))
                .fetch_all(&pool)
                .await;
            rows.and_then(|rows| rows.iter().map(record).collect())
                .map_err(|error| read_fault(&error))
        }
        .boxed()
    }

    fn forget_before(&self, at: Wall) -> Answer<u64> {
        let forgot = |wrote| match wrote {
            Wrote::Forgot(rows) => Ok(rows),
            _ => Err(Fault::Refused),
        };
        self.write(Side::ForgetAudit(at)).map(move |wrote| wrote.and_then(forgot)).boxed()
    }
}

pub(crate) async fn append(
    conn: &mut SqliteConnection,
    records: &[AuditRecord],
) -> Result<(), sqlx::Error> {
    for record in records {
        sqlx::query(
            "INSERT INTO audit (at, action, outcome, reason, credence, user_id, session_id, place,
                                times)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(record.at.stored())
        .bind(record.action.stored())
        .bind(record.outcome.stored())
        .bind(record.reason.map(|code| code.stored()))
        .bind(record.by.map(|by| by.stored()))
        .bind(record.user_id.as_ref().map(Column::stored))
        .bind(record.session_id.map(|id| id.stored()))
        .bind(record.place.clone())
        .bind(i64::from(record.times))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

pub(crate) async fn forget(conn: &mut SqliteConnection, before: Wall) -> Result<u64, sqlx::Error> {
    let done = sqlx::query("DELETE FROM audit WHERE at < ?").bind(before.stored()).execute(conn);
    done.await.map(|done| done.rows_affected())
}

fn record(row: &SqliteRow) -> Result<AuditRow, sqlx::Error> {
    Ok(AuditRow {
        n: row.try_get::<i64, _>("n")?.cast_unsigned(),
        record: AuditRecord {
            at: get(row, "at")?,
            action: get(row, "action")?,
            outcome: get(row, "outcome")?,
            reason: get_optional(row, "reason")?,
            by: get_optional(row, "credence")?,
            user_id: get_optional(row, "user_id")?,
            session_id: get_optional(row, "session_id")?,
            place: row.try_get("place")?,
            times: u32::try_from(row.try_get::<i64, _>("times")?).unwrap_or(u32::MAX),
        },
    })
}
