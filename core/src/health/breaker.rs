//! A circuit breaker around one dependency: Closed → Open → HalfOpen → Closed.
//!
//! One breaker guards one thing; what guards logins is keyed by client, so that a stranger's failures
//! do not touch others (F18).

use crate::time::{Millis, Mono};

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BreakerLimits {
    /// Failures in a row that open it; at least 1.
    pub failures: u32,
    /// How long it stays open (DEP-02); also how long a trial may take.
    pub cooldown: Millis,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self { failures: 5, cooldown: Millis::from_secs(5) }
    }
}

/// Leave for one call; handed back with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "the result of the call must be reported"]
pub struct Permit {
    generation: u64,
}

/// The call is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refused {
    /// Trying again before this is in vain.
    pub retry_after: Millis,
}

/// Lets calls through while they succeed, none while they fail, one to find out.
///
/// ```
/// use goldenpath_core::health::{Breaker, BreakerLimits};
/// use goldenpath_core::time::{Millis, Mono};
///
/// let limits = BreakerLimits { failures: 1, cooldown: Millis(100) };
/// let mut breaker = Breaker::new(limits);
/// let permit = breaker.admit(Mono(0)).unwrap();
/// breaker.failed(Mono(0), permit);
/// assert_eq!(breaker.admit(Mono(40)).unwrap_err().retry_after, Millis(60));
/// let trial = breaker.admit(Mono(100)).unwrap();
/// breaker.succeeded(trial);
/// assert!(breaker.admit(Mono(100)).is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Breaker {
    limits: BreakerLimits,
    /// Raised with every change of state: a permit of an earlier one says nothing about now (DEP-03).
    generation: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Closed(Closed),
    Open(Open),
    HalfOpen(HalfOpen),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Closed {
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Open {
    until: Mono,
}

/// One trial is under way; if nobody reports on it, another is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct HalfOpen {
    trial_until: Mono,
}

impl Breaker {
    /// Closed.
    #[must_use]
    pub const fn new(limits: BreakerLimits) -> Self {
        Self { limits, generation: 0, state: State::Closed(Closed { failures: 0 }) }
    }

    /// May a call be made now? An open breaker lets none through, a half-open one a single trial (DEP-01).
    ///
    /// # Errors
    /// [`Refused`], with the time after which asking again makes sense.
    //= specs/dependencies.md#dep-01
    //# An open breaker MUST NOT let a call through, and a half-open one MUST admit a single trial.
    pub fn admit(&mut self, now: Mono) -> Result<Permit, Refused> {
        let closed_until = match self.state {
            State::Closed(_) => return Ok(Permit { generation: self.generation }),
            State::Open(open) => open.until,
            State::HalfOpen(half_open) => half_open.trial_until,
        };
        if now < closed_until || canary!(NeverHalfOpen) {
            return Err(Refused { retry_after: closed_until.since(now) });
        }
        //= specs/dependencies.md#dep-09
        //# A trial nobody reports on MUST be followed by another.
        let trial_until = now.after(self.limits.cooldown);
        self.become_state(State::HalfOpen(HalfOpen { trial_until }));
        Ok(Permit { generation: self.generation })
    }

    /// The call with this permit succeeded.
    //= specs/dependencies.md#dep-03
    //# A late result of a call from before the last change MUST NOT change the breaker.
    pub fn succeeded(&mut self, permit: Permit) {
        if permit.generation != self.generation {
            return;
        }
        match &mut self.state {
            State::Closed(closed) => closed.failures = 0,
            //= specs/dependencies.md#dep-02
            //# An open breaker MUST become half-open after its cooldown, and a success MUST close
            //# it.
            State::HalfOpen(_) => self.become_state(State::Closed(Closed { failures: 0 })),
            State::Open(_) => {}
        }
    }

    /// The call with this permit failed, or nobody waited for its end.
    pub fn failed(&mut self, now: Mono, permit: Permit) {
        if permit.generation != self.generation {
            return;
        }
        let opens = match &mut self.state {
            State::Closed(closed) => {
                closed.failures = closed.failures.saturating_add(1);
                closed.failures >= self.limits.failures
            }
            State::HalfOpen(_) => true,
            State::Open(_) => false,
        };
        if opens {
            let until = now.after(self.limits.cooldown);
            self.become_state(State::Open(Open { until }));
        }
    }

    /// Whether calls are let through without asking when.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// The state in a word, for the dashboard and metrics.
    #[must_use]
    pub const fn state_name(&self) -> &'static str {
        match self.state {
            State::Closed(_) => "closed",
            State::HalfOpen(_) => "half_open",
            State::Open(_) => "open",
        }
    }

    const fn become_state(&mut self, state: State) {
        self.generation += 1;
        self.state = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Page, Row};
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const LIMITS: BreakerLimits = BreakerLimits { failures: 2, cooldown: Millis(100) };

    fn open() -> Breaker {
        let mut breaker = Breaker::new(LIMITS);
        for _ in 0..2 {
            let permit = breaker.admit(Mono(0)).unwrap();
            breaker.failed(Mono(0), permit);
        }
        breaker
    }

    fn half_open() -> (Breaker, Permit) {
        let mut breaker = open();
        let trial = breaker.admit(Mono(100)).unwrap();
        (breaker, trial)
    }

    #[test]
    fn a_breaker_says_in_a_word_where_it_is() {
        let mut breaker = Breaker::new(BreakerLimits::default());
        assert_eq!(breaker.state_name(), "closed");
        for _ in 0..5 {
            assert!(breaker.is_closed(), "five failures open it");
            let permit = breaker.admit(Mono(0)).unwrap();
            breaker.failed(Mono(0), permit);
        }
        assert_eq!((breaker.state_name(), breaker.is_closed()), ("open", false));
        assert_eq!(breaker.admit(Mono(4_999)), Err(Refused { retry_after: Millis(1) }));
        assert!(breaker.admit(Mono(5_000)).is_ok());
        assert_eq!((breaker.state_name(), breaker.is_closed()), ("half_open", false));
    }

    //= specs/dependencies.md#dep-01
    //= type=test
    //# An open breaker MUST NOT let a call through, and a half-open one MUST admit a single trial.
    #[test]
    fn an_open_breaker_lets_nothing_through_and_a_half_open_one_a_single_trial() {
        let mut breaker = open();
        assert_eq!(breaker.admit(Mono(99)), Err(Refused { retry_after: Millis(1) }));
        assert!(breaker.admit(Mono(100)).is_ok());
        assert!(breaker.admit(Mono(100)).is_err());
    }

    //= specs/dependencies.md#dep-02
    //= type=test
    //# An open breaker MUST become half-open after its cooldown, and a success MUST close it.
    #[test]
    fn a_successful_trial_closes_and_a_failed_one_opens_again() {
        let (mut breaker, trial) = half_open();
        breaker.succeeded(trial);
        assert!(breaker.is_closed());
        let (mut breaker, trial) = half_open();
        breaker.failed(Mono(110), trial);
        assert_eq!(breaker.admit(Mono(209)), Err(Refused { retry_after: Millis(1) }));
        assert!(breaker.admit(Mono(210)).is_ok());
    }

    //= specs/dependencies.md#dep-09
    //= type=test
    //# A trial nobody reports on MUST be followed by another.
    #[test]
    fn a_trial_nobody_reports_on_is_followed_by_another() {
        let (mut breaker, lost) = half_open();
        let again = breaker.admit(Mono(200)).unwrap();
        breaker.succeeded(lost);
        assert_eq!(breaker.state_name(), "half_open");
        breaker.succeeded(again);
        assert!(breaker.is_closed());
    }

    //= specs/dependencies.md#dep-03
    //= type=test
    //# A late result of a call from before the last change MUST NOT change the breaker.
    #[test]
    fn a_result_from_before_the_last_change_says_nothing() {
        let mut breaker = Breaker::new(LIMITS);
        let early = breaker.admit(Mono(0)).unwrap();
        for _ in 0..2 {
            let permit = breaker.admit(Mono(0)).unwrap();
            breaker.failed(Mono(0), permit);
        }
        breaker.succeeded(early);
        assert_eq!(breaker.state_name(), "open");
        let trial = breaker.admit(Mono(100)).unwrap();
        breaker.failed(Mono(100), early);
        assert_eq!(breaker.state_name(), "half_open");
        breaker.succeeded(trial);
        breaker.failed(Mono(100), early);
        breaker.failed(Mono(100), early);
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_success_forgives_the_failures_before_it() {
        let mut breaker = Breaker::new(LIMITS);
        for _ in 0..5 {
            let permit = breaker.admit(Mono(0)).unwrap();
            breaker.failed(Mono(0), permit);
            let permit = breaker.admit(Mono(0)).unwrap();
            breaker.succeeded(permit);
        }
        assert!(breaker.is_closed());
    }

    const PAGE: Page = Page {
        name: "breaker",
        title: "The circuit breaker",
        about: "Stands before one thing that may fail, so that nobody waits for what does not answer and what\n\
                is in trouble is left alone. Here it opens after two failures in a row, for 100 ms.",
        states: &[
            (
                "closed",
                "Calls are let through. Failures in a row are counted; a success forgives them. One too many opens it.",
            ),
            (
                "open",
                "No call is let through until the cooldown is over; who asks hears how long that takes. Results of \
                 calls from before say nothing about now and are ignored.",
            ),
            (
                "half_open",
                "One trial is under way and decides: success closes, failure opens again. If nobody reports on it \
                 for a whole cooldown, another trial is let through, so that it can never stay here for ever.",
            ),
        ],
        begins: &["closed"],
        rows: Vec::new(),
    };

    #[test]
    fn the_matrix_of_states_and_inputs() {
        let closed = Breaker::new(LIMITS);
        let mut failing = closed.clone();
        let permit = failing.admit(Mono(0)).unwrap();
        failing.failed(Mono(0), permit);
        let states = [
            ("closed", closed),
            ("closed, failing", failing),
            ("open", open()),
            ("half_open", half_open().0),
        ];
        let late = Permit { generation: u64::MAX };
        let (mut rows, mut seen) = (Vec::new(), Vec::new());
        for (name, before) in &states {
            let now = Permit { generation: before.generation };
            type Act = fn(&mut Breaker, Permit) -> String;
            let acts: [(&str, Permit, Act); 6] = [
                ("admit at 50", now, |b, _| format!("{:?}", b.admit(Mono(50)))),
                ("admit at 200", now, |b, _| format!("{:?}", b.admit(Mono(200)))),
                ("succeeded", now, |b, p| format!("{:?}", b.succeeded(p))),
                ("failed", now, |b, p| format!("{:?}", b.failed(Mono(150), p))),
                ("late success", late, |b, p| format!("{:?}", b.succeeded(p))),
                ("late failure", late, |b, p| format!("{:?}", b.failed(Mono(150), p))),
            ];
            for (act_name, permit, act) in acts {
                let mut breaker = before.clone();
                let said = act(&mut breaker, permit);
                rows.push(format!("{name} × {act_name} → {:?} {said}", breaker.state));
                let said = match said.as_str() {
                    "()" => "",
                    said if said.starts_with("Ok") => "let through",
                    _ => "refused, with the time to wait",
                };
                seen.push(Row::of(name, before.state_name(), act_name, breaker.state_name(), said));
            }
        }
        insta::assert_snapshot!(rows.join("\n"));
        Page { rows: seen, ..PAGE }.check();
    }

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        /// DEP-01, DEP-02, DEP-03 against what an observer can count.
        #[test]
        fn in_any_order_an_open_breaker_is_shut_and_opens_again_in_time(
            steps in prop::collection::vec((0u8..3, 0u64..80, any::<usize>()), 0..80)
        ) {
            shut_and_open_in_time(&steps)?;
        }
    }

    fn shut_and_open_in_time(steps: &[(u8, u64, usize)]) -> Result<(), TestCaseError> {
        let (mut breaker, mut now, mut permits) = (Breaker::new(LIMITS), Mono(0), Vec::new());
        for &(kind, wait, pick) in steps {
            now = now.after(Millis(wait));
            let before = breaker.state;
            match kind {
                0 => match (before, breaker.admit(now)) {
                    (State::Open(open), answer) => {
                        prop_assert_eq!(answer.is_ok(), open.until <= now);
                        permits.extend(answer);
                    }
                    (State::HalfOpen(half), answer) => {
                        prop_assert_eq!(answer.is_ok(), half.trial_until <= now);
                        permits.extend(answer);
                    }
                    (State::Closed(_), answer) => permits.push(answer.unwrap()),
                },
                _ if permits.is_empty() => {}
                other => {
                    let permit = permits.swap_remove(pick % permits.len());
                    let late = permit.generation != breaker.generation;
                    if other == 1 {
                        breaker.succeeded(permit)
                    } else {
                        breaker.failed(now, permit)
                    }
                    prop_assert!(!late || breaker.state == before);
                }
            }
            if let Err(refused) = breaker.clone().admit(now) {
                prop_assert!(refused.retry_after <= LIMITS.cooldown);
                prop_assert!(breaker.clone().admit(now.after(refused.retry_after)).is_ok());
            }
        }
        Ok(())
    }

    #[test]
    fn of_two_calls_let_through_together_the_second_failure_is_late_once_the_first_opened_it() {
        shut_and_open_in_time(&[(0, 0, 0), (0, 0, 0), (2, 0, 0), (2, 0, 0)]).unwrap();
    }
}
