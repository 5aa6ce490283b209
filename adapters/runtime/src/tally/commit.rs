//! What a commit did, once it is known.

use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Batch, Committed};
use goldenpath_core::wire::{EntryBody, RunStatus};
use metrics::{counter, histogram};
use tokio::time::Instant;

/// What is to be counted when a batch is durable.
#[derive(Clone, Debug)]
pub struct Commit {
    begun: Instant,
    bytes: usize,
    entries: usize,
    message: bool,
    runs: Vec<RunStatus>,
}

impl Commit {
    /// Of a batch on its way to the store.
    #[must_use]
    pub fn of(batch: &Batch) -> Self {
        let changed = batch.runs.iter().map(|change| change.status);
        Self {
            begun: Instant::now(),
            bytes: batch.entries.iter().map(EntryBody::bytes).map(|entry| entry.len()).sum(),
            entries: batch.entries.len(),
            message: batch.message.is_some(),
            runs: changed.filter(|status| *status != RunStatus::Queued).collect(),
        }
    }

    /// The store has answered.
    pub fn answered(&self, answer: &Result<Committed, Fault>) {
        counter!("goldenpath_commits_total", "result" => result(answer)).increment(1);
        histogram!("goldenpath_commit_duration_seconds").record(self.begun.elapsed());
        if !matches!(answer, Ok(Committed::Done { .. })) {
            return;
        }
        // Entries of a batch are counted in thousands and bytes in millions: exact in a double.
        histogram!("goldenpath_commit_entries").record(self.entries as f64);
        histogram!("goldenpath_commit_bytes").record(self.bytes as f64);
        if self.message {
            counter!("goldenpath_messages_accepted_total").increment(1);
        }
        for status in &self.runs {
            if status.is_terminal() {
                counter!("goldenpath_runs_ended_total", "status" => status.as_str()).increment(1);
            } else {
                counter!("goldenpath_runs_started_total").increment(1);
            }
        }
    }
}

/// The words of [`result`].
pub(super) const RESULTS: &[&str] = &[
    "conflict",
    "done",
    "duplicate",
    "fenced",
    "head_moved",
    "no_thread",
    "refused",
    "unavailable",
    "unknown",
];

const fn result(answer: &Result<Committed, Fault>) -> &'static str {
    match answer {
        Ok(Committed::Conflict) => "conflict",
        Ok(Committed::Done { .. }) => "done",
        Ok(Committed::Duplicate(_)) => "duplicate",
        Ok(Committed::Fenced) => "fenced",
        Ok(Committed::HeadMoved { .. }) => "head_moved",
        Ok(Committed::NoThread) => "no_thread",
        Err(Fault::Refused) => "refused",
        Err(Fault::Unavailable) => "unavailable",
        Err(Fault::Unknown) => "unknown",
    }
}
