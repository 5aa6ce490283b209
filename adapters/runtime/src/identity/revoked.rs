//! What is known about ended sessions without asking the store. On one node this process is the only
//! one that ends them, so what it once read stays true until it changes it itself.

use goldenpath_core::auth::{Cutoff, Endings, Vouched};
use goldenpath_core::connection::Identity;
use goldenpath_core::id::{SessionId, UserId};
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
    /// What is known about the end of this credential's log-in, if anything.
    pub(super) fn known(&self, of: &Vouched) -> Option<Endings> {
        let cutoff = self.cutoffs.get(of.user_id()).copied();
        if cutoff.is_some_and(|cutoff| cutoff.ends(of.session_id(), of.issued_at())) {
            return Some(Endings { revoked: false, cutoff });
        }
        self.sessions.get(&of.session_id()).copied()
    }

    /// Whether what let this user in is known to have ended since: its log-in by itself, or everything
    /// the user had.
    pub(super) fn is_over(&self, identity: &Identity) -> bool {
        let read = self.sessions.get(&identity.session_id());
        let revoked = read.is_some_and(|endings| endings.revoked);
        let cutoff = self.cutoffs.get(identity.user_id()).copied();
        identity.is_ended_by(&Endings { revoked, cutoff })
    }

    /// A log-in of a moment ago cannot have been ended: its first check need not ask the store.
    pub(super) fn began(&mut self, session_id: SessionId) {
        self.make_room();
        self.sessions.entry(session_id).or_default();
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
    pub(super) fn learnt(&mut self, of: &Vouched, endings: Endings) -> Endings {
        self.make_room();
        let known = self.sessions.entry(of.session_id()).or_insert(endings);
        *known = Endings { revoked: known.revoked || endings.revoked, ..endings };
        let learnt = *known;
        self.known(of).unwrap_or(learnt)
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

    use goldenpath_core::auth::{Claims, Policy, Signed, check_claims};
    use goldenpath_core::time::{Millis, Wall};

    const GOOD: Endings = Endings { revoked: false, cutoff: None };

    /// A credential of this user's session, issued at this second.
    fn of(user: &str, session: u128, issued: u64) -> Vouched {
        let claims = Claims {
            sub: user.into(),
            iss: Some("us".into()),
            exp: 1_000,
            iat: Some(issued),
            sid: Some(SessionId(session)),
            ..Claims::default()
        };
        let policy = Policy {
            issuer: "us".into(),
            audience: None,
            leeway: Millis(0),
            max_age: None,
            older_issuer: None,
        };
        check_claims(&Signed::by("key", claims), &policy, Wall(900_000)).unwrap()
    }

    fn is_ended(revoked: &Revoked, of: &Vouched) -> Option<bool> {
        Some(of.clone().unless_ended(&revoked.known(of)?).is_err())
    }

    fn learnt(revoked: &mut Revoked, of: &Vouched, endings: Endings) -> bool {
        let endings = revoked.learnt(of, endings);
        of.clone().unless_ended(&endings).is_err()
    }

    /// Whether who was let in before is over by now.
    fn is_over(revoked: &Revoked, of: &Vouched) -> bool {
        revoked.is_over(&of.clone().unless_ended(&GOOD).unwrap())
    }

    #[test]
    fn a_revocation_counts_more_than_a_late_answer() {
        let mut revoked = Revoked::default();
        let (one, two) = (of("ada", 1, 0), of("ada", 2, 0));
        assert_eq!(is_ended(&revoked, &one), None);
        revoked.revoke(SessionId(1));
        assert!(learnt(&mut revoked, &one, GOOD));
        assert_eq!(is_ended(&revoked, &one), Some(true));
        assert!(is_over(&revoked, &one) && !is_over(&revoked, &two));
        assert!(!learnt(&mut revoked, &two, GOOD));
        assert_eq!(is_ended(&revoked, &two), Some(false));
    }

    #[test]
    fn a_log_in_that_began_here_is_good_until_it_is_ended() {
        let mut revoked = Revoked::default();
        revoked.began(SessionId(1));
        assert_eq!(is_ended(&revoked, &of("ada", 1, 0)), Some(false));
        revoked.revoke(SessionId(1));
        revoked.began(SessionId(1));
        assert_eq!(is_ended(&revoked, &of("ada", 1, 0)), Some(true));
    }

    #[test]
    fn who_leaves_everywhere_is_not_let_in_by_what_was_read_before() {
        let mut revoked = Revoked::default();
        assert!(!learnt(&mut revoked, &of("ada", 1, 5), GOOD));
        assert!(!learnt(&mut revoked, &of("bob", 2, 5), GOOD));
        let ada = UserId::new("ada").unwrap();
        revoked.leave(&ada, Cutoff { at: Wall(9_000), but: Some(SessionId(7)) });
        assert_eq!(is_ended(&revoked, &of("ada", 1, 5)), Some(true));
        assert!(is_over(&revoked, &of("ada", 1, 9)) && is_over(&revoked, &of("ada", 8, 5)));
        assert!(!is_over(&revoked, &of("ada", 1, 10)) && !is_over(&revoked, &of("ada", 7, 5)));
        assert!(!is_over(&revoked, &of("bob", 2, 5)));
        assert!(learnt(&mut revoked, &of("ada", 3, 9), GOOD), "a late answer");
        assert!(!learnt(&mut revoked, &of("ada", 3, 10), GOOD), "issued later");
        assert!(!learnt(&mut revoked, &of("ada", 7, 5), GOOD), "the log-in that stays");
        assert_eq!(is_ended(&revoked, &of("bob", 2, 5)), Some(false));
        let cutoff = Some(Cutoff { at: Wall(9_000), but: None });
        let endings = Endings { revoked: false, cutoff };
        assert!(learnt(&mut revoked, &of("bob", 4, 9), endings));
        assert_eq!(is_ended(&revoked, &of("bob", 4, 10)), Some(false), "the token decides");
    }
}
