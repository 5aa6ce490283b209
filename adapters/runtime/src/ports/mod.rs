//! The port traits: what the event loop needs from the outside world, without saying who provides it.
//!
//! Three rules hold for every port. A function that touches data of a user takes that user first, and
//! what belongs to another user is answered exactly as what does not exist (ISO-02). An error is a
//! [`Fault`], which says what the caller may do about it. A write is handed over by the call itself, not
//! by the first poll; dropping its future gives up the answer, not the write.

mod accounts;
mod artifacts;
mod audit;
mod directory;
mod links;
mod sessions;
mod store;
mod tickets;

pub use accounts::{Account, Accounts, Created, Email, NotAnEmail, PREFERENCES_MAX};
pub use artifacts::{Artifact, ArtifactInfo, Artifacts};
pub use audit::{AuditAction, AuditLog, AuditOutcome, AuditRecord, AuditRow, Credence};
pub use directory::{
    Directory, FeedbackView, MessageRange, MessageView, Page, Role, RunView, ThreadCursor,
    ThreadView,
};
pub use links::{Link, Links};
pub use sessions::{Guest, LogIn, Refresh, Refreshed, Sessions};
pub use store::Store;
pub use tickets::Tickets;

use futures_util::future::BoxFuture;
use goldenpath_core::fault::Fault;

/// What a port answers, sooner or later.
pub type Answer<T> = BoxFuture<'static, Result<T, Fault>>;
