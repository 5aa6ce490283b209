//! How fast a peer may talk: a bucket that fills with time, in whole numbers.

use crate::limits::Limits;
use crate::time::{Millis, Mono};
use crate::wire::ClientBody;

/// One message, in the unit of the bucket: with it, a rate of one a minute fills one unit a millisecond.
const MESSAGE: u64 = 60_000;

/// What a frame costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cost {
    /// Signs of life and read positions: a tenth of a message.
    Light,
    /// Everything that makes work.
    Message,
}

impl Cost {
    /// Of this frame.
    #[must_use]
    pub const fn of(body: &ClientBody) -> Self {
        match body {
            ClientBody::GapRequest { .. }
            | ClientBody::Ping { .. }
            | ClientBody::Pong
            | ClientBody::Received { .. }
            | ClientBody::Subscribe { .. }
            | ClientBody::Unsubscribe { .. } => Self::Light,
            ClientBody::Approval { .. }
            | ClientBody::Auth { .. }
            | ClientBody::AuthRefresh { .. }
            | ClientBody::CancelQueued { .. }
            | ClientBody::CancelRun { .. }
            | ClientBody::Feedback(_)
            | ClientBody::Resume { .. }
            | ClientBody::Thread(_)
            | ClientBody::UserMessage(_) => Self::Message,
        }
    }
}

/// What is left for this peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rate {
    units: u64,
    at: Mono,
}

impl Rate {
    /// A full bucket.
    pub(super) fn full(now: Mono, limits: &Limits) -> Self {
        Self { units: capacity(limits), at: now }
    }

    /// Pays for a frame, or says how long to wait until it could be paid.
    pub(super) fn pay(&mut self, now: Mono, cost: Cost, limits: &Limits) -> Result<(), Millis> {
        let per_ms = u64::from(limits.messages_per_minute);
        let earned = now.since(self.at).as_millis().saturating_mul(per_ms);
        self.units = self.units.saturating_add(earned).min(capacity(limits));
        self.at = now;
        let price = match cost {
            Cost::Light => MESSAGE / 10,
            Cost::Message => MESSAGE,
        };
        match self.units.checked_sub(price) {
            Some(rest) => {
                self.units = rest;
                Ok(())
            }
            None => Err(Millis((price - self.units).div_ceil(per_ms.max(1)))),
        }
    }
}

/// At least one message, or nothing could ever be said.
fn capacity(limits: &Limits) -> u64 {
    u64::from(limits.message_burst.max(1)) * MESSAGE
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits() -> Limits {
        Limits { messages_per_minute: 60, message_burst: 3, ..Limits::default() }
    }

    #[test]
    fn a_burst_is_allowed_and_then_the_sustained_rate() {
        let mut rate = Rate::full(Mono(0), &limits());
        for _ in 0..3 {
            assert_eq!(rate.pay(Mono(0), Cost::Message, &limits()), Ok(()));
        }
        assert_eq!(rate.pay(Mono(0), Cost::Message, &limits()), Err(Millis(1000)));
        assert_eq!(rate.pay(Mono(999), Cost::Message, &limits()), Err(Millis(1)));
        assert_eq!(rate.pay(Mono(1000), Cost::Message, &limits()), Ok(()));
        assert_eq!(rate.pay(Mono(1000), Cost::Light, &limits()), Err(Millis(100)));
        assert_eq!(rate.pay(Mono(1100), Cost::Light, &limits()), Ok(()));
    }

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        #[test]
        fn no_pattern_of_sending_beats_burst_and_rate(
            steps in prop::collection::vec(0u64..2_000, 1..200)
        ) {
            let (mut rate, mut now, mut paid) = (Rate::full(Mono(0), &limits()), Mono(0), 0u64);
            for wait in steps {
                now = now.after(Millis(wait));
                match rate.pay(now, Cost::Message, &limits()) {
                    Ok(()) => paid += 1,
                    Err(wait) => {
                        let mut later = rate.clone();
                        prop_assert!(later.pay(now.after(wait), Cost::Message, &limits()).is_ok());
                    }
                }
                prop_assert!(paid <= 3 + now.0 / 1000);
            }
        }
    }
}
