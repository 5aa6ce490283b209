//! Log-ins: their refresh tokens, and which of them were ended early.

use super::audit::Credence;
use super::{Answer, Email};
use goldenpath_core::auth::{
    Cutoff, Digest, Endings, Family, Judgement, Leave, Presented, Scope, Vouched,
};
use goldenpath_core::id::SessionId;
use goldenpath_core::time::Wall;

/// Keeps log-ins.
///
/// Before anybody is known, a call takes what was presented: an address ([`Email`]), a refresh token
/// ([`Refresh`]), a credential that is good by itself ([`Vouched`]); what comes back grants nothing until
/// the core made a verdict of it. From then on it takes the right of its user (ISO-10):
///
/// ```
/// # use goldenpath_core::auth::{Leave, Scope, Vouched};
/// # use goldenpath_core::id::{SessionId, UserId};
/// # use goldenpath_core::time::Wall;
/// # use goldenpath_runtime::ports::Sessions;
/// fn use_rights(sessions: &dyn Sessions, user: &Scope, own: &Leave, asked: &Vouched) {
///     let log_ins = sessions.of_user(user, Wall(0));
///     let ended = sessions.revoke(own, Wall(0));
///     let endings = sessions.endings(asked);
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use goldenpath_core::auth::{Leave, Scope, Vouched};
/// # use goldenpath_core::id::{SessionId, UserId};
/// # use goldenpath_core::time::Wall;
/// # use goldenpath_runtime::ports::Sessions;
/// fn use_names(sessions: &dyn Sessions, user: &UserId) {
///     let log_ins = sessions.of_user(user, Wall(0));
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use goldenpath_core::auth::{Leave, Scope, Vouched};
/// # use goldenpath_core::id::{SessionId, UserId};
/// # use goldenpath_core::time::Wall;
/// # use goldenpath_runtime::ports::Sessions;
/// fn use_names(sessions: &dyn Sessions, user: &UserId) {
///     let ended = sessions.revoke(user, Wall(0));
/// }
/// ```
pub trait Sessions: Send + Sync + 'static {
    /// A log-in of this user, with its first refresh token. Where [`LOG_INS`] go on already, those that
    /// were used longest ago make room: they are revoked in the same transaction, as [`Self::revoke`] does
    /// it; which they were.
    ///
    /// [`LOG_INS`]: goldenpath_core::auth::LOG_INS
    fn begin(&self, user: &Scope, log_in: LogIn, until: Wall) -> Answer<Vec<SessionId>>;

    /// The same for a log-in with a password: only where the account still has the hash that the password
    /// was compared with, in one transaction. `None`: it has another by now, or there is no such account;
    /// nothing was written.
    fn begin_with(
        &self,
        user: &Scope,
        log_in: LogIn,
        hash: String,
        until: Wall,
    ) -> Answer<Option<Vec<SessionId>>>;

    /// Puts a new password hash in the place of the one that is there, and ends the user's log-ins as
    /// [`Self::revoke_all`] does, both in one transaction: a new password beside log-ins of the old one is
    /// never seen. `None`: the account's hash is another by now, or there is no such account; nothing was
    /// written.
    fn change_password(
        &self,
        user: &Scope,
        old_and_new: (String, String),
        cutoff: Cutoff,
        until: Wall,
    ) -> Answer<Option<Vec<SessionId>>>;

    /// Uses a refresh token: the family is read, [`Family::present`] decides, and what it became is
    /// kept, in one transaction, so that of two uses at once one is the second (AUTH-40). A reused
    /// token revokes the session in the same transaction. `None`: there is no such family.
    fn refresh(&self, refresh: Refresh) -> Answer<Option<Refreshed>>;

    /// Ends a session early: its refresh tokens and its access tokens. `until` is when its last access
    /// token expires by itself: afterwards the record may be forgotten.
    fn revoke(&self, log_in: &Leave, until: Wall) -> Answer<()>;

    /// The same for all sessions of this user that have refresh tokens, but that of the cutoff; which
    /// they were. The cutoff, which ends whatever else the user has, is kept for good, unless a later
    /// one takes its place.
    fn revoke_all(&self, user: &Scope, cutoff: Cutoff, until: Wall) -> Answer<Vec<SessionId>>;

    /// Whether the session of a good credential was revoked, and its user's last cutoff: what
    /// [`Vouched::unless_ended`] asks for.
    fn endings(&self, of: &Vouched) -> Answer<Endings>;

    /// The log-ins of this user that have not ended, the newest first: at most [`LOG_INS`] of them.
    ///
    /// [`LOG_INS`]: goldenpath_core::auth::LOG_INS
    fn of_user(&self, user: &Scope, now: Wall) -> Answer<Vec<LogIn>>;

    /// Whether the owner of the account with this address has logged in from this place, as far as that
    /// is remembered.
    fn has_come_from(&self, email: &Email, place: &str) -> Answer<bool>;

    /// Whether this key is of a log-in of the owner of the account with this address, ended or not, as
    /// far as that is remembered.
    fn is_device_of(&self, email: &Email, key: Digest) -> Answer<bool>;

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
    /// What the core made of it.
    pub judgement: Judgement,
}
