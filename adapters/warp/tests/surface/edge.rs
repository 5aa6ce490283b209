//! What the edge lets in, and how much of it.

use crate::rig::{Reply, Rig, Wishes, rig};
use crate::sockets::{Client, connect};
use goldenpath_core::edge::{EdgeLimits, ForwardedBy, Policy};
use goldenpath_core::handshake::Origins;
use goldenpath_core::limits::Limits;
use goldenpath_core::time::Millis;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const GOLDEN: (&str, &str) = ("Sec-WebSocket-Protocol", "golden.v1");

async fn limited(change: impl FnOnce(&mut EdgeLimits)) -> Rig {
    let mut edge = EdgeLimits::unbounded();
    change(&mut edge);
    rig(Wishes { edge, ..Wishes::default() }).await
}

/// `GET` with these lines in its head.
async fn get(rig: &Rig, path: &str, lines: &str) -> Reply {
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n");
    rig.exchange(&head).await
}

//= specs/safety.md#safe-50
//= type=test
//# A refusal for too much of anything MUST say over HTTP when to come back, and the limit if it is
//# one of requests, and MUST NOT tell of another.
#[tokio::test]
async fn who_asks_too_often_hears_429_the_limit_and_when_to_come_back() {
    let rig = limited(|edge| edge.requests = Policy::per_minute(3, 6)).await;
    for left in [2, 1, 0] {
        let reply = get(&rig, "/api/config", "").await;
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.header("ratelimit-policy"), Some("\"address\";q=3;w=30"));
        let said = reply.header("ratelimit").unwrap();
        assert!(said.starts_with(&format!("\"address\";r={left};t=")), "{said}");
    }
    for path in ["/api/config", "/", "/api/threads", "/nothing", "/ws"] {
        let reply = get(&rig, path, "").await;
        assert_eq!((reply.status(), reply.json()["code"].as_str()), (429, Some("rate_limited")));
        assert_eq!(reply.json()["retryable"], true);
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=10).contains(&wait), "{wait}");
        assert_eq!(reply.header("ratelimit"), Some("\"address\";r=0;t=30"));
    }
    let probe = get(&rig, "/health/ready", "").await;
    assert_eq!((probe.status(), probe.header("ratelimit")), (200, None));
}

/// Each limit but those of requests: its refusal says when to come back, and nothing of requests, of which
/// there are plenty left.
#[tokio::test]
async fn a_limit_of_something_else_does_not_tell_of_requests() {
    let usual = EdgeLimits::default();
    let mut limits = Limits::default();
    (limits.message_burst, limits.messages_per_minute) = (1, 1);
    let mut edge = EdgeLimits { attempts: Policy::per_minute(1, 1), imports_per_user: 0, ..usual };
    edge.entrances = Policy::per_minute(2, 1);
    let rig = rig(Wishes { edge, limits, ..Wishes::default() }).await;
    let token = rig.token().await;
    let said = |content: &str| format!(r#"{{"content":"{content}"}}"#);
    let wrong = r#"{"email":"ada@example.org","password":"wrong horse"}"#.to_owned();
    let upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: Upgrade\r\nAuthorization: Bearer nonsense\r\n";
    for (what, path, token, body, tries) in [
        ("visitors", "/api/auth/demo", None, String::new(), 2),
        ("passwords", "/api/auth/login", None, wrong, 40),
        ("accounts", "/api/auth/register", None, register_body(), 21),
        ("tickets", "/api/auth/ticket", Some(&*token), String::new(), 300),
        ("files", "/api/usage/import", Some(&*token), "x".to_owned(), 1),
        ("messages", "/api/messages", Some(&*token), said("hello"), 2),
        ("upgrades", "/ws", None, String::new(), 2),
    ] {
        let mut refused = None;
        for _ in 0..tries {
            let reply = match what {
                "upgrades" => get(&rig, path, upgrade).await,
                _ => rig.send("POST", path, token, &body).await,
            };
            if reply.status() == 429 {
                refused = Some(reply);
                break;
            }
            assert!(reply.header("ratelimit").is_some(), "{what}: {reply:?}");
        }
        let refused = refused.unwrap_or_else(|| panic!("{what} are not limited"));
        assert_eq!(refused.json()["code"], "rate_limited", "{what}");
        let wait: u64 =
            refused.header("retry-after").unwrap_or_else(|| panic!("{what}")).parse().unwrap();
        assert!(wait >= 1, "{what}");
        for name in ["ratelimit", "ratelimit-policy"] {
            assert_eq!(refused.header(name), None, "{what}");
        }
    }
}

fn register_body() -> String {
    r#"{"email":"ada@example.org","password":"correct horse"}"#.to_owned()
}

//= specs/auth.md#auth-87
//= type=test
//# Log-ins without a credential MUST be limited for each address.
#[tokio::test]
async fn visitors_of_one_address_are_limited_and_those_of_another_are_not() {
    let rig = limited(|edge| {
        edge.entrances = Policy::every(3, Millis::from_secs(60));
        edge.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let visit = async |path: &str, from: &str| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {from}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        rig.exchange(&head).await
    };
    for path in ["/api/auth/demo", "/auth/dev/login", "/api/auth/demo"] {
        assert_eq!(visit(path, "192.0.2.1").await.status(), 200, "{path}");
    }
    for path in ["/api/auth/demo", "/auth/dev/login"] {
        let refused = visit(path, "192.0.2.1").await;
        assert_eq!(refused.status(), 429, "{path}");
        // The page says it to whoever tries the demo.
        assert_eq!(refused.json()["user_message"], "That was too fast. Please wait a moment.");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((55..=60).contains(&wait), "{wait}");
    }
    assert_eq!(visit("/api/auth/demo", "192.0.2.2").await.status(), 200);
}

#[tokio::test]
async fn who_is_known_hears_the_tighter_limit_and_strangers_that_of_their_address() {
    let rig = limited(|edge| {
        edge.requests = Policy::per_minute(8, 6);
        edge.user_requests = Policy::per_minute(2, 6);
    })
    .await;
    let (ada, bob) = (rig.token().await, rig.token().await);
    let as_user = |token: &str| format!("Authorization: Bearer {token}\r\n");
    for left in [1, 0] {
        let reply = get(&rig, "/api/threads", &as_user(&ada)).await;
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.header("ratelimit-policy"), Some("\"user\";q=2;w=20"));
        let said = reply.header("ratelimit").unwrap();
        assert!(said.starts_with(&format!("\"user\";r={left};t=")), "{said}");
    }
    let refused = get(&rig, "/api/threads", &as_user(&ada)).await;
    assert_eq!((refused.status(), refused.json()["code"].as_str()), (429, Some("rate_limited")));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.header("ratelimit"), Some("\"user\";r=0;t=20"));
    let other = get(&rig, "/api/threads", &as_user(&bob)).await;
    assert_eq!(other.status(), 200, "another user is not touched");
    assert!(other.header("ratelimit").unwrap().starts_with("\"user\";r=1;t="));
    let stranger = get(&rig, "/api/config", "").await;
    assert!(stranger.header("ratelimit").unwrap().starts_with("\"address\";r=1;t="));
    // Nothing is left of either now; it takes the address longer to have all of it again.
    let last = get(&rig, "/api/threads", &as_user(&bob)).await;
    assert_eq!(last.status(), 200);
    assert!(last.header("ratelimit").unwrap().starts_with("\"address\";r=0;t="));
}

#[tokio::test]
async fn who_watches_the_server_has_an_allowance_of_its_own() {
    let rig = limited(|edge| {
        edge.probes = Policy::per_minute(3, 6);
        edge.requests = Policy::per_minute(1, 1);
    })
    .await;
    for (path, left) in [("/health", 2), ("/ws/stats", 1), ("/api/health", 0)] {
        let reply = get(&rig, path, "").await;
        assert_eq!(reply.status(), 200, "{path}");
        assert_eq!(reply.header("ratelimit-policy"), Some("\"address\";q=3;w=30"));
        let said = reply.header("ratelimit").unwrap();
        assert!(said.starts_with(&format!("\"address\";r={left};t=")), "{said}");
    }
    for path in ["/health/live", "/health/ready", "/health/startup", "/ws/health", "/ws/stats"] {
        let reply = get(&rig, path, "").await;
        assert_eq!((reply.status(), reply.json()["code"].as_str()), (429, Some("rate_limited")));
        assert!(reply.header("retry-after").is_some());
    }
    assert_eq!(get(&rig, "/api/config", "").await.status(), 200, "it is spent apart");
    assert_eq!(get(&rig, "/api/config", "").await.status(), 429);
}

//= specs/safety.md#safe-84
//= type=test
//# What a stranger is told about connections MUST be counts of the whole server.
#[tokio::test]
async fn the_counters_of_sockets_are_numbers_and_name_nobody() {
    let rig = rig(Wishes::default()).await;
    let token = rig.token().await;
    let mut window: Client<TcpStream> = connect(&rig, "/ws", &[GOLDEN]).await.unwrap();
    window.say(json!({ "type": "auth", "payload": { "token": token } })).await;
    window.until("connection_ready").await;
    let said = get(&rig, "/ws/stats", "").await.json();
    let mut counters = said.as_object().unwrap().clone();
    for about_itself in ["status", "timestamp"] {
        assert!(counters.remove(about_itself).unwrap().is_string());
    }
    let names: Vec<&str> = counters.keys().map(String::as_str).collect();
    let expected = ["active_connections", "active_runs", "active_users", "attached_connections"];
    assert_eq!(names, expected);
    assert!(counters.values().all(serde_json::Value::is_u64), "{said}");
    assert_eq!(
        (&counters["active_connections"], &counters["active_users"]),
        (&json!(1), &json!(1))
    );
    // Whoever says who they are is told no more.
    let known = get(&rig, "/ws/stats", &format!("Authorization: Bearer {token}\r\n")).await;
    assert_eq!(known.json().as_object().unwrap().len(), said.as_object().unwrap().len());
}

#[tokio::test]
async fn an_address_in_a_header_moves_nobody_to_another_bucket_unless_a_proxy_of_ours_wrote_it() {
    let policy = Policy::per_minute(2, 1);
    let forged = |n: u32| {
        format!(
            "X-Forwarded-For: 192.0.2.{n}\r\nForwarded: for=192.0.2.{n}\r\nX-Real-IP: 192.0.2.{n}\r\nClient-IP: 192.0.2.{n}\r\n"
        )
    };
    let alone = limited(|edge| edge.requests = policy).await;
    let mut statuses = Vec::new();
    for n in 0..4 {
        statuses.push(get(&alone, "/api/config", &forged(n)).await.status());
    }
    assert_eq!(statuses, [200, 200, 429, 429]);

    for forwarded_by in [ForwardedBy::XForwardedFor, ForwardedBy::Forwarded] {
        let behind = limited(|edge| {
            edge.requests = policy;
            edge.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            edge.forwarded_by = forwarded_by;
        })
        .await;
        // What the client wrote stands left of what the proxy saw.
        let through = |client: &str, n: u32| match forwarded_by {
            ForwardedBy::XForwardedFor => {
                format!(
                    "Forwarded: for=198.51.100.{n}\r\nX-Forwarded-For: 198.51.100.{n}, {client}\r\n"
                )
            }
            ForwardedBy::Forwarded => {
                format!(
                    "X-Forwarded-For: 198.51.100.{n}\r\nForwarded: for=198.51.100.{n}, for={client}\r\n"
                )
            }
        };
        for client in ["192.0.2.1", "192.0.2.2"] {
            let mut statuses = Vec::new();
            for n in 0..3 {
                statuses.push(get(&behind, "/api/config", &through(client, n)).await.status());
            }
            assert_eq!(statuses, [200, 200, 429], "{client} {forwarded_by:?}");
        }
    }
}

#[tokio::test]
async fn tries_at_a_password_are_counted_for_the_client_and_not_for_the_proxy() {
    let rig = limited(|edge| edge.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    let wrong = json!({"email": "ada@example.org", "password": "wrong horse"}).to_string();
    let log_in = async |client: &str| {
        let head = format!(
            "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {client}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{wrong}",
            wrong.len()
        );
        rig.exchange(&head).await.status()
    };
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(log_in("192.0.2.1").await);
    }
    assert_eq!((statuses[0], statuses[39]), (401, 429), "the guesser is stopped");
    assert_eq!(log_in("192.0.2.2").await, 401, "and nobody else behind the same proxy is");
}

#[tokio::test]
async fn an_address_opens_so_many_sockets_and_no_more() {
    let rig = limited(|edge| edge.connections_per_address = 2).await;
    let path = "/ws";
    let first = connect(&rig, path, &[GOLDEN]).await.unwrap();
    let _second = connect(&rig, path, &[GOLDEN]).await.unwrap();
    assert_eq!(connect(&rig, path, &[GOLDEN]).await.err(), Some(429));
    drop(first);
    let deadline = std::time::Instant::now() + crate::rig::PATIENCE;
    while connect(&rig, path, &[GOLDEN]).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "the place is given back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_address_holds_so_many_connections_open_and_no_more() {
    let rig = limited(|edge| edge.connections_per_address = 2).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n").await.unwrap();
        held.push(stream);
    }
    // Taken by the kernel, refused by us: it ends without a word.
    let mut third = TcpStream::connect(rig.address).await.unwrap();
    let _ = third.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut said = Vec::new();
    let read = tokio::time::timeout(crate::rig::PATIENCE, third.read_to_end(&mut said)).await;
    assert!(read.is_ok() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    drop(held.pop());
    let deadline = std::time::Instant::now() + crate::rig::PATIENCE;
    while rig.call("GET", "/health", None).await.status() != 200 {
        assert!(std::time::Instant::now() < deadline, "the place is given back");
    }
}

/// SAFE-94.
#[tokio::test]
async fn an_address_opens_so_many_sockets_that_say_nothing_and_more_once_they_said_who_they_are() {
    let limits = Limits { demo_wait: Millis(60_000), ..Limits::default() };
    let mut edge = EdgeLimits::unbounded();
    edge.newcomers_per_address = 2;
    edge.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let rig = rig(Wishes { edge, limits, ..Wishes::default() }).await;
    let token = rig.token().await;
    let open = async |from: &str| connect(&rig, "/ws", &[GOLDEN, ("X-Forwarded-For", from)]).await;
    let silent = open("192.0.2.1").await.unwrap();
    let mut known = open("192.0.2.1").await.unwrap();
    assert_eq!(open("192.0.2.1").await.err(), Some(429));
    assert!(open("192.0.2.2").await.is_ok(), "another address has its own");
    known.say(json!({ "type": "auth", "payload": { "token": token } })).await;
    known.until("connection_ready").await;
    let _third = open("192.0.2.1").await.unwrap();
    assert_eq!(open("192.0.2.1").await.err(), Some(429));
    drop(silent);
    let deadline = std::time::Instant::now() + crate::rig::PATIENCE;
    while open("192.0.2.1").await.is_err() {
        assert!(std::time::Instant::now() < deadline, "the place is given back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn too_many_who_do_not_say_who_they_are_make_others_wait_outside() {
    let limits = Limits { demo_wait: goldenpath_core::time::Millis(60_000), ..Limits::default() };
    let mut edge = EdgeLimits::unbounded();
    edge.unauthenticated = 2;
    let rig = rig(Wishes { edge, limits, ..Wishes::default() }).await;
    let token = rig.token().await;
    let _silent = connect(&rig, "/ws", &[GOLDEN]).await.unwrap();
    let mut other = connect(&rig, "/ws", &[GOLDEN]).await.unwrap();
    assert_eq!(connect(&rig, "/ws", &[GOLDEN]).await.err(), Some(503));
    other.say(json!({ "type": "auth", "payload": { "token": token } })).await;
    other.until("connection_ready").await;
    assert!(connect(&rig, "/ws", &[GOLDEN]).await.is_ok(), "who is known takes no such place");
}

//= specs/safety.md#safe-45
//= type=test
//# Messages of one user MUST be limited over all of its connections together.
#[tokio::test]
async fn a_user_is_as_fast_on_many_connections_as_on_one_and_others_do_not_wait() {
    let limits = Limits { messages_per_minute: 1, message_burst: 5, ..Limits::default() };
    let rig = rig(Wishes { limits, ..Wishes::default() }).await;
    let (loud, calm) = (rig.token().await, rig.token().await);
    let ready = async |token: &str| {
        let mut client: Client<TcpStream> = connect(&rig, "/ws", &[GOLDEN]).await.unwrap();
        client.say(json!({ "type": "auth", "payload": { "token": token } })).await;
        client.until("connection_ready").await;
        client
    };
    let list = json!({ "type": "list_threads", "id": "q", "payload": {} });
    let mut answers = Vec::new();
    let mut windows = Vec::new();
    for _ in 0..7 {
        let mut window = ready(&loud).await;
        window.say(list.clone()).await;
        let answer = loop {
            let heard = window.hear().await.unwrap();
            if heard["ref"] == "q" {
                break heard;
            }
        };
        answers.push(answer["payload"]["code"].as_str().unwrap_or("done").to_owned());
        if answers.len() > 5 {
            assert!(answer["payload"]["retry_after_ms"].as_u64().unwrap() > 50_000, "{answer}");
            assert_eq!(window.hear().await.unwrap()["type"], "rate_limit");
        }
        windows.push(window);
    }
    let expected = ["done", "done", "done", "done", "done", "rate_limited", "rate_limited"];
    assert_eq!(answers, expected, "each window has a bucket of its own, the user has one");
    let say = json!({ "content": "hello" }).to_string();
    let over_http = rig.send("POST", "/api/messages", Some(&loud), &say).await;
    assert_eq!(
        (over_http.status(), over_http.json()["code"].as_str()),
        (429, Some("rate_limited"))
    );
    assert!(over_http.header("retry-after").is_some());
    assert_eq!(rig.send("POST", "/api/messages", Some(&calm), &say).await.status(), 202);
    let mut other = ready(&calm).await;
    other.say(list).await;
    while other.hear().await.unwrap()["ref"] != "q" {}
    windows.clear();
    // With all windows closed the user's hub is gone; what was spent is not.
    let mut back = ready(&loud).await;
    back.say(json!({ "type": "list_threads", "id": "q", "payload": {} })).await;
    let answer = loop {
        let heard = back.hear().await.unwrap();
        if heard["ref"] == "q" {
            break heard;
        }
    };
    assert_eq!(answer["payload"]["code"], "rate_limited");
}

//= specs/safety.md#safe-46
//= type=test
//# A body of a kind that foreign pages can send unasked MUST be refused where JSON is expected.
#[tokio::test]
async fn a_body_that_a_form_could_send_is_no_json() {
    let rig = rig(Wishes::default()).await;
    let token = rig.token().await;
    let body = r#"{"content":"hello"}"#;
    let post = async |path: &str, kind: &str| {
        rig.exchange(&format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{kind}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await
    };
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: text/plain;application/json\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data; boundary=x\r\n",
        "Content-Type: application/jsonp\r\n",
        "Content-Type: text/plain\r\nContent-Type: application/json\r\n",
    ] {
        for path in ["/api/messages", "/api/auth/login", "/api/auth/register", "/api/threads"] {
            let reply = post(path, kind).await;
            let said = (reply.status(), reply.json()["code"].clone());
            assert_eq!(said, (415, json!("unsupported_media_type")), "{path} {kind}");
        }
    }
    for kind in ["application/json", "Application/JSON; charset=utf-8", "application/ld+json"] {
        let reply = post("/api/messages", &format!("Content-Type: {kind}\r\n")).await;
        assert_eq!(reply.status(), 202, "{kind}");
    }
}

//= specs/safety.md#safe-47
//= type=test
//# A request of a foreign page that is not only reading MUST be refused.
#[tokio::test]
async fn f40_a_foreign_page_changes_nothing_reads_nothing_and_opens_nothing() {
    let origins = Origins::Listed(vec!["https://chat.example".into()]);
    let rig = rig(Wishes { origins, ..Wishes::default() }).await;
    let token = rig.token().await;
    let foreign = [
        "Origin: null\r\n",
        "Origin: https://evil.example\r\n",
        "Origin: https://chat.example.evil.example\r\n",
        "Origin: http://chat.example\r\n",
        "Origin: https://chat.example:8443\r\n",
        "Origin: https://Chat.example\r\n",
        "Origin: https://chat.example.\r\n",
        "Origin: https://user@chat.example\r\n",
        "Origin: https://chat.example\r\nOrigin: https://evil.example\r\n",
        "Origin: https://chat.example, https://evil.example\r\n",
    ];
    let auth = format!("Authorization: Bearer {token}\r\n");
    for origin in foreign {
        for (method, path) in [
            ("POST", "/api/auth/demo"),
            ("POST", "/api/auth/ticket"),
            ("POST", "/api/auth/logout"),
            ("POST", "/api/messages"),
            ("PATCH", "/api/threads/thr_00000000000000000000000009"),
            ("DELETE", "/api/threads/thr_00000000000000000000000009"),
        ] {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\n{origin}{auth}Connection: close\r\nContent-Length: 0\r\n\r\n"
            );
            let reply = rig.exchange(&head).await;
            let said = (reply.status(), reply.json()["code"].clone());
            assert_eq!(said, (403, json!("origin_not_allowed")), "{method} {path} {origin}");
        }
        let read = get(&rig, "/api/auth/me", &format!("{origin}{auth}")).await;
        assert_eq!(read.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(read.header("access-control-allow-credentials"), None);
        let asked = rig
            .exchange(&format!(
                "OPTIONS /api/messages HTTP/1.1\r\nHost: x\r\n{origin}Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\nConnection: close\r\n\r\n"
            ))
            .await;
        for name in ["access-control-allow-origin", "access-control-allow-methods"] {
            assert_eq!(asked.header(name), None, "{origin}");
        }
        let upgrade = get(
            &rig,
            "/ws",
            &format!("{origin}Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: Upgrade\r\n"),
        )
        .await;
        assert_eq!(upgrade.status(), 403, "{origin}");
    }
    assert_eq!(get(&rig, "/api/auth/me", &auth).await.status(), 200, "the session is untouched");
    let own = "Origin: https://chat.example\r\n";
    let head = format!("POST /api/auth/demo HTTP/1.1\r\nHost: x\r\n{own}Connection: close\r\n\r\n");
    assert_eq!(rig.exchange(&head).await.status(), 200);
}

#[tokio::test]
async fn a_request_without_a_path_is_answered_and_is_no_bug() {
    let rig = rig(Wishes::default()).await;
    for line in ["CONNECT evil.example:443", "OPTIONS *", "GET http://evil.example"] {
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let reply = rig.exchange(&head).await;
        assert!([200, 404, 405].contains(&reply.status()), "{line}: {reply:?}");
    }
}

#[tokio::test]
async fn no_extension_is_negotiated() {
    let rig = rig(Wishes::default()).await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let head = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: golden.v1\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-webkit-deflate-frame\r\n\r\n";
    // And a close, so that the conversation ends.
    let mut bytes = head.as_bytes().to_vec();
    bytes.extend_from_slice(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
    stream.write_all(&bytes).await.unwrap();
    let reply = Reply::read(&mut stream).await;
    assert_eq!(reply.status(), 101);
    assert_eq!(reply.header("sec-websocket-extensions"), None);
    assert_eq!(reply.header("sec-websocket-protocol"), Some("golden.v1"));
}

#[tokio::test]
async fn every_answer_tells_a_browser_what_it_must_not_do_with_it_and_sets_no_cookie() {
    let rig = limited(|edge| edge.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    for path in ["/", "/api/config", "/api/auth/me", "/nothing", "/ws", "/health"] {
        let reply = get(&rig, path, "").await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{path}");
        }
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        for absent in ["set-cookie", "server", "x-powered-by", "strict-transport-security"] {
            assert_eq!(reply.header(absent), None, "{path} {absent}");
        }
        if path.starts_with("/api/") {
            assert_eq!(reply.header("cache-control"), Some("no-store"));
        }
        let behind_tls = get(&rig, path, "X-Forwarded-Proto: https\r\n").await;
        let promise = behind_tls.header("strict-transport-security");
        assert_eq!(promise, Some("max-age=31536000"), "{path}");
    }
}

#[tokio::test]
async fn whoever_empties_a_users_allowance_does_not_keep_them_from_ending_the_log_in() {
    let rig = limited(|edge| edge.user_requests = Policy::per_minute(3, 1)).await;
    let token = rig.token().await;
    let told = async || rig.call("GET", "/api/threads", Some(&token)).await.status();
    let mut tries = 0;
    while told().await != 429 {
        tries += 1;
        assert!(tries < 10);
    }
    let change = r#"{"current_password":"correct horse","new_password":"battery staple"}"#;
    let password = rig.send("POST", "/api/auth/password", Some(&token), change).await;
    assert_eq!(password.status(), 403, "it has no account, which is another matter: {password:?}");
    let left = rig.call("POST", "/api/auth/logout-all", Some(&token)).await;
    assert_eq!(left.status(), 200, "{left:?}");
    assert_eq!(told().await, 401);
}
