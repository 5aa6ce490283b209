//! The rules of a store as plain data: no locks, no time, no failures.

use crate::ports::{Account, Artifact, AuditRow, FeedbackView, Link, LogIn, Role};
use goldenpath_core::auth::{Cutoff, Digest, Scope, Unfinished};
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{
    Batch, Committed, FirstOutcome, Load, Loaded, NewMessage, Record, RunAt, StoredRun,
    StoredThread, ThreadSummary,
};
use goldenpath_core::id::{
    ClientMsgId, Epoch, EventId, MessageId, RunId, Seq, SessionId, ThreadId, UserId,
};
use goldenpath_core::store::{Change, Known, KnownThread, RunState, Verdict, decide};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{EntryBody, Metadata, OnDisconnect, RunStatus};
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
    pub(super) metadata: Metadata,
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
    pub(super) created_at: Wall,
    pub(super) state: RunState,
    message_seq: Seq,
    on_disconnect: OnDisconnect,
}

impl Run {
    fn stored(&self, run_id: RunId) -> StoredRun {
        StoredRun {
            run_id,
            thread_id: self.thread_id,
            message_id: self.message_id,
            message_seq: self.message_seq,
            status: self.state.status,
            fence: self.state.fence,
            on_disconnect: self.on_disconnect,
            cancel: self.state.cancel,
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

impl Memory {
    /// Decides a batch and applies it if it is to be written.
    ///
    /// # Errors
    /// [`Fault::Refused`] for a batch that no hub makes; nothing was written.
    pub fn apply(&mut self, batch: &Batch) -> Result<Committed, Fault> {
        match decide(batch, self)? {
            Verdict::Answer(answer) => Ok(answer),
            Verdict::Write(change) => {
                self.write(batch, &change);
                Ok(change.committed())
            }
        }
    }

    fn first_outcome(&self, user: &UserId, id: &ClientMsgId) -> Option<(u64, FirstOutcome)> {
        let message_id = *self.client_ids.get(&(user.clone(), id.clone()))?;
        let message = self.messages.get(&message_id)?;
        let outcome = FirstOutcome {
            message_id,
            thread_id: message.thread_id,
            seq: message.seq,
            run_id: message.run_id,
            run_status: self.runs.get(&message.run_id)?.state.status,
        };
        Some((message.digest, outcome))
    }

    fn write(&mut self, batch: &Batch, change: &Change) {
        let thread = self.threads.entry(batch.thread_id).or_insert_with(|| Thread {
            user_id: batch.scope.user_id().clone(),
            epoch: batch.epoch,
            title: batch.new_thread.as_ref().map(|new| new.title.clone()).unwrap_or_default(),
            created_at: batch.at,
            updated_at: batch.at,
            entries: Vec::new(),
            position: Seq::ZERO,
            metadata: Metadata::default(),
            batches: BTreeMap::new(),
        });
        thread.updated_at = batch.at;
        if let Some(title) = &batch.title {
            thread.title.clone_from(title);
        }
        if let Some(metadata) = &batch.metadata {
            thread.metadata.clone_from(metadata);
        }
        if !batch.entries.is_empty() {
            thread.batches.insert(batch.id, change.first_seq);
        }
        thread.entries.extend(batch.entries.iter().cloned());
        for (run_id, state) in &change.runs {
            if let Some(run) = self.runs.get_mut(run_id) {
                run.state = *state;
            }
        }
        if let Some(message) = &batch.message {
            self.ask(batch, message, change);
        }
        for answer in &batch.answers {
            let row = Message {
                user_id: batch.scope.user_id().clone(),
                thread_id: batch.thread_id,
                seq: change.seq_of(answer.entry),
                run_id: answer.run_id,
                role: Role::Assistant,
                digest: 0,
            };
            self.messages.insert(answer.message_id, row);
        }
    }

    fn ask(&mut self, batch: &Batch, message: &NewMessage, change: &Change) {
        let user_id = batch.scope.user_id().clone();
        let run = Run {
            n: self.runs_made,
            user_id: user_id.clone(),
            thread_id: batch.thread_id,
            message_id: message.message_id,
            message_seq: change.seq_of(message.entry),
            on_disconnect: message.on_disconnect,
            created_at: batch.at,
            state: change.runs.get(&message.run_id).copied().unwrap_or(RunState::NEW),
        };
        self.runs_made += 1;
        self.runs.insert(message.run_id, run);
        let row = Message {
            user_id: user_id.clone(),
            thread_id: batch.thread_id,
            seq: change.seq_of(message.entry),
            run_id: message.run_id,
            role: Role::User,
            digest: message.digest,
        };
        self.client_ids.insert((user_id, message.client_msg_id.clone()), message.message_id);
        self.messages.insert(message.message_id, row);
    }

    pub(super) fn thread_of(&self, user: &UserId, thread_id: ThreadId) -> Option<&Thread> {
        self.threads.get(&thread_id).filter(|thread| thread.user_id == *user)
    }

    pub(super) fn run_of(&self, user: &UserId, run_id: RunId) -> Option<&Run> {
        self.runs.get(&run_id).filter(|run| run.user_id == *user)
    }

    fn open_runs(&self) -> Vec<(RunId, &Run)> {
        let open = self.runs.iter().filter(|(_, run)| !run.state.status.is_terminal());
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
                    .map(|run| RunAt { thread_id: run.thread_id, status: run.state.status }),
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

impl Known for Memory {
    fn thread(&self, thread_id: ThreadId) -> Option<KnownThread<'_>> {
        let thread = self.threads.get(&thread_id)?;
        Some(KnownThread { owner: &thread.user_id, epoch: thread.epoch, head: thread.head() })
    }

    fn batch(&self, thread_id: ThreadId, id: EventId) -> Option<Seq> {
        self.threads.get(&thread_id)?.batches.get(&id).copied()
    }

    fn first(&self, user_id: &UserId, id: &ClientMsgId) -> Option<(u64, FirstOutcome)> {
        self.first_outcome(user_id, id)
    }

    fn run(&self, run_id: RunId) -> Option<(ThreadId, RunState)> {
        self.runs.get(&run_id).map(|run| (run.thread_id, run.state))
    }

    fn running(&self, thread_id: ThreadId) -> Option<RunId> {
        let at_work =
            |run: &Run| run.thread_id == thread_id && run.state.status == RunStatus::Running;
        self.runs.iter().find(|(_, run)| at_work(run)).map(|(run_id, _)| *run_id)
    }

    fn has_message(&self, message_id: MessageId) -> bool {
        self.messages.contains_key(&message_id)
    }
}
