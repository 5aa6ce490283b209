//! Single-use tickets: a browser cannot set headers on an upgrade and must not put a token into a URL.
//!
//! What a store keeps of one, and whether what it gave out may still be used. The store itself only
//! keeps and takes out; it may be a map, a table or another server.

use super::{Digest, Vouched};
use crate::connection::Identity;
use crate::id::{SessionId, UserId};
use crate::time::{Millis, Wall};
use crate::wire::ErrorCode;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// How long a ticket is good.
pub const TICKET_LIFETIME: Millis = Millis::from_secs(30);
/// Unused tickets a store keeps at once; beyond it nothing is taken in.
pub const UNUSED_TICKETS: usize = 10_000;

/// What is kept of a ticket: never its text, only a digest of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    digest: Digest,
    identity: Identity,
    origin: Option<String>,
    ends_at: Wall,
}

/// A ticket as a store that keeps texts writes it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    user: UserId,
    session: SessionId,
    issued_at: u64,
    expires_at: Option<u64>,
    demo: bool,
    origin: Option<String>,
    ends_at: u64,
}

impl Ticket {
    /// A ticket for this user and the pages of this origin; for no page at all when there is none.
    #[must_use]
    pub fn new(digest: Digest, identity: Identity, origin: Option<&str>, now: Wall) -> Self {
        let ends_at = now.after(TICKET_LIFETIME);
        Self { digest, identity, origin: origin.map(Into::into), ends_at }
    }

    /// What finds it.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Not good from here on; a store may forget it then.
    #[must_use]
    pub const fn ends_at(&self) -> Wall {
        self.ends_at
    }

    /// Who comes with it, after a store has taken it out for good (AUTH-07): from this origin, now. What
    /// ends the credential it was made for ends it, too.
    ///
    /// # Errors
    /// `ticket_invalid` after its time, and from elsewhere.
    pub fn redeem(self, origin: Option<&str>, now: Wall) -> Result<Vouched, ErrorCode> {
        //= specs/auth.md#auth-11
        //# A ticket MUST NOT be accepted after its lifetime or from another origin.
        let good = now < self.ends_at && self.origin.as_deref() == origin;
        if good { Ok(Vouched::new(self.identity)) } else { Err(ErrorCode::TicketInvalid) }
    }

    /// As a text, for a store outside this process. It holds nothing by which anybody gets in.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Identity { user_id, session_id, issued_at, expires_at, demo } = &self.identity;
        let record = Record {
            user: user_id.clone(),
            session: *session_id,
            issued_at: issued_at.0,
            expires_at: expires_at.map(|at| at.0),
            demo: *demo,
            origin: self.origin.clone(),
            ends_at: self.ends_at.0,
        };
        // Texts, numbers and a boolean: writing them cannot fail.
        serde_json::to_string(&record).unwrap_or_default()
    }

    /// The ticket that [`Self::to_text`] wrote; `None` for anything else. For stores of texts only: who
    /// can write there can let anybody in (`tests/tidy` names the files that may).
    #[must_use]
    pub fn from_text(digest: Digest, text: &str) -> Option<Self> {
        let record: Record = serde_json::from_str(text).ok()?;
        let identity = Identity {
            user_id: record.user,
            session_id: record.session,
            issued_at: Wall(record.issued_at),
            expires_at: record.expires_at.map(Wall),
            demo: record.demo,
        };
        Some(Self { digest, identity, origin: record.origin, ends_at: Wall(record.ends_at) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Option<&str> = Some("https://a");

    fn visitor() -> Identity {
        Identity::visitor(1, SessionId(1), Wall(0))
    }

    fn ticket(origin: Option<&str>) -> Ticket {
        Ticket::new(Digest([7; 32]), visitor(), origin, Wall(1_000))
    }

    //= specs/auth.md#auth-11
    //= type=test
    //# A ticket MUST NOT be accepted after its lifetime or from another origin.
    #[test]
    fn a_ticket_is_good_for_its_page_until_the_last_millisecond() {
        let redeem = |origin, from, at| ticket(origin).redeem(from, Wall(at));
        let good = Ok(Vouched::new(visitor()));
        assert_eq!(redeem(PAGE, PAGE, 1_000), good);
        assert_eq!(redeem(PAGE, PAGE, 30_999), good);
        assert_eq!(redeem(None, None, 30_999), good);
        let refused = Err(ErrorCode::TicketInvalid);
        assert_eq!(redeem(PAGE, PAGE, 31_000), refused);
        for (made_for, from) in [
            (PAGE, Some("https://b")),
            (PAGE, Some("https://a.")),
            (PAGE, Some("https://A")),
            (PAGE, None),
            (None, PAGE),
            (None, Some("")),
        ] {
            assert_eq!(redeem(made_for, from, 1_000), refused, "{made_for:?} {from:?}");
        }
    }

    #[test]
    fn a_ticket_survives_being_written_down_and_nothing_else_reads_as_one() {
        let user_id = UserId::new("ada \" \\ \u{e9}").unwrap();
        let (issued_at, expires_at) = (Wall(8), Some(Wall(9)));
        let known =
            Identity { user_id, session_id: SessionId(7), issued_at, expires_at, demo: false };
        for ticket in [
            ticket(PAGE),
            ticket(None),
            Ticket::new(Digest([7; 32]), known, Some("null"), Wall(u64::MAX)),
        ] {
            let text = ticket.to_text();
            assert_eq!(Ticket::from_text(ticket.digest(), &text), Some(ticket));
        }
        for text in ["", "{}", "null", r#"{"user":"ada"}"#] {
            assert_eq!(Ticket::from_text(Digest([7; 32]), text), None, "{text}");
        }
    }
}
