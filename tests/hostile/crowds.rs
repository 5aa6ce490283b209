//! Attacks by number: tickets used again, sockets opened and held, storms.

use crate::arena::{Arena, Neighbour};
use crate::raw::{ATTACKER, connect, exchange, frame, until, upgrade};
use futures_util::future::join_all;
use reqwest::Method;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn ticket(arena: &Arena) -> String {
    let path = "/api/auth/ticket";
    let (status, body) = arena.server.call(Method::POST, path, Some(&arena.mallory), None).await;
    assert!(status.is_success(), "{body}");
    body["ticket"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_ticket_used_by_fifty_at_once_lets_one_in() {
    let arena = Arena::open().await;
    let port = arena.server.port();
    let ticket = ticket(&arena).await;
    let is_in = async |ticket: &str| {
        let mut stream = connect(ATTACKER, port).await;
        let head = upgrade(&format!("?ticket={ticket}"), "\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        until(&mut stream, "connection_ready").await.is_some()
    };
    let (used, replayed, made_up) = arena
        .survives(async {
            let used = join_all((0..50).map(|_| is_in(&ticket))).await;
            (used, is_in(&ticket).await, is_in(&"0".repeat(64)).await)
        })
        .await;
    assert_eq!(used.iter().filter(|one| **one).count(), 1);
    assert!(!replayed && !made_up);
    assert!(!arena.server.log().contains(&ticket), "no ticket in the log");
}

#[tokio::test]
async fn open_sockets_that_say_nothing_are_few_and_closed_in_time() {
    let arena = Arena::open().await;
    let port = arena.server.port();
    let bytes = upgrade("", "\r\n").into_bytes();
    let heard = arena.survives(join_all((0..200).map(|_| exchange(ATTACKER, port, &bytes)))).await;
    let open = heard.iter().filter(|one| one.status() == 101).collect::<Vec<_>>();
    assert!((1..=64).contains(&open.len()), "{} of 200 were let in", open.len());
    for one in open {
        assert_eq!(one.frames().1, Some(4408));
        assert!(one.after < Duration::from_secs(10), "{:?}", one.after);
    }
    let refused = heard.iter().filter(|one| one.status() != 101);
    assert!(refused.clone().all(|one| [0, 429].contains(&one.status())));
    // The places are given back: who was refused gets in now.
    let later = exchange(ATTACKER, port, &bytes).await;
    assert_eq!(later.status(), 101);
}

#[tokio::test]
async fn whoever_opens_and_closes_all_the_time_is_told_to_wait() {
    let arena = Arena::open().await;
    let port = arena.server.port();
    let mut bytes = upgrade("", "\r\n").into_bytes();
    bytes.extend(frame(0x88, &1000u16.to_be_bytes()));
    let began = Instant::now();
    let heard = arena
        .survives(async {
            let mut heard = Vec::new();
            for _ in 0..50 {
                heard.extend(join_all((0..20).map(|_| exchange(ATTACKER, port, &bytes))).await);
            }
            heard
        })
        .await;
    let most = 300 + 10 * (began.elapsed().as_secs() as usize + 1);
    let let_in = heard.iter().filter(|one| one.status() == 101).count();
    assert!((1..=most).contains(&let_in), "{let_in} of 1000 were let in, {most} allowed");
    let told: Vec<_> = heard.iter().filter(|one| one.status() == 429).collect();
    assert!(told.len() >= 1000 - most, "{} were told to wait", told.len());
    for one in told {
        let said = String::from_utf8_lossy(&one.bytes).to_lowercase();
        assert!(said.contains("\r\nretry-after: "), "{said}");
    }
}

/// Everybody comes back at once: some are let in, the others hear when to come back, spread out.
#[tokio::test]
async fn f35_a_storm_from_everywhere_is_spread_out_and_who_is_in_notices_nothing() {
    let arena = Arena::with(&[("GOLDENPATH_UPGRADES_PER_SECOND", "20")]).await;
    let port = arena.server.port();
    let bytes = upgrade("", "\r\n").into_bytes();
    let storm = async || {
        join_all((0..400u32).map(async |n| {
            let from = [127, 0, 1 + (n >> 7) as u8, 1 + (n & 127) as u8];
            let mut stream = connect(from, port).await;
            stream.write_all(&bytes).await.unwrap();
            let mut head = vec![0; 2048];
            let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut head)).await;
            head.truncate(read.unwrap().unwrap_or(0));
            String::from_utf8_lossy(&head).to_lowercase()
        }))
        .await
    };
    // A user who comes would be part of the storm; one who is there notices nothing.
    let heard = arena.survives_beside(Neighbour::Stays, storm()).await;
    let let_in = heard.iter().filter(|said| said.starts_with("http/1.1 101 ")).count();
    assert!((1..=200).contains(&let_in), "{let_in} of 400 were let in");
    let mut waits: Vec<u64> = heard
        .iter()
        .filter(|said| said.starts_with("http/1.1 503 "))
        .map(|said| said.split("retry-after: ").nth(1).unwrap().split('\r').next().unwrap())
        .map(|seconds| seconds.parse().unwrap())
        .collect();
    assert_eq!(waits.len(), 400 - let_in, "who is not let in is told when to come back");
    waits.sort_unstable();
    let spread = waits.last().unwrap() - waits.first().unwrap();
    assert!(spread >= 5, "over {spread} seconds: {waits:?}");
}
