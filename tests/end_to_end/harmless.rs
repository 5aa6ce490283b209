//! Text that means something to a database, a page or a log, and here is text like any other.

use goldenpath_tests::server::Server;
use goldenpath_tests::socket::{RUN_ENDS, Socket};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// At most 60 characters in one line, so that the title of a thread is all of it.
const TEXTS: [&str; 12] = [
    "'; DROP TABLE thread; --",
    "x' OR '1'='1",
    "\"); DELETE FROM message WHERE (\"1\"=\"1",
    "' UNION SELECT password_hash FROM account --",
    "%_[a]\\",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg/onload=alert(1)>",
    "&lt;b&gt; &amp;amp; &#x3c;",
    "[x](javascript:alert(1))",
    "{{7*7}} ${7*7} #{7*7} $(id) `id` %0d%0aSet-Cookie:a=b",
    "../../etc/passwd \u{202e}\u{feff}e\u{301}",
];

async fn call(server: &Server, method: Method, path: &str, token: &str, body: Value) -> Value {
    let body = Some(body).filter(|body| !body.is_null());
    let (status, answer) = server.call(method, path, Some(token), body).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

#[tokio::test]
async fn text_that_is_sql_or_markup_comes_back_byte_for_byte_and_does_nothing() {
    // Dozens of questions of one user within seconds.
    let pace = [("GOLDENPATH_MESSAGES_PER_MINUTE", "6000"), ("GOLDENPATH_MESSAGE_BURST", "500")];
    let server = Server::start(&["--agents", "bench"], &pace).await;
    let (other, _) = server.register("ada@example.org").await;
    let kept = json!({ "title": "kept" });
    let kept = call(&server, Method::POST, "/api/threads", &other, kept).await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    for (n, text) in TEXTS.into_iter().enumerate() {
        // As a question on the socket, which titles its thread, and once more over HTTP.
        let ack = socket.ask(&format!("{text}{n}"), text, None).await;
        assert_eq!(ack["status"], "accepted", "{text}: {ack}");
        let frames = socket.collect(&RUN_ENDS).await;
        let said: Vec<&Value> = frames.iter().filter(|f| f["type"] == "user_message").collect();
        assert_eq!(said.len(), 1, "{text}: {frames:?}");
        assert_eq!(said[0]["payload"]["content"], text);
        let path = format!("/api/threads/{}", ack["thread_id"].as_str().unwrap());
        let messages = format!("{path}/messages");
        let body = json!({ "content": text, "metadata": { text: text } });
        call(&server, Method::POST, &messages, &token, body).await;
        socket.collect(&RUN_ENDS).await;
        assert_eq!(call(&server, Method::GET, &path, &token, Value::Null).await["title"], text);
        let listed = call(&server, Method::GET, &messages, &token, Value::Null).await;
        let all = listed["messages"].as_array().unwrap().iter();
        let asked: Vec<&Value> = all.filter(|m| m["role"] == "user").collect();
        assert_eq!(asked.len(), 2, "{text}: {listed}");
        assert!(asked.iter().all(|m| m["content"] == text), "{text}: {listed}");
        assert_eq!(asked[1]["metadata"], json!({ text: text }));

        // As a title, in both ways to give one.
        let titled = json!({ "title": text, "metadata": { text: text } });
        let made = call(&server, Method::POST, "/api/threads", &token, titled).await;
        assert_eq!((&made["title"], &made["metadata"]), (&json!(text), &json!({ text: text })));
        let renamed = json!({ "thread_id": made["id"], "title": format!("{text}!") });
        let id = socket.say("rename_thread", renamed).await;
        socket.answer(&id).await;
        let path = format!("/api/threads/{}", made["id"].as_str().unwrap());
        let seen = call(&server, Method::GET, &path, &token, Value::Null).await;
        assert_eq!(seen["title"], format!("{text}!"));

        // As an id, it is the id of nothing.
        let mut url = reqwest::Url::parse(&server.url("/api/threads")).unwrap();
        url.path_segments_mut().unwrap().push(text);
        let answer = server.http().get(url).bearer_auth(&token).send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let body = answer.text().await.unwrap();
        assert!(
            body.contains("\"code\":") && kind.starts_with("application/problem+json"),
            "{body}"
        );
        assert!(!body.contains(text), "an error does not repeat it: {body}");
    }
    // No browser takes what is answered for a page.
    let request = server.http().get(server.url("/api/threads?limit=100")).bearer_auth(&token);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let list: Value = answer.json().await.unwrap();
    assert_eq!(list["threads"].as_array().map(Vec::len), Some(2 * TEXTS.len()));
    let path = "/api/threads";
    let list = call(&server, Method::GET, path, &other, Value::Null).await;
    assert_eq!(list["threads"], json!([kept]), "nothing of somebody else has changed");
    let account = json!({ "email": "ada@example.org", "password": "correct horse battery staple" });
    let again = server.call(Method::POST, "/api/auth/login", None, Some(account)).await;
    assert_eq!(again.0, StatusCode::OK, "{}", again.1);
}

/// What people ask is theirs: whoever reads the log of a server learns that it was asked, and not what.
#[tokio::test]
async fn no_word_of_a_question_is_in_the_log() {
    const MARKER: &str = "Quetzalcoatlus";
    let failing = format!("report 0 panic {MARKER}");
    let fine = format!("Which model costs most, {MARKER}?");
    for (agents, question, end) in
        [("scripted", &failing, "run_failed"), ("real", &fine, "run_completed")]
    {
        let arguments: &[&str] = if agents == "real" { &[] } else { &["--agents", agents] };
        let mut server = Server::start(arguments, &[]).await;
        let (token, _) = server.demo().await;
        let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
        socket.ask(&format!("m-{MARKER}"), question, None).await;
        let said = socket.collect(&RUN_ENDS).await;
        assert_eq!(said.last().unwrap()["type"], end, "{said:?}");
        let spoken = said.iter().any(|frame| frame.to_string().contains(MARKER));
        assert!(spoken, "the marker was said: {said:?}");
        // Titles, metadata, ratings, and what is refused.
        let thread = said[0]["thread_id"].clone();
        let body = json!({ "title": MARKER, "metadata": { "a": MARKER } });
        call(&server, Method::POST, "/api/threads", &token, body).await;
        let renamed = json!({ "thread_id": thread, "title": MARKER });
        let id = socket.say("rename_thread", renamed).await;
        socket.answer(&id).await;
        for refused in [
            json!({ "type": "user_message", "payload": { "content": MARKER, "thread_id": MARKER } }),
            json!({ "type": MARKER }),
            json!({ "type": "feedback", "payload": { "rating": 9, "comment": MARKER } }),
        ] {
            socket.text(&refused.to_string()).await;
            socket.until("error").await;
        }
        socket.text(&format!("{{{MARKER}")).await;
        socket.until("error").await;
        for (path, body) in [
            ("/api/messages", json!({ "content": [MARKER] })),
            ("/api/threads", json!({ "title": [MARKER] })),
        ] {
            let (status, answer) = server.call(Method::POST, path, Some(&token), Some(body)).await;
            assert!(status.is_client_error(), "{answer}");
        }
        socket.close().await;
        server.terminate().await;
        let log = server.log();
        assert!(log.contains("serving") && log.contains("stopped"), "{log}");
        assert!(!log.contains(MARKER), "{agents}: {log}");
    }
}
