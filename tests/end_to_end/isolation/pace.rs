//! The same statement reads what is somebody else's and what is nothing, so that both take the same time.

use super::sockets::FRAMES_WITH_IDS;
use super::{Ada, unknown};
use goldenpath_core::edge::{ROUTES, Who};
use goldenpath_tests::server::Server;
use goldenpath_tests::socket::Socket;
use serde_json::json;
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
    let fill = |path: &str, thread: &str, run: &str| {
        let path = path.replace("{thread}", thread).replace("{run}", run);
        path.replace("{fact}", &ada.fact).replace("{artifact}", "facts.json")
    };
    let nothing = (unknown(&ada.thread), unknown(&ada.run));
    let with_ids = ROUTES.iter().filter(|route| route.who == Who::SignedIn);
    let with_ids = with_ids.filter(|route| route.methods().any(|method| method == "GET"));
    let with_ids = with_ids.map(|route| route.path).filter(|path| path.contains('{'));
    let mut measured = 0;
    for route in with_ids.chain(["/api/chat/messages?thread_id={thread}"]) {
        let paths = [fill(route, &ada.thread, &ada.run), fill(route, &nothing.0, &nothing.1)];
        is_even(route, async |at| {
            let begun = Instant::now();
            let (status, _) = server.get(&paths[at], &eve).await;
            let span = begun.elapsed();
            assert_eq!(status.as_u16(), 404, "{}", paths[at]);
            span
        })
        .await;
        measured += 1;
    }
    assert!(measured >= 7, "{measured} addresses");
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
