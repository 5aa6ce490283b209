//! Single-use tickets: a browser cannot set headers on an upgrade and must not put a token into a URL.

use goldenpath_core::connection::Identity;
use goldenpath_core::time::{Millis, Mono};
use goldenpath_core::wire::Secret;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How long a ticket is good.
pub const TICKET_LIFETIME: Millis = Millis::from_secs(30);
/// Unused tickets at once.
const UNUSED: usize = 10_000;

/// Unused tickets of this process. A ticket has 256 bits, so looking one up by its text tells nobody
/// anything by the time it takes.
#[derive(Debug, Default)]
pub(super) struct Tickets(BTreeMap<String, Ticket>);

#[derive(Debug)]
struct Ticket {
    identity: Identity,
    origin: Option<String>,
    good_until: Mono,
}

impl Tickets {
    /// A new one; `None` when too many are unused.
    pub(super) fn make(
        &mut self,
        bytes: [u8; 32],
        identity: Identity,
        origin: Option<&str>,
        now: Mono,
    ) -> Option<Secret> {
        if self.0.len() >= UNUSED {
            self.0.retain(|_, ticket| ticket.good_until > now);
        }
        if self.0.len() >= UNUSED {
            return None;
        }
        let mut text = String::with_capacity(64);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        let good_until = now.after(TICKET_LIFETIME);
        let origin = origin.map(str::to_owned);
        self.0.insert(text.clone(), Ticket { identity, origin, good_until });
        Some(Secret(text))
    }

    /// Uses one up, whether it is good or not (AUTH-07).
    pub(super) fn redeem(
        &mut self,
        ticket: &Secret,
        origin: Option<&str>,
        now: Mono,
    ) -> Option<Identity> {
        //= specs/auth.md#auth-07
        //# A ticket MUST be accepted at most once.
        let ticket = self.0.remove(&ticket.0)?;
        //= specs/auth.md#auth-11
        //# A ticket MUST NOT be accepted after its lifetime or from another origin.
        let good = now < ticket.good_until && ticket.origin.as_deref() == origin;
        good.then_some(ticket.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldenpath_core::id::SessionId;
    use goldenpath_core::time::Wall;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Barrier, Mutex};

    fn identity() -> Identity {
        Identity::visitor(1, SessionId(1), Wall(0))
    }

    //= specs/auth.md#auth-11
    //= type=test
    //# A ticket MUST NOT be accepted after its lifetime or from another origin.
    #[test]
    fn a_ticket_is_good_once_in_time_and_for_its_page() {
        let mut tickets = Tickets::default();
        let mut make = |n: u8| tickets.make([n; 32], identity(), Some("https://a"), Mono(0));
        let [once, late, foreign] = [1, 2, 3].map(|n| make(n).unwrap());
        let page = Some("https://a");
        assert_eq!(tickets.redeem(&once, page, Mono(1)), Some(identity()));
        assert_eq!(tickets.redeem(&once, page, Mono(1)), None);
        assert_eq!(tickets.redeem(&late, page, Mono(30_000)), None);
        assert_eq!(tickets.redeem(&foreign, Some("https://b"), Mono(1)), None);
        assert_eq!(tickets.redeem(&foreign, page, Mono(1)), None);
    }

    #[test]
    fn unused_tickets_are_bounded_and_make_room_when_they_expire() {
        let mut tickets = Tickets::default();
        for n in 0..UNUSED {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_le_bytes());
            assert!(tickets.make(bytes, identity(), None, Mono(0)).is_some());
        }
        assert!(tickets.make([255; 32], identity(), None, Mono(1)).is_none());
        assert!(tickets.make([255; 32], identity(), None, Mono(30_000)).is_some());
    }

    /// As the sockets that come at the same time find them: behind one lock.
    #[test]
    fn of_many_who_come_at_the_same_time_one_is_let_in() {
        const COMERS: usize = 8;
        let tickets = Mutex::new(Tickets::default());
        for round in 0..200u8 {
            let ticket = {
                let mut tickets = tickets.lock().unwrap();
                tickets.make([round; 32], identity(), Some("https://a"), Mono(0)).unwrap()
            };
            let (start, let_in) = (Barrier::new(COMERS), AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for _ in 0..COMERS {
                    scope.spawn(|| {
                        start.wait();
                        let found =
                            tickets.lock().unwrap().redeem(&ticket, Some("https://a"), Mono(1));
                        let_in.fetch_add(usize::from(found.is_some()), Ordering::Relaxed);
                    });
                }
            });
            assert_eq!(let_in.into_inner(), 1, "round {round}");
        }
    }

    /// Somebody makes a ticket, or comes with one from a page, or time passes.
    #[derive(Clone, Debug)]
    enum Step {
        Make(u8),
        Come { with: u8, from_its_page: bool },
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..4u8).prop_map(Step::Make),
            (0..4u8, any::<bool>())
                .prop_map(|(with, from_its_page)| Step::Come { with, from_its_page }),
            (0..20_000u64).prop_map(Step::Pass),
        ]
    }

    proptest! {
        /// AUTH-07, AUTH-11, against a model: when each was made, until somebody comes with it.
        #[test]
        fn in_any_order_a_ticket_lets_in_at_most_once(
            steps in proptest::collection::vec(step(), 1..80),
        ) {
            let mut tickets = Tickets::default();
            let mut now = Mono(0);
            let mut made: BTreeMap<u8, (Secret, Mono)> = BTreeMap::new();
            let mut used: Vec<Secret> = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Make(name) => {
                        // No two tickets have the same bytes.
                        let mut bytes = [name; 32];
                        bytes[..8].copy_from_slice(&number.to_le_bytes());
                        let ticket = tickets.make(bytes, identity(), Some("https://a"), now).unwrap();
                        made.insert(name, (ticket, now));
                    }
                    Step::Come { with, from_its_page } => {
                        let page = if from_its_page { "https://a" } else { "https://b" };
                        if let Some((ticket, since)) = made.remove(&with) {
                            let good = from_its_page && now < since.after(TICKET_LIFETIME);
                            let let_in = tickets.redeem(&ticket, Some(page), now).is_some();
                            prop_assert_eq!(let_in, good);
                            used.push(ticket);
                        }
                    }
                    Step::Pass(millis) => now = now.after(Millis(millis)),
                }
                for ticket in &used {
                    prop_assert_eq!(tickets.redeem(ticket, Some("https://a"), now), None);
                }
            }
        }
    }
}
