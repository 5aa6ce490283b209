//! A server with real limits, a user who behaves, and what must hold whatever happens beside them.

use goldenpath_tests::oracle::{CRITICAL, check_log, entries, kinds};
use goldenpath_tests::server::{PATIENCE, Server};
use goldenpath_tests::socket::{GOLDEN, RUN_ENDS, Socket};
use serde_json::{Value, json};
use std::cell::Cell;
use std::future::Future;
use std::time::{Duration, Instant};

/// How much more memory than before the process may hold at any moment of an attack, in KiB. A few MiB
/// are usual; the 64 sockets of one address with full outboxes would be eight times this.
const MEMORY: u64 = 32 * 1024;
/// Longest attack.
const LONGEST: Duration = Duration::from_secs(90);
/// Golden paths on the quiet server, to compare with.
const QUIET: usize = 7;
/// How many times as long as on the quiet server half of the golden paths beside the attack may take: the
/// attackers have the same cores as the server.
const SLOWER: u32 = 10;
/// What a golden path may take by the service level: never too long, however quick the quiet server is.
const UNNOTICED: Duration = Duration::from_secs(1);
/// Longest single one.
const HICCUP: Duration = Duration::from_secs(3);
/// Between two questions of the user who behaves; the limit is one a second and a burst of thirty.
const PAUSE: Duration = Duration::from_millis(1200);

/// Limits as in production; agents that answer at once, so that what is slow is not they.
pub(crate) const LIMITS: [(&str, &str); 14] = [
    ("DEMO_MODE", "0"),
    ("ENVIRONMENT", "test"),
    ("GOLDENPATH_ATTEMPTS_PER_MINUTE", "600"),
    ("GOLDENPATH_AUTH_TIMEOUT", "3"),
    ("GOLDENPATH_BODY_TIMEOUT", "2"),
    ("GOLDENPATH_CONNECTIONS_PER_ADDRESS", "64"),
    ("GOLDENPATH_HEADER_TIMEOUT", "2"),
    ("GOLDENPATH_MAX_UNAUTHENTICATED", "200"),
    ("GOLDENPATH_MESSAGES_PER_MINUTE", "60"),
    ("GOLDENPATH_MESSAGE_BURST", "30"),
    ("GOLDENPATH_REQUESTS_PER_MINUTE", "6000"),
    ("GOLDENPATH_UPGRADES_PER_SECOND", "500"),
    ("LOG_LEVEL", "info"),
    ("WEBSOCKET_HEARTBEAT_INTERVAL", "5"),
];

/// How the user who behaves is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Neighbour {
    /// Comes and goes: a connection for each question.
    Comes,
    /// Is connected all the time.
    Stays,
}

fn median(mut spans: Vec<Duration>) -> Duration {
    spans.sort_unstable();
    spans[spans.len() / 2]
}

/// A server, the user who behaves, and one who does not.
pub(crate) struct Arena {
    pub(crate) server: Server,
    /// The token of the user who behaves.
    good: String,
    /// The token of an account the attacker made.
    pub(crate) mallory: String,
}

impl Arena {
    pub(crate) async fn open() -> Self {
        Self::with(&[]).await
    }

    /// With some settings changed.
    pub(crate) async fn with(changes: &[(&str, &str)]) -> Self {
        let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
        let mut settings: Vec<_> =
            LIMITS.iter().copied().filter(|(name, _)| !is_changed(name)).collect();
        settings.extend_from_slice(changes);
        let server = Server::start(&["--agents", "bench"], &settings).await;
        let (good, _) = server.register("ada@example.org").await;
        let (mallory, _) = server.register("mallory@example.org").await;
        Self { server, good, mallory }
    }

    /// Lets the attack happen beside a user who behaves, and judges the server by that user, its health,
    /// its memory and its log.
    pub(crate) async fn survives<A: Future>(&self, attack: A) -> A::Output {
        self.survives_beside(Neighbour::Comes, attack).await
    }

    /// The same beside a user who is there in this way.
    pub(crate) async fn survives_beside<A: Future>(
        &self,
        neighbour: Neighbour,
        attack: A,
    ) -> A::Output {
        let mut staying = match neighbour {
            Neighbour::Comes => None,
            Neighbour::Stays => Some(Socket::ready(&self.server, &self.good, json!([])).await.0),
        };
        let mut quiet = Vec::new();
        for path in 0..QUIET {
            quiet.push(self.golden_path(staying.as_mut(), &format!("before-{path}")).await);
        }
        let quiet = median(quiet);
        let before = self.memory("VmRSS:");
        self.forget_peak();
        let (mut window, _) = Socket::ready(&self.server, &self.good, json!([])).await;
        let attack = async {
            let attacked = tokio::time::timeout(LONGEST, attack).await;
            attacked.expect("the attack comes to its end")
        };
        let over = Cell::new(false);
        // Each of them begins while the attack goes on; one is judged however short that is.
        let neighbour = async {
            let mut took = Vec::new();
            loop {
                let name = format!("beside-{}", took.len());
                took.push(self.golden_path(staying.as_mut(), &name).await);
                if over.get() {
                    return took;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let attack = async {
            let outcome = attack.await;
            over.set(true);
            outcome
        };
        let (outcome, beside) = tokio::join!(attack, neighbour);
        let longest = *beside.iter().max().unwrap();
        let usual = median(beside.clone());
        let bound = (quiet * SLOWER).max(UNNOTICED);
        assert!(usual < bound, "{quiet:?} on the quiet server, beside the attack {beside:?}");
        assert!(longest < HICCUP, "one took {longest:?}");
        self.golden_path(staying.as_mut(), "after").await;
        // The window that was open all the time hears its own runs and nothing else, and is there.
        window.say("ping", json!({ "nonce": "still here" })).await;
        let heard = window.collect(&["pong"]).await;
        let foreign = kinds(&heard).into_iter().find(|kind| {
            ["error", "rate_limit", "disconnect", "server_draining"].contains(&kind.as_str())
        });
        assert_eq!(foreign, None, "{heard:?}");
        let (status, _) = self.server.get("/health/ready", &self.good).await;
        assert!(status.is_success(), "{status}");
        let peak = self.memory("VmHWM:");
        assert!(peak < before + MEMORY, "{before} KiB before, {peak} KiB at the worst moment");
        let log = self.server.log();
        let bad = log.lines().find(|line| line.contains("ERROR") || line.contains("panicked"));
        assert_eq!(bad, None, "a fault of ours in the log");
        for secret in [&self.good, &self.mallory] {
            assert!(!log.contains(secret.as_str()), "a token in the log");
        }
        outcome
    }

    /// One question of the user who behaves, with a whole and correct log, on the socket that is open or on
    /// a new one; answers how long that took.
    async fn golden_path(&self, open: Option<&mut Socket>, name: &str) -> Duration {
        let began = Instant::now();
        match open {
            Some(socket) => Self::walk(socket, name).await,
            None => {
                let (mut socket, _) = Socket::ready(&self.server, &self.good, json!([])).await;
                Self::walk(&mut socket, name).await;
                socket.close().await;
            }
        }
        began.elapsed()
    }

    async fn walk(socket: &mut Socket, name: &str) {
        let ack = socket.ask(name, "hello", None).await;
        let thread = ack["thread_id"].as_str().unwrap();
        let mut heard = Vec::new();
        // A run of the same user in another thread may end on the same socket.
        let is_end = |frame: &Value| {
            frame["thread_id"] == thread && RUN_ENDS.iter().any(|end| frame["type"] == *end)
        };
        while heard.last().is_none_or(|last| !is_end(last)) {
            heard.push(socket.frame().await);
        }
        assert_eq!(heard.last().unwrap()["type"], "run_completed");
        let of_this: Vec<_> =
            entries(&heard).into_iter().filter(|entry| entry["thread_id"] == thread).collect();
        for kind in CRITICAL {
            assert!(kinds(&of_this).contains(&kind.to_owned()), "{kind}");
        }
        assert_eq!(check_log(&of_this).len(), 1);
    }

    /// What the process holds now (`VmRSS:`), and held at most (`VmHWM:`), in KiB.
    fn memory(&self, what: &str) -> u64 {
        let path = format!("/proc/{}/status", self.server.pid().unwrap());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// From here on `VmHWM:` is the most that is held from here on. Where that is not allowed it is the most
    /// since the start, which is no less.
    fn forget_peak(&self) {
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.server.pid().unwrap()), "5");
    }

    /// An authenticated socket of the attacker, from the attacker's address.
    pub(crate) async fn attacker(&self) -> Socket {
        let url = self.server.ws_url();
        let auth = format!("Bearer {}", self.mallory);
        let headers = [("Sec-WebSocket-Protocol", GOLDEN), ("Authorization", auth.as_str())];
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(mut socket) = Socket::try_open(&url, &headers).await {
                socket.until("connection_ready").await;
                return socket;
            }
            assert!(Instant::now() < end, "the attacker is let in like anybody");
        }
    }
}
