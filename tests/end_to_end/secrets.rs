//! Every kind of secret is used against the running server; none of them may be found afterwards where
//! people look: in the log, in errors, in the files of the database.

use goldenpath_tests::server::{Server, binary, free_port};
use goldenpath_tests::socket::{Heard, Socket};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::Path;

const JWT_SECRET: &str = "Zk3vQ9xL2mN8pR5tW7yB4cF6hJ1sD0gA";
const E2E_KEY: &str = "e2e-Xq7Lm2Vt9Rk4Ws8Yb3Nc6Df1";
const PASSWORD: &str = "Purple-Giraffe-Sings-4711";
const NEW_PASSWORD: &str = "Green-Walrus-Dances-0815";
const WRONG_PASSWORD: &str = "Wrong-Zebra-Whistles-9999";

/// What must not be found, by name.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, name: &'static str, secret: impl Into<String>) {
        self.0.push((name, secret.into()));
    }

    /// A pair of tokens: whole, and the parts that are secret by themselves.
    fn pair(&mut self, answer: &Value) -> (String, String) {
        let text = |member: &str| answer[member].as_str().expect("a pair").to_owned();
        let (access, refresh) = (text("access_token"), text("refresh_token"));
        self.token("access token", &access);
        self.add("refresh token", refresh.clone());
        let halves = refresh.strip_prefix("gpr_").expect("its prefix");
        self.add("first half of a refresh token", &halves[..64]);
        self.add("second half of a refresh token", &halves[64..]);
        (access, refresh)
    }

    fn token(&mut self, name: &'static str, token: &str) {
        self.add(name, token);
        let signature = token.rsplit('.').next().filter(|part| part.len() > 20);
        self.0.extend(signature.map(|signature| (name, signature.to_owned())));
    }

    /// Where one of them is.
    fn found_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let is_in = |secret: &str| bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        let found = self.0.iter().filter(|(_, secret)| is_in(secret));
        found.map(|(name, _)| *name).collect()
    }
}

/// A server, the secrets used so far, and the errors heard.
struct Desk {
    server: Server,
    secrets: Secrets,
    errors: Vec<String>,
}

impl Desk {
    async fn post(&mut self, path: &str, token: Option<&str>, body: Value) -> (StatusCode, Value) {
        let (status, body) = self.server.call(Method::POST, path, token, Some(body)).await;
        if !status.is_success() {
            self.errors.push(body.to_string());
        }
        (status, body)
    }

    async fn e2e(&mut self, key: &str, body: Value) -> (StatusCode, Value) {
        let url = self.server.url("/auth/e2e/test-auth");
        let request = self.server.http().post(url).header("X-E2E-Bypass-Key", key).json(&body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        if !status.is_success() {
            self.errors.push(body.to_string());
        }
        (status, body)
    }

    /// Opens a socket with these headers and keeps what a refusal says.
    async fn socket(&mut self, headers: &[(&str, &str)]) -> bool {
        match Socket::open(&self.server, headers).await {
            Ok(mut socket) => {
                let first = match socket.hear().await {
                    Heard::Frame(frame) => frame,
                    other => panic!("nothing was said: {other:?}"),
                };
                if first["type"] != "error" {
                    socket.close().await;
                    return true;
                }
                let (frames, close) = socket.rest().await;
                self.errors.push(first.to_string());
                self.errors.extend(frames.iter().map(Value::to_string));
                self.errors.extend(close.map(|(code, reason)| format!("{code} {reason}")));
                false
            }
            Err(refused) => {
                self.errors.push(refused.body);
                false
            }
        }
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

//= specs/auth.md#auth-55
//= type=test
//# A password, token, ticket or key MUST NOT be found in a log, an error or a file of the database.
#[tokio::test]
async fn no_secret_is_found_in_a_log_an_error_or_a_file() {
    let metrics = format!("127.0.0.1:{}", free_port());
    let settings = [
        ("ENVIRONMENT", "test"),
        ("GOLDENPATH_METRICS_LISTEN", metrics.as_str()),
        ("JWT_SECRET_KEY", JWT_SECRET),
        ("E2E_OAUTH_SIMULATION_KEY", E2E_KEY),
        ("LOG_LEVEL", "trace,tungstenite=trace"),
    ];
    let server = Server::start(&["--agents", "bench"], &settings).await;
    let mut desk = Desk { server, secrets: Secrets::default(), errors: Vec::new() };
    for (name, secret) in [
        ("JWT secret", JWT_SECRET),
        ("E2E key", E2E_KEY),
        ("password", PASSWORD),
        ("new password", NEW_PASSWORD),
        ("wrong password", WRONG_PASSWORD),
    ] {
        desk.secrets.add(name, secret);
    }

    // Log-ins, good and bad; a password in the field of the address, too.
    let account = json!({"email": "ada@example.org", "password": PASSWORD});
    let (status, first) = desk.post("/api/auth/register", None, account.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{first}");
    let (access, refresh) = desk.secrets.pair(&first);
    desk.post("/api/auth/register", None, account.clone()).await;
    let (status, second) = desk.post("/auth/login", None, account).await;
    assert_eq!(status, StatusCode::OK, "{second}");
    let (other_access, _) = desk.secrets.pair(&second);
    for (email, password) in
        [("ada@example.org", WRONG_PASSWORD), (WRONG_PASSWORD, PASSWORD), (PASSWORD, "")]
    {
        let body = json!({"email": email, "password": password});
        assert!(desk.post("/auth/login", None, body).await.0.is_client_error());
    }
    let (_, demo) = desk.post("/api/auth/demo", None, json!({})).await;
    desk.secrets.pair(&demo);
    let (_, dev) = desk.post("/auth/dev/login", None, json!({})).await;
    desk.secrets.pair(&dev);

    // The E2E key, right and wrong.
    let tester = json!({"email": "t@example.org", "permissions": ["audit:read"]});
    let (status, test) = desk.e2e(E2E_KEY, tester.clone()).await;
    assert_eq!(status, StatusCode::OK, "{test}");
    let (auditor, _) = desk.secrets.pair(&test);
    let wrong_key = format!("{E2E_KEY}x");
    assert_eq!(desk.e2e(&wrong_key, tester).await.0, StatusCode::UNAUTHORIZED);

    // Refreshing, changing the password, a ticket.
    let (status, renewed) =
        desk.post("/auth/refresh", None, json!({"refresh_token": refresh})).await;
    assert_eq!(status, StatusCode::OK, "{renewed}");
    let (access_2, refresh_2) = desk.secrets.pair(&renewed);
    let change = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
    let (status, changed) = desk.post("/api/auth/password", Some(&access_2), change.clone()).await;
    assert_eq!((status, &changed["sessions_ended"]), (StatusCode::OK, &json!(1)), "{changed}");
    desk.post("/api/auth/password", Some(&access_2), change).await;
    let (_, ticket) = desk.post("/api/auth/ticket", Some(&access_2), json!({})).await;
    let ticket = ticket["ticket"].as_str().expect("a ticket").to_owned();
    desk.secrets.add("ticket", ticket.clone());

    // Sockets, by each place; then hostile tokens by each.
    let bearer = format!("Bearer {access_2}");
    assert!(desk.socket(&[("Authorization", &bearer)]).await);
    let offered = format!("golden.v1, jwt.{access_2}");
    assert!(desk.socket(&[("Sec-WebSocket-Protocol", &offered)]).await);
    for query in ["", "&"] {
        let url = format!("{}?ticket={ticket}{query}", desk.server.ws_url());
        let opened = Socket::try_open(&url, &[]).await;
        assert_eq!(opened.is_some(), query.is_empty(), "a ticket is good once");
    }
    let unsigned = access_2.rsplit_once('.').expect("three parts").0.to_owned() + ".";
    let forged = format!("{unsigned}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    desk.secrets.add("unsigned token", unsigned.clone());
    desk.secrets.add("forged token", forged.clone());
    for hostile in [&unsigned, &forged, &other_access, &refresh_2] {
        let (status, _) = desk.post("/api/auth/ticket", Some(hostile), json!({})).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        desk.post("/auth/validate", None, json!({"token": hostile})).await;
        desk.post("/auth/refresh", None, json!({"token": hostile.replace("gpr_", "gps_")})).await;
        let bearer = format!("Bearer {hostile}");
        desk.socket(&[("Authorization", &bearer)]).await;
        let offered = format!("golden.v1, jwt.{hostile}");
        desk.socket(&[("Sec-WebSocket-Protocol", &offered)]).await;
        let mut socket =
            Socket::open(&desk.server, &[("Sec-WebSocket-Protocol", "golden.v1")]).await.unwrap();
        socket.say("auth", json!({"token": hostile})).await;
        let (frames, _) = socket.rest().await;
        desk.errors.extend(frames.iter().map(Value::to_string));
    }
    // A token in the address is no credential, and is not repeated either.
    desk.server.call(Method::GET, &format!("/api/nowhere?token={access_2}"), None, None).await;

    // Reuse, and the end of everything.
    let (status, reused) = desk.post("/auth/refresh", None, json!({"token": refresh})).await;
    assert!(status.is_success() || reused["code"] == "token_revoked", "{reused}");
    if status.is_success() {
        desk.secrets.pair(&reused);
        // Within the grace it is the same answer; once that was used, it is somebody else's.
        let (_, next) = desk.post("/auth/refresh", None, json!({"token": refresh_2})).await;
        desk.secrets.pair(&next);
        let (_, again) = desk.post("/auth/refresh", None, json!({"token": refresh})).await;
        assert_eq!(again["code"], "token_revoked", "{again}");
    }
    desk.post("/auth/logout", Some(&access), json!({"refresh_token": refresh_2})).await;
    let (status, audit) = desk.server.get("/api/admin/audit?limit=500", &auditor).await;
    assert_eq!(status, StatusCode::OK, "{audit}");
    let records = audit["records"].as_array().expect("records");
    let is = |record: &Value, action: &str, method: &str| {
        record["action"] == action && record["method"] == method
    };
    for (action, method) in [
        ("register", "password"),
        ("log_in", "password"),
        ("log_in", "demo"),
        ("log_in", "dev"),
        ("log_in", "e2e"),
        ("refresh", "refresh"),
        ("reuse", "refresh"),
        ("password", "password"),
        ("socket", "header"),
        ("socket", "subprotocol"),
        ("socket", "ticket"),
        ("socket", "frame"),
    ] {
        assert!(records.iter().any(|r| is(r, action, method)), "{action} {method} in {audit}");
    }

    let shown = reqwest::get(format!("http://{metrics}/metrics")).await.unwrap();
    let shown = shown.text().await.unwrap();

    // The search itself can find something.
    assert_eq!(desk.secrets.found_in(format!("x{PASSWORD}y").as_bytes()), ["password"]);
    let Desk { mut server, secrets, errors } = desk;
    assert!(errors.len() > 20, "{}", errors.len());
    for error in &errors {
        assert_eq!(secrets.found_in(error.as_bytes()), [""; 0], "{error}");
    }
    assert_eq!(secrets.found_in(audit.to_string().as_bytes()), [""; 0]);
    assert!(shown.contains("goldenpath_bypass_uses_total{method=\"e2e\""), "{shown}");
    assert_eq!(secrets.found_in(shown.as_bytes()), [""; 0], "{shown}");
    // Whom and what the audit log names, the metrics do not.
    let mut names = vec!["ada".to_owned(), "127.0.0.1".to_owned(), "example.org".to_owned()];
    for record in records {
        let members = ["user_id", "session_id", "place"];
        names.extend(members.iter().filter_map(|m| record[*m].as_str().map(str::to_owned)));
    }
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(!shown.contains(&name), "{name} in {shown}");
    }
    // As kill -9 would leave the files, and after an orderly end.
    for round in ["running", "stopped"] {
        let found = files(&server.data());
        assert!(found.iter().any(|file| file.ends_with("goldenpath.db")), "{found:?}");
        for file in found {
            let bytes = std::fs::read(&file).unwrap();
            assert_eq!(secrets.found_in(&bytes), [""; 0], "{} {round}", file.display());
        }
        if round == "running" {
            server.terminate().await;
        }
    }
    let log = server.log();
    assert!(log.contains("refused"), "{log}");
    assert_eq!(secrets.found_in(log.as_bytes()), [""; 0]);
}

#[tokio::test]
async fn a_role_given_at_the_machine_counts_from_the_next_token_on() {
    let server = Server::bench().await;
    let body = json!({"email": "ada@example.org", "password": PASSWORD});
    let (_, pair) = server.call(Method::POST, "/auth/register", None, Some(body)).await;
    let token = |pair: &Value| pair["access_token"].as_str().expect("a token").to_owned();
    let path = "/api/admin/audit";
    assert_eq!(server.get(path, &token(&pair)).await.0, StatusCode::FORBIDDEN);
    let output = tokio::process::Command::new(binary())
        .args(["role", "--email", "Ada@Example.org", "auditor", "--data"])
        .arg(server.data())
        .env_clear()
        .output();
    let output = output.await.expect("the command runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("audit:read"), "{said}");
    assert_eq!(server.get(path, &token(&pair)).await.0, StatusCode::FORBIDDEN, "the same token");
    let body = json!({"refresh_token": pair["refresh_token"]});
    let (status, pair) = server.call(Method::POST, "/auth/refresh", None, Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{pair}");
    assert_eq!(server.get(path, &token(&pair)).await.0, StatusCode::OK);
}
