//! The keys of a foreign issuer: when to fetch them, and which of those known may be used.
//!
//! The issuer rotates its keys when it likes and is down when it likes; and whoever presents a token
//! chooses the key it names. So: a key that is known is used at once; one that is not is asked for, but
//! nobody can make us ask more than once in a while; and while the issuer is down, what it said last
//! counts for a day.

use crate::time::{Millis, Mono};
use alloc::collections::BTreeSet;
use alloc::string::String;

/// Keys kept of one issuer; more are a mistake of the issuer or an attack on our memory.
pub const MAX_FOREIGN_KEYS: usize = 32;

/// How old what the issuer said may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Freshness {
    /// Beyond this age the keys are fetched again, while they are still used.
    pub fresh: Millis,
    /// Beyond this age they are not used any more.
    pub stale: Millis,
    /// From one fetch to the next, whatever is asked meanwhile.
    pub pause: Millis,
    /// A fetch that has not answered after this time has failed.
    pub patience: Millis,
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            fresh: Millis::from_secs(600),
            stale: Millis::from_secs(24 * 3600),
            pause: Millis::from_secs(30),
            patience: Millis::from_secs(10),
        }
    }
}

/// What to do about a token that names a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Check it with the key; and fetch the set beside, when `refresh`.
    Use {
        /// The set is due: fetch it, and do not wait for it.
        refresh: bool,
    },
    /// Fetch the set and ask again.
    Fetch,
    /// Somebody is fetching; ask again when that is over.
    Wait,
    /// The issuer has no such key.
    Unknown,
    /// The issuer does not answer, and what it said before is too old or does not name the key.
    Unavailable,
}

/// What is known of an issuer's keys. It holds their names; the keys themselves are the adapter's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeySet {
    freshness: Freshness,
    known: BTreeSet<String>,
    fetched: Option<Mono>,
    tried: Option<Mono>,
    under_way: bool,
}

impl KeySet {
    /// Nothing is known yet.
    #[must_use]
    pub const fn new(freshness: Freshness) -> Self {
        Self { freshness, known: BTreeSet::new(), fetched: None, tried: None, under_way: false }
    }

    /// What to do about a token that names this key. After [`Decision::Fetch`] or a `refresh` the caller
    /// fetches, and says what came of it with [`Self::fetched`] or [`Self::failed`].
    pub fn decide(&mut self, now: Mono, kid: &str) -> Decision {
        let Freshness { fresh, stale, pause, patience } = self.freshness;
        let within =
            |since: Option<Mono>, span: Millis| since.is_some_and(|at| now < at.after(span));
        if self.under_way && !within(self.tried, patience) {
            self.under_way = false;
        }
        //= specs/auth.md#auth-65
        //# Whatever tokens name, the keys of an issuer MUST NOT be fetched more often than once in
        //# a pause.
        let may_fetch = !self.under_way && !within(self.tried, pause);
        //= specs/auth.md#auth-66
        //# A key that an issuer no longer names, or named too long ago, MUST NOT be used.
        if self.known.contains(kid) && within(self.fetched, stale) {
            //= specs/auth.md#auth-64
            //# While an issuer does not answer, the keys it named last MUST be used.
            let refresh = may_fetch && !within(self.fetched, fresh);
            if refresh {
                self.begin(now);
            }
            Decision::Use { refresh }
        } else if may_fetch {
            self.begin(now);
            Decision::Fetch
        } else if self.under_way {
            Decision::Wait
        } else if self.fetched.is_some() && self.fetched >= self.tried {
            Decision::Unknown
        } else {
            Decision::Unavailable
        }
    }

    /// The issuer named its keys: these count, and no others.
    pub fn fetched(&mut self, now: Mono, kids: impl IntoIterator<Item = String>) {
        self.known = kids.into_iter().take(MAX_FOREIGN_KEYS).collect();
        self.fetched = Some(now);
        self.under_way = false;
    }

    /// The issuer did not answer, or not in a way that can be read: what it said before goes on.
    pub const fn failed(&mut self) {
        self.under_way = false;
    }

    const fn begin(&mut self, now: Mono) {
        self.tried = Some(now);
        self.under_way = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned as _;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const USE: Decision = Decision::Use { refresh: false };
    const REFRESH: Decision = Decision::Use { refresh: true };

    fn secs(secs: u64) -> Mono {
        Mono(secs * 1000)
    }

    fn set() -> KeySet {
        KeySet::new(Freshness::default())
    }

    fn named(kids: &[&str]) -> Vec<String> {
        kids.iter().map(|&kid| kid.to_owned()).collect()
    }

    #[test]
    fn the_first_to_ask_fetches_and_the_others_wait() {
        let mut set = set();
        assert_eq!(set.decide(secs(0), "a"), Decision::Fetch);
        assert_eq!(set.decide(secs(1), "a"), Decision::Wait);
        set.fetched(secs(2), named(&["a"]));
        assert_eq!(set.decide(secs(2), "a"), USE);
    }

    #[test]
    fn a_key_that_is_new_after_a_rotation_is_fetched_once() {
        let mut set = set();
        set.decide(secs(0), "a");
        set.fetched(secs(0), named(&["a"]));
        assert_eq!(set.decide(secs(29), "b"), Decision::Unknown);
        assert_eq!(set.decide(secs(30), "b"), Decision::Fetch);
        set.fetched(secs(31), named(&["b"]));
        assert_eq!(set.decide(secs(31), "b"), USE);
        assert_eq!(set.decide(secs(31), "a"), Decision::Unknown, "the older one is gone");
    }

    //= specs/auth.md#auth-64
    //= type=test
    //# While an issuer does not answer, the keys it named last MUST be used.
    #[test]
    fn while_the_issuer_is_down_its_last_word_counts_for_a_day() {
        let mut set = set();
        set.decide(secs(0), "a");
        set.fetched(secs(0), named(&["a"]));
        assert_eq!(set.decide(secs(599), "a"), USE);
        for minute in 10..24 * 60 {
            assert_eq!(set.decide(secs(minute * 60), "a"), REFRESH);
            assert_eq!(set.decide(secs(minute * 60), "b"), Decision::Wait);
            set.failed();
            assert_eq!(set.decide(secs(minute * 60), "b"), Decision::Unavailable);
            assert_eq!(set.decide(secs(minute * 60 + 1), "a"), USE);
        }
        assert_eq!(set.decide(secs(24 * 3600), "a"), Decision::Fetch);
        set.failed();
        assert_eq!(set.decide(secs(24 * 3600), "a"), Decision::Unavailable);
    }

    #[test]
    fn a_fetch_that_never_answers_is_over_after_a_while() {
        let mut set = set();
        assert_eq!(set.decide(secs(0), "a"), Decision::Fetch);
        assert_eq!(set.decide(secs(9), "a"), Decision::Wait);
        assert_eq!(set.decide(secs(10), "a"), Decision::Unavailable);
        assert_eq!(set.decide(secs(30), "a"), Decision::Fetch);
    }

    #[test]
    fn an_issuer_of_too_many_keys_has_some_of_them_kept() {
        let mut set = set();
        set.decide(secs(0), "0");
        set.fetched(secs(0), (0..1000).map(|n| alloc::format!("{n}")));
        assert_eq!(set.known.len(), MAX_FOREIGN_KEYS);
    }

    /// What happens to a set, one after the other.
    #[derive(Clone, Debug)]
    enum Step {
        Pass(u64),
        Ask(u8),
        Answer(Vec<u8>),
        Fail,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            prop_oneof![0..40_000u64, 0..700_000u64, 0..100_000_000u64].prop_map(Step::Pass),
            (0..4u8).prop_map(Step::Ask),
            (0..4u8).prop_map(Step::Ask),
            proptest::collection::vec(0..4u8, 0..3).prop_map(Step::Answer),
            Just(Step::Fail),
        ]
    }

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        //= specs/auth.md#auth-65
        //= type=test
        //# Whatever tokens name, the keys of an issuer MUST NOT be fetched more often than once in
        //# a pause.
        //= specs/auth.md#auth-66
        //= type=test
        //# A key that an issuer no longer names, or named too long ago, MUST NOT be used.
        #[test]
        fn no_order_of_events_fetches_too_often_or_uses_what_was_not_named(
            steps in proptest::collection::vec(step(), 1..60),
        ) {
            let mut set = set();
            let ages = Freshness::default();
            let mut now = Mono(0);
            let mut last_fetch: Option<Mono> = None;
            let mut word: Option<(Mono, Vec<u8>)> = None;
            for step in steps {
                match step {
                    Step::Pass(millis) => now = now.after(Millis(millis)),
                    Step::Ask(key) => {
                        let decision = set.decide(now, &alloc::format!("{key}"));
                        let counts = word.as_ref().is_some_and(|(at, keys)| {
                            keys.contains(&key) && now < at.after(ages.stale)
                        });
                        prop_assert_eq!(matches!(decision, Decision::Use { .. }), counts);
                        if matches!(decision, Decision::Fetch | REFRESH) {
                            if let Some(last) = last_fetch {
                                prop_assert!(now >= last.after(ages.pause), "too soon");
                            }
                            last_fetch = Some(now);
                        }
                        // Nobody is told "no" for ever: after a pause somebody fetches.
                        let quiet = last_fetch.is_none_or(|last| now >= last.after(ages.pause));
                        if !counts && quiet {
                            prop_assert_eq!(decision, Decision::Fetch);
                        }
                    }
                    Step::Answer(keys) => {
                        set.fetched(now, keys.iter().map(|key| alloc::format!("{key}")));
                        word = Some((now, keys));
                    }
                    Step::Fail => set.failed(),
                }
            }
        }
    }
}
