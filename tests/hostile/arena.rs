//! A server with real limits, a user who behaves, and what must hold whatever happens beside them.

use goldenpath_tests::oracle::{CRITICAL, check_log, entries, kinds};
use goldenpath_tests::server::{PATIENCE, Server};
use goldenpath_tests::socket::{GOLDEN, RUN_ENDS, Socket};
use serde_json::{Value, json};
use std::cell::Cell;
use std::future::Future;
use std::time::{Duration, Instant};

/// How much more memory than before the process may hold after an attack, in KiB. Generous: the 64
/// sockets of one address with full outboxes would be four times this.
const MEMORY: u64 = 64 * 1024;
/// Longest attack.
const LONGEST: Duration = Duration::from_secs(90);
/// Longest golden path of the user beside it. Alone it takes a fraction of a second.
const UNNOTICED: Duration = Duration::from_secs(10);
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
        self.golden_path("before").await;
        let before = self.memory();
        let (mut window, _) = Socket::ready(&self.server, &self.good, json!([])).await;
        let attack = async {
            let attacked = tokio::time::timeout(LONGEST, attack).await;
            attacked.expect("the attack comes to its end")
        };
        let over = Cell::new(false);
        // The last one begins while the attack goes on, and is judged however short that is.
        let neighbour = async {
            for path in 0.. {
                let last = over.get();
                let began = Instant::now();
                self.golden_path(&format!("beside-{path}")).await;
                let took = began.elapsed();
                assert!(took < UNNOTICED, "a golden path beside the attack took {took:?}");
                if last {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let attack = async {
            let outcome = attack.await;
            over.set(true);
            outcome
        };
        let (outcome, ()) = tokio::join!(attack, neighbour);
        self.golden_path("after").await;
        // The window that was open all the time hears its own runs and nothing else, and is there.
        window.say("ping", json!({ "nonce": "still here" })).await;
        let heard = window.collect(&["pong"]).await;
        let foreign = kinds(&heard).into_iter().find(|kind| {
            ["error", "rate_limit", "disconnect", "server_draining"].contains(&kind.as_str())
        });
        assert_eq!(foreign, None, "{heard:?}");
        let (status, _) = self.server.get("/health/ready", &self.good).await;
        assert!(status.is_success(), "{status}");
        let after = self.memory();
        assert!(after < before + MEMORY, "{before} KiB before, {after} KiB after");
        let log = self.server.log();
        let bad = log.lines().find(|line| line.contains("ERROR") || line.contains("panicked"));
        assert_eq!(bad, None, "a fault of ours in the log");
        for secret in [&self.good, &self.mallory] {
            assert!(!log.contains(secret.as_str()), "a token in the log");
        }
        outcome
    }

    /// One question of the user who behaves, with a whole and correct log.
    async fn golden_path(&self, name: &str) {
        let (mut socket, _) = Socket::ready(&self.server, &self.good, json!([])).await;
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
        socket.close().await;
    }

    /// What the process holds, in KiB.
    fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.server.pid().unwrap());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
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
