//! The HTTP surface of the replaced system, as its clients use it.

use crate::rig::{Reply, Rig, Wishes, rig};
use crate::sockets::connect;
use goldenpath_core::edge::EdgeLimits;
use goldenpath_core::limits::Limits;
use goldenpath_core::time::Millis;
use goldenpath_warp::Phase;
use serde_json::{Value, json};

/// A user of demo mode and a run of theirs that has ended.
struct User {
    token: String,
    answer: Value,
}

async fn asked(rig: &Rig, question: &str) -> User {
    let token = rig.token().await;
    let body = json!({ "type": "supervisor", "message": question, "context": {"from": "test"} });
    let reply = rig.send("POST", "/api/agents/execute", Some(&token), &body.to_string()).await;
    assert_eq!(reply.status(), 200, "{reply:?}");
    User { token, answer: reply.json() }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}")).to_owned()
}

fn has(value: &Value, names: &[&str]) {
    for name in names {
        assert!(!value[*name].is_null(), "{name} in {value}");
    }
}

//= specs/wire.md#wire-64
//= type=test
//# An agent asked over HTTP MUST answer with the end of a real run, or say `timeout` while the run
//# goes on.
#[tokio::test]
async fn an_agent_asked_over_http_answers_with_the_end_of_a_run() {
    let rig = rig(Wishes::default()).await;
    let ada = asked(&rig, "Analyze my AI costs").await;
    let answer = &ada.answer;
    assert_eq!((&answer["status"], &answer["agent"]), (&json!("success"), &json!("supervisor")));
    assert!(answer["execution_time"].is_f64() && answer.get("error").is_none(), "{answer}");
    let run = format!("/api/runs/{}", text(answer, "run_id"));
    let run = rig.call("GET", &run, Some(&ada.token)).await.json();
    assert_eq!(run["status"], "completed");
    let thread = format!("/api/threads/{}/messages", text(answer, "thread_id"));
    let said = rig.call("GET", &thread, Some(&ada.token)).await.json();
    assert_eq!(said["messages"][1]["content"], answer["response"]);
    assert_eq!(said["messages"][0]["metadata"], json!({"from": "test"}));
    for kind in ["triage", "data", "optimization"] {
        let path = format!("/api/agents/{kind}");
        let reply = rig.send("POST", &path, Some(&ada.token), r#"{"message":"hello"}"#).await;
        let answer = reply.json();
        assert_eq!((&answer["status"], &answer["agent"]), (&json!("success"), &json!(kind)));
        assert!(answer["response"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    }
    let body = r#"{"type":"data","message":"hello","timeout_ms":0}"#;
    let waiting = rig.send("POST", "/api/agents/execute", Some(&ada.token), body).await.json();
    if waiting["status"] != "success" {
        assert_eq!(waiting["status"], "timeout", "{waiting}");
        has(&waiting, &["error", "run_id", "thread_id", "execution_time"]);
    }
}

/// What runs out of time is said to have, and an impatient caller is told while the run goes on.
#[tokio::test]
async fn a_run_out_of_time_is_answered_as_a_timeout() {
    let limits = Limits { run_timeout: Millis(200), ..Limits::default() };
    let team = goldenpath_agents::scripted::team;
    let rig = rig(Wishes { limits, team, ..Wishes::default() }).await;
    let ada = asked(&rig, "data 1 hang").await;
    assert_eq!(ada.answer["status"], "timeout", "{}", ada.answer);
    assert!(ada.answer["error"].is_string());
}

//= specs/wire.md#wire-67
//= type=test
//# An address told to an older client MUST be `https` and `wss` when the client came that way,
//# through a trusted proxy too.
#[tokio::test]
async fn addresses_are_encrypted_ones_when_the_client_came_that_way() {
    for (trusted, said, scheme) in [
        (true, "https", "https"),
        (true, "http", "http"),
        (true, "HTTPS, http", "http"),
        (false, "https", "http"),
    ] {
        let mut edge = EdgeLimits::unbounded();
        if trusted {
            edge.trusted_proxies.push("127.0.0.0/8".parse().unwrap());
        }
        let rig = rig(Wishes { edge, ..Wishes::default() }).await;
        for path in ["/api/discovery/services", "/api/mcp/config"] {
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: chat.example\r\nX-Forwarded-Proto: {said}\r\nConnection: close\r\n\r\n"
            );
            let body = rig.exchange(&head).await.json().to_string();
            let websocket = scheme.replace("http", "ws");
            assert!(body.contains(&format!("\"{scheme}://chat.example/api")), "{said} {body}");
            assert!(body.contains(&format!("\"{websocket}://chat.example/ws")), "{said} {body}");
            let port = if scheme == "https" { "\"port\":443" } else { "\"port\":80" };
            assert_eq!(body.contains(port), path.contains("discovery"), "{body}");
        }
    }
}

//= specs/wire.md#wire-68
//= type=test
//# A thread named to an older client MUST read as empty until its first message, and only to the
//# user it was named to.
#[tokio::test]
async fn a_thread_of_the_handshake_is_empty_until_it_is_begun_and_nobody_elses() {
    let rig = rig(Wishes::default()).await;
    let (ada, bob) = (rig.token().await, rig.token().await);
    let bearer = format!("Bearer {ada}");
    let mut client = connect(&rig, "/ws", &[("Authorization", &bearer)]).await.unwrap();
    let thread = loop {
        let frame = client.hear().await.unwrap();
        if frame["type"] == "handshake_response" {
            break frame["thread_id"].as_str().unwrap().to_owned();
        }
    };
    let paths = [
        format!("/api/threads/{thread}"),
        format!("/api/threads/{thread}/messages"),
        format!("/api/chat/messages?thread_id={thread}"),
    ];
    for path in &paths {
        let reply = rig.call("GET", path, Some(&ada)).await;
        assert_eq!(reply.status(), 200, "{path}");
        let body = reply.json();
        let empty = body["message_count"] == 0 || body["messages"] == json!([]);
        assert!(empty, "{path} {body}");
        assert_eq!(rig.call("GET", path, Some(&bob)).await.status(), 404, "{path}");
    }
    drop(client);
    // Nobody can begin it any more.
    for path in &paths {
        while rig.call("GET", path, Some(&ada)).await.status() != 404 {}
    }
}

/// F44: what is not whole does not say it is.
#[tokio::test]
async fn a_part_that_is_lost_is_said_on_every_page_about_health() {
    let rig = rig(Wishes::default()).await;
    let lost = [String::from("storage")];
    rig.connections.registry.service_status(&lost);
    for path in ["/health", "/api/health", "/ws/health"] {
        let reply = rig.call("GET", path, None).await;
        let body = reply.json();
        assert_eq!((reply.status(), &body["status"]), (200, &json!("degraded")), "{path}");
        assert_eq!(body["degraded"], json!(lost), "{path}");
    }
    let ready = rig.call("GET", "/health/ready", None).await;
    let body = ready.json();
    assert_eq!((ready.status(), &body["status"]), (503, &json!("unhealthy")));
    assert_eq!(body["startup_in_progress"], false);
    has(&body, &["message", "details"]);
    has(&body["details"], &["phase", "progress"]);
    assert_eq!(rig.call("GET", "/health/live", None).await.status(), 200, "it is alive");
    rig.connections.registry.service_status(&[]);
    for path in ["/health", "/api/health", "/ws/health", "/health/ready"] {
        assert_eq!(get(&rig, path, None).await["status"], "healthy", "{path}");
    }
}

//= specs/wire.md#wire-63
//= type=test
//# Every address of the older HTTP surface MUST answer in its shape.
#[tokio::test]
async fn every_address_answers_in_its_shape() {
    let rig = rig(Wishes::default()).await;
    let ada = asked(&rig, "Analyze my AI costs").await;
    let token = Some(ada.token.as_str());
    for path in ["/health", "/api/health"] {
        has(&get(&rig, path, None).await, &["status", "service", "version", "timestamp"]);
        assert_eq!(rig.call("HEAD", path, None).await.status(), 200);
    }
    for path in ["/health/live", "/health/ready", "/health/startup", "/ws/health"] {
        assert_eq!(get(&rig, path, None).await["status"], "healthy", "{path}");
    }
    let services = get(&rig, "/api/discovery/services", None).await;
    assert_eq!(services["available"], json!(["auth", "backend", "frontend"]));
    for name in ["backend", "frontend", "auth"] {
        let service = &services["services"][name];
        has(service, &["port", "timestamp"]);
        assert_eq!(service["url"], "http://localhost");
        assert_eq!(service["api_url"], "http://localhost/api");
        assert_eq!(service["ws_url"], "ws://localhost/ws");
    }
    let servers = get(&rig, "/api/mcp/servers", None).await;
    assert_eq!(
        (&servers["status"], &servers["data"][0]["status"]),
        (&json!("success"), &json!("connected"))
    );
    has(&servers["data"][0], &["name", "version", "description"]);
    has(&servers["data"][0]["capabilities"], &["tools", "resources", "prompts"]);
    let config = get(&rig, "/api/mcp/config", None).await;
    has(&config, &["claude", "cursor", "mcp", "http", "websocket"]);
    let sockets = get(&rig, "/ws/config", None).await["websocket_config"].clone();
    assert_eq!(sockets["max_message_size"], 8192);
    for (name, seconds) in [
        ("heartbeat_interval", 25),
        ("heartbeat_timeout", 75),
        ("connection_timeout", 3300),
        ("authentication_timeout", 10),
    ] {
        assert_eq!(sockets[name], seconds, "{name}");
    }
    let stats = get(&rig, "/ws/stats", None).await;
    assert_eq!(stats["active_connections"], 0);
    let events = get(&rig, "/api/events/info", None).await;
    assert_eq!(events["url"], "/api/events/stream");

    let runs = get(&rig, "/api/agents/status", token).await;
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
    has(
        &runs[0],
        &["agent_id", "status", "agent_type", "start_time", "last_activity", "message_count"],
    );
    let start = r#"{"agent_type":"data","message":"hello"}"#;
    let started = rig.send("POST", "/api/agents/start", token, start).await.json();
    has(&started, &["agent_id", "timestamp", "message"]);
    assert_eq!((&started["success"], &started["action"]), (&json!(true), &json!("start")));
    messages(&rig, token, &text(&ada.answer, "thread_id")).await;
}

async fn messages(rig: &Rig, token: Option<&str>, thread: &str) {
    let body = json!({ "content": "and now?", "thread_id": thread, "message_type": "user", "metadata": {"a": 1} });
    let made = rig.send("POST", "/api/chat/messages", token, &body.to_string()).await;
    assert_eq!((made.status(), &made.json()["status"]), (201, &json!("created")));
    let message = made.json()["message"].clone();
    has(&message, &["id", "created_at", "run_id", "message_type"]);
    assert_eq!((&message["content"], &message["role"]), (&json!("and now?"), &json!("user")));
    assert_eq!((&message["thread_id"], &message["metadata"]), (&json!(thread), &json!({"a": 1})));
    let path = format!("/api/chat/messages?thread_id={thread}&page_size=2");
    let first = get(rig, &path, token).await;
    assert_eq!(first["messages"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&first["page"], &first["page_size"], &first["has_more"]),
        (&json!(1), &json!(2), &json!(true))
    );
    assert!(first["total_count"].as_u64() >= Some(3), "{first}");
    let second = get(rig, &format!("{path}&page=2"), token).await;
    assert_eq!(second["messages"][0]["id"], message["id"]);
    let newest = get(rig, "/api/chat/messages", token).await;
    assert!(newest["thread_id"].is_string());

    let say = r#"{"message":"once more","metadata":{"b":2}}"#;
    let said =
        rig.send("POST", &format!("/api/threads/{thread}/messages"), token, say).await.json();
    has(&said, &["id", "thread_id", "created_at"]);
    assert_eq!((&said["content"], &said["role"]), (&json!("once more"), &json!("user")));
    let thread = get(rig, &format!("/api/threads/{thread}"), token).await;
    assert_eq!(thread["object"], "thread");
    has(&thread, &["id", "title", "created_at", "updated_at", "metadata", "message_count"]);
}

async fn get(rig: &Rig, path: &str, token: Option<&str>) -> Value {
    let reply = rig.call("GET", path, token).await;
    assert_eq!(reply.status(), 200, "{path}: {reply:?}");
    reply.json()
}

//= specs/wire.md#wire-65
//= type=test
//# The older HTTP surface MUST show nothing of another user, and MUST answer for an id of theirs as
//# for one that does not exist.
#[tokio::test]
async fn nothing_of_another_user_is_shown() {
    let rig = rig(Wishes::default()).await;
    let ada = asked(&rig, "secret of ada").await;
    let eve = asked(&rig, "secret of eve").await;
    let token = Some(eve.token.as_str());
    for path in ["/api/agents/status", "/api/chat/messages", "/api/threads", "/ws/stats"] {
        let seen = rig.call("GET", path, token).await;
        assert_eq!(seen.status(), 200, "{path}");
        for foreign in
            ["secret of ada", &text(&ada.answer, "run_id"), &text(&ada.answer, "thread_id")]
        {
            assert!(!seen.body.contains(foreign), "{path}: {}", seen.body);
        }
    }
    let tried = |run: &str, thread: &str| {
        vec![
            ("POST", "/api/agents/stop".to_owned(), json!({ "agent_id": run })),
            ("POST", "/api/agents/cancel".to_owned(), json!({ "run_id": run })),
            ("GET", format!("/api/chat/messages?thread_id={thread}"), Value::Null),
            (
                "POST",
                "/api/chat/messages".to_owned(),
                json!({ "content": "x", "thread_id": thread }),
            ),
            (
                "POST",
                "/api/agents/execute".to_owned(),
                json!({ "type": "data", "message": "x", "thread_id": thread }),
            ),
            (
                "POST",
                "/api/agents/start".to_owned(),
                json!({ "message": "x", "thread_id": thread }),
            ),
            ("GET", format!("/api/threads/{thread}"), Value::Null),
            ("GET", format!("/api/threads/{thread}/messages"), Value::Null),
        ]
    };
    let theirs = tried(&text(&ada.answer, "run_id"), &text(&ada.answer, "thread_id"));
    let nobodys = tried("run_00000000000000000000000009", "thr_00000000000000000000000009");
    let text_of = |body: &Value| if body.is_null() { String::new() } else { body.to_string() };
    for ((method, path, body), (_, other_path, other)) in theirs.iter().zip(&nobodys) {
        let theirs = rig.send(method, path, token, &text_of(body)).await;
        let nobodys = rig.send(method, other_path, token, &text_of(other)).await;
        assert_eq!(theirs.status(), 404, "{path}: {theirs:?}");
        assert_eq!(without_request(&theirs), without_request(&nobodys), "{path}");
    }
    let unchanged = rig
        .call(
            "GET",
            &format!("/api/threads/{}/messages", text(&ada.answer, "thread_id")),
            Some(&ada.token),
        )
        .await;
    assert_eq!(unchanged.json()["messages"].as_array().map(Vec::len), Some(2));
}

fn without_request(reply: &Reply) -> (u16, Value) {
    let mut body = reply.json();
    if let Some(object) = body.as_object_mut() {
        object.remove("request_id");
    }
    (reply.status(), body)
}

#[tokio::test]
async fn every_refusal_of_the_older_surface_is_json_with_a_code_and_a_message() {
    let rig = rig(Wishes::default()).await;
    let secret = rig.token().await;
    let token = Some(secret.as_str());
    let long = json!({ "content": "x".repeat(8001) }).to_string();
    let asks: [(&str, &str, Option<&str>, &str, u16); 18] = [
        ("POST", "/api/agents/execute", None, r#"{"type":"data","message":"x"}"#, 401),
        ("POST", "/api/agents/triage", Some("nonsense"), r#"{"message":"x"}"#, 401),
        ("POST", "/api/agents/execute", token, r#"{"type":"cook","message":"x"}"#, 422),
        ("POST", "/api/agents/execute", token, r#"{"message":"x"}"#, 422),
        ("POST", "/api/agents/data", token, r#"{"message":" "}"#, 422),
        ("POST", "/api/agents/data", token, r#"{"message":7}"#, 422),
        ("POST", "/api/agents/data", token, r#"{"message":"x","context":[1]}"#, 422),
        ("POST", "/api/agents/data", token, "{", 400),
        ("POST", "/api/agents/stop", token, "{}", 422),
        ("POST", "/api/agents/stop", token, r#"{"agent_id":"nonsense"}"#, 404),
        ("GET", "/api/agents/status", None, "", 401),
        ("GET", "/api/agents/execute", token, "", 405),
        ("POST", "/api/agents/dance", token, "{}", 404),
        ("GET", "/api/chat/messages?page=0", token, "", 422),
        ("GET", "/api/chat/messages?page_size=1000", token, "", 422),
        ("POST", "/api/chat/messages", token, &long, 413),
        ("POST", "/ws/health", None, "", 405),
        ("GET", "/ws/nothing", None, "", 404),
    ];
    for (method, path, token, body, status) in asks {
        let reply = rig.send(method, path, token, body).await;
        assert_eq!(reply.status(), status, "{method} {path} {body}: {reply:?}");
        has(&reply.json(), &["code", "message", "detail", "status", "title"]);
    }
    rig.condition.set(Phase::Starting);
    for path in ["/health", "/api/health", "/health/ready", "/health/startup", "/ws/health"] {
        let reply = rig.call("GET", path, None).await;
        let body = reply.json();
        assert_eq!((reply.status(), &body["status"]), (503, &json!("unhealthy")), "{path}");
        has(&body, &["message", "code", "startup_in_progress"]);
        has(&body["details"], &["phase", "progress"]);
    }
}

//= specs/wire.md#wire-66
//= type=test
//# An older client that answers WebSocket pings MUST NOT be taken for dead, whatever it says.
#[tokio::test]
async fn an_older_client_that_never_speaks_lives_as_long_as_it_answers_pings() {
    let limits = Limits {
        heartbeat_interval: Millis(50),
        heartbeat_timeout: Millis(200),
        ..Limits::default()
    };
    let rig = rig(Wishes { limits, ..Wishes::default() }).await;
    let mut client = connect(&rig, "/ws", &[]).await.unwrap();
    client.until("handshake_response").await;
    // Each comes after another interval: three times the silence that would end it.
    for _ in 0..12 {
        client.until("ping").await;
    }
}
