//! Runs that do not go well, produced by agents that follow a script (`--agents scripted`): a question
//! `data 1 hang` makes the agent `data` wait for ever at its second effect.

use goldenpath_tests::oracle::{check_log, entries};
use goldenpath_tests::server::Server;
use goldenpath_tests::socket::{RUN_ENDS, Socket};
use serde_json::{Value, json};

/// Short limits, so that what never answers is ended soon.
const SHORT: [(&str, &str); 4] = [
    ("ENVIRONMENT", "test"),
    ("GOLDENPATH_TOOL_TIMEOUT", "1"),
    ("GOLDENPATH_AGENT_TIMEOUT", "2"),
    ("GOLDENPATH_RUN_TIMEOUT", "4"),
];

async fn scripted() -> Server {
    Server::start(&["--agents", "scripted"], &SHORT).await
}

/// Asks, waits for the end, checks the log; answers what was heard.
async fn ask(server: &Server, question: &str) -> (Vec<Value>, String) {
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(server, &token, json!([])).await;
    let ack = socket.ask("m1", question, None).await;
    let heard = entries(&socket.collect(&RUN_ENDS).await);
    let log = server.log_of(&token, ack["thread_id"].as_str().unwrap()).await;
    let _ = check_log(&log);
    let end = log.last().unwrap()["type"].as_str().unwrap().to_owned();
    (heard, end)
}

fn agent<'a>(heard: &'a [Value], name: &str) -> Option<&'a Value> {
    heard.iter().find(|f| f["type"] == "agent_completed" && f["agent"]["name"] == name)
}

#[tokio::test]
async fn f24_an_agent_that_falls_silent_or_panics_ends_and_so_does_its_run() {
    let server = scripted().await;
    for (question, status) in
        [("data 1 silent", "failed"), ("data 1 panic", "failed"), ("data 1 hang", "failed")]
    {
        let (heard, end) = ask(&server, question).await;
        assert_eq!(agent(&heard, "data").unwrap()["payload"]["status"], status, "{question}");
        assert_eq!(end, "run_completed", "{question}: the report still answers");
    }
}

#[tokio::test]
async fn f26_the_report_runs_after_a_step_that_failed_and_the_run_ends_degraded() {
    let server = scripted().await;
    for step in ["triage", "data", "optimization"] {
        let (heard, end) = ask(&server, &format!("{step} 1 panic")).await;
        assert_eq!(end, "run_completed", "{step}");
        assert_eq!(heard.last().unwrap()["payload"]["status"], "degraded", "{step}");
        assert_eq!(agent(&heard, "report").unwrap()["payload"]["status"], "completed", "{step}");
        assert!(heard.iter().any(|f| f["type"] == "assistant_message"), "{step}");
    }
}

#[tokio::test]
async fn a_tool_that_hangs_fails_or_panics_is_closed_with_its_own_status() {
    let server = scripted().await;
    for (question, status) in
        [("data 1 hang", "timed_out"), ("data 1 fail", "failed"), ("data 1 tool-panic", "failed")]
    {
        let (heard, _) = ask(&server, question).await;
        let tool = heard
            .iter()
            .filter(|f| f["type"] == "tool_completed" && f["agent"]["name"] == "data")
            .find(|f| f["payload"]["status"] != "completed");
        assert_eq!(tool.map(|f| &f["payload"]["status"]), Some(&json!(status)), "{question}");
    }
}

/// Every place an agent's code can be at: the boundaries are taken from a run that goes well.
async fn boundaries(server: &Server) -> Vec<(String, usize)> {
    let (heard, _) = ask(server, "nothing special").await;
    let mut places = Vec::new();
    for name in ["triage", "data", "optimization", "report"] {
        let effects = heard
            .iter()
            .filter(|f| f["agent"]["name"] == name)
            .filter(|f| f["type"] == "agent_thinking" || f["type"] == "tool_executing")
            .count();
        places.extend((0..=effects).map(|n| (name.to_owned(), n)));
    }
    assert!(places.len() > 10, "{places:?}");
    places
}

//= specs/runs.md#run-33
//= type=test
//# Cancelling MUST close everything a run has open.
#[tokio::test]
async fn a_run_cancelled_at_any_place_ends_cancelled_with_everything_closed() {
    // With the usual limits: nothing but the cancel ends what hangs.
    let settings = [("ENVIRONMENT", "test"), ("GOLDENPATH_MESSAGE_BURST", "1000")];
    let server = Server::start(&["--agents", "scripted"], &settings).await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    for (agent, n) in boundaries(&server).await {
        let ack = socket.ask(&format!("{agent}{n}"), &format!("{agent} {n} hang"), None).await;
        // The agent has started and hangs: wait for what it says before that, then stop it.
        let mut effects = 0;
        let mut started = false;
        while !(started && effects == n) {
            let frame = socket.frame().await;
            if frame["agent"]["name"] == agent.as_str() {
                started |= frame["type"] == "agent_started";
                let effect = frame["type"] == "agent_thinking" || frame["type"] == "tool_completed";
                effects += usize::from(effect);
            }
        }
        socket.say("cancel_run", json!({"run_id": ack["run_id"]})).await;
        let heard = socket.collect(&RUN_ENDS).await;
        assert_eq!(heard.last().unwrap()["type"], "run_cancelled", "{agent} {n}");
        let log = server.log_of(&token, ack["thread_id"].as_str().unwrap()).await;
        let _ = check_log(&log);
    }
}

/// The run's own limit, at every place: no tool and no agent is out of time before it.
#[tokio::test]
async fn a_run_out_of_time_at_any_place_ends_timed_out_with_everything_closed() {
    let limits = [
        ("ENVIRONMENT", "test"),
        ("GOLDENPATH_TOOL_TIMEOUT", "3"),
        ("GOLDENPATH_AGENT_TIMEOUT", "3"),
        ("GOLDENPATH_RUN_TIMEOUT", "3"),
    ];
    let server = Server::start(&["--agents", "scripted"], &limits).await;
    let asked = boundaries(&server).await.into_iter().map(|(agent, n)| {
        let server = &server;
        async move { (ask(server, &format!("{agent} {n} hang")).await.1, agent, n) }
    });
    for (end, agent, n) in futures_util::future::join_all(asked).await {
        assert_eq!(end, "run_timed_out", "{agent} {n}");
    }
}

#[tokio::test]
async fn a_run_that_hangs_at_any_place_ends_by_its_timeouts_with_everything_closed() {
    let server = scripted().await;
    let places = boundaries(&server).await;
    let asked = places.iter().map(|(agent, n)| {
        let server = &server;
        async move {
            let (heard, end) = ask(server, &format!("{agent} {n} hang")).await;
            let status = heard.last().unwrap()["payload"]["status"].clone();
            (agent.clone(), *n, end, status)
        }
    });
    for (agent, n, end, status) in futures_util::future::join_all(asked).await {
        let ended = end == "run_timed_out" || end == "run_failed" || status == "degraded";
        assert!(ended, "{agent} {n}: {end} {status}");
    }
}

//= specs/runs.md#run-20
//= type=test
//# A run that is out of time MUST keep the answer there is, marked as partial.
#[tokio::test]
async fn a_run_over_its_time_keeps_what_it_had() {
    let limits = [
        ("ENVIRONMENT", "test"),
        ("GOLDENPATH_TOOL_TIMEOUT", "2"),
        ("GOLDENPATH_AGENT_TIMEOUT", "3"),
        ("GOLDENPATH_RUN_TIMEOUT", "3"),
    ];
    let server = Server::start(&["--agents", "scripted"], &limits).await;
    let (heard, end) = ask(&server, "data 1 hang; report 1 hang").await;
    assert_eq!(end, "run_timed_out");
    let answer = heard.iter().find(|f| f["type"] == "assistant_message").expect("what there is");
    assert_eq!(answer["payload"]["partial"], true);
}

//= specs/isolation.md#iso-09
//= type=test
//# A tool that is declared blocking MUST NOT hold up other users.
#[tokio::test]
async fn f34_an_agent_that_blocks_its_thread_freezes_nobody() {
    // One thread for everybody: what blocks it blocks all.
    let server = Server::start(
        &["--agents", "scripted", "--worker-threads", "1"],
        &[("ENVIRONMENT", "test")],
    )
    .await;
    let (token, _) = server.demo().await;
    let (mut busy, _) = Socket::ready(&server, &token, json!([])).await;
    let (other, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &other, json!([])).await;
    busy.ask("m1", "data 1 block", None).await;
    let began = loop {
        let frame = busy.until("tool_executing").await;
        if frame["payload"]["tool"] == "block" {
            break frame;
        }
    };
    socket.ask("m2", "nothing special", None).await;
    let others = socket.collect(&["run_completed"]).await;
    let heard = busy.collect(&RUN_ENDS).await;
    let call = &began["payload"]["tool_call_id"];
    let unblocked = heard
        .iter()
        .find(|f| f["type"] == "tool_completed" && f["payload"]["tool_call_id"] == *call)
        .expect("the tool that blocks ends");
    let at = |frame: &Value| frame["ts"].as_str().expect("a time").to_owned();
    let other = others.last().expect("a run of the other user");
    assert!(at(other) < at(unblocked), "the other user waited: {other} {unblocked}");
}
