//! One module per command.

pub(crate) mod account;
pub(crate) mod check;
pub(crate) mod import;
pub(crate) mod migrate;
pub(crate) mod role;
pub(crate) mod serve;
pub(crate) mod token;
mod uploaded;

use crate::config::Config;
use std::error::Error;
use tokio::runtime::{Builder, Runtime};

/// Why a command did not do its work, in words for the terminal.
pub(crate) type Failed = Box<dyn Error + Send + Sync>;

/// The event loop, with as many threads as are set. With one, everything runs on the thread that
/// started it: no wake-up crosses a core.
fn runtime(config: &Config) -> Result<Runtime, Failed> {
    let threads = config.threads();
    let mut builder = if threads == 1 {
        Builder::new_current_thread()
    } else {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads);
        builder
    };
    Ok(builder.enable_all().build()?)
}
