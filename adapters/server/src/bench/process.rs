//! The server as a process of this machine: what Linux counts for it, and starting it.

use super::peer::Failure;
use core::time::Duration;
use goldenpath_tungstenite::{Address, Rest};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tokio::time::sleep;

const READY: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(10);
/// Ticks a second in `/proc/PID/stat` (`USER_HZ`, 100 on every Linux architecture in use).
const TICK: Duration = Duration::from_millis(10);

fn local(what: &str, error: impl core::fmt::Display) -> Failure {
    Failure::Local(format!("{what}: {error}"))
}

/// CPU time of all threads since their start, in nanoseconds from the scheduler, otherwise in ticks.
pub(super) fn cpu(pid: u32) -> Result<Duration, Failure> {
    by_scheduler(pid).map_or_else(|| by_ticks(pid), Ok)
}

fn by_scheduler(pid: u32) -> Option<Duration> {
    let mut total = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread may end while we look.
        let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else { continue };
        total += Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?);
    }
    (!total.is_zero()).then_some(total)
}

fn by_ticks(pid: u32) -> Result<Duration, Failure> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| local(&path, error))?;
    ticks(&text).map(|ticks| TICK * ticks).ok_or_else(|| local(&path, "another form"))
}

/// User and system time (fields 14 and 15, counted after the name, which may hold anything).
fn ticks(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Resident memory, in KiB.
pub(super) fn resident_kib(pid: u32) -> Result<usize, Failure> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(|error| local(&path, error))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.ok_or_else(|| local(&path, "no VmRSS"))
}

/// A server that was started here.
pub(super) struct Process {
    child: Child,
}

impl Process {
    /// Starts a command and waits until `/health` answers 200; returns how long that took.
    pub(super) async fn spawn(
        command: &str,
        address: &Address,
    ) -> Result<(Self, Duration), Failure> {
        let mut words = command.split_whitespace();
        let program = words.next().ok_or_else(|| local("--spawn", "empty"))?;
        let rest = Rest::new(address.clone(), None);
        if rest.get::<serde_json::Value>("/health").await.is_ok() {
            return Err(local("--spawn", format!("somebody already answers at {address}")));
        }
        let started = Instant::now();
        let child = Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| local(program, error))?;
        let mut process = Self { child };
        while started.elapsed() < READY {
            if rest.get::<serde_json::Value>("/health").await.is_ok() {
                return Ok((process, started.elapsed()));
            }
            if let Ok(Some(status)) = process.child.try_wait() {
                return Err(local(program, status));
            }
            sleep(Duration::from_millis(1)).await;
        }
        process.stop().await;
        Err(local(program, format!("not ready within {} s", READY.as_secs())))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and ends it when it does not.
    pub(super) async fn stop(mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        let started = Instant::now();
        while asked.is_ok() && started.elapsed() < STOP {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 120 30 0 0 20 0 1";
        assert_eq!(ticks(stat), Some(150));
        assert_eq!(ticks("nonsense"), None);
    }

    #[test]
    fn this_process_has_time_and_memory() {
        let mut sum = 0_u64;
        for n in 0..20_000_000_u64 {
            sum = core::hint::black_box(sum.wrapping_add(n));
        }
        let pid = std::process::id();
        assert!(cpu(pid).unwrap() > Duration::ZERO);
        assert!(resident_kib(pid).unwrap() > 100);
        assert!(by_ticks(pid).is_ok());
    }
}
