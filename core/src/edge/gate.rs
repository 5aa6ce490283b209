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

    /// As full as it gets, some time after the start of the server.
    fn full(now: Mono) -> Gate {
        let mut gate = Gate::new(10, Seed::new(1));
        assert!((0..10).all(|_| gate.admit(now).is_ok()));
        gate
    }

    #[test]
    fn whoever_finds_it_full_is_told_the_next_time_that_is_nobody_elses() {
        let now = Mono(50_000);
        let mut gate = full(now);
        for place in 1..=300 {
            assert_eq!(gate.admit(now), Err(Millis(place * 100)));
        }
    }

    #[test]
    fn when_all_times_are_promised_the_rest_comes_in_the_second_half() {
        let now = Mono(50_000);
        let mut gate = full(now);
        (0..300).for_each(|_| assert!(gate.admit(now).is_err()));
        let waits: alloc::vec::Vec<u64> =
            (0..1_000).filter_map(|_| gate.admit(now).err()).map(|wait| wait.0).collect();
        assert!(waits.len() == 1_000 && waits.iter().all(|wait| (15_000..30_000).contains(wait)));
        for second in 15..30 {
            let due = waits.iter().filter(|wait| **wait / 1000 == second).count();
            assert!((30..110).contains(&due), "{due} come back in second {second}");
        }
    }

    #[test]
    fn who_is_refused_for_another_reason_comes_back_within_five_seconds_and_not_with_all_others() {
        let mut gate = Gate::new(10, Seed::new(1));
        let mut due = [0; 5];
        (0..1_000).for_each(|_| due[gate.some_time().0 as usize / 1000] += 1);
        assert!(due[0] == 0 && due[1..].iter().all(|n| (200..300).contains(n)), "{due:?}");
    }

    #[test]
    fn an_unbounded_gate_is_open() {
        let mut gate = Gate::new(u32::MAX, Seed::new(1));
        assert!((0..100_000).all(|_| gate.admit(Mono(0)).is_ok()));
    }
}
