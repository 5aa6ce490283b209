//! `goldenpath bench`: measures a running server over real sockets, checks that every run is whole, and
//! runs the same client against a bare WebSocket server for comparison.

mod bare;
mod load;
mod numbers;
mod peer;
mod process;
mod report;

use clap::Args;
use core::time::Duration;
use goldenpath_core::wire::Secret;
use goldenpath_tungstenite::{Address, Rest};
use load::{Crowd, Load};
use numbers::Spread;
use peer::{Failure, Peer};
use process::Process;
use report::{Bare, Connects, Idle, Paths, Ratio, Ready, Report};
use std::process::ExitCode;
use std::time::Instant;

/// Connections of one user among the idle ones: below the server's limit of 16.
const IDLE_PER_USER: usize = 8;
/// Connections that are opened to measure what one costs, when no idle ones are asked for.
const CONNECTS: usize = 200;
const ROUND_TRIPS: usize = 1000;
/// How long a path is measured with one user alone.
const SINGLE: Duration = Duration::from_secs(2);
const SINGLE_RUNS: usize = 500;
/// What a server may do between the last connection and the look at its memory.
const SETTLE: Duration = Duration::from_millis(500);

/// What a server must be started with; with other agents the first minute ends at the rate limit.
const HOW_TO_SERVE: &str = "\
Start the server for it with `goldenpath serve --agents bench`: other agents are held to the rate limit of
their users, which a measurement is soon over. With `--runs 1` it is not.";

/// Measures a running server; the result is JSON on the standard output.
///
/// The client works on one core. Give the server another one (`taskset -c 0 goldenpath serve …`,
/// `taskset -c 1 goldenpath bench …`), and start it with `--agents bench` to measure it and not the
/// analytics; with other agents its rate limit must be raised.
///
/// Exit codes: 0 measured, 1 a run was not whole or failed, 2 wrong usage, 3 no connection.
#[derive(Args, Debug)]
#[command(after_help = HOW_TO_SERVE)]
pub(crate) struct BenchArgs {
    /// The server.
    #[arg(default_value = "http://127.0.0.1:8000")]
    url: Address,
    /// Connections that ask at the same time, each as a user of its own.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    connections: u32,
    /// Questions of each connection; without it they go on for `--duration`.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// How long to measure, in seconds.
    #[arg(long, default_value_t = 5, conflicts_with = "runs", value_parser = clap::value_parser!(u64).range(1..=3600))]
    duration: u64,
    /// The question.
    #[arg(long, default_value = "Analyze my AI costs")]
    message: String,
    /// Idle connections to open, for memory and CPU per connection (needs `--pid` or `--spawn`).
    #[arg(long, default_value_t = 0)]
    idle: usize,
    /// The server's process on this machine.
    #[arg(long, conflicts_with = "spawn")]
    pid: Option<u32>,
    /// Start the server with this command (no shell) and measure the time until it is ready.
    #[arg(long, value_name = "CMD")]
    spawn: Option<String>,
    /// A token for all connections, instead of a demo user for each.
    #[arg(long, env = "GOLDENPATH_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Runs the command, on one thread: the client must not take the server's core.
pub(crate) fn run(args: &BenchArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(measure(args)),
        Err(error) => Err(Failure::Local(error.to_string())),
    };
    match outcome {
        Ok(report) => {
            println!("{report}");
            if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            eprintln!("goldenpath bench: {error}");
            ExitCode::from(if error.is_of_a_run() { 1 } else { 3 })
        }
    }
}

async fn measure(args: &BenchArgs) -> Result<Report, Failure> {
    let mut spawned = None;
    let mut ready = None;
    if let Some(command) = &args.spawn {
        let (process, took) = Process::spawn(command, &args.url).await?;
        ready = Some(Ready { ms: numbers::ms(took) });
        spawned = Some(process);
    }
    let pid = args.pid.or_else(|| spawned.as_ref().map(Process::pid));
    let report = measure_running(args, pid, ready).await;
    if let Some(process) = spawned {
        process.stop().await;
    }
    report
}

async fn measure_running(
    args: &BenchArgs,
    pid: Option<u32>,
    ready: Option<Ready>,
) -> Result<Report, Failure> {
    let (connects, idle) = match pid {
        Some(pid) => connections(args, pid).await?,
        None => (None, None),
    };
    let connections = args.connections as usize;
    let load = match args.runs {
        Some(runs) => Load::Runs(runs as usize),
        None => Load::For(Duration::from_secs(args.duration)),
    };
    let tokens = tokens(args, connections).await?;
    let mut single = Peer::connect(&args.url, &tokens[0], "single").await?;
    // The first answer in a thread also holds the thread's beginning.
    single.path(&args.message).await?;
    let script = single.record(&args.message).await?;
    let most = args.runs.map_or(SINGLE_RUNS, |runs| runs as usize);
    let single_user = alone(&mut single, &args.message, most).await?;
    // A ping is a message to the rate limit: who asks for few runs is measured with few.
    let trips = args.runs.map_or(ROUND_TRIPS, |runs| ROUND_TRIPS.min(runs as usize));
    let round_trip = Spread::of(single.round_trips(trips).await?);
    drop(single);
    let crowd = Crowd::connect(&args.url, &tokens, &args.message).await?;
    let golden_paths = crowd.run(load).await;

    let bare = bare::Server::start(script)?;
    let address = bare.address();
    let none = vec![Secret(String::new()); connections];
    let mut single = Peer::connect(&address, &none[0], "single").await?;
    let bare_single = alone(&mut single, &args.message, most).await?;
    let bare_trip = Spread::of(single.round_trips(trips).await?);
    let crowd = Crowd::connect(&address, &none, &args.message).await?;
    let bare_paths = crowd.run(load).await;
    drop(bare);

    let ratio = Ratio {
        golden_paths: golden_paths.per_second / bare_paths.per_second,
        single_user: single_user.p50 / bare_single.p50,
        round_trip: round_trip.p50 / bare_trip.p50,
    };
    Ok(Report {
        url: args.url.to_string(),
        golden_paths,
        single_user_ms: single_user,
        round_trip_ms: round_trip,
        connect: connects,
        idle,
        ready,
        bare: Bare {
            golden_paths: bare_paths,
            single_user_ms: bare_single,
            round_trip_ms: bare_trip,
            ratio,
        },
    })
}

/// One user, one question after the other: as many as were asked for, or as there is time for.
async fn alone(peer: &mut Peer, message: &str, most: usize) -> Result<Spread, Failure> {
    let mut took = Vec::new();
    let started = Instant::now();
    while took.len() < most.min(SINGLE_RUNS) && (started.elapsed() < SINGLE || took.len() < 3) {
        took.push(peer.path(message).await?.took);
    }
    Ok(Spread::of(took))
}

/// What a connection costs the server, in time and in memory.
async fn connections(
    args: &BenchArgs,
    pid: u32,
) -> Result<(Option<Connects>, Option<Idle>), Failure> {
    let count = if args.idle > 0 { args.idle } else { CONNECTS };
    let users = tokens(args, count.div_ceil(IDLE_PER_USER)).await?;
    // The first connection of a user also makes what the user needs; that is not the connection's.
    let mut peers = Vec::with_capacity(count + users.len());
    for token in &users {
        peers.push(Peer::connect(&args.url, token, "first").await?);
    }
    tokio::time::sleep(SETTLE).await;
    let memory = process::resident_kib(pid)?;
    let cpu = process::cpu(pid)?;
    let mut took = Vec::with_capacity(count);
    let started = Instant::now();
    for nth in 0..count {
        let begun = Instant::now();
        let token = &users[nth / IDLE_PER_USER];
        peers.push(Peer::connect(&args.url, token, "idle").await?);
        took.push(begun.elapsed());
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu = process::cpu(pid)?.saturating_sub(cpu);
    tokio::time::sleep(SETTLE).await;
    let after = process::resident_kib(pid)?;
    let count_f = numbers::float(count);
    let connects = Connects {
        connections: count,
        per_second: count_f / seconds,
        cpu_us_per_connection: cpu.as_secs_f64() * 1e6 / count_f,
        ms: Spread::of(took),
    };
    let idle = (args.idle > 0).then(|| Idle {
        connections: count,
        resident_kib_before: memory,
        resident_kib_after: after,
        kib_per_connection: (numbers::float(after) - numbers::float(memory)) / count_f,
    });
    drop(peers);
    Ok((Some(connects), idle))
}

/// A user for each connection: demo users, unless a token was given.
async fn tokens(args: &BenchArgs, count: usize) -> Result<Vec<Secret>, Failure> {
    if let Some(token) = &args.token {
        return Ok(vec![Secret(token.clone()); count]);
    }
    let rest = Rest::new(args.url.clone(), None);
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        tokens.push(rest.demo().await.map_err(Failure::Token)?);
    }
    Ok(tokens)
}

impl Paths {
    fn problems(&self) -> usize {
        self.failures.len()
    }
}
