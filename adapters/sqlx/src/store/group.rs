//! Decides a group of batches one after the other over what was read for all of them at once, and
//! gathers what is to be written. Pure: no SQL, no time.

use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Batch, Committed, FirstOutcome, NewMessage, RunCancel, RunChange};
use goldenpath_core::id::{
    ClientMsgId, Epoch, EventId, Fence, MessageId, RunId, Seq, ThreadId, UserId,
};
use goldenpath_core::run::CancelReason;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{OnDisconnect, RunStatus};
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
    pub(super) status: RunStatus,
    pub(super) fence: Fence,
    pub(super) on_disconnect: OnDisconnect,
    pub(super) cancel: Option<CancelReason>,
    pub(super) created_at: Wall,
    pub(super) started_at: Option<Wall>,
    pub(super) ended_at: Option<Wall>,
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
    /// Runs to be written.
    pub(super) changed_runs: BTreeSet<RunId>,
    /// Messages to be written.
    pub(super) messages: Vec<MessageRow>,
    /// Segments to be written.
    pub(super) segments: Vec<SegmentRow>,
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

impl Group {
    /// Decides the batch at `place` in the group, in the order of checks of
    /// [`Store`](goldenpath_runtime::ports::Store). An id that is taken is found by the constraints.
    pub(super) fn decide(&mut self, place: usize, batch: &Batch) -> Result<Committed, Fault> {
        match self.try_decide(place, batch) {
            Ok(answer) | Err(Not::Answer(answer)) => Ok(answer),
            Err(Not::Fault(fault)) => Err(fault),
        }
    }

    fn try_decide(&mut self, place: usize, batch: &Batch) -> Result<Committed, Not> {
        well_formed(batch)?;
        let head = self.head(batch)?;
        if let Some(message) = &batch.message {
            self.unused(batch, message)?;
        }
        //= specs/storage.md#stor-02
        //# A batch that is refused for its expected head MUST NOT write anything and MUST learn the
        //# head there is.
        if batch.expected_head.is_some_and(|expected| expected != head) {
            return Err(Committed::HeadMoved { head }.into());
        }
        let runs = self.changed_runs(batch, head)?;
        self.accept(place, batch, head, runs);
        Ok(Committed::Done { first_seq: head.next() })
    }

    fn head(&self, batch: &Batch) -> Result<Seq, Not> {
        match self.threads.get(&batch.thread_id) {
            None if batch.new_thread.is_some() => Ok(Seq::ZERO),
            None => Err(Committed::NoThread.into()),
            //= specs/isolation.md#iso-04
            //# A write to what belongs to another user MUST change nothing and MUST be answered as
            //# for what does not exist.
            Some(thread) if thread.user_id != *batch.scope.user_id() => {
                Err(Committed::NoThread.into())
            }
            Some(thread) => {
                //= specs/storage.md#stor-04
                //# A batch that is sent again MUST be answered as the first time, also after a
                //# restart.
                if let Some(first_seq) = self.batches.get(&(batch.thread_id, batch.id)) {
                    Err(Committed::Done { first_seq: *first_seq }.into())
                } else if batch.new_thread.is_some() || thread.epoch != batch.epoch {
                    Err(REFUSED)
                } else {
                    Ok(thread.head)
                }
            }
        }
    }

    /// The client's name for the message is new (DLV-08).
    //= specs/delivery.md#dlv-08
    //# The same `client_msg_id` MUST return the first outcome and MUST NOT start a second run,
    //# restarts included.
    fn unused(&self, batch: &Batch, message: &NewMessage) -> Result<(), Not> {
        let key = (batch.scope.user_id().clone(), message.client_msg_id.clone());
        let Some(first) = self.firsts.get(&key) else { return Ok(()) };
        //= specs/delivery.md#dlv-17
        //# The same `client_msg_id` with other content MUST be refused as `idempotency_conflict`.
        if first.digest != message.digest {
            return Err(Committed::Conflict.into());
        }
        let run = self.runs.get(&first.run_id).ok_or(REFUSED)?;
        let outcome = FirstOutcome {
            message_id: first.message_id,
            thread_id: first.thread_id,
            seq: first.seq,
            run_id: first.run_id,
            run_status: run.status,
        };
        Err(Committed::Duplicate(outcome).into())
    }

    /// The runs of the batch as they are after it.
    fn changed_runs(&self, batch: &Batch, head: Seq) -> Result<BTreeMap<RunId, RunRow>, Not> {
        let mut runs = BTreeMap::new();
        if let Some(message) = &batch.message {
            runs.insert(message.run_id, self.new_run(batch, message, head));
        }
        let named = batch.runs.iter().map(|change| change.run_id);
        let wished = batch.cancels.iter().map(|cancel| cancel.run_id);
        let answered = batch.answers.iter().map(|answer| answer.run_id);
        for run_id in named.chain(answered).chain(wished) {
            if runs.contains_key(&run_id) {
                continue;
            }
            //= specs/isolation.md#iso-08
            //# A run of another user MUST NOT be reachable through a thread of one's own.
            let run = self.runs.get(&run_id).filter(|run| run.thread_id == batch.thread_id);
            runs.insert(run_id, run.ok_or(REFUSED)?.clone());
        }
        for change in &batch.runs {
            if let Some(run) = runs.get_mut(&change.run_id) {
                apply(run, change, batch.at)?;
            }
        }
        for RunCancel { run_id, fence, reason } in &batch.cancels {
            if let Some(run) = runs.get_mut(run_id) {
                if run.status.is_terminal() || run.fence > *fence {
                    return Err(Committed::Fenced.into());
                }
                run.cancel.get_or_insert(*reason);
            }
        }
        let was = self.threads.get(&batch.thread_id).and_then(|thread| thread.running);
        let stays = was.filter(|run_id| !runs.contains_key(run_id));
        let running = runs.values().filter(|run| run.status == RunStatus::Running);
        //= specs/runs.md#run-01
        //# A thread MUST have at most one running run.
        let two = running.count() + usize::from(stays.is_some()) > 1;
        let taken = batch.message.as_ref().is_some_and(|m| self.runs.contains_key(&m.run_id));
        if two || taken { Err(REFUSED) } else { Ok(runs) }
    }

    fn new_run(&self, batch: &Batch, message: &NewMessage, head: Seq) -> RunRow {
        RunRow {
            n: self.next_run,
            thread_id: batch.thread_id,
            user_id: batch.scope.user_id().clone(),
            message_id: message.message_id,
            message_seq: place_of(head, message.entry),
            status: RunStatus::Queued,
            fence: Fence(0),
            on_disconnect: message.on_disconnect,
            cancel: None,
            created_at: batch.at,
            started_at: None,
            ended_at: None,
        }
    }

    //= specs/delivery.md#dlv-02
    //# The sequence numbers of a thread MUST be gap-free from 1 in the durable log.
    fn accept(&mut self, place: usize, batch: &Batch, head: Seq, runs: BTreeMap<RunId, RunRow>) {
        let thread_id = batch.thread_id;
        let thread = self.threads.entry(thread_id).or_insert_with(|| ThreadRow {
            user_id: batch.scope.user_id().clone(),
            epoch: batch.epoch,
            head,
            title: batch.new_thread.as_ref().map(|new| new.title.clone()).unwrap_or_default(),
            created_at: batch.at,
            updated_at: batch.at,
            running: None,
        });
        thread.head = head.plus(batch.entries.len() as u64);
        thread.updated_at = batch.at;
        if let Some(title) = &batch.title {
            thread.title.clone_from(title);
        }
        for (run_id, run) in &runs {
            if run.status == RunStatus::Running {
                thread.running = Some(*run_id);
            } else if thread.running == Some(*run_id) {
                thread.running = None;
            }
        }
        self.changed_threads.insert(thread_id);
        if !batch.entries.is_empty() {
            self.batches.insert((thread_id, batch.id), head.next());
            self.segments.push(SegmentRow { thread_id, first_seq: head.next(), batch: place });
        }
        self.messages.extend(messages(batch, head));
        if let Some(message) = &batch.message {
            self.next_run += 1;
            let first = First {
                digest: message.digest,
                message_id: message.message_id,
                thread_id,
                seq: place_of(head, message.entry),
                run_id: message.run_id,
            };
            //= specs/storage.md#stor-15
            //# A message that waits twice in one group MUST make one run.
            self.firsts
                .insert((batch.scope.user_id().clone(), message.client_msg_id.clone()), first);
        }
        for (run_id, run) in runs {
            let same = self.runs.get(&run_id).is_some_and(|old| {
                (old.status, old.fence, old.cancel) == (run.status, run.fence, run.cancel)
                    && old.started_at == run.started_at
            });
            if !same {
                self.changed_runs.insert(run_id);
                self.runs.insert(run_id, run);
            }
        }
    }
}

fn well_formed(batch: &Batch) -> Result<(), Not> {
    let inside = |entry: u32| u64::from(entry) < batch.entries.len() as u64;
    let message = batch.message.as_ref().is_none_or(|message| inside(message.entry));
    let answers = batch.answers.iter().all(|answer| inside(answer.entry));
    let says_something =
        !batch.entries.is_empty() || (!batch.cancels.is_empty() && batch.new_thread.is_none());
    if says_something && message && answers { Ok(()) } else { Err(REFUSED) }
}

/// The order of [`RunChange`]: a higher fence or an end refuses, a lower fence is raised (DLV-09).
//= specs/delivery.md#dlv-09
//# A write with an older fence MUST NOT become visible.
fn apply(run: &mut RunRow, change: &RunChange, at: Wall) -> Result<(), Committed> {
    //= specs/storage.md#stor-05
    //# A run that has ended MUST NOT be written to.
    if run.status.is_terminal() || run.fence > change.fence {
        return Err(Committed::Fenced);
    }
    let claims = run.fence < change.fence && change.status == RunStatus::Running;
    if claims && run.cancel.is_some() {
        return Err(Committed::Fenced);
    }
    run.fence = change.fence;
    run.status = change.status;
    if run.status == RunStatus::Running {
        run.started_at.get_or_insert(at);
    } else if run.status.is_terminal() {
        run.ended_at = Some(at);
    }
    Ok(())
}

fn messages(batch: &Batch, head: Seq) -> impl Iterator<Item = MessageRow> {
    let row = move |message_id, run_id, entry, role, client| MessageRow {
        message_id,
        thread_id: batch.thread_id,
        user_id: batch.scope.user_id().clone(),
        seq: place_of(head, entry),
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

fn place_of(head: Seq, entry: u32) -> Seq {
    head.plus(u64::from(entry) + 1)
}
