//! A store that forgets: for tests, simulations and examples, and the oracle the real ones are
//! compared with. It fails on demand, in the three ways a real one does.

mod people;
mod state;
mod tickets;
mod views;

pub use state::Memory;
pub use tickets::MemoryTickets;

use crate::ports::{Answer, Store};
use core::time::Duration;
use futures_util::FutureExt;
use futures_util::future::ready;
use goldenpath_core::auth::{Scope, Unfinished};
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Batch, Committed, Load, Loaded, Record};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A shared [`Memory`]; clones see the same data.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    memory: Memory,
    commits: VecDeque<Failure>,
    loads: VecDeque<Failure>,
    down: bool,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is carried out, but the answer is lost: `Fault::Unknown`.
    After,
    /// It is not carried out; this is the answer.
    Before(Fault),
    /// It is carried out and answered after this time.
    Delay(Duration),
    /// Nothing is wrong with it.
    None,
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What it holds, locked.
    pub(crate) fn memory(&self) -> impl core::ops::DerefMut<Target = Memory> + '_ {
        Locked(self.shared())
    }

    /// A copy of what it holds.
    #[must_use]
    pub fn snapshot(&self) -> Memory {
        self.shared().memory.clone()
    }

    /// What happens to the next commits, one each, after what was asked for before.
    pub fn fail_commits(&self, failures: impl IntoIterator<Item = Failure>) {
        self.shared().commits.extend(failures);
    }

    /// What happens to the next loads, one each; `After` loses the answer.
    pub fn fail_loads(&self, failures: impl IntoIterator<Item = Failure>) {
        self.shared().loads.extend(failures);
    }

    /// While down, everything a [`Store`] does, and the end of a log-in, is answered `Fault::Unavailable` and nothing is done.
    pub fn set_down(&self, down: bool) {
        self.shared().down = down;
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // A panic in a test that holds the lock is that test's failure, not the next one's.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Locked<'a>(MutexGuard<'a, Shared>);

impl core::ops::Deref for Locked<'_> {
    type Target = Memory;

    fn deref(&self) -> &Memory {
        &self.0.memory
    }
}

impl core::ops::DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Memory {
        &mut self.0.memory
    }
}

impl Shared {
    fn carried_out<T: Send + 'static>(
        &mut self,
        failure: Failure,
        call: impl FnOnce(&mut Memory) -> Result<T, Fault>,
    ) -> Answer<T> {
        if self.down {
            return ready(Err(Fault::Unavailable)).boxed();
        }
        match failure {
            Failure::After => {
                // The answer is lost on purpose; what the call did stays.
                let _lost = call(&mut self.memory);
                ready(Err(Fault::Unknown)).boxed()
            }
            Failure::Before(fault) => ready(Err(fault)).boxed(),
            Failure::Delay(time) => {
                let answer = call(&mut self.memory);
                tokio::time::sleep(time).map(move |()| answer).boxed()
            }
            Failure::None => ready(call(&mut self.memory)).boxed(),
        }
    }
}

impl Store for MemoryStore {
    //= specs/storage.md#stor-07
    //# All stores MUST give the same answers to the same history.
    fn commit(&self, batch: Batch) -> Answer<Committed> {
        let mut shared = self.shared();
        let failure = shared.commits.pop_front().unwrap_or(Failure::None);
        shared.carried_out(failure, |memory| memory.apply(&batch))
    }

    fn load(&self, user: &Scope, load: Load) -> Answer<Loaded> {
        let mut shared = self.shared();
        let failure = shared.loads.pop_front().unwrap_or(Failure::None);
        shared.carried_out(failure, |memory| Ok(memory.load(user, &load)))
    }

    fn record(&self, user: &Scope, record: Record) -> Answer<bool> {
        self.shared().carried_out(Failure::None, |memory| Ok(memory.record(user, &record)))
    }

    fn unfinished_runs(&self) -> Answer<Vec<Unfinished>> {
        self.shared().carried_out(Failure::None, |memory| Ok(memory.unfinished_runs()))
    }

    fn ping(&self) -> Answer<()> {
        self.shared().carried_out(Failure::None, |_| Ok(()))
    }
}
