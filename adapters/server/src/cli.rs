//! The command line.

use crate::config::{Config, Layers};
use crate::{bench, chat, commands};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// What a wrong configuration ends with (`EX_CONFIG` of sysexits.h).
pub(crate) const CONFIGURATION: u8 = 78;

/// A real-time chat server for AI agents.
///
/// Without a command it serves the chat on http://127.0.0.1:8000, with SQLite in the folder `data`, in
/// demo mode.
#[derive(Parser, Debug)]
#[command(name = "goldenpath", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make an account, or give one a new password
    Account(commands::account::AccountArgs),
    /// Measure a running server
    Bench(bench::BenchArgs),
    /// Ask a question from the terminal and watch the agents at work
    Chat(chat::ChatArgs),
    /// Check the configuration and list what is wrong with it
    Check(commands::check::CheckArgs),
    /// Load usage records from a file
    Import(commands::import::ImportArgs),
    /// Bring the database up to date
    Migrate,
    /// Say what an account may do
    Role(commands::role::RoleArgs),
    /// Serve the chat
    Serve,
    /// Print a token that this configuration accepts (not in production)
    Token(commands::token::TokenArgs),
}

/// Settings by flag; they win over the environment and the file.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings")]
struct SettingFlags {
    /// Read this file instead of goldenpath.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen on this address (GOLDENPATH_LISTEN)
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Keep data in this folder (GOLDENPATH_DATA)
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
    /// Who answers: builtin, bench or scripted (GOLDENPATH_AGENTS)
    #[arg(long, global = true, value_name = "TEAM")]
    agents: Option<String>,
    /// Threads of the event loop (GOLDENPATH_WORKER_THREADS)
    #[arg(long, global = true, value_name = "N")]
    worker_threads: Option<String>,
    /// What a commit survives: normal or full (GOLDENPATH_DURABILITY)
    #[arg(long, global = true, value_name = "LEVEL")]
    durability: Option<String>,
    /// Any other setting; `goldenpath check --list` names them all
    #[arg(long, global = true, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl SettingFlags {
    fn layers(self) -> Layers {
        let own = [
            ("GOLDENPATH_AGENTS", self.agents),
            ("GOLDENPATH_DATA", self.data),
            ("GOLDENPATH_DURABILITY", self.durability),
            ("GOLDENPATH_LISTEN", self.listen),
            ("GOLDENPATH_WORKER_THREADS", self.worker_threads),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let set = self.set.into_iter().map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (pair, String::new()),
        });
        Layers::read(self.config.as_deref(), environment(), own.chain(set))
    }
}

/// What of the environment is text; the rest cannot be a setting of ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let Cli { command, settings } = Cli::parse();
    match command.unwrap_or(Command::Serve) {
        // Clients: what this machine's server is set to is none of their business.
        Command::Bench(args) => bench::run(&args),
        Command::Chat(args) => chat::run(args),
        Command::Check(args) => commands::check::run(&args, &settings.layers()),
        Command::Import(args) => match args.target() {
            Some((url, token)) => reported(commands::import::send(url, token, &args)),
            None => configured(settings, |config| commands::import::run(config, &args)),
        },
        Command::Migrate => configured(settings, commands::migrate::run),
        Command::Account(args) => {
            configured(settings, |config| commands::account::run(config, &args))
        }
        Command::Role(args) => configured(settings, |config| commands::role::run(config, &args)),
        Command::Serve => configured(settings, commands::serve::run),
        Command::Token(args) => configured(settings, |config| commands::token::run(config, &args)),
    }
}

/// Runs a command with a configuration that is fine, or says what is wrong with it.
fn configured(
    settings: SettingFlags,
    command: impl FnOnce(&Config) -> Result<ExitCode, commands::Failed>,
) -> ExitCode {
    match Config::load(&settings.layers()) {
        Ok(config) => reported(command(&config)),
        Err(findings) => {
            eprint!("{findings}");
            ExitCode::from(CONFIGURATION)
        }
    }
}

fn reported(done: Result<ExitCode, commands::Failed>) -> ExitCode {
    done.unwrap_or_else(|failed| {
        eprintln!("goldenpath: {failed}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
