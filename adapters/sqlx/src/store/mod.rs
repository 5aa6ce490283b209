//! Logs in SQLite: one writer that commits what waits together, and readers beside it.

mod group;
mod read;
mod rows;
pub(crate) mod segment;
mod side;
mod statements;
mod writer;

pub(crate) use rows::CACHED_STATEMENTS;
pub(crate) use side::{Side, Wrote};
pub(crate) use writer::{Job, Writer};

use futures_util::FutureExt;
use futures_util::future::ready;
use goldenpath_core::auth::{Scope, Unfinished};
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Batch, Committed, Load, Loaded, Record};
use goldenpath_runtime::ports::{Answer, Store};
use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot};

/// The store of one node; clones share the writer and the readers.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    pub(crate) readers: SqlitePool,
    writer: mpsc::Sender<Job>,
}

impl SqliteStore {
    pub(crate) fn new(readers: SqlitePool, writer: mpsc::Sender<Job>) -> Self {
        Self { readers, writer }
    }

    /// Hands a job to the writer; a full queue or a closed one means that nothing was done.
    fn hand_over<T: Send + 'static>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, Fault>>) -> Job,
    ) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        if self.writer.try_send(job(answer)).is_err() {
            return ready(Err(Fault::Unavailable)).boxed();
        }
        // A writer that died took the job with it; whether it was done nobody can say.
        answered.map(|answer| answer.unwrap_or(Err(Fault::Unknown))).boxed()
    }

    pub(crate) fn write(&self, side: Side) -> Answer<Wrote> {
        self.hand_over(|answer| Job::Side(side, answer))
    }

    /// Lets the writer finish what waits and close; afterwards every write is `Unavailable`.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.writer.send(Job::Close(done)).await.is_ok() {
            // An error means that the writer is gone already.
            let _gone = closed.await;
        }
    }
}

impl Store for SqliteStore {
    fn commit(&self, batch: Batch) -> Answer<Committed> {
        self.hand_over(|answer| Job::Commit(batch, answer))
    }

    fn load(&self, user: &Scope, load: Load) -> Answer<Loaded> {
        let (pool, user) = (self.readers.clone(), user.clone());
        async move { read::load(&pool, &user, load).await.map_err(|e| crate::columns::read_fault(&e)) }
            .boxed()
    }

    fn record(&self, user: &Scope, record: Record) -> Answer<bool> {
        self.write(Side::Record(user.clone(), record))
            .map(|wrote| wrote.map(|wrote| wrote == Wrote::Done))
            .boxed()
    }

    fn unfinished_runs(&self) -> Answer<Vec<Unfinished>> {
        let pool = self.readers.clone();
        async move { read::unfinished(&pool).await.map_err(|e| crate::columns::read_fault(&e)) }
            .boxed()
    }

    fn ping(&self) -> Answer<()> {
        self.write(Side::Ping).map(|wrote| wrote.map(|_| ())).boxed()
    }
}
