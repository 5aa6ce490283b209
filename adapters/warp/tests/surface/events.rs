//! The event stream ends with what it was opened with: the session, the credential, the server.

use crate::rig::{PATIENCE, Rig, Wishes, rig};
use goldenpath_core::edge::{EdgeLimits, Policy};
use goldenpath_core::limits::Limits;
use goldenpath_core::time::Millis;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An event stream as a browser's `EventSource` or curl would hold it.
struct Stream {
    stream: TcpStream,
    text: String,
}

impl Stream {
    async fn open(rig: &Rig, token: &str) -> Self {
        Self::asking(rig, token, "", "").await
    }

    /// Asks with a query and one more header, which ends its line.
    async fn asking(rig: &Rig, token: &str, query: &str, header: &str) -> Self {
        let mut stream = Self::asked(rig, token, query, header).await;
        stream.until("text/event-stream").await;
        stream
    }

    /// The same, whatever is answered.
    async fn asked(rig: &Rig, token: &str, query: &str, header: &str) -> Self {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        let request = format!(
            "GET /api/events/stream{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n{header}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, text: String::new() }
    }

    /// Its status, and whether it is the refusal of one more than there are places.
    async fn status(&mut self) -> (u16, bool) {
        self.until("\r\n\r\n").await;
        let status = self.text.split(' ').nth(1).unwrap().parse().unwrap();
        if status == 429 {
            self.until("}").await;
        }
        let refused =
            self.text.contains("too_many_connections") && self.text.contains("retry-after");
        (status, refused)
    }

    /// Reads on until `part` was heard.
    async fn until(&mut self, part: &str) {
        while !self.text.contains(part) {
            assert!(self.read().await, "ended without {part}: {}", self.text);
        }
    }

    /// Reads to the end of the answer.
    async fn until_the_end(&mut self) {
        // A chunked body ends with a chunk of no bytes.
        while !self.text.ends_with("\r\n0\r\n\r\n") && self.read().await {}
    }

    async fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await;
        let read = read.expect("something is heard, or the end").unwrap();
        self.text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        read > 0
    }
}

#[tokio::test]
async fn f39_a_log_out_ends_the_event_streams_of_its_session_and_no_others() {
    let rig = rig(Wishes::default()).await;
    let (leaving, staying) = (rig.token().await, rig.token().await);
    let mut ended = Stream::open(&rig, &leaving).await;
    let mut lives = Stream::open(&rig, &staying).await;
    assert_eq!(rig.call("POST", "/api/auth/logout", Some(&leaving)).await.status(), 200);
    ended.until_the_end().await;
    let say = json!({ "content": "Analyze my AI costs", "client_msg_id": "m1" }).to_string();
    rig.send("POST", "/api/messages", Some(&staying), &say).await;
    lives.until("run_completed").await;
}

/// AUTH-08: whoever ends a log-in finds each of its streams, or the stream finds that it has ended.
#[tokio::test]
async fn a_log_in_that_ends_while_its_event_stream_is_made_has_no_stream() {
    let rig = rig(Wishes { leaving: true, ..Wishes::default() }).await;
    let token = rig.token().await;
    let request = format!(
        "GET /api/events/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n"
    );
    let reply = rig.exchange(&request).await;
    assert_eq!(reply.status(), 401, "{reply:?}");
    assert_eq!(reply.json()["code"], "token_revoked");
    assert!(rig.connections.registry.is_empty());
    assert_eq!(rig.connections.shards.load().await.connections, 0);
}

#[tokio::test]
async fn an_event_stream_ends_with_its_credential() {
    let limits = Limits { token_grace: Millis::from_secs(1), ..Limits::default() };
    let token_lifetime = Millis::from_secs(2);
    let rig = rig(Wishes { limits, token_lifetime, ..Wishes::default() }).await;
    let token = rig.token().await;
    let mut stream = Stream::open(&rig, &token).await;
    let say = json!({ "content": "Analyze my AI costs", "client_msg_id": "m1" }).to_string();
    rig.send("POST", "/api/messages", Some(&token), &say).await;
    stream.until("run_completed").await;
    stream.until_the_end().await;
}

/// SAFE-93: whoever comes through a trusted proxy holds its own places, not the proxy's.
#[tokio::test]
async fn behind_a_trusted_proxy_an_address_has_its_number_of_event_streams_at_once() {
    let mut edge = EdgeLimits::unbounded();
    edge.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    edge.connections_per_address = 4;
    let rig = rig(Wishes { edge, ..Wishes::default() }).await;
    let token = rig.token().await;
    let asked = |from: &'static str| Stream::asked(&rig, &token, "", from);
    let (loud, calm) = ("X-Forwarded-For: 192.0.2.1\r\n", "X-Forwarded-For: 192.0.2.2\r\n");
    let mut open = Vec::new();
    for n in 0..20 {
        let mut stream = asked(loud).await;
        let expected = if n < 4 { (200, false) } else { (429, true) };
        assert_eq!(stream.status().await, expected, "{n}: {}", stream.text);
        if n < 4 {
            open.push(stream);
        }
    }
    assert_eq!(asked(calm).await.status().await, (200, false));
    open.pop();
    let again = async {
        loop {
            let mut stream = asked(loud).await;
            if stream.status().await == (200, false) {
                return stream;
            }
        }
    };
    let _again = tokio::time::timeout(PATIENCE, again).await.expect("its place is given back");
    assert_eq!(asked(loud).await.status().await, (429, true));
}

#[tokio::test]
async fn an_event_stream_counts_as_a_request_of_its_user() {
    let mut edge = EdgeLimits::unbounded();
    edge.user_requests = Policy::per_minute(2, 1);
    let rig = rig(Wishes { edge, ..Wishes::default() }).await;
    let token = rig.token().await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(Stream::asked(&rig, &token, "", "").await.status().await.0);
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn a_drain_ends_the_event_streams() {
    let rig = rig(Wishes::default()).await;
    let token = rig.token().await;
    let mut stream = Stream::open(&rig, &token).await;
    rig.connections.registry.drain(|| Millis::from_secs(1));
    stream.until_the_end().await;
}

//= specs/delivery.md#dlv-27
//= type=test
//# An event stream that is to go on from a position MUST say what became of that,
//# as a socket does.
#[tokio::test]
async fn an_event_stream_says_what_became_of_the_position_it_was_asked_for() {
    let rig = rig(Wishes::default()).await;
    let token = rig.token().await;
    let nobodys = "?thread_id=thr_00000000000000000000000009";
    let mut stream = Stream::asking(&rig, &token, nobodys, "").await;
    stream.until("\"type\":\"resumed\"").await;
    stream.until("\"reason\":\"thread_not_found\"").await;
}

//= specs/delivery.md#dlv-28
//= type=test
//# An event stream that comes back with `Last-Event-ID` MUST go on behind that entry.
#[tokio::test]
async fn an_event_stream_that_comes_back_goes_on_behind_its_last_event() {
    let rig = rig(Wishes::default()).await;
    let token = rig.token().await;
    let mut first = Stream::open(&rig, &token).await;
    let say = json!({ "content": "Analyze my AI costs", "client_msg_id": "m1" }).to_string();
    rig.send("POST", "/api/messages", Some(&token), &say).await;
    first.until("run_completed").await;
    let third = first.text.split("\nid:").nth(3).unwrap().lines().next().unwrap().trim().to_owned();
    assert!(third.ends_with(":3"), "{third}");
    let frame = first.text.lines().find(|line| line.contains("thread_created")).unwrap();
    let start = frame.find("thr_").unwrap();
    let query = format!("?thread_id={}", &frame[start..start + 30]);
    drop(first);
    let behind = format!("Last-Event-ID: {third}\r\n");
    let mut back = Stream::asking(&rig, &token, &query, &behind).await;
    back.until("run_completed").await;
    assert!(back.text.contains("\"recovered\":true"), "{}", back.text);
    let ids: Vec<&str> =
        back.text.split("\nid:").skip(1).map(|id| id.lines().next().unwrap()).collect();
    assert!(ids[0].trim().ends_with(":4"), "{ids:?}");
}
