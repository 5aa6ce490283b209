//! What costs us work and proves nothing (a new account, a developer's log-in): a few a minute for each
//! client. Tries at a password are the core's ([`goldenpath_core::auth::Lockout`]).

use goldenpath_core::time::{Millis, Mono};
use std::collections::BTreeMap;

/// How many tries there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// At once.
    burst: u64,
    /// A new one after this.
    each: Millis,
}

/// For one client: a whole office may sit behind one address.
pub(super) const CLIENT: Allowance = Allowance { burst: 120, each: Millis(500) };

/// New accounts from one client: the answer tells whether an address has an account, so that asking is
/// made dear. An office that needs more makes them by another way.
//= specs/auth.md#auth-79
//# One address MUST NOT try more than 20 registrations at once, and one in five minutes after that.
pub(super) const REGISTRATION: Allowance = Allowance { burst: 20, each: Millis::from_secs(300) };

/// Tickets of one user: as many as its windows may need that all come back at once.
//= specs/auth.md#auth-29
//# One user MUST NOT make more than 30 tickets at once, and one a second after that.
pub(super) const TICKETS: Allowance = Allowance { burst: 30, each: Millis::from_secs(1) };

/// Names remembered.
const REMEMBERED: usize = 50_000;

/// For each name, when its tries are all there again (a leaky bucket kept as one time).
#[derive(Debug, Default)]
pub(super) struct Throttle(BTreeMap<String, Mono>);

impl Throttle {
    /// Uses up a try, or says after which time there is one.
    pub(super) fn try_once(
        &mut self,
        name: &str,
        allowance: Allowance,
        now: Mono,
    ) -> Result<(), Millis> {
        let Allowance { burst, each } = allowance;
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, full_at| *full_at > now);
            if self.0.len() >= REMEMBERED {
                return Err(each);
            }
        }
        let full_at = self.0.get(name).copied().unwrap_or(now).max(now).after(each);
        let over = full_at.since(now.after(Millis(each.0 * burst)));
        if over > Millis::ZERO {
            return Err(over);
        }
        self.0.insert(name.to_owned(), full_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_made_or_asked_for_a_few_times_a_day() {
        let mut throttle = Throttle::default();
        let (mut now, mut tries) = (Mono(0), 0);
        while now <= Mono(24 * 3600 * 1000) {
            match throttle.try_once("a", REGISTRATION, now) {
                Ok(()) => tries += 1,
                Err(wait) => now = now.after(wait),
            }
        }
        assert_eq!(tries, 20 + 24 * 12);
    }

    #[test]
    fn after_the_burst_there_is_one_at_a_time_and_others_are_not_touched() {
        let mut throttle = Throttle::default();
        let tries = (0..130).map(|_| throttle.try_once("a", CLIENT, Mono(0)).is_ok());
        assert_eq!(tries.filter(|ok| *ok).count(), 120);
        assert_eq!(throttle.try_once("a", CLIENT, Mono(100)), Err(Millis(400)));
        assert_eq!(throttle.try_once("a", CLIENT, Mono(500)), Ok(()));
        assert_eq!(throttle.try_once("b", CLIENT, Mono(100)), Ok(()));
    }
}
