//! What can only be judged on the whole: production's rules (SAFE-01) and the chain of timeouts (F30).

use super::{Agents, Config, Finding, Findings, folder, keys, oidc, reach, strength, trusted};
use goldenpath_core::edge::Network;
use goldenpath_core::time::Millis;
use goldenpath_runtime::identity::LONGEST_LEEWAY;
use goldenpath_warp::Certificate;
use std::net::IpAddr;

/// Longest life of an access token in production: it cannot be taken back where others check it.
const TOKEN_LIFETIME: Millis = Millis::from_secs(24 * 3600);
/// Longest wait for the last close: whoever ends processes kills those that take longer.
const DRAIN: Millis = Millis::from_secs(600);
/// Longest wait for a request's head: each that is slow holds a place.
const HEADER: Millis = Millis::from_secs(60);

/// Adds what is wrong with the configuration as a whole.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    if config.environment.is_production() {
        production(config, findings);
    }
    strength(config, findings);
    keys::check(config, findings);
    oidc::check(config, findings);
    tokens(config, findings);
    trusted::check(config, findings);
    metrics(config, findings);
    stores(config, findings);
    tls(config, findings);
    timeouts(config, findings);
}

/// Every key that somebody could guess. That of tests stops a start in production, however good it is.
//= specs/safety.md#safe-97
//# A key that can be guessed MUST stop the start in production, in staging and of every server that listens
//# beyond loopback.
fn strength(config: &Config, findings: &mut Findings) {
    let must_be_drawn = reach::is_for_others(config);
    let signs = config.jwt_secret_key.iter().map(|key| ("JWT_SECRET_KEY", key));
    let signed = config.jwt_previous_keys.iter().map(|key| ("JWT_PREVIOUS_KEYS", key));
    for (name, key) in signs.chain(signed) {
        strength::check(name, key, strength::SIGNING, must_be_drawn, findings);
    }
    if let Some(key) = config.e2e_key.as_ref().filter(|_| !config.environment.is_production()) {
        let name = "E2E_OAUTH_SIMULATION_KEY";
        strength::check(name, key, strength::PRESENTED, must_be_drawn, findings);
    }
}

/// What is worth a look, but no reason not to start.
pub(super) fn notes(config: &Config) -> Vec<Finding> {
    let mut notes = Vec::new();
    let plain = config.tls().is_none() && config.edge.trusted_proxies.is_empty();
    if config.environment.is_production() && plain {
        notes.push(Finding::new(
            "TLS_CERT_FILE",
            "is not set, and no proxy is trusted",
            "Speak TLS here; or, behind a proxy that does, set TRUSTED_PROXIES, without which all its \
             users are one address for every limit",
        ));
    }
    notes
}

//= specs/safety.md#safe-01
//# In production demo mode, the E2E key, an empty origin list or a weak key MUST stop the start.
fn production(config: &Config, findings: &mut Findings) {
    if config.demo_mode == Some(true) {
        findings.push(Finding::new(
            "DEMO_MODE",
            "is on in production",
            "Switch it off: demo mode lets everyone in",
        ));
    }
    unprotected(config, findings);
    if config.e2e_key.is_some() {
        findings.push(Finding::new(
            "E2E_OAUTH_SIMULATION_KEY",
            "is set in production",
            "Remove it: whoever knows it can be anyone",
        ));
    }
    if config.origins.is_empty() {
        findings.push(Finding::new(
            "CORS_ORIGINS",
            "is empty in production",
            "List the origins of the pages that may connect, like https://chat.example",
        ));
    }
    if config.origins.iter().any(|origin| origin == "*") {
        findings.push(Finding::new(
            "CORS_ORIGINS",
            "allows every origin in production",
            "List the origins of the pages that may connect, like https://chat.example",
        ));
    }
    //= specs/safety.md#safe-02
    //# A configuration without a key or without origins MUST NOT start in production.
    if config.jwt_secret_key.is_none() && config.jwt_private_key_file.is_none() {
        findings.push(Finding::new(
            "JWT_SECRET_KEY",
            "is missing in production",
            "Set at least 32 random bytes, for example from `openssl rand -base64 48`",
        ));
    }
    if config.jwt_audience.is_empty() {
        findings.push(Finding::new(
            "JWT_AUDIENCE",
            "is empty in production",
            "Name the audience that tokens carry in `aud`",
        ));
    }
}

/// What is for tests and measurements.
//= specs/safety.md#safe-49
//# In production a setting that takes a protection away MUST stop the start.
fn unprotected(config: &Config, findings: &mut Findings) {
    let agents = match config.agents {
        Agents::Builtin => None,
        Agents::Bench => Some("is bench in production, which measures without limits"),
        Agents::Scripted => Some("is scripted in production, where a question is a question"),
    };
    if let Some(problem) = agents {
        findings.push(Finding::new("GOLDENPATH_AGENTS", problem, "Choose builtin"));
    }
    if config.edge.trusted_proxies.iter().any(Network::is_broad) {
        findings.push(Finding::new(
            "TRUSTED_PROXIES",
            "trusts a large part of all addresses in production",
            "List the addresses of your proxies: who is trusted may say to be anybody",
        ));
    }
    for origin in config.origins.iter().filter(|origin| origin.starts_with("http://")) {
        findings.push(Finding::new(
            "CORS_ORIGINS",
            format!("holds {origin}, a page without TLS, in production"),
            "Serve the page over https: whoever is on its way can change what it does",
        ));
    }
}

/// What a token may be, and for how long.
fn tokens(config: &Config, findings: &mut Findings) {
    let mut found = |name: &str, problem: String, remedy: &str| {
        findings.push(Finding::new(name, problem, remedy));
    };
    if config.jwt_leeway > LONGEST_LEEWAY {
        found(
            "JWT_LEEWAY",
            format!(
                "({}) is longer than a token that was logged out is remembered",
                config.jwt_leeway
            ),
            "Set 120 seconds or fewer, and the clocks right",
        );
    }
    if config.jwt_older_issuer.as_ref() == Some(&config.jwt_issuer) {
        found(
            "JWT_OLDER_ISSUER",
            "is JWT_ISSUER: its tokens would need no audience".into(),
            "Name the replaced system's issuer, or remove it",
        );
    }
    if let Some(age) = config.jwt_max_age
        && age < config.token_lifetime
    {
        found(
            "JWT_MAX_AGE",
            format!(
                "({age}) is shorter than GOLDENPATH_TOKEN_LIFETIME ({})",
                config.token_lifetime
            ),
            "Set it longer: our own tokens are refused before they expire",
        );
    }
    if config.session_lifetime < config.token_lifetime {
        found(
            "GOLDENPATH_SESSION_LIFETIME",
            format!(
                "({}) is shorter than GOLDENPATH_TOKEN_LIFETIME ({})",
                config.session_lifetime, config.token_lifetime
            ),
            "Set it longer: a token would outlive its log-in",
        );
    }
    if config.environment.is_production() && config.token_lifetime > TOKEN_LIFETIME {
        found(
            "GOLDENPATH_TOKEN_LIFETIME",
            format!("({}) is longer than a day in production", config.token_lifetime),
            "Set minutes: log-ins are renewed by refresh tokens",
        );
    }
}

/// No token is asked for on that address, so nobody outside may reach it: this machine's own addresses
/// and private networks will do, all addresses at once will not.
//= specs/safety.md#safe-52
//# Metrics MUST be served on an address of their own that strangers do not reach, or not at all.
fn metrics(config: &Config, findings: &mut Findings) {
    let Some(address) = config.metrics_listen else { return };
    let is_inside = match address.ip().to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    if !is_inside {
        findings.push(Finding::new(
            "GOLDENPATH_METRICS_LISTEN",
            format!("({}) can be reached from outside, without a token", address.ip()),
            "Name an address of this machine itself or of its private network, like 127.0.0.1:9100",
        ));
    }
    if address == config.listen {
        findings.push(Finding::new(
            "GOLDENPATH_METRICS_LISTEN",
            "is the address of the server itself",
            "Choose another port",
        ));
    }
}

fn stores(config: &Config, findings: &mut Findings) {
    if let Some(url) = &config.database_url
        && !url.starts_with("sqlite:")
    {
        let scheme = url.split(':').next().unwrap_or_default();
        findings.push(Finding::new(
            "DATABASE_URL",
            format!("has the scheme {scheme:?}, which this version does not store in"),
            "Use sqlite://FOLDER, or remove it for the data folder",
        ));
    }
    if config.database_url.as_ref().is_none_or(|url| url.starts_with("sqlite:")) {
        folder::check(config, findings);
    }
    if config.redis_url.is_some() {
        findings.push(Finding::new(
            "REDIS_URL",
            "is set, but this version runs on one node and uses no Redis",
            "Remove it",
        ));
    }
}

fn tls(config: &Config, findings: &mut Findings) {
    let remedy = "Name the PEM files of a certificate and of its own key, or neither";
    match (&config.tls_cert_file, &config.tls_key_file) {
        (None, None) => {}
        (Some(_), None) => {
            findings.push(Finding::new("TLS_KEY_FILE", "is missing beside TLS_CERT_FILE", remedy));
        }
        (None, Some(_)) => {
            findings.push(Finding::new("TLS_CERT_FILE", "is missing beside TLS_KEY_FILE", remedy));
        }
        (Some(chain), Some(key)) => {
            if let Err(problem) = Certificate::read(chain, key) {
                findings.push(Finding::new("TLS_CERT_FILE", problem, remedy));
            }
        }
    }
}

/// Each must be shorter than the next: what is inside ends before what is around it.
//= specs/safety.md#safe-03
//# Timeouts that do not fit into each other MUST stop the start.
fn timeouts(config: &Config, findings: &mut Findings) {
    let limits = &config.limits;
    let run_and_grace = Millis(limits.run_timeout.0.saturating_add(limits.cancel_grace.0));
    let chains: [&[(&str, Millis, bool)]; 6] = [
        // (name, span, whether it may equal the one before)
        &[
            ("GOLDENPATH_TOOL_TIMEOUT", limits.tool_timeout, true),
            ("GOLDENPATH_AGENT_TIMEOUT", limits.agent_timeout, true),
            ("GOLDENPATH_RUN_TIMEOUT", limits.run_timeout, true),
            ("WEBSOCKET_CONNECTION_TIMEOUT", limits.connection_max_age, false),
        ],
        &[
            ("WEBSOCKET_HEARTBEAT_INTERVAL", limits.heartbeat_interval, true),
            ("WEBSOCKET_HEARTBEAT_TIMEOUT", limits.heartbeat_timeout, false),
            ("GOLDENPATH_PROXY_TIMEOUT", config.proxy_timeout, false),
        ],
        &[
            ("GOLDENPATH_RUN_TIMEOUT plus GOLDENPATH_CANCEL_GRACE", run_and_grace, true),
            ("WEBSOCKET_CONNECTION_TIMEOUT", limits.connection_max_age, true),
        ],
        &[
            ("GOLDENPATH_AUTH_TIMEOUT", limits.auth_timeout, true),
            ("WEBSOCKET_HEARTBEAT_TIMEOUT", limits.heartbeat_timeout, true),
        ],
        &[
            ("GOLDENPATH_HEADER_TIMEOUT", config.header_timeout, true),
            ("GOLDENPATH_PROXY_TIMEOUT", config.proxy_timeout, false),
        ],
        &[
            ("GOLDENPATH_BODY_TIMEOUT", config.body_timeout, true),
            ("GOLDENPATH_PROXY_TIMEOUT", config.proxy_timeout, false),
        ],
    ];
    for chain in chains {
        for pair in chain.windows(2) {
            let ((inner, short, _), (outer, long, may_equal)) = (pair[0], pair[1]);
            if short > long || (short == long && !may_equal) {
                findings.push(Finding::new(
                    outer,
                    format!("({long}) is not longer than {inner} ({short})"),
                    "Set them so that what is inside ends before what is around it",
                ));
            }
        }
    }
    bounds(config, findings);
}

/// Bounds that make each other meaningless.
fn bounds(config: &Config, findings: &mut Findings) {
    let limits = &config.limits;
    if limits.connections_per_user > config.max_connections {
        findings.push(Finding::new(
            "GOLDENPATH_CONNECTIONS_PER_USER",
            format!(
                "({}) is above GOLDENPATH_MAX_CONNECTIONS ({})",
                limits.connections_per_user, config.max_connections
            ),
            "Set it lower: one user could keep everybody else out",
        ));
    }
    if let Some(given) = config.edge_settings.connections_per_address
        && usize::try_from(given).unwrap_or(usize::MAX) > config.max_connections
    {
        findings.push(Finding::new(
            "GOLDENPATH_CONNECTIONS_PER_ADDRESS",
            format!("({given}) is above GOLDENPATH_MAX_CONNECTIONS ({})", config.max_connections),
            "Set it lower: one address could keep everybody else out",
        ));
    }
    if let Some(given) = config.edge_settings.unauthenticated
        && usize::try_from(given).unwrap_or(usize::MAX) > config.max_connections
    {
        findings.push(Finding::new(
            "GOLDENPATH_MAX_UNAUTHENTICATED",
            format!("({given}) is above GOLDENPATH_MAX_CONNECTIONS ({})", config.max_connections),
            "Set it lower: strangers could keep everybody else out",
        ));
    }
    for (name, span, longest) in [
        ("GOLDENPATH_DRAIN_DEADLINE", limits.drain_deadline, DRAIN),
        ("GOLDENPATH_HEADER_TIMEOUT", config.header_timeout, HEADER),
    ] {
        if span > longest {
            let problem = format!("({span}) is longer than {longest}");
            findings.push(Finding::new(name, problem, "Set it shorter"));
        }
    }
    if config.edge_settings.forwarded_by.is_some() && config.edge.trusted_proxies.is_empty() {
        findings.push(Finding::new(
            "TRUSTED_PROXY_HEADER",
            "is set, but no proxy is trusted",
            "Set TRUSTED_PROXIES to the addresses of your proxies, or remove it",
        ));
    }
    if limits.message_bytes > limits.frame_bytes {
        findings.push(Finding::new(
            "GOLDENPATH_MAX_MESSAGE_BYTES",
            format!("is above the limit of a frame, {} bytes", limits.frame_bytes),
            "Set it lower",
        ));
    }
}
