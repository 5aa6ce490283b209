//! What an operator reads: numbers that are true, in one place, about nobody.

use goldenpath_tests::port::Port;
use goldenpath_tests::server::Server;
use goldenpath_tests::socket::{RUN_ENDS, Socket};
use reqwest::{Client, Method, StatusCode};
use serde_json::json;

/// The value of a sample.
fn value(shown: &str, sample: &str) -> f64 {
    let line = shown.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{shown}")).parse().unwrap()
}

#[tokio::test]
async fn what_happens_is_counted_where_operators_look_and_nowhere_else() {
    let port = Port::free();
    let (own, frames) = (port.to_string(), "3");
    let settings = [
        ("ENVIRONMENT", "test"),
        ("GOLDENPATH_METRICS_LISTEN", own.as_str()),
        ("GOLDENPATH_MESSAGE_BURST", frames),
        ("GOLDENPATH_MESSAGES_PER_MINUTE", "1"),
    ];
    let server = Server::start(&["--agents", "bench"], &settings).await;
    let (token, user) = server.register("ada@example.org").await;
    let wrong = json!({"email": "ada@example.org", "password": "not the right one"});
    let (status, _) = server.call(Method::POST, "/auth/login", None, Some(wrong)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (guest, _) = server.demo().await;

    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    let ack = socket.ask("m1", "one", None).await;
    let (thread, run) = (ack["thread_id"].as_str().unwrap(), ack["run_id"].as_str().unwrap());
    socket.collect(&RUN_ENDS).await;
    let (mut other, _) = Socket::ready(&server, &guest, json!([])).await;
    for name in ["a", "b", "c", "d"] {
        other.say("user_message", json!({"client_msg_id": name, "content": "x"})).await;
    }
    other.until("rate_limit").await;
    other.close().await;
    let offer =
        [("Authorization", "Bearer no.token.atall"), ("Sec-WebSocket-Protocol", "jwt-auth")];
    assert_eq!(Socket::open(&server, &offer).await.err().unwrap().status, 401);
    let foreign = [("Origin", "https://evil.example")];
    assert_eq!(Socket::open(&server, &foreign).await.err().unwrap().status, 403);

    let url = format!("http://{own}/metrics");
    // The end of a socket is counted when its task has ended.
    let shown = loop {
        let answer = reqwest::get(&url).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let shown = answer.text().await.unwrap();
        if shown.contains("goldenpath_connections_closed_total{") {
            break shown;
        }
        tokio::task::yield_now().await;
    };
    for (sample, count) in [
        (
            "goldenpath_account_events_total{action=\"register\",result=\"accepted\",reason=\"none\"}",
            1.0,
        ),
        ("goldenpath_bypass_uses_total{method=\"demo\",result=\"accepted\"}", 1.0),
        ("goldenpath_connections_closed_total{by=\"peer\",code=\"none\"}", 1.0),
        ("goldenpath_connections_open{kind=\"socket\"}", 1.0),
        ("goldenpath_log_ins_total{method=\"demo\",result=\"accepted\",reason=\"none\"}", 1.0),
        (
            "goldenpath_log_ins_total{method=\"password\",result=\"refused\",reason=\"unauthorized\"}",
            1.0,
        ),
        ("goldenpath_rate_limited_total{limit=\"messages_of_connection\"}", 2.0),
        (
            "goldenpath_socket_credentials_total{place=\"header\",result=\"refused\",reason=\"unauthorized\"}",
            1.0,
        ),
        (
            "goldenpath_upgrades_total{dialect=\"golden.v1\",result=\"accepted\",reason=\"none\"}",
            2.0,
        ),
        (
            "goldenpath_upgrades_total{dialect=\"none\",result=\"refused\",reason=\"origin_not_allowed\"}",
            1.0,
        ),
        (
            "goldenpath_upgrades_total{dialect=\"none\",result=\"refused\",reason=\"unauthorized\"}",
            1.0,
        ),
        ("goldenpath_http_refusals_total{reason=\"origin_not_allowed\"}", 1.0),
    ] {
        assert_eq!(value(&shown, sample), count, "{sample} in\n{shown}");
    }
    let messages = value(&shown, "goldenpath_messages_accepted_total");
    assert!((1.0..=4.0).contains(&messages), "{shown}");
    assert!(value(&shown, "goldenpath_runs_started_total") >= 1.0);
    assert!(value(&shown, "goldenpath_runs_ended_total{status=\"completed\"}") >= 1.0);
    let commits = value(&shown, "goldenpath_commits_total{result=\"done\"}");
    assert_eq!(value(&shown, "goldenpath_commit_entries_count"), commits);
    assert!(value(&shown, "goldenpath_commit_entries_sum") >= commits);
    assert!(value(&shown, "goldenpath_commit_bytes_sum") > 100.0 * commits);
    assert!(value(&shown, "goldenpath_commit_duration_seconds_bucket{le=\"+Inf\"}") >= commits);
    for name in [user.as_str(), thread, run, token.as_str(), "ada", "evil"] {
        assert!(!shown.contains(name), "{name} in\n{shown}");
    }

    let status = async |method, url: String| {
        Client::new().request(method, url).send().await.unwrap().status()
    };
    assert_eq!(status(Method::POST, url.clone()).await, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(status(Method::GET, format!("http://{own}/health")).await, StatusCode::NOT_FOUND);
    assert_eq!(status(Method::GET, server.url("/metrics")).await, StatusCode::NOT_FOUND);
    socket.close().await;
}
