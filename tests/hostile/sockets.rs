//! Attacks through open sockets: floods, lies, broken frames, and not reading.

use crate::arena::Arena;
use crate::raw::{ATTACKER, Heard, connect, exchange, frame, until, until_closed, upgrade};
use futures_util::future::join_all;
use goldenpath_tests::oracle::check_log;
use goldenpath_tests::socket::{RUN_ENDS, Socket};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn a_flood_over_many_sockets_of_one_user_is_held_to_the_limit_of_one() {
    let arena = Arena::open().await;
    let port = arena.server.port();
    let auth = format!("Authorization: Bearer {}\r\n\r\n", arena.mallory);
    let flood = async |socket: u32| {
        let mut stream = connect(ATTACKER, port).await;
        stream.write_all(upgrade("", &auth).as_bytes()).await.unwrap();
        let mut heard = until(&mut stream, "connection_ready").await.expect("let in");
        let messages = |from: u32, to: u32| {
            let mut bytes = Vec::new();
            for n in from..to {
                let name = format!("{socket}-{n}");
                let payload = json!({ "content": "flood", "client_msg_id": name });
                let say = json!({ "type": "user_message", "payload": payload });
                bytes.extend(frame(0x81, say.to_string().as_bytes()));
            }
            bytes
        };
        // At first few enough to stay; then so many that it is sent away. Whose messages are taken is
        // chance: a socket that comes late may find the user's allowance spent.
        let _ = stream.write_all(&messages(0, 60)).await;
        let first = until(&mut stream, "\"rate_limit\"").await.expect("it is told to wait");
        heard.extend_from_slice(&first);
        let _ = stream.write_all(&messages(60, 400)).await;
        let rest = until_closed(stream).await;
        heard.extend_from_slice(&rest.bytes);
        Heard { bytes: heard, after: rest.after }
    };
    let began = Instant::now();
    let heard = arena.survives(join_all((0..10).map(flood))).await;
    for one in &heard {
        let (frames, code) = one.frames();
        assert_eq!(code, Some(4429), "{:?}", frames.last());
        assert!(frames.iter().any(|text| text.contains("\"rate_limit\"")));
    }
    // Each message that was taken opened a thread of its own.
    let (_, body) = arena.server.get("/api/threads?limit=100", &arena.mallory).await;
    let accepted = body["threads"].as_array().unwrap().len() as u64;
    let most = 30 + began.elapsed().as_secs() + 1;
    assert!((1..=most).contains(&accepted), "{accepted} accepted of 4000, {most} allowed");
}

/// F33. Every lie is answered to the liar alone; nobody's routing, positions or threads change.
#[tokio::test]
async fn f33_what_one_connection_does_wrong_changes_nothing_for_the_others() {
    let arena = Arena::open().await;
    let (stranger, _) = arena.server.register("eve@example.org").await;
    let (mut theirs, _) = Socket::ready(&arena.server, &stranger, json!([])).await;
    let foreign = theirs.ask("eve-1", "hello", None).await;
    theirs.collect(&RUN_ENDS).await;
    let foreign_thread = foreign["thread_id"].as_str().unwrap().to_owned();
    let before = arena.server.log_of(&stranger, &foreign_thread).await;

    let mut liar = arena.attacker().await;
    let own = liar.ask("own-1", "hello", None).await;
    liar.collect(&RUN_ENDS).await;
    let thread = own["thread_id"].as_str().unwrap().to_owned();
    let max = u64::MAX;
    let lies: Vec<(&str, Value)> = vec![
        ("received", json!({ "thread_id": thread, "seq": 1_000_000_000_000u64 })),
        ("received", json!({ "thread_id": thread, "seq": max })),
        ("received", json!({ "thread_id": thread, "seq": -1 })),
        ("received", json!({ "thread_id": foreign_thread, "seq": 1 })),
        ("resume", json!({ "threads": [{ "thread_id": thread, "epoch": "e0", "after_seq": 3 }] })),
        ("resume", json!({ "threads": [{ "thread_id": thread, "after_seq": max }] })),
        ("resume", json!({ "threads": [{ "thread_id": foreign_thread, "after_seq": 0 }] })),
        ("resume", json!({ "threads": vec![json!({ "thread_id": thread, "after_seq": 0 }); 60] })),
        ("gap_request", json!({ "thread_id": thread, "after_seq": 5, "to_seq": 2 })),
        ("gap_request", json!({ "thread_id": thread, "after_seq": 0, "to_seq": max })),
        ("gap_request", json!({ "thread_id": foreign_thread, "after_seq": 0, "to_seq": 9 })),
        ("subscribe", json!({ "thread_id": foreign_thread })),
        ("cancel_run", json!({ "run_id": foreign["run_id"] })),
        ("cancel_run", json!({ "run_id": own["run_id"] })),
        ("rename_thread", json!({ "thread_id": foreign_thread, "title": "mine" })),
        ("delete_thread", json!({ "thread_id": foreign_thread })),
        ("user_message", json!({ "content": "x", "thread_id": foreign_thread })),
        (
            "user_message",
            json!({ "content": "x", "user_id": foreign["user_id"], "client_msg_id": "own-1" }),
        ),
        ("user_message", json!({ "content": "x", "expected_head_seq": max, "thread_id": thread })),
        ("feedback", json!({ "message_id": foreign["message_id"], "rating": 1 })),
        ("auth", json!({ "token": stranger })),
        ("auth_refresh", json!({ "token": "nonsense" })),
    ];
    let said = arena
        .survives(async {
            let mut said = String::new();
            for (kind, payload) in &lies {
                liar.say(kind, payload.clone()).await;
                // One that is answered after whatever the lie makes.
                let id = liar.say("ping", json!({})).await;
                let end = Instant::now() + Duration::from_secs(10);
                loop {
                    let frame = liar.frame().await;
                    said.push_str(&frame.to_string());
                    if frame["ref"] == id.as_str() {
                        break;
                    }
                    assert!(Instant::now() < end, "{kind}: no pong");
                }
            }
            said
        })
        .await;
    for entry in &before {
        assert!(!said.contains(entry["id"].as_str().unwrap()), "an entry of another user");
    }
    // The liar's own thread is whole and goes on; the stranger's is as it was.
    liar.ask("own-2", "hello", Some(&thread)).await;
    liar.collect(&RUN_ENDS).await;
    assert!(check_log(&arena.server.log_of(&arena.mallory, &thread).await).len() >= 2);
    assert_eq!(arena.server.log_of(&stranger, &foreign_thread).await, before);
    let again = theirs.ask("eve-2", "hello", Some(&foreign_thread)).await;
    assert_eq!(again["status"], "accepted");
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_their_own_connection_with_its_code() {
    let arena = Arena::open().await;
    let port = arena.server.port();
    let declared = |len: u64| {
        let mut bytes = vec![0x81, 0xff];
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&[0; 64]);
        bytes
    };
    let mut pieces = frame(0x01, b"{");
    for _ in 0..2000 {
        pieces.extend(frame(0x00, &[b' '; 1000]));
    }
    let cases: Vec<(Vec<u8>, u16)> = vec![
        (vec![0x81, 0x02, b'{', b'}'], 1002),
        (frame(0xc1, b"{}"), 1002),
        (frame(0x83, b"{}"), 1002),
        (frame(0x80, b"{}"), 1002),
        (frame(0x89, &[b'p'; 126]), 1002),
        (frame(0x09, b"p"), 1002),
        (frame(0x81, &[0xff, 0xfe]), 1007),
        (frame(0x82, b"{}"), 1003),
        (frame(0x81, &vec![b'x'; 70_000]), 1009),
        (declared(1 << 40), 1009),
        (declared(u64::MAX), 1009),
        (pieces, 1009),
    ];
    let heard: Vec<(Vec<u8>, u16, Heard)> = arena
        .survives(async {
            let mut heard = Vec::new();
            for _ in 0..3 {
                for (bytes, code) in &cases {
                    let mut all = upgrade("", "\r\n").into_bytes();
                    all.extend_from_slice(bytes);
                    heard.push((bytes.clone(), *code, exchange(ATTACKER, port, &all).await));
                }
            }
            heard
        })
        .await;
    for (bytes, code, one) in heard {
        let shown = &bytes[..bytes.len().min(12)];
        assert_eq!(one.frames().1, Some(code), "{shown:02x?}");
    }
}

#[tokio::test]
async fn whoever_asks_and_never_reads_holds_no_memory_and_stops_nobody() {
    let arena = Arena::open().await;
    let port = arena.server.port();
    let auth = format!("Authorization: Bearer {}\r\n\r\n", arena.mallory);
    let ends = arena
        .survives(join_all((0..16).map(async |socket: u32| {
            let mut stream = connect(ATTACKER, port).await;
            let mut bytes = upgrade("", &auth).into_bytes();
            for n in 0..5 {
                let payload = json!({ "content": "go", "client_msg_id": format!("{socket}-{n}") });
                let say = json!({ "type": "user_message", "payload": payload });
                bytes.extend(frame(0x81, say.to_string().as_bytes()));
            }
            for _ in 0..280 {
                let ping = json!({ "type": "ping", "payload": { "nonce": "n".repeat(7000) } });
                bytes.extend(frame(0x81, ping.to_string().as_bytes()));
            }
            // The peer's window closes; then so does this write. Nothing is read until it is over.
            let sent =
                tokio::time::timeout(Duration::from_secs(12), stream.write_all(&bytes)).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            (sent.is_ok(), stream)
        })))
        .await;
    for (_, stream) in ends {
        let heard = until_read(stream).await;
        assert_eq!(heard.status(), 101);
    }
}

/// What waits to be read, after the other side was told that nothing more comes.
async fn until_read(mut stream: tokio::net::TcpStream) -> Heard {
    let _ = stream.shutdown().await;
    until_closed(stream).await
}
