//! Another party that knows users, as far as a log-in needs it.

use futures_util::future::BoxFuture;
use goldenpath_core::wire::Secret;

/// A provider of users, like one that speaks OpenID Connect.
pub trait Provider: Send + Sync + 'static {
    /// What people call it.
    fn name(&self) -> &str;

    /// Whether browsers come back to us over TLS.
    fn returns_over_tls(&self) -> bool;

    /// Where to send a browser, and what to keep until it returns.
    fn begin(&self) -> BoxFuture<'static, Result<Begun, ProviderFault>>;

    /// Who the browser that returned is, checked against what was kept.
    fn finish(&self, returned: Returned) -> BoxFuture<'static, Result<ForeignUser, ProviderFault>>;
}

/// A log-in that was begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: String,
    /// Comes back with the browser, and names this log-in.
    pub state: Secret,
    /// Comes back in the ID token.
    pub nonce: Secret,
    /// Shows that who asks for the token began the log-in (PKCE, RFC 7636).
    pub verifier: Secret,
}

/// A browser that came back, and what was kept for it.
#[derive(Clone, Debug)]
pub struct Returned {
    /// What the provider gave the browser; good once.
    pub code: Secret,
    /// Who the provider says it is (RFC 9207), if it does.
    pub issuer: Option<String>,
    /// Of [`Begun`].
    pub nonce: Secret,
    /// Of [`Begun`].
    pub verifier: Secret,
}

/// Somebody the provider knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignUser {
    /// Who says so.
    pub issuer: String,
    /// What the issuer calls the user, for ever.
    pub subject: String,
    /// How the user is called.
    pub name: Option<String>,
    /// An address the issuer has verified; shown, never used to find an account.
    pub email: Option<String>,
}

/// Why the provider said nothing of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderFault {
    /// It said no, or something that cannot be believed; for developers.
    Refused(&'static str),
    /// It does not answer.
    Unavailable,
}
