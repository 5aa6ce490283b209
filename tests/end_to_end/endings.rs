//! The process ends, kindly or not, and starts again.

use goldenpath_tests::oracle::{bare, check_log, entries};
use goldenpath_tests::server::{PATIENCE, Server, binary};
use goldenpath_tests::socket::{RUN_ENDS, Socket};
use serde_json::json;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

const SCRIPTED: [&str; 2] = ["--agents", "scripted"];

//= specs/storage.md#stor-30
//= type=test
//# A server MUST NOT start on a data folder that another one works on.
#[tokio::test]
async fn a_second_server_on_the_same_folder_does_not_start_and_disturbs_nobody() {
    let server = Server::start(&SCRIPTED, &[("ENVIRONMENT", "test")]).await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    socket.ask("m1", "data 1 slow", None).await;
    let second = tokio::process::Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--agents", "scripted", "--data"])
        .arg(server.data())
        .env_clear()
        .env("ENVIRONMENT", "test")
        .current_dir(server.data())
        .kill_on_drop(true)
        .output();
    let second = tokio::time::timeout(PATIENCE, second).await.expect("it ends").expect("it ran");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    let pid = server.pid().expect("it runs");
    assert!(
        said.contains("another server works on") && said.contains(&format!("process {pid}")),
        "{said}"
    );
    let heard = socket.collect(&RUN_ENDS).await;
    assert_eq!(heard.last().unwrap()["type"], "run_completed");
}

#[tokio::test]
async fn f46_a_run_cut_off_by_kill_9_is_continued_after_the_restart() {
    let mut server = Server::start(&SCRIPTED, &[("ENVIRONMENT", "test")]).await;
    let (token, _) = server.register("ada@example.org").await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    let ack = socket.ask("m1", "data 1 slow", None).await;
    let mut heard = Vec::new();
    while !heard
        .iter()
        .any(|f: &serde_json::Value| f["type"] == "tool_executing" && f["agent"]["name"] == "data")
    {
        heard.extend(entries(&[socket.frame().await]));
    }
    server.kill().await;
    server.launch().await;
    let thread = ack["thread_id"].as_str().unwrap();
    let last = heard.last().unwrap()["seq"].clone();
    let resume = json!([{"thread_id": thread, "epoch": heard[0]["epoch"], "after_seq": last}]);
    let (mut socket, ready) = Socket::ready(&server, &token, resume).await;
    assert_eq!(ready["payload"]["resume"]["threads"][0]["recovered"], true);
    heard.extend(entries(&socket.collect(&RUN_ENDS).await));
    let log = server.log_of(&token, thread).await;
    let ends = check_log(&log);
    assert_eq!(ends.len(), 1);
    assert_eq!(
        heard.iter().map(bare).collect::<Vec<_>>(),
        log.iter().map(bare).collect::<Vec<_>>()
    );
    let started = log.iter().filter(|f| f["type"] == "run_started").count();
    assert_eq!(started, 2, "claimed again, under a higher fence");
    let triaged = log
        .iter()
        .filter(|f| f["type"] == "agent_started" && f["agent"]["name"] == "triage")
        .count();
    assert_eq!(triaged, 1, "what was done is not done again");
}

//= specs/drain.md#drain-06
//= type=test
//# A message that was acknowledged before a shutdown MUST be stored once and answered after the
//# restart.
#[tokio::test]
async fn f47_sigterm_under_load_loses_nothing_acknowledged() {
    let mut server = Server::bench().await;
    let (token, _) = server.register("ada@example.org").await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    for n in 0..20 {
        let payload = json!({"client_msg_id": format!("m{n}"), "content": "load"});
        socket.say("user_message", payload).await;
    }
    // The first answer shows that the load is under way.
    let mut frames = vec![socket.until("ack").await];
    let (rest, code) = {
        let (ended, heard) = tokio::join!(server.terminate(), socket.rest());
        (heard, ended)
    };
    assert_eq!(code, Some(0), "{}", server.log());
    let (more, close) = rest;
    frames.extend(more);
    assert_eq!(close.map(|(code, _)| code), Some(1012), "closed with 1012");
    assert!(frames.iter().any(|f| f["type"] == "server_draining"));
    assert_eq!(frames.last().unwrap()["type"], "disconnect");
    let acknowledged: Vec<(String, String)> = frames
        .iter()
        .filter(|f| f["type"] == "ack" && f["payload"]["message_id"].is_string())
        .map(|f| {
            let text = |key: &str| f["payload"][key].as_str().unwrap().to_owned();
            (text("thread_id"), text("message_id"))
        })
        .collect();
    assert!(!acknowledged.is_empty());
    server.launch().await;
    for (thread, message) in acknowledged {
        let log = loop {
            let log = server.log_of(&token, &thread).await;
            if log.iter().any(|f| RUN_ENDS.iter().any(|end| f["type"] == *end)) {
                break log;
            }
            tokio::task::yield_now().await;
        };
        let _ = check_log(&log);
        let present = log.iter().filter(|f| {
            f["type"] == "user_message" && f["payload"]["message_id"] == message.as_str()
        });
        assert_eq!(present.count(), 1, "acknowledged and stored once");
    }
}

#[tokio::test]
async fn a_server_that_drains_takes_nothing_new() {
    let mut server = Server::start(&SCRIPTED, &[("ENVIRONMENT", "test")]).await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    socket.ask("m1", "data 1 slow", None).await;
    let listening = async {
        socket.until("server_draining").await;
        let id = socket.say("user_message", json!({"content": "one more"})).await;
        let mut refused = None;
        let (frames, close) = socket.rest().await;
        for frame in frames {
            if frame["ref"] == id.as_str() {
                refused = Some(frame["payload"]["code"].clone());
            }
        }
        (refused, close)
    };
    let (code, (refused, close)) = tokio::join!(server.terminate(), listening);
    assert_eq!(code, Some(0), "{}", server.log());
    assert_eq!(refused, Some(json!("shutting_down")));
    assert_eq!(close.map(|(code, _)| code), Some(1012));
}

#[tokio::test]
async fn f11_a_store_that_is_lost_is_said_to_who_is_connected_and_on_the_health_page() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    // Somebody else holds the file and does not let go.
    let file = SqliteConnectOptions::new().filename(server.data().join("goldenpath.db"));
    let mut other = file.connect().await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    let lost = socket.until("service_status").await;
    assert_eq!(lost["payload"]["degraded"], json!(["storage"]));
    let (status, ready) = server.get("/health/ready", &token).await;
    assert_eq!((status.as_u16(), &ready["code"]), (503, &json!("degraded")));
    let (status, health) = server.get("/health", &token).await;
    assert_eq!((status.as_u16(), &health["status"]), (200, &json!("degraded")));
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    let back = socket.until("service_status").await;
    assert_eq!(back["payload"]["degraded"], json!([]));
    assert_eq!(server.get("/health/ready", &token).await.0.as_u16(), 200);
    socket.ask("m1", "and on", None).await;
    socket.collect(&["run_completed"]).await;
}
