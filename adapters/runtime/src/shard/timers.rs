//! The deadlines of a shard's hubs.

use goldenpath_core::auth::Scope;
use goldenpath_core::time::Mono;
use std::collections::BTreeSet;

/// One deadline per hub at most.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Mono, Scope)>);

impl Timers {
    /// Replaces a hub's deadline.
    pub(super) fn set(&mut self, user: &Scope, old: Option<Mono>, new: Option<Mono>) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.0.remove(&(old, user.clone()));
        }
        if let Some(new) = new {
            self.0.insert((new, user.clone()));
        }
    }

    /// The next one.
    pub(super) fn next(&self) -> Option<Mono> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes out one that is over.
    pub(super) fn take_due(&mut self, now: Mono) -> Option<Scope> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, user)| user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldenpath_core::connection::Identity;
    use goldenpath_core::id::SessionId;
    use goldenpath_core::time::Wall;

    #[test]
    fn deadlines_come_in_their_order_and_once() {
        let user = |n| Identity::visitor(n, SessionId(1), Wall(0)).scope();
        let (a, b) = (user(1), user(2));
        let mut timers = Timers::default();
        timers.set(&a, None, Some(Mono(20)));
        timers.set(&b, None, Some(Mono(10)));
        timers.set(&a, Some(Mono(20)), Some(Mono(5)));
        assert_eq!(timers.next(), Some(Mono(5)));
        assert_eq!(timers.take_due(Mono(7)), Some(a));
        assert_eq!(timers.take_due(Mono(7)), None);
        timers.set(&b, Some(Mono(10)), None);
        assert_eq!(timers.next(), None);
    }
}
