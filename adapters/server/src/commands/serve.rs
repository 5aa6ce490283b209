//! `goldenpath serve`: from the open port to the last close.

use super::{Failed, runtime};
use crate::config::{Config, LogFormat};
use crate::wiring::{self, Node, metrics};
use goldenpath_runtime::dependency::watch_store;
use goldenpath_runtime::drain::drain;
use goldenpath_runtime::watchdog::{Lateness, watch};
use goldenpath_sqlx::FolderLock;
use goldenpath_warp::{Certificate, Phase, TlsListener, listen, serve, serve_metrics};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Between tries to read what a restart has to go on with.
const RECOVERY_RETRY: Duration = Duration::from_millis(500);
/// Longest wait for what is left of tasks when everything has ended.
const LAST_TASKS: Duration = Duration::from_millis(200);
/// Libraries that write what they carry into the log, tokens and messages included, when they are asked for
/// more than this (AUTH-55).
const TALKATIVE: [&str; 11] = [
    "h2",
    "hyper",
    "hyper_util",
    "openidconnect",
    "reqwest",
    "rustls",
    "sqlx",
    "tokio_rustls",
    "tokio_tungstenite",
    "tungstenite",
    "warp",
];
/// A second signal ends at once (128 + SIGTERM).
const IMPATIENT: i32 = 143;

pub(crate) fn run(config: &Config) -> Result<ExitCode, Failed> {
    start_log(config)?;
    for note in &config.notes {
        tracing::warn!("worth a look: {note}");
    }
    let runtime = runtime(config)?;
    let ended = runtime.block_on(main(config));
    runtime.shutdown_timeout(LAST_TASKS);
    ended
}

async fn main(config: &Config) -> Result<ExitCode, Failed> {
    let mut signals = Signals::new()?;
    // Taken first: a second server must not touch the files of the first.
    let listener = listen(config.listen)
        .map_err(|error| format!("listening on {} failed: {error}", config.listen))?;
    let address = listener.local_addr()?;
    if let Some(metrics_address) = config.metrics_listen {
        let listener = listen(metrics_address)
            .map_err(|error| format!("listening on {metrics_address} failed: {error}"))?;
        tracing::info!(address = %listener.local_addr()?, "metrics are served");
        // Before anything that is counted.
        tokio::spawn(serve_metrics(listener, metrics::count()?));
    }
    let tls = match config.tls() {
        Some((chain, key)) => Some((Certificate::read(chain, key)?, chain, key)),
        None => None,
    };
    let folder = FolderLock::take(&config.store_folder())?;
    let Node { app, condition, connections, database, identities, mut seed } =
        wiring::node(config).await?;
    let serving = match &tls {
        Some((certificate, ..)) => {
            tokio::spawn(serve(app, TlsListener::new(listener, certificate.clone())))
        }
        None => tokio::spawn(serve(app, listener)),
    };
    if let Some((certificate, chain, key)) = &tls {
        tokio::spawn(renew(certificate.clone(), chain.into(), key.into()));
    }
    tokio::spawn(watch(Lateness::default()));
    tokio::spawn(identities.clone().keep_house());

    let store = database.store();
    tokio::spawn(watch_store(store.clone(), connections.clone(), seed.fork()));
    let recovered = tokio::select! {
        unfinished = unfinished(&*store) => {
            let runs: usize = unfinished.iter().map(|of| of.runs().len()).sum();
            connections.shards.recover(unfinished);
            condition.set(Phase::Serving);
            tracing::info!(%address, runs, "serving: {}", config.in_words());
            let scheme = if tls.is_some() { "https" } else { "http" };
            println!("Golden Path on {scheme}://{address} ({})", config.in_words());
            if config.demo() {
                tracing::warn!("demo mode is on: every visitor gets in");
            }
            true
        }
        () = signals.next() => false,
    };
    if recovered {
        signals.next().await;
    }

    tracing::info!("draining");
    tokio::spawn(async move {
        signals.next().await;
        tracing::warn!("a second signal: ending at once");
        std::process::exit(IMPATIENT);
    });
    condition.set(Phase::Draining);
    let clean = drain(&connections, &mut seed).await;
    serving.abort();
    identities.audit().flush().await;
    database.close().await;
    drop(folder);
    tracing::info!(clean, "stopped");
    Ok(ExitCode::SUCCESS)
}

/// At every SIGHUP: a certificate is renewed more often than a server is restarted.
async fn renew(certificate: Certificate, chain: PathBuf, key: PathBuf) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        match certificate.read_again(&chain, &key) {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(problem) => tracing::error!(problem, "the older certificate is shown on"),
        }
    }
}

/// What a restart has to go on with; there is no serving before it is known.
async fn unfinished(
    store: &dyn goldenpath_runtime::ports::Store,
) -> Vec<goldenpath_core::auth::Unfinished> {
    loop {
        match store.unfinished_runs().await {
            Ok(unfinished) => return unfinished,
            Err(fault) => {
                tracing::error!(%fault, "unfinished runs cannot be read; trying again");
                tokio::time::sleep(RECOVERY_RETRY).await;
            }
        }
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn start_log(config: &Config) -> Result<(), Failed> {
    let mut filter = EnvFilter::try_new(&config.log_level)?;
    for library in TALKATIVE {
        filter = filter.add_directive(format!("{library}=info").parse()?);
    }
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Json => log.json().try_init()?,
        LogFormat::Text => {
            log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()?
        }
    }
    Ok(())
}
