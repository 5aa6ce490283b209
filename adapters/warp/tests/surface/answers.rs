//! The shapes of answers, good and bad.

use crate::rig::{Reply, Rig, Wishes, rig};
use goldenpath_core::handshake::Origins;
use goldenpath_warp::Phase;
use serde_json::{Value, json};

/// What differs from run to run is replaced by its kind.
fn plain(mut value: Value) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match name.as_str() {
                        "duration_ms" if member.is_number() => *member = "[millis]".into(),
                        "epoch" => *member = "[epoch]".into(),
                        _ => walk(member),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            Value::String(text) => {
                let kinds =
                    ["thr_", "run_", "msg_", "req_", "evt_", "gpd_", "gpr_", "demo-user-", "user-"];
                if let Some(kind) = kinds.iter().find(|kind| text.starts_with(**kind)) {
                    *text = format!("[{kind}]");
                } else if text.len() == 24 && text.ends_with('Z') {
                    *text = "[time]".into();
                } else if text.len() > 150 {
                    *text = "[long]".into();
                }
            }
            Value::Number(number) if number.as_u64().is_some_and(|n| n > 1_000_000_000) => {
                *value = "[millis]".into();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    walk(&mut value);
    value
}

fn shown(reply: &Reply) -> Value {
    json!({
        "status": reply.status(),
        "content-type": reply.header("content-type"),
        "body": plain(reply.json()),
    })
}

async fn wait_for_run(rig: &Rig, token: &str, run: &str) -> Value {
    let deadline = std::time::Instant::now() + crate::rig::PATIENCE;
    loop {
        let reply = rig.call("GET", &format!("/api/runs/{run}"), Some(token)).await;
        if reply.json()["ended_at"].is_string() {
            return reply.json();
        }
        assert!(std::time::Instant::now() < deadline, "{reply:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn every_answer_has_its_shape() {
    let rig = rig(Wishes::default()).await;
    let secret = rig.token().await;
    let token = Some(secret.as_str());
    let say = json!({ "content": "Analyze my AI costs", "client_msg_id": "m1" }).to_string();
    let said = rig.send("POST", "/api/messages", token, &say).await;
    let (thread, run) = (said.json()["thread_id"].clone(), said.json()["run_id"].clone());
    let (thread, run) = (thread.as_str().unwrap(), run.as_str().unwrap());
    wait_for_run(&rig, &secret, run).await;
    let register = json!({"email": "Ada@Example.org", "password": "correct horse"}).to_string();
    let mut all = vec![
        ("GET /health", rig.call("GET", "/health", None).await),
        ("GET /health/ready", rig.call("GET", "/health/ready", None).await),
        ("GET /api/health", rig.call("GET", "/api/health", None).await),
        ("GET /api/config", rig.call("GET", "/api/config", None).await),
        ("POST /api/auth/demo", rig.call("POST", "/api/auth/demo", None).await),
        ("POST /api/auth/register", rig.send("POST", "/api/auth/register", None, &register).await),
        ("POST /api/auth/login", rig.send("POST", "/api/auth/login", None, &register).await),
        ("GET /api/auth/me", rig.call("GET", "/api/auth/me", token).await),
        ("POST /api/auth/ticket", rig.call("POST", "/api/auth/ticket", token).await),
        ("POST /api/messages", said),
        ("the same message again", rig.send("POST", "/api/messages", token, &say).await),
        ("POST /api/threads", rig.send("POST", "/api/threads", token, r#"{"title":"New"}"#).await),
        ("GET /api/events/info", rig.call("GET", "/api/events/info", None).await),
        ("GET /api/events/stream", rig.call("GET", "/api/events/stream", None).await),
        ("GET /api/usage/summary", rig.call("GET", "/api/usage/summary", token).await),
        (
            "POST /api/usage/import",
            rig.send("POST", "/api/usage/import?dry_run=true", token, "a,b\n1,2\n").await,
        ),
    ];
    for path in ["", "/messages", "/log?limit=2"] {
        let path = format!("/api/threads/{thread}{path}");
        all.push(("of a thread", rig.call("GET", &path, token).await));
    }
    all.push(("GET /api/runs/{id}", rig.call("GET", &format!("/api/runs/{run}"), token).await));
    let rename = r#"{"title":"Renamed"}"#;
    let path = format!("/api/threads/{thread}");
    all.push(("PATCH a thread", rig.send("PATCH", &path, token, rename).await));
    all.push(("DELETE a thread", rig.call("DELETE", &path, token).await));
    all.push(("GET /api/threads", rig.call("GET", "/api/threads", token).await));
    all.push(("POST /api/auth/logout", rig.call("POST", "/api/auth/logout", token).await));
    all.push(("after the log-out", rig.call("GET", "/api/auth/me", token).await));
    let all: Vec<Value> =
        all.iter().map(|(name, reply)| json!({ "ask": name, "answer": shown(reply) })).collect();
    insta::assert_json_snapshot!(all);
}

//= specs/wire.md#wire-12
//= type=test
//# Every refusal over HTTP MUST be a problem with a code, a reason and words for the user.
#[tokio::test]
async fn every_refusal_has_a_code_and_says_why() {
    let rig = rig(Wishes { demo: false, ..Wishes::default() }).await;
    let user = json!({"email": "ada@example.org", "password": "correct horse"}).to_string();
    let token = rig.send("POST", "/api/auth/register", None, &user).await.json();
    let token = token["access_token"].as_str();
    let wrong = json!({"email": "ada@example.org", "password": "wrong horse"}).to_string();
    let other = "thr_00000000000000000000000009";
    let long = json!({ "content": "x".repeat(8001) }).to_string();
    let huge = "x".repeat(70_000);
    let thread = format!("/api/threads/{other}");
    let asks: [(&str, &str, Option<&str>, &str); 25] = [
        ("GET", "/nothing", None, ""),
        ("GET", "/api/nothing", token, ""),
        ("POST", "/health", None, ""),
        ("DELETE", "/api/threads", token, ""),
        ("PUT", "/", None, ""),
        ("GET", "/api/threads", None, ""),
        ("GET", "/api/threads", Some("nonsense"), ""),
        ("GET", "/api/threads?limit=many", token, ""),
        ("GET", "/api/threads?cursor=nonsense", token, ""),
        ("GET", &thread, token, ""),
        ("GET", "/api/threads/nonsense", token, ""),
        ("PATCH", &thread, token, r#"{"title":"x"}"#),
        ("PATCH", &thread, token, r#"{"title":" "}"#),
        ("DELETE", &thread, token, ""),
        ("POST", "/api/messages", token, "{"),
        ("POST", "/api/messages", token, r#"{"content":7}"#),
        ("POST", "/api/messages", token, r#"{"content":" "}"#),
        ("POST", "/api/messages", token, &long),
        ("POST", "/api/messages", token, &huge),
        ("POST", "/api/runs/run_00000000000000000000000009/cancel", token, ""),
        ("GET", "/api/runs/run_00000000000000000000000009/artifacts/report.svg", token, ""),
        ("POST", "/api/auth/demo", None, ""),
        ("POST", "/api/auth/login", None, &wrong),
        ("POST", "/api/auth/register", None, &user),
        ("POST", "/api/auth/login", None, r#"{"email":""}"#),
    ];
    let mut all = Vec::new();
    for (method, path, token, body) in asks {
        let reply = rig.send(method, path, token, body).await;
        let value = reply.json();
        for member in ["code", "title", "detail", "message", "user_message"] {
            assert!(value[member].as_str().is_some_and(|text| !text.is_empty()), "{path}: {value}");
        }
        assert_eq!(value["status"], json!(reply.status()));
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert_eq!(value["request_id"].as_str(), reply.header("x-request-id"));
        let body: String = body.chars().take(40).collect();
        let ask = format!("{method} {path} {body}");
        all.push(json!([ask.trim(), reply.status(), value["code"], value["detail"]]));
    }
    insta::assert_json_snapshot!(all);
}

//= specs/auth.md#auth-90
//= type=test
//# A refusal of a body that is not of the agreed shape MUST NOT repeat a value of it.
#[tokio::test]
async fn a_refusal_repeats_no_secret_of_the_wrong_kind() {
    let rig = rig(Wishes { demo: false, ..Wishes::default() }).await;
    let secret = "4711081542";
    let (number, text) = (secret.to_owned(), format!("\"{secret}\""));
    let of = |value: &str| format!(r#"{{"email":"a@b.example","password":{value}}}"#);
    let list = format!("[{number}]");
    let object = format!(r#"{{"{secret}":{text}}}"#);
    let bodies = [
        of(&number),
        of(&format!("{number}.5")),
        of(&format!("-{number}")),
        of(&list),
        of(&object),
        of("true"),
        of("null"),
        number.clone(),
        text.clone(),
        format!(r#"{{"email":{number},"password":{text}}}"#),
        format!(r#"{{"email":{text}}}"#),
        format!(r#"{{"password":{text},"password":{text}}}"#),
        format!(r#"{{"password":{text}"#),
        format!(r#"{{"password":{number}x}}"#),
        format!(r#"{{"password":"{secret}\q"}}"#),
    ];
    let account = json!({"email": "ada@example.org", "password": "correct horse"}).to_string();
    let pair = rig.send("POST", "/api/auth/register", None, &account).await.json();
    let token = pair["access_token"].as_str().unwrap();
    for path in ["/api/auth/register", "/api/auth/login", "/auth/login", "/api/auth/password"] {
        for body in &bodies {
            let reply = rig.send("POST", path, Some(token), body).await;
            let said = reply.json();
            assert!([400, 422].contains(&reply.status()), "{path} {body}: {said}");
            assert!(!said.to_string().contains(secret), "{path} {body}: {said}");
            let detail = said["detail"].as_str().unwrap();
            assert!(!detail.contains("true") && !detail.contains("null"), "{path} {body}: {said}");
        }
    }
    for (body, detail) in [
        (of(&number), "a value is not of the kind it must be, at line 1 column 44"),
        (r#"{"email":"a","email":"b"}"#.to_owned(), "duplicate field `email` at line 1 column "),
    ] {
        let said = rig.send("POST", "/api/auth/login", None, &body).await.json();
        assert!(said["detail"].as_str().unwrap().starts_with(detail), "{body}: {said}");
    }
}

#[tokio::test]
async fn f13_what_starts_and_what_drains_says_so() {
    let rig = rig(Wishes::default()).await;
    let mut all = Vec::new();
    for phase in [Phase::Starting, Phase::Serving] {
        rig.condition.set(phase);
        for path in ["/health", "/health/live", "/health/ready", "/health/startup", "/api/health"] {
            let reply = rig.call("GET", path, None).await;
            all.push(json!([phase.as_str(), path, reply.status(), reply.header("retry-after")]));
        }
    }
    insta::assert_json_snapshot!(all);
}

#[tokio::test]
async fn a_head_request_has_no_body_and_the_page_is_not_sent_twice() {
    let rig = rig(Wishes::default()).await;
    let head = rig.call("HEAD", "/health", None).await;
    assert_eq!((head.status(), head.body.as_str()), (200, ""));
    let page = rig.call("GET", "/", None).await;
    assert!(page.body.starts_with("<!doctype html>"), "{}", page.head);
    let tag = page.header("etag").unwrap();
    let again = rig
        .exchange(&format!(
            "GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag}\r\nConnection: close\r\n\r\n"
        ))
        .await;
    assert_eq!((again.status(), again.body.as_str()), (304, ""));
    for path in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/app/../../Cargo.toml", "/app"] {
        assert_eq!(rig.call("GET", path, None).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn only_a_listed_page_may_read_answers() {
    let origins = Origins::Listed(vec!["https://chat.example".into()]);
    let rig = rig(Wishes { origins, ..Wishes::default() }).await;
    for (origin, allowed) in
        [("https://chat.example", Some("https://chat.example")), ("https://evil.example", None)]
    {
        for ask in [
            format!("GET /api/config HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\n"),
            format!(
                "OPTIONS /api/threads HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n"
            ),
        ] {
            let reply = rig.exchange(&format!("{ask}Connection: close\r\n\r\n")).await;
            assert_eq!(reply.header("access-control-allow-origin"), allowed, "{ask}");
            assert_eq!(reply.header("vary"), Some("Origin"));
        }
    }
    // What is kept of an answer to nobody's page must not be given to a page.
    for path in ["/api/config", "/", "/nothing"] {
        let reply = rig.call("GET", path, None).await;
        assert_eq!(reply.header("access-control-allow-origin"), None, "{path}");
        assert_eq!(reply.header("vary"), Some("Origin"), "{path}");
    }
}

//= specs/auth.md#auth-19
//= type=test
//# Tries at a password MUST be limited for each account and client, and MUST NOT lock out other
//# accounts.
#[tokio::test]
async fn tries_at_a_password_are_counted_for_one_account_only() {
    let rig = rig(Wishes::default()).await;
    let wrong = |email: &str| json!({"email": email, "password": "wrong horse"}).to_string();
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let reply = rig.send("POST", "/api/auth/login", None, &wrong("ada@example.org")).await;
        statuses.push(reply.status());
    }
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[11], 429);
    let other = rig.send("POST", "/api/auth/login", None, &wrong("bob@example.org")).await;
    assert_eq!(other.status(), 401, "F18: nobody else is locked out");
}
