//! Whether a body still comes: it may pause, and it may be large, but not both for ever.

use crate::time::Millis;

/// How slowly a body may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pace {
    /// The longest wait that is lent; to a body that comes at the rate it is given back.
    pub longest_wait: Millis,
    /// Bytes that earn a second of waiting.
    pub bytes_per_second: u32,
}

/// One body on its way. Only the time in which we wait for the peer counts; what we ourselves need for a
/// piece does not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Arrival {
    pace: Pace,
    /// Waiting that is left, in microseconds.
    left: u64,
}

impl Arrival {
    /// Nothing has come yet.
    #[must_use]
    pub const fn new(pace: Pace) -> Self {
        Self { left: Self::most(pace), pace }
    }

    /// How long the next piece may take; nothing: it takes too long already.
    #[must_use]
    pub const fn patience(&self) -> Millis {
        Millis(self.left.div_ceil(1000))
    }

    /// A piece came after this wait. Earns no more than was lent: who was fast for a minute may not be
    /// silent for another.
    //= specs/safety.md#safe-53
    //# A body that comes more slowly than the least rate MUST NOT be waited for longer than the time
    //# that is lent to it.
    pub fn came(&mut self, waited: Millis, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let rate = u64::from(self.pace.bytes_per_second);
        let earned = bytes.saturating_mul(1_000_000).checked_div(rate).unwrap_or(u64::MAX);
        self.left = self
            .left
            .saturating_sub(waited.0.saturating_mul(1000))
            .saturating_add(earned)
            .min(Self::most(self.pace));
    }

    const fn most(pace: Pace) -> u64 {
        pace.longest_wait.0.saturating_mul(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACE: Pace = Pace { longest_wait: Millis(15_000), bytes_per_second: 8192 };

    /// How long a body is waited for whose pieces of this size come this often.
    fn waited_for(every: Millis, bytes: usize, pieces: usize) -> Option<Millis> {
        let mut arrival = Arrival::new(PACE);
        for n in 0..pieces as u64 {
            if arrival.patience() < every {
                return Some(Millis(n * every.0 + arrival.patience().0));
            }
            arrival.came(every, bytes);
        }
        None
    }

    #[test]
    fn a_byte_now_and_then_is_waited_for_as_long_as_silence_and_the_least_rate_for_ever() {
        assert_eq!(waited_for(Millis(20_000), 0, 10), Some(Millis(15_000)));
        let dripped = waited_for(Millis(100), 1, 10_000).unwrap();
        assert!((15_000..15_100).contains(&dripped.0), "{dripped}");
        assert_eq!(waited_for(Millis(1000), 8192, 1_000_000), None);
        assert_eq!(waited_for(Millis(14_000), 14 * 8192, 100_000), None, "in bursts");
        let half = waited_for(Millis(1000), 4096, 1_000).unwrap();
        assert!((29_000..31_000).contains(&half.0), "{half}");
    }

    #[test]
    fn a_fast_beginning_buys_no_slow_end() {
        let mut arrival = Arrival::new(PACE);
        arrival.came(Millis(10), 1 << 30);
        assert_eq!(arrival.patience(), Millis(15_000));
    }

    #[test]
    fn without_a_rate_only_silence_counts() {
        let mut arrival = Arrival::new(Pace { bytes_per_second: 0, ..PACE });
        arrival.came(Millis(14_999), 1);
        assert_eq!(arrival.patience(), Millis(15_000));
    }

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        //= specs/safety.md#safe-53
        //= type=test
        //# A body that comes more slowly than the least rate MUST NOT be waited for longer than the time
        //# that is lent to it.
        #[test]
        fn nobody_is_waited_for_longer_than_lent_and_earned(
            pieces in prop::collection::vec((0u64..20_000, 0usize..100_000), 1..100)
        ) {
            let mut arrival = Arrival::new(PACE);
            let (mut waited, mut bytes) = (0, 0);
            for (wait, size) in pieces {
                let wait = wait.min(arrival.patience().0);
                (waited, bytes) = (waited + wait, bytes + size as u64);
                arrival.came(Millis(wait), size);
                // Each piece may be late by the millisecond its patience was rounded up by.
                prop_assert!(waited <= 15_000 + bytes * 1000 / 8192 + 100);
                prop_assert!(arrival.patience() <= PACE.longest_wait);
            }
        }
    }
}
