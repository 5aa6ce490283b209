//! Shutting down: the core's machine says what comes next, this drives it (RUN-13, F47).

use crate::connection::Connections;
use goldenpath_core::health::{Drain, DrainInput as Input, DrainOutput as Output};
use goldenpath_core::seed::Seed;
use goldenpath_core::wire::CloseCode;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often runs and connections are counted while waiting for their ends.
const COUNT_EVERY: Duration = Duration::from_millis(20);
/// How long writes handed over to the store may take once everything else has ended.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// Ends everything within `Limits::drain_deadline`; whoever accepts connections has stopped already.
/// Answers whether all ended by itself.
pub async fn drain(connections: &Connections, seed: &mut Seed) -> bool {
    let Connections { clock, limits, registry, shards, .. } = connections;
    let mut machine = Drain::new(limits, seed.fork());
    let mut open = registry.len();
    let mut running = shards.load().await.runs;
    // A machine that serves admits everything.
    for _ in 0..open {
        let _ = machine.admit_connection();
    }
    for _ in 0..running {
        let _ = machine.admit_run();
    }
    machine.handle_input(clock.now().mono, Input::Begin);
    loop {
        match machine.poll_output() {
            Output::CloseConnections => registry.close(CloseCode::Restarting),
            Output::Idle(deadline) => {
                let until = deadline.map(|at| clock.instant(at));
                let next = Instant::now() + COUNT_EVERY;
                // Either the wait ends, or it is time to count.
                let _ = timeout_at(until.unwrap_or(next).min(next), registry.emptied()).await;
                if Instant::now() < next && running > 0 {
                    sleep(COUNT_EVERY).await;
                }
                let now = clock.now().mono;
                let (still_open, still_running) = (registry.len(), shards.load().await.runs);
                for _ in still_open..open {
                    machine.handle_input(now, Input::ConnectionEnded);
                }
                for _ in still_running..running {
                    machine.handle_input(now, Input::RunEnded);
                }
                (open, running) = (still_open.min(open), still_running.min(running));
                machine.handle_timeout(now);
            }
            Output::ReleaseRuns => shards.kill_runs(),
            Output::StopAccepting => shards.drain(),
            Output::Stopped { clean } => {
                let written = last_writes(connections).await;
                return clean && written;
            }
            Output::TellConnections => registry.drain(|| machine.reconnect_after()),
        }
    }
}

/// Waits for the answers to what was handed to the store.
//= specs/drain.md#drain-06
//# A message that was acknowledged before a shutdown MUST be stored once and answered after the
//# restart.
async fn last_writes(connections: &Connections) -> bool {
    let deadline = Instant::now() + LAST_WRITES;
    while connections.shards.load().await.effects > 0 {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(COUNT_EVERY).await;
    }
    true
}
