//! How often each of many may do something: a bucket each, in one number, in bounded memory.

use crate::time::{Millis, Mono};
use alloc::collections::{BTreeMap, BTreeSet};
use core::cmp::Reverse;

/// A minute in microseconds, the unit of the buckets.
const MINUTE: u64 = 60_000_000;

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    burst: u32,
    /// From one to the next, in microseconds; nothing for rates nobody reaches.
    each: u64,
}

impl Policy {
    /// So many at once, and from then on so many a minute; 0 counts as 1.
    #[must_use]
    pub const fn per_minute(burst: u32, rate: u32) -> Self {
        Self { burst, each: MINUTE / if rate == 0 { 1 } else { rate as u64 } }
    }

    /// So many at once, and from then on one after each such span.
    #[must_use]
    pub const fn every(burst: u32, span: Millis) -> Self {
        Self { burst, each: span.0.saturating_mul(1000) }
    }

    /// How many at once.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }

    const fn capacity(self) -> u64 {
        let burst = if self.burst == 0 { 1 } else { self.burst as u64 };
        burst.saturating_mul(self.each)
    }

    /// From empty to full.
    #[must_use]
    pub const fn window(self) -> Millis {
        Millis(self.capacity().div_ceil(1000))
    }
}

/// What is left after one was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    /// So many more at once.
    pub remaining: u32,
    /// Until all of them are there again.
    pub full_in: Millis,
}

/// Whose allowance something was counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whose {
    /// Of the address it came from.
    Address,
    /// Of the user who asked.
    User,
}

impl Whose {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::User => "user",
        }
    }
}

/// What something was counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spent {
    /// Against whose allowance.
    pub whose: Whose,
    /// What is allowed.
    pub policy: Policy,
    /// What is left of it, or how long there is nothing.
    pub left: Result<Left, Millis>,
}

impl Spent {
    /// Of two allowances for the same request the one that is used up first, which is the one to be
    /// told: what refuses before what does not, then the one with fewer left, then the one that takes
    /// longer to be whole again. A rate nobody reaches is told of only when there is no other.
    //= specs/safety.md#safe-90
    //# Whoever is known MUST be told the tighter of the allowances of its user and of its address.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        if other.rank() < self.rank() { other } else { self }
    }

    fn rank(&self) -> (bool, bool, u32, Reverse<Millis>) {
        let unbounded = self.policy.window() == Millis::ZERO;
        match self.left {
            Ok(Left { remaining, full_in }) => (unbounded, true, remaining, Reverse(full_in)),
            Err(wait) => (unbounded, false, 0, Reverse(wait)),
        }
    }
}

/// The allowances of many, each by its name. Whoever is not remembered has spent nothing.
#[derive(Clone, Debug)]
pub struct Allowances<K> {
    policy: Policy,
    most: usize,
    /// When each is full again, in microseconds: the whole state of a bucket.
    full_at: BTreeMap<K, u64>,
    by_time: BTreeSet<(u64, K)>,
}

impl<K: Ord + Clone> Allowances<K> {
    /// Nobody has spent anything; at most `most` are remembered.
    #[must_use]
    pub const fn new(policy: Policy, most: usize) -> Self {
        Self { policy, most, full_at: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// What each is allowed.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.full_at.is_empty()
    }

    /// Spends one.
    ///
    /// # Errors
    /// How long until there is one; nothing was spent.
    pub fn spend(&mut self, name: &K, now: Mono) -> Result<Left, Millis> {
        let (each, capacity) = (self.policy.each, self.policy.capacity());
        if each == 0 {
            return Ok(Left { remaining: self.policy.burst, full_in: Millis::ZERO });
        }
        let now = now.0.saturating_mul(1000);
        let known = self.full_at.get(name).copied();
        let full_at = known.unwrap_or(now).max(now).saturating_add(each);
        let spent = full_at - now;
        if spent > capacity {
            return Err(Millis((spent - capacity).div_ceil(1000)));
        }
        match known {
            Some(known) => {
                self.by_time.remove(&(known, name.clone()));
            }
            None => self.make_room(now),
        }
        self.full_at.insert(name.clone(), full_at);
        self.by_time.insert((full_at, name.clone()));
        let remaining = u32::try_from((capacity - spent) / each).unwrap_or(u32::MAX);
        Ok(Left { remaining, full_in: Millis(spent.div_ceil(1000)) })
    }

    /// Forgets who has everything again; and, if there are too many, who is nearest to that: whoever
    /// makes up names makes others forget little, and is not forgotten for it.
    //= specs/safety.md#safe-42
    //# What is remembered about addresses and users MUST be bounded, and MUST NOT lock out those
    //# who are not remembered.
    fn make_room(&mut self, now: u64) {
        while let Some((full_at, _)) = self.by_time.first()
            && (*full_at <= now || self.full_at.len() >= self.most)
            && let Some((_, name)) = self.by_time.pop_first()
        {
            self.full_at.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const POLICY: Policy = Policy::per_minute(3, 60);

    #[test]
    fn a_burst_then_one_a_second_and_each_has_its_own() {
        let mut all = Allowances::new(POLICY, 10);
        for remaining in [2, 1, 0] {
            assert_eq!(all.spend(&'a', Mono(0)).map(|left| left.remaining), Ok(remaining));
        }
        assert_eq!(all.spend(&'a', Mono(0)), Err(Millis(1000)));
        assert_eq!(all.spend(&'a', Mono(999)), Err(Millis(1)));
        let full_in = Millis(3000);
        assert_eq!(all.spend(&'a', Mono(1000)), Ok(Left { remaining: 0, full_in }));
        assert!(all.spend(&'b', Mono(1000)).is_ok());
        assert!(!all.is_empty() && all.len() == 2);
        assert_eq!((POLICY.window(), POLICY.burst()), (Millis(3000), 3));
        assert_eq!(POLICY, Policy::every(3, Millis(1000)));
    }

    //= specs/safety.md#safe-90
    //= type=test
    //# Whoever is known MUST be told the tighter of the allowances of its user and of its address.
    #[test]
    fn of_two_allowances_the_one_that_ends_first_is_told() {
        let left = |remaining, secs| Ok(Left { remaining, full_in: Millis::from_secs(secs) });
        let of = |whose, left| Spent { whose, policy: POLICY, left };
        let none = |secs| Err(Millis::from_secs(secs));
        for (address, user, told) in [
            (left(2, 1), left(1, 1), Whose::User),
            (left(1, 1), left(2, 9), Whose::Address),
            (left(1, 1), left(1, 2), Whose::User),
            (left(1, 2), left(1, 2), Whose::Address),
            (left(0, 9), none(1), Whose::User),
            (none(1), left(0, 9), Whose::Address),
            (none(1), none(2), Whose::User),
        ] {
            let (address, user) = (of(Whose::Address, address), of(Whose::User, user));
            assert_eq!(address.tighter(user).whose, told, "{address:?} {user:?}");
            if address.left != user.left {
                assert_eq!(user.tighter(address), address.tighter(user), "in any order");
            }
        }
        let policy = Policy::per_minute(u32::MAX, u32::MAX);
        let unbounded = Spent { whose: Whose::User, policy, left: left(0, 0) };
        let bounded = of(Whose::Address, left(7, 1));
        assert_eq!((bounded.tighter(unbounded), unbounded.tighter(bounded)), (bounded, bounded));
        assert_eq!([Whose::Address, Whose::User].map(Whose::as_str), ["address", "user"]);
    }

    #[test]
    fn a_rate_nobody_reaches_is_none_and_remembers_nobody() {
        let policy = Policy::per_minute(u32::MAX, u32::MAX);
        let mut all = Allowances::new(policy, 10);
        assert!((0..1000).all(|n| all.spend(&n, Mono(0)).is_ok()));
        assert!(all.is_empty());
    }

    //= specs/safety.md#safe-42
    //= type=test
    //# What is remembered about addresses and users MUST be bounded, and MUST NOT lock out those
    //# who are not remembered.
    #[test]
    fn a_million_made_up_names_lock_nobody_out_and_free_no_offender() {
        let mut all = Allowances::new(POLICY, 100);
        while all.spend(&0u32, Mono(0)).is_ok() {}
        for name in 1..1_000_000 {
            assert!(all.spend(&name, Mono(0)).is_ok(), "{name} is new");
        }
        assert_eq!(all.len(), 100);
        assert!(all.spend(&0, Mono(0)).is_err(), "the offender is still known");
        assert!(all.spend(&0, Mono(60_000)).is_ok());
        assert_eq!(all.spend(&7, Mono(60_000)).map(|left| left.remaining), Ok(2));
        assert_eq!(all.len(), 2, "whoever has everything again is forgotten");
    }

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        #[test]
        fn nobody_gets_more_than_burst_and_rate_or_less_when_told_to_wait(
            steps in prop::collection::vec((0u64..2_000, 0u8..3), 1..200)
        ) {
            let mut all = Allowances::new(POLICY, 10);
            let (mut now, mut spent) = (Mono(0), Vec::from([0u64; 3]));
            for (wait, name) in steps {
                now = now.after(Millis(wait));
                match all.spend(&name, now) {
                    Ok(_) => spent[usize::from(name)] += 1,
                    Err(wait) => prop_assert!(all.clone().spend(&name, now.after(wait)).is_ok()),
                }
                prop_assert!(spent.iter().all(|count| *count <= 3 + now.0 / 1000));
            }
        }
    }
}
