//! Users are spread over shards; a shard is one task that owns the hubs of its users, so that a user's
//! state needs no lock.

mod effects;
mod link;
mod runs;
mod task;
mod timers;
mod user;

pub use link::HubLink;
pub use runs::{RunControl, RunSink, Runs};

use crate::Clock;
use crate::ports::Store;
use goldenpath_core::auth::{Scope, Unfinished};
use goldenpath_core::hub::{self, HubReady};
use goldenpath_core::id::{ConnectionId, UserId};
use goldenpath_core::limits::Limits;
use goldenpath_core::outbox;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{CloseCode, Frame, Head, ResumePoint};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Commands that may wait at a shard; beyond it their connections wait.
const INBOX: usize = 8192;

/// What goes through a connection's outbox.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// The hub has taken the connection in.
    Attached(HubReady),
    /// The hub ends the connection.
    Close(CloseCode),
    /// The server drains.
    Drain {
        /// This connection's part of the jitter.
        reconnect_after: Millis,
    },
    /// Text frames, in order.
    Frames(Arc<[Frame]>),
    /// Where the followed threads are.
    Heads(Vec<Head>),
    /// To be answered once everything before it is written.
    Mark(u64),
    /// The credential was revoked.
    Revoked,
    /// The parts that are not available now.
    ServiceStatus(Vec<String>),
}

/// What a shard works with.
#[derive(Clone)]
pub struct Surroundings {
    /// Reads time.
    pub clock: Clock,
    /// The bounds.
    pub limits: Arc<Limits>,
    /// Starts runs.
    pub runs: Arc<dyn Runs>,
    /// Keeps logs.
    pub store: Arc<dyn Store>,
}

/// What a shard is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Connections attached.
    pub connections: usize,
    /// Store calls under way.
    pub effects: usize,
    /// Run tasks.
    pub runs: usize,
    /// Hubs.
    pub users: usize,
}

impl Load {
    fn plus(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            effects: self.effects + other.effects,
            runs: self.runs + other.runs,
            users: self.users + other.users,
        }
    }
}

#[derive(Debug)]
pub(crate) enum ToShard {
    /// A connection of a user is authenticated.
    Attach {
        user: Scope,
        connection_id: ConnectionId,
        resume: Vec<ResumePoint>,
        reader: bool,
        outbox: outbox::Sender<Delivery>,
    },
    /// Something for a user's hub.
    Input { user: Scope, input: hub::Input },
    /// Nothing new is begun from now on (RUN-13).
    Drain,
    /// Drop all run tasks: their logs are their checkpoints.
    KillRuns,
    /// What it is doing.
    Measure(oneshot::Sender<Load>),
}

/// The two ways into a shard.
#[derive(Clone, Debug)]
struct Inbox {
    /// From connections; bounded, so that a flood waits at its source.
    commands: mpsc::Sender<ToShard>,
    /// What ends a wait of the hub's own: as many as it has asked for, so it needs no bound.
    answers: mpsc::UnboundedSender<ToShard>,
}

/// All shards of this process; cheap to clone.
#[derive(Clone)]
pub struct Shards {
    inboxes: Arc<[Inbox]>,
}

impl Shards {
    /// Starts `count` shards (at least one) on the current runtime.
    #[must_use]
    pub fn start(count: usize, around: &Surroundings, seed: &mut Seed) -> Self {
        let inboxes = (0..count.max(1)).map(|number| {
            let (commands, from_connections) = mpsc::channel(INBOX);
            let (answers, from_others) = mpsc::unbounded_channel();
            let shard = task::Shard::new(number, around.clone(), seed.fork(), answers.downgrade());
            tokio::spawn(shard.run(from_connections, from_others));
            Inbox { commands, answers }
        });
        Self { inboxes: inboxes.collect() }
    }

    /// The way to one user's hub.
    #[must_use]
    pub fn link(&self, user: &Scope) -> HubLink {
        HubLink::new(user.clone(), self.inbox(user.user_id()).clone())
    }

    /// Hands a connection to its user's hub; what the hub says to it goes through `outbox`, first
    /// [`Delivery::Attached`]. A reader follows logs, others attach for the time of one command.
    pub async fn attach(
        &self,
        user: &Scope,
        connection_id: ConnectionId,
        resume: Vec<ResumePoint>,
        reader: bool,
        outbox: outbox::Sender<Delivery>,
    ) -> HubLink {
        let attach = ToShard::Attach { user: user.clone(), connection_id, resume, reader, outbox };
        // A shard ends with the process only; then nobody is left to be told.
        let _ = self.inbox(user.user_id()).commands.send(attach).await;
        self.link(user)
    }

    /// Hands the runs that a restart left behind to their users' hubs, which go on with them.
    pub fn recover(&self, unfinished: Vec<Unfinished>) {
        for (user, runs) in unfinished.into_iter().filter_map(Unfinished::take_up) {
            self.link(&user).tell(hub::Input::Recover { runs });
        }
    }

    /// Nothing new is begun from now on (RUN-13).
    pub fn drain(&self) {
        for inbox in self.inboxes.iter() {
            let _ = inbox.answers.send(ToShard::Drain);
        }
    }

    /// Drops all run tasks; the next process goes on from their logs.
    pub fn kill_runs(&self) {
        for inbox in self.inboxes.iter() {
            let _ = inbox.answers.send(ToShard::KillRuns);
        }
    }

    /// What all shards are doing, together.
    pub async fn load(&self) -> Load {
        let mut sum = Load::default();
        for inbox in self.inboxes.iter() {
            let (ask, answer) = oneshot::channel();
            if inbox.answers.send(ToShard::Measure(ask)).is_ok() {
                sum = sum.plus(answer.await.unwrap_or_default());
            }
        }
        sum
    }

    fn inbox(&self, user: &UserId) -> &Inbox {
        // FNV-1a: the same user is on the same shard in every run of the same size.
        let hash = user.as_str().bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let count = self.inboxes.len() as u64;
        &self.inboxes[usize::try_from(hash % count).unwrap_or(0)]
    }
}
