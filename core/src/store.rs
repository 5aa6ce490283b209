//! What becomes of a batch: the rules of every store, as a pure function of what it knows.
//!
//! A store looks up, asks [`decide`], and writes what that says in one transaction. So a database, a
//! map in memory and a test's reference decide alike, in the same order.
//!
//! What a batch is answered, first match first:
//!
//! 1. [`Fault::Refused`]: it has no entries (a batch with cancels for a thread that exists needs none),
//!    or points at an entry it does not have;
//! 2. [`Committed::NoThread`]: the thread does not exist, or is another user's;
//! 3. [`Committed::Done`] of the first attempt: a batch with this id has entries in this thread (DLV-11);
//! 4. [`Fault::Refused`]: it opens a thread that exists, or was encoded for another epoch;
//! 5. [`Committed::Duplicate`] or [`Committed::Conflict`]: this user has used the `client_msg_id` (DLV-08);
//! 6. [`Committed::HeadMoved`];
//! 7. [`Fault::Refused`]: a run it names is none of this thread;
//! 8. [`Committed::Fenced`]: a run has a higher fence or has ended (DLV-09, RUN-06), or is to end as
//!    cancelled and would be claimed to go on (RUN-34);
//! 9. [`Fault::Refused`]: the thread would have two running runs (RUN-01), or an id of a message or a new
//!    run is taken;
//! 10. [`Committed::Done`].

use crate::fault::Fault;
use crate::hub::{Batch, Committed, FirstOutcome, RunCancel, RunChange};
use crate::id::{ClientMsgId, Epoch, EventId, Fence, MessageId, RunId, Seq, ThreadId, UserId};
use crate::run::CancelReason;
use crate::time::Wall;
use crate::wire::RunStatus;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

#[cfg(test)]
mod tests;

/// What a store knows of all that a batch touches.
pub trait Known {
    /// A thread, of whichever user.
    fn thread(&self, thread_id: ThreadId) -> Option<KnownThread<'_>>;

    /// Where the entries of a batch of this thread begin, if it was written.
    fn batch(&self, thread_id: ThreadId, id: EventId) -> Option<Seq>;

    /// The first message of a user with this name: its digest, and what became of it.
    fn first(&self, user_id: &UserId, id: &ClientMsgId) -> Option<(u64, FirstOutcome)>;

    /// A run and its thread.
    fn run(&self, run_id: RunId) -> Option<(ThreadId, RunState)>;

    /// The run at work in a thread.
    fn running(&self, thread_id: ThreadId) -> Option<RunId>;

    /// Whether there is a message with this id. A store that finds that out while it writes, and then
    /// writes nothing, may say `false`.
    fn has_message(&self, message_id: MessageId) -> bool;
}

/// What decides about a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownThread<'a> {
    /// Whose it is.
    pub owner: &'a UserId,
    /// The epoch of its entries.
    pub epoch: Epoch,
    /// Its last entry; [`Seq::ZERO`] before the first.
    pub head: Seq,
}

/// How far a run is, as a store keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunState {
    /// Its status.
    pub status: RunStatus,
    /// The highest fence it was written with.
    pub fence: Fence,
    /// Why it is to end as cancelled, if that was asked (RUN-34).
    pub cancel: Option<CancelReason>,
    /// When it was first claimed.
    pub started_at: Option<Wall>,
    /// When it ended.
    pub ended_at: Option<Wall>,
}

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is to be written as a whole, with these changes; then it is answered
    /// [`Change::committed`].
    Write(Change),
    /// Nothing is to be written.
    Answer(Committed),
}

/// What is to be written beside the entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Position of the first entry; the others follow.
    pub first_seq: Seq,
    /// All runs the batch names, as they are after it; the run of its message among them.
    pub runs: BTreeMap<RunId, RunState>,
}

impl Change {
    /// Position of an entry of the batch, counted from 0.
    #[must_use]
    pub const fn seq_of(&self, entry: u32) -> Seq {
        self.first_seq.plus(entry as u64)
    }

    /// The answer once it is written.
    #[must_use]
    pub const fn committed(&self) -> Committed {
        Committed::Done { first_seq: self.first_seq }
    }
}

/// Decides a batch; writes nothing.
///
/// # Errors
/// [`Fault::Refused`] for a batch that no hub makes.
pub fn decide(batch: &Batch, known: &impl Known) -> Result<Verdict, Fault> {
    match judge(batch, known) {
        Ok(change) => Ok(Verdict::Write(change)),
        Err(Not::Answer(answer)) => Ok(Verdict::Answer(answer)),
        Err(Not::Refused) => Err(Fault::Refused),
    }
}

/// Why a batch is not written.
enum Not {
    Answer(Committed),
    Refused,
}

impl From<Committed> for Not {
    fn from(answer: Committed) -> Self {
        Self::Answer(answer)
    }
}

fn judge(batch: &Batch, known: &impl Known) -> Result<Change, Not> {
    well_formed(batch)?;
    let head = head(batch, known)?;
    unused(batch, known)?;
    //= specs/storage.md#stor-02
    //# A batch that is refused for its expected head MUST NOT write anything and MUST learn the
    //# head there is.
    if batch.expected_head.is_some_and(|expected| expected != head) {
        return Err(Committed::HeadMoved { head }.into());
    }
    let runs = changed_runs(batch, known)?;
    //= specs/runs.md#run-01
    //# A thread MUST have at most one running run.
    let starting = runs.values().filter(|run| run.status == RunStatus::Running).count();
    let stays = || known.running(batch.thread_id).is_some_and(|run_id| !runs.contains_key(&run_id));
    if starting > 1 || (starting == 1 && stays()) || takes_what_is_taken(batch, known) {
        return Err(Not::Refused);
    }
    Ok(Change { first_seq: head.next(), runs })
}

fn well_formed(batch: &Batch) -> Result<(), Not> {
    let inside = |entry: u32| (entry as usize) < batch.entries.len();
    let message = batch.message.as_ref().is_none_or(|message| inside(message.entry));
    let answers = batch.answers.iter().all(|answer| inside(answer.entry));
    let says_something =
        !batch.entries.is_empty() || (!batch.cancels.is_empty() && batch.new_thread.is_none());
    if says_something && message && answers { Ok(()) } else { Err(Not::Refused) }
}

fn head(batch: &Batch, known: &impl Known) -> Result<Seq, Not> {
    match known.thread(batch.thread_id) {
        None if batch.new_thread.is_some() => Ok(Seq::ZERO),
        None => Err(Committed::NoThread.into()),
        //= specs/isolation.md#iso-04
        //# A write to what belongs to another user MUST change nothing and MUST be answered as
        //# for what does not exist.
        Some(thread) if thread.owner != batch.scope.user_id() => Err(Committed::NoThread.into()),
        Some(thread) => {
            //= specs/storage.md#stor-04
            //# A batch that is sent again MUST be answered as the first time, also after a
            //# restart.
            if let Some(first_seq) = known.batch(batch.thread_id, batch.id) {
                Err(Committed::Done { first_seq }.into())
            } else if batch.new_thread.is_some() || thread.epoch != batch.epoch {
                Err(Not::Refused)
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
fn unused(batch: &Batch, known: &impl Known) -> Result<(), Not> {
    let Some(message) = &batch.message else { return Ok(()) };
    match known.first(batch.scope.user_id(), &message.client_msg_id) {
        None => Ok(()),
        Some((digest, first)) if digest == message.digest => {
            Err(Committed::Duplicate(first).into())
        }
        //= specs/delivery.md#dlv-17
        //# The same `client_msg_id` with other content MUST be refused as `idempotency_conflict`.
        Some(_) => Err(Committed::Conflict.into()),
    }
}

/// The runs of the batch as they are after it.
fn changed_runs(batch: &Batch, known: &impl Known) -> Result<BTreeMap<RunId, RunState>, Not> {
    let mut runs = BTreeMap::new();
    runs.extend(batch.message.iter().map(|message| (message.run_id, RunState::NEW)));
    let named = batch.runs.iter().map(|change| change.run_id);
    let wished = batch.cancels.iter().map(|cancel| cancel.run_id);
    let answered = batch.answers.iter().map(|answer| answer.run_id);
    for run_id in named.chain(answered).chain(wished) {
        if runs.contains_key(&run_id) {
            continue;
        }
        match known.run(run_id) {
            Some((thread_id, run)) if thread_id == batch.thread_id => {
                runs.insert(run_id, run);
            }
            //= specs/isolation.md#iso-08
            //# A run of another user MUST NOT be reachable through a thread of one's own.
            Some(_) | None => return Err(Not::Refused),
        }
    }
    for change in &batch.runs {
        if let Some(run) = runs.get_mut(&change.run_id) {
            run.write(change, batch.at)?;
        }
    }
    for RunCancel { run_id, fence, reason } in &batch.cancels {
        if let Some(run) = runs.get_mut(run_id) {
            run.writable(*fence)?;
            run.cancel.get_or_insert(*reason);
        }
    }
    Ok(runs)
}

/// Ids are ours and new: one that is taken was made by somebody else.
fn takes_what_is_taken(batch: &Batch, known: &impl Known) -> bool {
    let mut ids: Vec<MessageId> = batch.answers.iter().map(|answer| answer.message_id).collect();
    ids.extend(batch.message.iter().map(|message| message.message_id));
    let twice = (1..ids.len()).any(|n| ids[..n].contains(&ids[n]));
    let mut new_runs = batch.message.iter().map(|message| message.run_id);
    twice
        || ids.iter().any(|id| known.has_message(*id))
        || new_runs.any(|run_id| known.run(run_id).is_some())
}

impl RunState {
    /// A run that waits for its turn.
    pub const NEW: Self = Self {
        status: RunStatus::Queued,
        fence: Fence(0),
        cancel: None,
        started_at: None,
        ended_at: None,
    };

    /// Whether a writer that holds this fence may still write (DLV-09).
    //= specs/delivery.md#dlv-09
    //# A write with an older fence MUST NOT become visible.
    fn writable(&self, fence: Fence) -> Result<(), Committed> {
        //= specs/storage.md#stor-05
        //# A run that has ended MUST NOT be written to.
        let ended = self.status.is_terminal();
        let fenced = self.fence > fence && !canary!(StoreNeverFences);
        if ended || fenced { Err(Committed::Fenced) } else { Ok(()) }
    }

    /// A higher fence or an end refuses, a lower fence is raised.
    fn write(&mut self, change: &RunChange, at: Wall) -> Result<(), Committed> {
        self.writable(change.fence)?;
        // Who claims a run that is to end has to know it.
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
}
