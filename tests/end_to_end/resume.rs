//! Leaving and coming back, at every place.

use goldenpath_tests::oracle::{bare, check_log, entries};
use goldenpath_tests::server::Server;
use goldenpath_tests::socket::{RUN_ENDS, Socket};
use serde_json::{Value, json};

fn point(thread: &str, epoch: &Value, after: u64) -> Value {
    json!([{"thread_id": thread, "epoch": epoch, "after_seq": after}])
}

/// F22: cut after every single entry of a run, resumed from there, nothing is missing or doubled,
/// and the bytes are the same.
#[tokio::test]
async fn f22_a_reader_that_leaves_after_any_entry_hears_the_rest_once() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    let ack = socket.ask("m0", "how long is a run", None).await;
    let whole = entries(&socket.collect(&RUN_ENDS).await);
    let (thread, epoch) =
        (ack["thread_id"].as_str().unwrap().to_owned(), whole[0]["epoch"].clone());
    for leave_after in 1..=whole.len() {
        let (mut socket, _) = Socket::ready(&server, &token, point(&thread, &epoch, 0)).await;
        let mut heard = Vec::new();
        while heard.len() < leave_after {
            let frame = socket.frame().await;
            heard.extend(entries(&[frame]));
        }
        socket.cut();
        let last = heard.last().unwrap()["seq"].as_u64().unwrap();
        let (mut socket, ready) =
            Socket::ready(&server, &token, point(&thread, &epoch, last)).await;
        assert_eq!(ready["payload"]["resume"]["threads"][0]["recovered"], true);
        let rest = socket.collect(&["replay_complete"]).await;
        assert_eq!(rest.last().unwrap()["payload"]["to_seq"], json!(whole.len()));
        heard.extend(entries(&rest));
        let heard: Vec<Value> = heard.iter().map(bare).collect();
        assert_eq!(heard, whole, "left after {leave_after}");
    }
    assert_eq!(check_log(&server.log_of(&token, &thread).await).len(), 1);
}

/// Cut in the middle of a live run at every entry: the run goes on, and the reader catches up.
#[tokio::test]
async fn a_reader_lost_at_any_entry_of_a_live_run_finds_it_finished() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    for leave_after in 0..28 {
        let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
        let ack = socket.ask(&format!("m{leave_after}"), "leave me", None).await;
        let thread = ack["thread_id"].as_str().unwrap().to_owned();
        let mut heard = Vec::new();
        while heard.len() < leave_after {
            let frame = socket.frame().await;
            heard.extend(entries(&[frame]));
        }
        socket.cut();
        let last = heard.last().map_or(0, |entry| entry["seq"].as_u64().unwrap());
        let resume = json!([{"thread_id": thread, "after_seq": last}]);
        let (mut socket, _) = Socket::ready(&server, &token, resume).await;
        heard.extend(entries(&socket.collect(&RUN_ENDS).await));
        let log = server.log_of(&token, &thread).await;
        let _ = check_log(&log);
        assert_eq!(
            heard.iter().map(bare).collect::<Vec<_>>(),
            log.iter().map(bare).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn a_resume_that_cannot_be_served_is_never_served_in_part() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    let ack = socket.ask("m1", "hello", None).await;
    socket.collect(&RUN_ENDS).await;
    let thread = ack["thread_id"].as_str().unwrap();
    for (resume, reason) in [
        (json!([{"thread_id": thread, "after_seq": 1_000_000}]), "cursor_invalid"),
        (json!([{"thread_id": thread, "epoch": "effff", "after_seq": 1}]), "epoch_mismatch"),
        (
            json!([{"thread_id": "thr_00000000000000000000000009", "after_seq": 1}]),
            "thread_not_found",
        ),
    ] {
        let (mut socket, ready) = Socket::ready(&server, &token, resume).await;
        let resumed = &ready["payload"]["resume"]["threads"][0];
        assert_eq!((&resumed["recovered"], &resumed["reason"]), (&json!(false), &json!(reason)));
        socket.say("ping", json!({})).await;
        assert_eq!(socket.frame().await["type"], "pong", "nothing was replayed");
    }
}

#[tokio::test]
async fn a_hole_is_filled_on_request() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    let ack = socket.ask("m1", "hello", None).await;
    let whole = entries(&socket.collect(&RUN_ENDS).await);
    let gap = json!({"thread_id": ack["thread_id"], "after_seq": 3, "to_seq": 6});
    socket.say("gap_request", gap).await;
    for expected in &whole[3..6] {
        assert_eq!(bare(&socket.frame().await), *expected);
    }
}
