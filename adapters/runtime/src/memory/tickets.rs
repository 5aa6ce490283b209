//! The tickets of one process: what one node needs.

use crate::ports::{Answer, Tickets};
use futures_util::FutureExt as _;
use futures_util::future::ready;
use goldenpath_core::auth::{Digest, Ticket, UNUSED_TICKETS};
use goldenpath_core::time::Wall;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Unused tickets of this process.
#[derive(Debug, Default)]
pub struct MemoryTickets(Mutex<BTreeMap<Digest, Ticket>>);

impl MemoryTickets {
    fn unused(&self) -> MutexGuard<'_, BTreeMap<Digest, Ticket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tickets for MemoryTickets {
    //= specs/auth.md#auth-31
    //# Of a ticket only a digest MUST be kept, and unused tickets MUST be bounded.
    fn make(&self, ticket: Ticket, now: Wall) -> Answer<bool> {
        let mut unused = self.unused();
        if unused.len() >= UNUSED_TICKETS {
            unused.retain(|_, ticket| ticket.ends_at() > now);
        }
        let room = unused.len() < UNUSED_TICKETS;
        if room {
            unused.insert(ticket.digest(), ticket);
        }
        ready(Ok(room)).boxed()
    }

    fn redeem(&self, digest: Digest) -> Answer<Option<Ticket>> {
        //= specs/auth.md#auth-07
        //# A ticket MUST be accepted at most once.
        let taken = self.unused().remove(&digest);
        ready(Ok(taken)).boxed()
    }
}
