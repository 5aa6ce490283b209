//! Values that are given out once: begun log-ins, and those that wait to be picked up.

use crate::time::{Millis, Mono};
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use core::cmp::Reverse;

/// A value that waits.
#[derive(Clone, Debug)]
struct Waiting<V> {
    until: Mono,
    place: String,
    value: V,
}

/// Values by a name nobody can guess, each kept for a place (the address it came from), in bounded memory.
#[derive(Clone, Debug)]
pub struct Once<V> {
    most: usize,
    waiting: BTreeMap<String, Waiting<V>>,
    by_time: BTreeSet<(Mono, String)>,
    of_place: BTreeMap<String, BTreeSet<(Mono, String)>>,
}

impl<V> Once<V> {
    /// Nothing waits; at most `most` values do.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most, waiting: BTreeMap::new(), by_time: BTreeSet::new(), of_place: BTreeMap::new() }
    }

    /// Keeps a value for a place. Where there is no room, the place that has the most values waiting loses
    /// the oldest of them: one place can fill the memory and still take nothing from another.
    //= specs/auth.md#auth-85
    //# A log-in through a provider MUST NOT be refused nor pushed out for those of an address that has
    //# more of them under way.
    pub fn keep(&mut self, name: &str, place: &str, value: V, good_for: Millis, now: Mono) {
        self.forget(name);
        while let Some((until, oldest)) = self.by_time.first().cloned()
            && until <= now
        {
            self.forget(&oldest);
        }
        if self.waiting.len() >= self.most
            && let Some(oldest) = self.oldest_of_the_fullest()
        {
            self.forget(&oldest);
        }
        let (name, until) = (name.to_owned(), now.after(good_for));
        self.by_time.insert((until, name.clone()));
        self.of_place.entry(place.to_owned()).or_default().insert((until, name.clone()));
        self.waiting.insert(name, Waiting { until, place: place.to_owned(), value });
    }

    /// Gives it out, if its time is not over; whatever the answer, it is gone.
    pub fn take(&mut self, name: &str, now: Mono) -> Option<V> {
        let waited = self.forget(name)?;
        (now < waited.until).then_some(waited.value)
    }

    /// Of places that have the same number, the one whose first came before the others'.
    fn oldest_of_the_fullest(&self) -> Option<String> {
        let firsts = self.of_place.values().filter_map(|of| Some((of.len(), of.first()?)));
        let fullest = firsts.max_by_key(|(count, first)| (*count, Reverse(*first)));
        fullest.map(|(_, (_, name))| name.clone())
    }

    fn forget(&mut self, name: &str) -> Option<Waiting<V>> {
        let waited = self.waiting.remove(name)?;
        let key = (waited.until, name.to_owned());
        self.by_time.remove(&key);
        if let Some(others) = self.of_place.get_mut(&waited.place) {
            others.remove(&key);
            if others.is_empty() {
                self.of_place.remove(&waited.place);
            }
        }
        Some(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const SPAN: Millis = Millis::from_secs(60);

    #[test]
    fn a_value_is_given_out_once_and_in_time() {
        let mut once = Once::new(9);
        once.keep("a", "home", 1, SPAN, Mono(0));
        once.keep("b", "home", 2, SPAN, Mono(0));
        assert_eq!(once.take("a", Mono(59_999)), Some(1));
        assert_eq!(once.take("a", Mono(59_999)), None);
        assert_eq!(once.take("b", Mono(60_000)), None);
        assert_eq!(once.take("b", Mono(0)), None);
        assert!(once.by_time.is_empty() && once.of_place.is_empty(), "{once:?}");
    }

    //= specs/auth.md#auth-85
    //= type=test
    //# A log-in through a provider MUST NOT be refused nor pushed out for those of an address that has
    //# more of them under way.
    #[test]
    fn a_place_that_floods_takes_from_itself() {
        let mut once = Once::new(4);
        once.keep("own", "home", 0, SPAN, Mono(0));
        for n in 1..=100 {
            once.keep(&format!("{n}"), "afar", n, SPAN, Mono(n));
        }
        let left: Vec<&str> = once.waiting.keys().map(String::as_str).collect();
        assert_eq!(left, ["100", "98", "99", "own"]);
        assert_eq!(once.take("own", Mono(101)), Some(0));
        // There is room again: nothing has to go.
        once.keep("101", "afar", 101, SPAN, Mono(101));
        assert_eq!(once.take("98", Mono(102)), Some(98));
    }

    #[test]
    fn among_equals_the_first_to_come_goes_and_before_it_whatever_is_over() {
        let mut once = Once::new(3);
        for (n, place) in ["a", "c", "b"].into_iter().enumerate() {
            once.keep(place, place, n, SPAN, Mono(n as u64));
        }
        once.keep("d", "d", 3, SPAN, Mono(3));
        assert_eq!((once.take("a", Mono(3)), once.waiting.len()), (None, 3));
        // `c` is over, so that `b` need not go; a moment before it is not.
        once.keep("e", "e", 4, SPAN, Mono(60_001));
        assert_eq!((once.take("c", Mono(1)), once.take("b", Mono(3))), (None, Some(2)));
    }

    #[test]
    fn a_name_that_is_kept_again_has_its_new_value_and_time() {
        let mut once = Once::new(2);
        once.keep("a", "home", 1, SPAN, Mono(0));
        once.keep("a", "afar", 2, SPAN, Mono(30_000));
        assert_eq!((once.by_time.len(), once.of_place.len()), (1, 1));
        assert_eq!(once.take("a", Mono(60_000)), Some(2));
    }

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]
        /// Whoever has less than an equal share of the room loses nothing, whatever others do.
        #[test]
        fn a_share_of_the_room_is_ones_own(
            others in prop::collection::vec((0..3_u8, 0..50_u64), 1..120),
            own in 1..=2_usize,
        ) {
            let (mut once, mut now) = (Once::new(12), Mono(0));
            for n in 0..own {
                once.keep(&format!("own {n}"), "home", n, SPAN, now);
            }
            for (n, (place, wait)) in others.iter().enumerate() {
                now = now.after(Millis(*wait));
                once.keep(&format!("{n}"), &format!("{place}"), n, SPAN, now);
                let sum: usize = once.of_place.values().map(BTreeSet::len).sum();
                prop_assert!(once.waiting.len() <= 12);
                prop_assert_eq!((once.by_time.len(), sum), (once.waiting.len(), once.waiting.len()));
            }
            for n in 0..own {
                prop_assert_eq!(once.take(&format!("own {n}"), Mono(59_999)), Some(n));
            }
        }
    }
}
