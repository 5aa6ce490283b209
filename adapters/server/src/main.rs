//! The `goldenpath` binary: configuration, wiring, commands.

mod bench;
mod chat;
mod cli;
mod commands;
mod config;
mod wiring;

use std::process::ExitCode;

/// Many small, short lives on few threads: a sixth of the work of a connection was malloc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
