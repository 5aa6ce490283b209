//! What a hub asks of the world, and what comes back.

use crate::auth::Scope;
use crate::id::{ClientMsgId, Epoch, EventId, Fence, MessageId, RunId, Seq, ThreadId};
use crate::run::CancelReason;
use crate::time::Wall;
use crate::wire::{EntryBody, Feedback, Metadata, OnDisconnect, RunStatus};
use alloc::string::String;
use alloc::vec::Vec;

/// Changes of one thread that become visible together or not at all.
///
/// A commit of unknown outcome is repeated with the same `id`; the store answers what the first one
/// did (DLV-11). At most one batch of a thread is under way at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Names this batch for ever: the id of its first entry.
    pub id: EventId,
    /// Whose thread. The store refuses a thread of another user as not found (ISO-02).
    pub scope: Scope,
    /// Which thread.
    pub thread_id: ThreadId,
    /// The epoch its entries were encoded with.
    pub epoch: Epoch,
    /// When it was made; `updated_at` of the thread.
    pub at: Wall,
    /// Set when the batch opens the thread.
    pub new_thread: Option<NewThread>,
    /// Set when the title changes.
    pub title: Option<String>,
    /// Set when what its owner keeps with the thread changes; a thread begins with `{}`.
    pub metadata: Option<Metadata>,
    /// Refuse when the head is another.
    pub expected_head: Option<Seq>,
    /// In order; each gets the next `seq`. Empty only when there is something in `cancels`.
    pub entries: Vec<EntryBody>,
    /// A user message and the run that answers it.
    pub message: Option<NewMessage>,
    /// Messages of the assistant among `entries`.
    pub answers: Vec<NewAnswer>,
    /// Runs that change their status; each write is checked against the fence (DLV-09).
    pub runs: Vec<RunChange>,
    /// Runs of this thread that are to end as cancelled (RUN-34).
    pub cancels: Vec<RunCancel>,
}

impl Batch {
    /// Entries of a thread, and nothing beside them.
    #[must_use]
    pub const fn of(
        id: EventId,
        scope: Scope,
        (thread_id, epoch): (ThreadId, Epoch),
        at: Wall,
        entries: Vec<EntryBody>,
    ) -> Self {
        Self {
            id,
            scope,
            thread_id,
            epoch,
            at,
            new_thread: None,
            title: None,
            metadata: None,
            expected_head: None,
            entries,
            message: None,
            answers: Vec::new(),
            runs: Vec::new(),
            cancels: Vec::new(),
        }
    }
}

/// A thread that comes into being.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewThread {
    /// Shown in lists.
    pub title: String,
}

/// A user message, its identity, and its run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewMessage {
    /// Ours.
    pub message_id: MessageId,
    /// The client's; unique per user (DLV-08).
    pub client_msg_id: ClientMsgId,
    /// A digest of content and thread: the same id with another digest is a conflict.
    pub digest: u64,
    /// Which of `entries` is the message, from 0.
    pub entry: u32,
    /// The run that answers it; begins queued with fence 0 unless `runs` says otherwise.
    pub run_id: RunId,
    /// What the loss of the client means for the run.
    pub on_disconnect: OnDisconnect,
}

/// A message of the assistant, so that it can be listed without reading the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewAnswer {
    /// Ours.
    pub message_id: MessageId,
    /// The run it belongs to.
    pub run_id: RunId,
    /// Which of `entries` it is, from 0.
    pub entry: u32,
}

/// A run's new status.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunChange {
    /// Which run.
    pub run_id: RunId,
    /// The fence this writer holds: the store refuses the batch (`Fenced`) when the run has a higher
    /// one or has ended, and raises the run's fence to this one when it is lower (a claim). It refuses
    /// to raise it for a run that is to end as cancelled, unless it ends: who claims it has to know.
    pub fence: Fence,
    /// The new status.
    pub status: RunStatus,
}

/// The wish that a run ends, kept with the run until it has; the first one counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunCancel {
    /// Which run.
    pub run_id: RunId,
    /// The fence under which this writer knows it: the store refuses the batch (`Fenced`) when the run
    /// has a higher one or has ended. It is not raised.
    pub fence: Fence,
    /// Why.
    pub reason: CancelReason,
}

/// What a commit did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Committed {
    /// Everything is durable; the first entry has this position, the others follow.
    Done {
        /// Position of the first entry; without entries, of the one that comes next.
        first_seq: Seq,
    },
    /// The `client_msg_id` was used before with the same digest; nothing was written.
    Duplicate(FirstOutcome),
    /// The `client_msg_id` was used before with another digest; nothing was written.
    Conflict,
    /// The head is not `expected_head`; nothing was written.
    HeadMoved {
        /// Where it is.
        head: Seq,
    },
    /// A run of the batch is held with a higher fence or has ended; nothing was written.
    Fenced,
    /// The thread does not exist, or is not this user's; nothing was written.
    NoThread,
}

/// What the first message with a `client_msg_id` led to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FirstOutcome {
    /// The message.
    pub message_id: MessageId,
    /// Its thread.
    pub thread_id: ThreadId,
    /// Its place.
    pub seq: Seq,
    /// Its run.
    pub run_id: RunId,
    /// How far the run is.
    pub run_status: RunStatus,
}

/// Something to be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Load {
    /// A thread's head and its runs that have not ended, if the thread is this user's.
    Thread {
        /// Which.
        thread_id: ThreadId,
    },
    /// Entries `after_seq < seq ≤ to_seq`, at most `limit`, in order, from the first.
    Entries {
        /// Which thread.
        thread_id: ThreadId,
        /// The last one not wanted.
        after_seq: Seq,
        /// The last one wanted.
        to_seq: Seq,
        /// How many at most; at least one is returned if there is one.
        limit: u64,
    },
    /// What a `client_msg_id` of this user led to before.
    Message {
        /// The client's name for it.
        client_msg_id: ClientMsgId,
    },
    /// A run of this user, ended or not.
    Run {
        /// Which.
        run_id: RunId,
    },
    /// The user's threads, the last changed first.
    Threads {
        /// How many at most.
        limit: u32,
    },
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Loaded {
    /// The thread.
    Thread(StoredThread),
    /// The entries.
    Entries(Vec<(Seq, EntryBody)>),
    /// There is no such thread for this user.
    NoThread,
    /// What the `client_msg_id` led to, and the digest it was used with; `None`: it is new.
    Message(Option<(u64, FirstOutcome)>),
    /// How far a run is; `None`: there is no such run for this user.
    Run(Option<RunAt>),
    /// The threads.
    Threads(Vec<ThreadSummary>),
}

/// Where a run is and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunAt {
    /// Its thread.
    pub thread_id: ThreadId,
    /// Its status.
    pub status: RunStatus,
}

/// A thread in a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ThreadSummary {
    /// The thread.
    pub thread_id: ThreadId,
    /// Its title.
    pub title: String,
    /// Its last entry.
    pub head: Seq,
    /// When it last changed.
    pub updated_at: Wall,
}

/// Something kept beside the logs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// Remove a thread with all it holds; its runs have ended.
    DeleteThread {
        /// Which.
        thread_id: ThreadId,
    },
    /// A rating of an answer; a later one replaces it.
    Feedback {
        /// The rating.
        feedback: Feedback,
        /// When.
        at: Wall,
    },
    /// How far the user has read; never goes back.
    Position {
        /// Which thread.
        thread_id: ThreadId,
        /// How far.
        seq: Seq,
    },
}

/// A thread as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredThread {
    /// The log's epoch.
    pub epoch: Epoch,
    /// Its last entry.
    pub head: Seq,
    /// Its title.
    pub title: String,
    /// Runs that are queued or running, oldest first.
    pub runs: Vec<StoredRun>,
}

/// A run that has not ended, as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredRun {
    /// The run.
    pub run_id: RunId,
    /// Its thread.
    pub thread_id: ThreadId,
    /// The message it answers.
    pub message_id: MessageId,
    /// Where that message is.
    pub message_seq: Seq,
    /// `queued` or `running`.
    pub status: RunStatus,
    /// The highest fence it was written with.
    pub fence: Fence,
    /// What the loss of the client means.
    pub on_disconnect: OnDisconnect,
    /// Why it is to end as cancelled, if that was asked (RUN-34).
    pub cancel: Option<CancelReason>,
}
