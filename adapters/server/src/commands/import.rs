//! `goldenpath import`: usage records from a file into the data folder, or into a running server.

use super::uploaded::{self, Uploaded};
use super::{Failed, runtime};
use crate::config::Config;
use crate::wiring;
use bytes::{Bytes, BytesMut};
use clap::Args;
use goldenpath_agents::cost::prices::PriceTable;
use goldenpath_agents::import::{Format, ImportOptions, Mapping, Progress, Verdict, import_file};
use goldenpath_core::id::UserId;
use goldenpath_runtime::ports::Email;
use goldenpath_runtime::usage::Tenant;
use goldenpath_sqlx::Database;
use goldenpath_sqlx::usage::SqliteUsage;
use goldenpath_tungstenite::Address;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Body, Frame as HttpFrame};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Bytes sent at once.
const PIECE: usize = 64 * 1024;

/// Options of `import`.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The file
    file: PathBuf,
    /// What it contains: litellm, openai-usage, csv or azure-trace; found out without it
    #[arg(long, value_parser = format)]
    format: Option<Format>,
    /// Columns of a CSV, like `ts=date,input_tokens=prompt`
    #[arg(long, value_name = "FIELD=COLUMN,…")]
    map: Option<String>,
    /// The model of records that name none
    #[arg(long)]
    model: Option<String>,
    /// The provider of records that name none
    #[arg(long)]
    provider: Option<String>,
    /// The feature of records that name none
    #[arg(long)]
    feature: Option<String>,
    /// The team of records that name none
    #[arg(long)]
    team: Option<String>,
    /// Count, but store nothing
    #[arg(long)]
    dry_run: bool,
    /// Import the good records of a file with bad ones
    #[arg(long)]
    skip_bad: bool,
    /// Whose records, by user id
    #[arg(long, value_name = "ID", required_unless_present_any = ["email", "url"])]
    user: Option<UserId>,
    /// Whose records, by the address of an account
    #[arg(long, value_name = "ADDRESS", conflicts_with = "user")]
    email: Option<String>,
    /// Send the file to this server instead, as the user of the token
    #[arg(long, value_name = "URL", requires = "token", conflicts_with_all = ["email", "user"])]
    url: Option<Address>,
    /// The token for `--url`
    #[arg(long, env = "GOLDENPATH_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl ImportArgs {
    /// The server and the token, when the file goes to one: then nothing of this machine's is needed.
    pub(crate) fn target(&self) -> Option<(&Address, &str)> {
        self.url.as_ref().zip(self.token.as_deref())
    }
}

pub(crate) fn run(config: &Config, args: &ImportArgs) -> Result<ExitCode, Failed> {
    runtime(config)?.block_on(import(config, args))
}

/// Sends the file to a running server.
pub(crate) fn send(url: &Address, token: &str, args: &ImportArgs) -> Result<ExitCode, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(upload(url, token, args))
}

/// Into the data folder; a server may be running on it.
async fn import(config: &Config, args: &ImportArgs) -> Result<ExitCode, Failed> {
    let database = Database::open(wiring::database_options(config)).await?;
    let tenant = tenant(&database, args).await?;
    let mapping = args.map.as_deref().map(Mapping::parse).transpose();
    let options = ImportOptions {
        format: args.format,
        mapping: mapping.map_err(|error| format!("--map: {error}"))?.unwrap_or_default(),
        model: args.model.clone(),
        provider: args.provider.clone(),
        feature: args.feature.clone(),
        team: args.team.clone(),
        dry_run: args.dry_run,
        skip_bad: args.skip_bad,
        now_us: i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?,
        ..ImportOptions::default()
    };
    let usage = SqliteUsage::new(database.usage_pool());
    let prices = Arc::new(PriceTable::bundled());
    let mut shown = Shown::default();
    let report =
        import_file(&usage, &tenant, prices, &args.file, options, &mut |p| shown.show(p)).await;
    shown.clear();
    database.close().await;
    let report = report.map_err(|error| format!("{}: {error}", args.file.display()))?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else if report.read > 0 {
        print!("{}", report.to_text());
    }
    Ok(ended(args, report.verdict == Verdict::Refused, report.read))
}

/// A file without records is no import that worked: it is the wrong one, or its export failed.
fn ended(args: &ImportArgs, refused: bool, read: u64) -> ExitCode {
    if read == 0 {
        eprintln!(
            "goldenpath: {}: there is no record in it; nothing was imported",
            args.file.display()
        );
    }
    if refused || read == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn tenant(database: &Database, args: &ImportArgs) -> Result<Tenant, Failed> {
    if let Some(user) = &args.user {
        if !database.accounts().is_known(user).await? {
            eprintln!(
                "goldenpath: warning: no account and no log-in has the id {user}; only who comes with a \
                 token for it will see these records"
            );
        }
        return Ok(Tenant::at_the_machine(user.as_str()));
    }
    let address = args.email.as_deref().unwrap_or_default();
    let email: Email = address.parse().map_err(|error| format!("--email {address}: {error}"))?;
    let account = database.accounts().by_email(&email).await?;
    let account = account.ok_or_else(|| format!("there is no account for {email}"))?;
    Ok(Tenant::at_the_machine(account.user_id.as_str()))
}

/// To a running server, as a stream: the file may be larger than memory.
async fn upload(url: &Address, token: &str, args: &ImportArgs) -> Result<ExitCode, Failed> {
    let file = tokio::fs::File::open(&args.file)
        .await
        .map_err(|error| format!("{}: {error}", args.file.display()))?;
    let length = file.metadata().await?.len();
    let pieces = futures_util::stream::unfold(file, |mut file| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        match file.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(HttpFrame::data(piece.freeze())), file)),
            Err(error) => Some((Err(error), file)),
        }
    });
    let request = Request::post(address_of(args))
        .header("host", url.authority())
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/octet-stream")
        .header("content-length", length)
        .body(StreamBody::new(pieces))?;
    let (status, body) = exchange(url, request).await.map_err(|error| {
        format!("{url}: {error}; is a server running there? `goldenpath serve` starts one")
    })?;
    if args.json {
        println!("{}", String::from_utf8_lossy(&body));
    }
    match serde_json::from_slice::<Uploaded>(&body) {
        Ok(report) => {
            if !args.json && report.read > 0 {
                print!("{}", report.to_text());
            }
            Ok(ended(args, !status.is_success(), report.read))
        }
        Err(_) if args.json => Ok(ExitCode::FAILURE),
        Err(_) => Err(format!("{url} refused with {status}: {}", uploaded::words(&body)).into()),
    }
}

async fn exchange<B>(url: &Address, request: Request<B>) -> Result<(StatusCode, Bytes), Failed>
where
    B: Body<Data = Bytes, Error = std::io::Error> + Send + 'static,
{
    let stream = TcpStream::connect(url.authority()).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, body))
}

fn address_of(args: &ImportArgs) -> String {
    let mut query = form_urlencoded::Serializer::new(String::from("/api/usage/import?"));
    query.append_pair("dry_run", if args.dry_run { "true" } else { "false" });
    query.append_pair("skip_bad", if args.skip_bad { "true" } else { "false" });
    if let Some(name) = args.file.file_name() {
        query.append_pair("name", &name.to_string_lossy());
    }
    if let Some(format) = args.format {
        query.append_pair("format", format.name());
    }
    let named = [
        ("map", &args.map),
        ("model", &args.model),
        ("provider", &args.provider),
        ("feature", &args.feature),
        ("team", &args.team),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

fn format(text: &str) -> Result<Format, String> {
    Format::named(text).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        format!("is none of {}", names.join(", "))
    })
}

/// Progress on the standard error output: one line that is written over on a terminal.
#[derive(Default)]
struct Shown {
    last: Option<Instant>,
}

impl Shown {
    fn show(&mut self, progress: Progress) {
        if self.last.is_some_and(|last| last.elapsed() < PROGRESS_EVERY) {
            return;
        }
        self.last = Some(Instant::now());
        let mut err = std::io::stderr();
        if err.is_terminal() {
            let Progress { read, rejected, bytes } = progress;
            let _ = write!(err, "\r{read} records read, {rejected} rejected, {} MB", bytes >> 20);
        }
    }

    fn clear(&self) {
        let mut err = std::io::stderr();
        if self.last.is_some() && err.is_terminal() {
            let _ = write!(err, "\r\x1b[K");
        }
    }
}
