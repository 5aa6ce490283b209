//! A whole node in this process: real machines, real sockets, a store in memory.

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{BoxStream, StreamExt as _};
use goldenpath_core::auth::{Claims, Environment, Policy, RefreshPolicy, Scope};
use goldenpath_core::connection::Identity;
use goldenpath_core::edge::EdgeLimits;
use goldenpath_core::fault::Fault;
use goldenpath_core::handshake::Origins;
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{Credential, ErrorCode, Json, Secret};
use goldenpath_jsonwebtoken::{Grant, Key, Keys, Tokens};
use goldenpath_runtime::Clock;
use goldenpath_runtime::agent::{AgentRuns, Team, TeamError};
use goldenpath_runtime::connection::{Connections, Registry, Verifier};
use goldenpath_runtime::identity::{self, Audit, Identities, Provider, Sources};
use goldenpath_runtime::memory::{MemoryStore, MemoryTickets};
use goldenpath_runtime::ports::{Answer, Tickets};
use goldenpath_runtime::shard::{Shards, Surroundings};
use goldenpath_warp::{
    About, App, Condition, Door, HttpLimits, ImportRequest, Imported, Parts, Phase, Usage, listen,
    serve,
};
use std::io::Result as IoResult;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for anything a test waits for.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// A node and where it listens.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) condition: Condition,
    pub(crate) connections: Connections,
    pub(crate) identities: Identities,
}

/// What a test may change.
pub(crate) struct Wishes {
    pub(crate) demo: bool,
    /// Every log-in is ended between its verdict and the moment its socket or stream can be found.
    pub(crate) leaving: bool,
    /// Every user leaves everywhere in that moment, by another token.
    pub(crate) leaving_everywhere: bool,
    pub(crate) header_timeout: Millis,
    pub(crate) body_timeout: Millis,
    pub(crate) connections: usize,
    pub(crate) proxy_timeout: Millis,
    pub(crate) edge: EdgeLimits,
    pub(crate) origins: Origins,
    pub(crate) limits: Limits,
    pub(crate) token_lifetime: Millis,
    pub(crate) environment: Environment,
    pub(crate) e2e_key: Option<Secret>,
    pub(crate) passwords: Arc<dyn identity::Passwords>,
    pub(crate) provider: Option<Arc<dyn Provider>>,
    pub(crate) registration: bool,
    pub(crate) store: MemoryStore,
    pub(crate) tickets: Arc<dyn Tickets>,
    pub(crate) team: fn() -> Result<Team, TeamError>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            team: goldenpath_agents::bench::team,
            demo: true,
            leaving: false,
            leaving_everywhere: false,
            header_timeout: Millis::from_secs(10),
            body_timeout: Millis::from_secs(10),
            connections: 1000,
            proxy_timeout: Millis::from_secs(3600),
            edge: EdgeLimits::unbounded(),
            origins: Origins::Own { loopback: true },
            limits: Limits::default(),
            token_lifetime: Millis::from_secs(600),
            environment: Environment::Test,
            e2e_key: None,
            passwords: Arc::new(Plain),
            provider: None,
            registration: true,
            store: MemoryStore::new(),
            tickets: Arc::new(MemoryTickets::default()),
        }
    }
}

/// A node that serves on a free port of loopback.
pub(crate) async fn rig(wishes: Wishes) -> Rig {
    let (app, condition, connections, identities) = parts(wishes);
    let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(app, listener));
    condition.set(Phase::Serving);
    Rig { address, condition, connections, identities }
}

/// A node that does not listen.
pub(crate) fn app(wishes: Wishes) -> (App, Condition, Connections) {
    let (app, condition, connections, _) = parts(wishes);
    (app, condition, connections)
}

fn parts(wishes: Wishes) -> (App, Condition, Connections, Identities) {
    let mut seed = Seed::new(7);
    let clock = Clock::system();
    let limits = Arc::new(wishes.limits);
    let store = wishes.store;
    let team = Arc::new((wishes.team)().unwrap());
    let agents = team.agents().map(|(name, _)| name.to_string()).collect();
    let runs = AgentRuns::new(team, limits.clone(), clock, Arc::new(store.clone()));
    let around = Surroundings {
        clock,
        limits: limits.clone(),
        runs: Arc::new(runs),
        store: Arc::new(store.clone()),
    };
    let shards = Shards::start(2, &around, &mut seed);
    let mut identities = Identities::new(
        Sources {
            accounts: Arc::new(store.clone()),
            audit: Audit::start(Arc::new(store.clone())),
            clock,
            demo: wishes.demo,
            e2e_key: wishes.e2e_key,
            entrances: wishes.edge.entrances,
            entropy: Arc::new(Counting(AtomicU8::new(0))),
            environment: wishes.environment,
            passwords: wishes.passwords,
            refresh: RefreshPolicy::default(),
            registration: wishes.registration,
            sessions: Arc::new(store.clone()),
            tickets: wishes.tickets,
            token_lifetime: wishes.token_lifetime,
            tokens: Arc::new(Jwt(tokens())),
        },
        &mut seed,
    );
    if let Some(provider) = wishes.provider {
        identities = identities.with_provider(provider, Arc::new(store.clone()));
    }
    let verifier: Arc<dyn Verifier> = if wishes.leaving {
        Arc::new(Leaving(identities.clone()))
    } else if wishes.leaving_everywhere {
        Arc::new(LeavingEverywhere(identities.clone()))
    } else {
        Arc::new(identities.clone())
    };
    let connections = Connections::new(clock, limits, shards, verifier, &mut seed);
    let condition = Condition::default();
    let app = App::new(Parts {
        about: About { agents, environment: "test", version: "0.0.0" },
        artifacts: Arc::new(store.clone()),
        condition: condition.clone(),
        connections: connections.clone(),
        directory: Arc::new(store.clone()),
        door: Door::new(wishes.edge, clock, &mut Seed::new(11)),
        identities: identities.clone(),
        limits: HttpLimits {
            body_timeout: wishes.body_timeout,
            header_timeout: wishes.header_timeout,
            import_bytes: 100_000,
            connections: wishes.connections,
            proxy_timeout: wishes.proxy_timeout,
        },
        origins: wishes.origins,
        store: Arc::new(store),
        usage: Arc::new(Counted),
    });
    (app, condition, connections, identities)
}

impl Rig {
    /// One HTTP/1.1 exchange in plain text: what is sent is exactly what is written here.
    pub(crate) async fn exchange(&self, request: &str) -> Reply {
        self.exchange_bytes(request.as_bytes()).await
    }

    pub(crate) async fn exchange_bytes(&self, request: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        Reply::read(&mut stream).await
    }

    /// A request without a body.
    pub(crate) async fn call(&self, method: &str, path: &str, token: Option<&str>) -> Reply {
        self.send(method, path, token, "").await
    }

    /// A request with a body.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> Reply {
        let token = token.map(|t| format!("Authorization: Bearer {t}\r\n")).unwrap_or_default();
        let json = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        self.exchange(&format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{token}{json}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await
    }

    /// A demo user's token.
    pub(crate) async fn token(&self) -> String {
        let reply = self.call("POST", "/api/auth/demo", None).await;
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    /// Reads until the other side closes.
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
        let _ = read.expect("the server closes in time");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        Self { head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Whoever has the key makes tokens without a log-in, as the command line does.
pub(crate) fn token_of(user: &str, session: u128) -> Secret {
    let user_id = UserId::new(user).unwrap();
    let grant = Grant::new(user_id, SessionId(session), Millis::from_secs(600));
    tokens().issue(grant, Clock::system().now().wall).unwrap().token
}

fn tokens() -> Tokens {
    let key = Key::hs256(b"0123456789abcdefghijklmnopqrstuvwxyz").unwrap();
    let policy = Policy {
        issuer: "goldenpath".into(),
        audience: Some("goldenpath".into()),
        leeway: Millis::from_secs(5),
        max_age: None,
        older_issuer: None,
    };
    Tokens::new(Keys::new(key), policy)
}

struct Jwt(Tokens);

impl identity::Tokens for Jwt {
    fn issue(&self, claims: &Claims) -> Result<Secret, Fault> {
        let mut grant = Grant::new(
            UserId::new(&claims.sub).unwrap(),
            claims.sid.unwrap(),
            Millis::from_secs(claims.exp - claims.iat.unwrap()),
        );
        grant.demo = claims.demo;
        grant.permissions.clone_from(&claims.permissions);
        grant.email.clone_from(&claims.email);
        Ok(self.0.issue(grant, Wall(claims.iat.unwrap() * 1000)).unwrap().token)
    }

    fn read(&self, token: &Secret, now: Wall) -> Result<identity::Read, ErrorCode> {
        let verified = self.0.verify(&token.0, now)?;
        let (email, permissions) = (verified.claims.email, verified.claims.permissions);
        Ok(identity::Read { vouched: verified.vouched, email, permissions })
    }
}

struct Leaving(Identities);

impl Verifier for Leaving {
    fn verify(
        &self,
        credential: &Credential,
        origin: Option<&str>,
        now: Wall,
    ) -> BoxFuture<'static, Result<Identity, ErrorCode>> {
        self.0.verify(credential, origin, now)
    }

    fn demo_user(&self, now: Wall) -> BoxFuture<'static, Result<Identity, ErrorCode>> {
        Verifier::demo_user(&self.0, now)
    }

    fn is_over(&self, _: &Identity) -> bool {
        true
    }
}

struct LeavingEverywhere(Identities);

impl Verifier for LeavingEverywhere {
    fn verify(
        &self,
        credential: &Credential,
        origin: Option<&str>,
        now: Wall,
    ) -> BoxFuture<'static, Result<Identity, ErrorCode>> {
        let (verdict, identities) = (self.0.verify(credential, origin, now), self.0.clone());
        async move {
            let identity = verdict.await?;
            let other = identities.known(&token_of(identity.user_id().as_str(), 99)).await.unwrap();
            // Nobody is in the registry yet who could be told.
            let nobody = Registry::default();
            let left = identities.log_out_everywhere(&other.identity, "192.0.2.9", &nobody).await;
            assert_eq!(left.unwrap(), 0, "it is no log-in");
            Ok(identity)
        }
        .boxed()
    }

    fn demo_user(&self, now: Wall) -> BoxFuture<'static, Result<Identity, ErrorCode>> {
        Verifier::demo_user(&self.0, now)
    }

    fn is_over(&self, identity: &Identity) -> bool {
        self.0.is_over(identity)
    }
}

struct Plain;

impl identity::Passwords for Plain {
    fn hash(&self, password: Secret) -> Answer<String> {
        ready(Ok(password.0)).boxed()
    }

    fn matches(&self, password: Secret, hash: Option<String>) -> Answer<bool> {
        let hash = hash.as_deref().map(|hash| hash.trim_start_matches("weak:"));
        ready(Ok(hash == Some(&*password.0))).boxed()
    }

    fn is_outdated(&self, hash: &str) -> bool {
        hash.starts_with("weak:")
    }
}

struct Counting(AtomicU8);

impl identity::Entropy for Counting {
    fn draw(&self) -> Result<[u8; 32], Fault> {
        Ok([self.0.fetch_add(1, Ordering::Relaxed); 32])
    }
}

/// Counts the bytes of an import.
struct Counted;

impl Usage for Counted {
    fn import(
        &self,
        _: &Scope,
        request: ImportRequest,
        mut file: BoxStream<'static, IoResult<Bytes>>,
    ) -> BoxFuture<'static, Imported> {
        async move {
            let mut bytes = 0;
            while let Some(piece) = file.next().await {
                match piece {
                    Ok(piece) => bytes += piece.len(),
                    Err(error) => {
                        return Imported::Failed(ErrorCode::ValidationFailed, error.to_string());
                    }
                }
            }
            let report = serde_json::json!({ "bytes": bytes, "dry_run": request.dry_run });
            Imported::Done(Json::encode(&report).unwrap())
        }
        .boxed()
    }

    fn summary(&self, _: &Scope) -> Answer<Json> {
        ready(Ok(Json::parse(r#"{"rows":0}"#).unwrap())).boxed()
    }
}
