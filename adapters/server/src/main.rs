//! The `goldenpath` binary: configuration, wiring, commands.

mod bench;
mod chat;
mod cli;
mod commands;
mod config;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
