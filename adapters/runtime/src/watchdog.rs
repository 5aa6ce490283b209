//! Measures how late the event loop is (F34): what blocks a worker makes every sleep end too late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often it looks.
const EVERY: Duration = Duration::from_millis(100);
/// From this lateness on it is worth a line in the log.
const LATE: Duration = Duration::from_millis(100);

/// The lateness seen so far; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Lateness(Arc<AtomicU64>);

impl Lateness {
    /// The worst so far, in microseconds.
    #[must_use]
    pub fn worst_micros(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn saw(&self, late: Duration) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_max(micros, Ordering::Relaxed);
    }
}

/// Watches the current runtime until it ends.
pub async fn watch(lateness: Lateness) {
    loop {
        let due = Instant::now() + EVERY;
        sleep_until(due).await;
        let late = due.elapsed();
        lateness.saw(late);
        if late >= LATE {
            tracing::warn!(late_ms = late.as_millis() as u64, "the event loop was blocked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_blocks_the_loop_is_measured() {
        let lateness = Lateness::default();
        let watching = tokio::spawn(watch(lateness.clone()));
        tokio::task::yield_now().await;
        // The one thing that must never happen in the server, on purpose.
        std::thread::sleep(EVERY + Duration::from_millis(60));
        let deadline = Instant::now() + Duration::from_secs(5);
        while lateness.worst_micros() < 50_000 {
            assert!(Instant::now() < deadline, "{} µs", lateness.worst_micros());
            tokio::task::yield_now().await;
        }
        watching.abort();
    }
}
