//! The client against a server that follows a script, over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use futures_util::{SinkExt, StreamExt};
use goldenpath_core::client::{Config, Ended, Event, Link, MessageState, WhyCredential};
use goldenpath_core::id::{
    ConnectionId, Epoch, EventId, MessageId, RunId, Seq, SessionId, ThreadId, UserId,
};
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{
    AckFrame, Announced, AuthMethod, ClientBody, Draft, ErrorCode, Event as LogEvent, Naming,
    ReadyFrame, Reply, Resumed, RunStatus, Secret, ServerFrame, UserMessage, decode,
};
use goldenpath_tungstenite::{Address, Chat, Credentials, Heard};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

const THREAD: ThreadId = ThreadId(1);
const SOON: Duration = Duration::from_secs(10);

struct Server {
    listener: TcpListener,
}

/// One accepted client, and the `Authorization` it came with.
struct Peer {
    socket: WebSocketStream<TcpStream>,
    authorization: Option<String>,
}

impl Server {
    async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn address(&self) -> Address {
        self.listener.local_addr().unwrap().to_string().parse().unwrap()
    }

    fn chat(&self, credentials: Credentials) -> Chat {
        let config = Config { backoff_first: Millis(20), ..Config::default() };
        Chat::connect_with(self.address(), credentials, config, Seed::new(1))
    }

    async fn tcp(&self) -> TcpStream {
        tokio::time::timeout(SOON, self.listener.accept()).await.unwrap().unwrap().0
    }

    async fn accept(&self) -> Peer {
        let mut authorization = None;
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let upgrade = |request: &Request, mut response: Response| {
            let header = |name| request.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
            assert_eq!(header("sec-websocket-protocol").as_deref(), Some("golden.v1"));
            authorization = header("authorization");
            let selected = "golden.v1".parse().unwrap();
            response.headers_mut().insert("sec-websocket-protocol", selected);
            Ok(response)
        };
        let socket = accept_hdr_async(self.tcp().await, upgrade).await.unwrap();
        let mut peer = Peer { socket, authorization };
        peer.say(&ready()).await;
        peer
    }

    /// Answers one HTTP request; returns its first line.
    async fn answer(&self, status: &str, body: &str) -> String {
        let mut stream = self.tcp().await;
        let mut request = Vec::new();
        while !request.windows(4).any(|window| window == b"\r\n\r\n") {
            let mut piece = [0; 1024];
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "the request ended early");
            request.extend_from_slice(&piece[..read]);
        }
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).await.unwrap();
        let text = String::from_utf8(request).unwrap();
        text.lines().next().unwrap().to_owned()
    }
}

impl Peer {
    async fn say(&mut self, frame: &ServerFrame) {
        let text = frame.encode(&Reply::None, Announced { limits: &Limits::default() });
        self.text(text.as_str()).await;
    }

    async fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    async fn entry(&mut self, seq: u64) {
        self.text(&entry(seq, 1)).await;
    }

    async fn hear(&mut self) -> ClientBody {
        let frame = tokio::time::timeout(SOON, self.socket.next()).await.unwrap();
        let text = frame.unwrap().unwrap().into_text().unwrap();
        let naming = Naming { connection_id: ConnectionId(1), nth: 0 };
        decode(text.as_str(), &Limits::default(), naming).unwrap().body
    }

    async fn hear_message(&mut self) -> UserMessage {
        match self.hear().await {
            ClientBody::UserMessage(message) => message,
            other => panic!("{other:?}"),
        }
    }

    async fn ack(&mut self, message: &UserMessage) {
        let ack = AckFrame {
            duplicate: false,
            client_msg_id: message.client_msg_id.clone(),
            message_id: MessageId(3),
            thread_id: THREAD,
            run_id: RunId(2),
            run_status: RunStatus::Running,
            queue_position: 0,
            seq: Seq(2),
        };
        self.say(&ServerFrame::Ack(ack)).await;
    }
}

fn ready() -> ServerFrame {
    ServerFrame::Ready(ReadyFrame {
        connection_id: ConnectionId(7),
        user_id: UserId::new("u").unwrap(),
        session_id: SessionId(8),
        auth_method: AuthMethod::Demo,
        mode: "demo",
        server_time: Wall(0),
        token_expires_at: None,
        resume: vec![],
        active_runs: vec![],
        degraded: vec![],
    })
}

fn entry(seq: u64, epoch: u32) -> String {
    let draft = Draft {
        id: EventId(u128::from(seq)),
        thread_id: THREAD,
        epoch: Epoch(epoch),
        ts: Wall(0),
        scope: None,
        synthesized: false,
        event: LogEvent::ThreadUpdated { title: "t".into() },
    };
    draft.encode().frame(Seq(seq), false).as_str().to_owned()
}

async fn next(chat: &mut Chat) -> Heard {
    tokio::time::timeout(SOON, chat.next()).await.expect("news in time").expect("not over")
}

/// Reads news until one fits.
async fn wait_for<T>(chat: &mut Chat, fits: impl Fn(&Heard) -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(found) = fits(&next(chat).await) {
            return found;
        }
    }
    panic!("what was waited for never came");
}

async fn applied(chat: &mut Chat) -> u64 {
    wait_for(chat, |heard| match heard {
        Heard::Event(Event::Applied(entry)) => Some(entry.seq.0),
        _ => None,
    })
    .await
}

async fn linked(chat: &mut Chat, link: Link) {
    wait_for(chat, |heard| (*heard == Heard::Event(Event::Connection(link))).then_some(())).await;
}

#[tokio::test]
async fn a_message_is_acknowledged_and_its_thread_is_read_in_order() {
    let server = Server::new().await;
    let mut chat = server.chat(Credentials::Header(Secret("t".into())));
    let mut peer = server.accept().await;
    assert_eq!(peer.authorization.as_deref(), Some("Bearer t"));
    let id = chat.send("hi").await.unwrap();
    let message = peer.hear_message().await;
    assert_eq!((&message.client_msg_id, &*message.content), (&id, "hi"));
    peer.ack(&message).await;
    for seq in [1, 2, 2, 3] {
        peer.entry(seq).await;
    }
    let acked = wait_for(&mut chat, |heard| match heard {
        Heard::Event(Event::Message { state: MessageState::Acked(ack), .. }) => Some(ack.clone()),
        _ => None,
    });
    assert_eq!(acked.await.client_msg_id, id);
    assert_eq!(
        [applied(&mut chat).await, applied(&mut chat).await, applied(&mut chat).await],
        [1, 2, 3]
    );
}

#[tokio::test]
async fn after_a_loss_it_comes_back_resumes_and_sends_again() {
    let server = Server::new().await;
    let mut chat = server.chat(Credentials::Demo);
    let mut peer = server.accept().await;
    peer.entry(1).await;
    assert_eq!(applied(&mut chat).await, 1);
    let id = chat.send("hi").await.unwrap();
    assert_eq!(peer.hear_message().await.client_msg_id, id);
    drop(peer);
    let mut peer = server.accept().await;
    let ClientBody::Resume { threads } = peer.hear().await else { panic!() };
    assert_eq!((threads[0].thread_id, threads[0].after_seq), (THREAD, Seq(1)));
    let resumed = Resumed {
        thread_id: THREAD,
        recovered: true,
        epoch: Some(Epoch(1)),
        from_seq: Seq(1),
        to_seq: Seq(2),
        reason: None,
        snapshot_url: None,
    };
    peer.say(&ServerFrame::Resumed { threads: vec![resumed] }).await;
    peer.entry(2).await;
    peer.say(&ServerFrame::ReplayComplete { thread_id: THREAD, to_seq: Seq(2) }).await;
    assert_eq!(applied(&mut chat).await, 2);
    assert_eq!(peer.hear_message().await.client_msg_id, id);
}

#[tokio::test]
async fn a_log_that_cannot_be_replayed_is_read_over_http() {
    let server = Server::new().await;
    let mut chat = server.chat(Credentials::Demo);
    chat.follow(THREAD, Some(Epoch(1)), Seq(9)).await.unwrap();
    let mut peer = server.accept().await;
    let ClientBody::Resume { .. } = peer.hear().await else { panic!() };
    let resumed = Resumed {
        thread_id: THREAD,
        recovered: false,
        epoch: None,
        from_seq: Seq(9),
        to_seq: Seq(2),
        reason: Some(ErrorCode::EpochMismatch),
        snapshot_url: Some("/api/threads/x/log".into()),
    };
    peer.say(&ServerFrame::Resumed { threads: vec![resumed] }).await;
    let one = format!("{{\"entries\":[{}],\"next_after_seq\":1}}", entry(1, 2));
    let line = server.answer("200 OK", &one).await;
    assert_eq!(line, "GET /api/threads/x/log?after_seq=0&limit=1 HTTP/1.1");
    let line = server.answer("200 OK", &one).await;
    assert_eq!(line, "GET /api/threads/x/log?after_seq=0&limit=500 HTTP/1.1");
    let two = format!("{{\"entries\":[{}],\"next_after_seq\":null}}", entry(2, 2));
    let line = server.answer("200 OK", &two).await;
    assert_eq!(line, "GET /api/threads/x/log?after_seq=1&limit=500 HTTP/1.1");
    let reset = |heard: &Heard| matches!(heard, Heard::Event(Event::Reset { .. })).then_some(());
    wait_for(&mut chat, reset).await;
    assert_eq!([applied(&mut chat).await, applied(&mut chat).await], [1, 2]);
}

#[tokio::test]
async fn a_refused_token_can_be_replaced() {
    let server = Server::new().await;
    let mut chat = server.chat(Credentials::Header(Secret("old".into())));
    // Once by subprotocol, and once by address: something on the way may have taken the first off.
    server.answer("401 Unauthorized", "{}").await;
    let line = server.answer("401 Unauthorized", "{}").await;
    assert!(line.contains("/ws?protocol=golden.v1"), "{line}");
    let refused = Heard::NeedCredential(WhyCredential::Refused);
    wait_for(&mut chat, |heard| (*heard == refused).then_some(())).await;
    chat.set_token(Secret("new".into())).await.unwrap();
    let peer = server.accept().await;
    assert_eq!(peer.authorization.as_deref(), Some("Bearer new"));
    linked(&mut chat, Link::Ready).await;
}

#[tokio::test]
async fn a_forbidden_upgrade_is_the_end() {
    let server = Server::new().await;
    let mut chat = server.chat(Credentials::Demo);
    server.answer("403 Forbidden", "{}").await;
    linked(&mut chat, Link::Ended(Ended::Refused(403))).await;
    assert_eq!(tokio::time::timeout(SOON, chat.next()).await.unwrap(), None);
    assert!(chat.send("hi").await.is_err());
}

#[tokio::test]
async fn goodbye_is_said_with_1000() {
    let server = Server::new().await;
    let mut chat = server.chat(Credentials::Demo);
    let mut peer = server.accept().await;
    linked(&mut chat, Link::Ready).await;
    let goodbye = tokio::spawn(chat.close());
    let frame = tokio::time::timeout(SOON, peer.socket.next()).await.unwrap().unwrap().unwrap();
    let Message::Close(Some(close)) = frame else { panic!("{frame:?}") };
    assert_eq!(u16::from(close.code), 1000);
    while let Some(Ok(_)) = peer.socket.next().await {}
    tokio::time::timeout(SOON, goodbye).await.unwrap().unwrap();
}
