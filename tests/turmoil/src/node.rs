//! The node: the real server, put together as `goldenpath serve` does, on the simulated network.

use crate::ground::{Ground, PORT, now_ms};
use crate::history::{Deed, Watched};
use crate::tap::Doors;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, pending, ready};
use futures_util::stream::BoxStream;
use goldenpath_core::auth::{Claims, Environment, RefreshPolicy, Scope};
use goldenpath_core::edge::EdgeLimits;
use goldenpath_core::fault::Fault;
use goldenpath_core::handshake::Origins;
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{ErrorCode, Json, Secret};
use goldenpath_runtime::Clock;
use goldenpath_runtime::agent::AgentRuns;
use goldenpath_runtime::connection::Connections;
use goldenpath_runtime::drain::drain;
use goldenpath_runtime::identity::{self, Audit, Identities, Sources};
use goldenpath_runtime::memory::MemoryTickets;
use goldenpath_runtime::ports::{Answer, Store as _};
use goldenpath_runtime::shard::{Shards, Surroundings};
use goldenpath_warp::{
    About, App, Condition, Door, HttpLimits, ImportRequest, Imported, Parts, Phase, Usage, serve,
};
use std::io::Result as IoResult;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use turmoil::net::TcpListener;

/// Small, so that what happens at a bound happens in half a minute.
pub(crate) fn limits() -> Limits {
    Limits {
        auth_timeout: Millis::from_secs(3),
        heartbeat_interval: Millis::from_secs(2),
        heartbeat_timeout: Millis::from_secs(6),
        connection_max_age: Millis::from_secs(40),
        messages_per_minute: 600,
        message_burst: 100,
        connections_per_user: 6,
        outbox_frames: 40,
        outbox_bytes: 64 * 1024,
        replay_entries: 150,
        load_page: 40,
        queued_runs_per_thread: 3,
        running_runs_per_user: 2,
        run_timeout: Millis::from_secs(6),
        run_attempts: 2,
        agent_timeout: Millis::from_secs(5),
        tool_timeout: Millis::from_secs(4),
        cancel_grace: Millis::from_secs(1),
        run_supervision_grace: Millis::from_secs(2),
        drain_deadline: Millis::from_secs(4),
        drain_linger: Millis(500),
        drain_jitter: Millis::from_secs(2),
        ..Limits::default()
    }
}

/// One process of the node, until it is told to drain and has done so.
pub(crate) async fn node(ground: Arc<Ground>) -> turmoil::Result {
    let (process, stood_still) = {
        let mut tape = ground.tape();
        tape.process += 1;
        (tape.process, std::mem::take(&mut tape.stood_still_ms))
    };
    if stood_still > 0 {
        ground.goes_back();
    }
    let mut seed = Seed::new(ground.seed ^ process.rotate_left(32));
    let clock = Clock::set_by(Ground::wall(now_ms()), ground.clock_off_ms);
    tokio::spawn(stand_still(ground.clone()));
    let disk = ground.disk.clone();
    disk.opened();
    tokio::spawn(disk.clone().write());
    let limits = Arc::new(limits());
    let history = ground.history.clone();
    let team = goldenpath_agents::scripted::team_heard_by(Arc::new(move |cx, repeatable| {
        let (user, thread_id, call) =
            (cx.user().user_id().clone(), cx.thread_id(), cx.tool_call_id());
        history.note(Deed::Called { user, thread_id, call, repeatable });
    }))?;
    let team = Arc::new(team);
    let agents = team.agents().map(|(name, _)| name.to_string()).collect();
    let artifacts = Arc::new(disk.memory.clone());
    let runs = AgentRuns::new(team, limits.clone(), clock, artifacts.clone());
    let around = Surroundings {
        clock,
        limits: limits.clone(),
        runs: Arc::new(Watched { runs, history: ground.history.clone() }),
        store: Arc::new(disk.clone()),
    };
    let shards = Shards::start(2, &around, &mut seed);
    let plain = Plain(ground.clone());
    let sources = Sources {
        accounts: artifacts.clone(),
        audit: Audit::start(artifacts.clone()),
        clock,
        demo: false,
        e2e_key: None,
        entrances: EdgeLimits::unbounded().entrances,
        entropy: Arc::new(plain.clone()),
        environment: Environment::Test,
        passwords: Arc::new(plain.clone()),
        refresh: RefreshPolicy::default(),
        registration: false,
        sessions: artifacts.clone(),
        tickets: Arc::new(MemoryTickets::default()),
        token_lifetime: Millis::from_secs(600),
        tokens: Arc::new(plain.clone()),
    };
    let identities = Identities::new(sources, &mut seed);
    let verifier = Arc::new(identities.clone());
    let connections = Connections::new(clock, limits, shards, verifier, &mut seed);
    let condition = Condition::default();
    let app = App::new(Parts {
        about: About { agents, environment: "test", version: "0.0.0" },
        artifacts: artifacts.clone(),
        condition: condition.clone(),
        connections: connections.clone(),
        directory: artifacts,
        door: Door::new(EdgeLimits::unbounded(), clock, &mut Seed::new(11)),
        identities,
        limits: HttpLimits {
            body_timeout: Millis::from_secs(3),
            header_timeout: Millis::from_secs(3),
            import_bytes: 1000,
            connections: 100,
            proxy_timeout: Millis::from_secs(3600),
        },
        origins: Origins::All,
        store: Arc::new(disk.clone()),
        usage: Arc::new(plain),
    });
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let serving = tokio::spawn(serve(app, Doors(listener)));
    let unfinished = loop {
        match disk.unfinished_runs().await {
            Ok(unfinished) => break unfinished,
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    };
    for _ in &unfinished {
        ground.meet("a restart went on with what was unfinished");
    }
    connections.shards.recover(unfinished);
    condition.set(Phase::Serving);

    ground.drain.notified().await;
    condition.set(Phase::Draining);
    let clean = drain(&connections, &mut seed).await;
    serving.abort();
    ground.meet(if clean { "drain: clean" } else { "drain: at its deadline" });
    ground.tape().drained = true;
    pending().await
}

/// Lets the clocks of the process move on while it does nothing, whenever the world says so.
async fn stand_still(ground: Arc<Ground>) {
    loop {
        ground.stand_still.notified().await;
        let ms = {
            let mut tape = ground.tape();
            tape.stood_still_ms += tape.stand_still_ms;
            tape.stand_still_ms
        };
        tokio::time::advance(Duration::from_millis(ms)).await;
    }
}

/// What the node has around it besides network, disk and clock.
#[derive(Clone)]
struct Plain(Arc<Ground>);

impl identity::Tokens for Plain {
    fn issue(&self, _: &Claims) -> Result<Secret, Fault> {
        Err(Fault::Refused)
    }

    fn read(&self, token: &Secret, now: Wall) -> Result<identity::Read, ErrorCode> {
        let vouched = self.0.check(token, now)?;
        Ok(identity::Read { vouched, email: None, permissions: Vec::new() })
    }
}

impl identity::Passwords for Plain {
    fn hash(&self, password: Secret) -> Answer<String> {
        ready(Ok(password.0)).boxed()
    }

    fn matches(&self, password: Secret, hash: Option<String>) -> Answer<bool> {
        ready(Ok(hash == Some(password.0))).boxed()
    }

    fn is_outdated(&self, _: &str) -> bool {
        false
    }
}

impl identity::Entropy for Plain {
    fn draw(&self) -> Result<[u8; 32], Fault> {
        Err(Fault::Unavailable)
    }
}

impl Usage for Plain {
    fn import(
        &self,
        _: &Scope,
        _: ImportRequest,
        _: BoxStream<'static, IoResult<Bytes>>,
    ) -> BoxFuture<'static, Imported> {
        let words = "nothing is imported here".into();
        ready(Imported::Failed(ErrorCode::ValidationFailed, words)).boxed()
    }

    fn summary(&self, _: &Scope) -> Answer<Json> {
        ready(Err(Fault::Unavailable)).boxed()
    }
}
