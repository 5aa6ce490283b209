//! `goldenpath account`: accounts made, and passwords replaced, by whoever has the files. Nobody mails a
//! forgotten password, and where registration is closed nobody else makes an account.

use super::{Failed, runtime};
use crate::config::Config;
use crate::wiring;
use clap::{Args, Subcommand};
use goldenpath_core::auth::{Admission, Cutoff, check_password};
use goldenpath_core::id::SessionId;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::Secret;
use goldenpath_runtime::Clock;
use goldenpath_runtime::identity::{LONGEST_LEEWAY, Passwords as _};
use goldenpath_runtime::ports::{Account, AuditAction, AuditOutcome, AuditRecord, Created, Email};
use goldenpath_sqlx::{Database, FolderLock, LockError};
use std::fmt::Write as _;
use std::process::ExitCode;

/// Options of `account`.
#[derive(Args, Debug)]
pub(crate) struct AccountArgs {
    #[command(subcommand)]
    deed: Deed,
}

#[derive(Subcommand, Debug)]
enum Deed {
    /// Make an account, also where registration is closed
    Add {
        #[command(flatten)]
        of: Of,
        /// How it is called
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Give an account a new password, which ends all its log-ins; the server must be stopped
    Password {
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Args, Debug)]
struct Of {
    /// The account's address
    #[arg(long, value_name = "ADDRESS")]
    email: Email,
    /// Read the password from standard input; without this one is drawn and printed
    #[arg(long)]
    password_stdin: bool,
}

pub(crate) fn run(config: &Config, args: &AccountArgs) -> Result<ExitCode, Failed> {
    let (Deed::Add { of, .. } | Deed::Password { of }) = &args.deed;
    let password = if of.password_stdin { read()? } else { draw()? };
    check_password(&password.0, of.email.as_str())?;
    let folder = config.store_folder();
    if !folder.exists() {
        eprintln!("note: there were no data in {} until now", folder.display());
    }
    runtime(config)?.block_on(async {
        let database = Database::open(wiring::database_options(config)).await?;
        let done = match &args.deed {
            Deed::Add { name, .. } => add(&database, of, name.clone(), password.clone()).await,
            Deed::Password { .. } => replace(config, &database, of, password.clone()).await,
        };
        database.close().await;
        done
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A password that was drawn is told once it counts, whatever fails afterwards.
fn said(of: &Of, password: &Secret) {
    if !of.password_stdin {
        println!("Its password is {} and can be changed by whoever logs in with it.", password.0);
    }
}

//= specs/auth.md#auth-80
//# Whoever has the files of a server MUST be able to make an account, also where registration is
//# closed.
async fn add(
    database: &Database,
    of: &Of,
    name: Option<String>,
    password: Secret,
) -> Result<(), Failed> {
    let at = Clock::system().now().wall;
    let account = Account {
        user_id: Account::draw_id(&mut wiring::seed()?, at),
        email: of.email.clone(),
        name: Account::usable_name(name)?,
        password_hash: wiring::passwords()?.hash(password.clone()).await?,
        roles: Vec::new(),
        created_at: at,
    };
    match database.accounts().create(account.clone()).await? {
        Created::Done => {}
        Created::EmailTaken => {
            let other = "goldenpath account password gives it a new password";
            return Err(format!("{} has an account already; {other}", of.email).into());
        }
        Created::IdTaken => return Err("the id that was drawn is taken; try again".into()),
    }
    println!("{} has an account.", of.email);
    said(of, &password);
    noted(database, AuditAction::Register, &account, at).await
}

//= specs/auth.md#auth-81
//# A password given at the machine MUST end every log-in of its account.
async fn replace(
    config: &Config,
    database: &Database,
    of: &Of,
    password: Secret,
) -> Result<(), Failed> {
    // A server that runs remembers which log-ins are good, and would go on taking them.
    let _alone = FolderLock::take(&config.store_folder()).map_err(|error| match error {
        LockError::Held { folder, by } => format!(
            "a server works on {} (process {by}): stop it first, for it remembers who is logged in",
            folder.display()
        ),
        other => other.to_string(),
    })?;
    let accounts = database.accounts();
    let missing = || format!("there is no account with the address {}", of.email);
    let account = accounts.by_email(&of.email).await?.ok_or_else(missing)?;
    let at = Clock::system().now().wall;
    let session_id = SessionId::draw(&mut wiring::seed()?, at);
    let scope = Admission::at_the_machine(account.user_id.clone(), session_id).scope();
    let until = at.after(config.token_lifetime).after(LONGEST_LEEWAY);
    let hashes =
        (account.password_hash.clone(), wiring::passwords()?.hash(password.clone()).await?);
    let cutoff = Cutoff { at, but: None };
    let ended = database.sessions().change_password(&scope, hashes, cutoff, until).await?;
    let ended = ended.ok_or("the password was changed by somebody else just now; try again")?;
    println!("{} has a new password; log-ins that ended: {}.", of.email, ended.len());
    said(of, &password);
    noted(database, AuditAction::Password, &account, at).await
}

/// Who did it is not known: it was somebody with the files.
async fn noted(
    database: &Database,
    action: AuditAction,
    account: &Account,
    at: Wall,
) -> Result<(), Failed> {
    let record = AuditRecord {
        at,
        action,
        outcome: AuditOutcome::Accepted,
        reason: None,
        by: None,
        user_id: Some(account.user_id.clone()),
        session_id: None,
        place: None,
        times: 1,
    };
    Ok(database.audit().append(vec![record]).await?)
}

/// The first line of standard input.
fn read() -> Result<Secret, Failed> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(Secret(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// 80 bits, in groups that can be read aloud.
fn draw() -> Result<Secret, Failed> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).map_err(|error| format!("no randomness: {error}"))?;
    let mut text = String::new();
    for (n, pair) in bytes.chunks(2).enumerate() {
        let dash = if n == 0 { "" } else { "-" };
        write!(text, "{dash}{:02x}{:02x}", pair[0], pair[1])?;
    }
    Ok(Secret(text))
}
