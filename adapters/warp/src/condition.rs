//! Is the server starting, serving or draining? (F13)

use goldenpath_core::handshake::Admission;
use goldenpath_core::time::Millis;
use tokio::sync::watch;

/// The server's condition; clones see the same one.
#[derive(Clone, Debug)]
pub struct Condition(watch::Sender<Phase>);

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
        Self(watch::Sender::new(Phase::Starting))
    }
}

impl Condition {
    /// How far it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// It is this far now.
    pub fn set(&self, phase: Phase) {
        self.0.send_replace(phase);
    }

    /// Waits until the server drains.
    pub async fn drains(&self) {
        let mut phase = self.0.subscribe();
        // The sender is held by `self`, so waiting cannot fail.
        let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
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
