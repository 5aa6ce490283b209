//! What has ended by itself is forgotten.

use super::Identities;
use core::time::Duration;
use goldenpath_core::time::{Millis, Wall};

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(600);
/// How long the audit log remembers.
const AUDIT_KEPT: Millis = Millis::from_secs(90 * 24 * 3600);

impl Identities {
    /// Forgets log-ins past their end, revocations past the last token they stop, and old records, now
    /// and every ten minutes. Runs until it is dropped.
    pub async fn keep_house(self) {
        loop {
            self.tidy_up().await;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// One round.
    pub async fn tidy_up(&self) {
        let now = self.now().wall;
        let old = Wall(now.0.saturating_sub(AUDIT_KEPT.0));
        let sessions = self.sources.sessions.forget(now).await;
        let records = self.sources.audit.forget_before(old).await;
        match (sessions, records) {
            (Ok(0), Ok(0)) => {}
            (Ok(sessions), Ok(records)) => {
                tracing::info!(sessions, records, "forgotten");
            }
            (sessions, records) => {
                tracing::warn!(?sessions, ?records, "what has ended is forgotten later");
            }
        }
    }
}
