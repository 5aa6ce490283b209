//! Lets newcomers in as fast as they can be greeted, and gives each of the others a time of its own
//! (F35): told the same time, they would all come back at once.

use crate::seed::Seed;
use crate::time::{Millis, Mono};

/// Longest wait that is asked of anybody, in milliseconds.
const LONGEST: u64 = 30_000;

/// The rate of newcomers.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Microseconds for each.
    each: u64,
    /// When the place after the last one that was taken or promised is due, in microseconds.
    next: u64,
    /// When all places of this second are free again, in microseconds.
    full_at: u64,
    seed: Seed,
}

impl Gate {
    /// So many a second, and as many at once.
    #[must_use]
    pub fn new(per_second: u32, seed: Seed) -> Self {
        Self { each: 1_000_000 / u64::from(per_second.max(1)), next: 0, full_at: 0, seed }
    }

    /// Lets one in.
    ///
    /// # Errors
    /// When to come back: the next time that was not promised to anybody else.
    pub fn admit(&mut self, now: Mono) -> Result<(), Millis> {
        let now = now.0.saturating_mul(1000);
        let full_at = self.full_at.max(now).saturating_add(self.each);
        if full_at - now <= 1_000_000 {
            self.full_at = full_at;
            return Ok(());
        }
        self.next = self.next.max(now).saturating_add(self.each);
        let wait = (self.next - now) / 1000;
        if wait <= LONGEST {
            return Err(Millis(wait));
        }
        // Promised for longer than anybody is asked to wait: any time in the second half will do.
        self.next = now.saturating_add(LONGEST * 1000);
        Err(Millis(LONGEST / 2 + self.seed.below(LONGEST / 2)))
    }

    /// A time to come back for one who is refused for another reason.
    pub fn some_time(&mut self) -> Millis {
        Millis(1000 + self.seed.below(4000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_for_ever() {
        let mut gate = Gate::new(10, Seed::new(1));
        let mut let_in = 0;
        for ms in 0..60_000 {
            let_in += u32::from(gate.admit(Mono(ms)).is_ok());
        }
        assert!((600..=610).contains(&let_in), "{let_in} in a minute");
    }

    #[test]
    fn nobody_waits_longer_than_the_longest_and_not_all_until_the_same_time() {
        let mut gate = Gate::new(10, Seed::new(1));
        let waits: alloc::vec::Vec<u64> =
            (0..5_000).filter_map(|_| gate.admit(Mono(0)).err()).map(|wait| wait.0).collect();
        assert!(waits.len() == 4_990 && waits.iter().all(|wait| *wait <= LONGEST));
        let late = waits.iter().filter(|wait| **wait > 29_000).count();
        assert!(late < 600, "{late} in the last second");
    }

    #[test]
    fn an_unbounded_gate_is_open() {
        let mut gate = Gate::new(u32::MAX, Seed::new(1));
        assert!((0..100_000).all(|_| gate.admit(Mono(0)).is_ok()));
    }
}
