//! Reads what a group touches and writes what it decided; every statement is over the whole group.

use super::group::{First, Group, MessageRow, RunRow, SegmentRow, ThreadRow};
use super::rows::Rows;
use super::segment;
use crate::columns::{Column, get, get_optional};
use goldenpath_core::hub::Batch;
use goldenpath_core::id::{EventId, RunId, ThreadId};
use goldenpath_core::store::RunState;
use goldenpath_core::wire::RunStatus;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use std::collections::BTreeSet;

/// The statements of the writer.
pub(super) struct Statements {
    threads: Rows,
    batches: Rows,
    firsts: Rows,
    runs: Rows,
    write_threads: Rows,
    write_metadata: Rows,
    write_runs: Rows,
    write_messages: Rows,
    write_segments: Rows,
}

impl Statements {
    pub(super) fn new() -> Self {
        Self {
            threads: Rows::new(
                "WITH k(id) AS (VALUES",
                1,
                ") SELECT t.thread_id, t.user_id, t.epoch, t.head, t.title, t.created_at, t.updated_at,
                   r.run_id AS running
                 FROM k CROSS JOIN thread t ON t.thread_id = k.id
                 LEFT JOIN run r ON r.thread_id = t.thread_id AND r.status = 'running'",
            ),
            batches: Rows::new(
                "WITH k(thread, batch) AS (VALUES",
                2,
                ") SELECT s.thread_id, s.batch_id, s.first_seq
                 FROM k CROSS JOIN log_segment s ON s.batch_id = k.batch AND s.thread_id = k.thread",
            ),
            firsts: Rows::new(
                "WITH k(user, client) AS (VALUES",
                2,
                ") SELECT m.message_id AS first_id, m.seq AS first_seq, m.digest, m.client_msg_id, r.*
                 FROM k CROSS JOIN message m ON m.user_id = k.user AND m.client_msg_id = k.client
                 CROSS JOIN run r ON r.run_id = m.run_id",
            ),
            runs: Rows::new(
                "WITH k(id) AS (VALUES",
                1,
                ") SELECT r.* FROM k CROSS JOIN run r ON r.run_id = k.id",
            ),
            write_threads: Rows::new(
                "INSERT INTO thread (thread_id, user_id, epoch, head, title, created_at, updated_at) VALUES",
                7,
                "ON CONFLICT (thread_id) DO UPDATE
                 SET head = excluded.head, title = excluded.title, updated_at = excluded.updated_at",
            ),
            write_metadata: Rows::new(
                "INSERT INTO thread_metadata (thread_id, json) VALUES",
                2,
                "ON CONFLICT (thread_id) DO UPDATE SET json = excluded.json",
            ),
            write_runs: Rows::new(
                "INSERT INTO run (n, run_id, thread_id, user_id, message_id, message_seq, status, fence,
                                  on_disconnect, cancel, created_at, started_at, ended_at) VALUES",
                13,
                "ON CONFLICT (run_id) DO UPDATE
                 SET status = excluded.status, fence = excluded.fence, cancel = excluded.cancel,
                     started_at = excluded.started_at, ended_at = excluded.ended_at",
            ),
            write_messages: Rows::new(
                "INSERT INTO message (message_id, thread_id, user_id, seq, run_id, role, client_msg_id,
                                      digest) VALUES",
                8,
                "",
            ),
            write_segments: Rows::new(
                "INSERT INTO log_segment (thread_id, first_seq, last_seq, batch_id, entries) VALUES",
                5,
                "",
            ),
        }
    }

    /// What the store holds of all that these batches touch.
    pub(super) async fn load(
        &self,
        conn: &mut SqliteConnection,
        batches: &[&Batch],
    ) -> Result<Group, sqlx::Error> {
        let mut group = Group::default();
        let threads: BTreeSet<ThreadId> = batches.iter().map(|batch| batch.thread_id).collect();
        let threads: Vec<_> = threads.into_iter().collect();
        for row in self.threads.read(conn, &threads, |q, id| q.bind(id.stored())).await? {
            group.threads.insert(get(&row, "thread_id")?, thread_row(&row)?);
        }
        let ids: Vec<(ThreadId, EventId)> =
            batches.iter().map(|batch| (batch.thread_id, batch.id)).collect();
        let known = self.batches.read(conn, &ids, |q, (thread_id, batch_id)| {
            q.bind(thread_id.stored()).bind(batch_id.stored())
        });
        for row in known.await? {
            let key = (get(&row, "thread_id")?, get(&row, "batch_id")?);
            group.batches.insert(key, get(&row, "first_seq")?);
        }
        let names: Vec<_> = batches
            .iter()
            .filter_map(|batch| {
                Some((batch.scope.user_id(), &batch.message.as_ref()?.client_msg_id))
            })
            .collect();
        let firsts = self
            .firsts
            .read(conn, &names, |q, (user, client)| q.bind(user.stored()).bind(client.stored()));
        for row in firsts.await? {
            let run = run_row(&row)?;
            let key = (run.user_id.clone(), get(&row, "client_msg_id")?);
            let first = First {
                digest: row.try_get::<i64, _>("digest")?.cast_unsigned(),
                message_id: get(&row, "first_id")?,
                thread_id: run.thread_id,
                seq: get(&row, "first_seq")?,
                run_id: get(&row, "run_id")?,
            };
            group.runs.insert(first.run_id, run);
            group.firsts.insert(key, first);
        }
        self.load_runs(conn, batches, &mut group).await?;
        Ok(group)
    }

    async fn load_runs(
        &self,
        conn: &mut SqliteConnection,
        batches: &[&Batch],
        group: &mut Group,
    ) -> Result<(), sqlx::Error> {
        let runs: BTreeSet<RunId> = batches
            .iter()
            .flat_map(|batch| {
                let changed = batch.runs.iter().map(|change| change.run_id);
                let answered = batch.answers.iter().map(|answer| answer.run_id);
                let new = batch.message.iter().map(|message| message.run_id);
                let wished = batch.cancels.iter().map(|cancel| cancel.run_id);
                changed.chain(answered).chain(new).chain(wished)
            })
            .collect();
        let runs: Vec<_> = runs.into_iter().collect();
        for row in self.runs.read(conn, &runs, |q, id| q.bind(id.stored())).await? {
            group.runs.insert(get(&row, "run_id")?, run_row(&row)?);
        }
        if batches.iter().any(|batch| batch.message.is_some()) {
            let last = sqlx::query_scalar("SELECT coalesce(max(n), 0) FROM run");
            group.next_run = last.fetch_one(&mut *conn).await.map(|last: i64| last + 1)?;
        }
        Ok(())
    }

    /// Writes what was decided. Parents come before children, and runs that stop before runs that start.
    pub(super) async fn write(
        &self,
        conn: &mut SqliteConnection,
        batches: &[&Batch],
        group: &Group,
    ) -> Result<(), sqlx::Error> {
        let threads: Vec<_> = group
            .changed_threads
            .iter()
            .filter_map(|id| Some((id, group.threads.get(id)?)))
            .collect();
        let write = self.write_threads.write(conn, &threads, |q, (id, thread)| {
            q.bind(id.stored())
                .bind(thread.user_id.stored())
                .bind(thread.epoch.stored())
                .bind(thread.head.stored())
                .bind(thread.title.clone())
                .bind(thread.created_at.stored())
                .bind(thread.updated_at.stored())
        });
        write.await?;
        let metadata: Vec<_> = group.metadata.iter().collect();
        let write = self.write_metadata.write(conn, &metadata, |q, (id, metadata)| {
            q.bind(id.stored()).bind(metadata.stored())
        });
        write.await?;
        self.write_runs(conn, group).await?;
        let write = self.write_messages.write(conn, &group.messages, |q, row: &MessageRow| {
            let client = row.client.as_ref();
            q.bind(row.message_id.stored())
                .bind(row.thread_id.stored())
                .bind(row.user_id.stored())
                .bind(row.seq.stored())
                .bind(row.run_id.stored())
                .bind(row.role.stored())
                .bind(client.map(|(id, _)| id.stored()))
                .bind(client.map(|(_, digest)| digest.cast_signed()))
        });
        write.await?;
        let segments: Vec<(&SegmentRow, &Batch)> =
            group.segments.iter().filter_map(|s| Some((s, *batches.get(s.batch)?))).collect();
        let write = self.write_segments.write(conn, &segments, |q, (segment, batch)| {
            let last_seq = segment.first_seq.plus(batch.entries.len() as u64 - 1);
            q.bind(segment.thread_id.stored())
                .bind(segment.first_seq.stored())
                .bind(last_seq.stored())
                .bind(batch.id.stored())
                .bind(segment::join(&batch.entries))
        });
        write.await
    }

    async fn write_runs(
        &self,
        conn: &mut SqliteConnection,
        group: &Group,
    ) -> Result<(), sqlx::Error> {
        let changed = group.changed_runs.iter().filter_map(|id| Some((id, group.runs.get(id)?)));
        let (starting, stopping): (Vec<_>, Vec<_>) =
            changed.partition(|(_, run)| run.state.status == RunStatus::Running);
        for runs in [stopping, starting] {
            let write = self.write_runs.write(conn, &runs, |q, (id, run)| {
                q.bind(run.n)
                    .bind(id.stored())
                    .bind(run.thread_id.stored())
                    .bind(run.user_id.stored())
                    .bind(run.message_id.stored())
                    .bind(run.message_seq.stored())
                    .bind(run.state.status.stored())
                    .bind(run.state.fence.stored())
                    .bind(run.on_disconnect.stored())
                    .bind(run.state.cancel.map(|why| why.stored()))
                    .bind(run.created_at.stored())
                    .bind(run.state.started_at.map(|at| at.stored()))
                    .bind(run.state.ended_at.map(|at| at.stored()))
            });
            write.await?;
        }
        Ok(())
    }
}

fn thread_row(row: &SqliteRow) -> Result<ThreadRow, sqlx::Error> {
    Ok(ThreadRow {
        user_id: get(row, "user_id")?,
        epoch: get(row, "epoch")?,
        head: get(row, "head")?,
        title: row.try_get("title")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
        running: get_optional(row, "running")?,
    })
}

fn run_row(row: &SqliteRow) -> Result<RunRow, sqlx::Error> {
    Ok(RunRow {
        n: row.try_get("n")?,
        thread_id: get(row, "thread_id")?,
        user_id: get(row, "user_id")?,
        message_id: get(row, "message_id")?,
        message_seq: get(row, "message_seq")?,
        on_disconnect: get(row, "on_disconnect")?,
        created_at: get(row, "created_at")?,
        state: RunState {
            status: get(row, "status")?,
            fence: get(row, "fence")?,
            cancel: get_optional(row, "cancel")?,
            started_at: get_optional(row, "started_at")?,
            ended_at: get_optional(row, "ended_at")?,
        },
    })
}
