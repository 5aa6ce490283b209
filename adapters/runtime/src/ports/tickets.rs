//! Single-use tickets between the request that makes one and the upgrade that uses it.

use super::Answer;
use goldenpath_core::auth::{Digest, Ticket};
use goldenpath_core::time::Wall;

/// Keeps unused tickets. It decides nothing about them: what it gives out is judged by
/// [`Ticket::redeem`]. With several nodes it is one that all of them reach;
/// [`Ticket::to_text`] is what such a store keeps.
pub trait Tickets: Send + Sync + 'static {
    /// Keeps a ticket. `false`: as many are unused as may be
    /// ([`UNUSED_TICKETS`](goldenpath_core::auth::UNUSED_TICKETS), those past their end not
    /// counted), and nothing was kept.
    fn make(&self, ticket: Ticket, now: Wall) -> Answer<bool>;

    /// Takes the ticket of this digest out for good, in one step: of many who come at the same time
    /// one gets it (AUTH-07). `None`: there is none, or not any more.
    ///
    /// A [`Fault`](goldenpath_core::fault::Fault) says that nobody knows; the ticket may be used up
    /// by it.
    fn redeem(&self, digest: Digest) -> Answer<Option<Ticket>>;
}
