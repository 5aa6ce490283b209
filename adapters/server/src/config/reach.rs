//! Who can reach this server, as far as its settings say (SAFE-92).

use super::{Config, Environment, Finding, Findings};
use std::net::IpAddr;
use url::{Host, Url};

/// Nobody has said where this server runs. By itself it is in development, where everybody gets in; that is
/// for the machine it runs on, and it binds to loopback unless told otherwise.
//= specs/safety.md#safe-92
//# A server that others can reach, by itself or through a proxy on its own machine, MUST NOT start before it
//# is told where it runs.
pub(super) fn unnamed(config: &Config, findings: &mut Findings) {
    if let Some(way) = way_in(config) {
        findings.push(Finding::new(
            "ENVIRONMENT",
            format!("is not set, and {way}"),
            "Set ENVIRONMENT=production; or, to let in whoever asks (demo mode, developers' log-in), \
             ENVIRONMENT=development; or listen on 127.0.0.1, with no proxy and no page of elsewhere",
        ));
    }
}

/// Whether somebody who guesses a key has anything to gain.
pub(super) fn is_for_others(config: &Config) -> bool {
    match config.environment {
        Environment::Production | Environment::Staging => true,
        Environment::Development | Environment::Test => is_beyond_loopback(config),
    }
}

/// By which setting others come here; `None`: only who is on this machine.
fn way_in(config: &Config) -> Option<String> {
    if is_beyond_loopback(config) {
        let ip = config.listen.ip().to_canonical();
        return Some(format!("GOLDENPATH_LISTEN ({ip}) can be reached by others"));
    }
    if !config.edge.trusted_proxies.is_empty() {
        return Some("TRUSTED_PROXIES names a proxy, through which others come".to_owned());
    }
    let mut origins = config.origins.iter().filter(|origin| origin.starts_with("https://"));
    if let Some(origin) = origins.find(|origin| is_elsewhere(origin)) {
        return Some(format!("CORS_ORIGINS holds {origin}, a page that others open"));
    }
    let redirect = config.oidc_redirect_url.as_ref().filter(|url| is_elsewhere(url));
    redirect.map(|url| format!("OIDC_REDIRECT_URL ({url:?}) is where others are sent to"))
}

fn is_beyond_loopback(config: &Config) -> bool {
    !config.listen.ip().to_canonical().is_loopback()
}

/// Whether an address names another host than this machine's loopback.
fn is_elsewhere(url: &str) -> bool {
    let url = Url::parse(url).ok();
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name != "localhost" && !name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => !ip.is_loopback(),
        Some(Host::Ipv6(ip)) => !IpAddr::V6(ip).to_canonical().is_loopback(),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_under_each_of_its_names() {
        for here in [
            "https://localhost",
            "https://localhost:8443/x",
            "https://app.localhost",
            "http://127.0.0.1:3000/api",
            "https://[::1]:1",
            "https://[::ffff:127.0.0.1]",
        ] {
            assert!(!is_elsewhere(here), "{here}");
        }
        for elsewhere in [
            "https://chat.example",
            "https://localhost.example",
            "https://notlocalhost",
            "https://10.0.0.1",
            "https://[2001:db8::1]",
            "nonsense",
        ] {
            assert!(is_elsewhere(elsewhere), "{elsewhere}");
        }
    }
}
