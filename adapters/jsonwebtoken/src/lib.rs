//! Keys and tokens: makes JSON web tokens (RFC 7519) and checks their signatures.
//!
//! Which algorithm a key speaks is pinned to the key, never read from a token. What claims must say is
//! decided in the core ([`goldenpath_core::auth::check_claims`]), with the time passed in; this crate
//! reads no clock. One [`Tokens`] serves HTTP and WebSocket, so that both give the same verdict (F07).
//!
//! ```
//! use goldenpath_core::auth::Policy;
//! use goldenpath_core::id::{SessionId, UserId};
//! use goldenpath_core::time::{Millis, Wall};
//! use goldenpath_jsonwebtoken::{Grant, Key, Keys, Tokens};
//!
//! let key = Key::hs256(b"thirty-two bytes are the minimum")?;
//! let policy = Policy {
//!     issuer: "goldenpath".into(),
//!     audience: Some("goldenpath".into()),
//!     leeway: Millis::from_secs(5),
//!     max_age: None,
//!     older_issuer: None,
//! };
//! let tokens = Tokens::new(Keys::new(key), policy);
//! let now = Wall(1_800_000_000_000);
//! let grant = Grant::new(UserId::new("ada")?, SessionId(1), Millis::from_secs(900));
//! let issued = tokens.issue(grant, now)?;
//! let verified = tokens.verify(&issued.token.0, now).unwrap();
//! assert_eq!(verified.vouched.user_id().as_str(), "ada");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod foreign;
mod key;
mod once;
mod tokens;

pub use foreign::ForeignKeys;
pub use key::{Key, KeyError, Keys, MIN_SECRET_BYTES, VerifyingKey};
pub use tokens::{Grant, IssueError, Issued, Tokens, Verified};
