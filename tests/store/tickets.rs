//! What every store of tickets must do; another implementation adds a line at the end.

use futures_util::FutureExt as _;
use goldenpath_core::auth::{Digest, Endings, TICKET_LIFETIME, Ticket, UNUSED_TICKETS};
use goldenpath_core::connection::Identity;
use goldenpath_core::id::SessionId;
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::ErrorCode;
use goldenpath_runtime::memory::MemoryTickets;
use goldenpath_runtime::ports::{Answer, Tickets};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const PAGE: Option<&str> = Some("https://a");

fn digest(n: usize) -> Digest {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    Digest(bytes)
}

fn visitor(n: usize) -> Identity {
    Identity::visitor(n as u64, SessionId(n as u128), Wall(0))
}

fn ticket(n: usize, at: u64) -> Ticket {
    Ticket::new(digest(n), visitor(n), PAGE, Wall(at))
}

/// Comes with a ticket, as an upgrade does.
async fn come(
    tickets: &dyn Tickets,
    n: usize,
    origin: Option<&str>,
    at: u64,
) -> Result<Identity, ErrorCode> {
    let taken = tickets.redeem(digest(n)).await.unwrap();
    let vouched = taken.ok_or(ErrorCode::TicketInvalid)?.redeem(origin, Wall(at))?;
    vouched.unless_ended(&Endings::default())
}

async fn a_ticket_is_good_once_in_time_and_for_its_page(tickets: Arc<dyn Tickets>) {
    let invalid = Err(ErrorCode::TicketInvalid);
    for n in 0..5 {
        assert_eq!(tickets.make(ticket(n, 1_000), Wall(1_000)).await, Ok(true));
    }
    assert_eq!(come(&*tickets, 0, PAGE, 1_001).await, Ok(visitor(0)), "its own user");
    assert_eq!(come(&*tickets, 0, PAGE, 1_001).await, invalid, "used");
    assert_eq!(come(&*tickets, 1, PAGE, 30_999).await, Ok(visitor(1)), "the last millisecond");
    assert_eq!(come(&*tickets, 2, PAGE, 31_000).await, invalid, "30 s later");
    assert_eq!(come(&*tickets, 3, Some("https://b"), 1_001).await, invalid, "another page");
    assert_eq!(come(&*tickets, 3, PAGE, 1_001).await, invalid, "used up by the other page");
    assert_eq!(come(&*tickets, 4, None, 1_001).await, invalid, "no page");
    assert_eq!(come(&*tickets, 9, PAGE, 1_001).await, invalid, "never made");
}

async fn of_many_who_come_at_the_same_time_one_is_let_in(tickets: Arc<dyn Tickets>) {
    for round in 0..50 {
        tickets.make(ticket(round, 0), Wall(0)).await.unwrap();
        let comers: Vec<_> = (0..8)
            .map(|_| {
                let tickets = tickets.clone();
                tokio::spawn(async move { come(&*tickets, round, PAGE, 1).await.is_ok() })
            })
            .collect();
        let mut let_in = 0;
        for comer in comers {
            let_in += usize::from(comer.await.unwrap());
        }
        assert_eq!(let_in, 1, "round {round}");
    }
}

//= specs/auth.md#auth-31
//= type=test
//# Of a ticket only a digest MUST be kept, and unused tickets MUST be bounded.
async fn unused_tickets_are_bounded_and_make_room_when_they_expire(tickets: Arc<dyn Tickets>) {
    for n in 0..UNUSED_TICKETS {
        assert_eq!(tickets.make(ticket(n, 0), Wall(0)).await, Ok(true));
    }
    let one_more = UNUSED_TICKETS;
    assert_eq!(tickets.make(ticket(one_more, 29_999), Wall(29_999)).await, Ok(false));
    assert_eq!(come(&*tickets, one_more, PAGE, 29_999).await, Err(ErrorCode::TicketInvalid));
    assert_eq!(come(&*tickets, 0, PAGE, 29_999).await, Ok(visitor(0)), "nobody lost theirs");
    assert_eq!(tickets.make(ticket(0, 29_999), Wall(29_999)).await, Ok(true), "a place is free");
    assert_eq!(tickets.make(ticket(one_more, 30_000), Wall(30_000)).await, Ok(true));
    assert_eq!(come(&*tickets, 0, PAGE, 30_000).await, Ok(visitor(0)), "this one is still good");
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

/// AUTH-07, AUTH-11, against a model: when each was made, until somebody comes with it.
async fn in_any_order_a_ticket_lets_in_at_most_once(
    tickets: &dyn Tickets,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let mut now = Wall(0);
    let mut made: BTreeMap<u8, (usize, Wall)> = BTreeMap::new();
    let mut used: Vec<usize> = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Make(name) => {
                prop_assert_eq!(tickets.make(ticket(number, now.0), now).await, Ok(true));
                made.insert(name, (number, now));
            }
            Step::Come { with, from_its_page } => {
                let page = if from_its_page { "https://a" } else { "https://b" };
                if let Some((number, since)) = made.remove(&with) {
                    let good = from_its_page && now < since.after(TICKET_LIFETIME);
                    let let_in = come(tickets, number, Some(page), now.0).await;
                    prop_assert_eq!(let_in.is_ok(), good);
                    used.push(number);
                }
            }
            Step::Pass(millis) => now = now.after(Millis(millis)),
        }
        for number in &used {
            prop_assert!(come(tickets, *number, PAGE, now.0).await.is_err());
        }
    }
    Ok(())
}

/// A store that keeps texts and answers later, as one behind a network does.
#[derive(Default)]
struct Texts(Arc<Mutex<BTreeMap<Digest, (Wall, String)>>>);

impl Tickets for Texts {
    fn make(&self, ticket: Ticket, now: Wall) -> Answer<bool> {
        let texts = self.0.clone();
        async move {
            tokio::task::yield_now().await;
            let mut texts = texts.lock().unwrap();
            texts.retain(|_, (ends_at, _)| *ends_at > now);
            let room = texts.len() < UNUSED_TICKETS;
            if room {
                texts.insert(ticket.digest(), (ticket.ends_at(), ticket.to_text()));
            }
            Ok(room)
        }
        .boxed()
    }

    fn redeem(&self, digest: Digest) -> Answer<Option<Ticket>> {
        let texts = self.0.clone();
        async move {
            tokio::task::yield_now().await;
            let taken = texts.lock().unwrap().remove(&digest);
            Ok(taken.and_then(|(_, text)| Ticket::from_text(digest, &text)))
        }
        .boxed()
    }
}

/// Runs the suite on one implementation.
macro_rules! tickets_of {
    ($($name:ident: $store:ty;)*) => {$(
        mod $name {
            use super::*;

            fn store() -> Arc<dyn Tickets> {
                Arc::new(<$store>::default())
            }

            #[tokio::test]
            async fn a_ticket_is_good_once_in_time_and_for_its_page() {
                super::a_ticket_is_good_once_in_time_and_for_its_page(store()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn of_many_who_come_at_the_same_time_one_is_let_in() {
                super::of_many_who_come_at_the_same_time_one_is_let_in(store()).await;
            }

            #[tokio::test]
            async fn unused_tickets_are_bounded_and_make_room_when_they_expire() {
                super::unused_tickets_are_bounded_and_make_room_when_they_expire(store()).await;
            }

            proptest! {
                #![proptest_config(goldenpath_proof::counted())]

                #[test]
                fn in_any_order_a_ticket_lets_in_at_most_once(
                    steps in proptest::collection::vec(step(), 1..80),
                ) {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    let store = store();
                    runtime.block_on(super::in_any_order_a_ticket_lets_in_at_most_once(&*store, steps))?;
                }
            }
        }
    )*};
}

tickets_of! {
    memory: MemoryTickets;
    texts: Texts;
}
