//! Decides a group of batches one after the other over what was read for all of them at once, and
//! gathers what is to be written. Pure: no SQL, no time.

use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Batch, Committed, FirstOutcome, NewMessage};
use goldenpath_core::id::{ClientMsgId, Epoch, EventId, MessageId, RunId, Seq, ThreadId, UserId};
use goldenpath_core::store::{Change, Known, KnownThread, RunState, Verdict, decide};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{Metadata, OnDisconnect, RunStatus};
use goldenpath_runtime::ports::Role;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A row of `thread`, and its running run.
#[derive(Clone, Debug)]
pub(super) struct ThreadRow {
    pub(super) user_id: UserId,
    pub(super) epoch: Epoch,
    pub(super) head: Seq,
    pub(super) title: String,
    pub(super) created_at: Wall,
    pub(super) updated_at: Wall,
    pub(super) running: Option<RunId>,
}

/// A row of `run`.
#[derive(Clone, Debug)]
pub(super) struct RunRow {
    pub(super) n: i64,
    pub(super) thread_id: ThreadId,
    pub(super) user_id: UserId,
    pub(super) message_id: MessageId,
    pub(super) message_seq: Seq,
    pub(super) on_disconnect: OnDisconnect,
    pub(super) created_at: Wall,
    pub(super) state: RunState,
}

/// A row of `message`.
#[derive(Clone, Debug)]
pub(super) struct MessageRow {
    pub(super) message_id: MessageId,
    pub(super) thread_id: ThreadId,
    pub(super) user_id: UserId,
    pub(super) seq: Seq,
    pub(super) run_id: RunId,
    pub(super) role: Role,
    pub(super) client: Option<(ClientMsgId, u64)>,
}

/// A row of `log_segment`; its entries are those of the batch at `batch` in the group.
#[derive(Clone, Debug)]
pub(super) struct SegmentRow {
    pub(super) thread_id: ThreadId,
    pub(super) first_seq: Seq,
    pub(super) batch: usize,
}

/// The first message with a client's name; its run is among the runs.
#[derive(Clone, Debug)]
pub(super) struct First {
    pub(super) digest: u64,
    pub(super) message_id: MessageId,
    pub(super) thread_id: ThreadId,
    pub(super) seq: Seq,
    pub(super) run_id: RunId,
}

/// What the store holds of all that a group touches, and then what it will hold.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) threads: HashMap<ThreadId, ThreadRow>,
    pub(super) batches: HashMap<(ThreadId, EventId), Seq>,
    pub(super) firsts: HashMap<(UserId, ClientMsgId), First>,
    pub(super) runs: HashMap<RunId, RunRow>,
    /// The number the next run gets.
    pub(super) next_run: i64,
    /// Threads to be written.
    pub(super) changed_threads: BTreeSet<ThreadId>,
    /// Metadata to be written.
    pub(super) metadata: BTreeMap<ThreadId, Metadata>,
    /// Runs to be written.
    pub(super) changed_runs: BTreeSet<RunId>,
    /// Messages to be written.
    pub(super) messages: Vec<MessageRow>,
    /// Segments to be written.
    pub(super) segments: Vec<SegmentRow>,
}

impl Group {
    /// Decides the batch at `place` in the group. An id of a message that is taken is found by the
    /// constraints.
    pub(super) fn decide(&mut self, place: usize, batch: &Batch) -> Result<Committed, Fault> {
        match decide(batch, self)? {
            Verdict::Answer(answer) => Ok(answer),
            Verdict::Write(change) => {
                self.accept(place, batch, &change);
                Ok(change.committed())
            }
        }
    }

    //= specs/delivery.md#dlv-02
    //# The sequence numbers of a thread MUST be gap-free from 1 in the durable log.
    fn accept(&mut self, place: usize, batch: &Batch, change: &Change) {
        let (thread_id, first_seq) = (batch.thread_id, change.first_seq);
        let thread = self.threads.entry(thread_id).or_insert_with(|| ThreadRow {
            user_id: batch.scope.user_id().clone(),
            epoch: batch.epoch,
            head: Seq::ZERO,
            title: batch.new_thread.as_ref().map(|new| new.title.clone()).unwrap_or_default(),
            created_at: batch.at,
            updated_at: batch.at,
            running: None,
        });
        thread.head = thread.head.plus(batch.entries.len() as u64);
        thread.updated_at = batch.at;
        if let Some(title) = &batch.title {
            thread.title.clone_from(title);
        }
        //= specs/storage.md#stor-17
        //# The metadata of a thread MUST be kept as they were written until others take their place.
        if let Some(metadata) = &batch.metadata {
            self.metadata.insert(thread_id, metadata.clone());
        }
        for (run_id, run) in &change.runs {
            if run.status == RunStatus::Running {
                thread.running = Some(*run_id);
            } else if thread.running == Some(*run_id) {
                thread.running = None;
            }
        }
        self.changed_threads.insert(thread_id);
        if !batch.entries.is_empty() {
            self.batches.insert((thread_id, batch.id), first_seq);
            self.segments.push(SegmentRow { thread_id, first_seq, batch: place });
        }
        self.messages.extend(messages(batch, change));
        for (run_id, state) in &change.runs {
            if let Some(run) = self.runs.get_mut(run_id)
                && run.state != *state
            {
                run.state = *state;
                self.changed_runs.insert(*run_id);
            }
        }
        if let Some(message) = &batch.message {
            self.ask(batch, message, change);
        }
    }

    fn ask(&mut self, batch: &Batch, message: &NewMessage, change: &Change) {
        let user_id = batch.scope.user_id().clone();
        let run = RunRow {
            n: self.next_run,
            thread_id: batch.thread_id,
            user_id: user_id.clone(),
            message_id: message.message_id,
            message_seq: change.seq_of(message.entry),
            on_disconnect: message.on_disconnect,
            created_at: batch.at,
            state: change.runs.get(&message.run_id).copied().unwrap_or(RunState::NEW),
        };
        self.next_run += 1;
        self.runs.insert(message.run_id, run);
        self.changed_runs.insert(message.run_id);
        let first = First {
            digest: message.digest,
            message_id: message.message_id,
            thread_id: batch.thread_id,
            seq: change.seq_of(message.entry),
            run_id: message.run_id,
        };
        //= specs/storage.md#stor-15
        //# A message that waits twice in one group MUST make one run.
        self.firsts.insert((user_id, message.client_msg_id.clone()), first);
    }
}

impl Known for Group {
    fn thread(&self, thread_id: ThreadId) -> Option<KnownThread<'_>> {
        let thread = self.threads.get(&thread_id)?;
        Some(KnownThread { owner: &thread.user_id, epoch: thread.epoch, head: thread.head })
    }

    fn batch(&self, thread_id: ThreadId, id: EventId) -> Option<Seq> {
        self.batches.get(&(thread_id, id)).copied()
    }

    fn first(&self, user_id: &UserId, id: &ClientMsgId) -> Option<(u64, FirstOutcome)> {
        let first = self.firsts.get(&(user_id.clone(), id.clone()))?;
        let outcome = FirstOutcome {
            message_id: first.message_id,
            thread_id: first.thread_id,
            seq: first.seq,
            run_id: first.run_id,
            run_status: self.runs.get(&first.run_id)?.state.status,
        };
        Some((first.digest, outcome))
    }

    fn run(&self, run_id: RunId) -> Option<(ThreadId, RunState)> {
        self.runs.get(&run_id).map(|run| (run.thread_id, run.state))
    }

    fn running(&self, thread_id: ThreadId) -> Option<RunId> {
        self.threads.get(&thread_id)?.running
    }

    /// The constraints find it.
    fn has_message(&self, _: MessageId) -> bool {
        false
    }
}

fn messages<'a>(batch: &'a Batch, change: &'a Change) -> impl Iterator<Item = MessageRow> + 'a {
    let row = move |message_id, run_id, entry, role, client| MessageRow {
        message_id,
        thread_id: batch.thread_id,
        user_id: batch.scope.user_id().clone(),
        seq: change.seq_of(entry),
        run_id,
        role,
        client,
    };
    let asked = batch.message.iter().map(move |m| {
        let client = Some((m.client_msg_id.clone(), m.digest));
        row(m.message_id, m.run_id, m.entry, Role::User, client)
    });
    let answered = batch.answers.iter();
    asked.chain(answered.map(move |a| row(a.message_id, a.run_id, a.entry, Role::Assistant, None)))
}
