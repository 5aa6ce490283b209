//! What is quiet for long, through a proxy that cuts what is silent.

use crate::nginx::{Habit, Nginx};
use crate::{QUICK, SLOW};
use futures_util::StreamExt as _;
use goldenpath_tests::server::{PATIENCE, Server};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Longer than this nginx waits.
const QUIET: Duration = Duration::from_secs(8);

//= specs/safety.md#safe-98
//= type=test
//# An answer MUST NOT be waited for, nor an event stream be silent, for as long as the proxy in front waits.
#[tokio::test]
async fn a_quiet_event_stream_and_a_long_answer_are_not_cut_by_a_proxy_whose_patience_is_known() {
    let stream = async |settings: &[(&str, &str)]| {
        let server = Server::start(&["--agents", "bench"], settings).await;
        let (token, _) = server.demo().await;
        let nginx = Nginx::before(server.port()).await;
        let port = nginx.port(Habit::IdleLimit);
        let url = format!("http://127.0.0.1:{port}/api/events/stream");
        let request = server.http().get(url).header("Accept", "text/event-stream");
        let answer = request.bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let began = Instant::now();
        let mut pieces = answer.bytes_stream();
        loop {
            let left = QUIET.saturating_sub(began.elapsed());
            match tokio::time::timeout(left, pieces.next()).await {
                Err(_) => return Ok(()),
                Ok(Some(Ok(piece))) => assert!(piece.starts_with(b":"), "{piece:?}"),
                Ok(Some(Err(_)) | None) => return Err(began.elapsed()),
            }
        }
    };
    let answer = async {
        let server = Server::start(&["--agents", "scripted"], &QUICK).await;
        let (token, _) = server.demo().await;
        let nginx = Nginx::before(server.port()).await;
        let url = format!("http://127.0.0.1:{}/api/agents/execute", nginx.port(Habit::IdleLimit));
        let script: Vec<String> = (0..6).map(|n| format!("data {n} slow")).collect();
        let question = json!({ "type": "data", "message": script.join("; ") });
        let request = server.http().post(url).bearer_auth(&token).timeout(PATIENCE);
        let answer = request.json(&question).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap_or_default())
    };
    let (kept, cut, (status, told)) = tokio::join!(stream(&QUICK), stream(&SLOW), answer);
    assert_eq!(kept, Ok(()));
    let cut = cut.expect_err("this nginx does cut what is silent");
    assert!((4..8).contains(&cut.as_secs()), "after {cut:?}");
    assert_eq!((status, &told["status"]), (StatusCode::OK, &json!("timeout")), "{told}");
}
