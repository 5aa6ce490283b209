//! WebSockets: admission, tickets, log-outs, and a stream that is no TCP socket.

use crate::rig::{PATIENCE, Rig, Wishes, app, rig, token_of};
use futures_util::{SinkExt as _, StreamExt as _};
use goldenpath_core::edge::{EdgeLimits, Policy};
use goldenpath_core::limits::Limits;
use goldenpath_core::time::Millis;
use goldenpath_warp::{Listener, Phase, serve};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// A client's end.
pub(crate) struct Client<S>(pub(crate) WebSocketStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn open(stream: S, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://localhost{path}").into_client_request().unwrap();
        for (name, value) in headers {
            let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(refused)) => Err(refused.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn say(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next frame, or the code of the close.
    pub(crate) async fn hear(&mut self) -> Result<Value, u16> {
        loop {
            let heard = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("in time");
            match heard {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map_or(1005, |f| f.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.hear().await.unwrap();
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Everything up to the close, and its code.
    pub(crate) async fn until_closed(&mut self) -> (Vec<String>, u16) {
        let mut kinds = Vec::new();
        loop {
            match self.hear().await {
                Ok(frame) => kinds.push(frame["type"].as_str().unwrap_or_default().to_owned()),
                Err(code) => return (kinds, code),
            }
        }
    }
}

pub(crate) const GOLDEN: (&str, &str) = ("Sec-WebSocket-Protocol", "golden.v1");

pub(crate) async fn connect(
    rig: &Rig,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Client<TcpStream>, u16> {
    Client::open(TcpStream::connect(rig.address).await.unwrap(), path, headers).await
}

async fn ready(rig: &Rig) -> (Client<TcpStream>, String) {
    let token = rig.token().await;
    let mut client = connect(rig, "/ws", &[GOLDEN]).await.unwrap();
    client.say(json!({ "type": "auth", "payload": { "token": token } })).await;
    client.until("connection_ready").await;
    (client, token)
}

#[tokio::test]
async fn a_server_without_room_or_will_says_503_before_the_upgrade() {
    let rig = rig(Wishes { connections: 1, ..Wishes::default() }).await;
    for phase in [Phase::Starting, Phase::Draining] {
        // Draining ends the accept loop, so the condition is asked on a connection that is open already.
        let stream = TcpStream::connect(rig.address).await.unwrap();
        if phase == Phase::Starting {
            rig.condition.set(phase);
            assert_eq!(Client::open(stream, "/ws", &[GOLDEN]).await.err(), Some(503));
        }
    }
    rig.condition.set(Phase::Serving);
    let _one = connect(&rig, "/ws", &[GOLDEN]).await.unwrap();
    assert_eq!(connect(&rig, "/ws", &[GOLDEN]).await.err(), Some(503));
}

//= specs/auth.md#auth-07
//= type=test
//# A ticket MUST be accepted at most once.
#[tokio::test]
async fn a_ticket_opens_one_socket_of_the_page_that_asked_for_it() {
    let rig = rig(Wishes::default()).await;
    let token = rig.token().await;
    let page = "http://localhost:8000";
    let ticket = || async {
        let reply = rig
            .exchange(&format!(
                "POST /api/auth/ticket HTTP/1.1\r\nHost: x\r\nOrigin: {page}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            ))
            .await;
        format!("/ws?ticket={}", reply.json()["ticket"].as_str().unwrap())
    };
    let path = ticket().await;
    let mut first = connect(&rig, &path, &[GOLDEN, ("Origin", page)]).await.unwrap();
    let heard = first.until("connection_ready").await;
    assert_eq!(heard["payload"]["auth_method"], "ticket");
    let mut second = connect(&rig, &path, &[GOLDEN, ("Origin", page)]).await.unwrap();
    assert_eq!(second.until_closed().await.1, 4401);
    let path = ticket().await;
    let mut foreign =
        connect(&rig, &path, &[GOLDEN, ("Origin", "http://localhost:9999")]).await.unwrap();
    assert_eq!(foreign.until_closed().await.1, 4401);
}

//= specs/auth.md#auth-08
//= type=test
//# The connections of a session that was ended MUST be closed with 4441, and no others.
#[tokio::test]
async fn f39_a_log_out_closes_the_sockets_of_its_session_and_no_others() {
    let rig = rig(Wishes::default()).await;
    let (mut leaving, token) = ready(&rig).await;
    let (mut staying, _) = ready(&rig).await;
    assert_eq!(rig.call("POST", "/api/auth/logout", Some(&token)).await.status(), 200);
    let (kinds, code) = leaving.until_closed().await;
    assert_eq!((kinds.last().map(String::as_str), code), (Some("disconnect"), 4441));
    let mut back = connect(&rig, "/ws", &[GOLDEN]).await.unwrap();
    back.say(json!({ "type": "auth", "payload": { "token": token } })).await;
    assert_eq!(back.until_closed().await.1, 4441);
    staying.say(json!({ "type": "ping", "payload": {} })).await;
    assert_eq!(staying.hear().await.unwrap()["type"], "pong");
}

//= specs/auth.md#auth-06
//= type=test
//# The same token MUST get the same verdict over HTTP and WebSocket.
#[tokio::test]
async fn the_same_token_gets_the_same_verdict_over_http_and_websocket() {
    let rig = rig(Wishes { demo: false, ..Wishes::default() }).await;
    let user = json!({"email": "ada@example.org", "password": "correct horse"}).to_string();
    let log_in = async |path| {
        let reply = rig.send("POST", path, None, &user).await;
        reply.json()["access_token"].as_str().unwrap().to_owned()
    };
    let good = log_in("/api/auth/register").await;
    let ended = log_in("/api/auth/login").await;
    rig.call("POST", "/api/auth/logout", Some(&ended)).await;
    let changed = good.replacen('.', ".e30", 1);
    let mut verdicts = Vec::new();
    for token in [good.as_str(), &ended, &changed, "nonsense"] {
        let over_http = rig.call("GET", "/api/auth/me", Some(token)).await.json();
        let mut socket = connect(&rig, "/ws", &[GOLDEN]).await.unwrap();
        socket.until("auth_required").await;
        socket.say(json!({ "type": "auth", "payload": { "token": token } })).await;
        let over_socket = socket.hear().await.unwrap()["payload"].clone();
        assert_eq!(over_http["code"], over_socket["code"], "{token}");
        assert_eq!(over_http["id"], over_socket["user_id"], "{token}");
        verdicts.push(over_http["code"].as_str().unwrap_or("accepted").to_owned());
    }
    assert_eq!(verdicts, ["accepted", "token_revoked", "unauthorized", "unauthorized"]);
}

#[tokio::test]
async fn a_drain_tells_every_socket_when_to_come_back() {
    let rig = rig(Wishes::default()).await;
    let (mut client, _) = ready(&rig).await;
    rig.condition.set(Phase::Draining);
    let connections = rig.connections.clone();
    let draining = tokio::spawn(async move {
        goldenpath_runtime::drain::drain(&connections, &mut goldenpath_core::seed::Seed::new(1))
            .await
    });
    let (kinds, code) = client.until_closed().await;
    assert_eq!((kinds, code), (vec!["server_draining".into(), "disconnect".into()], 1012));
    drop(client);
    assert!(tokio::time::timeout(PATIENCE, draining).await.unwrap().unwrap(), "it ends clean");
}

#[tokio::test]
async fn f37_a_reader_that_does_not_read_is_closed_and_comes_back() {
    let limits = Limits {
        outbox_frames: 64,
        outbox_bytes: 64 * 1024,
        messages_per_minute: 1_000_000,
        message_burst: 1_000_000,
        ..Limits::default()
    };
    let rig = rig(Wishes { limits, ..Wishes::default() }).await;
    let (mut client, token) = ready(&rig).await;
    // What is sent fills the outbox only when the socket's own buffers are full; so they are filled
    // by answers to pings of 8 kB that nobody reads.
    let nonce = "n".repeat(7_000);
    for _ in 0..2_000 {
        let ping = json!({ "type": "ping", "payload": { "nonce": nonce } }).to_string();
        let sent = client.0.feed(Message::text(ping));
        if tokio::time::timeout(std::time::Duration::from_millis(50), sent).await.is_err() {
            break;
        }
    }
    let say = json!({ "content": "hello" }).to_string();
    for _ in 0..20 {
        assert_eq!(rig.send("POST", "/api/messages", Some(&token), &say).await.status(), 202);
    }
    let registry = rig.connections.registry.clone();
    tokio::time::timeout(PATIENCE, registry.emptied()).await.expect("it is closed");
    // Nothing that was accepted is missing for whoever comes back.
    let listed = rig.call("GET", "/api/threads", Some(&token)).await.json();
    let resume: Vec<Value> = listed["threads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|thread| json!({ "thread_id": thread["id"], "after_seq": 0 }))
        .collect();
    assert_eq!(resume.len(), 20, "{listed}");
    let mut again = connect(&rig, "/ws", &[GOLDEN]).await.unwrap();
    again.say(json!({ "type": "auth", "payload": { "token": token, "resume": { "threads": resume } } })).await;
    let mut answered = BTreeSet::new();
    while answered.len() < 20 {
        let frame = again.hear().await.unwrap();
        if frame["type"] == "run_completed" {
            answered.insert(frame["thread_id"].to_string());
        }
    }
}

/// A network of one process: streams in memory.
struct InMemory(mpsc::Receiver<DuplexStream>);

impl Listener for InMemory {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.0.recv().await {
            Some(stream) => Ok((stream, ([10, 0, 0, 1], 1).into())),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_server_speaks_on_streams_in_memory_while_time_stands_still() {
    let (app, condition, _) = app(Wishes::default());
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(serve(app, InMemory(receiver)));
    condition.set(Phase::Serving);
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    sender.send(theirs).await.unwrap();
    let mut client = Client::open(ours, "/ws", &[GOLDEN]).await.unwrap();
    client.until("connection_ready").await;
    let ask = json!({ "type": "user_message", "id": "c1", "payload": { "content": "hello" } });
    client.say(ask).await;
    assert_eq!(client.until("ack").await["ref"], "c1");
    client.until("run_completed").await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed_when_its_time_is_over() {
    let limits = Limits { heartbeat_timeout: Millis::from_secs(75), ..Limits::default() };
    let (app, condition, _) = app(Wishes { limits, ..Wishes::default() });
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(serve(app, InMemory(receiver)));
    condition.set(Phase::Serving);
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    sender.send(theirs).await.unwrap();
    let mut client = Client::open(ours, "/ws", &[GOLDEN]).await.unwrap();
    let mut pings = 0;
    let code = loop {
        // Longer than PATIENCE on a clock that jumps: only this test's own wait is long.
        match tokio::time::timeout(std::time::Duration::from_secs(200), client.0.next())
            .await
            .unwrap()
        {
            Some(Ok(Message::Text(text))) => pings += usize::from(text.contains("\"ping\"")),
            Some(Ok(Message::Close(frame))) => break frame.map(|f| u16::from(f.code)),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break None,
        }
    };
    assert_eq!((code, pings), (Some(4421), 2));
}

//= specs/safety.md#safe-95
//= type=test
//# New sockets of one user MUST be limited over all of its addresses together; one too many MUST be
//# closed with 4429 and a time to come back.
#[tokio::test]
async fn a_user_who_connects_too_often_is_closed_with_4429_and_told_when_to_come_back() {
    let mut edge = EdgeLimits::unbounded();
    edge.user_connections = Policy::every(3, Millis::from_secs(60));
    edge.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let rig = rig(Wishes { edge, ..Wishes::default() }).await;
    let (ada, bob) = (token_of("ada", 1).0, token_of("bob", 2).0);
    let open = async |token: &str, from: &str, protocol| {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("Authorization", &*bearer), ("X-Forwarded-For", from)];
        headers.extend(protocol);
        connect(&rig, "/ws", &headers).await.unwrap()
    };
    let mut kept = Vec::new();
    for from in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let mut socket = open(&ada, from, Some(GOLDEN)).await;
        socket.until("connection_ready").await;
        kept.push(socket);
    }
    // In both dialects.
    let mut refused = open(&ada, "192.0.2.4", Some(GOLDEN)).await;
    let error = refused.hear().await.unwrap();
    assert_eq!(error["payload"]["code"], "rate_limited");
    let wait = error["payload"]["retry_after_ms"].as_u64().unwrap();
    assert!((1..=60_000).contains(&wait), "{wait}");
    let disconnect = refused.hear().await.unwrap();
    assert_eq!(disconnect["payload"]["reconnect_after_ms"], wait);
    assert_eq!(refused.until_closed().await, (vec![], 4429));
    let (_, code) = open(&ada, "192.0.2.5", None).await.until_closed().await;
    assert_eq!(code, 4429);
    open(&bob, "192.0.2.1", Some(GOLDEN)).await.until("connection_ready").await;
    for socket in &mut kept {
        socket.say(json!({ "type": "ping", "payload": {} })).await;
        socket.until("pong").await;
    }
}
