//! Reads for hubs. Each is one statement, so that it sees one state; the user is in every WHERE.

use super::segment;
use crate::columns::{Column, get, get_optional};
use goldenpath_core::auth::{Scope, Unfinished};
use goldenpath_core::hub::{
    FirstOutcome, Load, Loaded, RunAt, StoredRun, StoredThread, ThreadSummary,
};
use goldenpath_core::id::{ClientMsgId, RunId, Seq, ThreadId, UserId};
use goldenpath_core::wire::EntryBody;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};
use std::collections::BTreeMap;

//= specs/isolation.md#iso-02
//# Another user's thread, run or message MUST be answered exactly as if it did not exist.
pub(super) async fn load(
    pool: &SqlitePool,
    user: &Scope,
    load: Load,
) -> Result<Loaded, sqlx::Error> {
    match load {
        Load::Entries { thread_id, after_seq, to_seq, limit } => {
            let last = Seq(to_seq.0.min(after_seq.0.saturating_add(limit.max(1))));
            let entries = entries(pool, user, thread_id, after_seq, last).await?;
            Ok(entries.map_or(Loaded::NoThread, Loaded::Entries))
        }
        Load::Message { client_msg_id } => {
            first_outcome(pool, user, &client_msg_id).await.map(Loaded::Message)
        }
        Load::Run { run_id } => run(pool, user, run_id).await.map(Loaded::Run),
        Load::Thread { thread_id } => {
            Ok(thread(pool, user, thread_id).await?.map_or(Loaded::NoThread, Loaded::Thread))
        }
        Load::Threads { limit } => threads(pool, user, limit).await.map(Loaded::Threads),
    }
}

async fn thread(
    pool: &SqlitePool,
    user: &Scope,
    thread_id: ThreadId,
) -> Result<Option<StoredThread>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT t.epoch, t.head, t.title, r.n AS run, r.run_id, r.thread_id, r.message_id, r.message_seq,
                r.status, r.fence, r.on_disconnect, r.cancel
         FROM thread t LEFT JOIN run r ON r.thread_id = t.thread_id AND r.ended_at IS NULL
         WHERE t.thread_id = ? AND t.user_id = ? ORDER BY r.n",
    )
    .bind(thread_id.stored())
    .bind(user.user_id().stored())
    .fetch_all(pool)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut runs = Vec::new();
    for row in &rows {
        if row.try_get::<Option<i64>, _>("run")?.is_some() {
            runs.push(stored_run(row)?);
        }
    }
    let (epoch, head) = (get(first, "epoch")?, get(first, "head")?);
    Ok(Some(StoredThread { epoch, head, title: first.try_get("title")?, runs }))
}

/// Entries `after < seq ≤ last`. The first segment may begin before; a log has no gaps.
//= specs/storage.md#stor-13
//# A log MUST be read whole and in order, whatever the size of the pages.
async fn entries(
    pool: &SqlitePool,
    user: &Scope,
    thread_id: ThreadId,
    after: Seq,
    last: Seq,
) -> Result<Option<Vec<(Seq, EntryBody)>>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT s.first_seq, s.entries
         FROM thread t LEFT JOIN log_segment s
           ON s.thread_id = t.thread_id AND s.first_seq <= ?4 AND s.last_seq > ?3
          AND s.first_seq >= (SELECT coalesce(max(first_seq), 1) FROM log_segment
                              WHERE thread_id = ?1 AND first_seq <= ?3 + 1)
         WHERE t.thread_id = ?1 AND t.user_id = ?2 ORDER BY s.first_seq",
    )
    .bind(thread_id.stored())
    .bind(user.user_id().stored())
    .bind(Seq(after.0.min(i64::MAX.cast_unsigned() - 1)).stored())
    .bind(last.stored())
    .fetch_all(pool)
    .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut found = Vec::new();
    for row in &rows {
        let Some(first) = get_optional::<Seq>(row, "first_seq")? else { continue };
        let joined: Vec<u8> = row.try_get("entries")?;
        let wanted = segment::split(first, joined.into());
        found.extend(wanted.filter(|(seq, _)| after < *seq && *seq <= last));
    }
    Ok(Some(found))
}

async fn first_outcome(
    pool: &SqlitePool,
    user: &Scope,
    client_msg_id: &ClientMsgId,
) -> Result<Option<(u64, FirstOutcome)>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT m.digest, m.message_id, m.thread_id, m.seq, m.run_id, r.status
         FROM message m JOIN run r ON r.run_id = m.run_id
         WHERE m.user_id = ? AND m.client_msg_id = ?",
    )
    .bind(user.user_id().stored())
    .bind(client_msg_id.stored())
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let outcome = FirstOutcome {
        message_id: get(&row, "message_id")?,
        thread_id: get(&row, "thread_id")?,
        seq: get(&row, "seq")?,
        run_id: get(&row, "run_id")?,
        run_status: get(&row, "status")?,
    };
    Ok(Some((row.try_get::<i64, _>("digest")?.cast_unsigned(), outcome)))
}

async fn run(pool: &SqlitePool, user: &Scope, run_id: RunId) -> Result<Option<RunAt>, sqlx::Error> {
    let row = sqlx::query("SELECT thread_id, status FROM run WHERE run_id = ? AND user_id = ?")
        .bind(run_id.stored())
        .bind(user.user_id().stored())
        .fetch_optional(pool)
        .await?;
    let at = |row: SqliteRow| {
        Ok(RunAt { thread_id: get(&row, "thread_id")?, status: get(&row, "status")? })
    };
    row.map(at).transpose()
}

async fn threads(
    pool: &SqlitePool,
    user: &Scope,
    limit: u32,
) -> Result<Vec<ThreadSummary>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT thread_id, title, head, updated_at FROM thread WHERE user_id = ?
         ORDER BY updated_at DESC, thread_id DESC LIMIT ?",
    )
    .bind(user.user_id().stored())
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    let summary = |row: &SqliteRow| {
        Ok(ThreadSummary {
            thread_id: get(row, "thread_id")?,
            title: row.try_get("title")?,
            head: get(row, "head")?,
            updated_at: get(row, "updated_at")?,
        })
    };
    rows.iter().map(summary).collect()
}

/// The one read over all users: what a restart has to go on with.
//= specs/storage.md#stor-08
//# A restart MUST find every run that has not ended, with its user and in its order.
pub(super) async fn unfinished(pool: &SqlitePool) -> Result<Vec<Unfinished>, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM run WHERE ended_at IS NULL ORDER BY n");
    let mut by_user: BTreeMap<UserId, Vec<StoredRun>> = BTreeMap::new();
    for row in rows.fetch_all(pool).await? {
        by_user.entry(get(&row, "user_id")?).or_default().push(stored_run(&row)?);
    }
    Ok(by_user.into_iter().map(|(owner, runs)| Unfinished::new(owner, runs)).collect())
}

fn stored_run(row: &SqliteRow) -> Result<StoredRun, sqlx::Error> {
    Ok(StoredRun {
        run_id: get(row, "run_id")?,
        thread_id: get(row, "thread_id")?,
        message_id: get(row, "message_id")?,
        message_seq: get(row, "message_seq")?,
        status: get(row, "status")?,
        fence: get(row, "fence")?,
        on_disconnect: get(row, "on_disconnect")?,
        cancel: get_optional(row, "cancel")?,
    })
}
