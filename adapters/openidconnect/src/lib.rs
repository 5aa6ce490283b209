//! Log in through another provider: the authorization code flow of OpenID Connect with PKCE, state and
//! nonce, on the `openidconnect` crate. And access tokens of other issuers, checked with the keys they
//! name ([`TrustedIssuer`]).
//!
//! This crate speaks to the provider and checks what it says. When its keys are fetched is decided in the
//! core ([`goldenpath_core::auth::KeySet`]); who the user is here, and what the browser is told, is decided
//! by whoever holds the port ([`goldenpath_runtime::identity::Provider`]).

mod http;
mod keys;
mod source;
mod trusted;

pub use trusted::TrustedIssuer;

use crate::keys::named_key;
use crate::source::Source;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use goldenpath_core::auth::Freshness;
use goldenpath_core::wire::Secret;
use goldenpath_runtime::Clock;
use goldenpath_runtime::identity::{Begun, ForeignUser, Provider, ProviderFault, Returned};
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreJsonWebKey,
    CoreJwsSigningAlgorithm, CoreProviderMetadata,
};
use openidconnect::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IssuerUrl, JsonWebKeySet, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenResponse as _,
};
use std::sync::Arc;

/// What an ID token may be signed with: nothing that a shared secret or nobody could make.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 3] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Where the provider is and what we are called there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The provider's address, exactly as it names itself.
    pub issuer: String,
    /// What this server is called there.
    pub client_id: String,
    /// Proves this server to the provider.
    pub client_secret: Secret,
    /// Where the provider sends browsers back to.
    pub redirect_url: String,
    /// What people call the provider.
    pub name: String,
    /// How often its keys are fetched.
    pub freshness: Freshness,
}

/// A provider of users; cheap to clone.
#[derive(Clone)]
pub struct OpenIdConnect(Arc<Inner>);

struct Inner {
    settings: Settings,
    redirect: RedirectUrl,
    source: Source,
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

impl OpenIdConnect {
    /// Nothing is asked yet: a provider that is down keeps nobody from starting.
    ///
    /// # Errors
    /// When an address is none, or no HTTP client can be made; in words for the operator.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, String> {
        let issuer = IssuerUrl::new(settings.issuer.clone())
            .map_err(|error| format!("OIDC_ISSUER is no address: {error}"))?;
        let redirect = RedirectUrl::new(settings.redirect_url.clone())
            .map_err(|error| format!("OIDC_REDIRECT_URL is no address: {error}"))?;
        let source = Source::new(issuer, settings.freshness, clock)?;
        Ok(Self(Arc::new(Inner { settings, redirect, source })))
    }
}

impl Provider for OpenIdConnect {
    fn name(&self) -> &str {
        &self.0.settings.name
    }

    fn returns_over_tls(&self) -> bool {
        self.0.settings.redirect_url.starts_with("https:")
    }

    fn begin(&self) -> BoxFuture<'static, Result<Begun, ProviderFault>> {
        let inner = self.0.clone();
        async move { inner.begin().await }.boxed()
    }

    fn finish(&self, returned: Returned) -> BoxFuture<'static, Result<ForeignUser, ProviderFault>> {
        let inner = self.0.clone();
        async move { inner.finish(returned).await }.boxed()
    }
}

impl Inner {
    async fn begin(&self) -> Result<Begun, ProviderFault> {
        let metadata = self.source.metadata().await?;
        let client = self.client(&metadata, Vec::new());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scope(Scope::new("profile".to_owned()))
            .add_scope(Scope::new("email".to_owned()))
            .set_pkce_challenge(challenge)
            .url();
        Ok(Begun {
            url: url.to_string(),
            state: Secret(state.into_secret()),
            nonce: Secret(nonce.secret().clone()),
            verifier: Secret(verifier.into_secret()),
        })
    }

    async fn finish(&self, returned: Returned) -> Result<ForeignUser, ProviderFault> {
        // RFC 9207: an answer that names its issuer must name the one that was asked.
        if returned.issuer.is_some_and(|issuer| issuer != self.settings.issuer) {
            return Err(ProviderFault::Refused("another issuer answered"));
        }
        let metadata = self.source.metadata().await?;
        let client = self.client(&metadata, Vec::new());
        let answer = client
            .exchange_code(AuthorizationCode::new(returned.code.0))
            .map_err(|_| ProviderFault::Unavailable)?
            .set_pkce_verifier(PkceCodeVerifier::new(returned.verifier.0))
            .request_async(self.source.http())
            .await
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(said) => {
                    tracing::warn!(error = %said.error(), "the provider refused a code");
                    ProviderFault::Refused("the provider refused the code")
                }
                other => {
                    tracing::warn!(%other, "the provider's token endpoint failed");
                    ProviderFault::Unavailable
                }
            })?;
        let token = answer.id_token().ok_or(ProviderFault::Refused("there is no ID token"))?;
        let keys = self.source.keys_for(&named_key(&token.to_string())).await?;
        let client = self.client(&metadata, keys.of_id_tokens.to_vec());
        let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
        //= specs/auth.md#auth-68
        //# An ID token MUST NOT be accepted unless its signature, issuer, audience, expiry and nonce
        //# are those of the log-in that was begun.
        let claims = token.claims(&verifier, &Nonce::new(returned.nonce.0)).map_err(|error| {
            tracing::warn!(%error, "an ID token was refused");
            ProviderFault::Refused("the ID token is not accepted")
        })?;
        let name = claims.name().and_then(|name| name.get(None)).map(|name| name.to_string());
        let called = claims.preferred_username().map(|name| name.to_string());
        let verified = claims.email_verified() == Some(true);
        Ok(ForeignUser {
            issuer: self.settings.issuer.clone(),
            subject: claims.subject().to_string(),
            name: name.or(called),
            email: claims.email().filter(|_| verified).map(|email| email.to_string()),
        })
    }

    fn client(&self, metadata: &CoreProviderMetadata, keys: Vec<CoreJsonWebKey>) -> Client {
        let methods = metadata.token_endpoint_auth_methods_supported();
        let offers = |method| methods.is_some_and(|methods| methods.contains(&method));
        let in_body = offers(CoreClientAuthMethod::ClientSecretPost)
            && !offers(CoreClientAuthMethod::ClientSecretBasic);
        let metadata = metadata.clone().set_jwks(JsonWebKeySet::new(keys));
        let id = ClientId::new(self.settings.client_id.clone());
        let secret = ClientSecret::new(self.settings.client_secret.0.clone());
        CoreClient::from_provider_metadata(metadata, id, Some(secret))
            .set_redirect_uri(self.redirect.clone())
            .set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth })
    }
}
