//! What a hub hears and says.

use super::{Batch, Committed, Load, Loaded, Record, StoredRun};
use crate::auth::Scope;
use crate::fault::Fault;
use crate::id::{ConnectionId, EffectId, Fence, RunId, ToolCallId};
use crate::run::{Assignment, CancelReason};
use crate::time::Mono;
use crate::wire::{
    ActiveRun, ClientBody, CloseCode, Draft, Frame, Head, Reply, ResumePoint, Resumed,
};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What a connection learns when its hub takes it in; becomes part of `connection_ready`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HubReady {
    /// What became of each resume point.
    pub resume: Vec<Resumed>,
    /// What is under way.
    pub active_runs: Vec<ActiveRun>,
}

/// From outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A connection of this user is authenticated.
    Attach {
        /// Which.
        connection_id: ConnectionId,
        /// Where reading goes on.
        resume: Vec<ResumePoint>,
        /// Whether it reads logs; an HTTP request attaches for one command and follows nothing.
        reader: bool,
    },
    /// A connection is gone.
    Detach {
        /// Which.
        connection_id: ConnectionId,
    },
    /// A connection asks for something; HTTP requests attach for the time of one command.
    Command {
        /// Which.
        connection_id: ConnectionId,
        /// How answers name it.
        reply: Reply,
        /// What.
        body: ClientBody,
    },
    /// The answer to [`Output::Commit`].
    Committed {
        /// Which.
        effect: EffectId,
        /// What it did.
        result: Result<Committed, Fault>,
    },
    /// The answer to [`Output::Load`].
    Loaded {
        /// Which.
        effect: EffectId,
        /// What was read.
        result: Result<Loaded, Fault>,
    },
    /// The answer to [`Output::Mark`]: the connection has written everything before the mark.
    Marked {
        /// Which.
        connection_id: ConnectionId,
        /// The mark.
        mark: u64,
    },
    /// The answer to [`Output::Record`].
    Recorded {
        /// Which.
        effect: EffectId,
        /// Whether what it is about exists for this user.
        result: Result<bool, Fault>,
    },
    /// A run appends to its thread. Its last draft may be its terminal event.
    Append {
        /// Which run.
        run_id: RunId,
        /// The fence it was started with; drafts of an older one are dropped (RUN-07).
        fence: Fence,
        /// In order.
        drafts: Vec<Draft>,
    },
    /// A run asks to hear when what it has appended so far is durable; the answer is `Confirmed`.
    Confirm {
        /// Which run.
        run_id: RunId,
        /// The fence it was started with.
        fence: Fence,
        /// Sent back.
        tool_call_id: ToolCallId,
    },
    /// A run has something to show that is not kept.
    Transient {
        /// Which run.
        run_id: RunId,
        /// The frame.
        frame: Frame,
    },
    /// The task of a run ended; after a terminal event this means nothing, before it the run is
    /// continued from the log, or interrupted.
    RunStopped {
        /// Which run.
        run_id: RunId,
        /// The fence it was started with.
        fence: Fence,
    },
    /// Runs of this user that a restart (or another node's death) left behind.
    Recover {
        /// Which; each is loaded, claimed with a higher fence, and continued.
        runs: Vec<StoredRun>,
    },
    /// The server drains: nothing new is accepted, no run starts (RUN-13).
    Drain,
}

/// To the outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// The first thing a connection gets; goes through its outbox.
    Attached {
        /// Which.
        connection_id: ConnectionId,
        /// What it learns.
        ready: HubReady,
    },
    /// Stop a run's work; it ends with its terminal event.
    CancelRun {
        /// Which.
        run_id: RunId,
        /// Why.
        reason: CancelReason,
    },
    /// End a connection; goes through its outbox.
    Close {
        /// Which.
        connection_id: ConnectionId,
        /// How.
        code: CloseCode,
    },
    /// Make a batch durable; the answer is `Committed`.
    Commit {
        /// The question.
        effect: EffectId,
        /// What.
        batch: Batch,
    },
    /// The answer to a run's `Confirm`.
    Confirmed {
        /// Which run.
        run_id: RunId,
        /// The fence it was started with.
        fence: Fence,
        /// Sent back.
        tool_call_id: ToolCallId,
    },
    /// Frames for a connection's outbox.
    Deliver {
        /// Which.
        connection_id: ConnectionId,
        /// The frames, in order; shared by all their readers.
        frames: Arc<[Frame]>,
        /// Whether they may be dropped when the outbox is short of room.
        droppable: bool,
    },
    /// Another writer has taken over a run that was ours: what this hub knows is old. Its connections
    /// have been told to come back; it is dropped, with the tasks of its runs, and what it asked of the
    /// store is nobody's any more (DLV-26). The last word.
    FencedOff,
    /// The heads of the threads a connection follows changed; what its next `ping` carries.
    Heads {
        /// Which.
        connection_id: ConnectionId,
        /// Where they are.
        heads: Vec<Head>,
    },
    /// Nothing more for now; call `handle_timeout` at the deadline, if there is one.
    Idle(Option<Mono>),
    /// Kill the task of a run that does not end by itself (F24).
    KillRun {
        /// Which.
        run_id: RunId,
    },
    /// Read something; the answer is `Loaded`.
    Load {
        /// The question.
        effect: EffectId,
        /// What.
        load: Load,
    },
    /// A mark for a connection's outbox: once everything before it is written, answer `Marked`. It
    /// paces a replay by its reader, so that no replay can overflow an outbox.
    Mark {
        /// Which.
        connection_id: ConnectionId,
        /// Sent back.
        mark: u64,
    },
    /// Keep something that is no part of a log; the answer is `Recorded`.
    Record {
        /// The question.
        effect: EffectId,
        /// What.
        record: Record,
    },
    /// Nothing is under way and nobody is connected: the hub may be dropped.
    Retire,
    /// Start a run's task.
    StartRun {
        /// What it is to do.
        assignment: Assignment,
        /// What its appends carry.
        fence: Fence,
        /// Whose.
        scope: Scope,
    },
}
