//! From a configuration to a running node: which part gets which.

mod identity;
pub(crate) mod metrics;
mod provider;
mod team;
mod usage;

use crate::commands::Failed;
use crate::config::{self, Agents, Config, Durability, Findings};
use goldenpath_agents::cost::prices::PriceTable;
use goldenpath_agents::cost::result_cache::ResultCache;
use goldenpath_agents::demo_data::Demonstration;
use goldenpath_core::auth::{Policy, RefreshPolicy};
use goldenpath_core::handshake::Origins;
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_jsonwebtoken::Tokens;
use goldenpath_runtime::Clock;
use goldenpath_runtime::agent::AgentRuns;
use goldenpath_runtime::connection::Connections;
use goldenpath_runtime::identity::{Audit, Identities, Passwords, Sources};
use goldenpath_runtime::memory::MemoryTickets;
use goldenpath_runtime::shard::{Shards, Surroundings};
use goldenpath_runtime::usage::UsageStore;
use goldenpath_sqlx::usage::SqliteUsage;
use goldenpath_sqlx::{Database, Durability as Survives, Options};
use goldenpath_warp::{About, App, Condition, Door, HttpLimits, Parts};
use std::sync::Arc;

/// A node, ready to serve.
pub(crate) struct Node {
    /// The HTTP side.
    pub(crate) app: App,
    /// Starting, serving, draining.
    pub(crate) condition: Condition,
    /// Sockets and hubs.
    pub(crate) connections: Connections,
    /// The files.
    pub(crate) database: Database,
    /// Who somebody is.
    pub(crate) identities: Identities,
    /// For whatever is left to be drawn.
    pub(crate) seed: Seed,
}

/// Opens the files and puts the parts together, on the current runtime.
pub(crate) async fn node(config: &Config) -> Result<Node, Failed> {
    let mut seed = seed()?;
    let clock = Clock::system();
    let limits: Arc<Limits> = Arc::new(config.limits.clone());
    let database = Database::open(database_options(config)).await?;
    let prices = Arc::new(PriceTable::bundled());
    let usage = usage_store(config, &database, &prices, clock);

    let team = Arc::new(team::of(config.agents, &usage, &prices, config.demo())?);
    let agents = team.agents().map(|(name, _)| name.to_string()).collect();
    let runs = AgentRuns::new(team, limits.clone(), clock, database.artifacts());
    let around = Surroundings {
        clock,
        limits: limits.clone(),
        runs: Arc::new(runs),
        store: database.store(),
    };
    let shards =
        Shards::start(config.shards.unwrap_or_else(|| config.threads()), &around, &mut seed);

    let tokens = tokens(config)?;
    let older: Vec<&str> = tokens.keys().older().collect();
    tracing::info!(key = tokens.keys().signing().fingerprint(), ?older, "tokens are signed");
    let sources = Sources {
        accounts: database.accounts(),
        audit: Audit::start(database.audit()),
        clock,
        demo: config.demo(),
        e2e_key: config.e2e_key.clone(),
        entrances: config.edge.entrances,
        entropy: Arc::new(identity::System),
        environment: config.environment,
        passwords: Arc::new(identity::Argon2id::new()?),
        refresh: RefreshPolicy { lifetime: config.session_lifetime, ..RefreshPolicy::default() },
        registration: config.registration,
        sessions: database.sessions(),
        tickets: Arc::new(MemoryTickets::default()),
        token_lifetime: config.token_lifetime,
        tokens: Arc::new(identity::Jwt(tokens)),
    };
    let mut identities = Identities::new(sources, &mut seed);
    if let Some(provider) = provider::of(config, clock)? {
        identities = identities.with_provider(Arc::new(provider), database.links());
    }
    let issuers = provider::trusted(config, clock)?;
    if !issuers.is_empty() {
        identities = identities.trusting(issuers, database.links());
    }
    let verifier = Arc::new(identities.clone());
    let connections = Connections::new(clock, limits, shards, verifier, &mut seed);

    let condition = Condition::default();
    let app = App::new(Parts {
        about: About {
            agents,
            environment: config.environment.as_str(),
            version: env!("CARGO_PKG_VERSION"),
        },
        artifacts: database.artifacts(),
        condition: condition.clone(),
        connections: connections.clone(),
        directory: database.directory(),
        door: Door::new(config.edge.clone(), clock, &mut seed),
        identities: identities.clone(),
        limits: HttpLimits {
            body_timeout: config.body_timeout,
            header_timeout: config.header_timeout,
            import_bytes: config.import_max_bytes,
            connections: config.max_connections,
            proxy_timeout: config.proxy_timeout,
        },
        origins: origins(config),
        store: database.store(),
        usage: Arc::new(usage::UsageOverHttp::new(usage, prices, clock)),
    });
    Ok(Node { app, condition, connections, database, identities, seed })
}

/// The usage records: a question is computed once while the data are the same, and a visitor who has
/// none sees the demonstration.
fn usage_store(
    config: &Config,
    database: &Database,
    prices: &Arc<PriceTable>,
    clock: Clock,
) -> Arc<dyn UsageStore> {
    let records = Arc::new(SqliteUsage::new(database.usage_pool()));
    let usage: Arc<dyn UsageStore> = Arc::new(ResultCache::new(records));
    if config.demo() && config.agents == Agents::Builtin {
        Arc::new(Demonstration::new(usage, prices.clone(), clock))
    } else {
        usage
    }
}

/// Where the files are and what they survive.
pub(crate) fn database_options(config: &Config) -> Options {
    let mut options = Options::in_dir(config.store_folder());
    options.durability = match config.durability {
        Durability::Full => Survives::PowerCut,
        Durability::Normal => Survives::ProcessCrash,
    };
    options
}

/// The keys and what is demanded of a token.
pub(crate) fn tokens(config: &Config) -> Result<Tokens, Failed> {
    let keys = config::keys(config).map_err(Findings::of)?;
    let audience = Some(config.jwt_audience.clone()).filter(|audience| !audience.is_empty());
    let policy = Policy {
        issuer: config.jwt_issuer.clone(),
        audience,
        leeway: config.jwt_leeway,
        max_age: config.jwt_max_age,
        older_issuer: config.jwt_older_issuer.clone(),
    };
    Ok(Tokens::new(keys, policy))
}

/// How passwords are hashed.
pub(crate) fn passwords() -> Result<impl Passwords, Failed> {
    Ok(identity::Argon2id::new()?)
}

/// From the operating system, so that no two processes draw the same ids.
pub(crate) fn seed() -> Result<Seed, Failed> {
    let bytes = getrandom::u64().map_err(|error| format!("no randomness: {error}"))?;
    Ok(Seed::new(bytes))
}

fn origins(config: &Config) -> Origins {
    if config.origins.iter().any(|origin| origin == "*") {
        Origins::All
    } else if config.origins.is_empty() {
        Origins::Own { loopback: config.listen.ip().is_loopback() }
    } else {
        Origins::Listed(config.origins.clone())
    }
}
