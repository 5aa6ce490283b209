//! Asking, and what everybody hears.

use goldenpath_tests::oracle::{CRITICAL, bare, check_log, entries, kinds};
use goldenpath_tests::server::{PATIENCE, Server};
use goldenpath_tests::socket::{RUN_ENDS, Socket};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[tokio::test]
async fn f21_every_agent_tells_the_five_events_in_order() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    let ack = socket.ask("m1", "Analyze my AI costs", None).await;
    let frames = socket.collect(&RUN_ENDS).await;
    let heard = entries(&frames);
    for kind in CRITICAL {
        assert!(heard.iter().any(|frame| frame["type"] == kind), "no {kind}");
    }
    let agents: Vec<&str> = heard
        .iter()
        .filter(|frame| frame["type"] == "agent_started")
        .filter_map(|frame| frame["agent"]["name"].as_str())
        .collect();
    assert_eq!(agents, ["supervisor", "triage", "data", "optimization", "report"]);
    let thread = ack["thread_id"].as_str().unwrap();
    let log = server.log_of(&token, thread).await;
    assert_eq!(check_log(&log).len(), 1);
    assert_eq!(
        heard.iter().map(bare).collect::<Vec<_>>(),
        log.iter().map(bare).collect::<Vec<_>>(),
        "what was heard is the log"
    );
}

#[tokio::test]
async fn f25_what_is_heard_is_already_stored() {
    let server = Server::real().await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    let ack = socket.ask("m1", "Analyze my AI costs", None).await;
    let thread = ack["thread_id"].as_str().unwrap().to_owned();
    loop {
        let frame = socket.frame().await;
        if let Some(seq) = frame["seq"].as_u64().filter(|_| frame["id"].is_string()) {
            let path = format!("/api/threads/{thread}/log?after_seq={}&limit=1", seq - 1);
            let (_, page) = server.get(&path, &token).await;
            assert_eq!(bare(&page["entries"][0]), bare(&frame));
        }
        if RUN_ENDS.iter().any(|end| frame["type"] == *end) {
            break;
        }
    }
}

#[tokio::test]
async fn f27_nothing_optimizes_before_the_data_is_there() {
    let server = Server::real().await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    socket.ask("m1", "Analyze my AI costs", None).await;
    let frames = socket.collect(&RUN_ENDS).await;
    let plan = frames.iter().find(|frame| frame["type"] == "run_plan").expect("a plan");
    let steps: Vec<&str> = plan["payload"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["agent"].as_str().unwrap())
        .collect();
    assert_eq!(steps.last(), Some(&"report"), "the report is last, always");
    let at = |agent: &str| steps.iter().position(|step| *step == agent);
    assert!(at("data") < at("optimization"), "{steps:?}");
}

#[tokio::test]
async fn f32_a_thread_keeps_its_conversation() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    let first = socket.ask("m1", "first", None).await;
    socket.collect(&RUN_ENDS).await;
    let thread = first["thread_id"].as_str().unwrap();
    let second = socket.ask("m2", "second", Some(thread)).await;
    assert_eq!(second["thread_id"], first["thread_id"]);
    socket.collect(&RUN_ENDS).await;
    let (_, messages) = server.get(&format!("/api/threads/{thread}/messages"), &token).await;
    let roles: Vec<&str> = messages["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
}

#[tokio::test]
async fn the_same_message_twice_is_answered_twice_and_run_once() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    let first = socket.ask("m1", "once", None).await;
    socket.collect(&RUN_ENDS).await;
    let again = socket.ask("m1", "once", None).await;
    assert_eq!(again["status"], "duplicate");
    assert_eq!(again["run_id"], first["run_id"]);
    let conflict = {
        let id = socket
            .say("user_message", json!({"client_msg_id": "m1", "content": "something else"}))
            .await;
        socket.answer(&id).await
    };
    assert_eq!(conflict["payload"]["code"], "idempotency_conflict");
    let (_, threads) = server.get("/api/threads", &token).await;
    assert_eq!(threads["threads"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn every_window_of_a_user_hears_the_same_and_no_other_user_hears_anything() {
    let server = Server::bench().await;
    let ((token, _), (other, _)) = (server.demo().await, server.demo().await);
    let (mut one, _) = Socket::ready(&server, &token, json!([])).await;
    let (mut two, _) = Socket::ready(&server, &token, json!([])).await;
    let (mut stranger, _) = Socket::ready(&server, &other, json!([])).await;
    let ack = one.ask("m1", "mine", None).await;
    let heard_by_one = entries(&one.collect(&RUN_ENDS).await);
    let heard_by_two = entries(&two.collect(&RUN_ENDS).await);
    assert_eq!(heard_by_one, heard_by_two);
    let thread = ack["thread_id"].as_str().unwrap();
    for path in [
        format!("/api/threads/{thread}"),
        format!("/api/threads/{thread}/log"),
        format!("/api/threads/{thread}/messages"),
        format!("/api/runs/{}", ack["run_id"].as_str().unwrap()),
    ] {
        let (status, _) = server.get(&path, &other).await;
        assert_eq!(status, 404, "{path}");
    }
    let resume = json!({"threads": [{"thread_id": thread, "after_seq": 0}]});
    stranger.say("resume", resume).await;
    let resumed = stranger.until("resumed").await;
    assert_eq!(resumed["payload"]["threads"][0]["reason"], "thread_not_found");
    stranger.say("ping", json!({})).await;
    assert_eq!(kinds(&[stranger.frame().await]), ["pong"], "and nothing else");
}

#[tokio::test]
async fn who_asks_and_closes_at_once_has_asked() {
    const ASKED: usize = 20;
    let settings = [("GOLDENPATH_MESSAGE_BURST", "1000")];
    let server = Server::start(&["--agents", "bench"], &settings).await;
    let (token, _) = server.demo().await;
    for round in 1..=3 {
        let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
        for n in 0..ASKED {
            let message = json!({"client_msg_id": format!("{round}-{n}"), "content": "bye"});
            socket.say("user_message", message).await;
        }
        // As a browser does: it says goodbye and reads until it is answered.
        let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        socket.message(Message::Close(Some(goodbye))).await;
        let _ = socket.rest().await;
        let begin = std::time::Instant::now();
        loop {
            let (_, threads) = server.get("/api/threads?limit=100", &token).await;
            let found = threads["threads"].as_array().map_or(0, Vec::len);
            if found == round * ASKED {
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "{found} of {} are there", round * ASKED);
            tokio::task::yield_now().await;
        }
    }
}
