//! The right to what one user owns: every call of a store takes one.

use super::Endings;
use crate::connection::Identity;
use crate::hub::StoredRun;
use crate::id::{SessionId, UserId};
use crate::time::Wall;
use alloc::format;
use alloc::vec::Vec;

/// How the id of every demo user begins.
pub const DEMO_USER_PREFIX: &str = "demo-user-";

/// The right to read and write what one user owns, and nothing else. Every call of a store takes one.
///
/// # Where one comes from
///
/// It cannot be written down, read from JSON or made of a name; it is got from these, each of which is a
/// verdict of this crate:
///
/// | From | Which is made by | Why |
/// |---|---|---|
/// | [`Identity`] | [`Vouched::unless_ended`](super::Vouched::unless_ended) | a good credential whose log-in was not ended |
/// | [`Identity`] | [`Identity::visitor`] | demo mode: somebody new, whose id no account has |
/// | [`Admission`](super::Admission) | its functions, and [`Family::present`](super::Family::present) | a log-in, before there is a token |
/// | [`Unfinished`] | the store | work that was accepted before a restart |
///
/// And a [`Vouched`](super::Vouched) comes from [`check_claims`](super::check_claims), from a
/// [`Foreigner`](super::Foreigner) or from a [`Ticket`](super::Ticket), which was made for an identity.
///
/// # What is believed
///
/// Signatures, hashes, rows and providers are not this crate's, so an adapter has to say what it found,
/// and no type keeps it from lying: [`Signed::by`](super::Signed::by), four ways of
/// [`Admission`](super::Admission), [`Foreigner::known_as`](super::Foreigner::known_as),
/// [`Ticket::from_text`](super::Ticket::from_text), [`Unfinished::new`] and [`Identity::visitor`].
/// And a [`Family`](super::Family) is a row of a store, with public fields. `tests/tidy` names the only files
/// that may call each of them, or write down a family; one anywhere else fails it.
///
/// # What does not compile
///
/// With the right in hand:
///
/// ```
/// use goldenpath_core::auth::Scope;
/// use goldenpath_core::connection::Identity;
/// use goldenpath_core::id::UserId;
///
/// fn of_verdict(known: &Identity) -> (Scope, &UserId) {
///     (known.scope(), known.user_id())
/// }
/// ```
///
/// Of whoever a request names:
///
/// ```compile_fail,E0423
/// use goldenpath_core::auth::Scope;
/// use goldenpath_core::id::UserId;
///
/// fn of_name(named_in_a_request: UserId) -> Scope {
///     Scope(named_in_a_request)
/// }
/// ```
///
/// ```compile_fail,E0624
/// use goldenpath_core::auth::Scope;
/// use goldenpath_core::id::UserId;
///
/// fn of_name(named_in_a_request: UserId) -> Scope {
///     Scope::of(named_in_a_request)
/// }
/// ```
///
/// ```compile_fail,E0277
/// use goldenpath_core::auth::Scope;
/// use goldenpath_core::id::UserId;
///
/// fn of_name(named_in_a_request: UserId) -> Scope {
///     named_in_a_request.into()
/// }
/// ```
///
/// Read from what somebody sent, where a name is:
///
/// ```
/// use goldenpath_core::id::UserId;
///
/// let name: UserId = serde_json::from_str("\"ada\"").unwrap();
/// ```
///
/// ```compile_fail,E0277
/// use goldenpath_core::auth::Scope;
///
/// let scope: Scope = serde_json::from_str("\"ada\"").unwrap();
/// ```
///
/// ```compile_fail,E0277
/// use goldenpath_core::connection::Identity;
///
/// let identity: Identity = serde_json::from_str("{}").unwrap();
/// ```
///
/// An identity that is written down, or becomes another's:
///
/// ```compile_fail,E0451
/// use goldenpath_core::connection::Identity;
/// use goldenpath_core::id::{SessionId, UserId};
/// use goldenpath_core::time::Wall;
///
/// fn forged(user_id: UserId) -> Identity {
///     let issued_at = Wall(0);
///     Identity { user_id, session_id: SessionId(1), issued_at, expires_at: None, demo: false }
/// }
/// ```
///
/// ```compile_fail,E0616
/// use goldenpath_core::connection::Identity;
/// use goldenpath_core::id::UserId;
///
/// fn become_somebody(known: &mut Identity, user_id: UserId) {
///     known.user_id = user_id;
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(UserId);

impl Scope {
    pub(crate) const fn of(user_id: UserId) -> Self {
        Self(user_id)
    }

    /// Whose it is.
    #[must_use]
    pub const fn user_id(&self) -> &UserId {
        &self.0
    }
}

/// The right to end one log-in, and nothing else: of whoever is logged in, or holds a refresh token of
/// it, be it one of old.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leave {
    user_id: UserId,
    session_id: SessionId,
}

impl Leave {
    pub(super) const fn of(user_id: UserId, session_id: SessionId) -> Self {
        Self { user_id, session_id }
    }

    /// Whose log-in it is.
    #[must_use]
    pub const fn user_id(&self) -> &UserId {
        &self.user_id
    }

    /// The log-in.
    #[must_use]
    pub const fn session_id(&self) -> SessionId {
        self.session_id
    }
}

impl Identity {
    /// The right to what this user owns.
    //= specs/isolation.md#iso-10
    //# The right to a user's data MUST come from a verdict on a credential or from the store's own
    //# record of unfinished runs, and from nothing a request says.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::of(self.user_id.clone())
    }

    /// The right to end this log-in.
    #[must_use]
    pub fn leave(&self) -> Leave {
        Leave::of(self.user_id.clone(), self.session_id)
    }

    /// The subject.
    #[must_use]
    pub const fn user_id(&self) -> &UserId {
        &self.user_id
    }

    /// The log-in it belongs to.
    #[must_use]
    pub const fn session_id(&self) -> SessionId {
        self.session_id
    }

    /// When the credential was issued; long ago when it does not say.
    #[must_use]
    pub const fn issued_at(&self) -> Wall {
        self.issued_at
    }

    /// Whether its log-in, or its user everywhere, has left since the verdict: the rule of
    /// [`Vouched::unless_ended`](super::Vouched::unless_ended).
    #[must_use]
    pub fn is_ended_by(&self, endings: &Endings) -> bool {
        endings.end(self.session_id, self.issued_at)
    }

    /// When the credential ends; `None`: never (demo mode for the life of the process).
    #[must_use]
    pub const fn expires_at(&self) -> Option<Wall> {
        self.expires_at
    }

    /// Whether demo mode made it.
    #[must_use]
    pub const fn is_demo(&self) -> bool {
        self.demo
    }

    /// A visitor who exists on one connection only, without a token to come back with.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        self.demo && self.expires_at.is_none()
    }

    /// The verdict of demo mode: somebody who was nobody before. `number` tells visitors of the same
    /// millisecond apart; the id begins with [`DEMO_USER_PREFIX`], so a visitor is never a user with an
    /// account.
    #[must_use]
    pub fn visitor(number: u64, session_id: SessionId, at: Wall) -> Self {
        let name = format!("{DEMO_USER_PREFIX}{}-{:012x}", at.0, number & 0xFFFF_FFFF_FFFF);
        let user_id = UserId::of_visitor(&name);
        Self { user_id, session_id, issued_at: at, expires_at: None, demo: true }
    }
}

/// The runs of one user that a store found unfinished at the start: the one right that is not asked
/// for by somebody, but by work that was accepted from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    owner: UserId,
    runs: Vec<StoredRun>,
}

impl Unfinished {
    /// As the rows say; the owner of a run is a column of it (F43).
    #[must_use]
    pub const fn new(owner: UserId, runs: Vec<StoredRun>) -> Self {
        Self { owner, runs }
    }

    /// Whose runs they are.
    #[must_use]
    pub const fn owner(&self) -> &UserId {
        &self.owner
    }

    /// The runs, the oldest first.
    #[must_use]
    pub fn runs(&self) -> &[StoredRun] {
        &self.runs
    }

    /// The right to go on with them; none without any.
    #[must_use]
    pub fn take_up(self) -> Option<(Scope, Vec<StoredRun>)> {
        (!self.runs.is_empty()).then(|| (Scope::of(self.owner), self.runs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Cutoff;

    #[test]
    fn a_visitor_is_nobody_who_has_an_account() {
        let at = Wall(1_800_000_000_000);
        let one = Identity::visitor(u64::MAX, SessionId(1), at);
        assert_eq!(one.user_id.as_str(), "demo-user-1800000000000-ffffffffffff");
        assert_eq!((one.demo, one.expires_at), (true, None));
        assert_ne!(one.scope(), Identity::visitor(1, SessionId(1), at).scope());
    }

    /// ISO-10.
    //= specs/isolation.md#iso-10
    //= type=test
    //# The right to a user's data MUST come from a verdict on a credential or from the store's own
    //# record of unfinished runs, and from nothing a request says.
    #[test]
    fn a_right_comes_from_a_verdict_or_from_unfinished_runs() {
        let nothing = Unfinished::new(UserId::new("ada").unwrap(), Vec::new());
        assert_eq!(nothing.take_up(), None, "a name without runs is no right");
        let visitor = Identity::visitor(7, SessionId(1), Wall(1));
        assert_eq!(visitor.scope().user_id(), &visitor.user_id);
    }

    #[test]
    fn an_identity_says_what_its_verdict_said() {
        let visitor = Identity::visitor(7, SessionId(5), Wall(1));
        assert_eq!(
            (visitor.session_id(), visitor.expires_at(), visitor.is_demo()),
            (SessionId(5), None, true)
        );
        assert_eq!(visitor.issued_at(), Wall(1));
        let known = Identity { expires_at: Some(Wall(2)), demo: false, ..visitor.clone() };
        assert_eq!((known.expires_at(), known.is_demo()), (Some(Wall(2)), false));
        assert_eq!(known.user_id(), visitor.user_id());
    }

    #[test]
    fn an_identity_ends_with_its_log_in_and_with_what_was_issued_when_it_was() {
        let visitor = Identity::visitor(7, SessionId(5), Wall(3));
        let ended = |revoked, at| {
            let cutoff = Some(Cutoff { at: Wall(at), but: None });
            visitor.is_ended_by(&Endings { revoked, cutoff })
        };
        assert!(ended(true, 2) && ended(false, 3) && !ended(false, 2));
    }

    #[test]
    fn only_a_visitor_without_a_token_is_passing() {
        let visitor = Identity::visitor(7, SessionId(1), Wall(1));
        assert!(visitor.is_passing());
        assert!(!Identity { expires_at: Some(Wall(2)), ..visitor.clone() }.is_passing());
        assert!(!Identity { demo: false, ..visitor }.is_passing());
    }

    #[test]
    fn unfinished_runs_are_taken_up_for_their_owner() {
        let owner = UserId::new("ada").unwrap();
        let run = StoredRun {
            run_id: crate::id::RunId(1),
            thread_id: crate::id::ThreadId(2),
            message_id: crate::id::MessageId(3),
            message_seq: crate::id::Seq(1),
            status: crate::wire::RunStatus::Running,
            fence: crate::id::Fence(3),
            on_disconnect: crate::wire::OnDisconnect::Continue,
            cancel: None,
        };
        let unfinished = Unfinished::new(owner.clone(), alloc::vec![run.clone()]);
        assert_eq!(unfinished.runs(), core::slice::from_ref(&run));
        let (scope, runs) = unfinished.take_up().unwrap();
        assert_eq!((scope.user_id(), runs), (&owner, alloc::vec![run]));
    }
}
