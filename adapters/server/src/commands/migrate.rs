//! `goldenpath migrate`: brings the database up to date, as `serve` does when it starts.

use super::{Failed, runtime};
use crate::config::Config;
use crate::wiring;
use std::process::ExitCode;

pub(crate) fn run(config: &Config) -> Result<ExitCode, Failed> {
    let options = wiring::database_options(config);
    runtime(config)?.block_on(goldenpath_sqlx::migrate(&options))?;
    println!("{} is up to date.", options.dir.display());
    Ok(ExitCode::SUCCESS)
}
