//! Watches the store: the core's machine says when to ask and what an answer means, this asks and tells
//! everybody who is connected (F10, F11).

use crate::connection::Connections;
use crate::ports::Store;
use futures_util::FutureExt as _;
use futures_util::future::pending;
use goldenpath_core::health::{
    Dependency, DependencyInput as Input, DependencyOutput as Output, Pace, Standing,
};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::Millis;
use std::sync::Arc;
use tokio::time::sleep_until;

/// What the store is called in `service_status` and on health pages.
pub const STORE: &str = "storage";

/// How often a store is asked. A question costs it next to nothing.
const PACE: Pace = Pace {
    wait: Millis(500),
    tries: 3,
    probe_timeout: Millis::from_secs(2),
    interval: Millis::from_secs(2),
    longest_wait: Millis::from_secs(5),
};

/// Asks the store for as long as the runtime lives; what it does not do is told to every connection,
/// those that come later included, until it does it again.
//= specs/dependencies.md#dep-13
//# While the store is lost every connection MUST be told so, those that come later included, and all of
//# them when it is back.
pub async fn watch_store(store: Arc<dyn Store>, connections: Connections, seed: Seed) {
    let Connections { clock, registry, .. } = &connections;
    let mut machine = Dependency::new(PACE, seed, clock.now().mono);
    machine.handle_timeout(clock.now().mono);
    let mut asked = pending().boxed();
    loop {
        match machine.poll_output() {
            Output::Announce(standing) => {
                let is_lost = standing == Standing::Degraded;
                if is_lost {
                    tracing::warn!("the store does not answer; everybody is told");
                } else {
                    tracing::info!(?standing, "the store");
                }
                let lost = is_lost.then(|| STORE.to_owned());
                registry.service_status(lost.as_slice());
            }
            Output::Idle(deadline) => {
                let sleep = async {
                    match deadline {
                        Some(deadline) => sleep_until(clock.instant(deadline)).await,
                        None => pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    probed = &mut asked => {
                        asked = pending().boxed();
                        machine.handle_input(clock.now().mono, probed);
                    }
                    () = sleep => machine.handle_timeout(clock.now().mono),
                }
            }
            Output::Probe { effect } => {
                let answer = store.ping();
                asked =
                    answer.map(move |said| Input::Probed { effect, works: said.is_ok() }).boxed();
            }
        }
    }
}
