//! Who is this, and until when: the claims of a token, and the life of a credential on a connection.

mod claims;
mod jwks;
mod scope;
mod session;

pub use claims::{Claims, Policy, check_claims};
pub use jwks::{Decision, Freshness, KeySet, MAX_FOREIGN_KEYS};
pub use scope::{DEMO_USER_PREFIX, Scope, Unfinished};
pub use session::{EndReason, Input, Output, Session};

/// The longest token looked at, in bytes; a longer one is refused without checking its signature.
pub const MAX_TOKEN_BYTES: usize = 8192;
