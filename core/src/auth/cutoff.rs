//! Leaving everywhere: of one user, what was issued up to a moment is no good any more.

use super::Claims;
use crate::id::SessionId;
use crate::time::Wall;

/// Ends every token of a user that was issued up to a moment, but perhaps those of one log-in. It
/// reaches what no list of log-ins names: tokens of the command line, of an older server, of another
/// issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cutoff {
    /// The moment.
    pub at: Wall,
    /// The log-in that goes on.
    pub but: Option<SessionId>,
}

impl Cutoff {
    /// Whether it ends a token of this log-in, issued at this moment.
    //= specs/auth.md#auth-33
    //# Leaving everywhere MUST end every token of the user that was issued before, whoever issued it.
    #[must_use]
    pub fn ends(&self, session_id: SessionId, issued_at: Wall) -> bool {
        issued_at <= self.at && self.but != Some(session_id)
    }
}

/// What is known about the early end of a log-in and of everything else of its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endings {
    /// The log-in was ended.
    pub revoked: bool,
    /// When the user left everywhere last, if ever.
    pub cutoff: Option<Cutoff>,
}

impl Endings {
    /// Whether a token of this log-in, issued at this moment, is ended by any of it.
    #[must_use]
    pub fn end(&self, session_id: SessionId, issued_at: Wall) -> bool {
        self.revoked || self.cutoff.is_some_and(|cutoff| cutoff.ends(session_id, issued_at))
    }
}

impl Claims {
    /// When the token was issued: `iat`, to the millisecond where its log-in began in that second and
    /// says so in its id. What says nothing was issued long ago.
    #[must_use]
    pub fn issued_at(&self) -> Wall {
        let second = self.iat.unwrap_or_default();
        let began = self.sid.map(SessionId::drawn_at).filter(|began| began.0 / 1000 == second);
        began.unwrap_or(Wall(second.saturating_mul(1000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    //= specs/auth.md#auth-33
    //= type=test
    //# Leaving everywhere MUST end every token of the user that was issued before, whoever issued it.
    #[test]
    fn what_was_issued_up_to_the_moment_ends_but_for_the_log_in_that_stays() {
        let cutoff = Cutoff { at: Wall(5_000), but: Some(SessionId(7)) };
        assert!(cutoff.ends(SessionId(1), Wall(0)) && cutoff.ends(SessionId(1), Wall(5_000)));
        assert!(!cutoff.ends(SessionId(1), Wall(5_001)));
        assert!(!cutoff.ends(SessionId(7), Wall(0)));
        let all = Cutoff { but: None, ..cutoff };
        assert!(all.ends(SessionId(7), Wall(0)));
        let ended = |revoked, cutoff| Endings { revoked, cutoff }.end(SessionId(1), Wall(1));
        assert!(ended(true, None) && ended(false, Some(cutoff)) && !ended(false, None));
    }

    #[test]
    fn a_token_knows_its_millisecond_where_its_log_in_began_in_the_same_second() {
        let began = Wall(1_800_000_000_345);
        let sid = Some(SessionId::draw(&mut Seed::new(1), began));
        let issued = |sid, iat| Claims { sid, iat, ..Claims::default() }.issued_at();
        assert_eq!(issued(sid, Some(1_800_000_000)), began);
        assert_eq!(issued(sid, Some(1_800_000_900)), Wall(1_800_000_900_000), "after a refresh");
        assert_eq!(issued(sid, Some(1_700_000_000)), Wall(1_700_000_000_000), "an id of its own");
        assert_eq!(issued(None, Some(1_800_000_000)), Wall(1_800_000_000_000));
        assert_eq!(issued(sid, None), Wall(0));
        assert_eq!(issued(None, Some(u64::MAX)), Wall(u64::MAX));
    }
}
