//! The one writer: takes everything that waits, makes it durable in one transaction, then answers all.

use super::side::{Side, Wrote};
use super::statements::Statements;
use crate::chaos::{Chaos, Lost};
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Batch, Committed};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What waits for the writer.
pub(crate) enum Job {
    /// A batch.
    Commit(Batch, oneshot::Sender<Result<Committed, Fault>>),
    /// Something beside the logs.
    Side(Side, oneshot::Sender<Result<Wrote, Fault>>),
    /// Finish what waits, take nothing more, close the file.
    Close(oneshot::Sender<()>),
}

/// What a job came to.
enum Outcome {
    Commit(Result<Committed, Fault>),
    Side(Result<Wrote, Fault>),
}

impl Outcome {
    fn fault(job: &Job, fault: Fault) -> Self {
        match job {
            Job::Commit(..) => Self::Commit(Err(fault)),
            Job::Side(..) | Job::Close(_) => Self::Side(Err(fault)),
        }
    }
}

/// Why a transaction did not happen, or may not have.
enum Broken {
    /// It was rolled back; a row was against a constraint.
    Constraint(sqlx::Error),
    /// It was rolled back.
    RolledBack(sqlx::Error),
    /// The commit was not confirmed.
    Unconfirmed(Option<sqlx::Error>),
}

/// The writing side of a database; runs as one task until it is closed or nobody can reach it.
pub(crate) struct Writer {
    queue: mpsc::Receiver<Job>,
    options: SqliteConnectOptions,
    conn: Option<SqliteConnection>,
    statements: Statements,
    group: usize,
    chaos: Option<Arc<Chaos>>,
}

impl Writer {
    pub(crate) fn new(
        queue: mpsc::Receiver<Job>,
        options: SqliteConnectOptions,
        conn: SqliteConnection,
        group: usize,
        chaos: Option<Arc<Chaos>>,
    ) -> Self {
        let statements = Statements::new();
        Self { queue, options, conn: Some(conn), statements, group: group.max(1), chaos }
    }

    /// Until `Close`, or until nobody is left who could send a job.
    pub(crate) async fn run(mut self) {
        let mut closing = Vec::new();
        let mut jobs = Vec::with_capacity(self.group);
        while self.queue.recv_many(&mut jobs, self.group).await > 0 {
            let mut group = Vec::with_capacity(jobs.len());
            for job in jobs.drain(..) {
                if let Job::Close(done) = job {
                    // What is in the queue by now is still done; nothing comes after it.
                    //= specs/storage.md#stor-11
                    //# Closing MUST finish what waits and MUST refuse what comes after.
                    self.queue.close();
                    closing.push(done);
                } else {
                    group.push(job);
                }
            }
            self.serve(group).await;
        }
        if let Some(conn) = self.conn.take()
            && let Err(error) = conn.close().await
        {
            tracing::warn!(%error, "the writer's connection did not close in order");
        }
        for done in closing {
            // Whoever asked may have stopped waiting.
            let _gone = done.send(());
        }
    }

    async fn serve(&mut self, group: Vec<Job>) {
        if group.is_empty() {
            return;
        }
        let jobs: Vec<&Job> = group.iter().collect();
        let outcomes = match self.transaction(&jobs).await {
            Ok(outcomes) => outcomes,
            // One of them breaks a constraint, and no other must suffer for it.
            //= specs/storage.md#stor-06
            //# A batch that breaks a rule MUST NOT harm others that are written with it.
            Err(Broken::Constraint(error)) if jobs.len() > 1 => {
                tracing::warn!(%error, jobs = jobs.len(), "a group is taken apart");
                let mut outcomes = Vec::with_capacity(jobs.len());
                for job in &jobs {
                    outcomes.extend(match self.transaction(&[job]).await {
                        Ok(outcomes) => outcomes,
                        Err(broken) => vec![Outcome::fault(job, fault_of(broken))],
                    });
                }
                outcomes
            }
            Err(broken) => {
                let fault = fault_of(broken);
                jobs.iter().map(|job| Outcome::fault(job, fault)).collect()
            }
        };
        for (job, outcome) in group.into_iter().zip(outcomes) {
            // Nobody may be waiting any more; what was written stays.
            let _gone = match (job, outcome) {
                (Job::Commit(_, answer), Outcome::Commit(outcome)) => answer.send(outcome).is_err(),
                (Job::Side(_, answer), Outcome::Side(outcome)) => answer.send(outcome).is_err(),
                _ => true,
            };
        }
    }

    /// One transaction for all of them; the answers are in the order of the jobs.
    //= specs/storage.md#stor-03
    //# A thread's head and its entries MUST change in one transaction.
    async fn transaction(&mut self, jobs: &[&Job]) -> Result<Vec<Outcome>, Broken> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.options.connect().await.map_err(Broken::RolledBack)?,
        };
        if let Err(error) = conn.execute("BEGIN IMMEDIATE").await {
            return Err(Broken::RolledBack(error));
        }
        let outcomes = match self.apply(&mut conn, jobs).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // A connection that cannot even roll back is not used again: closing it does.
                if conn.execute("ROLLBACK").await.is_ok() {
                    self.conn = Some(conn);
                }
                return Err(match &error {
                    sqlx::Error::Database(db) if is_constraint(&**db) => Broken::Constraint(error),
                    _ => Broken::RolledBack(error),
                });
            }
        };
        let lost = self.chaos.as_ref().and_then(|chaos| chaos.next_commit());
        if lost == Some(Lost::Request) {
            return Err(Broken::Unconfirmed(None));
        }
        //= specs/storage.md#stor-01
        //# A commit that was answered MUST survive the death of the process at that moment.
        if let Err(error) = conn.execute("COMMIT").await {
            return Err(Broken::Unconfirmed(Some(error)));
        }
        self.conn = Some(conn);
        if lost == Some(Lost::Answer) { Err(Broken::Unconfirmed(None)) } else { Ok(outcomes) }
    }

    async fn apply(
        &self,
        conn: &mut SqliteConnection,
        jobs: &[&Job],
    ) -> Result<Vec<Outcome>, sqlx::Error> {
        let batches: Vec<&Batch> = jobs
            .iter()
            .filter_map(|job| if let Job::Commit(batch, _) = job { Some(batch) } else { None })
            .collect();
        let mut decided = Vec::new();
        if !batches.is_empty() {
            let mut group = self.statements.load(conn, &batches).await?;
            decided.extend(batches.iter().enumerate().map(|(n, batch)| group.decide(n, batch)));
            self.statements.write(conn, &batches, &group).await?;
        }
        let mut decided = decided.into_iter();
        let mut outcomes = Vec::with_capacity(jobs.len());
        // None of the group is answered yet, so its members happen in any order; batches went first.
        for job in jobs {
            outcomes.push(match job {
                Job::Commit(..) => {
                    Outcome::Commit(decided.next().unwrap_or(Err(Fault::Unavailable)))
                }
                Job::Side(side, _) => Outcome::Side(Ok(side.write(conn).await?)),
                Job::Close(_) => Outcome::Side(Ok(Wrote::Done)),
            });
        }
        Ok(outcomes)
    }
}

fn is_constraint(error: &dyn sqlx::error::DatabaseError) -> bool {
    use sqlx::error::ErrorKind;
    let by_kind = matches!(
        error.kind(),
        ErrorKind::UniqueViolation
            | ErrorKind::ForeignKeyViolation
            | ErrorKind::NotNullViolation
            | ErrorKind::CheckViolation
    );
    by_kind || error.message().contains("constraint failed")
}

fn fault_of(broken: Broken) -> Fault {
    match broken {
        Broken::Constraint(error) => {
            tracing::error!(%error, "a write is against a constraint");
            Fault::Refused
        }
        Broken::RolledBack(error) => {
            tracing::warn!(%error, "a transaction was rolled back");
            Fault::Unavailable
        }
        //= specs/storage.md#stor-14
        //# A commit whose answer was lost MUST happen once when it is repeated.
        Broken::Unconfirmed(error) => {
            let error = error.map(|error| error.to_string());
            tracing::warn!(error, "a commit was not confirmed");
            Fault::Unknown
        }
    }
}
