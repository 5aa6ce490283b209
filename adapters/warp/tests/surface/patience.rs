//! Peers that are slow or send too much.

use crate::rig::{Reply, Rig, Wishes, rig};
use goldenpath_core::time::Millis;
use std::time::Instant;
use tokio::io::AsyncWriteExt as _;
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
