//! What identities need from outside: signatures, password hashes, randomness.

use crate::ports::Answer;
use goldenpath_core::auth::{Claims, Vouched};
use goldenpath_core::connection::Identity;
use goldenpath_core::fault::Fault;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{ErrorCode, Secret};

/// Makes and reads access tokens.
pub trait Tokens: Send + Sync + 'static {
    /// Signs a token; `iss`, `aud`, `nbf` and `jti` are the signer's own.
    ///
    /// # Errors
    /// [`Fault::Refused`] when the key cannot sign.
    fn issue(&self, claims: &Claims) -> Result<Secret, Fault>;

    /// Whose a token is, if it is good by itself, and what it says they may do.
    ///
    /// # Errors
    /// `unauthorized` or `token_expired`.
    fn read(&self, token: &Secret, now: Wall) -> Result<Read, ErrorCode>;

    /// The public keys as a JSON Web Key Set; none where a shared secret signs.
    fn published(&self) -> String {
        r#"{"keys":[]}"#.to_owned()
    }
}

/// A token that is good by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Whose it is.
    pub vouched: Vouched,
    /// The address, if the token says one.
    pub email: Option<String>,
    /// What they may do besides using what is their own.
    pub permissions: Vec<String>,
}

/// Somebody with a good token, whose log-in was not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Who it is.
    pub identity: Identity,
    /// The address, if the token says one.
    pub email: Option<String>,
    /// What they may do besides using what is their own.
    pub permissions: Vec<String>,
}

/// Hashes passwords, away from the event loop.
pub trait Passwords: Send + Sync + 'static {
    /// A hash with its salt, in PHC text form.
    fn hash(&self, password: Secret) -> Answer<String>;

    /// Whether the password is the one of the hash. Without a hash the answer is `false` after the
    /// time it takes to check one, so that nobody learns which addresses have an account.
    fn matches(&self, password: Secret, hash: Option<String>) -> Answer<bool>;

    /// Whether a hash was made with weaker parameters than a new one would be.
    fn is_outdated(&self, hash: &str) -> bool;
}

/// Random bytes for secrets, from the operating system.
pub trait Entropy: Send + Sync + 'static {
    /// 32 bytes nobody can guess.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when the system has none.
    fn draw(&self) -> Result<[u8; 32], Fault>;
}
