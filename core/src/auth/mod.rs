//! Who is this, and until when: the claims of a token, the life of a credential on a connection, the
//! life of a log-in, and what failing at one costs.

mod admission;
mod bypass;
mod claims;
mod cutoff;
mod foreign;
pub mod hashing;
mod jwks;
mod lockout;
mod once;
mod password;
mod record;
mod refresh;
mod role;
mod scope;
mod session;
mod signed;
mod ticket;
mod vouched;

pub use admission::Admission;
pub use bypass::{
    Bypass, BypassRefusal, DEV_USER_PREFIX, E2E_USER_PREFIX, Environment, Opened, check_bypass,
};
pub use claims::{Claims, Policy, check_claims};
pub use cutoff::{Cutoff, Endings};
pub use foreign::{
    ForeignClaims, ForeignPolicy, Foreigner, check_foreign, claimed_issuer, could_be_accepted,
};
pub use jwks::{Decision, Freshness, KeySet, MAX_FOREIGN_KEYS};
pub use lockout::{Allowance, Allowances, Lockout, Try, Turn};
pub use once::Once;
pub use password::{PASSWORD_MAX, PASSWORD_MIN, check_password};
pub use record::{
    EVERYDAY_ROWS, EVERYDAY_ROWS_PER_USER, ROWS, ROWS_PER_PLACE, Ration, is_about_identity,
};
pub use refresh::{Digest, Family, Judgement, LOG_INS, Presented, RefreshPolicy, RefreshVerdict};
pub use role::{ADMIN, AUDIT_READ, NotARole, Role, permissions_of};
pub use scope::{DEMO_USER_PREFIX, Leave, Scope, Unfinished};
pub use session::{EndReason, Input, Output, Session};
pub use signed::Signed;
pub use ticket::{TICKET_LIFETIME, Ticket, UNUSED_TICKETS};
pub use vouched::Vouched;

/// The longest token looked at, in bytes; a longer one is refused without checking its signature.
pub const MAX_TOKEN_BYTES: usize = 8192;

#[cfg(test)]
mod matrix_tests;
