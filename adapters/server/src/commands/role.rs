//! `goldenpath role`: what an account may do, said by whoever has the files.

use super::{Failed, runtime};
use crate::config::Config;
use crate::wiring;
use clap::Args;
use goldenpath_core::auth::{Role, permissions_of};
use goldenpath_runtime::ports::Email;
use goldenpath_sqlx::Database;
use std::process::ExitCode;

/// Options of `role`.
#[derive(Args, Debug)]
pub(crate) struct RoleArgs {
    /// The account's address
    #[arg(long, value_name = "ADDRESS")]
    email: Email,
    /// What it is from now on, admin or auditor; an ordinary user without any
    #[arg(value_name = "ROLE")]
    roles: Vec<Role>,
}

pub(crate) fn run(config: &Config, args: &RoleArgs) -> Result<ExitCode, Failed> {
    runtime(config)?.block_on(async {
        let database = Database::open(wiring::database_options(config)).await?;
        let set = set(&database, args).await;
        database.close().await;
        set
    })
}

async fn set(database: &Database, args: &RoleArgs) -> Result<ExitCode, Failed> {
    let accounts = database.accounts();
    let missing = || format!("there is no account with the address {}", args.email);
    let mut roles = args.roles.clone();
    roles.sort_unstable();
    roles.dedup();
    if !accounts.set_roles(&args.email, roles.clone()).await? {
        return Err(missing().into());
    }
    let permissions = permissions_of(&roles).join(", ");
    let may = if permissions.is_empty() { "nothing more than others" } else { &permissions };
    println!("{} may {may}, from the next token on.", args.email);
    Ok(ExitCode::SUCCESS)
}
