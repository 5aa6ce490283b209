//! Who is this? The same answer for a socket and for an HTTP request (F07, AUTH-06).

use futures_util::future::BoxFuture;
use goldenpath_core::connection::Identity;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{Credential, ErrorCode};

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
}
