//! Shards: each is one task that owns the hubs of its users, so that a user's state needs no lock.
//!
//! A shard takes everything that waits in its inbox, hands each piece to its hub, and then lets every
//! hub it touched do what it has to do. It decides nothing.

mod outgoing;
mod runs;
mod task;

pub use outgoing::Outgoing;
pub use runs::{RunControl, RunSink, Runs};

use crate::clock::Clock;
use crate::ports::Store;
use goldenpath_core::hub::Input;
use goldenpath_core::id::{ConnectionId, UserId};
use goldenpath_core::limits::Limits;
use goldenpath_core::outbox;
use goldenpath_core::seed::Seed;
use goldenpath_core::wire::{ClientBody, Reply, ResumePoint};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Commands that may wait in front of one shard before their connections wait too.
const INBOX: usize = 4096;

/// What every shard works with.
#[derive(Clone)]
pub struct Services {
    /// The only reader of clocks.
    pub clock: Clock,
    /// The bounds.
    pub limits: Arc<Limits>,
    /// Starts the tasks of runs.
    pub runs: Arc<dyn Runs>,
    /// The truth.
    pub store: Arc<dyn Store>,
}

/// The way to every user's hub. Cheap to clone.
#[derive(Clone)]
pub struct Shards {
    inboxes: Arc<[Inbox]>,
    counters: Arc<Counters>,
}

/// What the shards have done since they started; for `/ws/stats` and metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Hubs in memory now.
    pub hubs: AtomicU64,
    /// Runs with a task now.
    pub runs: AtomicU64,
    /// Inputs handled.
    pub inputs: AtomicU64,
    /// Commits asked for.
    pub commits: AtomicU64,
    /// Commits under way now.
    pub commits_waiting: AtomicU64,
}

#[derive(Clone)]
struct Inbox {
    /// From connections; bounded, so that a flood waits at its source.
    commands: mpsc::Sender<Message>,
    /// From runs and effects; as many as the hubs have asked for.
    answers: mpsc::UnboundedSender<Message>,
}

pub(crate) enum Message {
    Attach {
        user_id: UserId,
        connection_id: ConnectionId,
        resume: Vec<ResumePoint>,
        reader: bool,
        outbox: outbox::Sender<Outgoing>,
    },
    Hub {
        user_id: UserId,
        input: Input,
    },
    /// Every hub drains; answered when no run and no commit is under way any more.
    Drain(oneshot::Sender<()>),
}

impl Shards {
    /// Starts `count` shards (at least one) on the current runtime.
    #[must_use]
    pub fn start(
        count: usize,
        services: &Services,
        seed: &mut Seed,
    ) -> (Self, Vec<JoinHandle<()>>) {
        let counters = Arc::new(Counters::default());
        let mut inboxes = Vec::new();
        let mut tasks = Vec::new();
        for _ in 0..count.max(1) {
            let (commands, from_connections) = mpsc::channel(INBOX);
            let (answers, from_effects) = mpsc::unbounded_channel();
            let inbox = Inbox { commands, answers: answers.clone() };
            let shard = task::Shard::new(
                services.clone(),
                seed.fork(),
                counters.clone(),
                RunSink::new(answers),
            );
            tasks.push(tokio::spawn(shard.work(from_connections, from_effects)));
            inboxes.push(inbox);
        }
        (Self { inboxes: inboxes.into(), counters }, tasks)
    }

    /// What has been done so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Hands a connection to its user's hub. What the hub says to it comes out of `outbox`, first
    /// [`Outgoing::Attached`]. A `reader` follows threads; an HTTP request attaches without reading.
    pub async fn attach(
        &self,
        user_id: UserId,
        connection_id: ConnectionId,
        resume: Vec<ResumePoint>,
        reader: bool,
        outbox: outbox::Sender<Outgoing>,
    ) {
        let inbox = self.inbox(&user_id);
        let message = Message::Attach { user_id, connection_id, resume, reader, outbox };
        // A shard ends only with the process; then nobody waits for the answer either.
        let _ = inbox.commands.send(message).await;
    }

    /// A command of an attached connection.
    pub async fn command(
        &self,
        user_id: UserId,
        connection_id: ConnectionId,
        reply: Reply,
        body: ClientBody,
    ) {
        let inbox = self.inbox(&user_id);
        let input = Input::Command { connection_id, reply, body };
        let _ = inbox.commands.send(Message::Hub { user_id, input }).await;
    }

    /// A connection is gone. Never waits, so that it can be called where a task ends.
    pub fn detach(&self, user_id: UserId, connection_id: ConnectionId) {
        self.tell(user_id, Input::Detach { connection_id });
    }

    /// A connection has written everything before a mark.
    pub fn marked(&self, user_id: UserId, connection_id: ConnectionId, mark: u64) {
        self.tell(user_id, Input::Marked { connection_id, mark });
    }

    /// Goes on with what a restart left behind: every run that has not ended is continued or ended.
    ///
    /// # Errors
    /// When the store cannot say which runs those are.
    pub async fn recover(&self, store: &dyn Store) -> Result<usize, goldenpath_core::fault::Fault> {
        let left = store.unfinished_runs().await?;
        let mut count = 0;
        for (user_id, runs) in left {
            count += runs.len();
            self.tell(user_id, Input::Recover { runs });
        }
        Ok(count)
    }

    /// Stops accepting and starting (RUN-13); returns when nothing is under way in any hub. The
    /// caller sets the deadline by dropping the future.
    pub async fn drain(&self) {
        let mut waits = Vec::new();
        for inbox in self.inboxes.iter() {
            let (done, wait) = oneshot::channel();
            let _ = inbox.answers.send(Message::Drain(done));
            waits.push(wait);
        }
        for wait in waits {
            let _ = wait.await;
        }
    }

    fn tell(&self, user_id: UserId, input: Input) {
        let inbox = self.inbox(&user_id);
        let _ = inbox.answers.send(Message::Hub { user_id, input });
    }

    fn inbox(&self, user_id: &UserId) -> &Inbox {
        let mut hasher = DefaultHasher::new();
        user_id.hash(&mut hasher);
        &self.inboxes[(hasher.finish() % self.inboxes.len() as u64) as usize]
    }
}

impl Counters {
    fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    fn sub(counter: &AtomicU64, n: u64) {
        counter.fetch_sub(n, Ordering::Relaxed);
    }
}
