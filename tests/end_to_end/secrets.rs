//! Every kind of secret is used against the running server; none of them may be found afterwards where
//! people look: in the log, in errors, in the files of the database.

use goldenpath_tests::port::Port;
use goldenpath_tests::secrets::{Secrets, files};
use goldenpath_tests::server::{Server, binary};
use goldenpath_tests::socket::{Heard, Socket};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const JWT_SECRET: &str = "Zk3vQ9xL2mN8pR5tW7yB4cF6hJ1sD0gA";
const PREVIOUS_SECRET: &str = "Hq8tVb2KzX5nWc7LyR4mPd9FgJ3sTe6UaYoi";
const E2E_KEY: &str = "e2e-Xq7Lm2Vt9Rk4Ws8Yb3Nc6Df1";
const PASSWORD: &str = "Purple-Giraffe-Sings-4711";
const NEW_PASSWORD: &str = "Green-Walrus-Dances-0815";
const WRONG_PASSWORD: &str = "Wrong-Zebra-Whistles-9999";

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

//= specs/auth.md#auth-55
//= type=test
//# A password, token, ticket or key MUST NOT be found in a log, an error or a file of the database.
#[tokio::test]
async fn no_secret_is_found_in_a_log_an_error_or_a_file() {
    let metrics = Port::free();
    let metrics_address = metrics.to_string();
    let keys = Keys::new();
    let settings = [
        ("JWT_PREVIOUS_KEYS", PREVIOUS_SECRET),
        ("JWT_PREVIOUS_KEY_FILES", keys.previous.as_str()),
        ("ENVIRONMENT", "test"),
        ("GOLDENPATH_METRICS_LISTEN", metrics_address.as_str()),
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
        ("previous secret", PREVIOUS_SECRET),
    ] {
        desk.secrets.add(name, secret);
    }
    desk.secrets.pem("previous key", &std::fs::read_to_string(&keys.previous).unwrap());

    // Keys of before a rotation verify, and are used to.
    for (name, key) in
        [("JWT_SECRET_KEY", PREVIOUS_SECRET), ("JWT_PRIVATE_KEY_FILE", &keys.previous)]
    {
        let older = by_command_line(name, key).await;
        desk.secrets.token("token of a previous key", &older);
        let (status, me) = desk.server.get("/api/auth/me", &older).await;
        assert_eq!((status, &me["id"]), (StatusCode::OK, &json!("bob")), "{name}: {me}");
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
    // The device is sent along by who comes back, with the right password and with a wrong one, and so
    // is one that is not ours.
    let device = second["device"].as_str().expect("a device").to_owned();
    assert!(device.starts_with("gpd_"), "{device}");
    desk.secrets.add("device", device.clone());
    desk.secrets.add("first half of a device", &device[4..68]);
    let forged_device = format!("{}{}", &device[..device.len() - 8], "0123abcd");
    desk.secrets.add("forged device", forged_device.clone());
    for (password, device, expected) in [
        (PASSWORD, &device, StatusCode::OK),
        (WRONG_PASSWORD, &device, StatusCode::UNAUTHORIZED),
        (PASSWORD, &forged_device, StatusCode::OK),
    ] {
        let body = json!({"email": "ada@example.org", "password": password, "device": device});
        let (status, said) = desk.post("/auth/login", None, body).await;
        assert_eq!(status, expected, "{said}");
        if status.is_success() {
            desk.secrets.pair(&said);
            desk.secrets.add("device", said["device"].as_str().unwrap());
        }
    }
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
    assert_eq!((status, &changed["sessions_ended"]), (StatusCode::OK, &json!(3)), "{changed}");
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

/// A key that signs, and one that did; both in files.
struct Keys {
    folder: TempDir,
    signing: String,
    previous: String,
}

impl Keys {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let [signing, previous] = ["signing.pem", "previous.pem"].map(|name| {
            let path = folder.path().join(name);
            std::fs::write(&path, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
            path.display().to_string()
        });
        Self { folder, signing, previous }
    }
}

/// A token for bob, signed with this key.
async fn by_command_line(name: &str, key: &str) -> String {
    let output = Command::new(binary())
        .args(["token", "--user", "bob"])
        .env_clear()
        .env(name, key)
        .current_dir(std::env::temp_dir())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// AUTH-55 where a key in PEM signs and the server speaks TLS itself, with keys that are good, broken, and
/// put where the name of their file belongs.
#[tokio::test]
async fn no_key_in_pem_is_found_in_a_log_an_error_or_a_file() {
    let keys = Keys::new();
    let mut secrets = Secrets::default();
    let signing = std::fs::read_to_string(&keys.signing).unwrap();
    secrets.pem("signing key", &signing);
    secrets.pem("previous key", &std::fs::read_to_string(&keys.previous).unwrap());
    let settings = [
        ("JWT_PRIVATE_KEY_FILE", keys.signing.as_str()),
        ("JWT_PREVIOUS_KEY_FILES", keys.previous.as_str()),
        ("LOG_LEVEL", "trace,tungstenite=trace"),
    ];
    let mut server = Server::start(&["--agents", "bench"], &settings).await;
    let (token, _) = server.demo().await;
    secrets.token("access token", &token);
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    socket.ask("m1", "hello", None).await;
    socket.until("run_completed").await;
    let older = by_command_line("JWT_PRIVATE_KEY_FILE", &keys.previous).await;
    assert_eq!(server.get("/api/auth/me", &older).await.0, StatusCode::OK);
    let (_, shown) = server.call(Method::GET, "/.well-known/jwks.json", None, None).await;
    assert_eq!(shown["keys"].as_array().map(Vec::len), Some(2), "{shown}");
    assert_eq!(secrets.found_in(shown.to_string().as_bytes()), [""; 0]);
    server.terminate().await;
    let log = server.log();
    assert!(log.contains("serving") && log.contains("stopped"), "{log}");
    assert_eq!(secrets.found_in(log.as_bytes()), [""; 0]);
    for file in files(&server.data()) {
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(secrets.found_in(&bytes), [""; 0], "{}", file.display());
    }

    // The search itself can find something, in one line or in one piece.
    assert_eq!(secrets.found_in(signing.as_bytes()).len(), signing.lines().count() - 2);

    // What is wrong is told by its name: a key cut short, and one in place of its file's name.
    let cut = keys.folder.path().join("cut.pem");
    std::fs::write(&cut, &signing[..signing.len() - 60]).unwrap();
    let cut = cut.display().to_string();
    let oneline = signing.replace('\n', "\\n");
    let files = ["JWT_PRIVATE_KEY_FILE", "JWT_PREVIOUS_KEY_FILES", "TLS_CERT_FILE", "TLS_KEY_FILE"];
    for value in [&cut, &signing, &oneline] {
        for name in files {
            let both = [("TLS_CERT_FILE", value.as_str()), ("TLS_KEY_FILE", value.as_str())];
            let mut check = Command::new(binary());
            check.arg("check").env_clear().env(name, value).current_dir(keys.folder.path());
            if name.starts_with("TLS") {
                check.envs(both);
            }
            let output = check.output().await.unwrap();
            let said = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&said).into_owned();
            assert_eq!(output.status.code(), Some(78), "{name}: {text}");
            assert_eq!(secrets.found_in(&said), [""; 0], "{name}: {text}");
            assert!(text.contains(&name[..3]), "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn a_role_given_at_the_machine_counts_from_the_next_token_on() {
    let server = Server::bench().await;
    let body = json!({"email": "ada@example.org", "password": PASSWORD});
    let (_, pair) = server.call(Method::POST, "/auth/register", None, Some(body)).await;
    let token = |pair: &Value| pair["access_token"].as_str().expect("a token").to_owned();
    let path = "/api/admin/audit";
    assert_eq!(server.get(path, &token(&pair)).await.0, StatusCode::FORBIDDEN);
    let output = Command::new(binary())
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

/// Every suite relies on it.
#[tokio::test]
async fn a_server_that_keeps_what_it_was_told_in_confidence_is_found_out_by_any_test() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let signature = token.rsplit('.').next().unwrap();
    std::fs::write(server.data().join("notes"), format!("{{\"seen\":\"{signature}\"}}")).unwrap();
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(server)));
    let said = found.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("notes: [") && !said.contains(signature), "{said}");
}
