//! The queue before the audit log: a log-in never waits for it, and a flood of the same refusal is one
//! row with a number.

use crate::ports::{Answer, AuditAction, AuditLog, AuditOutcome, AuditRecord, AuditRow, Credence};
use crate::tally;
use core::time::Duration;
use goldenpath_core::auth::Ration;
use goldenpath_core::fault::Fault;
use goldenpath_core::id::UserId;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::ErrorCode;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// Records that may wait; beyond it they are counted as lost.
const WAITING: usize = 4096;
/// Records written at once.
const BATCH: usize = 256;
/// How long the first of a batch waits for others like it.
const GATHER: Duration = Duration::from_millis(100);
/// Between tries to write while the store is not available.
const RETRY: Duration = Duration::from_millis(500);
/// Tries before a batch is given up.
const TRIES: usize = 20;

/// How often each thing happened since the start.
pub type AuditCounts = BTreeMap<(AuditAction, AuditOutcome, Option<ErrorCode>), u64>;

/// Takes records and writes them a little later; cheap to clone.
#[derive(Clone)]
pub struct Audit {
    queue: mpsc::Sender<Item>,
    log: Arc<dyn AuditLog>,
    counts: Arc<Mutex<AuditCounts>>,
    lost: Arc<AtomicU64>,
    refusals: Arc<Mutex<Ration>>,
    every_day: Arc<Mutex<Ration>>,
}

enum Item {
    Flush(oneshot::Sender<()>),
    Record(AuditRecord),
}

impl Audit {
    /// Begins; needs a runtime. It ends when the last clone is gone.
    #[must_use]
    pub fn start(log: Arc<dyn AuditLog>) -> Self {
        let (queue, items) = mpsc::channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        tokio::spawn(write(items, log.clone(), lost.clone()));
        Self {
            queue,
            log,
            counts: Arc::default(),
            lost,
            refusals: Arc::new(Mutex::new(Ration::of_refusals())),
            every_day: Arc::new(Mutex::new(Ration::of_every_day())),
        }
    }

    /// Something happened. Never waits: what does not fit is counted as lost. Of a flood of refusals, and of
    /// what a user does all day, only so many become rows; all are counted.
    //= specs/auth.md#auth-49
    //# Whoever is let in or refused MUST be recorded, and a log-in MUST NOT wait for that.
    pub fn note(&self, record: AuditRecord) {
        tally::noted(&record);
        let key = (record.action, record.outcome, record.reason);
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
        if !self.becomes_a_row(&record) {
            return;
        }
        if self.queue.try_send(Item::Record(record)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            tally::audit_lost(1);
        }
    }

    fn becomes_a_row(&self, record: &AuditRecord) -> bool {
        let (ration, whose) = match (record.outcome, record.action) {
            // It ends a log-in: no flood can be made of it, and none may hide it.
            (AuditOutcome::Refused, AuditAction::Reuse) => return true,
            (AuditOutcome::Refused, _) => (&self.refusals, record.place.as_deref()),
            (
                AuditOutcome::Accepted,
                AuditAction::Refresh | AuditAction::Socket | AuditAction::Ticket,
            ) if !record.by.is_some_and(Credence::is_bypass) => {
                (&self.every_day, record.user_id.as_ref().map(UserId::as_str))
            }
            (AuditOutcome::Accepted, _) => return true,
        };
        ration.lock().unwrap_or_else(PoisonError::into_inner).admits(whose, record.at)
    }

    /// Waits until everything noted before is written, or given up.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Item::Flush(done)).await.is_ok() {
            // An error means that the writer is gone with the runtime.
            let _gone = written.await;
        }
    }

    /// Rows before a place in the log, the newest first.
    pub fn read(&self, before: Option<u64>, limit: u32) -> Answer<Vec<AuditRow>> {
        self.log.read(before, limit)
    }

    /// Forgets what happened before this instant.
    pub(super) fn forget_before(&self, at: Wall) -> Answer<u64> {
        self.log.forget_before(at)
    }

    /// How often each thing happened since the start.
    #[must_use]
    pub fn counts(&self) -> AuditCounts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records that did not fit or could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

async fn write(mut items: mpsc::Receiver<Item>, log: Arc<dyn AuditLog>, lost: Arc<AtomicU64>) {
    let mut taken = Vec::with_capacity(BATCH);
    while items.recv_many(&mut taken, BATCH).await > 0 {
        let in_a_hurry = taken.iter().any(|item| matches!(item, Item::Flush(_)));
        if !in_a_hurry && taken.len() < BATCH {
            tokio::time::sleep(GATHER).await;
            while taken.len() < BATCH
                && let Ok(item) = items.try_recv()
            {
                taken.push(item);
            }
        }
        let mut batch = Vec::new();
        let mut waiting = Vec::new();
        for item in taken.drain(..) {
            match item {
                Item::Flush(done) => waiting.push(done),
                Item::Record(record) => gather(&mut batch, record),
            }
        }
        let count = batch.len() as u64;
        if !batch.is_empty()
            && let Err(fault) = append(&*log, batch).await
        {
            lost.fetch_add(count, Ordering::Relaxed);
            tally::audit_lost(count);
            tracing::error!(%fault, count, "records of the audit log are lost");
        }
        for done in waiting {
            let _gone = done.send(());
        }
    }
}

async fn append(log: &dyn AuditLog, batch: Vec<AuditRecord>) -> Result<(), Fault> {
    let mut tries = 0;
    loop {
        tries += 1;
        match log.append(batch.clone()).await {
            Err(Fault::Refused) => return Err(Fault::Refused),
            Err(fault) if tries == TRIES => return Err(fault),
            // After an unknown outcome a record may be there twice, which is better than not at all.
            Err(_) => tokio::time::sleep(RETRY).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// One row for what is alike but for its time.
fn gather(batch: &mut Vec<AuditRecord>, record: AuditRecord) {
    let alike = |kept: &&mut AuditRecord| {
        let times = kept.times;
        **kept == AuditRecord { at: kept.at, times, ..record.clone() }
    };
    match batch.iter_mut().find(alike) {
        Some(kept) => kept.times = kept.times.saturating_add(record.times),
        None => batch.push(record),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;

    fn refusal(n: u64, place: &str) -> AuditRecord {
        AuditRecord {
            at: Wall(n),
            action: AuditAction::LogIn,
            outcome: AuditOutcome::Refused,
            reason: Some(ErrorCode::Unauthorized),
            by: None,
            user_id: None,
            session_id: None,
            place: Some(place.into()),
            times: 1,
        }
    }

    //= specs/auth.md#auth-49
    //= type=test
    //# Whoever is let in or refused MUST be recorded, and a log-in MUST NOT wait for that.
    #[tokio::test(start_paused = true)]
    async fn a_flood_is_few_rows_and_what_does_not_fit_is_counted_not_waited_for() {
        let audit = Audit::start(Arc::new(MemoryStore::new()));
        let places = ["a", "b"];
        let noted = 2 * WAITING as u64;
        for n in 0..noted {
            // The task that writes does not run here: were one of these to wait, it would be for ever.
            audit.note(AuditRecord {
                outcome: AuditOutcome::Accepted,
                reason: None,
                ..refusal(n, places[(n % 2) as usize])
            });
        }
        audit.flush().await;
        let rows = audit.read(None, 1000).await.unwrap();
        let times: u64 = rows.iter().map(|row| u64::from(row.record.times)).sum();
        assert_eq!((times, audit.lost()), (WAITING as u64, noted - WAITING as u64));
        assert_eq!(rows.len(), 2 * WAITING / BATCH, "two a batch");
        assert_eq!(rows.last().unwrap().record.at, Wall(0));
        assert_eq!(audit.counts().values().copied().collect::<Vec<_>>(), [noted]);
    }

    //= specs/auth.md#auth-76
    //= type=test
    //# Every refusal for want of a good credential or a right MUST be recorded with its reason, up to
    //# 30 rows for an address and 600 in all in a minute, and always when it ends a log-in; the others MUST
    //# be counted.
    #[tokio::test(start_paused = true)]
    async fn a_flood_of_refusals_does_not_fill_the_table_and_hides_nobody_else() {
        let audit = Audit::start(Arc::new(MemoryStore::new()));
        for n in 0..10_000 {
            // Each differs from the last, so that no two are one row.
            let reason = Some(ErrorCode::ALL[n % ErrorCode::ALL.len()]);
            audit.note(AuditRecord { reason, ..refusal(n as u64, "a") });
        }
        audit.note(refusal(10_000, "b"));
        audit.note(AuditRecord { action: AuditAction::Reuse, ..refusal(10_000, "a") });
        audit.note(refusal(60_000, "a"));
        audit.flush().await;
        let rows = audit.read(None, 1000).await.unwrap();
        let of = |place| rows.iter().filter(|r| r.record.place.as_deref() == Some(place)).count();
        let reused = |row: &&AuditRow| row.record.action == AuditAction::Reuse;
        assert_eq!(rows.iter().filter(reused).count(), 1, "it ends a log-in");
        assert_eq!((of("a"), of("b"), audit.lost()), (30 + 2, 1, 0));
        assert_eq!(audit.counts().values().sum::<u64>(), 10_003);
    }

    //= specs/auth.md#auth-93
    //= type=test
    //# Refreshes, tickets and sockets that were granted MUST become up to 60 rows for a user and 60,000 in all in
    //# a minute, the others MUST be counted, and every other grant MUST become a row.
    #[tokio::test(start_paused = true)]
    async fn what_a_user_does_all_day_does_not_fill_the_table_and_hides_no_log_in() {
        let audit = Audit::start(Arc::new(MemoryStore::new()));
        let granted = |action, user: &str, n: u64| AuditRecord {
            action,
            outcome: AuditOutcome::Accepted,
            reason: None,
            user_id: UserId::new(user).ok(),
            // Each differs from the last, so that no two are one row.
            ..refusal(n, &n.to_string())
        };
        let everyday = [AuditAction::Refresh, AuditAction::Socket, AuditAction::Ticket];
        for n in 0..1000 {
            audit.note(granted(everyday[(n % 3) as usize], "ada", n));
        }
        let others = [AuditAction::LogIn, AuditAction::LogOut, AuditAction::Password];
        for n in 1000..1300 {
            audit.note(granted(others[(n % 3) as usize], "ada", n));
        }
        // A visitor is let in by the socket itself.
        for n in 1300..1400 {
            let by = Some(Credence::Demo);
            audit.note(AuditRecord { by, ..granted(AuditAction::Socket, "ada", n) });
        }
        audit.note(granted(AuditAction::Socket, "bob", 1400));
        audit.note(granted(AuditAction::Socket, "ada", 60_000));
        audit.flush().await;
        let rows = audit.read(None, 5000).await.unwrap();
        let of = |user: &str, actions: &[AuditAction], by: Option<Credence>| {
            let record = rows.iter().map(|row| &row.record);
            let of_user = record.filter(|record| {
                record.user_id.as_ref().is_some_and(|id| id.as_str() == user) && record.by == by
            });
            of_user.filter(|record| actions.contains(&record.action)).count()
        };
        assert_eq!((of("ada", &everyday, None), of("bob", &everyday, None)), (60 + 1, 1));
        assert_eq!(
            (of("ada", &others, None), of("ada", &everyday, Some(Credence::Demo))),
            (300, 100)
        );
        assert_eq!((audit.lost(), audit.counts().values().sum::<u64>()), (0, 1402));
    }
}
