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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scope;
    use crate::id::{EventId, ThreadId, UserId};
    use crate::time::Wall;
    use alloc::vec::Vec;

    const NOW: Mono = Mono(1_000);
    const EFFECT: EffectId = EffectId(1);

    /// A log with a batch on its way.
    fn busy() -> Log {
        let mut log = Log::new(Epoch(3), Seq(5));
        assert!(!log.is_busy());
        let scope = Scope::of(UserId::new("ada").unwrap());
        let place = (ThreadId(2), log.epoch());
        let batch = Batch::of(EventId(9), scope, place, Wall(0), Vec::new());
        log.begin(EFFECT, batch);
        assert!(log.is_busy());
        log
    }

    fn fails(log: &mut Log, effect: EffectId, fault: Fault) -> Outcome {
        log.answered(NOW, &Limits::default(), effect, Err(fault))
    }

    #[test]
    fn a_log_is_where_and_of_the_epoch_the_store_said() {
        let log = Log::new(Epoch(3), Seq(5));
        assert_eq!((log.epoch(), log.head(), log.deadline()), (Epoch(3), Seq(5), None));
    }

    #[test]
    fn a_batch_is_tried_again_at_its_time_and_not_before_and_its_tries_are_counted() {
        let limits = Limits::default();
        let (mut log, mut effects) = (busy(), EffectId(2));
        let (mut effect, mut now) = (EFFECT, NOW);
        for (tries, pause) in [(1, 50), (2, 100), (3, 200), (4, 400)] {
            let outcome = log.answered(now, &limits, effect, Err(Fault::Unavailable));
            assert_eq!(outcome, Outcome::Waiting { tries, uncertain: false });
            let due = now.after(Millis(pause));
            assert_eq!(log.deadline(), Some(due));
            assert_eq!(log.retry(Mono(due.0 - 1), &mut effects), None, "too early");
            let (again, batch) = log.retry(due, &mut effects).unwrap();
            assert_eq!(batch.id, EventId(9), "under the same name");
            assert_ne!(again, effect, "an answer to the older try is none");
            assert_eq!(log.retry(due, &mut effects), None, "it is on its way");
            (effect, now) = (again, due);
        }
        assert_eq!(pause(&limits, u32::MAX), limits.store_retry_max);
    }

    #[test]
    fn what_may_have_been_written_once_stays_uncertain_and_is_not_given_up() {
        let (mut log, mut effects) = (busy(), EffectId(2));
        assert_eq!(log.give_up(), None, "it is on its way");
        fails(&mut log, EFFECT, Fault::Unknown);
        let (effect, _) = log.retry(log.deadline().unwrap(), &mut effects).unwrap();
        let outcome = fails(&mut log, effect, Fault::Unavailable);
        assert_eq!(outcome, Outcome::Waiting { tries: 2, uncertain: true });
        assert_eq!(log.give_up(), None);
        assert!(log.is_busy());

        let mut certain = busy();
        fails(&mut certain, EFFECT, Fault::Unavailable);
        assert!(certain.give_up().is_some());
        assert!(!certain.is_busy());
    }

    #[test]
    fn an_answer_to_another_question_changes_nothing() {
        let mut log = busy();
        let before = log.clone();
        assert_eq!(fails(&mut log, EffectId(7), Fault::Refused), Outcome::Unasked);
        assert_eq!(log, before);
        assert!(matches!(fails(&mut log, EFFECT, Fault::Refused), Outcome::Lost { .. }));
        assert!(!log.is_busy());
    }
}
