//! The settings of the log-in through an OpenID Connect provider: all or none, and none that is unsafe.

use super::{Config, Finding, Findings};

/// Where the provider sends users back to.
const CALLBACK: &str = "/api/auth/oidc/callback";

/// Adds what is missing or unsafe.
//= specs/auth.md#auth-67
//# A provider that is not reached over TLS MUST stop the start, unless it is this machine outside
//# production.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    let settings = [
        ("OIDC_ISSUER", config.oidc_issuer.is_some()),
        ("OIDC_CLIENT_ID", config.oidc_client_id.is_some()),
        ("OIDC_CLIENT_SECRET", config.oidc_client_secret.is_some()),
        ("OIDC_REDIRECT_URL", config.oidc_redirect_url.is_some()),
    ];
    if settings.iter().any(|(_, there)| *there) || config.oidc_name.is_some() {
        for (name, _) in settings.iter().filter(|(_, there)| !there) {
            let problem = "is missing while other settings of OpenID Connect are there";
            findings.push(Finding::new(*name, problem, "Set it, or remove the others"));
        }
    }
    let production = config.environment.is_production();
    for (name, url) in
        [("OIDC_ISSUER", &config.oidc_issuer), ("OIDC_REDIRECT_URL", &config.oidc_redirect_url)]
    {
        if let Some(url) = url
            && !is_safe(url, production)
        {
            let problem = format!("({url:?}) is no address that begins with https://");
            let remedy = "Use https; http is for this machine, outside production";
            findings.push(Finding::new(name, problem, remedy));
        }
    }
    if let Some(url) = &config.oidc_redirect_url
        && !url.ends_with(CALLBACK)
    {
        let problem = format!("({url:?}) does not end with {CALLBACK}");
        findings.push(Finding::new("OIDC_REDIRECT_URL", problem, "Register and set that address"));
    }
}

pub(super) fn is_safe(url: &str, production: bool) -> bool {
    let host = |rest: &str| rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
    if url.contains(['@', ' ', '?', '#']) {
        return false;
    }
    match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => !host(rest).is_empty(),
        (None, Some(rest)) if !production => {
            let host = host(rest);
            let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
            matches!(name, "localhost" | "127.0.0.1" | "[::1]")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Environment;
    use super::*;
    use goldenpath_core::wire::Secret;

    fn good() -> Config {
        Config {
            oidc_issuer: Some("https://login.example".into()),
            oidc_client_id: Some("goldenpath".into()),
            oidc_client_secret: Some(Secret("hush".into())),
            oidc_redirect_url: Some(format!("https://chat.example{CALLBACK}")),
            ..Config::default()
        }
    }

    fn found(config: &Config) -> Vec<String> {
        let mut findings = Findings::default();
        check(config, &mut findings);
        findings.0.into_iter().map(|finding| finding.setting).collect()
    }

    #[test]
    fn the_settings_come_together_or_not_at_all() {
        assert!(found(&Config::default()).is_empty());
        assert!(found(&good()).is_empty());
        let one = Config { oidc_client_id: Some("x".into()), ..Config::default() };
        assert_eq!(found(&one), ["OIDC_ISSUER", "OIDC_CLIENT_SECRET", "OIDC_REDIRECT_URL"]);
        let elsewhere =
            Config { oidc_redirect_url: Some("https://chat.example/".into()), ..good() };
        assert_eq!(found(&elsewhere), ["OIDC_REDIRECT_URL"]);
    }

    //= specs/auth.md#auth-67
    //= type=test
    //# A provider that is not reached over TLS MUST stop the start, unless it is this machine outside
    //# production.
    #[test]
    fn a_provider_without_tls_is_this_machine_or_none() {
        let at = |issuer: &str, environment| {
            found(&Config { oidc_issuer: Some(issuer.into()), environment, ..good() })
        };
        for issuer in ["http://127.0.0.1:3000", "http://localhost:3000/oidc", "http://[::1]:1"] {
            assert!(at(issuer, Environment::Test).is_empty(), "{issuer}");
            assert_eq!(at(issuer, Environment::Production), ["OIDC_ISSUER"], "{issuer}");
        }
        for issuer in [
            "http://login.example",
            "http://localhost.evil.example",
            "http://127.0.0.1@evil.example",
            "https://",
            "ftp://login.example",
            "login.example",
        ] {
            assert_eq!(at(issuer, Environment::Test), ["OIDC_ISSUER"], "{issuer}");
        }
    }
}
