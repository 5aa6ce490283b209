//! What is known about sessions without asking the store. On one node this process is the only one
//! that revokes, so what it once read stays true until it changes it itself.

use goldenpath_core::id::SessionId;
use std::collections::BTreeMap;

/// Sessions remembered; beyond it all that are good are forgotten and asked for again.
const REMEMBERED: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Revoked(BTreeMap<SessionId, bool>);

impl Revoked {
    /// Whether a session was revoked, if that is known.
    pub(super) fn known(&self, session_id: SessionId) -> Option<bool> {
        self.0.get(&session_id).copied()
    }

    /// It is revoked now.
    pub(super) fn revoke(&mut self, session_id: SessionId) {
        self.make_room();
        self.0.insert(session_id, true);
    }

    /// The store's answer; a revocation that came meanwhile counts more. Returns what holds.
    pub(super) fn learnt(&mut self, session_id: SessionId, revoked: bool) -> bool {
        self.make_room();
        let known = self.0.entry(session_id).or_insert(revoked);
        *known = *known || revoked;
        *known
    }

    fn make_room(&mut self) {
        if self.0.len() >= REMEMBERED {
            // The store remembers the others too; keeping the revoked ones while there is room
            // closes the gap between a revocation here and a slow answer from there.
            self.0.retain(|_, revoked| *revoked);
            if self.0.len() >= REMEMBERED {
                self.0.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_counts_more_than_a_late_answer() {
        let mut revoked = Revoked::default();
        assert_eq!(revoked.known(SessionId(1)), None);
        revoked.revoke(SessionId(1));
        assert!(revoked.learnt(SessionId(1), false));
        assert_eq!(revoked.known(SessionId(1)), Some(true));
        assert!(!revoked.learnt(SessionId(2), false));
        assert_eq!(revoked.known(SessionId(2)), Some(false));
    }
}
