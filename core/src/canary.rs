//! Known bugs, to show that the suites would catch them. Only behind the feature `canary`, which nothing
//! but `tests/canaries` turns on; without it each of them is the constant `false`.
//!
//! One at a time is let loose, by its name in the environment variable `GOLDENPATH_CANARY`.

use crate::auth::Scope;
use crate::wire::Frame;
use alloc::sync::Arc;
use std::sync::{LazyLock, Mutex, PoisonError};

macro_rules! canaries {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A bug somebody could write.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Canary {
            $($(#[$doc])* $name,)*
        }

        impl Canary {
            fn named(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

canaries! {
    /// `ack` is said before message and run are committed (DLV-12).
    AckBeforeCommit,
    /// A run that is cancelled may take as long as it likes (RUN-09).
    CancelWithoutGrace,
    /// A connection or run is admitted while draining (DRAIN-07).
    DrainAdmits,
    /// What an older task of a run says is taken for the newer one's (RUN-07).
    DropFence,
    /// A credential ends and nobody is told (AUTH-03).
    ExpiryUnnoticed,
    /// The silence of a peer is not noticed (CONN-09).
    HeartbeatUnnoticed,
    /// What is said before the connection is ready is lost (CONN-02).
    LoseEarlyFrames,
    /// A cancel is acknowledged and not kept (RUN-34).
    ForgetCancel,
    /// A receiver is not told that its last sender is gone.
    LostWakeUp,
    /// What one user is sent is sent to the next one, too (invariant 9).
    NeighboursFrames,
    /// A connection is handed to the hub of another user (invariant 9).
    NeighboursHub,
    /// An open breaker stays open (DEP-02).
    NeverHalfOpen,
    /// All who failed together come back together (DEP-12).
    NoJitter,
    /// A tool at work stays open when its run is cancelled (RUN-05).
    OpenToolOnCancel,
    /// A full outbox drops a durable entry and says nothing (DLV-10).
    OverflowDropsEntry,
    /// A refresh with the token of another user takes the connection over (AUTH-04).
    PreviousUser,
    /// An entry is sent before the store has confirmed it (DLV-01).
    PublishBeforeCommit,
    /// A run is taken over under the fence it had (DLV-09).
    RaiseNoFence,
    /// A write of unknown outcome is repeated as a new one (DLV-11).
    RenumberRetry,
    /// The report is left out when a step before it failed (RUN-14).
    ReportSkipped,
    /// A replay begins one entry too late (DLV-04).
    ResumeFromNext,
    /// A reader takes an entry it has for a new one (DLV-06).
    SeenTwice,
    /// A run ends twice (RUN-06).
    SecondTerminal,
    /// A replay ends without a word (DLV-16).
    SkipReplayComplete,
    /// A store takes a write of an older fence (DLV-09).
    StoreNeverFences,
    /// A tool that is not repeatable is called before that is in the log (RUN-35).
    ToolTooSoon,
    /// Two runs of one thread are at work (RUN-01).
    TwoRuns,
}

static LOOSE: LazyLock<Option<Canary>> = LazyLock::new(|| {
    let name = std::env::var("GOLDENPATH_CANARY").ok()?;
    Some(Canary::named(&name).unwrap_or_else(|| panic!("there is no canary {name}")))
});

impl Canary {
    /// Whether this bug is let loose in this process.
    #[must_use]
    pub fn is_loose(self) -> bool {
        *LOOSE == Some(self)
    }
}

/// Frames for a reader of this user; with [`Canary::NeighboursFrames`] those of another one behind them.
pub(crate) fn with_the_neighbours(user: &Scope, frames: &Arc<[Frame]>) -> Arc<[Frame]> {
    static LAST: Mutex<Option<(Scope, Arc<[Frame]>)>> = Mutex::new(None);
    if !Canary::NeighboursFrames.is_loose() {
        return frames.clone();
    }
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    match last.replace((user.clone(), frames.clone())) {
        Some((other, theirs)) if other != *user => frames.iter().chain(&*theirs).cloned().collect(),
        _ => frames.clone(),
    }
}
