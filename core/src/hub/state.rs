//! What a hub keeps about a connection and a thread.

use crate::hub::RunCancel;
use crate::id::{
    ClientMsgId, ConnectionId, Epoch, Fence, MessageId, RunId, Seq, ThreadId, ToolCallId,
};
use crate::limits::Limits;
use crate::run::{Assignment, CancelReason, Grammar};
use crate::thread::{Log, Subscription};
use crate::time::{Mono, Wall, earliest};
use crate::wire::{
    ClientBody, Draft, Entry, ErrorCode, ErrorFrame, Event, Frame, Metadata, OnDisconnect, Reply,
    ResumePoint, RunStatus, UserMessage,
};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A connection of this user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Connection {
    /// Whether it reads logs.
    pub(super) reader: bool,
    /// Whether it has been told that it is attached; nothing else is told before.
    pub(super) attached: bool,
    /// What it follows.
    pub(super) subscriptions: BTreeMap<ThreadId, Subscription>,
    /// A resume that waits for threads to be loaded; the first one is that of the attach.
    pub(super) resuming: VecDeque<Resuming>,
    /// Threads that began while it waited to be attached, and what was before their first entry.
    pub(super) begun: Vec<(ThreadId, Seq)>,
    /// Marks under way: the thread each belongs to, and the weight of the page before it.
    pub(super) marks: BTreeMap<u64, (ThreadId, PageWeight)>,
    /// Whether the heads changed since they were last told.
    pub(super) heads_changed: bool,
}

/// How much of an outbox a page takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct PageWeight {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

impl PageWeight {
    /// What replays may take of an outbox: the other half is for what is live.
    pub(super) const fn most(limits: &Limits) -> Self {
        Self { frames: limits.outbox_frames / 2, bytes: limits.outbox_bytes / 2 }
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self { frames: self.frames + other.frames, bytes: self.bytes + other.bytes }
    }

    pub(super) const fn fits(self, most: Self) -> bool {
        self.frames <= most.frames && self.bytes <= most.bytes
    }

    /// No page weighs nothing: each has an entry.
    pub(super) const fn is_nothing(self) -> bool {
        self.frames == 0
    }

    pub(super) const fn is_full(self, most: Self) -> bool {
        !self.is_nothing() && (self.frames >= most.frames || self.bytes >= most.bytes)
    }
}

impl Connection {
    /// What its reader has not yet taken of the pages sent to it, over all threads.
    pub(super) fn unread(&self) -> PageWeight {
        let weights = self.marks.values().map(|(_, weight)| *weight);
        weights.fold(PageWeight::default(), PageWeight::plus)
    }
}

/// A resume that waits until all its threads are loaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Resuming {
    /// `None`: the resume of the attach itself.
    pub(super) reply: Option<Reply>,
    /// From where.
    pub(super) points: Vec<ResumePoint>,
    /// Points beyond what one connection may follow.
    pub(super) too_many: Vec<ResumePoint>,
    /// Threads not loaded yet.
    pub(super) missing: BTreeSet<ThreadId>,
    /// Threads that do not exist, or could not be read.
    pub(super) failed: BTreeMap<ThreadId, ErrorCode>,
}

/// Whom an answer is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asked {
    /// A commit of this thread.
    Commit(ThreadId),
    /// The log of a run that is to be continued.
    History { thread_id: ThreadId, run_id: RunId },
    /// A page of a subscription.
    Page { connection_id: ConnectionId, thread_id: ThreadId },
    /// A record.
    Record { connection_id: ConnectionId, reply: Reply, what: &'static str },
    /// A request that is answered with what is read.
    Reply { connection_id: ConnectionId, reply: Reply, request: Request },
    /// A thread's head.
    Thread(ThreadId),
}

/// A request that is answered with what is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Request {
    /// A run to be cancelled that is not at work here.
    Cancel,
    /// A message about to be refused, unless it was accepted before.
    Refusal { client_msg_id: ClientMsgId, digest: u64, error: ErrorFrame },
    /// Entries again.
    Gap,
    /// Entries as one answer.
    History(ThreadId),
    /// The threads.
    Threads,
}

/// One thread.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::large_enum_variant, reason = "loading lasts a moment")]
pub(super) enum Thread {
    /// Its head is being read.
    Loading(Loading),
    /// Known.
    Open(Open),
}

/// Commands that wait for a thread's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Loading {
    /// In order.
    pub(super) waiting: Vec<(ConnectionId, Reply, ClientBody)>,
    /// Whether runs wait here, so that the thread must be read however long it takes.
    pub(super) needed: bool,
    /// Not being read now, because the store failed.
    pub(super) stalled: bool,
}

/// A thread that is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Open {
    /// The writing end.
    pub(super) log: Log,
    /// Shown in lists.
    pub(super) title: String,
    /// Whether the store has it.
    pub(super) stored: bool,
    /// Whether others wrote to it since it was read: there may be runs in it that are not known here.
    pub(super) stale: bool,
    /// What is to be written, in order; the first when the log is free.
    pub(super) ops: VecDeque<Op>,
    /// What the batch under way is for.
    pub(super) purpose: Option<Purpose>,
    /// The run at work (invariant 8: at most one).
    pub(super) running: Option<Running>,
    /// Runs that wait, the next one first.
    pub(super) queued: VecDeque<Queued>,
}

/// Something to be written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Op {
    /// Entries of the run at work. `by` wait for its end, when they end it.
    Append { run_id: RunId, fence: Fence, drafts: Vec<Draft>, by: Vec<(ConnectionId, Reply)> },
    /// The wish that a run at work ends, to be kept with it (RUN-34).
    Cancel { run_id: RunId, by: (ConnectionId, Reply) },
    /// The claim of the run at work.
    Claim,
    /// A run is told that what it has appended before is durable.
    Confirm { run_id: RunId, fence: Fence, tool_call_id: ToolCallId },
    /// A new, empty thread.
    Create { by: (ConnectionId, Reply), title: String, metadata: Option<Metadata> },
    /// A waiting run that is taken back.
    EndQueued { run_id: RunId, reason: CancelReason, by: Option<(ConnectionId, Reply)> },
    /// A user message and its run.
    Message { by: (ConnectionId, Reply), message: UserMessage, message_id: MessageId },
    /// A new title, or other metadata, or both.
    Rename { by: (ConnectionId, Reply), title: Option<String>, metadata: Option<Metadata> },
}

/// What a batch under way is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// Entries of the run at work, or the wish that it ends, or both; `ends` when they end it. `by`
    /// asked for its end.
    Append { run_id: RunId, ends: Option<RunStatus>, by: Vec<(ConnectionId, Reply)> },
    /// A new thread.
    Create { by: (ConnectionId, Reply) },
    /// A waiting run that is taken back.
    EndQueued { run_id: RunId, by: Option<(ConnectionId, Reply)> },
    /// A user message and its run.
    Message(Box<Arriving>),
    /// A new title, or other metadata, or both; the title it then has.
    Rename { by: (ConnectionId, Reply), title: String },
    /// The run at work is claimed.
    Claim,
}

/// A user message on its way into the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Arriving {
    pub(super) by: (ConnectionId, Reply),
    pub(super) message: UserMessage,
    pub(super) message_id: MessageId,
    pub(super) run: Queued,
    /// Set when the run goes to work at once.
    pub(super) starts: Option<Running>,
    /// Whether its sender was told to try later.
    pub(super) told: bool,
}

/// A run that waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Queued {
    pub(super) run_id: RunId,
    pub(super) message_id: MessageId,
    pub(super) message_seq: Seq,
    pub(super) on_disconnect: OnDisconnect,
    /// The highest fence it was written with.
    pub(super) fence: Fence,
    /// What was asked; `None`: to be read from the log, with all the run has there.
    pub(super) question: Option<String>,
    /// It was at work before a crash: it goes on before any other and ends by its own terminal event.
    pub(super) claimed: bool,
    /// To be cancelled as soon as it is at work again.
    pub(super) cancel: Option<CancelReason>,
    /// Whether the store has the wish that it ends: from then on it ends in no other way (RUN-34).
    pub(super) cancel_kept: bool,
    /// Who waits for its end, or for its claim and then that the wish is kept.
    pub(super) cancelled_by: Vec<(ConnectionId, Reply)>,
}

/// The run at work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Running {
    pub(super) run: Queued,
    pub(super) fence: Fence,
    pub(super) stage: Stage,
    /// Which agents and tools are open, as far as appended.
    pub(super) grammar: Grammar,
    /// What the log has of it, while it is being read.
    pub(super) history: Vec<Entry>,
    pub(super) started_at: Wall,
    /// Claims so far.
    pub(super) attempt: u32,
    /// Whether the store has this claim: from then on nobody with a lower fence adds to the run's log.
    pub(super) held: bool,
    /// When the hub ends it itself (F24, RUN-09).
    pub(super) deadline: Option<Mono>,
    pub(super) cancel: Option<CancelReason>,
}

/// How far a run at work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// Its log is being read.
    Reading,
    /// Its claim is to be committed.
    Claiming,
    /// Its task is at work.
    Working,
    /// Its terminal event is to be committed.
    Ending,
}

impl Thread {
    pub(super) fn state_name(&self) -> &'static str {
        let Self::Open(open) = self else { return "loading" };
        match &open.running {
            Some(Running { stage: Stage::Ending, .. }) => "ending",
            Some(Running { cancel: Some(_), .. }) => "cancelling",
            Some(Running { stage: Stage::Reading | Stage::Claiming, .. }) => "claiming",
            Some(Running { stage: Stage::Working, .. }) => "running",
            None if self.is_quiet() => "idle",
            None if open.purpose.is_none() && !open.queued.is_empty() => "queued",
            None => "accepting",
        }
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        match self {
            Self::Loading(_) => None,
            Self::Open(open) => {
                let run = open.running.as_ref().and_then(|running| running.deadline);
                earliest(open.log.deadline(), run)
            }
        }
    }

    /// Whether nothing is under way in it.
    pub(super) fn is_quiet(&self) -> bool {
        match self {
            Self::Loading(_) => false,
            Self::Open(open) => {
                !open.log.is_busy()
                    && open.ops.is_empty()
                    && open.running.is_none()
                    && open.queued.is_empty()
            }
        }
    }

    /// Whether a run is at work in it, or will be once the batch under way is committed.
    pub(super) fn has_running(&self) -> bool {
        match self {
            Self::Loading(_) => false,
            Self::Open(open) => {
                open.running.is_some()
                    || matches!(&open.purpose, Some(Purpose::Message(arriving)) if arriving.starts.is_some())
            }
        }
    }

    pub(super) fn holds_run(&self, run_id: RunId) -> bool {
        match self {
            Self::Loading(_) => false,
            Self::Open(open) => {
                open.running.as_ref().is_some_and(|running| running.run.run_id == run_id)
                    || open.queued.iter().any(|queued| queued.run_id == run_id)
            }
        }
    }
}

impl Open {
    /// The run at work, or one that waits for its turn to go on.
    pub(super) fn begun(&mut self, run_id: RunId) -> Option<Begun<'_>> {
        if let Some(running) = self.running.as_mut().filter(|r| r.run.run_id == run_id) {
            return Some(Begun {
                held: running.held.then_some(running.fence),
                reason: running.cancel,
                ends: running.stage == Stage::Ending,
                run: &mut running.run,
            });
        }
        let run = self.queued.iter_mut().find(|q| q.run_id == run_id)?;
        Some(Begun { held: None, reason: run.cancel, ends: false, run })
    }

    /// The run at work, if a message that interrupts is to end it and its claim is ours.
    pub(super) fn to_interrupt(&self) -> Option<RunCancel> {
        let running = self.running.as_ref().filter(|r| r.held && r.stage != Stage::Ending)?;
        let (run_id, fence) = (running.run.run_id, running.fence);
        Some(RunCancel { run_id, fence, reason: CancelReason::Interrupt })
    }

    /// Whether a batch is about a run whose claim was ours.
    pub(super) fn held(&self, purpose: &Purpose) -> bool {
        let held = self.running.as_ref().filter(|running| running.held);
        matches!((purpose, held), (Purpose::Append { run_id, .. }, Some(running))
            if running.run.run_id == *run_id)
    }

    /// Who waits for the terminal event of a run that is on its way into the log.
    pub(super) fn waiting_for_end(
        &mut self,
        run_id: RunId,
    ) -> Option<&mut Vec<(ConnectionId, Reply)>> {
        if let Some(Purpose::Append { run_id: of, ends: Some(_), by }) = &mut self.purpose
            && *of == run_id
        {
            return Some(by);
        }
        self.ops.iter_mut().rev().find_map(|op| match op {
            // The only run that appends is the one at work.
            Op::Append { by, drafts, .. } => terminal_of(drafts).map(|_| by),
            _ => None,
        })
    }

    /// Whether it is to be read again, now that this harms nothing: a run whose claim the store has is
    /// nobody else's, and goes on to its end first.
    pub(super) fn must_be_read_again(&self) -> bool {
        self.stale
            && !self.log.is_busy()
            && !self.running.as_ref().is_some_and(|running| running.held)
    }

    pub(super) fn new(log: Log, title: String, stored: bool) -> Self {
        Self {
            log,
            title,
            stored,
            stale: false,
            ops: VecDeque::new(),
            purpose: None,
            running: None,
            queued: VecDeque::new(),
        }
    }
}

/// A run that has begun, and what is known of the wish that it ends.
pub(super) struct Begun<'a> {
    pub(super) run: &'a mut Queued,
    /// The fence of its claim, once the store has that: nobody else can claim it unnoticed.
    pub(super) held: Option<Fence>,
    /// Why it is to end, if it is.
    pub(super) reason: Option<CancelReason>,
    /// Whether its terminal event is on its way.
    pub(super) ends: bool,
}

impl Running {
    /// A run about to be claimed for the `attempt`-th time.
    pub(super) fn claiming(run: Queued, attempt: u32, started_at: Wall) -> Self {
        let fence = Fence(run.fence.0 + u64::from(!canary!(RaiseNoFence) || run.fence.0 == 0));
        Self {
            grammar: Grammar::new(run.run_id),
            fence,
            stage: Stage::Claiming,
            history: Vec::new(),
            started_at,
            attempt,
            held: false,
            deadline: None,
            cancel: run.cancel,
            run,
        }
    }

    /// What its task is told; takes the history along.
    pub(super) fn assignment(&mut self, thread_id: ThreadId, epoch: Epoch) -> Assignment {
        Assignment {
            run_id: self.run.run_id,
            thread_id,
            epoch,
            message_id: self.run.message_id,
            message_seq: self.run.message_seq,
            question: self.run.question.clone().unwrap_or_default(),
            attempt: self.attempt,
            started_at: self.started_at,
            history: core::mem::take(&mut self.history),
        }
    }
}

/// Frames shared by all their readers.
pub(super) fn shared(frames: Vec<Frame>) -> Arc<[Frame]> {
    Arc::from(frames)
}

/// The status a list of drafts ends a run with.
pub(super) fn terminal_of(drafts: &[Draft]) -> Option<RunStatus> {
    drafts.iter().find_map(|draft| Event::terminal_status(&draft.event))
}
