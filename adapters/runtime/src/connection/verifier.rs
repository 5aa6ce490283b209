//! Who is this? The same answer for a socket and for an HTTP request (F07, AUTH-06).

use futures_util::future::BoxFuture;
use goldenpath_core::connection::Identity;
use goldenpath_core::id::UserId;
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{AuthMethod, Credential, ErrorCode};
use std::fmt::Debug;

/// Checks credentials.
pub trait Verifier: Send + Sync + 'static {
    /// Who presents this credential, or why it is no good. A ticket counts for the `origin` it was
    /// made for and is used up by the call (AUTH-07).
    fn verify(
        &self,
        credential: &Credential,
        origin: Option<&str>,
        now: Wall,
    ) -> BoxFuture<'static, Result<Identity, ErrorCode>>;

    /// A user of demo mode; `forbidden` where there is none.
    fn demo_user(&self, now: Wall) -> BoxFuture<'static, Result<Identity, ErrorCode>>;

    /// Whether the log-in was ended since its verdict: asked once the socket can be found by those who
    /// end log-ins, so that none slips in between. Only what is known here is looked at.
    fn is_over(&self, _identity: &Identity) -> bool {
        false
    }

    /// A socket has its verdict; for the record.
    fn seen(&self, _seen: Sighting<'_>) {}
}

/// What became of a credential on a socket.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// In which place it came.
    pub method: AuthMethod,
    /// From where.
    pub place: Option<&'a str>,
    /// Who it is, or why not.
    pub verdict: &'a Result<Identity, ErrorCode>,
}

/// Where a socket comes from.
#[derive(Debug, Default)]
pub struct Whence {
    /// The page, as the browser says it.
    pub origin: Option<String>,
    /// The client's address.
    pub place: Option<String>,
    /// What it holds as long as nobody knows whose it is.
    pub newcomer: Option<Box<dyn Newcomer>>,
}

/// A place for a socket of which nobody knows whose it is; given back when it is dropped.
pub trait Newcomer: Debug + Send + Sync + 'static {
    /// It is of this user.
    ///
    /// # Errors
    /// How long to wait: the user has opened too many of late.
    fn is_of(self: Box<Self>, user: &UserId) -> Result<(), Millis>;
}
