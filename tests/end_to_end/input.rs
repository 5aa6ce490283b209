//! What a client may do wrong, and what it hears.

use goldenpath_tests::server::Server;
use goldenpath_tests::socket::{RUN_ENDS, Socket};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

async fn ready() -> (Server, Socket) {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let (socket, _) = Socket::ready(&server, &token, json!([])).await;
    (server, socket)
}

/// F03, F41, F42: each is answered with an `error` frame of its code, and the connection lives.
//= specs/wire.md#wire-13
//= type=test
//# A text that is no id MUST be answered with the code of an id that does not exist.
#[tokio::test]
async fn f03_f41_f42_bad_input_is_answered_and_the_connection_lives() {
    let (_server, mut socket) = ready().await;
    let no_thread = "thr_00000000000000000000000009";
    let no_run = "run_00000000000000000000000009";
    let long = "x".repeat(8193);
    let cases: Vec<(String, &str)> = vec![
        ("{".into(), "invalid_json"),
        ("\"text\"".into(), "invalid_frame"),
        ("[]".into(), "invalid_frame"),
        ("{}".into(), "invalid_frame"),
        (json!({"type": 7}).to_string(), "invalid_frame"),
        (json!({"type": "fly"}).to_string(), "unknown_type"),
        (json!({"type": "user_message"}).to_string(), "validation_failed"),
        (json!({"type": "user_message", "payload": {"content": " "}}).to_string(), "validation_failed"),
        (json!({"type": "user_message", "payload": {"content": 7}}).to_string(), "validation_failed"),
        (
            json!({"type": "user_message", "payload": {"content": "x", "user_id": "somebody"}}).to_string(),
            "user_mismatch",
        ),
        (
            json!({"type": "user_message", "payload": {"content": "x", "thread_id": no_thread}}).to_string(),
            "thread_not_found",
        ),
        (
            json!({"type": "user_message", "payload": {"content": "x", "thread_id": "nonsense"}}).to_string(),
            "thread_not_found",
        ),
        (json!({"type": "cancel_run", "payload": {"run_id": no_run}}).to_string(), "run_not_found"),
        (json!({"type": "gap_request", "payload": {"thread_id": no_thread, "after_seq": 0, "to_seq": 1}}).to_string(), "thread_not_found"),
        (json!({"type": "auth", "payload": {"token": "x"}}).to_string(), "forbidden"),
        (long, "message_too_large"),
    ];
    for (text, expected) in cases {
        socket.text(&text).await;
        let frame = socket.frame().await;
        let shown: String = text.chars().take(80).collect();
        assert_eq!(frame["type"], "error", "{shown}: {frame}");
        let payload = &frame["payload"];
        assert_eq!(payload["code"], expected, "{shown}: {frame}");
        for key in ["message", "user_message"] {
            assert!(payload[key].as_str().is_some_and(|words| !words.is_empty()), "{key}");
        }
        assert!(payload["retryable"].is_boolean() && payload["fatal"] == json!(false));
    }
    socket.ask("m1", "still here", None).await;
    assert_eq!(socket.collect(&RUN_ENDS).await.last().unwrap()["type"], "run_completed");
}

#[tokio::test]
async fn a_message_of_8192_bytes_is_accepted_and_one_of_8193_answered() {
    let (_server, mut socket) = ready().await;
    let empty = json!({"type": "user_message", "id": "big", "payload": {"client_msg_id": "m", "content": ""}});
    let room = 8192 - empty.to_string().len();
    for (extra, expected) in [(0, "ack"), (1, "error")] {
        let mut frame = empty.clone();
        // Metadata fills the frame, so that the content stays within its own limit.
        frame["payload"]["content"] = "x".into();
        frame["payload"]["metadata"] = json!({"pad": ""});
        let used = frame.to_string().len();
        let pad = 8192 - used + extra;
        frame["payload"]["metadata"]["pad"] = "p".repeat(pad).into();
        let text = frame.to_string();
        assert_eq!(text.len(), 8192 + extra, "room {room}");
        socket.text(&text).await;
        let answer = loop {
            let heard = socket.frame().await;
            if heard["type"] == "ack" || heard["type"] == "error" {
                break heard;
            }
        };
        assert_eq!(answer["type"], expected, "{answer}");
        if expected == "error" {
            assert_eq!(answer["payload"]["code"], "message_too_large");
        }
    }
}

#[tokio::test]
async fn a_frame_of_65537_bytes_closes_with_1009() {
    let (_server, mut socket) = ready().await;
    socket.text(&"x".repeat(65_537)).await;
    let (frames, close) = socket.rest().await;
    assert_eq!(frames.last().unwrap()["type"], "disconnect");
    assert_eq!(close.map(|(code, _)| code), Some(1009));
}

#[tokio::test]
async fn a_binary_frame_closes_with_1003() {
    let (_server, mut socket) = ready().await;
    socket.message(Message::binary(vec![1, 2, 3])).await;
    let (_, close) = socket.rest().await;
    assert_eq!(close.map(|(code, _)| code), Some(1003));
}

#[tokio::test]
async fn json_rpc_is_answered_as_json_rpc() {
    let (_server, mut socket) = ready().await;
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "user_message", "params": {"content": "hello"}});
    socket.text(&call.to_string()).await;
    let answer = loop {
        let frame = socket.frame().await;
        if frame["jsonrpc"] == "2.0" {
            break frame;
        }
    };
    assert_eq!(answer["id"], 7);
    assert_eq!(answer["result"]["status"], "accepted", "{answer}");
    socket.text(&json!({"jsonrpc": "2.0", "id": 8, "method": "fly"}).to_string()).await;
    let error: Value = loop {
        let frame = socket.frame().await;
        if frame["jsonrpc"] == "2.0" {
            break frame;
        }
    };
    assert_eq!(error["error"]["code"], -32601, "{error}");
}

#[tokio::test]
async fn names_of_older_clients_mean_the_same() {
    let (_server, mut socket) = ready().await;
    for (n, kind) in ["chat", "USER-MESSAGE", "user_input", "agent_request"].iter().enumerate() {
        let payload = json!({"text": "hello", "client_msg_id": format!("m{n}")});
        let id = socket.say(kind, payload).await;
        assert_eq!(socket.answer(&id).await["type"], "ack", "{kind}");
    }
    let id = socket.say("heartbeat", json!({})).await;
    assert_eq!(socket.answer(&id).await["type"], "pong");
}

/// What is well said but does not fit the thread as it is: each code of the table, from the server.
#[tokio::test]
async fn what_does_not_fit_the_thread_as_it_is_is_refused_by_its_code() {
    let settings = [("ENVIRONMENT", "test"), ("GOLDENPATH_MESSAGE_BURST", "1000")];
    let server = Server::start(&["--agents", "scripted"], &settings).await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    let ack = socket.ask("first", "data 1 hang", None).await;
    let (thread, run) = (ack["thread_id"].clone(), ack["run_id"].clone());
    let say = |name: &str, more: Value| {
        let mut payload = json!({"client_msg_id": name, "content": "x", "thread_id": thread});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    for (payload, code) in [
        (say("a", json!({"multitask_strategy": "reject"})), "thread_busy"),
        (say("b", json!({"expected_head_seq": 1})), "thread_advanced"),
        (say("first", json!({})), "idempotency_conflict"),
    ] {
        let id = socket.say("user_message", payload).await;
        let answer = socket.answer(&id).await;
        assert_eq!(answer["payload"]["code"], code, "{answer}");
    }
    // The queue of a thread has an end; what waits in it is taken back with the thread's run.
    let mut waiting = Vec::new();
    let full = loop {
        let id = socket.say("user_message", say(&format!("w{}", waiting.len()), json!({}))).await;
        let answer = socket.answer(&id).await;
        if answer["type"] == "error" {
            break answer;
        }
        waiting.push(answer["payload"]["run_id"].clone());
        assert!(waiting.len() < 200, "the queue has no end");
    };
    assert_eq!(full["payload"]["code"], "queue_full", "{full}");
    for run in waiting.iter().rev() {
        let id = socket.say("cancel_queued", json!({"run_id": run})).await;
        assert_ne!(socket.answer(&id).await["type"], "error");
    }
    let id = socket.say("cancel_run", json!({"run_id": run})).await;
    let (mut answered, mut ended) = (false, false);
    while !(answered && ended) {
        let frame = socket.frame().await;
        assert_ne!(frame["type"], "error", "{frame}");
        answered |= frame["ref"] == id.as_str();
        ended |= frame["run_id"] == run && frame["type"] == "run_cancelled";
    }
    let id = socket.say("cancel_run", json!({"run_id": run})).await;
    assert_eq!(socket.answer(&id).await["payload"]["code"], "run_not_active");
    // A position nobody can continue from.
    for (epoch, after_seq, reason) in
        [(json!("e000"), 1, "epoch_mismatch"), (json!(null), 1_000_000, "cursor_invalid")]
    {
        let mut point = json!({"thread_id": thread, "after_seq": after_seq});
        if epoch.is_string() {
            point["epoch"] = epoch;
        }
        let id = socket.say("resume", json!({"threads": [point]})).await;
        let resumed = &socket.answer(&id).await["payload"]["threads"][0];
        assert_eq!((&resumed["recovered"], &resumed["reason"]), (&json!(false), &json!(reason)));
    }
}
