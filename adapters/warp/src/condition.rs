//! Is the server starting, serving or draining? (F13)

use goldenpath_core::handshake::Admission;
use goldenpath_core::time::Millis;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The server's condition; clones see the same one.
#[derive(Clone, Debug)]
pub struct Condition(Arc<Inner>);

/// Who waits is told in the order of the waiting, which tokio's `watch` leaves to chance: a simulation with
/// the same seed goes the same way.
#[derive(Debug)]
struct Inner {
    phase: Mutex<Phase>,
    changed: Notify,
}

/// How far the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Runs that a restart left behind are being read; the port is open already.
    Starting,
    /// All is well.
    Serving,
    /// Going away.
    Draining,
}

impl Phase {
    /// The word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

impl Default for Condition {
    fn default() -> Self {
        let (phase, changed) = (Mutex::new(Phase::Starting), Notify::new());
        Self(Arc::new(Inner { phase, changed }))
    }
}

impl Condition {
    /// How far it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.locked()
    }

    /// It is this far now.
    pub fn set(&self, phase: Phase) {
        *self.locked() = phase;
        self.0.changed.notify_waiters();
    }

    /// Waits until the server drains.
    pub async fn drains(&self) {
        loop {
            // Waits before it looks, so that nothing is missed in between.
            let changed = self.0.changed.notified();
            if self.phase() == Phase::Draining {
                return;
            }
            changed.await;
        }
    }

    fn locked(&self) -> MutexGuard<'_, Phase> {
        self.0.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a new connection is taken, with `open` of at most `most` there already.
    pub(crate) fn admission(&self, open: usize, most: usize) -> Admission {
        match self.phase() {
            Phase::Starting => Admission::Starting { retry_after: Millis::from_secs(1) },
            Phase::Draining => Admission::Draining { retry_after: Millis::from_secs(5) },
            Phase::Serving if open >= most => {
                Admission::Overloaded { retry_after: Millis::from_secs(5) }
            }
            Phase::Serving => Admission::Open,
        }
    }
}
