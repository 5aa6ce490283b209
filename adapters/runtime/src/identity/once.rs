//! Values that are given out once: begun log-ins, and those that wait to be picked up.

use goldenpath_core::time::{Millis, Mono};
use goldenpath_core::wire::Secret;
use std::collections::BTreeMap;

/// Values waiting at once; beyond it those whose time is over make room, or nothing is taken in.
const WAITING: usize = 20_000;

/// Values by a name nobody can guess.
#[derive(Debug)]
pub(super) struct Once<V>(BTreeMap<String, (Mono, V)>);

impl<V> Default for Once<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> Once<V> {
    /// Keeps a value; `false` when too many wait.
    pub(super) fn keep(&mut self, name: &Secret, value: V, good_for: Millis, now: Mono) -> bool {
        if self.0.len() >= WAITING {
            self.0.retain(|_, (until, _)| *until > now);
        }
        if self.0.len() >= WAITING {
            return false;
        }
        self.0.insert(name.0.clone(), (now.after(good_for), value));
        true
    }

    /// Gives it out, if its time is not over; whatever the answer, it is gone.
    pub(super) fn take(&mut self, name: &Secret, now: Mono) -> Option<V> {
        let (until, value) = self.0.remove(&name.0)?;
        (now < until).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    #[test]
    fn a_value_is_given_out_once_and_in_time() {
        let mut once = Once::default();
        let span = Millis::from_secs(60);
        assert!(once.keep(&name("a"), 1, span, Mono(0)) && once.keep(&name("b"), 2, span, Mono(0)));
        assert_eq!(once.take(&name("a"), Mono(59_999)), Some(1));
        assert_eq!(once.take(&name("a"), Mono(59_999)), None);
        assert_eq!(once.take(&name("b"), Mono(60_000)), None);
        assert_eq!(once.take(&name("b"), Mono(0)), None);
    }

    #[test]
    fn what_waits_is_bounded_and_makes_room_in_time() {
        let mut once = Once::default();
        for n in 0..WAITING {
            assert!(once.keep(&name(&n.to_string()), n, Millis(10), Mono(0)));
        }
        assert!(!once.keep(&name("x"), 0, Millis(10), Mono(9)));
        assert!(once.keep(&name("x"), 0, Millis(10), Mono(10)));
    }
}
