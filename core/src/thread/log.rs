//! The writing end of one thread: at most one batch is under way, and a batch of unknown outcome is
//! repeated with the same identity until the store has said what became of it (DLV-11).

use crate::fault::Fault;
use crate::hub::{Batch, Committed};
use crate::id::{EffectId, Epoch, Seq};
use crate::limits::Limits;
use crate::time::{Millis, Mono};

/// A log's head and the batch on its way to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Log {
    epoch: Epoch,
    head: Seq,
    flight: Option<Flight>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Flight {
    batch: Batch,
    tries: u32,
    /// Whether some try may have been done although it was answered otherwise.
    uncertain: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Sent(EffectId),
    Waiting(Mono),
}

/// What a commit's answer means for its batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The entries are durable from this position on.
    Done {
        /// The batch.
        batch: Batch,
        /// Position of its first entry.
        first: Seq,
    },
    /// Nothing was written, for good.
    Refused {
        /// The batch.
        batch: Batch,
        /// Why; never `Done`.
        why: Committed,
    },
    /// The store failed for good: trying again is useless.
    Lost {
        /// The batch.
        batch: Batch,
    },
    /// The store is not there; the batch is tried again at its time.
    Waiting {
        /// Tries so far.
        tries: u32,
        /// Whether it may have been written all the same.
        uncertain: bool,
    },
    /// An answer to no question of this log (late or twice).
    Unasked,
}

impl Log {
    /// A log as the store knows it.
    #[must_use]
    pub const fn new(epoch: Epoch, head: Seq) -> Self {
        Self { epoch, head, flight: None }
    }

    /// Its epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Its last durable entry.
    #[must_use]
    pub const fn head(&self) -> Seq {
        self.head
    }

    /// Whether a batch is under way; then no other may begin.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.flight.is_some()
    }

    /// Sends a batch; the caller has checked [`Self::is_busy`]. Returns what to hand to the store.
    pub fn begin(&mut self, effect: EffectId, batch: Batch) -> Batch {
        debug_assert!(self.flight.is_none(), "one batch of a thread at a time");
        let copy = batch.clone();
        self.flight =
            Some(Flight { batch, tries: 1, uncertain: false, state: State::Sent(effect) });
        copy
    }

    /// The store's answer.
    pub fn answered(
        &mut self,
        now: Mono,
        limits: &Limits,
        effect: EffectId,
        result: Result<Committed, Fault>,
    ) -> Outcome {
        let Some(flight) = &mut self.flight else { return Outcome::Unasked };
        if flight.state != State::Sent(effect) {
            return Outcome::Unasked;
        }
        match result {
            Ok(answer) => {
                let Some(Flight { batch, .. }) = self.flight.take() else {
                    return Outcome::Unasked;
                };
                match answer {
                    Committed::Done { first_seq } => {
                        let last = first_seq.0 + batch.entries.len() as u64 - 1;
                        self.head = self.head.max(Seq(last));
                        Outcome::Done { batch, first: first_seq }
                    }
                    why @ (Committed::Duplicate(_)
                    | Committed::Conflict
                    | Committed::HeadMoved { .. }
                    | Committed::Fenced
                    | Committed::NoThread) => Outcome::Refused { batch, why },
                }
            }
            Err(Fault::Refused) => match self.flight.take() {
                Some(Flight { batch, .. }) => Outcome::Lost { batch },
                None => Outcome::Unasked,
            },
            //= specs/dependencies.md#dep-06
            //# A failure of the store for a moment MUST NOT lose a message or end its reader's
            //# connection.
            Err(fault @ (Fault::Unavailable | Fault::Unknown)) => {
                flight.uncertain |= fault == Fault::Unknown;
                flight.state = State::Waiting(now.after(pause(limits, flight.tries)));
                Outcome::Waiting { tries: flight.tries, uncertain: flight.uncertain }
            }
        }
    }

    /// When the waiting batch is to be tried again.
    #[must_use]
    pub const fn deadline(&self) -> Option<Mono> {
        match &self.flight {
            Some(Flight { state: State::Waiting(at), .. }) => Some(*at),
            Some(Flight { state: State::Sent(_), .. }) | None => None,
        }
    }

    /// Tries the waiting batch again, under the same identity, if its time has come.
    //= specs/delivery.md#dlv-11
    //# A write of unknown outcome MUST be repeated with the same identity, never renumbered.
    pub fn retry(&mut self, now: Mono, effect: &mut EffectId) -> Option<(EffectId, Batch)> {
        let flight = self.flight.as_mut()?;
        match flight.state {
            State::Waiting(at) if at <= now => {
                let id = effect.take_next();
                flight.tries += 1;
                if canary!(RenumberRetry) {
                    flight.batch.id.0 += 1;
                }
                flight.state = State::Sent(id);
                Some((id, flight.batch.clone()))
            }
            State::Waiting(_) | State::Sent(_) => None,
        }
    }

    /// Gives a waiting batch up; only right when it is certain that it was not written.
    pub fn give_up(&mut self) -> Option<Batch> {
        match &self.flight {
            Some(Flight { state: State::Waiting(_), uncertain: false, .. }) => {
                self.flight.take().map(|flight| flight.batch)
            }
            Some(_) | None => None,
        }
    }
}

/// `store_retry_min`, doubled for each try, at most `store_retry_max`.
fn pause(limits: &Limits, tries: u32) -> Millis {
    let doubled = limits.store_retry_min.0.saturating_mul(1 << (tries - 1).min(16));
    Millis(doubled.min(limits.store_retry_max.0))
}
