//! What costs us work and proves nothing (a new account, a developer's log-in, a ticket): a few for each
//! client or user. Tries at a password are the core's ([`goldenpath_core::auth::Lockout`]).

use goldenpath_core::edge::{Allowances, Policy};
use goldenpath_core::time::{Millis, Mono};

/// Names remembered of each kind.
const REMEMBERED: usize = 50_000;

/// What may be done now and then, and by whose name it is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed<'a> {
    /// To come in without a credential, by client: a whole office may sit behind one address.
    Enter(&'a str),
    /// To make an account, by client.
    Register(&'a str),
    /// To be given a ticket, by user: as many as its windows may need that all come back at once.
    Ticket(&'a str),
}

/// How often each of these was done.
#[derive(Debug)]
pub(super) struct Throttle {
    entered: Allowances<String>,
    registered: Allowances<String>,
    tickets: Allowances<String>,
}

impl Throttle {
    /// Nobody has done anything; how often one client may come in without a credential.
    pub(super) fn new(entrances: Policy) -> Self {
        let of = |policy| Allowances::new(policy, REMEMBERED);
        Self {
            //= specs/auth.md#auth-87
            //# Log-ins without a credential MUST be limited for each address.
            entered: of(entrances),
            // The answer tells whether an address has an account, so that asking is made dear. An office
            // that needs more makes them by another way.
            //= specs/auth.md#auth-79
            //# One address MUST NOT try more than 20 registrations at once, and one in five minutes
            //# after that.
            registered: of(Policy::every(20, Millis::from_secs(300))),
            //= specs/auth.md#auth-29
            //# One user MUST NOT make more than 30 tickets at once, and one a second after that.
            tickets: of(Policy::every(30, Millis::from_secs(1))),
        }
    }

    /// Does it once more, or says after which time that is possible.
    pub(super) fn try_once(&mut self, deed: Deed<'_>, now: Mono) -> Result<(), Millis> {
        let (allowances, name) = match deed {
            Deed::Enter(place) => (&mut self.entered, place),
            Deed::Register(place) => (&mut self.registered, place),
            Deed::Ticket(user) => (&mut self.tickets, user),
        };
        allowances.spend(&name.to_owned(), now).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldenpath_core::edge::EdgeLimits;

    fn usual() -> Throttle {
        Throttle::new(EdgeLimits::default().entrances)
    }

    #[test]
    fn accounts_are_made_or_asked_for_a_few_times_a_day() {
        let mut throttle = usual();
        let (mut now, mut tries) = (Mono(0), 0);
        while now <= Mono(24 * 3600 * 1000) {
            match throttle.try_once(Deed::Register("a"), now) {
                Ok(()) => tries += 1,
                Err(wait) => now = now.after(wait),
            }
        }
        assert_eq!(tries, 20 + 24 * 12);
    }

    #[test]
    fn each_deed_and_each_name_has_its_own() {
        let mut throttle = usual();
        let tries = (0..130).map(|_| throttle.try_once(Deed::Enter("a"), Mono(0)).is_ok());
        assert_eq!(tries.filter(|ok| *ok).count(), 120);
        assert_eq!(throttle.try_once(Deed::Enter("a"), Mono(100)), Err(Millis(400)));
        assert_eq!(throttle.try_once(Deed::Enter("a"), Mono(500)), Ok(()));
        assert_eq!(throttle.try_once(Deed::Enter("b"), Mono(100)), Ok(()));
        assert_eq!(throttle.try_once(Deed::Ticket("a"), Mono(0)), Ok(()));
        assert_eq!(throttle.try_once(Deed::Register("a"), Mono(0)), Ok(()));
    }
}
