//! What somebody is told who asks to be known.

use crate::ports::{Account, Guest};
use goldenpath_core::auth::permissions_of;
use goldenpath_core::fault::Fault;
use goldenpath_core::id::UserId;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{ErrorCode, Secret};

/// What somebody gets who logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// The access token.
    pub token: Secret,
    /// How long it is good.
    pub expires_in: Millis,
    /// Makes the next one; good once.
    pub refresh_token: Secret,
    /// How long the log-in lasts at most.
    pub refresh_expires_in: Millis,
    /// Names this client at its next log-in, so that it shares no count of failures with strangers.
    /// It opens nothing.
    pub device: Secret,
    /// Who it is.
    pub user: Profile,
}

/// A user as the page shows one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The subject.
    pub user_id: UserId,
    /// How the user is called.
    pub name: String,
    /// The address, if there is one.
    pub email: Option<String>,
    /// What the user may do besides using what is their own.
    pub permissions: Vec<String>,
    /// Made by demo mode.
    pub demo: bool,
}

impl Profile {
    pub(super) fn of(account: &Account) -> Self {
        let name = account.name.clone();
        Self {
            user_id: account.user_id.clone(),
            name: name.unwrap_or_else(|| account.email.local_part().to_owned()),
            email: Some(account.email.to_string()),
            permissions: permissions_of(&account.roles),
            demo: false,
        }
    }

    pub(super) fn of_guest(user_id: UserId, guest: Guest, demo: bool) -> Self {
        let Guest { name, email, permissions } = guest;
        Self { user_id, name, email, permissions, demo }
    }
}

/// Why somebody was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The word both sides know.
    pub code: ErrorCode,
    /// For developers; no secret.
    pub message: String,
    /// Not before this.
    pub retry_after: Option<Millis>,
}

impl Denied {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ValidationFailed, message)
    }

    pub(super) fn internal() -> Self {
        Self::new(ErrorCode::Internal, "an internal error")
    }

    pub(super) fn later(wait: Millis) -> Self {
        let mut denied = Self::new(ErrorCode::RateLimited, "too many tries");
        denied.retry_after = Some(wait);
        denied
    }
}

impl From<Fault> for Denied {
    fn from(_: Fault) -> Self {
        Self::new(ErrorCode::StorageUnavailable, "accounts cannot be read right now")
    }
}
