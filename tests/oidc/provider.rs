//! The provider as a process of its own.

use goldenpath_tests::server::{PATIENCE, Server};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// What signs the ID tokens of a client.
pub(crate) const ALGORITHMS: [&str; 2] = ["RS256", "ES256"];

/// A running provider; it is killed when dropped.
pub(crate) struct Provider {
    child: Child,
    port: u16,
}

/// Where `tests/oidc/install` put it: `GOLDENPATH_OIDC`, or `oidc` in the target folder.
fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("GOLDENPATH_OIDC") {
        return PathBuf::from(folder);
    }
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).expect("tests run from target/PROFILE/deps").join("oidc")
}

impl Provider {
    /// What it says of itself is among what the test prints. A node that has said nothing for so long has hung
    /// at its start, which was seen once, and another one is started.
    pub(crate) async fn start() -> Self {
        for _ in 0..3 {
            if let Some(provider) = Self::try_to_start(PATIENCE / 3).await {
                return provider;
            }
        }
        panic!("no provider has started in {PATIENCE:?}");
    }

    async fn try_to_start(patience: Duration) -> Option<Self> {
        let folder = folder();
        let library = folder.join("node_modules/oidc-provider");
        assert!(library.exists(), "{} is missing: run tests/oidc/install", library.display());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc/provider.js");
        let mut child = Command::new("node")
            .arg(script)
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is there");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = tokio::time::timeout(patience, lines.next_line()).await.ok()?;
        let said: Value = serde_json::from_str(&first.unwrap().expect("it says its port")).unwrap();
        Some(Self { child, port: u16::try_from(said["port"].as_u64().unwrap()).unwrap() })
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A server whose users may log in here, with ID tokens signed like this.
    pub(crate) async fn server(&self, algorithm: &str) -> Server {
        self.server_with(algorithm, &[]).await
    }

    /// The same with more settings.
    pub(crate) async fn server_with(&self, algorithm: &str, more: &[(&str, &str)]) -> Server {
        let server = self.unknown_with(algorithm, more).await;
        let redirect = server.url("/api/auth/oidc/callback");
        self.control(&format!("redirect?to={redirect}")).await;
        server
    }

    /// The same, without the provider being told of it.
    pub(crate) async fn server_unknown_here(&self, algorithm: &str) -> Server {
        self.unknown_with(algorithm, &[]).await
    }

    async fn unknown_with(&self, algorithm: &str, more: &[(&str, &str)]) -> Server {
        let (issuer, algorithm) = (self.issuer(), algorithm.to_owned());
        Server::start_at(&["--agents", "bench"], |port| {
            let redirect = format!("http://127.0.0.1:{port}/api/auth/oidc/callback");
            [
                ("DEMO_MODE", "0"),
                ("OIDC_ISSUER", &issuer),
                ("OIDC_CLIENT_ID", &format!("goldenpath-{algorithm}")),
                ("OIDC_CLIENT_SECRET", "the secret of a client in a test"),
                ("OIDC_REDIRECT_URL", &redirect),
                ("OIDC_KEYS_PAUSE", "1"),
                ("OIDC_NAME", "the test provider"),
            ]
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
        })
        .await
    }

    /// Does something no provider offers its clients.
    pub(crate) async fn control(&self, what: &str) -> Value {
        let url = format!("{}/control/{what}", self.issuer());
        let answer = reqwest::get(url).await.unwrap();
        assert!(answer.status().is_success());
        answer.json().await.unwrap()
    }

    /// The provider is gone.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}
