//! One user's threads, runs and connections. A hub knows exactly one user.

mod effect;
mod io;

pub use effect::{
    Batch, Committed, FirstOutcome, Load, Loaded, NewAnswer, NewMessage, NewThread, RunChange,
    StoredRun, StoredThread,
};
pub use io::{HubReady, Input, Output};
