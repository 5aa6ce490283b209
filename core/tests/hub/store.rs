//! A reference store: what any store must do, in the fewest lines.

use goldenpath_core::hub::{
    Batch, Committed, FirstOutcome, Load, Loaded, RunAt, StoredRun, StoredThread, ThreadSummary,
};
use goldenpath_core::id::{ClientMsgId, Epoch, EventId, Fence, MessageId, RunId, Seq, ThreadId};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{EntryBody, OnDisconnect, RunStatus};
use std::collections::BTreeMap;

/// One thread.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) epoch: Epoch,
    pub(crate) title: String,
    pub(crate) updated_at: Wall,
    pub(crate) entries: Vec<EntryBody>,
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) thread_id: ThreadId,
    pub(crate) message_id: MessageId,
    pub(crate) message_seq: Seq,
    pub(crate) status: RunStatus,
    pub(crate) fence: Fence,
    pub(crate) on_disconnect: OnDisconnect,
    pub(crate) order: usize,
}

/// Everything of one user.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) threads: BTreeMap<ThreadId, Log>,
    pub(crate) runs: BTreeMap<RunId, Run>,
    pub(crate) messages: BTreeMap<ClientMsgId, (u64, MessageId, ThreadId, Seq, RunId)>,
    batches: BTreeMap<EventId, Seq>,
}

impl Store {
    /// Writes a batch as a whole, or says why not.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Committed {
        if let Some(first_seq) = self.batches.get(&batch.id) {
            return Committed::Done { first_seq: *first_seq };
        }
        if let Some(message) = &batch.message
            && let Some((digest, message_id, thread_id, seq, run_id)) =
                self.messages.get(&message.client_msg_id)
        {
            if *digest != message.digest {
                return Committed::Conflict;
            }
            return Committed::Duplicate(FirstOutcome {
                message_id: *message_id,
                thread_id: *thread_id,
                seq: *seq,
                run_id: *run_id,
                run_status: self.runs[run_id].status,
            });
        }
        let head = match self.threads.get(&batch.thread_id) {
            Some(log) => log.entries.len() as u64,
            None if batch.new_thread.is_some() => 0,
            None => return Committed::NoThread,
        };
        if batch.expected_head.is_some_and(|expected| expected.0 != head) {
            return Committed::HeadMoved { head: Seq(head) };
        }
        for change in &batch.runs {
            if let Some(run) = self.runs.get(&change.run_id)
                && (run.fence > change.fence || run.status.is_terminal())
            {
                return Committed::Fenced;
            }
        }
        let log = self.threads.entry(batch.thread_id).or_default();
        if let Some(new) = &batch.new_thread {
            log.title.clone_from(&new.title);
            log.epoch = batch.epoch;
        }
        assert_eq!(log.epoch, batch.epoch, "entries of another epoch");
        log.updated_at = batch.at;
        log.entries.extend(batch.entries.iter().cloned());
        let first_seq = Seq(head + 1);
        if let Some(message) = &batch.message {
            let seq = first_seq.plus(u64::from(message.entry));
            let order = self.runs.len();
            self.runs.insert(
                message.run_id,
                Run {
                    thread_id: batch.thread_id,
                    message_id: message.message_id,
                    message_seq: seq,
                    status: RunStatus::Queued,
                    fence: Fence(0),
                    on_disconnect: message.on_disconnect,
                    order,
                },
            );
            self.messages.insert(
                message.client_msg_id.clone(),
                (message.digest, message.message_id, batch.thread_id, seq, message.run_id),
            );
        }
        for change in &batch.runs {
            let run = self.runs.get_mut(&change.run_id).expect("a run is made by its message");
            run.fence = change.fence;
            run.status = change.status;
        }
        let running = self
            .runs
            .values()
            .filter(|run| run.thread_id == batch.thread_id && run.status == RunStatus::Running);
        assert!(running.count() <= 1, "two runs at work in one thread (invariant 8)");
        self.batches.insert(batch.id, first_seq);
        Committed::Done { first_seq }
    }

    /// Reads.
    pub(crate) fn load(&self, load: &Load) -> Loaded {
        match load {
            Load::Entries { thread_id, after_seq, to_seq, limit } => {
                let Some(log) = self.threads.get(thread_id) else { return Loaded::NoThread };
                let numbered = log.entries.iter().enumerate();
                let placed = numbered.map(|(i, body)| (Seq(i as u64 + 1), body.clone()));
                let wanted = placed.filter(|(seq, _)| seq > after_seq && seq <= to_seq);
                Loaded::Entries(wanted.take(*limit as usize).collect())
            }
            Load::Message { client_msg_id } => {
                Loaded::Message(self.messages.get(client_msg_id).map(
                    |(digest, message_id, thread_id, seq, run)| {
                        let run_status = self.runs[run].status;
                        let first = FirstOutcome {
                            message_id: *message_id,
                            thread_id: *thread_id,
                            seq: *seq,
                            run_id: *run,
                            run_status,
                        };
                        (*digest, first)
                    },
                ))
            }
            Load::Run { run_id } => Loaded::Run(
                self.runs
                    .get(run_id)
                    .map(|run| RunAt { thread_id: run.thread_id, status: run.status }),
            ),
            Load::Thread { thread_id } => match self.threads.get(thread_id) {
                Some(log) => Loaded::Thread(StoredThread {
                    epoch: log.epoch,
                    head: Seq(log.entries.len() as u64),
                    title: log.title.clone(),
                    runs: self
                        .unfinished()
                        .into_iter()
                        .filter(|run| run.thread_id == *thread_id)
                        .collect(),
                }),
                None => Loaded::NoThread,
            },
            Load::Threads { limit } => Loaded::Threads(
                self.threads
                    .iter()
                    .take(*limit as usize)
                    .map(|(thread_id, log)| ThreadSummary {
                        thread_id: *thread_id,
                        title: log.title.clone(),
                        head: Seq(log.entries.len() as u64),
                        updated_at: log.updated_at,
                    })
                    .collect(),
            ),
        }
    }

    /// Runs that have not ended, oldest first.
    pub(crate) fn unfinished(&self) -> Vec<StoredRun> {
        let mut runs: Vec<_> =
            self.runs.iter().filter(|(_, run)| !run.status.is_terminal()).collect();
        runs.sort_by_key(|(_, run)| run.order);
        runs.into_iter()
            .map(|(run_id, run)| StoredRun {
                run_id: *run_id,
                thread_id: run.thread_id,
                message_id: run.message_id,
                message_seq: run.message_seq,
                status: run.status,
                fence: run.fence,
                on_disconnect: run.on_disconnect,
            })
            .collect()
    }
}
