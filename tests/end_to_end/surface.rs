//! The HTTP surface: health, page, errors, streams, import.

use goldenpath_tests::server::{Server, binary, traces};
use goldenpath_tests::socket::{RUN_ENDS, Socket};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test]
async fn health_tells_who_is_there() {
    let server = Server::bench().await;
    let (status, body) = server.call(Method::GET, "/health", None, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["status"], "healthy");
    for key in ["service", "version", "timestamp"] {
        assert!(body[key].is_string(), "{key} in {body}");
    }
    let head = server.http().head(server.url("/health")).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
}

#[tokio::test]
async fn f29_a_plain_get_on_the_event_stream_ends_with_json() {
    let server = Server::bench().await;
    let answer = server.http().get(server.url("/api/events/stream")).send().await.unwrap();
    let json_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(json_type.contains("json"), "{json_type}");
    let body: Value = answer.json().await.expect("a finite answer");
    assert!(body.is_object());
}

#[tokio::test]
async fn every_refusal_is_a_problem_with_a_code() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let run = "/api/runs/run_00000000000000000000000009";
    let cases = [
        (Method::GET, "/nowhere", None, 404),
        (Method::GET, "/api/nowhere", None, 404),
        (Method::GET, "/api/threads", None, 401),
        (Method::GET, "/api/threads", Some("nonsense"), 401),
        (Method::GET, run, Some(token.as_str()), 404),
        (Method::GET, "/api/threads/nonsense", Some(token.as_str()), 404),
        (Method::PUT, "/api/threads", Some(token.as_str()), 405),
    ];
    for (method, path, token, expected) in cases {
        let mut request = server.http().request(method.clone(), server.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "{method} {path}");
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(kind, "application/problem+json", "{method} {path}");
        let body: Value = answer.json().await.unwrap();
        assert!(body["code"].is_string() && body["detail"].is_string(), "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn log_in_answers_the_right_password_only() {
    let server = Server::bench().await;
    server.register("ada@example.org").await;
    for (password, expected) in [("correct horse battery staple", 200), ("wrong", 401)] {
        let body = json!({"email": "Ada@Example.org", "password": password});
        let (status, body) = server.call(Method::POST, "/api/auth/login", None, Some(body)).await;
        assert_eq!(status.as_u16(), expected, "{body}");
    }
    let nobody = json!({"email": "nobody@example.org", "password": "wrong"});
    let (status, _) = server.call(Method::POST, "/api/auth/login", None, Some(nobody)).await;
    assert_eq!(status.as_u16(), 401, "as for a wrong password");
}

#[tokio::test]
async fn the_page_is_served_under_a_strict_policy() {
    let server = Server::bench().await;
    let answer = server.http().get(server.url("/")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(answer.text().await.unwrap().contains("<html"));
}

async fn import(server: &Server, token: &str, query: &str, body: Vec<u8>) -> (u16, Value) {
    let url = server.url(&format!("/api/usage/import?{query}"));
    let answer = server.http().post(url).bearer_auth(token).body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

/// Both Azure traces, imported over HTTP, asked about over the WebSocket: the total in the facts is
/// the one computed here from the files, to the micro-dollar.
#[tokio::test]
async fn the_total_of_the_traces_is_the_one_computed_by_hand() {
    let server = Server::real().await;
    let (token, _) = server.register("ada@example.org").await;
    let (mut input_tokens, mut output_tokens, mut rows) = (0u128, 0u128, 0u64);
    for name in ["AzureLLMInferenceTrace_code.csv", "AzureLLMInferenceTrace_conv.csv"] {
        let path = traces().join("azure").join(name);
        let file = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for line in String::from_utf8(file.clone()).unwrap().lines().skip(1) {
            let mut fields = line.split(',').skip(1).map(|f| f.trim().parse::<u128>().unwrap());
            input_tokens += fields.next().unwrap();
            output_tokens += fields.next().unwrap();
            rows += 1;
        }
        let (status, report) =
            import(&server, &token, "format=azure-trace&model=gpt-4o", file).await;
        assert_eq!(status, 200, "{report}");
    }
    let (_, summary) = server.get("/api/usage/summary", &token).await;
    assert_eq!(summary["rows"], json!(rows), "{summary}");
    // gpt-4o: 2.50 and 10.00 US dollars for a million tokens, so 2.5 and 10 micro-dollars for one.
    let tenths_of_micro = input_tokens * 25 + output_tokens * 100;
    let micro = (tenths_of_micro + 5) / 10;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    let ack = socket.ask("m1", "Analyze my AI costs", None).await;
    let frames = socket.collect(&RUN_ENDS).await;
    assert_eq!(frames.last().unwrap()["type"], "run_completed", "{frames:?}");
    let run = ack["run_id"].as_str().unwrap();
    let answer = frames.iter().find(|f| f["type"] == "assistant_message").expect("a report");
    let report = answer["payload"]["content"].as_str().unwrap();
    let facts = report.split("](fact:").skip(1).filter_map(|rest| rest.split(')').next());
    let mut fact = Value::Null;
    for id in facts {
        let (status, found) = server.get(&format!("/api/runs/{run}/facts/{id}"), &token).await;
        assert_eq!(status, StatusCode::OK, "every number can be opened: {id} {found}");
        if id.contains("total") && id.contains("cost") && fact.is_null() {
            fact = found;
        }
    }
    assert!(fact.is_object(), "the total has its fact: {report}");
    let shown = fact["value"].as_str().map_or_else(|| fact["value"].to_string(), str::to_owned);
    let dollars = format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
    let bare = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    assert_eq!(bare(&shown), bare(&dollars), "to the micro-dollar");
}

#[tokio::test]
async fn a_broken_file_is_refused_with_line_and_reason_and_imports_nothing() {
    let server = Server::bench().await;
    let (token, _) = server.register("ada@example.org").await;
    let file = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,10,2\n2023-11-16 18:17:04,ten,2\n";
    let (status, body) =
        import(&server, &token, "format=azure-trace&model=gpt-4o", file.into()).await;
    assert_eq!(status, 422, "{body}");
    let problem = &body["problems"][0];
    assert_eq!(problem["line"], 3, "{body}");
    assert!(problem["message"].as_str().is_some_and(|words| words.contains("ten")), "{body}");
    let (_, summary) = server.get("/api/usage/summary", &token).await;
    assert_eq!(summary["rows"], json!(0), "{summary}");
}

/// F48: what the bench reports is counted from what it heard: the server's own lists agree.
#[tokio::test]
async fn f48_what_the_bench_counts_is_what_the_store_holds() {
    let server = Server::bench().await;
    let run = tokio::process::Command::new(binary())
        .args(["bench", &server.url(""), "--connections", "2", "--runs", "3"])
        .env_clear()
        .current_dir(server.data())
        .output();
    let output = run.await.expect("the bench runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&said).expect("JSON on standard output");
    let counted = report["golden_paths"]["runs"].as_u64().expect("runs counted");
    let uri = format!("{}/goldenpath.db", server.data().display());
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(uri).read_only(true);
    let mut store = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options)
        .await
        .expect("the store can be read");
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM run WHERE status = 'completed'")
        .fetch_one(&mut store)
        .await
        .expect("runs in the store");
    // Beside what is counted: two that say what a run looks like, three of one user alone, and one of
    // each connection that makes its thread.
    let not_counted = 2 + 3 + 2;
    assert_eq!((counted, stored as u64), (2 * 3, 2 * 3 + not_counted), "{report}");
}

#[tokio::test]
async fn f44_there_is_no_canned_answer_and_no_success_of_doing_nothing() {
    let server = Server::real().await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    socket.ask("m1", "test", None).await;
    let frames = socket.collect(&RUN_ENDS).await;
    let answer = frames.iter().find(|f| f["type"] == "assistant_message").unwrap();
    let text = answer["payload"]["content"].as_str().unwrap().to_lowercase();
    assert!(text.contains("can"), "an honest list of what it can do: {text}");
    let run = "run_00000000000000000000000009";
    let (status, _) =
        server.call(Method::POST, &format!("/api/runs/{run}/cancel"), Some(&token), None).await;
    assert_eq!(status.as_u16(), 404, "cancelling nothing is no success");
}
