//! `goldenpath token`: a token for scripts and tests.

use super::Failed;
use crate::config::Config;
use crate::wiring;
use clap::Args;
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::time::{Millis, Wall};
use goldenpath_jsonwebtoken::Grant;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Options of `token`.
#[derive(Args, Debug)]
pub(crate) struct TokenArgs {
    /// Whose token
    #[arg(long, value_name = "NAME")]
    user: UserId,
    /// How long it is good, in seconds; the server's usual time without it
    #[arg(long, value_name = "SECONDS")]
    lifetime: Option<u64>,
}

pub(crate) fn run(config: &Config, args: &TokenArgs) -> Result<ExitCode, Failed> {
    if config.environment.is_production() {
        return Err("in production tokens come from a log-in only".into());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let wall = Wall(u64::try_from(now.as_millis())?);
    let session_id = SessionId::draw(&mut wiring::seed()?, wall);
    let lifetime = args.lifetime.map_or(config.token_lifetime, Millis::from_secs);
    let grant = Grant::new(args.user.clone(), session_id, lifetime);
    let issued = wiring::tokens(config)?.issue(grant, wall)?;
    println!("{}", issued.token.0);
    Ok(ExitCode::SUCCESS)
}
