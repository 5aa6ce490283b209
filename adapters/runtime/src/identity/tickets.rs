//! Tickets: made for somebody who is known, used by the upgrade of their page.

use super::throttle::Deed;
use super::{Denied, Identities};
use goldenpath_core::auth::{Digest, Ticket, Vouched};
use goldenpath_core::connection::Identity;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{ErrorCode, Secret};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

impl Identities {
    /// A ticket for one upgrade from this origin within
    /// [`TICKET_LIFETIME`](goldenpath_core::auth::TICKET_LIFETIME).
    ///
    /// # Errors
    /// `rate_limited` when this user makes too many, `overloaded` when all together do,
    /// `storage_unavailable`.
    pub async fn ticket(
        &self,
        identity: &Identity,
        origin: Option<&str>,
    ) -> Result<Secret, Denied> {
        self.may_try(Deed::Ticket(identity.user_id().as_str()))?;
        let bytes = self
            .sources
            .entropy
            .draw()
            .map_err(|_| Denied::new(ErrorCode::Internal, "no ticket could be made"))?;
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        let now = self.now().wall;
        let ticket = Ticket::new(digest(&text), identity.clone(), origin, now);
        let kept = self.sources.tickets.make(ticket, now).await.map_err(|_| unavailable())?;
        if kept {
            Ok(Secret(text))
        } else {
            Err(Denied::new(ErrorCode::Overloaded, "too many tickets are unused"))
        }
    }

    /// Who comes with a ticket. It is used up by this, whether it is good or not (AUTH-07).
    //= specs/auth.md#auth-30
    //# A ticket whose store does not answer MUST be answered as temporarily unavailable, and MUST
    //# NOT let anybody in nor be called invalid.
    pub(super) async fn redeem(
        &self,
        ticket: &Secret,
        origin: Option<&str>,
        now: Wall,
    ) -> Result<Vouched, ErrorCode> {
        let taken = self.sources.tickets.redeem(digest(&ticket.0)).await;
        let found = taken.map_err(|_| unavailable().code)?;
        found.ok_or(ErrorCode::TicketInvalid)?.redeem(origin, now)
    }
}

/// A ticket has 256 bits: there is nothing to guess, so no salt and no slow hash is needed, and
/// looking it up tells nobody anything by the time it takes.
fn digest(ticket: &str) -> Digest {
    Digest(Sha256::digest(ticket.as_bytes()).into())
}

fn unavailable() -> Denied {
    Denied::new(ErrorCode::StorageUnavailable, "tickets cannot be kept right now")
}
