//! The verdict at a log-in: somebody may be given tokens.

use super::{Opened, Scope};
use crate::connection::Identity;
use crate::id::{NotAnId, SessionId, UserId};
use alloc::format;

/// Somebody who showed who they are without a token, and gets one: a log-in begins with it and with
/// nothing else.
///
/// Four of the ways believe what an adapter says, since hashes, rows, providers and files are not the core's:
/// [`Self::by_password`], [`Self::by_new_account`], [`Self::by_provider`] and [`Self::at_the_machine`].
/// `tests/tidy` names the only files that may say it.
///
/// ```
/// use goldenpath_core::auth::{Admission, Digest, Family, RefreshPolicy};
/// use goldenpath_core::time::Wall;
///
/// fn begin(admitted: &Admission, first: [Digest; 2]) -> Family {
///     Family::begin(admitted, first, Wall(0), RefreshPolicy::default())
/// }
/// ```
///
/// ```compile_fail,E0308
/// use goldenpath_core::auth::{Admission, Digest, Family, RefreshPolicy};
/// use goldenpath_core::id::UserId;
/// use goldenpath_core::time::Wall;
///
/// fn begin(named: &UserId, first: [Digest; 2]) -> Family {
///     Family::begin(named, first, Wall(0), RefreshPolicy::default())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Admission {
    user_id: UserId,
    session_id: SessionId,
}

impl Admission {
    /// The owner of an account, if the password presented is the one of its hash.
    //= specs/isolation.md#iso-21
    //# A log-in MUST NOT begin without a verdict: a password that matches, a new account, a provider's
    //# word, a visit in demo mode, an open door, or a good refresh token.
    #[must_use]
    pub fn by_password(account: UserId, matches: bool, session_id: SessionId) -> Option<Self> {
        matches.then_some(Self { user_id: account, session_id })
    }

    /// The owner of an account that did not exist before.
    #[must_use]
    pub const fn by_new_account(account: UserId, session_id: SessionId) -> Self {
        Self { user_id: account, session_id }
    }

    /// Our user for somebody whom a provider sent back with its word.
    #[must_use]
    pub const fn by_provider(linked: UserId, session_id: SessionId) -> Self {
        Self { user_id: linked, session_id }
    }

    /// The owner of an account, for whoever has the files of the server in hand.
    #[must_use]
    pub const fn at_the_machine(account: UserId, session_id: SessionId) -> Self {
        Self { user_id: account, session_id }
    }

    /// A visitor of demo mode; nobody else has an identity before their first log-in.
    #[must_use]
    pub fn by_visit(visitor: &Identity) -> Option<Self> {
        let Identity { user_id, session_id, .. } = visitor;
        visitor.is_passing().then(|| Self { user_id: user_id.clone(), session_id: *session_id })
    }

    /// Whoever somebody says they are, behind a door that is open: a user whose id begins as the ids
    /// behind that door do, so never one with an account.
    ///
    /// # Errors
    /// When the name is too long for an id.
    pub fn by_bypass(opened: Opened, name: &str, session_id: SessionId) -> Result<Self, NotAnId> {
        let user_id = UserId::new(&format!("{}{name}", opened.prefix()))?;
        Ok(Self { user_id, session_id })
    }

    pub(super) const fn by_refresh(user_id: UserId, session_id: SessionId) -> Self {
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

    /// The right to what this user owns.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::of(self.user_id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Environment;
    use crate::time::Wall;

    const SESSION: SessionId = SessionId(3);

    fn ada() -> UserId {
        UserId::new("ada").unwrap()
    }

    //= specs/isolation.md#iso-21
    //= type=test
    //# A log-in MUST NOT begin without a verdict: a password that matches, a new account, a provider's
    //# word, a visit in demo mode, an open door, or a good refresh token.
    #[test]
    fn nobody_is_admitted_by_a_wrong_password_or_a_shut_door() {
        assert_eq!(Admission::by_password(ada(), false, SESSION), None);
        let admitted = Admission::by_password(ada(), true, SESSION).unwrap();
        assert_eq!((admitted.user_id(), admitted.session_id()), (&ada(), SESSION));
        assert_eq!(admitted.scope(), Scope::of(ada()));
        assert_eq!(Environment::Production.open_for_developers(), None);
        assert_eq!(Environment::Staging.open_for_developers(), None);
    }

    #[test]
    fn a_door_without_proof_leads_to_users_without_an_account() {
        let opened = Environment::Test.open_for_developers().unwrap();
        let developer = Admission::by_bypass(opened, "ada", SESSION).unwrap();
        assert_eq!(developer.user_id().as_str(), "dev-ada");
        let opened = Environment::Test.open_for_developers().unwrap();
        assert!(Admission::by_bypass(opened, &"x".repeat(200), SESSION).is_err());
    }

    #[test]
    fn only_a_visitor_without_a_token_is_admitted_by_the_visit() {
        let visitor = Identity::visitor(7, SESSION, Wall(1));
        assert_eq!(Admission::by_visit(&visitor).unwrap().user_id(), visitor.user_id());
        let returned = Identity { expires_at: Some(Wall(2)), ..visitor };
        assert_eq!(Admission::by_visit(&returned), None);
    }
}
