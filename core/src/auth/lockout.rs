//! How long somebody waits before the next try at a password.
//!
//! Failures are counted by what a stranger can and cannot pretend to be. A client that logged in before
//! keeps a device credential of the account (the device cookie of the OWASP authentication cheat sheet):
//! its failures are its own count, which nobody without it can spend. Without one, failures are counted
//! for the account as tried from one place, and for the place whatever the account. An account as tried
//! from places it does not know has two more counts: one shared by the places that failed at it already,
//! and one for those that did not. So the turns of an attacker are taken from the attacker, and somebody
//! who comes from a fresh place gets one within a bound.
//!
//! Each count has its free tries; beyond them every failure doubles the wait up to a bound, and counts
//! drain with time.

mod counts;

use super::hashing::{Lane, Name};
use crate::time::{Millis, Mono};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use counts::{Counts, Key, Took};

/// How failures of one kind are weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Allowance {
    /// Failures that cost nothing.
    pub free: u32,
    /// The wait after the first one beyond; each further one doubles it.
    pub first: Millis,
    /// The longest wait.
    pub most: Millis,
    /// One failure is forgotten after each of these.
    pub drain: Millis,
}

/// The kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Allowances {
    /// A device of an account.
    pub device: Allowance,
    /// An account as tried from one place.
    pub pair: Allowance,
    /// An account as tried from places it does not know and that have not failed at it.
    pub fresh: Allowance,
    /// An account as tried from places that have.
    pub stale: Allowance,
    /// A place, whatever the account: a whole office may sit behind one address.
    pub place: Allowance,
    /// Failures at an account after which a place is fresh no longer.
    pub fresh_tries: u32,
    /// Counts of each kind that are kept; beyond it the least telling ones are forgotten.
    pub kept: usize,
}

impl Default for Allowances {
    fn default() -> Self {
        let seconds = Millis::from_secs;
        let (first, minute, quarter) = (seconds(1), seconds(60), seconds(15 * 60));
        Self {
            device: Allowance { free: 9, first, most: quarter, drain: quarter },
            // Three failures make a place stale, so it is for a day.
            pair: Allowance { free: 9, first, most: quarter, drain: seconds(8 * 3600) },
            fresh: Allowance { free: 30, first, most: seconds(30), drain: minute },
            stale: Allowance { free: 30, first, most: minute, drain: minute },
            //= specs/auth.md#auth-74
            //# One address MUST NOT have more than 1500 tries without a device credential in a day.
            place: Allowance { free: 30, first, most: quarter, drain: minute },
            fresh_tries: 3,
            kept: 50_000,
        }
    }
}

/// A try at a password.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Try {
    /// The account's address in its one spelling; `None`: what was typed is no address.
    pub account: Option<String>,
    /// Where it comes from.
    pub place: String,
    /// Whether this account has logged in from there before.
    pub known: bool,
    /// The name of the device, if the credential it showed is one of this account.
    pub device: Option<String>,
}

/// What a try was counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Device,
    Pair,
    Fresh,
    Stale,
    Place,
}

/// A try that was let through. It counts as failed unless [`Lockout::succeeded`] or
/// [`Lockout::undecided`] hears otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    tried: Try,
    by_device: bool,
    taken: Vec<(Kind, Key, Took)>,
}

impl Turn {
    /// In which line it waits for its password to be hashed, and under which names it is counted there.
    #[must_use]
    pub fn line(&self) -> (Lane, Vec<Name>) {
        let Try { account, place, known, device } = &self.tried;
        match (account, device.as_ref().filter(|_| self.by_device)) {
            (Some(account), Some(device)) => {
                let own = Name::Own(account.clone(), device.clone());
                (Lane::Known, vec![own, Name::Account(account.clone())])
            }
            (Some(account), None) if *known => {
                let own = Name::Own(account.clone(), place.clone());
                (Lane::Known, vec![own, Name::Home(place.clone())])
            }
            (_, _) => (Lane::Open, vec![Name::Place(place.clone())]),
        }
    }
}

/// What is known about failures; nothing about those who never failed.
#[derive(Clone, Debug)]
pub struct Lockout {
    fresh_tries: u32,
    devices: Counts,
    pairs: Counts,
    fresh: Counts,
    stale: Counts,
    places: Counts,
}

impl Lockout {
    /// Nobody has failed.
    #[must_use]
    pub const fn new(allowances: Allowances) -> Self {
        let Allowances { device, pair, fresh, stale, place, fresh_tries, kept } = allowances;
        Self {
            fresh_tries,
            devices: Counts::new(device, kept),
            pairs: Counts::new(pair, kept),
            fresh: Counts::new(fresh, kept),
            stale: Counts::new(stale, kept),
            places: Counts::new(place, kept),
        }
    }

    /// Begins a try, which counts as failed at once: many at the same time are no way around.
    ///
    /// # Errors
    /// How long to wait; nothing was counted then, so asking early costs nothing.
    //= specs/auth.md#auth-43
    //# A user MUST NOT be delayed by failures of others while their client keeps a device credential
    //# of the account, nor by failures from other places at a place they logged in from before.
    pub fn begin(&mut self, tried: &Try, now: Mono) -> Result<Turn, Millis> {
        let mut wait = None;
        // A device that failed too often is worth no less than none.
        for by_device in [true, false] {
            let Some(counted) = self.counted(tried, by_device, now) else { continue };
            let waits = counted.iter().map(|(kind, key)| self.of(*kind).wait(key, now));
            let longest = waits.max().unwrap_or(Millis::ZERO);
            if longest == Millis::ZERO {
                let taken = counted.into_iter().map(|(kind, key)| {
                    let took = self.of_mut(kind).failed(&key, now);
                    (kind, key, took)
                });
                let taken = taken.collect();
                return Ok(Turn { tried: tried.clone(), by_device, taken });
            }
            wait = Some(wait.map_or(longest, |other: Millis| other.min(longest)));
        }
        Err(wait.unwrap_or(Millis::ZERO))
    }

    /// The password was right. What others failed at stays counted: a log-in of one's own is no way to
    /// begin anew with the accounts of others.
    pub fn succeeded(&mut self, turn: &Turn, now: Mono) {
        self.undecided(turn, now);
        for (kind, key, _) in &turn.taken {
            match kind {
                Kind::Device | Kind::Pair => self.of_mut(*kind).forget(key),
                Kind::Fresh | Kind::Stale | Kind::Place => {}
            }
        }
    }

    /// Nobody could say whether the password was right: as if the turn had not been taken.
    pub fn undecided(&mut self, turn: &Turn, now: Mono) {
        for (kind, key, took) in &turn.taken {
            self.of_mut(*kind).taken_back(key, *took, now);
        }
    }

    /// The counts that decide about a try, and that it adds to.
    fn counted(&self, tried: &Try, by_device: bool, now: Mono) -> Option<Vec<(Kind, Key)>> {
        let Try { account, place, known, device } = tried;
        if by_device {
            let key = (account.clone()?, device.clone()?);
            return Some(vec![(Kind::Device, key)]);
        }
        let at_place = (Kind::Place, (String::new(), place.clone()));
        let Some(account) = account else { return Some(vec![at_place]) };
        let pair = (account.clone(), place.clone());
        if *known {
            return Some(vec![(Kind::Pair, pair), at_place]);
        }
        //= specs/auth.md#auth-73
        //# Somebody at a place that has not failed at an account within a day MUST be let try at it
        //# within 30 s × (3 k + 1), whatever k other places do, for k up to 100.
        let is_fresh = self.pairs.failures(&pair, now) < self.fresh_tries;
        let shared = if is_fresh { Kind::Fresh } else { Kind::Stale };
        let all = (shared, (account.clone(), String::new()));
        Some(vec![(Kind::Pair, pair), all, at_place])
    }

    const fn of(&self, kind: Kind) -> &Counts {
        match kind {
            Kind::Device => &self.devices,
            Kind::Pair => &self.pairs,
            Kind::Fresh => &self.fresh,
            Kind::Stale => &self.stale,
            Kind::Place => &self.places,
        }
    }

    const fn of_mut(&mut self, kind: Kind) -> &mut Counts {
        match kind {
            Kind::Device => &mut self.devices,
            Kind::Pair => &mut self.pairs,
            Kind::Fresh => &mut self.fresh,
            Kind::Stale => &mut self.stale,
            Kind::Place => &mut self.places,
        }
    }
}

#[cfg(test)]
mod tests;
