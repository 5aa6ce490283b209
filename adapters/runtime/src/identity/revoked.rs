//! What is known about ended sessions without asking the store. On one node this process is the only
//! one that ends them, so what it once read stays true until it changes it itself.

use goldenpath_core::auth::{Cutoff, Endings};
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::time::Wall;
use std::collections::BTreeMap;

/// Sessions remembered, and users who left everywhere; beyond it those that are good are forgotten
/// and asked for again.
const REMEMBERED: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Revoked {
    sessions: BTreeMap<SessionId, Endings>,
    /// What this process did; what was read before does not say it.
    cutoffs: BTreeMap<UserId, Cutoff>,
}

impl Revoked {
    /// Whether a token of this user's session, issued at this moment, is ended, if that is known.
    pub(super) fn known(
        &self,
        user: &UserId,
        session_id: SessionId,
        issued_at: Wall,
    ) -> Option<bool> {
        if self.cutoffs.get(user).is_some_and(|cutoff| cutoff.ends(session_id, issued_at)) {
            return Some(true);
        }
        self.sessions.get(&session_id).map(|endings| endings.end(session_id, issued_at))
    }

    /// It is revoked now.
    pub(super) fn revoke(&mut self, session_id: SessionId) {
        self.make_room();
        self.sessions.entry(session_id).or_default().revoked = true;
    }

    /// This user leaves everywhere.
    pub(super) fn leave(&mut self, user: &UserId, cutoff: Cutoff) {
        self.make_room();
        let kept = self.cutoffs.entry(user.clone()).or_insert(cutoff);
        if kept.at <= cutoff.at {
            *kept = cutoff;
        }
    }

    /// The store's answer; what was ended meanwhile counts more. Returns what holds.
    pub(super) fn learnt(
        &mut self,
        user: &UserId,
        session_id: SessionId,
        issued_at: Wall,
        endings: Endings,
    ) -> bool {
        self.make_room();
        let known = self.sessions.entry(session_id).or_insert(endings);
        *known = Endings { revoked: known.revoked || endings.revoked, ..endings };
        self.known(user, session_id, issued_at).unwrap_or(true)
    }

    fn make_room(&mut self) {
        if self.sessions.len() + self.cutoffs.len() >= REMEMBERED {
            // The store remembers the others too; keeping the revoked ones while there is room
            // closes the gap between a revocation here and a slow answer from there.
            self.sessions.retain(|_, endings| endings.revoked);
            if self.sessions.len() + self.cutoffs.len() >= REMEMBERED {
                self.sessions.clear();
                // Nothing is left that was read before one of these.
                self.cutoffs.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Endings = Endings { revoked: false, cutoff: None };

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    #[test]
    fn a_revocation_counts_more_than_a_late_answer() {
        let (mut revoked, ada) = (Revoked::default(), user("ada"));
        assert_eq!(revoked.known(&ada, SessionId(1), Wall(0)), None);
        revoked.revoke(SessionId(1));
        assert!(revoked.learnt(&ada, SessionId(1), Wall(0), GOOD));
        assert_eq!(revoked.known(&ada, SessionId(1), Wall(0)), Some(true));
        assert!(!revoked.learnt(&ada, SessionId(2), Wall(0), GOOD));
        assert_eq!(revoked.known(&ada, SessionId(2), Wall(0)), Some(false));
    }

    #[test]
    fn who_leaves_everywhere_is_not_let_in_by_what_was_read_before() {
        let (mut revoked, ada, bob) = (Revoked::default(), user("ada"), user("bob"));
        assert!(!revoked.learnt(&ada, SessionId(1), Wall(5), GOOD));
        assert!(!revoked.learnt(&bob, SessionId(2), Wall(5), GOOD));
        revoked.leave(&ada, Cutoff { at: Wall(9), but: Some(SessionId(7)) });
        assert_eq!(revoked.known(&ada, SessionId(1), Wall(5)), Some(true));
        assert!(revoked.learnt(&ada, SessionId(3), Wall(9), GOOD), "a late answer");
        assert!(!revoked.learnt(&ada, SessionId(3), Wall(10), GOOD), "issued later");
        assert!(!revoked.learnt(&ada, SessionId(7), Wall(5), GOOD), "the log-in that stays");
        assert_eq!(revoked.known(&bob, SessionId(2), Wall(5)), Some(false));
        let cutoff = Some(Cutoff { at: Wall(9), but: None });
        assert!(revoked.learnt(&bob, SessionId(4), Wall(9), Endings { revoked: false, cutoff }));
        assert_eq!(revoked.known(&bob, SessionId(4), Wall(10)), Some(false), "the token decides");
    }
}
