//! The same statement reads what is somebody else's and what is nothing, so that both take the same time.

use super::http::{WITH_IDS, filled};
use super::sockets::FRAMES_WITH_IDS;
use super::{Ada, unknown};
use goldenpath_tests::server::Server;
use goldenpath_tests::socket::Socket;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Samples of each of the two.
const SAMPLES: usize = 60;
/// A machine under load may be unfair to one of them once, not every time.
const ROUNDS: usize = 4;

/// As much as measured; nobody waits here for what limits forbid.
const UNLIMITED: [(&str, &str); 3] = [
    ("GOLDENPATH_MESSAGES_PER_MINUTE", "6000000"),
    ("GOLDENPATH_MESSAGE_BURST", "1000000"),
    ("GOLDENPATH_REQUESTS_PER_MINUTE", "6000000"),
];

fn median(spans: &mut [Duration]) -> f64 {
    spans.sort_unstable();
    spans[spans.len() / 2].as_secs_f64()
}

/// Medians of turns, compared as a ratio: a difference in what is done is there in every round.
async fn is_even(name: &str, mut sample: impl AsyncFnMut(usize) -> Duration) {
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let mut spans: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
        for n in 0..SAMPLES {
            // Whoever comes second may find something warm: they take turns at that, too.
            for at in [n % 2, 1 - n % 2] {
                spans[at].push(sample(at).await);
            }
        }
        let [theirs, nobodys] = &mut spans;
        let ratio = median(theirs) / median(nobodys);
        if (0.5..2.0).contains(&ratio) {
            return;
        }
        ratios.push(ratio);
    }
    panic!("{name}: an id of somebody else takes {ratios:.2?} times as long as one of nothing");
}

#[tokio::test]
async fn an_id_of_somebody_else_takes_as_long_as_an_id_of_nothing() {
    let server = Server::start(&[], &UNLIMITED).await;
    let ada = Ada::at(&server).await;
    let (eve, _) = server.demo().await;
    let mut measured = 0;
    for (method, route, query, body) in WITH_IDS {
        // A list and a stream begin whatever they are asked for; a thread or a run is named or not.
        if query.contains("cursor") || route.ends_with("/stream") {
            continue;
        }
        let kind =
            if route.contains("{run}") || body.contains("run_id") || body.contains("agent_id") {
                &ada.run
            } else {
                &ada.thread
            };
        let asks = [kind.clone(), unknown(kind)].map(|id| {
            let fill = |text: &str| filled(text, &id, &ada, "facts.json");
            let body = (!body.is_empty()).then(|| serde_json::from_str(&fill(body)).unwrap());
            (fill(&format!("{route}{query}")), body)
        });
        is_even(&format!("{method} {route}{query}"), async |at| {
            let (path, body): &(String, Option<Value>) = &asks[at];
            let begun = Instant::now();
            let method = method.parse().unwrap();
            let (status, _) = server.call(method, path, Some(&eve), body.clone()).await;
            let span = begun.elapsed();
            assert_eq!(status.as_u16(), 404, "{path}");
            span
        })
        .await;
        measured += 1;
    }
    assert!(measured >= 20, "{measured} asks");
}

#[tokio::test]
async fn a_command_about_somebody_else_takes_as_long_as_one_about_nothing() {
    let server = Server::start(&[], &UNLIMITED).await;
    let ada = Ada::at(&server).await;
    for (kind, of, payload) in FRAMES_WITH_IDS {
        let (eve, _) = server.demo().await;
        let (mut socket, _) = Socket::ready(&server, &eve, json!([])).await;
        let hers = ada.id(of);
        let payloads = [hers.to_owned(), unknown(hers)].map(|id| {
            serde_json::from_str::<serde_json::Value>(&payload.replace("{id}", &id)).unwrap()
        });
        is_even(kind, async |at| {
            let begun = Instant::now();
            socket.say(kind, payloads[at].clone()).await;
            // Some have no answer of their own.
            let after = socket.say("ping", json!({})).await;
            while socket.frame().await["ref"] != *after {}
            begun.elapsed()
        })
        .await;
    }
}
