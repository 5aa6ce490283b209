//! Attacks of those who have not come in: half requests, slow ones, huge ones, and no HTTP at all.

use crate::arena::Arena;
use crate::raw::{ATTACKER, connect, connect_narrow, exchange, frame, until_closed, upgrade};
use futures_util::future::join_all;
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn half_an_upgrade_is_held_open_by_hundreds_and_all_are_cut() {
    let arena = Arena::open().await;
    let port = arena.server.port();
    let ends = arena
        .survives(join_all((0..300).map(async |n: u32| {
            let mut stream = connect(ATTACKER, port).await;
            let begun = upgrade("", "");
            let part = &begun[..begun.len() * (n as usize % 10) / 10];
            let _ = stream.write_all(part.as_bytes()).await;
            until_closed(stream).await
        })))
        .await;
    assert!(ends.iter().all(|end| end.after < Duration::from_secs(8)), "none is held for ever");
    assert!(ends.iter().all(|end| end.status() != 101));
    let at_once = ends.iter().filter(|end| end.after < Duration::from_millis(1500)).count();
    assert!(at_once >= 200, "64 of an address are listened to, the others not: {at_once}");
}

#[tokio::test]
async fn a_head_and_a_body_that_come_byte_by_byte_are_cut() {
    let arena = Arena::open().await;
    let port = arena.server.port();
    let token = &arena.mallory;
    let body = format!(
        "POST /api/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
    );
    let drip = |start| drip(port, start);
    let (heads, bodies) = arena
        .survives(async {
            tokio::join!(
                join_all((0..20).map(|_| drip("GET /health HTTP/1.1\r\nX-Slow: "))),
                join_all((0..20).map(|_| drip(&body))),
            )
        })
        .await;
    for (said, after) in heads.iter().chain(&bodies) {
        assert!(*after < Duration::from_secs(8), "after {after:?}");
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408 "), "{said}");
    }
    assert!(bodies.iter().any(|(said, _)| said.contains("request_timeout")));
}

#[tokio::test]
async fn whoever_asks_and_never_reads_is_cut_and_gives_the_place_back() {
    // Room for the attacker's sockets and few more.
    let arena = Arena::with(&[
        ("GOLDENPATH_CONNECTIONS_PER_ADDRESS", "16"),
        ("GOLDENPATH_MAX_CONNECTIONS", "24"),
        ("GOLDENPATH_MAX_UNAUTHENTICATED", "16"),
        ("GOLDENPATH_REQUESTS_PER_MINUTE", "600000"),
    ])
    .await;
    let port = arena.server.port();
    let asks = "GET /app/main.js HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    let cut = arena
        .survives(join_all((0..16).map(async |_| {
            let mut stream = connect_narrow(ATTACKER, port).await;
            // Asks until the server has stopped to listen and then has gone.
            while stream.write_all(asks.as_bytes()).await.is_ok() {}
        })))
        .await;
    assert_eq!(cut.len(), 16, "none is held for ever");
}

#[tokio::test]
async fn a_file_dripped_for_ever_is_cut_and_holds_up_nobody() {
    let bounds =
        [("GOLDENPATH_BODY_BYTES_PER_SECOND", "8192"), ("GOLDENPATH_IMPORTS_PER_USER", "2")];
    let arena = Arena::with(&bounds).await;
    let port = arena.server.port();
    let token = &arena.mallory;
    let head = format!(
        "POST /api/usage/import?dry_run=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n"
    );
    let ends = arena.survives(join_all((0..30).map(|_| drip(port, &head)))).await;
    let count = |status: &str| ends.iter().filter(|(said, _)| said.contains(status)).count();
    assert!(ends.iter().all(|(_, after)| *after < Duration::from_secs(10)), "{ends:?}");
    assert!(count("HTTP/1.1 408 ") >= 1, "{ends:?}");
    assert!(count("HTTP/1.1 429 ") >= 20, "two at once, the others not: {ends:?}");
}

#[tokio::test]
async fn what_is_too_big_is_refused_before_it_is_kept() {
    let arena = Arena::open().await;
    let port = arena.server.port();
    let long = "x".repeat(2 << 20);
    let many: String = (0..20_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let requests = [
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"),
        format!("GET /health HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        format!("{}X-Long: {long}\r\n\r\n", upgrade("", "")),
        format!(
            "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{long}",
            long.len()
        ),
        "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"
            .into(),
    ];
    let heard = arena
        .survives(async {
            let mut heard = Vec::new();
            for _ in 0..5 {
                for request in &requests {
                    heard.push(exchange(ATTACKER, port, request.as_bytes()).await.status());
                }
            }
            heard
        })
        .await;
    for status in heard {
        assert!([0, 400, 408, 413, 414, 431].contains(&status), "{status}");
    }
}

#[tokio::test]
async fn what_is_no_http_and_what_could_be_two_requests_is_cut() {
    let arena = Arena::open().await;
    let port = arena.server.port();
    let smuggled = "GET /api/auth/me HTTP/1.1\r\nHost: x\r\n\r\n";
    let noise: Vec<u8> =
        (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let cases: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        noise,
        vec![0; 50_000],
        b"\r\n\r\n\r\n\r\n".repeat(1000),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET /health HTTP/1.1\r\nHost: x\r\nX A: b\r\nConnection: close\r\n\r\n".to_vec(),
        format!("POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 50\r\nConnection: close\r\n\r\n{smuggled}").into_bytes(),
        format!("POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\nConnection: close\r\n\r\n{smuggled}").into_bytes(),
        format!("POST /api/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nffffffffffffffffff\r\n{smuggled}").into_bytes(),
    ];
    let answers = arena
        .survives(async {
            let mut answers = Vec::new();
            for case in &cases {
                let heard = exchange(ATTACKER, port, case).await;
                answers.push((case, heard));
            }
            answers
        })
        .await;
    for (case, heard) in answers {
        let shown = String::from_utf8_lossy(&case[..case.len().min(80)]).into_owned();
        let said = String::from_utf8_lossy(&heard.bytes).into_owned();
        assert!(said.matches("HTTP/1.1 ").count() <= 1, "{shown:?} was two requests: {said}");
        assert!(heard.status() != 101 && heard.status() < 500, "{shown:?}: {said}");
        assert!(!said.contains("\"email\""), "{shown:?}: {said}");
    }
}

#[tokio::test]
async fn whoever_skips_the_credential_gets_nothing_done() {
    let arena = Arena::open().await;
    let port = arena.server.port();
    let mut bytes = upgrade("", "\r\n").into_bytes();
    for n in 0..40 {
        for text in [
            json!({ "type": "user_message", "id": format!("m{n}"), "payload": { "content": "let me in" } }),
            json!({ "type": "list_threads", "id": format!("l{n}"), "payload": {} }),
            json!({ "type": "connection_ready", "payload": {} }),
            json!({ "type": "auth", "payload": { "token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0." } }),
        ] {
            bytes.extend(frame(0x81, text.to_string().as_bytes()));
        }
    }
    let heard = arena.survives(join_all((0..30).map(|_| exchange(ATTACKER, port, &bytes)))).await;
    for one in heard {
        let (frames, code) = one.frames();
        let code = code.expect("it is told how it ended");
        assert!([4400, 4401, 4408, 4429].contains(&code), "{code} {frames:?}");
        for text in frames {
            let kind = serde_json::from_str::<serde_json::Value>(&text).unwrap()["type"].clone();
            let allowed = ["auth_required", "disconnect", "error", "rate_limit"];
            assert!(allowed.contains(&kind.as_str().unwrap()), "{text}");
        }
    }
}

/// Says this, then one byte now and then: never silent, never done. What was answered, and when.
async fn drip(port: u16, start: &str) -> (String, Duration) {
    let mut stream = connect(ATTACKER, port).await;
    stream.write_all(start.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let dripping = async {
        while write.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        std::future::pending::<()>().await;
    };
    let cut = async {
        let mut bytes = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let began = std::time::Instant::now();
    let said = tokio::select! { said = cut => said, () = dripping => String::new() };
    (said, began.elapsed())
}
