//! The table of settings: the one place where a name, its meaning and its reader meet.

use super::{Agents, Config, Durability, Environment, LogFormat, trusted, value};
use core::fmt::Write as _;
use goldenpath_core::edge::ForwardedBy;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::Secret;
use std::path::PathBuf;

/// One setting.
pub(super) struct Setting {
    /// In the environment; in the file the same in lower case.
    pub(super) name: &'static str,
    /// What it is for, its unit and its default.
    pub(super) help: &'static str,
    /// Whether its value must never be shown.
    pub(super) secret: bool,
    /// Reads the text into the struct, or says what is wrong with it.
    pub(super) read: fn(&mut Config, &str) -> Result<(), String>,
}

/// The setting with a name as in the environment, or as in the file.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.name.eq_ignore_ascii_case(name))
}

/// All settings as a text for `goldenpath check --list`.
pub(crate) fn describe() -> String {
    let mut text = String::new();
    for setting in SETTINGS {
        let _ = writeln!(text, "{}\n    {}", setting.name, setting.help);
    }
    text
}

macro_rules! settings {
    ($($name:literal $($secret:ident)?: $help:literal => $read:expr;)*) => {
        /// Every setting there is, by name.
        pub(super) const SETTINGS: &[Setting] = &[$(Setting {
            name: $name,
            help: $help,
            secret: settings!(@secret $($secret)?),
            read: $read,
        },)*];
    };
    (@secret secret) => { true };
    (@secret) => { false };
}

settings! {
    "CORS_ORIGINS": "Origins whose pages may connect, separated by commas. Default: none in production, where it is required; elsewhere the server's own host and loopback."
        => |c, v| { c.origins = value::origins(v)?; Ok(()) };
    "DATABASE_URL": "The folder of the store's files, sqlite://FOLDER. Default: the data folder."
        => |c, v| { c.database_url = Some(value::filled(v)?); Ok(()) };
    "DEMO_MODE": "Whether visitors get in without an account. Default: on outside production; refused in production."
        => |c, v| { c.demo_mode = Some(value::switch(v)?); Ok(()) };
    "E2E_OAUTH_SIMULATION_KEY" secret: "Lets a test suite obtain tokens. Default: none; refused in production."
        => |c, v| { c.e2e_key = Some(Secret(value::filled(v)?)); Ok(()) };
    "ENVIRONMENT": "development, test, staging or production; to be said where others can reach the server: GOLDENPATH_LISTEN is not loopback, or TRUSTED_PROXIES, CORS_ORIGINS (https) or OIDC_REDIRECT_URL names more than this machine. Default: development."
        => |c, v| { c.environment = environment(v)?; Ok(()) };
    "GOLDENPATH_AGENTS": "builtin, bench (agents whose tools answer at once; no rate limit) or scripted (do what the question says; not in production). Default: builtin."
        => |c, v| { c.agents = agents(v)?; Ok(()) };
    "GOLDENPATH_AGENT_TIMEOUT": "Longest work of one agent, in seconds. Default: 30."
        => |c, v| span(v, &mut c.limits.agent_timeout);
    "GOLDENPATH_ATTEMPTS_PER_MINUTE": "Upgrades one address may try; half of them at once. Default: 600; unbounded with bench agents."
        => |c, v| optional_count(v, &mut c.edge_settings.attempts);
    "GOLDENPATH_AUTH_TIMEOUT": "From the upgrade to a valid credential, in seconds. Default: 10."
        => |c, v| span(v, &mut c.limits.auth_timeout);
    "GOLDENPATH_BODY_BYTES_PER_SECOND": "Bytes a second that earn a file its time; slower ones are cut when GOLDENPATH_BODY_TIMEOUT is used up. Default: 8192; unbounded with bench agents."
        => |c, v| optional_count(v, &mut c.edge_settings.body_bytes_per_second);
    "GOLDENPATH_BODY_TIMEOUT": "Longest time for a JSON body, and longest silence inside a file, in seconds. Default: 15."
        => |c, v| span(v, &mut c.body_timeout);
    "GOLDENPATH_CANCEL_GRACE": "From a cancel to the end of its run at the latest, in seconds. Default: 2."
        => |c, v| span(v, &mut c.limits.cancel_grace);
    "GOLDENPATH_CONNECTIONS_PER_ADDRESS": "Open sockets of one address, and as many open HTTP connections, behind a trusted proxy requests under way. Default: 256; unbounded with bench agents."
        => |c, v| optional_count(v, &mut c.edge_settings.connections_per_address);
    "GOLDENPATH_CONNECTIONS_PER_USER": "Connections of one user; the oldest is closed beyond it. Default: 16."
        => |c, v| count(v, 1, 100_000, &mut c.limits.connections_per_user);
    "GOLDENPATH_DATA": "The data folder. Default: data."
        => |c, v| { c.data = PathBuf::from(value::filled(v)?); Ok(()) };
    "GOLDENPATH_DRAIN_DEADLINE": "From SIGTERM to the last close, in seconds. Default: 8."
        => |c, v| span(v, &mut c.limits.drain_deadline);
    "GOLDENPATH_DRAIN_JITTER": "Over how long clients are told to spread their return when the server drains, in seconds. Default: 5."
        => |c, v| span(v, &mut c.limits.drain_jitter);
    "GOLDENPATH_DURABILITY": "normal (survives a killed process) or full (a power cut as well). Default: normal."
        => |c, v| { c.durability = durability(v)?; Ok(()) };
    "GOLDENPATH_HEADER_TIMEOUT": "Longest time for a request's head, in seconds. Default: 10."
        => |c, v| span(v, &mut c.header_timeout);
    "GOLDENPATH_IMPORTS_PER_USER": "Files one user may send at once. Default: 2; unbounded with bench agents."
        => |c, v| optional_count(v, &mut c.edge_settings.imports_per_user);
    "GOLDENPATH_IMPORT_MAX_BYTES": "Largest import over HTTP, in bytes. Default: 2147483648."
        => |c, v| { c.import_max_bytes = value::whole(v, 1, u64::MAX)?; Ok(()) };
    "GOLDENPATH_LISTEN": "Address and port. Default: 127.0.0.1:8000."
        => |c, v| { c.listen = v.parse().map_err(|_| "is no address like 127.0.0.1:8000".to_owned())?; Ok(()) };
    "GOLDENPATH_LOG_FORMAT": "text or json. Default: text."
        => |c, v| { c.log_format = log_format(v)?; Ok(()) };
    "GOLDENPATH_MAX_CONNECTIONS": "Open sockets of all users together. Default: 20000."
        => |c, v| count(v, 1, 1_000_000, &mut c.max_connections);
    "GOLDENPATH_MAX_MESSAGE_BYTES": "Longest client message, in bytes. Default: 8192."
        => |c, v| count(v, 256, 65_536, &mut c.limits.message_bytes);
    "GOLDENPATH_MAX_UNAUTHENTICATED": "Open sockets that have not said who they are, of all addresses together. Default: 2000; unbounded with bench agents."
        => |c, v| optional_count(v, &mut c.edge_settings.unauthenticated);
    "GOLDENPATH_MESSAGES_PER_MINUTE": "Sustained messages of one user. Default: 60; unbounded with bench agents."
        => |c, v| optional_count(v, &mut c.messages_per_minute);
    "GOLDENPATH_MESSAGE_BURST": "Messages of one user that may come at once. Default: 30; unbounded with bench agents."
        => |c, v| optional_count(v, &mut c.message_burst);
    "GOLDENPATH_METRICS_LISTEN": "Address and port where /metrics is read without a token; loopback or of a private network. Default: none, and nothing is counted."
        => |c, v| { c.metrics_listen = Some(v.parse().map_err(|_| "is no address like 127.0.0.1:9100".to_owned())?); Ok(()) };
    "GOLDENPATH_PROXY_TIMEOUT": "Idle limit of whatever stands in front of the server, in seconds. Default: 3600."
        => |c, v| span(v, &mut c.proxy_timeout);
    "GOLDENPATH_REGISTRATION": "Whether strangers may make an account. Default: on."
        => |c, v| { c.registration = value::switch(v)?; Ok(()) };
    "GOLDENPATH_REQUESTS_PER_MINUTE": "HTTP requests of one address, and of one user; a sixth of them at once. Default: 6000; unbounded with bench agents."
        => |c, v| optional_count(v, &mut c.edge_settings.requests);
    "GOLDENPATH_RUN_TIMEOUT": "Longest run, in seconds. Default: 60."
        => |c, v| span(v, &mut c.limits.run_timeout);
    "GOLDENPATH_SESSION_LIFETIME": "How long a log-in goes on at most, however often its tokens are refreshed, in seconds. Default: 2592000."
        => |c, v| span(v, &mut c.session_lifetime);
    "GOLDENPATH_SHARDS": "Tasks that share the users among them. Default: one per worker thread."
        => |c, v| { c.shards = Some(bounded(v, 1, 256)?); Ok(()) };
    "GOLDENPATH_TOKEN_LIFETIME": "How long an access token lives, in seconds. Default: 900."
        => |c, v| span(v, &mut c.token_lifetime);
    "GOLDENPATH_TOOL_TIMEOUT": "Longest call of one tool, in seconds. Default: 15."
        => |c, v| span(v, &mut c.limits.tool_timeout);
    "GOLDENPATH_UPGRADES_PER_SECOND": "Newcomers let in, over all addresses; the others get a time to come back. Default: 500; unbounded with bench agents."
        => |c, v| optional_count(v, &mut c.edge_settings.upgrades_per_second);
    "GOLDENPATH_WORKER_THREADS": "Threads of the event loop. Default: one per core."
        => |c, v| { c.worker_threads = Some(bounded(v, 1, 1024)?); Ok(()) };
    "JWT_AUDIENCE": "The audience tokens must name; empty outside production: not checked. Default: goldenpath."
        => |c, v| { c.jwt_audience = v.trim().to_owned(); Ok(()) };
    "JWT_ISSUER": "The issuer tokens must name. Default: goldenpath."
        => |c, v| { c.jwt_issuer = value::filled(v)?; Ok(()) };
    "JWT_LEEWAY": "How far the clocks of those who make tokens may differ, and how long a socket outlives its token, in seconds. Default: 10."
        => |c, v| span(v, &mut c.jwt_leeway);
    "JWT_MAX_AGE": "The oldest token accepted, by its iat, in seconds, whatever its exp says; where it is checked, a token says when it was made. Default: 86400 in production and staging (GOLDENPATH_TOKEN_LIFETIME if that is longer), elsewhere not checked."
        => |c, v| { let mut age = Millis::ZERO; span(v, &mut age)?; c.jwt_max_age = Some(age); Ok(()) };
    "JWT_OLDER_ISSUER": "Another issuer whose tokens are accepted, even without an audience, like netra-auth-service. Default: none."
        => |c, v| { c.jwt_older_issuer = Some(value::filled(v)?); Ok(()) };
    "JWT_PREVIOUS_KEYS" secret: "Secrets that signed before and still verify, separated by commas. Default: none."
        => |c, v| { c.jwt_previous_keys = secrets(v); Ok(()) };
    "JWT_PREVIOUS_KEY_FILES": "PEM files of keys, private or public, that signed before and still verify, separated by commas. Default: none."
        => |c, v| { c.jwt_previous_key_files = files(v); Ok(()) };
    "JWT_PRIVATE_KEY_FILE": "A PEM file of the private key that signs in place of JWT_SECRET_KEY: RSA (RS256), P-256 (ES256) or Ed25519 (EdDSA). Default: none."
        => |c, v| { c.jwt_private_key_file = Some(PathBuf::from(value::filled(v)?)); Ok(()) };
    "JWT_SECRET_KEY" secret: "Signs access tokens, at least 32 bytes. Required in production; elsewhere made once and kept in the data folder."
        => |c, v| { c.jwt_secret_key = Some(Secret(value::filled(v)?)); Ok(()) };
    "JWT_TRUSTED_ISSUERS": "Other issuers whose access tokens are accepted, each with the audience they must name: https://login.example https://chat.example, and more behind commas. Each is an OpenID Connect provider; its keys are found by discovery. Default: none."
        => |c, v| { c.jwt_trusted_issuers = trusted::read(v)?; Ok(()) };
    "LOG_LEVEL": "error, warn, info, debug, trace, or a filter like info,goldenpath_runtime=debug. Default: info."
        => |c, v| { c.log_level = log_level(v)?; Ok(()) };
    "OIDC_CLIENT_ID": "What this server is called at the OpenID Connect provider. Required with OIDC_ISSUER."
        => |c, v| { c.oidc_client_id = Some(value::filled(v)?); Ok(()) };
    "OIDC_CLIENT_SECRET" secret: "Proves this server to the OpenID Connect provider. Required with OIDC_ISSUER."
        => |c, v| { c.oidc_client_secret = Some(Secret(value::filled(v)?)); Ok(()) };
    "OIDC_ISSUER": "The OpenID Connect provider through which users may log in, like https://login.example. Default: none."
        => |c, v| { c.oidc_issuer = Some(value::filled(v)?); Ok(()) };
    "OIDC_KEYS_PAUSE": "From one fetch of the OpenID Connect provider's keys to the next at least, in seconds; also those of JWT_TRUSTED_ISSUERS. Default: 30."
        => |c, v| span(v, &mut c.oidc_keys_pause);
    "OIDC_NAME": "What the page calls the OpenID Connect provider. Default: the host of OIDC_ISSUER."
        => |c, v| { c.oidc_name = Some(value::filled(v)?); Ok(()) };
    "OIDC_REDIRECT_URL": "Where the OpenID Connect provider sends users back to: this server's address as browsers see it, and /api/auth/oidc/callback. Required with OIDC_ISSUER."
        => |c, v| { c.oidc_redirect_url = Some(value::filled(v)?); Ok(()) };
    "PORT": "Replaces the port of GOLDENPATH_LISTEN. Default: none."
        => |c, v| { c.port = Some(v.parse().map_err(|_| "is no port".to_owned())?); Ok(()) };
    "REDIS_URL": "Refused by this version, which runs on one node. Default: none."
        => |c, v| { c.redis_url = Some(value::filled(v)?); Ok(()) };
    "TLS_CERT_FILE": "PEM file of the certificate and those above it; with it the port speaks TLS only. Read again at SIGHUP. Default: none."
        => |c, v| { c.tls_cert_file = Some(PathBuf::from(value::filled(v)?)); Ok(()) };
    "TLS_KEY_FILE": "PEM file of the certificate's private key. Default: none."
        => |c, v| { c.tls_key_file = Some(PathBuf::from(value::filled(v)?)); Ok(()) };
    "TRUSTED_PROXIES": "Addresses and networks of the proxies whose word about the client's address counts, like 10.0.0.0/8, separated by commas. Default: none."
        => |c, v| { c.edge_settings.trusted_proxies = value::networks(v)?; Ok(()) };
    "TRUSTED_PROXY_HEADER": "The header they write it in: x-forwarded-for or forwarded; the other is never read. Default: x-forwarded-for."
        => |c, v| { c.edge_settings.forwarded_by = Some(forwarded_by(v)?); Ok(()) };
    "WEBSOCKET_CONNECTION_TIMEOUT": "Age at which a connection is recycled, in seconds. Default: 3300."
        => |c, v| span(v, &mut c.limits.connection_max_age);
    "WEBSOCKET_HEARTBEAT_INTERVAL": "How often the server pings, in seconds. Default: 25."
        => |c, v| span(v, &mut c.limits.heartbeat_interval);
    "WEBSOCKET_HEARTBEAT_TIMEOUT": "Silence that ends a connection, in seconds. Default: 75."
        => |c, v| span(v, &mut c.limits.heartbeat_timeout);
}

fn span(text: &str, into: &mut Millis) -> Result<(), String> {
    let span = value::span(text)?;
    if span == Millis::ZERO {
        return Err("is zero".into());
    }
    *into = span;
    Ok(())
}

fn bounded(text: &str, least: u64, most: u64) -> Result<usize, String> {
    value::whole(text, least, most).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

fn count(text: &str, least: u64, most: u64, into: &mut usize) -> Result<(), String> {
    *into = bounded(text, least, most)?;
    Ok(())
}

fn optional_count(text: &str, into: &mut Option<u32>) -> Result<(), String> {
    *into = u32::try_from(value::whole(text, 1, 100_000_000)?).ok();
    Ok(())
}

fn secrets(text: &str) -> Vec<Secret> {
    listed(text).map(|one| Secret(one.to_owned())).collect()
}

fn files(text: &str) -> Vec<PathBuf> {
    listed(text).map(PathBuf::from).collect()
}

fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty())
}

fn forwarded_by(text: &str) -> Result<ForwardedBy, String> {
    match text.to_ascii_lowercase().as_str() {
        "forwarded" => Ok(ForwardedBy::Forwarded),
        "x-forwarded-for" => Ok(ForwardedBy::XForwardedFor),
        _ => Err("is not one of x-forwarded-for, forwarded".into()),
    }
}

fn environment(text: &str) -> Result<Environment, String> {
    match text.to_ascii_lowercase().as_str() {
        "development" => Ok(Environment::Development),
        "test" => Ok(Environment::Test),
        "staging" => Ok(Environment::Staging),
        "production" => Ok(Environment::Production),
        _ => Err("is not one of development, test, staging, production".into()),
    }
}

fn agents(text: &str) -> Result<Agents, String> {
    match text {
        "builtin" => Ok(Agents::Builtin),
        "bench" => Ok(Agents::Bench),
        "scripted" => Ok(Agents::Scripted),
        _ => Err("is not one of builtin, bench, scripted".into()),
    }
}

fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "normal" => Ok(Durability::Normal),
        "full" => Ok(Durability::Full),
        _ => Err("is not one of normal, full".into()),
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err("is not one of text, json".into()),
    }
}

fn log_level(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    let level = if lower == "warning" { "warn".to_owned() } else { lower };
    match level.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) if !level.trim().is_empty() => Ok(level),
        _ => Err("is no log level or filter".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_unique_and_in_alphabetical_order() {
        assert!(SETTINGS.windows(2).all(|w| w[0].name < w[1].name));
    }

    #[test]
    fn a_log_level_of_no_meaning_is_refused() {
        assert_eq!(log_level("WARNING"), Ok("warn".into()));
        assert!(log_level("info,goldenpath_runtime=debug").is_ok());
        assert!(log_level("goldenpath=loud").is_err());
    }

    #[test]
    fn the_list_of_settings_is_what_the_words_say() {
        insta::assert_snapshot!(describe());
    }
}
