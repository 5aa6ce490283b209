//! Failures of one kind, by name.

use super::Allowance;
use crate::time::{Millis, Mono};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// An account and what it was tried from; either may be empty.
pub(super) type Key = (String, String);

/// What one failure changed, so that it can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Took {
    added: bool,
    not_before: Mono,
    before: Mono,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Count {
    failures: u32,
    at: Mono,
    not_before: Mono,
}

#[derive(Clone, Debug)]
pub(super) struct Counts {
    allowance: Allowance,
    kept: usize,
    counts: BTreeMap<Key, Count>,
}

impl Counts {
    pub(super) const fn new(allowance: Allowance, kept: usize) -> Self {
        Self { allowance, kept, counts: BTreeMap::new() }
    }

    /// How long this one waits.
    pub(super) fn wait(&self, key: &Key, now: Mono) -> Millis {
        self.counts.get(key).map_or(Millis::ZERO, |count| count.not_before.since(now))
    }

    /// Failures that are not forgotten.
    pub(super) fn failures(&self, key: &Key, now: Mono) -> u32 {
        self.counts.get(key).map_or(0, |count| {
            let mut count = *count;
            count.settle(&self.allowance, now);
            count.failures
        })
    }

    //= specs/auth.md#auth-44
    //# The wait after failed tries MUST grow with each further failure, up to a bound.
    pub(super) fn failed(&mut self, key: &Key, now: Mono) -> Took {
        let allowance = self.allowance;
        let count = self.count(key, now);
        count.settle(&allowance, now);
        let before = count.not_before;
        // What no wait tells apart is not counted: it would take days to drain.
        let added = count.failures < allowance.most_counted();
        count.failures += u32::from(added);
        count.not_before = now.after(allowance.wait_after(count.failures)).max(before);
        Took { added, not_before: count.not_before, before }
    }

    /// It was no failure after all.
    pub(super) fn taken_back(&mut self, key: &Key, took: Took, now: Mono) {
        let free = self.allowance.free;
        let Some(count) = self.counts.get_mut(key) else { return };
        count.failures = count.failures.saturating_sub(u32::from(took.added));
        if count.not_before == took.not_before {
            count.not_before = took.before;
        }
        if count.failures <= free {
            count.not_before = count.not_before.min(now);
        }
    }

    pub(super) fn forget(&mut self, key: &Key) {
        self.counts.remove(key);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// The count of a name. Where there is no room, the names with the fewest failures are forgotten:
    /// those of somebody who tries many names once, not those of somebody under attack.
    //= specs/auth.md#auth-45
    //# What is remembered about failures MUST be bounded, and what is forgotten MUST be what says
    //# least.
    fn count(&mut self, key: &Key, now: Mono) -> &mut Count {
        let counts = &mut self.counts;
        if counts.len() >= self.kept.max(2) && !counts.contains_key(key) {
            let mut weights: Vec<(u32, Mono)> =
                counts.values().map(|c| (c.failures, c.at)).collect();
            weights.sort_unstable();
            let (least, oldest) = weights[weights.len() / 2];
            counts.retain(|_, c| (c.failures, c.at) > (least, oldest));
        }
        counts.entry(key.clone()).or_insert(Count { failures: 0, at: now, not_before: Mono(0) })
    }
}

impl Count {
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
}

impl Allowance {
    /// The wait that so many failures make.
    fn wait_after(&self, failures: u32) -> Millis {
        let beyond = failures.saturating_sub(self.free);
        if beyond == 0 {
            return Millis::ZERO;
        }
        let doubled = self.first.0.saturating_mul(1u64 << (beyond - 1).min(40));
        Millis(doubled.min(self.most.0))
    }

    /// Failures beyond which the wait does not grow.
    fn most_counted(&self) -> u32 {
        let doublings = (0..40).find(|n| self.first.0.saturating_mul(1u64 << n) >= self.most.0);
        self.free.saturating_add(1).saturating_add(doublings.unwrap_or(40))
    }
}
