//! `goldenpath check`: is this configuration one to start with?

use crate::cli::CONFIGURATION;
use crate::config::{Config, Layers, describe};
use clap::Args;
use std::process::ExitCode;

/// Options of `check`.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// List every setting with its meaning and default
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(args: &CheckArgs, layers: &Layers) -> ExitCode {
    if args.list {
        print!("{}", describe());
        return ExitCode::SUCCESS;
    }
    match Config::check(layers) {
        Ok(config) => {
            println!("The configuration is fine: {}.", config.in_words());
            for note in &config.notes {
                println!("  Worth a look: {note}");
            }
            ExitCode::SUCCESS
        }
        Err(findings) => {
            print!("{findings}");
            ExitCode::from(CONFIGURATION)
        }
    }
}
