//! How long somebody waits before the next try at a password.
//!
//! Failures are counted three times: for the account as tried from one place, for the account as tried
//! from places it does not know, and for the place. Each count has its free tries; beyond them every
//! failure doubles the wait up to a bound, and counts drain with time. A place the account has logged in
//! from before is judged by the first count alone: what strangers do elsewhere does not delay the user
//! (the device cookie of the OWASP authentication cheat sheet, with the place for a device).

use crate::time::{Millis, Mono};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

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

/// The three kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Allowances {
    /// An account as tried from one place.
    pub pair: Allowance,
    /// An account as tried from places it does not know.
    pub account: Allowance,
    /// A place, whatever the account: a whole office may sit behind one address.
    pub place: Allowance,
    /// Counts of each kind that are kept; beyond it the least telling ones are forgotten.
    pub kept: usize,
}

impl Default for Allowances {
    fn default() -> Self {
        let first = Millis::from_secs(1);
        Self {
            pair: Allowance {
                free: 9,
                first,
                most: Millis::from_secs(15 * 60),
                drain: Millis::from_secs(15 * 60),
            },
            account: Allowance {
                free: 30,
                first,
                most: Millis::from_secs(60),
                drain: Millis::from_secs(60),
            },
            place: Allowance { free: 120, first, most: Millis::from_secs(60), drain: Millis(500) },
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Count {
    failures: u32,
    at: Mono,
    not_before: Mono,
}

impl Count {
    const fn new(now: Mono) -> Self {
        Self { failures: 0, at: now, not_before: Mono(0) }
    }

    /// Forgets what time has drained.
    fn settle(&mut self, allowance: &Allowance, now: Mono) {
        let drained = now.since(self.at).0 / allowance.drain.0.max(1);
        self.failures = self.failures.saturating_sub(u32::try_from(drained).unwrap_or(u32::MAX));
        self.at = if self.failures == 0 {
            now
        } else {
            self.at.after(Millis(drained.saturating_mul(allowance.drain.0)))
        };
    }

    //= specs/auth.md#auth-44
    //# The wait after failed tries MUST grow with each further failure, up to a bound.
    fn failed(&mut self, allowance: &Allowance, now: Mono) {
        self.settle(allowance, now);
        self.failures = self.failures.saturating_add(1);
        let beyond = self.failures.saturating_sub(allowance.free);
        if beyond > 0 {
            let doubled = allowance.first.0.saturating_mul(1u64 << (beyond - 1).min(40));
            self.not_before = now.after(Millis(doubled.min(allowance.most.0)));
        }
    }

    /// It was no failure after all.
    fn taken_back(&mut self, allowance: &Allowance, now: Mono) {
        self.failures = self.failures.saturating_sub(1);
        if self.failures <= allowance.free {
            self.not_before = now;
        }
    }
}

/// What is known about failures; nothing about those who never failed.
#[derive(Clone, Debug)]
pub struct Lockout {
    allowances: Allowances,
    pairs: BTreeMap<(String, String), Count>,
    accounts: BTreeMap<String, Count>,
    places: BTreeMap<String, Count>,
}

impl Lockout {
    /// Nobody has failed.
    #[must_use]
    pub const fn new(allowances: Allowances) -> Self {
        Self {
            allowances,
            pairs: BTreeMap::new(),
            accounts: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    /// Begins a try, which counts as failed until [`succeeded`](Self::succeeded) or
    /// [`undecided`](Self::undecided) says otherwise: many at once are no way around.
    ///
    /// # Errors
    /// How long to wait; nothing was counted then, so asking early costs nothing.
    pub fn begin(&mut self, tried: &Try, now: Mono) -> Result<(), Millis> {
        let wait = self.wait(tried, now);
        if wait > Millis::ZERO {
            return Err(wait);
        }
        let Allowances { pair, account, place, kept } = self.allowances;
        if let Some(name) = &tried.account {
            let key = (name.clone(), tried.place.clone());
            count(&mut self.pairs, key, kept, now).failed(&pair, now);
            if !tried.known {
                count(&mut self.accounts, name.clone(), kept, now).failed(&account, now);
            }
        }
        count(&mut self.places, tried.place.clone(), kept, now).failed(&place, now);
        Ok(())
    }

    /// The password was right. What others failed at stays counted: a log-in of one's own is no way to
    /// begin anew with the accounts of others.
    pub fn succeeded(&mut self, tried: &Try, now: Mono) {
        self.undecided(tried, now);
        if let Some(name) = &tried.account {
            self.pairs.remove(&(name.clone(), tried.place.clone()));
        }
    }

    /// Nobody could say whether the password was right.
    pub fn undecided(&mut self, tried: &Try, now: Mono) {
        let Allowances { pair, account, place, .. } = self.allowances;
        if let Some(name) = &tried.account {
            let key = (name.clone(), tried.place.clone());
            if let Some(count) = self.pairs.get_mut(&key) {
                count.taken_back(&pair, now);
            }
            if let Some(count) = self.accounts.get_mut(name).filter(|_| !tried.known) {
                count.taken_back(&account, now);
            }
        }
        if let Some(count) = self.places.get_mut(&tried.place) {
            count.taken_back(&place, now);
        }
    }

    fn wait(&self, tried: &Try, now: Mono) -> Millis {
        let left = |count: Option<&Count>| count.map_or(Millis::ZERO, |c| c.not_before.since(now));
        let own = tried.account.as_ref().map_or(Millis::ZERO, |name| {
            left(self.pairs.get(&(name.clone(), tried.place.clone())))
        });
        //= specs/auth.md#auth-43
        //# A user at a place they logged in from before MUST NOT be delayed by failures from other
        //# places.
        if tried.known {
            return own;
        }
        let account = left(tried.account.as_ref().and_then(|name| self.accounts.get(name)));
        own.max(account).max(left(self.places.get(&tried.place)))
    }
}

/// The count of a name. Where there is no room, the names with the fewest failures are forgotten: those
/// of somebody who tries many names once, not those of somebody under attack.
//= specs/auth.md#auth-45
//# What is remembered about failures MUST be bounded, and what is forgotten MUST be what says least.
fn count<K: Ord + Clone>(
    counts: &mut BTreeMap<K, Count>,
    key: K,
    kept: usize,
    now: Mono,
) -> &mut Count {
    if counts.len() >= kept.max(2) && !counts.contains_key(&key) {
        let mut weights: Vec<(u32, Mono)> = counts.values().map(|c| (c.failures, c.at)).collect();
        weights.sort_unstable();
        let (least, oldest) = weights[weights.len() / 2];
        counts.retain(|_, c| (c.failures, c.at) > (least, oldest));
    }
    counts.entry(key).or_insert_with(|| Count::new(now))
}

#[cfg(test)]
mod tests;
