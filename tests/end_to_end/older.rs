//! Clients of the replaced system: the older dialect, spoken by the library they use.

use goldenpath_tests::server::{PATIENCE, Server};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// F04, F05: each of the three clients of the Python library `websockets` takes the connection in each of
/// its ways to offer a subprotocol, and the whole older conversation goes through it.
#[tokio::test]
async fn f04_f05_older_python_clients_are_served_in_each_of_their_ways() {
    let scripted = ["--agents", "scripted"];
    // Hundreds of questions of one user within seconds.
    let settings = [
        ("ENVIRONMENT", "test"),
        ("GOLDENPATH_MESSAGES_PER_MINUTE", "60000"),
        ("GOLDENPATH_MESSAGE_BURST", "1000"),
    ];
    let demo = Server::start(&scripted, &settings).await;
    let strict = [&settings[..], &[("DEMO_MODE", "0")]].concat();
    let server = Server::start(&scripted, &strict).await;
    let said = async |library: &str| {
        let (token, _) = server.register(&format!("{library}@example.org")).await;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("end_to_end/older_client.py");
        let python = std::env::var("GOLDENPATH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut command = Command::new(python);
        command.arg(script).args([library, &demo.ws_url(), &server.ws_url(), &token]);
        let output = command.output().await.expect("python3 with the package websockets");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{library}: {said}{errors}");
        said
    };
    let (modern, blocking, legacy) = tokio::join!(said("asyncio"), said("sync"), said("legacy"));
    insta::assert_snapshot!(modern);
    assert_eq!(blocking, modern, "the client that blocks");
    assert_eq!(legacy, modern, "the client of the releases before 14");
}

/// What nobody waits for any longer goes on; what fails is said to have, with the reason.
#[tokio::test]
async fn an_agent_asked_over_http_says_timeout_or_error_as_it_is() {
    let server = Server::start(&["--agents", "scripted"], &[("ENVIRONMENT", "test")]).await;
    let (token, _) = server.demo().await;
    let ask = |question: &str| json!({ "message": question, "timeout_ms": 100 });
    let token = Some(token.as_str());
    let path = "/api/agents/data";
    let (status, slow) = server.call(Method::POST, path, token, Some(ask("data 1 slow"))).await;
    assert_eq!((status, &slow["status"]), (StatusCode::OK, &json!("timeout")), "{slow}");
    assert!(slow["error"].is_string() && slow.get("response").is_none(), "{slow}");
    let run = format!("/api/runs/{}", slow["run_id"].as_str().unwrap());
    let begun = Instant::now();
    loop {
        let (_, run) = server.call(Method::GET, &run, token, None).await;
        if run["ended_at"].is_string() {
            assert_eq!(run["status"], "completed", "{run}");
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the run does not end: {run}");
        tokio::time::sleep(Duration::from_millis(100)).await; // who asks without a pause is limited
    }
    let broken = json!({ "message": "report 0 panic" });
    let (status, failed) = server.call(Method::POST, path, token, Some(broken)).await;
    assert_eq!((status, &failed["status"]), (StatusCode::OK, &json!("error")), "{failed}");
    assert!(failed["error"].as_str().is_some_and(|error| !error.is_empty()), "{failed}");
}

/// F43: what a client keeps with a thread is an object or nothing, and comes back as it was given.
#[tokio::test]
async fn f43_threads_are_listed_whatever_their_metadata() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let token = Some(token.as_str());
    let odd =
        json!({ "user_id": "somebody else", "a": [null], "": {"<b>": "'; DROP TABLE thread"} });
    let large = json!({ "a": "é".repeat(8188) });
    let given = [
        (json!({ "title": "t" }), json!({})),
        (json!({ "title": "t", "metadata": null }), json!({})),
        (json!({ "title": "t", "metadata": {} }), json!({})),
        (json!({ "title": "t", "metadata": odd }), odd.clone()),
        (json!({ "title": "t", "metadata": large }), large.clone()),
    ];
    for (body, kept) in &given {
        let (status, made) =
            server.call(Method::POST, "/api/threads", token, Some(body.clone())).await;
        assert_eq!((status, &made["metadata"]), (StatusCode::CREATED, kept), "{made}");
    }
    // A message with metadata of its own opens a thread that has none.
    for metadata in [json!(null), json!({}), json!({"user_id": "somebody else"}), json!({"a": [7]})]
    {
        let body = json!({ "content": "hello", "metadata": metadata });
        let said = server.call(Method::POST, "/api/messages", token, Some(body)).await;
        assert!(said.0.is_success(), "{said:?}");
    }
    let listed = async || {
        let (status, list) = server.call(Method::GET, "/api/threads", token, None).await;
        assert_eq!(status, StatusCode::OK, "{list}");
        list["threads"].as_array().unwrap().clone()
    };
    let threads = listed().await;
    assert_eq!(threads.len(), 9);
    for thread in &threads {
        let path = format!("/api/threads/{}", thread["id"].as_str().unwrap());
        let (status, one) = server.call(Method::GET, &path, token, None).await;
        assert_eq!((status, &one["metadata"]), (StatusCode::OK, &thread["metadata"]), "{one}");
        let (status, _) = server.call(Method::GET, &format!("{path}/messages"), token, None).await;
        assert_eq!(status, StatusCode::OK);
    }
    let with = |wanted: &Value| threads.iter().filter(|t| t["metadata"] == *wanted).count();
    assert_eq!((with(&odd), with(&large), with(&json!({}))), (1, 1, 7));

    let path = format!("/api/threads/{}", threads[0]["id"].as_str().unwrap());
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(122), "]".repeat(122));
    let too_large = json!({ "a": "é".repeat(8189) });
    let deep: Value = serde_json::from_str(&deep).unwrap();
    for wrong in [json!([]), json!("a"), json!(7), json!(false), too_large, deep] {
        let body = json!({ "title": "refused", "metadata": wrong });
        for (method, path) in [(Method::POST, "/api/threads"), (Method::PATCH, path.as_str())] {
            let (status, no) = server.call(method, path, token, Some(body.clone())).await;
            assert_eq!(
                (status, &no["code"]),
                (StatusCode::UNPROCESSABLE_ENTITY, &json!("validation_failed"))
            );
            assert!(
                no["detail"].as_str().is_some_and(|why| why.starts_with("`metadata` ")),
                "{no}"
            );
        }
    }
    // Runs may still be at work: what else there is of a thread goes on.
    let kept = |threads: &[Value]| -> BTreeMap<String, [Value; 2]> {
        let kept = |one: &Value| [one["title"].clone(), one["metadata"].clone()];
        threads.iter().map(|one| (one["id"].to_string(), kept(one))).collect()
    };
    assert_eq!(kept(&listed().await), kept(&threads), "what was refused has changed nothing");

    // PATCH replaces what it is given, and leaves the rest.
    let title = &threads[0]["title"];
    let changes = [
        (json!({ "metadata": {"n": 1} }), title.clone(), json!({"n": 1})),
        (json!({ "title": "new", "metadata": null }), json!("new"), json!({"n": 1})),
        (json!({ "title": "newer", "metadata": {} }), json!("newer"), json!({})),
    ];
    for (body, title, metadata) in changes {
        let (status, changed) = server.call(Method::PATCH, &path, token, Some(body)).await;
        assert_eq!(status, StatusCode::OK, "{changed}");
        assert_eq!((&changed["title"], &changed["metadata"]), (&title, &metadata));
    }
    let (status, no) = server.call(Method::PATCH, &path, token, Some(json!({}))).await;
    assert_eq!(
        (status, &no["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("validation_failed"))
    );
}

/// What a message carries along is shown to every reader of its thread: one that cannot be read is refused.
#[tokio::test]
async fn what_no_reader_can_follow_is_refused_and_its_thread_stays_readable() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let said = json!({ "content": "hello" });
    let (_, said) = server.call(Method::POST, "/api/messages", Some(&token), Some(said)).await;
    let thread = said["thread_id"].as_str().unwrap().to_owned();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(2_000), "]".repeat(2_000));
    for unreadable in [deep.as_str(), r#"{"a":"\ud800"}"#, "[1]", "\"text\""] {
        for (path, name) in [
            (format!("/api/threads/{thread}/messages"), "metadata"),
            ("/api/messages".to_owned(), "metadata"),
            ("/api/chat/messages".to_owned(), "metadata"),
            ("/api/agents/triage".to_owned(), "context"),
        ] {
            let body = format!(
                r#"{{"content":"hello","message":"hello","thread_id":"{thread}","{name}":{unreadable}}}"#
            );
            let body = if path.starts_with("/api/agents") {
                body.replacen("\"content\":\"hello\",", "", 1)
            } else {
                body.replacen("\"message\":\"hello\",", "", 1)
            };
            let answer = reqwest::Client::new()
                .post(server.url(&path))
                .bearer_auth(&token)
                .header("content-type", "application/json")
                .body(body)
                .send()
                .await
                .unwrap();
            let status = answer.status();
            let text = answer.text().await.unwrap();
            assert!(status.is_client_error(), "{path} {unreadable:.40}: {status} {text}");
            assert!(text.contains("validation_failed"), "{path} {unreadable:.40}: {text}");
        }
    }
    let (status, list) =
        server.call(Method::POST, "/api/threads", Some(&token), Some(json!(["title"]))).await;
    assert_eq!(
        (status, &list["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("validation_failed"))
    );
    let nul = json!({ "content": "hel\u{0}lo" });
    let (status, _) = server.call(Method::POST, "/api/messages", Some(&token), Some(nul)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, list) = server.get(&format!("/api/threads/{thread}/messages"), &token).await;
    assert_eq!(status, StatusCode::OK, "{list}");
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
