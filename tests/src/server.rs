//! The `goldenpath` binary as a process of its own, on a free port, with a data folder of its own.

use crate::port::Port;
use crate::secrets::{Secrets, files};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Longest wait for anything a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running server; it is killed when dropped. Then nothing it was told in confidence may be found in its log or
/// in a file of its data (AUTH-55), whatever the test was about.
pub struct Server {
    child: Option<Child>,
    data: TempDir,
    settings: Vec<(String, String)>,
    arguments: Vec<String>,
    port: Port,
    http: Client,
    secrets: Mutex<Secrets>,
}

/// Where the binary is: `GOLDENPATH_BIN`, or beside this test in the target folder.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("GOLDENPATH_BIN") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.parent().and_then(Path::parent).expect("tests run from target/PROFILE/deps");
    let path = folder.join("goldenpath");
    assert!(path.exists(), "build it first: cargo build -p goldenpath ({})", path.display());
    path
}

/// The real usage traces: `GOLDENPATH_SHARED_DATA`, or `../shared/data` beside the project.
pub fn traces() -> PathBuf {
    std::env::var_os("GOLDENPATH_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    )
}

impl Server {
    /// Starts a server with the bench agents and waits until it is ready.
    pub async fn bench() -> Self {
        Self::start(&["--agents", "bench"], &[]).await
    }

    /// Starts a server with the built-in agents and waits until it is ready.
    pub async fn real() -> Self {
        Self::start(&[], &[]).await
    }

    /// Starts `goldenpath serve` with more arguments and environment variables.
    pub async fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings: Vec<(String, String)> = settings.iter().map(own).collect();
        Self::start_at(arguments, |_| settings).await
    }

    /// The same for settings that name the server's own port.
    pub async fn start_at(
        arguments: &[&str],
        settings: impl FnOnce(u16) -> Vec<(String, String)>,
    ) -> Self {
        let port = Port::free();
        let mut server = Self {
            child: None,
            data: TempDir::new().expect("a folder for data"),
            settings: settings(port.number()),
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
            port,
            http: Client::new(),
            secrets: Mutex::default(),
        };
        server.launch().await;
        server
    }

    /// What it is started with from the next time on, in place of the settings so far.
    pub fn set(&mut self, settings: &[(&str, &str)]) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.settings = settings.iter().map(own).collect();
    }

    /// Starts the process again on the same data and port.
    pub async fn launch(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("a log file in the data folder");
        let child = Command::new(binary())
            .arg("serve")
            .args(["--listen", &self.port.to_string()])
            .arg("--data")
            .arg(self.data.path().join("data"))
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .current_dir(self.data.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        self.child = Some(child);
        self.until_ready().await;
    }

    async fn until_ready(&mut self) {
        let url = self.url("/health/ready");
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(child) = &mut self.child
                && let Ok(Some(status)) = child.try_wait()
            {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            if let Ok(answer) = self.http.get(&url).send().await
                && answer.status() == StatusCode::OK
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server is not ready in {PATIENCE:?}:\n{}", self.log());
    }

    /// kill -9, and wait until the process is gone.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("it was running");
        }
    }

    /// SIGTERM; answers the exit code once the process is gone.
    pub async fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it is running");
        let pid = child.id().expect("it is running").to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill exists");
        assert!(sent.success());
        let end = tokio::time::timeout(PATIENCE, child.wait()).await;
        end.expect("it ends in time").expect("it can be waited for").code()
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.data.path().join("server.log")
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// What it is told and must keep to itself. Shorter texts may be found by chance.
    pub fn confides(&self, name: &'static str, secret: &str) {
        if secret.len() >= 24 {
            self.secrets().token(name, secret);
        }
    }

    fn secrets(&self) -> std::sync::MutexGuard<'_, Secrets> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An absolute URL.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.port)
    }

    /// The WebSocket's URL.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws", self.port)
    }

    /// A visitor of demo mode: the token and the user id.
    pub async fn demo(&self) -> (String, String) {
        let (status, body) = self.call(Method::POST, "/api/auth/demo", None, None).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let token = body["access_token"].as_str().expect("a token").to_owned();
        (token, body["user"]["id"].as_str().expect("a user").to_owned())
    }

    /// An account of its own: the token and the user id.
    pub async fn register(&self, email: &str) -> (String, String) {
        let body = json!({"email": email, "password": "correct horse battery staple"});
        let (status, body) = self.call(Method::POST, "/api/auth/register", None, Some(body)).await;
        assert!(status.is_success(), "{status} {body}");
        let token = body["access_token"].as_str().expect("a token").to_owned();
        (token, body["user"]["id"].as_str().expect("a user").to_owned())
    }

    /// One HTTP call; the body is `null` when it is not JSON.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = self.http.request(method, self.url(path)).timeout(PATIENCE);
        if let Some(token) = token {
            self.confides("bearer token", token);
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            self.secrets().body(&body);
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the server answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        self.secrets().body(&body);
        (status, body)
    }

    /// `GET` with a token.
    pub async fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, Some(token), None).await
    }

    /// A thread's whole log over HTTP.
    pub async fn log_of(&self, token: &str, thread_id: &str) -> Vec<Value> {
        let mut entries = Vec::new();
        let mut after = 0;
        loop {
            let path = format!("/api/threads/{thread_id}/log?after_seq={after}&limit=500");
            let (status, page) = self.get(&path, token).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            entries.extend(page["entries"].as_array().expect("entries").iter().cloned());
            match page["next_after_seq"].as_u64() {
                Some(next) => after = next,
                None => return entries,
            }
        }
    }

    /// The HTTP client, for what has no shorthand.
    pub fn http(&self) -> &Client {
        &self.http
    }
}

/// Settings that are secret.
const SECRET_SETTINGS: [&str; 4] =
    ["E2E_OAUTH_SIMULATION_KEY", "JWT_PREVIOUS_KEYS", "JWT_SECRET_KEY", "OIDC_CLIENT_SECRET"];

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _gone = child.start_kill();
        }
        if std::thread::panicking() {
            return;
        }
        for (_, secret) in
            self.settings.iter().filter(|(name, _)| SECRET_SETTINGS.contains(&&**name))
        {
            secret.split(',').for_each(|secret| self.confides("a secret setting", secret));
        }
        let kept = if self.data().is_dir() { files(&self.data()) } else { Vec::new() };
        for file in kept.into_iter().chain([self.log_path()]) {
            // A file of the database may vanish while its process ends.
            let Ok(bytes) = std::fs::read(&file) else { continue };
            let found = self.secrets().found_in(&bytes);
            assert!(found.is_empty(), "{}: {found:?}", file.display());
        }
    }
}
