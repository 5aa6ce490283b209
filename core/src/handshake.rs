//! May this upgrade happen, and as what: a pure function of the request and the server's condition.

use crate::wire::{AuthMethod, Credential};
use alloc::string::String;

/// What was decided for an upgrade that may happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Accepted {
    /// The subprotocol to name in the 101; always one that was offered, never a token (CONN-06).
    pub subprotocol: Option<String>,
    /// What is spoken.
    pub dialect: Dialect,
    /// The credential of the request, and its place; not yet checked.
    pub credential: Option<(AuthMethod, Credential)>,
    /// Whether a client without any credential becomes a demo user.
    pub demo: bool,
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// `golden.v1`.
    GoldenV1,
    /// The dialect of the replaced system, for clients that did not offer `golden.v1`.
    Older,
}
