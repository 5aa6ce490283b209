//! One typed struct from defaults, file, environment and flags, in that order (F14, F19, F30, SAFE-01).
//!
//! Every value passes through one table of [`setting::SETTINGS`]: a key that is not in it is refused, a
//! value that cannot be read is refused, and all findings are listed together.

mod check;
mod edge;
mod finding;
mod folder;
mod keys;
mod layers;
mod oidc;
mod reach;
mod secret;
mod setting;
mod strength;
mod trusted;
mod value;

pub(crate) use goldenpath_core::auth::Environment;
use goldenpath_core::edge::EdgeLimits;
use goldenpath_core::limits::Limits;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::Secret;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub(crate) use finding::{Finding, Findings};
pub(crate) use keys::keys;
pub(crate) use layers::Layers;
pub(crate) use setting::describe;
pub(crate) use trusted::TrustedIssuer;

/// Which agents answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agents {
    /// Five agents whose tools answer at once, to measure the server and not the analytics.
    Bench,
    /// The cost analysis.
    Builtin,
    /// Agents that do what the question says, for tests; refused in production.
    Scripted,
}

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// A killed process (SQLite `synchronous = NORMAL` with a write-ahead log).
    Normal,
    /// A power cut as well (`synchronous = FULL`).
    Full,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// The oldest token that counts in production and staging: one that its maker gave no end worth the name is
/// as good as a password that nobody can change.
const TOKEN_AGE: Millis = Millis::from_secs(24 * 3600);

/// Everything that can be set.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// `ENVIRONMENT`.
    pub(crate) environment: Environment,
    /// `JWT_PRIVATE_KEY_FILE`: signs in place of `JWT_SECRET_KEY`.
    pub(crate) jwt_private_key_file: Option<PathBuf>,
    /// `JWT_PREVIOUS_KEYS`: secrets that still verify.
    pub(crate) jwt_previous_keys: Vec<Secret>,
    /// `JWT_PREVIOUS_KEY_FILES`: keys that still verify.
    pub(crate) jwt_previous_key_files: Vec<PathBuf>,
    /// `JWT_LEEWAY`.
    pub(crate) jwt_leeway: Millis,
    /// `JWT_MAX_AGE`; unset: a day in production and staging, not checked elsewhere.
    pub(crate) jwt_max_age: Option<Millis>,
    /// `JWT_OLDER_ISSUER`.
    pub(crate) jwt_older_issuer: Option<String>,
    /// `JWT_TRUSTED_ISSUERS`.
    pub(crate) jwt_trusted_issuers: Vec<TrustedIssuer>,
    /// `OIDC_ISSUER`; unset: no log-in through another provider.
    pub(crate) oidc_issuer: Option<String>,
    /// `OIDC_CLIENT_ID`.
    pub(crate) oidc_client_id: Option<String>,
    /// `OIDC_CLIENT_SECRET`.
    pub(crate) oidc_client_secret: Option<Secret>,
    /// `OIDC_REDIRECT_URL`.
    pub(crate) oidc_redirect_url: Option<String>,
    /// `OIDC_KEYS_PAUSE`: from one fetch of a provider's keys to the next.
    pub(crate) oidc_keys_pause: Millis,
    /// `OIDC_NAME`: what the page calls the provider.
    pub(crate) oidc_name: Option<String>,
    /// `DEMO_MODE`; unset: on outside production.
    pub(crate) demo_mode: Option<bool>,
    /// `JWT_SECRET_KEY`; after [`Config::load`] there unless a private key signs.
    pub(crate) jwt_secret_key: Option<Secret>,
    /// `JWT_ISSUER`.
    pub(crate) jwt_issuer: String,
    /// `JWT_AUDIENCE`; empty: not checked.
    pub(crate) jwt_audience: String,
    /// `GOLDENPATH_TOKEN_LIFETIME`.
    pub(crate) token_lifetime: Millis,
    /// `GOLDENPATH_SESSION_LIFETIME`.
    pub(crate) session_lifetime: Millis,
    /// `E2E_OAUTH_SIMULATION_KEY`.
    pub(crate) e2e_key: Option<Secret>,
    /// `DATABASE_URL`, as the folder of the files; unset: the data folder.
    pub(crate) database_url: Option<String>,
    /// What is worth a look, but no reason not to start.
    pub(crate) notes: Vec<Finding>,
    /// `REDIS_URL`.
    pub(crate) redis_url: Option<String>,
    /// `GOLDENPATH_LISTEN`.
    pub(crate) listen: SocketAddr,
    /// `PORT`; replaces the port of `GOLDENPATH_LISTEN`.
    pub(crate) port: Option<u16>,
    /// `CORS_ORIGINS`, exact origins; empty outside production: same host and loopback.
    pub(crate) origins: Vec<String>,
    /// `LOG_LEVEL`, a filter as tracing-subscriber reads it.
    pub(crate) log_level: String,
    /// `GOLDENPATH_LOG_FORMAT`.
    pub(crate) log_format: LogFormat,
    /// `GOLDENPATH_METRICS_LISTEN`; unset: nothing is counted.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// `GOLDENPATH_DATA`.
    pub(crate) data: PathBuf,
    /// `GOLDENPATH_AGENTS`.
    pub(crate) agents: Agents,
    /// `GOLDENPATH_WORKER_THREADS`; unset: one per core.
    pub(crate) worker_threads: Option<usize>,
    /// `GOLDENPATH_SHARDS`; unset: one per worker thread.
    pub(crate) shards: Option<usize>,
    /// `GOLDENPATH_DURABILITY`.
    pub(crate) durability: Durability,
    /// `GOLDENPATH_REGISTRATION`: whether strangers may make an account.
    pub(crate) registration: bool,
    /// `GOLDENPATH_MAX_CONNECTIONS`, over all users.
    pub(crate) max_connections: usize,
    /// `GOLDENPATH_HEADER_TIMEOUT`.
    pub(crate) header_timeout: Millis,
    /// `GOLDENPATH_BODY_TIMEOUT`: longest silence inside a request body.
    pub(crate) body_timeout: Millis,
    /// `GOLDENPATH_IMPORT_MAX_BYTES`.
    pub(crate) import_max_bytes: u64,
    /// `GOLDENPATH_PROXY_TIMEOUT`: the idle limit of whatever stands in front.
    pub(crate) proxy_timeout: Millis,
    /// `GOLDENPATH_MESSAGES_PER_MINUTE`; unset: the limit's default, unbounded for `--agents bench`.
    pub(crate) messages_per_minute: Option<u32>,
    /// `GOLDENPATH_MESSAGE_BURST`; likewise.
    pub(crate) message_burst: Option<u32>,
    /// The bounds of all machines.
    pub(crate) limits: Limits,
    /// `TLS_CERT_FILE`.
    pub(crate) tls_cert_file: Option<PathBuf>,
    /// `TLS_KEY_FILE`.
    pub(crate) tls_key_file: Option<PathBuf>,
    /// What was set of the edge.
    edge_settings: edge::EdgeSettings,
    /// The bounds of the edge; after [`Config::check`] complete.
    pub(crate) edge: EdgeLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            environment: Environment::Development,
            demo_mode: None,
            jwt_secret_key: None,
            jwt_private_key_file: None,
            jwt_previous_keys: Vec::new(),
            jwt_previous_key_files: Vec::new(),
            jwt_leeway: Millis::from_secs(10),
            jwt_max_age: None,
            jwt_older_issuer: None,
            jwt_trusted_issuers: Vec::new(),
            oidc_issuer: None,
            oidc_client_id: None,
            oidc_client_secret: None,
            oidc_redirect_url: None,
            oidc_keys_pause: Millis::from_secs(30),
            oidc_name: None,
            jwt_issuer: "goldenpath".into(),
            jwt_audience: "goldenpath".into(),
            token_lifetime: Millis::from_secs(900),
            session_lifetime: Millis::from_secs(30 * 24 * 3600),
            e2e_key: None,
            database_url: None,
            notes: Vec::new(),
            redis_url: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            port: None,
            origins: Vec::new(),
            log_level: "info".into(),
            log_format: LogFormat::Text,
            metrics_listen: None,
            data: PathBuf::from("data"),
            agents: Agents::Builtin,
            worker_threads: None,
            shards: None,
            durability: Durability::Normal,
            registration: true,
            max_connections: 20_000,
            header_timeout: Millis::from_secs(10),
            body_timeout: Millis::from_secs(15),
            import_max_bytes: 2 * 1024 * 1024 * 1024,
            proxy_timeout: Millis::from_secs(3600),
            messages_per_minute: None,
            message_burst: None,
            limits: Limits::default(),
            tls_cert_file: None,
            tls_key_file: None,
            edge_settings: edge::EdgeSettings::default(),
            edge: EdgeLimits::default(),
        }
    }
}

impl Config {
    /// Fills the struct from all layers, checks it as a whole, and makes a key outside production.
    ///
    /// # Errors
    /// All findings at once; none of them shows a secret.
    pub(crate) fn load(layers: &Layers) -> Result<Self, Findings> {
        let mut config = Self::check(layers)?;
        if config.jwt_secret_key.is_none() && config.jwt_private_key_file.is_none() {
            let made = secret::stored_or_made(&config.data);
            config.jwt_secret_key = Some(made.map_err(Findings::of)?);
        }
        Ok(config)
    }

    /// The same without making or reading a key: nothing is written.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn check(layers: &Layers) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let mut config = Self::default();
        layers.apply(&mut config, &mut findings);
        if findings.names("ENVIRONMENT") {
            // Nobody knows which it is: judged as the one with the most to lose.
            config.environment = Environment::Production;
        }
        config.settle();
        if !layers.sets("ENVIRONMENT") {
            reach::unnamed(&config, &mut findings);
        }
        check::check(&config, &mut findings);
        config.notes = layers.notes().chain(check::notes(&config)).collect();
        if findings.is_empty() { Ok(config) } else { Err(findings) }
    }

    /// What depends on other settings takes its value.
    fn settle(&mut self) {
        if let Some(port) = self.port {
            self.listen.set_port(port);
        }
        // A socket lives on as long after its token's end as a request would be accepted (F07).
        self.limits.token_grace = self.jwt_leeway;
        let bench = self.agents == Agents::Bench;
        let unbounded = |given: Option<u32>, usual: u32| match given {
            Some(given) => given,
            None if bench => 100_000_000,
            None => usual,
        };
        self.edge = self.edge_settings.settle(bench);
        //= specs/auth.md#auth-92
        //# In production and staging a token MUST NOT be accepted when it was made more than a day ago or does not
        //# say when, unless the operator set another age.
        let runs_for_others =
            matches!(self.environment, Environment::Production | Environment::Staging);
        if runs_for_others && self.jwt_max_age.is_none() {
            self.jwt_max_age = Some(TOKEN_AGE.max(self.token_lifetime));
        }
        self.limits.messages_per_minute =
            unbounded(self.messages_per_minute, self.limits.messages_per_minute);
        self.limits.message_burst = unbounded(self.message_burst, self.limits.message_burst);
    }

    /// Whether visitors get in without an account.
    pub(crate) fn demo(&self) -> bool {
        self.demo_mode.unwrap_or(!self.environment.is_production())
    }

    /// The files of the certificate and its key, when TLS is spoken.
    pub(crate) fn tls(&self) -> Option<(&Path, &Path)> {
        Some((self.tls_cert_file.as_deref()?, self.tls_key_file.as_deref()?))
    }

    /// The folder of the store's files.
    pub(crate) fn store_folder(&self) -> PathBuf {
        let named = self.database_url.as_deref().and_then(|url| url.strip_prefix("sqlite:"));
        named.map_or_else(
            || self.data.clone(),
            |path| PathBuf::from(path.strip_prefix("//").unwrap_or(path)),
        )
    }

    /// What a reader of the log wants to know first.
    pub(crate) fn in_words(&self) -> String {
        let mode = if self.demo() { "demo mode" } else { "log-in required" };
        let agents = match self.agents {
            Agents::Bench => "bench agents",
            Agents::Builtin => "built-in agents",
            Agents::Scripted => "scripted agents",
        };
        format!("{}, {mode}, {agents}, data in {}", self.environment.as_str(), self.data.display())
    }

    /// Worker threads of the event loop.
    pub(crate) fn threads(&self) -> usize {
        self.worker_threads.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        })
    }
}
