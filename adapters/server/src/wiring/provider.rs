//! The provider through which users may log in, and the issuers whose tokens count, if any are configured.

use crate::commands::Failed;
use crate::config::Config;
use goldenpath_core::auth::{ForeignPolicy, Freshness};
use goldenpath_openidconnect::{OpenIdConnect, Settings, TrustedIssuer};
use goldenpath_runtime::Clock;
use goldenpath_runtime::identity::Issuer;
use std::sync::Arc;

/// The settings come all or none; that was checked with the configuration.
pub(super) fn of(config: &Config, clock: Clock) -> Result<Option<OpenIdConnect>, Failed> {
    let (Some(issuer), Some(client_id), Some(client_secret), Some(redirect_url)) = (
        config.oidc_issuer.clone(),
        config.oidc_client_id.clone(),
        config.oidc_client_secret.clone(),
        config.oidc_redirect_url.clone(),
    ) else {
        return Ok(None);
    };
    let host = |issuer: &str| {
        let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest).to_owned()
    };
    let name = config.oidc_name.clone().unwrap_or_else(|| host(&issuer));
    let freshness = Freshness { pause: config.oidc_keys_pause, ..Freshness::default() };
    let settings = Settings { issuer, client_id, client_secret, redirect_url, name, freshness };
    Ok(Some(OpenIdConnect::new(settings, clock)?))
}

/// The issuers whose access tokens count beside our own.
pub(super) fn trusted(config: &Config, clock: Clock) -> Result<Vec<Arc<dyn Issuer>>, Failed> {
    let mut issuers: Vec<Arc<dyn Issuer>> = Vec::new();
    for trusted in &config.jwt_trusted_issuers {
        let policy = ForeignPolicy {
            issuer: trusted.issuer.clone(),
            audience: trusted.audience.clone(),
            leeway: config.jwt_leeway,
            max_age: config.jwt_max_age,
        };
        tracing::info!(policy.issuer, policy.audience, "tokens of another issuer are accepted");
        let freshness = Freshness { pause: config.oidc_keys_pause, ..Freshness::default() };
        issuers.push(Arc::new(TrustedIssuer::new(policy, freshness, clock)?));
    }
    Ok(issuers)
}
