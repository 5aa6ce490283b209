//! How long to wait before trying again: exponential backoff with full jitter, so that many who lost
//! the same thing do not come back at the same moment (F35).

use crate::seed::Seed;
use crate::time::Millis;

/// Draws waits from `0..=ceiling`, where the ceiling starts at `first`, doubles with every failure,
/// and stops at `longest`.
///
/// ```
/// use goldenpath_core::health::Backoff;
/// use goldenpath_core::{seed::Seed, time::Millis};
///
/// let (mut backoff, mut seed) = (Backoff::new(Millis(500), Millis(30_000)), Seed::new(1));
/// assert!(backoff.draw(&mut seed) <= Millis(500));
/// assert!(backoff.draw(&mut seed) <= Millis(1000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backoff {
    first: Millis,
    longest: Millis,
    failures: u32,
}

impl Backoff {
    /// No failure yet.
    #[must_use]
    pub const fn new(first: Millis, longest: Millis) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The longest wait the next draw may give.
    #[must_use]
    //= specs/dependencies.md#dep-11
    //# A wait between tries MUST NOT exceed its ceiling, nor the ceiling the longest wait.
    pub fn ceiling(&self) -> Millis {
        let factor = 1_u64.checked_shl(self.failures).unwrap_or(u64::MAX);
        Millis(self.first.0.saturating_mul(factor)).min(self.longest)
    }

    /// One more failure: how long to wait before the next try.
    //= specs/dependencies.md#dep-12
    //# Many who fail together MUST come back spread over the whole span.
    pub fn draw(&mut self, seed: &mut Seed) -> Millis {
        let mut wait = Millis(seed.below(self.ceiling().0.saturating_add(1)));
        if canary!(NoJitter) {
            wait = self.ceiling();
        }
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// It works again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last success.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Page, Row};
    use alloc::format;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        //= specs/dependencies.md#dep-11
        //= type=test
        //# A wait between tries MUST NOT exceed its ceiling, nor the ceiling the longest wait.
        #[test]
        fn a_wait_is_never_above_its_ceiling_nor_the_ceiling_above_the_longest(
            first in 0..10_000u64, longest in 0..100_000u64, seed: u64, tries in 1..100usize,
        ) {
            let mut backoff = Backoff::new(Millis(first), Millis(longest));
            let mut seed = Seed::new(seed);
            for _ in 0..tries {
                let ceiling = backoff.ceiling();
                prop_assert!(ceiling <= Millis(longest));
                prop_assert!(backoff.draw(&mut seed) <= ceiling);
                prop_assert!(backoff.ceiling() >= ceiling);
            }
        }
    }

    #[test]
    fn the_ceiling_doubles_to_the_longest_and_starts_anew_after_a_success() {
        let (mut backoff, mut seed) = (Backoff::new(Millis(500), Millis(3000)), Seed::new(1));
        let mut ceilings = [Millis::ZERO; 5];
        for ceiling in &mut ceilings {
            *ceiling = backoff.ceiling();
            backoff.draw(&mut seed);
        }
        assert_eq!(ceilings.map(|c| c.0), [500, 1000, 2000, 3000, 3000]);
        assert_eq!(backoff.failures(), 5);
        backoff.reset();
        assert_eq!(backoff.ceiling(), Millis(500));
    }

    const PAGE: Page = Page {
        name: "backoff",
        title: "The backoff",
        about: "How long to wait before the next try: any time up to a ceiling that doubles with every failure, so\n\
                that many who lost the same thing do not come back together (F35). Here: 500 ms to 2 s.",
        states: &[
            ("fresh", "No failure since the last success: the ceiling is the first one."),
            ("growing", "Each failure doubles the ceiling."),
            (
                "longest",
                "The ceiling has reached its bound and stays there. Only a success leads back.",
            ),
        ],
        begins: &["fresh"],
        rows: Vec::new(),
    };

    fn state_name(backoff: &Backoff) -> &'static str {
        match backoff.failures() {
            0 => "fresh",
            _ if backoff.ceiling() < backoff.longest => "growing",
            _ => "longest",
        }
    }

    #[test]
    fn the_matrix_of_states_and_inputs() {
        let (mut rows, mut seen) = (Vec::new(), Vec::new());
        for failures in 0..4 {
            let mut before = Backoff::new(Millis(500), Millis(2000));
            let mut seed = Seed::new(1);
            (0..failures).for_each(|_| {
                before.draw(&mut seed);
            });
            let mut failed = before;
            let said = format!("a wait of 0 to {}", failed.ceiling());
            failed.draw(&mut seed);
            let mut worked = before;
            worked.reset();
            for (input, after, said) in
                [("failure", failed, said.as_str()), ("success", worked, "")]
            {
                let (from, to) = (state_name(&before), state_name(&after));
                rows.push(format!("{from}, {failures} failures × {input} → {to}: {said}"));
                seen.push(Row::of(from, from, input, to, said));
            }
        }
        insta::assert_snapshot!(rows.join("\n"));
        Page { rows: seen, ..PAGE }.check();
    }

    //= specs/dependencies.md#dep-12
    //= type=test
    //# Many who fail together MUST come back spread over the whole span.
    #[test]
    fn many_who_fail_together_come_back_spread_over_the_whole_span() {
        let mut seed = Seed::new(9);
        let mut quarters = [0_u32; 4];
        for _ in 0..1000 {
            let mut backoff = Backoff::new(Millis(3999), Millis(30_000));
            quarters[usize::try_from(backoff.draw(&mut seed).0 / 1000).unwrap()] += 1;
        }
        assert!(quarters.iter().all(|count| (200..300).contains(count)), "{quarters:?}");
    }
}
