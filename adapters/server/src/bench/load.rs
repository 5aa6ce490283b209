//! Many connections at once.

use super::numbers::{Spread, float};
use super::peer::{Failure, Path, Peer};
use super::report::{Paths, Range};
use core::time::Duration;
use goldenpath_core::wire::Secret;
use goldenpath_tungstenite::Address;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// How much each connection asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    /// As often as it can for so long.
    For(Duration),
    /// So many times.
    Runs(usize),
}

/// Connections that have asked once and are ready to ask again.
pub(super) struct Crowd {
    peers: Vec<Peer>,
    question: Arc<str>,
}

/// What one connection did.
#[derive(Default)]
struct Done {
    paths: Vec<Path>,
    failure: Option<Failure>,
}

impl Crowd {
    /// Opens a connection for each token; the first question of each is not measured.
    pub(super) async fn connect(
        address: &Address,
        tokens: &[Secret],
        question: &str,
    ) -> Result<Self, Failure> {
        let mut peers = Vec::with_capacity(tokens.len());
        for (nth, token) in tokens.iter().enumerate() {
            let mut peer = Peer::connect(address, token, &nth.to_string()).await?;
            peer.path(question).await?;
            peers.push(peer);
        }
        Ok(Self { peers, question: question.into() })
    }

    /// Lets all of them ask at the same time.
    pub(super) async fn run(self, load: Load) -> Paths {
        let connections = self.peers.len();
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for peer in self.peers {
            tasks.spawn(one(peer, self.question.clone(), load, started));
        }
        let mut done = Vec::with_capacity(connections);
        while let Some(finished) = tasks.join_next().await {
            done.push(finished.unwrap_or_else(|error| Done {
                failure: Some(Failure::Local(error.to_string())),
                ..Done::default()
            }));
        }
        let elapsed = match load {
            Load::For(span) => span,
            Load::Runs(_) => started.elapsed(),
        };
        summary(connections, elapsed, &done)
    }
}

async fn one(mut peer: Peer, question: Arc<str>, load: Load, started: Instant) -> Done {
    let mut done = Done::default();
    loop {
        let wants_more = match load {
            Load::For(span) => started.elapsed() < span,
            Load::Runs(runs) => done.paths.len() < runs,
        };
        if !wants_more {
            return done;
        }
        match peer.path(&question).await {
            // An answer after the end of the time is checked, but not counted.
            Ok(_) if matches!(load, Load::For(span) if started.elapsed() > span) => return done,
            Ok(path) => done.paths.push(path),
            Err(failure) => {
                done.failure = Some(failure);
                return done;
            }
        }
    }
}

fn summary(connections: usize, elapsed: Duration, done: &[Done]) -> Paths {
    let paths: Vec<Path> = done.iter().flat_map(|one| one.paths.iter().copied()).collect();
    let entries: usize = paths.iter().map(|path| path.entries).sum();
    let seconds = elapsed.as_secs_f64();
    Paths {
        connections,
        runs: paths.len(),
        seconds,
        per_second: float(paths.len()) / seconds,
        entries_per_second: float(entries) / seconds,
        entries_per_run: Range {
            min: paths.iter().map(|path| path.entries).min().unwrap_or_default(),
            max: paths.iter().map(|path| path.entries).max().unwrap_or_default(),
        },
        latency_ms: Spread::of(paths.iter().map(|path| path.took).collect()),
        failures: done
            .iter()
            .filter_map(|one| one.failure.as_ref().map(Failure::to_string))
            .collect(),
    }
}
