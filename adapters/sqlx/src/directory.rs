//! Views for lists and pages. The user is in every WHERE: what is another's is as good as missing.

use crate::columns::{Column, get, get_optional, read_fault, signed};
use crate::store::{SqliteStore, segment};
use bytes::Bytes;
use core::future::Future;
use futures_util::FutureExt;
use goldenpath_core::auth::Scope;
use goldenpath_core::id::{MessageId, RunId, Seq, ThreadId};
use goldenpath_core::wire::Feedback;
use goldenpath_runtime::ports::{
    Answer, Directory, FeedbackView, MessageRange, MessageView, Page, RunView, ThreadCursor,
    ThreadView,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqlitePool};

const THREAD: &str = "SELECT t.*, r.run_id AS running,
        (SELECT count(*) FROM message m WHERE m.thread_id = t.thread_id) AS messages,
        (SELECT json FROM thread_metadata d WHERE d.thread_id = t.thread_id) AS metadata
    FROM thread t LEFT JOIN run r ON r.thread_id = t.thread_id AND r.status = 'running'";

fn answer<T: Send + 'static>(
    reading: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
) -> Answer<T> {
    reading.map(|read| read.map_err(|error| read_fault(&error))).boxed()
}

impl Directory for SqliteStore {
    fn threads(
        &self,
        user: &Scope,
        after: Option<ThreadCursor>,
        limit: u32,
    ) -> Answer<Page<ThreadView, ThreadCursor>> {
        answer(threads(self.readers.clone(), user.clone(), after, limit.max(1)))
    }

    fn thread(&self, user: &Scope, thread_id: ThreadId) -> Answer<Option<ThreadView>> {
        let (pool, user) = (self.readers.clone(), user.clone());
        answer(async move {
            let sql = format!("{THREAD} WHERE t.thread_id = ? AND t.user_id = ?");
            let row = sqlx::query(AssertSqlSafe(sql))
                .bind(thread_id.stored())
                .bind(user.user_id().stored())
                .fetch_optional(&pool)
                .await?;
            row.map(|row| thread_view(&row)).transpose()
        })
    }

    fn messages(
        &self,
        user: &Scope,
        thread_id: ThreadId,
        range: MessageRange,
    ) -> Answer<Option<Vec<MessageView>>> {
        answer(messages(self.readers.clone(), user.clone(), thread_id, range))
    }

    fn run(&self, user: &Scope, run_id: RunId) -> Answer<Option<RunView>> {
        let (pool, user) = (self.readers.clone(), user.clone());
        answer(async move {
            let row = sqlx::query("SELECT * FROM run WHERE run_id = ? AND user_id = ?")
                .bind(run_id.stored())
                .bind(user.user_id().stored())
                .fetch_optional(&pool)
                .await?;
            row.map(|row| run_view(&row)).transpose()
        })
    }

    fn runs(&self, user: &Scope, limit: u32) -> Answer<Vec<RunView>> {
        let (pool, user) = (self.readers.clone(), user.clone());
        answer(async move {
            let rows = sqlx::query("SELECT * FROM run WHERE user_id = ? ORDER BY n DESC LIMIT ?")
                .bind(user.user_id().stored())
                .bind(i64::from(limit))
                .fetch_all(&pool)
                .await?;
            rows.iter().map(run_view).collect()
        })
    }

    fn position(&self, user: &Scope, thread_id: ThreadId) -> Answer<Option<Seq>> {
        let (pool, user) = (self.readers.clone(), user.clone());
        answer(async move {
            let row =
                sqlx::query("SELECT position FROM thread WHERE thread_id = ? AND user_id = ?")
                    .bind(thread_id.stored())
                    .bind(user.user_id().stored())
                    .fetch_optional(&pool)
                    .await?;
            row.map(|row| get(&row, "position")).transpose()
        })
    }

    fn feedback(&self, user: &Scope, message_id: MessageId) -> Answer<Option<FeedbackView>> {
        let (pool, user) = (self.readers.clone(), user.clone());
        answer(async move {
            let row = sqlx::query(
                "SELECT f.rating, f.comment, f.at
                 FROM message m JOIN feedback f ON f.message_id = m.message_id
                 WHERE m.message_id = ? AND m.user_id = ?",
            )
            .bind(message_id.stored())
            .bind(user.user_id().stored())
            .fetch_optional(&pool)
            .await?;
            let view = |row: SqliteRow| {
                let (rating, comment) = (row.try_get("rating")?, row.try_get("comment")?);
                let feedback = Feedback { message_id, rating, comment };
                Ok(FeedbackView { feedback, at: get(&row, "at")? })
            };
            row.map(view).transpose()
        })
    }
}

async fn threads(
    pool: SqlitePool,
    user: Scope,
    after: Option<ThreadCursor>,
    limit: u32,
) -> Result<Page<ThreadView, ThreadCursor>, sqlx::Error> {
    let sql = format!(
        "{THREAD} WHERE t.user_id = ?1 AND (?2 IS NULL OR (t.updated_at, t.thread_id) < (?2, ?3))
         ORDER BY t.updated_at DESC, t.thread_id DESC LIMIT ?4"
    );
    // One more than wanted tells whether another page follows.
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(user.user_id().stored())
        .bind(after.map(|after| after.updated_at.stored()))
        .bind(after.map(|after| after.thread_id.stored()))
        .bind(i64::from(limit) + 1)
        .fetch_all(&pool)
        .await?;
    let wanted = rows.iter().take(limit as usize);
    let items: Vec<ThreadView> = wanted.map(thread_view).collect::<Result<_, _>>()?;
    let more = rows.len() > items.len();
    let last = items.last().filter(|_| more);
    let next = last.map(|t| ThreadCursor { updated_at: t.updated_at, thread_id: t.thread_id });
    Ok(Page { items, next })
}

async fn messages(
    pool: SqlitePool,
    user: Scope,
    thread_id: ThreadId,
    range: MessageRange,
) -> Result<Option<Vec<MessageView>>, sqlx::Error> {
    let order = if range.newest { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT m.seq, m.run_id, s.first_seq, s.entries
         FROM thread t
         LEFT JOIN message m ON m.thread_id = t.thread_id AND m.seq > ?3 AND m.seq < ?4
         LEFT JOIN log_segment s ON s.thread_id = m.thread_id
           AND s.first_seq = (SELECT max(first_seq) FROM log_segment
                              WHERE thread_id = m.thread_id AND first_seq <= m.seq)
         WHERE t.thread_id = ?1 AND t.user_id = ?2
         ORDER BY m.seq {order} LIMIT ?5"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(thread_id.stored())
        .bind(user.user_id().stored())
        .bind(range.after.stored())
        .bind(signed(range.before.0))
        .bind(i64::from(range.limit.max(1)))
        .fetch_all(&pool)
        .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(seq) = get_optional::<Seq>(row, "seq")? else { continue };
        let entries: Vec<u8> = row.try_get("entries")?;
        let mut entries = segment::split(get(row, "first_seq")?, Bytes::from(entries));
        let body = entries.find(|(at, _)| *at == seq).map(|(_, body)| body);
        let run_id = get(row, "run_id")?;
        found.extend(body.and_then(|body| MessageView::read(seq, run_id, &body)));
    }
    if range.newest {
        found.reverse();
    }
    Ok(Some(found))
}

fn thread_view(row: &SqliteRow) -> Result<ThreadView, sqlx::Error> {
    Ok(ThreadView {
        thread_id: get(row, "thread_id")?,
        title: row.try_get("title")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
        epoch: get(row, "epoch")?,
        head: get(row, "head")?,
        message_count: row.try_get::<i64, _>("messages")?.unsigned_abs(),
        running: get_optional(row, "running")?,
        position: get(row, "position")?,
        metadata: get_optional(row, "metadata")?.unwrap_or_default(),
    })
}

fn run_view(row: &SqliteRow) -> Result<RunView, sqlx::Error> {
    Ok(RunView {
        run_id: get(row, "run_id")?,
        thread_id: get(row, "thread_id")?,
        message_id: get(row, "message_id")?,
        status: get(row, "status")?,
        created_at: get(row, "created_at")?,
        started_at: get_optional(row, "started_at")?,
        ended_at: get_optional(row, "ended_at")?,
    })
}
