//! What a good credential says, before it is known whether it was ended early.

use super::{Bypass, Endings};
use crate::connection::Identity;
use crate::id::{SessionId, UserId};
use crate::time::Wall;
use crate::wire::ErrorCode;

/// A user as a credential names one that is good by itself.
///
/// It grants nothing yet: a log-out may have ended it. A store is asked about that with it, and the
/// answer makes an [`Identity`] of it or nothing.
///
/// ```
/// use goldenpath_core::auth::{Endings, Scope, Vouched};
///
/// fn right_of(vouched: Vouched, endings: &Endings) -> Option<Scope> {
///     Some(vouched.unless_ended(endings).ok()?.scope())
/// }
/// ```
///
/// ```compile_fail,E0599
/// use goldenpath_core::auth::{Endings, Scope, Vouched};
///
/// fn right_of(vouched: Vouched, endings: &Endings) -> Option<Scope> {
///     Some(vouched.scope())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vouched {
    identity: Identity,
}

impl Vouched {
    pub(crate) const fn new(identity: Identity) -> Self {
        Self { identity }
    }

    /// Whom it names.
    #[must_use]
    pub const fn user_id(&self) -> &UserId {
        self.identity.user_id()
    }

    /// The log-in it belongs to.
    #[must_use]
    pub const fn session_id(&self) -> SessionId {
        self.identity.session_id()
    }

    /// When it was made; long ago when it does not say.
    #[must_use]
    pub const fn issued_at(&self) -> Wall {
        self.identity.issued_at()
    }

    /// When it ends by itself.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Wall> {
        self.identity.expires_at()
    }

    /// By which door without proof its user came, if by one.
    #[must_use]
    pub fn bypass(&self) -> Option<Bypass> {
        Bypass::of(&self.identity)
    }

    /// Who it is, unless that log-in was ended early.
    ///
    /// # Errors
    /// `token_revoked` when it was.
    //= specs/isolation.md#iso-20
    //# A good credential MUST NOT grant anything before it is known that its log-in was not ended.
    pub fn unless_ended(self, endings: &Endings) -> Result<Identity, ErrorCode> {
        if self.identity.is_ended_by(endings) {
            Err(ErrorCode::TokenRevoked)
        } else {
            Ok(self.identity)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Cutoff;

    //= specs/isolation.md#iso-20
    //= type=test
    //# A good credential MUST NOT grant anything before it is known that its log-in was not ended.
    #[test]
    fn what_was_ended_early_is_nobody() {
        let identity = Identity::visitor(7, SessionId(1), Wall(5));
        let vouched = Vouched::new(identity.clone());
        let after = |revoked, cutoff| vouched.clone().unless_ended(&Endings { revoked, cutoff });
        let at = |at| Some(Cutoff { at: Wall(at), but: None });
        assert_eq!(after(false, None), Ok(identity.clone()));
        assert_eq!(after(false, at(4)), Ok(identity));
        assert_eq!(after(true, None), Err(ErrorCode::TokenRevoked));
        assert_eq!(after(false, at(5)), Err(ErrorCode::TokenRevoked));
    }

    #[test]
    fn it_says_of_whom_it_is_how_they_came_and_until_when() {
        let visitor = Identity::visitor(7, SessionId(3), Wall(1));
        let user_id = visitor.user_id().clone();
        let (issued_at, expires_at) = (Wall(5), Some(Wall(9)));
        let vouched = Vouched::new(Identity { issued_at, expires_at, ..visitor });
        assert_eq!((vouched.user_id(), vouched.session_id()), (&user_id, SessionId(3)));
        assert_eq!((vouched.issued_at(), vouched.expires_at()), (Wall(5), Some(Wall(9))));
        assert_eq!(vouched.bypass(), Some(Bypass::Demo));
    }
}
