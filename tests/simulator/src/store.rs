//! A reference store: what any store must do, in the fewest lines.
//!
//! It stands on nothing but core, so that core's example can be driven by the same file.

use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{
    Batch, Committed, FirstOutcome, Load, Loaded, RunAt, RunCancel, StoredRun, StoredThread,
    ThreadSummary,
};
use goldenpath_core::id::{
    ClientMsgId, Epoch, EventId, Fence, MessageId, RunId, Seq, ThreadId, UserId,
};
use goldenpath_core::run::CancelReason;
use goldenpath_core::store::{Known, KnownThread, RunState, Verdict, decide};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{Entry, EntryBody, OnDisconnect, RunStatus};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// One thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Whose it is.
    pub owner: Option<UserId>,
    /// Its epoch.
    pub epoch: Epoch,
    /// Shown in lists.
    pub title: String,
    /// When it last changed.
    pub updated_at: Wall,
    /// What it keeps, from `seq` 1 on.
    pub entries: Vec<EntryBody>,
    /// The same entries, decoded once; their `seq` is their place.
    pub decoded: Vec<Arc<Entry>>,
    /// Stands for all bytes of all entries.
    digest: u64,
}

impl Log {
    /// The last entry.
    #[must_use]
    pub fn head(&self) -> Seq {
        Seq(self.entries.len() as u64)
    }

    fn append(&mut self, body: &EntryBody) {
        let mut hasher = DefaultHasher::new();
        (self.digest, body).hash(&mut hasher);
        self.digest = hasher.finish();
        self.entries.push(body.clone());
        // What a hub writes can be read: everything that recovers or reads depends on it.
        let entry = Entry::decode(body.bytes()).expect("an entry that can be decoded");
        self.decoded.push(Arc::new(Entry { seq: self.head(), ..entry }));
    }
}

/// The digest stands for the entries.
impl Hash for Log {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.epoch, self.entries.len(), self.digest).hash(state);
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// Its thread.
    pub thread_id: ThreadId,
    /// The message it answers.
    pub message_id: MessageId,
    /// Where that message is.
    pub message_seq: Seq,
    /// How far it is.
    pub status: RunStatus,
    /// The highest fence it was written with.
    pub fence: Fence,
    /// What the loss of the client means.
    pub on_disconnect: OnDisconnect,
    /// Why it is to end as cancelled, if that was asked.
    pub cancel: Option<CancelReason>,
    /// How many runs came before it.
    pub order: usize,
}

/// A user message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Tells the same message from another one with the same name.
    pub digest: u64,
    /// Ours.
    pub message_id: MessageId,
    /// Its thread.
    pub thread_id: ThreadId,
    /// Its place.
    pub seq: Seq,
    /// The run that answers it.
    pub run_id: RunId,
}

/// Everything of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    /// The logs.
    pub threads: BTreeMap<ThreadId, Log>,
    /// The runs, ended or not.
    pub runs: BTreeMap<RunId, Run>,
    /// The messages, by the client's name for them.
    pub messages: BTreeMap<ClientMsgId, Message>,
    batches: BTreeMap<EventId, Seq>,
}

impl Store {
    /// Writes a batch as a whole, or says why not. Its own rules are written once more, and say on
    /// every batch of every history what [`decide`] says, which other stores go by.
    ///
    /// # Errors
    /// [`Fault::Refused`] for what no single hub asks for: entries of another epoch, a thread made
    /// twice, a second run at work in one thread (RUN-01), a run that does not exist. Nothing is written.
    ///
    /// # Panics
    /// When the two differ.
    pub fn commit(&mut self, batch: &Batch) -> Result<Committed, Fault> {
        let rules = decide(batch, self);
        let own = self.commit_by_own_rules(batch);
        let (said, runs) = match rules {
            Ok(Verdict::Write(change)) => (Ok(change.committed()), change.runs),
            Ok(Verdict::Answer(answer)) => (Ok(answer), BTreeMap::new()),
            Err(fault) => (Err(fault), BTreeMap::new()),
        };
        assert_eq!(said, own, "the rules of stores say something else of {batch:?}");
        for (run_id, state) in runs {
            let kept = self.runs.get(&run_id).map(|run| (run.status, run.fence, run.cancel));
            assert_eq!(kept, Some((state.status, state.fence, state.cancel)), "{run_id}");
        }
        own
    }

    fn commit_by_own_rules(&mut self, batch: &Batch) -> Result<Committed, Fault> {
        if let Some(first_seq) = self.batches.get(&batch.id) {
            return Ok(Committed::Done { first_seq: *first_seq });
        }
        let head = match self.threads.get(&batch.thread_id) {
            None if batch.new_thread.is_some() => Seq::ZERO,
            None => return Ok(Committed::NoThread),
            Some(log) if batch.new_thread.is_some() || log.epoch != batch.epoch => {
                return Err(Fault::Refused);
            }
            Some(log) => log.head(),
        };
        if let Some(message) = &batch.message
            && let Some(first) = self.messages.get(&message.client_msg_id)
        {
            if first.digest != message.digest {
                return Ok(Committed::Conflict);
            }
            return Ok(Committed::Duplicate(self.outcome(first)));
        }
        if batch.expected_head.is_some_and(|expected| expected != head) {
            return Ok(Committed::HeadMoved { head });
        }
        let mut runs = self.runs.clone();
        if let Some(message) = &batch.message {
            let run = Run {
                thread_id: batch.thread_id,
                message_id: message.message_id,
                message_seq: head.plus(u64::from(message.entry) + 1),
                status: RunStatus::Queued,
                fence: Fence(0),
                on_disconnect: message.on_disconnect,
                cancel: None,
                order: runs.len(),
            };
            runs.insert(message.run_id, run);
        }
        for change in &batch.runs {
            let Some(run) = runs.get_mut(&change.run_id) else { return Err(Fault::Refused) };
            if run.status.is_terminal() || run.fence > change.fence {
                return Ok(Committed::Fenced);
            }
            let claims = run.fence < change.fence && change.status == RunStatus::Running;
            if claims && run.cancel.is_some() {
                return Ok(Committed::Fenced);
            }
            run.fence = change.fence;
            run.status = change.status;
        }
        for RunCancel { run_id, fence, reason } in &batch.cancels {
            let Some(run) = runs.get_mut(run_id) else { return Err(Fault::Refused) };
            if run.status.is_terminal() || run.fence > *fence {
                return Ok(Committed::Fenced);
            }
            run.cancel.get_or_insert(*reason);
        }
        let here = runs.values().filter(|run| run.thread_id == batch.thread_id);
        if here.filter(|run| run.status == RunStatus::Running).count() > 1 {
            return Err(Fault::Refused);
        }
        self.write(batch, head, runs);
        Ok(Committed::Done { first_seq: head.next() })
    }

    fn write(&mut self, batch: &Batch, head: Seq, runs: BTreeMap<RunId, Run>) {
        self.runs = runs;
        let log = self.threads.entry(batch.thread_id).or_default();
        if let Some(new) = &batch.new_thread {
            log.title.clone_from(&new.title);
            log.epoch = batch.epoch;
            log.owner = Some(batch.scope.user_id().clone());
        }
        if let Some(title) = &batch.title {
            log.title.clone_from(title);
        }
        log.updated_at = batch.at;
        batch.entries.iter().for_each(|body| log.append(body));
        if let Some(message) = &batch.message {
            let stored = Message {
                digest: message.digest,
                message_id: message.message_id,
                thread_id: batch.thread_id,
                seq: head.plus(u64::from(message.entry) + 1),
                run_id: message.run_id,
            };
            self.messages.insert(message.client_msg_id.clone(), stored);
        }
        if !batch.entries.is_empty() {
            self.batches.insert(batch.id, head.next());
        }
    }

    fn outcome(&self, message: &Message) -> FirstOutcome {
        FirstOutcome {
            message_id: message.message_id,
            thread_id: message.thread_id,
            seq: message.seq,
            run_id: message.run_id,
            run_status: self.runs[&message.run_id].status,
        }
    }

    /// Reads.
    #[must_use]
    pub fn load(&self, load: &Load) -> Loaded {
        match load {
            Load::Entries { thread_id, after_seq, to_seq, limit } => {
                let Some(log) = self.threads.get(thread_id) else { return Loaded::NoThread };
                let placed = (1..).map(Seq).zip(log.entries.iter().cloned());
                let wanted = placed.filter(|(seq, _)| seq > after_seq && seq <= to_seq);
                Loaded::Entries(wanted.take(*limit as usize).collect())
            }
            Load::Message { client_msg_id } => {
                let found = self.messages.get(client_msg_id);
                Loaded::Message(found.map(|message| (message.digest, self.outcome(message))))
            }
            Load::Run { run_id } => {
                let run = self.runs.get(run_id);
                let at = |run: &Run| RunAt { thread_id: run.thread_id, status: run.status };
                Loaded::Run(run.map(at))
            }
            Load::Thread { thread_id } => match self.threads.get(thread_id) {
                Some(log) => {
                    let mut runs = self.unfinished();
                    runs.retain(|run| run.thread_id == *thread_id);
                    let (epoch, head, title) = (log.epoch, log.head(), log.title.clone());
                    Loaded::Thread(StoredThread { epoch, head, title, runs })
                }
                None => Loaded::NoThread,
            },
            Load::Threads { limit } => {
                let summary = |(thread_id, log): (&ThreadId, &Log)| ThreadSummary {
                    thread_id: *thread_id,
                    title: log.title.clone(),
                    head: log.head(),
                    updated_at: log.updated_at,
                };
                Loaded::Threads(self.threads.iter().take(*limit as usize).map(summary).collect())
            }
        }
    }

    /// Runs that have not ended, oldest first.
    #[must_use]
    pub fn unfinished(&self) -> Vec<StoredRun> {
        let mut runs: Vec<_> =
            self.runs.iter().filter(|(_, run)| !run.status.is_terminal()).collect();
        runs.sort_by_key(|(_, run)| run.order);
        let stored = |(run_id, run): (&RunId, &Run)| StoredRun {
            run_id: *run_id,
            thread_id: run.thread_id,
            message_id: run.message_id,
            message_seq: run.message_seq,
            status: run.status,
            fence: run.fence,
            on_disconnect: run.on_disconnect,
            cancel: run.cancel,
        };
        runs.into_iter().map(stored).collect()
    }
}

impl Known for Store {
    fn thread(&self, thread_id: ThreadId) -> Option<KnownThread<'_>> {
        let log = self.threads.get(&thread_id)?;
        Some(KnownThread { owner: log.owner.as_ref()?, epoch: log.epoch, head: log.head() })
    }

    fn batch(&self, _: ThreadId, id: EventId) -> Option<Seq> {
        self.batches.get(&id).copied()
    }

    fn first(&self, _: &UserId, id: &ClientMsgId) -> Option<(u64, FirstOutcome)> {
        self.messages.get(id).map(|message| (message.digest, self.outcome(message)))
    }

    fn run(&self, run_id: RunId) -> Option<(ThreadId, RunState)> {
        let run = self.runs.get(&run_id)?;
        let (status, fence, cancel) = (run.status, run.fence, run.cancel);
        Some((run.thread_id, RunState { status, fence, cancel, ..RunState::NEW }))
    }

    fn running(&self, thread_id: ThreadId) -> Option<RunId> {
        let at_work = |run: &Run| run.thread_id == thread_id && run.status == RunStatus::Running;
        self.runs.iter().find(|(_, run)| at_work(run)).map(|(run_id, _)| *run_id)
    }

    fn has_message(&self, message_id: MessageId) -> bool {
        self.messages.values().any(|message| message.message_id == message_id)
    }
}
