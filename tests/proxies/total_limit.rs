//! An nginx that ends every connection when its time is over, whatever is said on it.
//!
//! nginx has no directive for that, but it does it: after a reload its old workers serve what is open for
//! `worker_shutdown_timeout` and then cut it. One that is reloaded every second, as a deployment that never
//! rests, gives no connection more than that time and a second.

use crate::nginx::{Process, around, nginx, server};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::task::JoinHandle;

/// From one reload to the next.
pub(crate) const RELOAD: Duration = Duration::from_secs(1);

/// A running nginx with a master, its workers, and a task that reloads it.
pub(crate) struct TotalLimit {
    process: Process,
    reloads: JoinHandle<()>,
}

impl TotalLimit {
    /// Before the server on `upstream`; no connection lives longer than `limit` and a reload.
    pub(crate) async fn before(upstream: u16, limit: Duration) -> Self {
        let process = Process::start(1, |_: &Path, ports: &[u16]| {
            let main = format!(
                "master_process on; worker_processes 1; worker_shutdown_timeout {}s;",
                limit.as_secs()
            );
            around(&main, &server(upstream, ports[0], "", ""))
        })
        .await;
        let folder = process.folder.path().to_owned();
        let reloads = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RELOAD).await;
                let reload = Command::from(nginx(&folder)).args(["-s", "reload"]).output().await;
                let reload = reload.unwrap();
                let said = String::from_utf8_lossy(&reload.stderr);
                assert!(reload.status.success(), "nginx cannot be reloaded: {said}");
            }
        });
        Self { process, reloads }
    }

    pub(crate) fn port(&self) -> u16 {
        self.process.ports[0]
    }
}

/// The master must end its workers: a killed one leaves them behind.
impl Drop for TotalLimit {
    fn drop(&mut self) {
        let reloaded = !self.reloads.is_finished();
        self.reloads.abort();
        if let Some(pid) = self.process.child.id() {
            let _ = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status();
        }
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end && matches!(self.process.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(reloaded || std::thread::panicking(), "nginx was reloaded to the end");
    }
}
