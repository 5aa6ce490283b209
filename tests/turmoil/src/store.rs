//! The store of a world: in memory, outliving its node, and failing as the plan says.

use crate::history::{Deed, History};
use crate::plan::{Fate, Point};
use futures_util::FutureExt as _;
use futures_util::future::pending;
use goldenpath_core::auth::{Scope, Unfinished};
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Batch, Committed, Load, Loaded, Record};
use goldenpath_runtime::memory::{Failure, MemoryStore};
use goldenpath_runtime::ports::{Answer, Store};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// A [`MemoryStore`] behind one writer, as SQLite has one.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) memory: MemoryStore,
    history: History,
    inner: Arc<Mutex<Inner>>,
    handed_over: Arc<Notify>,
}

#[derive(Default)]
struct Inner {
    queue: VecDeque<Write>,
    fates: VecDeque<Fate>,
    trap: Option<Point>,
    /// The node is dead: nothing of it reaches the disk any more.
    dead: bool,
    /// What happened, counted.
    met: BTreeMap<&'static str, u64>,
}

struct Write {
    batch: Batch,
    answer: Option<oneshot::Sender<Result<Committed, Fault>>>,
}

impl Disk {
    /// An empty one, whose writes are noted.
    pub(crate) fn new(history: History) -> Self {
        let (inner, handed_over) = Default::default();
        Self { memory: MemoryStore::new(), history, inner, handed_over }
    }

    /// What happens to the next writes.
    pub(crate) fn writes(&self, fates: &[Fate]) {
        self.inner().fates.extend(fates);
    }

    /// What happens to the next reads.
    pub(crate) fn reads(&self, fates: &[Fate]) {
        self.memory.fail_loads(fates.iter().map(|fate| match fate {
            Fate::Refused => Failure::Before(Fault::Unavailable),
            Fate::Lost | Fate::Unheard => Failure::Before(Fault::Unknown),
            Fate::Late(ms) | Fate::LateAnswer(ms) => Failure::Delay(Duration::from_millis(*ms)),
            Fate::Well => Failure::None,
        }));
    }

    /// The node is to die there.
    pub(crate) fn set_trap(&self, trap: Option<Point>) {
        self.inner().trap = trap;
    }

    /// A client heard a frame of this type.
    pub(crate) fn heard(&self, kind: &str) {
        let mut inner = self.inner();
        if let Some(Point::Heard(trap, n)) = &mut inner.trap
            && trap == kind
        {
            *n = n.saturating_sub(1);
            if *n == 0 {
                inner.spring("crash: when something was heard");
            }
        }
    }

    /// Whether the node has to die now.
    pub(crate) fn is_sprung(&self) -> bool {
        self.inner().dead
    }

    /// The node is dead; writes it handed over are done, or never.
    pub(crate) fn died(&self, landed: bool) {
        let writes: Vec<Write> = {
            let mut inner = self.inner();
            inner.dead = true;
            inner.trap = None;
            inner.queue.drain(..).collect()
        };
        for write in writes {
            if landed {
                let done = self.take(write.batch).now_or_never();
                if matches!(done, Some(Ok(Committed::Done { .. }))) {
                    self.meet("store: a write of a dead node landed");
                }
            } else {
                self.meet("store: a write died with its node");
            }
        }
    }

    /// Another process opens it.
    pub(crate) fn opened(&self) {
        self.inner().dead = false;
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        self.memory.set_down(false);
        let mut inner = self.inner();
        inner.fates.clear();
        inner.trap = None;
    }

    /// What happened, and how often.
    pub(crate) fn met(&self) -> BTreeMap<&'static str, u64> {
        self.inner().met.clone()
    }

    fn meet(&self, what: &'static str) {
        *self.inner().met.entry(what).or_default() += 1;
    }

    /// The writer of one node: one batch after the other, as handed over.
    pub(crate) async fn write(self) {
        loop {
            let Some(fate) = self.next().await else { return pending().await };
            if let Fate::Late(ms) = fate {
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            let Some(Write { batch, answer }) = self.inner().queue.pop_front() else { continue };
            let answered = match fate {
                Fate::Refused => Err(Fault::Unavailable),
                Fate::Lost => Err(Fault::Unknown),
                Fate::Unheard => {
                    let _ = self.take(batch).await;
                    Err(Fault::Unknown)
                }
                Fate::Late(_) | Fate::LateAnswer(_) | Fate::Well => self.take(batch).await,
            };
            if answered.is_ok() && self.inner().is_after_write() {
                return pending().await;
            }
            if let Fate::LateAnswer(ms) = fate {
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            if let Some(answer) = answer {
                // The shard is gone only with the node.
                let _ = answer.send(answered);
            }
        }
    }

    /// A write is done; unless the disk is down, it is part of the history.
    async fn take(&self, batch: Batch) -> Result<Committed, Fault> {
        let answer = self.memory.commit(batch.clone()).await;
        if answer != Err(Fault::Unavailable) {
            self.history.note(Deed::Wrote(Box::new(batch), answer.clone()));
        }
        answer
    }

    async fn next(&self) -> Option<Fate> {
        loop {
            {
                let mut inner = self.inner();
                if inner.dead {
                    return None;
                }
                if !inner.queue.is_empty() {
                    let fate = inner.fates.pop_front().unwrap_or(Fate::Well);
                    let name = match fate {
                        Fate::Refused => "store: a write was refused",
                        Fate::Lost => "store: a write was not done, unknown",
                        Fate::Unheard => "store: a write was done, unknown",
                        Fate::Late(_) => "store: a write was late",
                        Fate::LateAnswer(_) => "store: an answer was late",
                        Fate::Well => return Some(fate),
                    };
                    *inner.met.entry(name).or_default() += 1;
                    return Some(fate);
                }
            }
            self.handed_over.notified().await;
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn spring(&mut self, what: &'static str) {
        self.trap = None;
        self.dead = true;
        *self.met.entry(what).or_default() += 1;
    }

    fn is_after_write(&mut self) -> bool {
        if let Some(Point::AfterWrite(n)) = &mut self.trap {
            *n = n.saturating_sub(1);
            if *n == 0 {
                self.spring("crash: after a write, before it was told");
            }
        }
        self.dead
    }
}

impl Store for Disk {
    fn commit(&self, batch: Batch) -> Answer<Committed> {
        let mut inner = self.inner();
        if inner.dead {
            return pending().boxed();
        }
        let (answer, answered) = oneshot::channel();
        inner.queue.push_back(Write { batch, answer: Some(answer) });
        if let Some(Point::BeforeWrite(n)) = &mut inner.trap {
            *n = n.saturating_sub(1);
            if *n == 0 {
                inner.spring("crash: with a write handed over");
            }
        }
        self.handed_over.notify_one();
        answered.map(|answered| answered.unwrap_or(Err(Fault::Unknown))).boxed()
    }

    fn load(&self, user: &Scope, load: Load) -> Answer<Loaded> {
        self.memory.load(user, load)
    }

    fn record(&self, user: &Scope, record: Record) -> Answer<bool> {
        self.memory.record(user, record)
    }

    fn unfinished_runs(&self) -> Answer<Vec<Unfinished>> {
        self.memory.unfinished_runs()
    }

    fn ping(&self) -> Answer<()> {
        self.memory.ping()
    }
}
