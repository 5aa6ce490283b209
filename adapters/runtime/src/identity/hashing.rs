//! Passwords are hashed a few at a time; who waits and who is refused, the core says.

use super::answer::Denied;
use crate::ports::Answer;
use goldenpath_core::auth::hashing::{Crowded, Entry, HashLimits, Hashing, Lane, Name};
use goldenpath_core::fault::Fault;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::ErrorCode;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// When somebody who was refused comes back: a line is worked off faster than that.
const COME_BACK: Millis = Millis::from_secs(2);

/// The lines; clones share them.
#[derive(Clone)]
pub(super) struct Hashers(Arc<Mutex<Lines>>);

struct Lines {
    hashing: Hashing,
    /// Those who wait to be told that it is their turn.
    waiting: BTreeMap<Entry, oneshot::Sender<()>>,
}

/// In which line, and under which names.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) lane: Lane,
    pub(super) names: Vec<Name>,
}

/// A place in a line, given back when dropped.
pub(super) struct Seat {
    hashers: Hashers,
    entry: Entry,
    turn: Option<oneshot::Receiver<()>>,
}

impl Hashers {
    pub(super) fn new() -> Self {
        let hashing = Hashing::new(HashLimits::default());
        Self(Arc::new(Mutex::new(Lines { hashing, waiting: BTreeMap::new() })))
    }

    /// Gets in line.
    ///
    /// # Errors
    /// `overloaded` when the line is full, `rate_limited` when there are enough under this name.
    pub(super) fn enter(&self, line: &Line) -> Result<Seat, Denied> {
        let mut lines = self.lines();
        let entry = lines.hashing.enter(line.lane, &line.names).map_err(refused)?;
        let (tell, turn) = oneshot::channel();
        lines.waiting.insert(entry, tell);
        lines.begin();
        drop(lines);
        Ok(Seat { hashers: self.clone(), entry, turn: Some(turn) })
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn begin(&mut self) {
        while let Some(entry) = self.hashing.begin() {
            if let Some(tell) = self.waiting.remove(&entry) {
                // Whoever does not hear it is about to leave.
                let _gone = tell.send(());
            }
        }
    }
}

impl Seat {
    /// Waits for the turn, then works. Whoever asked may leave while waiting; a hash that was begun
    /// keeps its place to the end, wanted or not.
    pub(super) async fn work<T: Send + 'static>(
        mut self,
        work: impl FnOnce() -> Answer<T>,
    ) -> Result<T, Fault> {
        if let Some(turn) = self.turn.take() {
            turn.await.map_err(|_| Fault::Unavailable)?;
        }
        let work = work();
        let worked = tokio::spawn(async move {
            let done = work.await;
            drop(self);
            done
        });
        worked.await.map_err(|_| Fault::Unavailable)?
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut lines = self.hashers.lines();
        lines.hashing.leave(self.entry);
        lines.waiting.remove(&self.entry);
        lines.begin();
    }
}

fn refused(crowded: Crowded) -> Denied {
    let mut denied = match crowded {
        Crowded::Line => Denied::new(ErrorCode::Overloaded, "too many log-ins are under way"),
        Crowded::Name => Denied::new(ErrorCode::RateLimited, "too many tries at once"),
    };
    denied.retry_after = Some(COME_BACK);
    denied
}
