//! Log-ins: their refresh tokens, and which of them were ended early.

use super::Answer;
use super::audit::Credence;
use goldenpath_core::auth::{Cutoff, Digest, Endings, Family, Presented, RefreshVerdict};
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::time::Wall;

/// Keeps log-ins.
pub trait Sessions: Send + Sync + 'static {
    /// A log-in with its first refresh token.
    fn begin(&self, log_in: LogIn) -> Answer<()>;

    /// Uses a refresh token: the family is read, [`Family::present`] decides, and what it became is
    /// kept, in one transaction, so that of two uses at once one is the second (AUTH-40). A reused
    /// token revokes the session in the same transaction. `None`: there is no such family.
    fn refresh(&self, refresh: Refresh) -> Answer<Option<Refreshed>>;

    /// Ends a session of this user early: its refresh tokens and its access tokens. `until` is when
    /// its last access token expires by itself: afterwards the record may be forgotten.
    fn revoke(&self, user: &UserId, session_id: SessionId, until: Wall) -> Answer<()>;

    /// The same for all sessions of this user that have refresh tokens, but that of the cutoff; which
    /// they were. The cutoff, which ends whatever else the user has, is kept for good, unless a later
    /// one takes its place.
    fn revoke_all(&self, user: &UserId, cutoff: Cutoff, until: Wall) -> Answer<Vec<SessionId>>;

    /// Whether this user's session was revoked, and the user's last cutoff.
    fn endings(&self, user: &UserId, session_id: SessionId) -> Answer<Endings>;

    /// The log-ins of this user that have not ended, the newest first.
    fn of_user(&self, user: &UserId, now: Wall) -> Answer<Vec<LogIn>>;

    /// Whether this user has logged in from this place, as far as that is remembered.
    fn has_come_from(&self, user: &UserId, place: &str) -> Answer<bool>;

    /// Whether this key is of a log-in of this user, ended or not, as far as that is remembered.
    fn is_device_of(&self, user: &UserId, key: Digest) -> Answer<bool>;

    /// Forgets what has ended by itself: log-ins past their end, revocations past their `until`.
    /// Returns how many rows that were.
    fn forget(&self, now: Wall) -> Answer<u64>;
}

/// A log-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIn {
    /// Its refresh tokens.
    pub family: Family,
    /// How the user showed who they are; a way that is closed later closes its log-ins, too.
    pub by: Credence,
    /// From where.
    pub place: String,
    /// What is known of a user without an account.
    pub guest: Option<Guest>,
}

/// What a token says of a user without an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Guest {
    /// How the user is called.
    pub name: String,
    /// The address, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What the user may do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<String>,
}

/// Somebody presents a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// Which family.
    pub key: Digest,
    /// Which token of it.
    pub presented: Presented,
    /// Until when the session is revoked if the token was reused.
    pub until: Wall,
}

/// What a refresh came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// The log-in as it is now.
    pub log_in: LogIn,
    /// The verdict.
    pub verdict: RefreshVerdict,
}
