//! Peers that are slow or send too much.

use crate::rig::{Reply, Rig, Wishes, rig};
use goldenpath_core::edge::EdgeLimits;
use goldenpath_core::time::Millis;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn impatient() -> Rig {
    let timeouts = Millis(200);
    rig(Wishes { header_timeout: timeouts, body_timeout: timeouts, ..Wishes::default() }).await
}

#[tokio::test]
async fn a_head_that_is_not_finished_is_not_waited_for() {
    let rig = impatient().await;
    for begun in ["", "GET /health HT", "GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let began = Instant::now();
        let reply = rig.exchange(begun).await;
        assert!(reply.head.is_empty() || reply.status() == 408, "{reply:?}");
        assert!(began.elapsed().as_millis() >= 190, "{begun:?} was cut off at once");
    }
}

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_408() {
    let rig = impatient().await;
    let token = rig.token().await;
    for path in ["/api/messages", "/api/usage/import"] {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{{\"content\":"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let reply = Reply::read(&mut stream).await;
        assert_eq!((reply.status(), reply.json()["code"].as_str()), (408, Some("request_timeout")));
    }
}

/// Begins an import that says it has a hundred bytes.
async fn begin_import(rig: &Rig, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let request = format!(
        "POST /api/usage/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_file_that_comes_byte_by_byte_is_answered_408_and_one_at_the_rate_is_read() {
    let edge = EdgeLimits { body_bytes_per_second: 200, ..EdgeLimits::unbounded() };
    let body_timeout = Millis(400);
    let rig = rig(Wishes { body_timeout, edge, ..Wishes::default() }).await;
    let token = rig.token().await;
    for (piece, status) in [(1, 408), (10, 200)] {
        let stream = begin_import(&rig, &token).await;
        let (mut read, mut write) = stream.into_split();
        let began = Instant::now();
        let drip = async {
            // Ten bytes take 25 ms and earn 50; one earns 5.
            for _ in 0..100 / piece {
                tokio::time::sleep(std::time::Duration::from_millis(25)).await;
                if write.write_all(&vec![b'x'; piece]).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        let answered = async {
            let mut bytes = Vec::new();
            read.read_to_end(&mut bytes).await.unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let said = tokio::select! { said = answered => said, () = drip => unreachable!() };
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{piece}: {said}");
        assert!(status == 200 || began.elapsed().as_millis() < 2000, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn files_of_one_user_wait_for_each_other_and_for_nobody_elses() {
    let edge = EdgeLimits { imports_per_user: 1, ..EdgeLimits::unbounded() };
    let rig = rig(Wishes { edge, ..Wishes::default() }).await;
    let (ada, bob) = (rig.token().await, rig.token().await);
    let first = begin_import(&rig, &ada).await;
    // The place is taken when the head has been read.
    let refused = loop {
        let reply = rig.send("POST", "/api/usage/import", Some(&ada), "x").await;
        if reply.status() != 200 {
            break reply;
        }
    };
    assert_eq!((refused.status(), refused.json()["code"].as_str()), (429, Some("rate_limited")));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(rig.send("POST", "/api/usage/import", Some(&bob), "x").await.status(), 200);
    drop(first);
    while rig.send("POST", "/api/usage/import", Some(&ada), "x").await.status() != 200 {}
}

#[tokio::test]
async fn a_file_over_its_limit_is_refused_whether_it_says_so_or_not() {
    let rig = rig(Wishes::default()).await;
    let token = rig.token().await;
    let declared = rig.send("POST", "/api/usage/import", Some(&token), &"x".repeat(100_001)).await;
    assert_eq!(
        (declared.status(), declared.json()["code"].as_str()),
        (413, Some("message_too_large"))
    );
    let mut request = format!(
        "POST /api/usage/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    );
    for _ in 0..11 {
        request.push_str(&format!("{:x}\r\n{}\r\n", 10_000, "x".repeat(10_000)));
    }
    request.push_str("0\r\n\r\n");
    let chunked = rig.exchange(&request).await;
    assert_eq!(
        (chunked.status(), chunked.json()["code"].as_str()),
        (413, Some("message_too_large"))
    );
}

#[tokio::test]
async fn a_head_of_many_headers_is_refused_and_the_server_lives() {
    let rig = rig(Wishes::default()).await;
    let many: String = (0..2000).map(|n| format!("X-{n}: {}\r\n", "y".repeat(40))).collect();
    let reply = rig.exchange(&format!("GET /health HTTP/1.1\r\nHost: x\r\n{many}\r\n")).await;
    assert!(reply.head.is_empty() || reply.status() == 431, "{}", reply.head);
    assert_eq!(rig.call("GET", "/health", None).await.status(), 200);
}
