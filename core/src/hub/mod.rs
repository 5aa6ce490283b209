//! One user's threads, runs and connections. A hub knows exactly one user.

mod effect;
mod io;

pub use effect::{
    Batch, Committed, FirstOutcome, Load, Loaded, NewAnswer, NewMessage, NewThread, Record, RunAt,
    RunChange, StoredRun, StoredThread, ThreadSummary,
};
pub use io::{HubReady, Input, Output};
