//! Access tokens of another issuer, checked with the keys it names.

use crate::keys::named_key;
use crate::source::Source;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use goldenpath_core::auth::{ForeignPolicy, Foreigner, Freshness, could_be_accepted};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{ErrorCode, Secret};
use goldenpath_runtime::Clock;
use goldenpath_runtime::identity::{Issuer, ProviderFault};
use openidconnect::IssuerUrl;

/// The longest name of a key looked for, in bytes.
const KEY_NAME_BYTES: usize = 256;

/// An issuer the operator trusts; cheap to clone.
#[derive(Clone)]
pub struct TrustedIssuer {
    source: Source,
    policy: ForeignPolicy,
}

impl TrustedIssuer {
    /// Nothing is asked yet: an issuer that is down keeps nobody from starting.
    ///
    /// # Errors
    /// When the issuer is no address, or no HTTP client can be made; in words for the operator.
    pub fn new(policy: ForeignPolicy, freshness: Freshness, clock: Clock) -> Result<Self, String> {
        let issuer = IssuerUrl::new(policy.issuer.clone())
            .map_err(|error| format!("JWT_TRUSTED_ISSUERS holds what is no address: {error}"))?;
        Ok(Self { source: Source::new(issuer, freshness, clock)?, policy })
    }

    async fn check(self, token: Secret, now: Wall) -> Result<Foreigner, ErrorCode> {
        let kid = named_key(&token.0);
        self.source.metadata().await.map_err(word)?;
        let keys = self.source.keys_for(&kid).await.map_err(word)?;
        keys.of_access_tokens.verify(&token.0, &self.policy, now)
    }
}

impl Issuer for TrustedIssuer {
    fn name(&self) -> &str {
        &self.policy.issuer
    }

    fn check(&self, token: &Secret, now: Wall) -> BoxFuture<'static, Result<Foreigner, ErrorCode>> {
        // What could not be accepted whatever its signature is, is no reason to ask anybody.
        let claimed = could_be_accepted(&token.0, &self.policy, now);
        if claimed == Err(ErrorCode::Unauthorized) || named_key(&token.0).len() > KEY_NAME_BYTES {
            return ready(Err(ErrorCode::Unauthorized)).boxed();
        }
        self.clone().check(token.clone(), now).boxed()
    }
}

fn word(fault: ProviderFault) -> ErrorCode {
    match fault {
        ProviderFault::Refused(_) => ErrorCode::Unauthorized,
        ProviderFault::Unavailable => ErrorCode::Degraded,
    }
}
