//! Bytes as they come: what is no request, and what could be two.

use crate::rig::{Reply, Rig, Wishes, rig};
use goldenpath_core::time::Millis;
use std::collections::BTreeSet;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// A second request, hidden where a careless reader finds one.
const HIDDEN: &str = "GET /ws/config HTTP/1.1\r\nHost: x\r\n\r\n";

async fn is_well(rig: &Rig) {
    assert_eq!(rig.call("GET", "/health", None).await.status(), 200);
}

fn answers(reply: &Reply) -> usize {
    (reply.head.clone() + &reply.body).matches("HTTP/1.1 ").count()
}

#[tokio::test]
async fn a_request_without_one_good_host_is_refused_and_ends_its_connection() {
    let rig = rig(Wishes::default()).await;
    for (lines, detail) in [
        ("", "Host is missing"),
        ("X-Host: x\r\n", "Host is missing"),
        ("Host: x\r\nHost: x\r\n", "Host is there more than once"),
        ("Host: x\r\nhost: evil.example\r\n", "Host is there more than once"),
        ("Host: x, evil.example\r\n", "Host is not the name of a host"),
        ("Host: user@x\r\n", "Host is not the name of a host"),
        ("Host: x/../y\r\n", "Host is not the name of a host"),
    ] {
        for line in ["GET /api/config", "POST /api/auth/demo", "GET /ws", "GET /nothing", "GET /"] {
            // Kept alive, as HTTP/1.1 is; another request is on its heels.
            let bytes = format!("{line} HTTP/1.1\r\n{lines}\r\n{HIDDEN}");
            let reply = rig.exchange(&bytes).await;
            assert_eq!((reply.status(), answers(&reply)), (400, 1), "{line} {lines}: {reply:?}");
            assert_eq!(reply.header("connection"), Some("close"));
            assert_eq!(reply.header("content-type"), Some("application/problem+json"));
            assert_eq!(
                (&reply.json()["code"], &reply.json()["detail"]),
                (&"bad_request".into(), &detail.into())
            );
        }
    }
    let older = rig.exchange("GET /health HTTP/1.0\r\n\r\n").await;
    assert_eq!(older.status(), 200, "HTTP/1.0 knows no Host: {older:?}");
    is_well(&rig).await;
}

#[tokio::test]
async fn a_length_beside_a_transfer_coding_never_makes_two_requests_of_one() {
    let rig = rig(Wishes::default()).await;
    let coding = "Transfer-Encoding: chunked\r\n";
    // Read by its length, by its coding, and by a coding that is written so that some overlook it.
    let length = format!("Content-Length: {}\r\n", 5 + HIDDEN.len());
    for lines in [
        format!("{length}{coding}"),
        format!("{coding}{length}"),
        format!("{coding}Content-Length: 0\r\n"),
        format!("Content-Length: 5\r\n{coding}{length}"),
        format!("{length}Transfer-Encoding: gzip, chunked\r\n"),
        format!("Transfer-Encoding:\t CHUNKED\r\n{length}"),
    ] {
        let bytes =
            format!("POST /auth/validate HTTP/1.1\r\nHost: x\r\n{lines}\r\n0\r\n\r\n{HIDDEN}");
        let reply = rig.exchange(&bytes).await;
        assert_eq!(answers(&reply), 1, "{lines}: {reply:?}");
        // One answer, to the request that its coding makes, or a refusal; then the end.
        assert!([200, 400].contains(&reply.status()), "{lines}: {reply:?}");
        assert!(!reply.body.contains("websocket_config"), "{lines}: {reply:?}");
    }
    for coding in ["gzip", "chunked, gzip", "xchunked", "chunked, identity"] {
        let bytes = format!(
            "POST /auth/validate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {coding}\r\n{length}\r\n0\r\n\r\n{HIDDEN}"
        );
        let reply = rig.exchange(&bytes).await;
        assert_eq!((reply.status(), answers(&reply)), (400, 1), "{coding}: {reply:?}");
    }
    is_well(&rig).await;
}

/// The exception of decision 0009: hyper answers these itself, before there is a request.
//= specs/safety.md#safe-85
//= type=test
//# Bytes that are no request MUST be answered with a bare status or nothing, and MUST end their
//# connection and nothing else.
#[tokio::test]
async fn what_is_no_request_is_answered_with_a_bare_status_and_ends_its_connection() {
    let rig = rig(Wishes { header_timeout: Millis::from_secs(1), ..Wishes::default() }).await;
    let long = "x".repeat(100_000);
    let many: String = (0..200).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let (host, login) = ("Host: x\r\n", "POST /api/auth/login HTTP/1.1\r\nHost: x\r\n");
    for (bytes, status) in [
        ("NO REQUEST AT ALL\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{3}\u{3}".to_owned(), 400),
        (format!("GET / HTTP/9.9\r\n{host}\r\n"), 400),
        (format!("GET /\u{7f} HTTP/1.1\r\n{host}\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}X A: b\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}X-A: a\0b\r\n\r\n"), 400),
        (format!("{login}Content-Length: -5\r\n\r\n{HIDDEN}"), 400),
        (format!("{login}Content-Length: 5, 6\r\n\r\n{HIDDEN}"), 400),
        (format!("{login}Content-Length: 5\r\nContent-Length: 50\r\n\r\n{HIDDEN}"), 400),
        (format!("{login}Content-Length: 99999999999999999999\r\n\r\n"), 400),
        (format!("{login}Transfer-Encoding: gzip\r\n\r\n{HIDDEN}"), 400),
        (format!("POST / HTTP/1.0\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}{many}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\n{host}X-Long: {long}\r\n\r\n"), 431),
        (format!("GET /{long} HTTP/1.1\r\n{host}\r\n"), 431),
        // HTTP/2 in the clear: a client that knows no other protocol understands no status either.
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 0),
    ] {
        let shown: String = bytes.chars().take(90).collect();
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        // Whoever is refused in the middle of a head may be closed before its end is written.
        let _ = stream.write_all(bytes.as_bytes()).await;
        let reply = Reply::read(&mut stream).await;
        assert_eq!(reply.status(), status, "{shown:?}: {reply:?}");
        assert_eq!(
            (answers(&reply), reply.body.as_str()),
            (usize::from(status > 0), ""),
            "{shown:?}"
        );
        let names: BTreeSet<String> = reply
            .head
            .lines()
            .skip(1)
            .filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase()))
            .collect();
        let bare = ["connection", "content-length", "date"];
        assert!(names.iter().all(|name| bare.contains(&name.as_str())), "{shown:?}: {names:?}");
        assert!(status == 0 || reply.header("content-length") == Some("0"), "{shown:?}");
        is_well(&rig).await;
    }
}
