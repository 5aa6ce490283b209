//! The rules of a store as plain data: no locks, no time, no failures.

use crate::ports::{Account, Artifact, AuditRow, FeedbackView, Link, LogIn, Role};
use goldenpath_core::auth::{Cutoff, Digest, Scope, Unfinished};
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{
    Batch, Committed, FirstOutcome, Load, Loaded, Record, RunAt, RunCancel, RunChange, StoredRun,
    StoredThread, ThreadSummary,
};
use goldenpath_core::id::{
    ClientMsgId, Epoch, EventId, Fence, MessageId, RunId, Seq, SessionId, ThreadId, UserId,
};
use goldenpath_core::run::CancelReason;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{EntryBody, OnDisconnect, RunStatus};
use std::collections::BTreeMap;

/// Everything a store knows. Equal values answer every question alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub(super) threads: BTreeMap<ThreadId, Thread>,
    pub(super) runs: BTreeMap<RunId, Run>,
    pub(super) messages: BTreeMap<MessageId, Message>,
    client_ids: BTreeMap<(UserId, ClientMsgId), MessageId>,
    pub(super) feedback: BTreeMap<MessageId, FeedbackView>,
    pub(super) accounts: BTreeMap<UserId, Account>,
    pub(super) preferences: BTreeMap<UserId, String>,
    pub(super) log_ins: BTreeMap<Digest, LogIn>,
    pub(super) audit: Vec<AuditRow>,
    pub(super) audited: u64,
    pub(super) revoked: BTreeMap<(UserId, SessionId), Wall>,
    pub(super) cutoffs: BTreeMap<UserId, Cutoff>,
    pub(super) links: BTreeMap<(String, String), Link>,
    pub(super) artifacts: BTreeMap<(RunId, String), Artifact>,
    runs_made: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Thread {
    pub(super) user_id: UserId,
    pub(super) epoch: Epoch,
    pub(super) title: String,
    pub(super) created_at: Wall,
    pub(super) updated_at: Wall,
    pub(super) entries: Vec<EntryBody>,
    pub(super) position: Seq,
    batches: BTreeMap<EventId, Seq>,
}

impl Thread {
    pub(super) fn head(&self) -> Seq {
        Seq(self.entries.len() as u64)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) n: u64,
    pub(super) user_id: UserId,
    pub(super) thread_id: ThreadId,
    pub(super) message_id: MessageId,
    pub(super) status: RunStatus,
    pub(super) created_at: Wall,
    pub(super) started_at: Option<Wall>,
    pub(super) ended_at: Option<Wall>,
    message_seq: Seq,
    fence: Fence,
    on_disconnect: OnDisconnect,
    cancel: Option<CancelReason>,
}

impl Run {
    /// The documented order of [`RunChange`]: a higher fence or an end refuses, a lower fence is raised.
    fn change(&mut self, change: &RunChange, at: Wall) -> Result<(), Committed> {
        if self.status.is_terminal() || self.fence > change.fence {
            return Err(Committed::Fenced);
        }
        let claims = self.fence < change.fence && change.status == RunStatus::Running;
        if claims && self.cancel.is_some() {
            return Err(Committed::Fenced);
        }
        self.fence = change.fence;
        self.status = change.status;
        if self.status == RunStatus::Running {
            self.started_at.get_or_insert(at);
        } else if self.status.is_terminal() {
            self.ended_at = Some(at);
        }
        Ok(())
    }

    fn stored(&self, run_id: RunId) -> StoredRun {
        StoredRun {
            run_id,
            thread_id: self.thread_id,
            message_id: self.message_id,
            message_seq: self.message_seq,
            status: self.status,
            fence: self.fence,
            on_disconnect: self.on_disconnect,
            cancel: self.cancel,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) user_id: UserId,
    pub(super) thread_id: ThreadId,
    pub(super) seq: Seq,
    pub(super) run_id: RunId,
    pub(super) role: Role,
    digest: u64,
}

/// Why a batch is not written.
enum Not {
    Answer(Committed),
    Fault(Fault),
}

impl From<Committed> for Not {
    fn from(answer: Committed) -> Self {
        Self::Answer(answer)
    }
}

const REFUSED: Not = Not::Fault(Fault::Refused);

impl Memory {
    /// Decides a batch and applies it if it is to be written; the order of the checks is that of
    /// [`Store`](crate::ports::Store).
    ///
    /// # Errors
    /// [`Fault::Refused`] for a batch that no hub makes; nothing was written.
    pub fn apply(&mut self, batch: &Batch) -> Result<Committed, Fault> {
        let head = match self.check(batch) {
            Ok(head) => head,
            Err(Not::Answer(answer)) => return Ok(answer),
            Err(Not::Fault(fault)) => return Err(fault),
        };
        let runs = match self.changed_runs(batch, head) {
            Ok(runs) => runs,
            Err(Not::Answer(answer)) => return Ok(answer),
            Err(Not::Fault(fault)) => return Err(fault),
        };
        self.write(batch, head, runs);
        Ok(Committed::Done { first_seq: head.next() })
    }

    fn check(&self, batch: &Batch) -> Result<Seq, Not> {
        let len = batch.entries.len() as u64;
        let inside = |entry: u32| u64::from(entry) < len;
        let message = batch.message.as_ref();
        if (len == 0 && (batch.cancels.is_empty() || batch.new_thread.is_some()))
            || !message.is_none_or(|m| inside(m.entry))
            || !batch.answers.iter().all(|a| inside(a.entry))
        {
            return Err(REFUSED);
        }
        let head = match self.threads.get(&batch.thread_id) {
            None if batch.new_thread.is_some() => Seq::ZERO,
            None => return Err(Committed::NoThread.into()),
            Some(thread) if thread.user_id != *batch.scope.user_id() => {
                return Err(Committed::NoThread.into());
            }
            Some(thread) => {
                if let Some(first_seq) = thread.batches.get(&batch.id) {
                    return Err(Committed::Done { first_seq: *first_seq }.into());
                }
                if batch.new_thread.is_some() || thread.epoch != batch.epoch {
                    return Err(REFUSED);
                }
                thread.head()
            }
        };
        if let Some(message) = message
            && let Some(first) = self.first_outcome(batch.scope.user_id(), &message.client_msg_id)
        {
            let (digest, outcome) = first;
            let same = digest == message.digest;
            return Err(
                if same { Committed::Duplicate(outcome) } else { Committed::Conflict }.into()
            );
        }
        if batch.expected_head.is_some_and(|expected| expected != head) {
            return Err(Committed::HeadMoved { head }.into());
        }
        Ok(head)
    }

    fn first_outcome(&self, user: &UserId, id: &ClientMsgId) -> Option<(u64, FirstOutcome)> {
        let message_id = *self.client_ids.get(&(user.clone(), id.clone()))?;
        let message = self.messages.get(&message_id)?;
        let outcome = FirstOutcome {
            message_id,
            thread_id: message.thread_id,
            seq: message.seq,
            run_id: message.run_id,
            run_status: self.runs.get(&message.run_id)?.status,
        };
        Some((message.digest, outcome))
    }

    /// The runs of the batch as they are after it.
    fn changed_runs(&self, batch: &Batch, head: Seq) -> Result<BTreeMap<RunId, Run>, Not> {
        let mut changed = BTreeMap::new();
        if let Some(message) = &batch.message {
            let run = Run {
                n: self.runs_made,
                user_id: batch.scope.user_id().clone(),
                thread_id: batch.thread_id,
                message_id: message.message_id,
                message_seq: head.plus(u64::from(message.entry) + 1),
                status: RunStatus::Queued,
                fence: Fence(0),
                on_disconnect: message.on_disconnect,
                cancel: None,
                created_at: batch.at,
                started_at: None,
                ended_at: None,
            };
            changed.insert(message.run_id, run);
        }
        let named = batch.runs.iter().map(|change| change.run_id);
        let wished = batch.cancels.iter().map(|cancel| cancel.run_id);
        let answered = batch.answers.iter().map(|answer| answer.run_id);
        for run_id in named.chain(answered).chain(wished) {
            if changed.contains_key(&run_id) {
                continue;
            }
            match self.runs.get(&run_id) {
                Some(run) if run.thread_id == batch.thread_id => {
                    changed.insert(run_id, run.clone());
                }
                _ => return Err(REFUSED),
            }
        }
        for change in &batch.runs {
            if let Some(run) = changed.get_mut(&change.run_id) {
                run.change(change, batch.at)?;
            }
        }
        for RunCancel { run_id, fence, reason } in &batch.cancels {
            if let Some(run) = changed.get_mut(run_id) {
                if run.status.is_terminal() || run.fence > *fence {
                    return Err(Committed::Fenced.into());
                }
                run.cancel.get_or_insert(*reason);
            }
        }
        // Only a batch that starts a run can make it two.
        let starts = changed.values().any(|run| run.status == RunStatus::Running);
        let untouched = self.runs.iter().filter(|(id, _)| starts && !changed.contains_key(id));
        let running = untouched
            .chain(&changed)
            .filter(|(_, r)| r.thread_id == batch.thread_id && r.status == RunStatus::Running);
        let mut ids: Vec<_> = batch.answers.iter().map(|answer| answer.message_id).collect();
        ids.extend(batch.message.as_ref().map(|message| message.message_id));
        let given = ids.len();
        ids.sort_unstable();
        ids.dedup();
        let taken = ids.len() < given
            || ids.iter().any(|id| self.messages.contains_key(id))
            || batch.message.as_ref().is_some_and(|m| self.runs.contains_key(&m.run_id));
        if running.count() > 1 || taken { Err(REFUSED) } else { Ok(changed) }
    }

    fn write(&mut self, batch: &Batch, head: Seq, runs: BTreeMap<RunId, Run>) {
        let at = |entry: u32| head.plus(u64::from(entry) + 1);
        let thread = self.threads.entry(batch.thread_id).or_insert_with(|| Thread {
            user_id: batch.scope.user_id().clone(),
            epoch: batch.epoch,
            title: batch.new_thread.as_ref().map(|new| new.title.clone()).unwrap_or_default(),
            created_at: batch.at,
            updated_at: batch.at,
            entries: Vec::new(),
            position: Seq::ZERO,
            batches: BTreeMap::new(),
        });
        thread.updated_at = batch.at;
        if let Some(title) = &batch.title {
            thread.title.clone_from(title);
        }
        if !batch.entries.is_empty() {
            thread.batches.insert(batch.id, head.next());
        }
        thread.entries.extend(batch.entries.iter().cloned());
        if let Some(message) = &batch.message {
            self.runs_made += 1;
            let key = (batch.scope.user_id().clone(), message.client_msg_id.clone());
            self.client_ids.insert(key, message.message_id);
            let row = Message {
                user_id: batch.scope.user_id().clone(),
                thread_id: batch.thread_id,
                seq: at(message.entry),
                run_id: message.run_id,
                role: Role::User,
                digest: message.digest,
            };
            self.messages.insert(message.message_id, row);
        }
        for answer in &batch.answers {
            let row = Message {
                user_id: batch.scope.user_id().clone(),
                thread_id: batch.thread_id,
                seq: at(answer.entry),
                run_id: answer.run_id,
                role: Role::Assistant,
                digest: 0,
            };
            self.messages.insert(answer.message_id, row);
        }
        self.runs.extend(runs);
    }

    pub(super) fn thread_of(&self, user: &UserId, thread_id: ThreadId) -> Option<&Thread> {
        self.threads.get(&thread_id).filter(|thread| thread.user_id == *user)
    }

    pub(super) fn run_of(&self, user: &UserId, run_id: RunId) -> Option<&Run> {
        self.runs.get(&run_id).filter(|run| run.user_id == *user)
    }

    fn open_runs(&self) -> Vec<(RunId, &Run)> {
        let open = self.runs.iter().filter(|(_, run)| !run.status.is_terminal());
        let mut open: Vec<_> = open.map(|(id, run)| (*id, run)).collect();
        open.sort_by_key(|(_, run)| run.n);
        open
    }

    /// Reads.
    #[must_use]
    pub fn load(&self, user: &Scope, load: &Load) -> Loaded {
        let user = user.user_id();
        match load {
            Load::Thread { thread_id } => {
                let Some(thread) = self.thread_of(user, *thread_id) else {
                    return Loaded::NoThread;
                };
                let runs = self.open_runs();
                let runs = runs.iter().filter(|(_, run)| run.thread_id == *thread_id);
                Loaded::Thread(StoredThread {
                    epoch: thread.epoch,
                    head: thread.head(),
                    title: thread.title.clone(),
                    runs: runs.map(|(id, run)| run.stored(*id)).collect(),
                })
            }
            Load::Entries { thread_id, after_seq, to_seq, limit } => {
                let Some(thread) = self.thread_of(user, *thread_id) else {
                    return Loaded::NoThread;
                };
                let numbered = thread.entries.iter().zip(1..).map(|(e, n)| (Seq(n), e.clone()));
                let wanted = numbered.filter(|(seq, _)| after_seq < seq && seq <= to_seq);
                let limit = usize::try_from(*limit).unwrap_or(usize::MAX).max(1);
                Loaded::Entries(wanted.take(limit).collect())
            }
            Load::Message { client_msg_id } => {
                Loaded::Message(self.first_outcome(user, client_msg_id))
            }
            Load::Run { run_id } => Loaded::Run(
                self.run_of(user, *run_id)
                    .map(|run| RunAt { thread_id: run.thread_id, status: run.status }),
            ),
            Load::Threads { limit } => {
                let of_user = self.threads.iter().filter(|(_, thread)| thread.user_id == *user);
                let summary = of_user.map(|(id, thread)| ThreadSummary {
                    thread_id: *id,
                    title: thread.title.clone(),
                    head: thread.head(),
                    updated_at: thread.updated_at,
                });
                let mut threads: Vec<_> = summary.collect();
                threads.sort_by_key(|t| core::cmp::Reverse((t.updated_at, t.thread_id)));
                threads.truncate(*limit as usize);
                Loaded::Threads(threads)
            }
        }
    }

    /// Keeps something beside the logs; `false`: what it is about does not exist for this user.
    pub fn record(&mut self, user: &Scope, record: &Record) -> bool {
        let user = user.user_id();
        match record {
            Record::DeleteThread { thread_id } => self.delete(user, *thread_id),
            Record::Feedback { feedback, at } => {
                let message = self.messages.get(&feedback.message_id);
                let rated = |m: &&Message| m.user_id == *user && m.role == Role::Assistant;
                let known = message.filter(rated).is_some();
                if known {
                    let view = FeedbackView { feedback: feedback.clone(), at: *at };
                    self.feedback.insert(feedback.message_id, view);
                }
                known
            }
            Record::Position { thread_id, seq } => {
                let thread = self.threads.get_mut(thread_id).filter(|t| t.user_id == *user);
                thread.is_some_and(|thread| {
                    thread.position = thread.position.max((*seq).min(thread.head()));
                    true
                })
            }
        }
    }

    fn delete(&mut self, user: &UserId, thread_id: ThreadId) -> bool {
        if self.thread_of(user, thread_id).is_none() {
            return false;
        }
        self.threads.remove(&thread_id);
        self.messages.retain(|_, message| message.thread_id != thread_id);
        self.runs.retain(|_, run| run.thread_id != thread_id);
        self.client_ids.retain(|_, message_id| self.messages.contains_key(message_id));
        self.feedback.retain(|message_id, _| self.messages.contains_key(message_id));
        self.artifacts.retain(|(run_id, _), _| self.runs.contains_key(run_id));
        true
    }

    /// All runs that have not ended, by user, each user's oldest first.
    #[must_use]
    pub fn unfinished_runs(&self) -> Vec<Unfinished> {
        let mut by_user: BTreeMap<UserId, Vec<StoredRun>> = BTreeMap::new();
        for (run_id, run) in self.open_runs() {
            by_user.entry(run.user_id.clone()).or_default().push(run.stored(run_id));
        }
        by_user.into_iter().map(|(owner, runs)| Unfinished::new(owner, runs)).collect()
    }
}
