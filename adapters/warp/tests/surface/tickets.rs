//! Tickets while their store is away.

use crate::rig::{Wishes, rig};
use crate::sockets::{GOLDEN, connect};
use futures_util::FutureExt as _;
use futures_util::future::ready;
use goldenpath_core::auth::{Digest, Ticket};
use goldenpath_core::fault::Fault;
use goldenpath_core::time::Wall;
use goldenpath_runtime::memory::MemoryTickets;
use goldenpath_runtime::ports::{Answer, Tickets};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tickets that cannot be reached now and then.
#[derive(Default)]
struct Away {
    tickets: MemoryTickets,
    away: AtomicBool,
}

impl Tickets for Away {
    fn make(&self, ticket: Ticket, now: Wall) -> Answer<bool> {
        if self.away.load(Ordering::Relaxed) {
            return ready(Err(Fault::Unavailable)).boxed();
        }
        self.tickets.make(ticket, now)
    }

    fn redeem(&self, digest: Digest) -> Answer<Option<Ticket>> {
        if self.away.load(Ordering::Relaxed) {
            return ready(Err(Fault::Unknown)).boxed();
        }
        self.tickets.redeem(digest)
    }
}

//= specs/auth.md#auth-30
//= type=test
//# A ticket whose store does not answer MUST be answered as temporarily unavailable, and MUST
//# NOT let anybody in nor be called invalid.
#[tokio::test]
async fn a_ticket_whose_store_is_away_is_for_later_and_neither_good_nor_invalid() {
    let tickets = Arc::new(Away::default());
    // In demo mode, too: whoever offers a ticket is no visitor.
    let rig = rig(Wishes { tickets: tickets.clone(), ..Wishes::default() }).await;
    let token = rig.token().await;
    let made = rig.call("POST", "/api/auth/ticket", Some(&token)).await.json();
    let path = format!("/ws?ticket={}", made["ticket"].as_str().unwrap());

    tickets.away.store(true, Ordering::Relaxed);
    let refused = rig.call("POST", "/api/auth/ticket", Some(&token)).await;
    assert_eq!((refused.status(), &refused.json()["code"]), (503, &"storage_unavailable".into()));
    let mut told = connect(&rig, &path, &[GOLDEN]).await.unwrap();
    let error = told.until("error").await;
    assert_eq!(error["payload"]["code"], "storage_unavailable");
    assert_eq!(error["payload"]["retryable"], true);
    let (kinds, code) = told.until_closed().await;
    assert!(!kinds.iter().any(|kind| kind == "connection_ready"), "{kinds:?}");
    assert_eq!(code, 1013);
    assert_eq!(connect(&rig, &path, &[]).await.err(), Some(503), "an older client");

    tickets.away.store(false, Ordering::Relaxed);
    let mut back = connect(&rig, &path, &[GOLDEN]).await.unwrap();
    assert_eq!(back.until("connection_ready").await["payload"]["auth_method"], "ticket");
}

//= specs/auth.md#auth-29
//= type=test
//# One user MUST NOT make more than 30 tickets at once, and one a second after that.
#[tokio::test]
async fn one_user_takes_no_tickets_from_the_others() {
    let rig = rig(Wishes::default()).await;
    let (greedy, other) = (rig.token().await, rig.token().await);
    let mut made = 0;
    let refused = loop {
        let answer = rig.call("POST", "/api/auth/ticket", Some(&greedy)).await;
        if answer.status() != 200 {
            break answer;
        }
        made += 1;
        assert!(made < 1000, "they never end");
    };
    assert!(made >= 30, "{made}");
    assert_eq!((refused.status(), &refused.json()["code"]), (429, &"rate_limited".into()));
    assert_eq!(rig.call("POST", "/api/auth/ticket", Some(&other)).await.status(), 200);
}
