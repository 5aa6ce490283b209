//! A WebSocket client that says exactly what a test wants and hides nothing of what it hears.

use crate::server::{PATIENCE, Server};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// The protocol this server speaks.
pub const GOLDEN: &str = "golden.v1";

/// An open socket.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The subprotocol the server selected.
    pub subprotocol: Option<String>,
    next_ref: u32,
}

/// How an upgrade was refused.
#[derive(Debug)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// What ends a conversation with a socket.
#[derive(Debug)]
pub enum Heard {
    /// A frame.
    Frame(Value),
    /// The close frame: code and reason.
    Closed(u16, String),
    /// The transport went away without one.
    Lost,
}

impl Socket {
    /// Opens a socket with these headers.
    pub async fn open(server: &Server, headers: &[(&str, &str)]) -> Result<Self, Refused> {
        let mut request = server.ws_url().into_client_request().expect("a valid URL");
        for (name, value) in headers {
            let name: tokio_tungstenite::tungstenite::http::HeaderName =
                name.parse().expect("a header name");
            request.headers_mut().append(name, HeaderValue::from_str(value).expect("a value"));
        }
        Self::open_request(request).await
    }

    /// Opens a socket at a URL; `None` when nobody answers there or the upgrade is refused.
    pub async fn try_open(url: &str, headers: &[(&str, &str)]) -> Option<Self> {
        let mut request = url.into_client_request().expect("a valid URL");
        for (name, value) in headers {
            let name: tokio_tungstenite::tungstenite::http::HeaderName =
                name.parse().expect("a header name");
            request.headers_mut().append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let (stream, response) = tokio_tungstenite::connect_async(request).await.ok()?;
        Some(Self { stream, subprotocol: selected(&response), next_ref: 0 })
    }

    /// Opens a socket with a request of one's own.
    pub async fn open_request(
        request: tokio_tungstenite::tungstenite::handshake::client::Request,
    ) -> Result<Self, Refused> {
        match tokio_tungstenite::connect_async(request).await {
            Ok((stream, response)) => {
                let subprotocol = selected(&response);
                Ok(Self { stream, subprotocol, next_ref: 0 })
            }
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(Refused {
                status: response.status().as_u16(),
                body: response
                    .body()
                    .as_ref()
                    .map(|body| String::from_utf8_lossy(body).into_owned())
                    .unwrap_or_default(),
            }),
            Err(other) => panic!("no answer to the upgrade: {other}"),
        }
    }

    /// Opens a `golden.v1` socket, authenticates with the first frame, resumes, and waits for
    /// `connection_ready`, which is returned.
    pub async fn ready(server: &Server, token: &str, resume: Value) -> (Self, Value) {
        let mut socket =
            Self::open(server, &[("Sec-WebSocket-Protocol", GOLDEN)]).await.expect("golden.v1");
        let auth = json!({"token": token, "resume": {"threads": resume}});
        socket.say("auth", auth).await;
        let ready = socket.until("connection_ready").await;
        (socket, ready)
    }

    /// Sends a frame; answers the `id` it carries.
    pub async fn say(&mut self, kind: &str, payload: Value) -> String {
        self.next_ref += 1;
        let id = format!("c{}", self.next_ref);
        self.text(&json!({"type": kind, "id": id, "payload": payload}).to_string()).await;
        id
    }

    /// Asks a question in a new thread or in this one; answers the `ack`'s payload.
    pub async fn ask(&mut self, name: &str, content: &str, thread: Option<&str>) -> Value {
        let mut payload = json!({"client_msg_id": name, "content": content});
        if let Some(thread) = thread {
            payload["thread_id"] = thread.into();
        }
        let id = self.say("user_message", payload).await;
        self.answer(&id).await["payload"].clone()
    }

    /// Sends any text.
    pub async fn text(&mut self, text: &str) {
        // A server that has closed refuses what is still said; what it closed with is heard next.
        let _ = self.stream.send(Message::text(text)).await;
    }

    /// Sends any message.
    pub async fn message(&mut self, message: Message) {
        let _ = self.stream.send(message).await;
    }

    /// The next thing the server says, WebSocket pings and pongs left out.
    pub async fn hear(&mut self) -> Heard {
        let next = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return Heard::Frame(serde_json::from_str(&text).expect("frames are JSON"));
                    }
                    Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                        return Heard::Closed(code.into(), reason.to_string());
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(other)) => panic!("the server sent {other:?}"),
                    Some(Err(_)) | None => return Heard::Lost,
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("the server says something")
    }

    /// The next frame; fails when the connection ends instead.
    pub async fn frame(&mut self) -> Value {
        match self.hear().await {
            Heard::Frame(frame) => frame,
            end => panic!("a frame was expected, not {end:?}"),
        }
    }

    /// Skips to the next frame of a type.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Skips to the frame that answers `id`.
    pub async fn answer(&mut self, id: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["ref"] == id {
                return frame;
            }
        }
    }

    /// Everything up to and including the next frame of one of these types.
    pub async fn collect(&mut self, ends: &[&str]) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await;
            let end = frame["type"].as_str().is_some_and(|kind| ends.contains(&kind));
            frames.push(frame);
            if end {
                return frames;
            }
        }
    }

    /// The rest of the conversation: frames, and how it ended (code and reason, if there was a close).
    pub async fn rest(&mut self) -> (Vec<Value>, Option<(u16, String)>) {
        let mut frames = Vec::new();
        loop {
            match self.hear().await {
                Heard::Frame(frame) => frames.push(frame),
                Heard::Closed(code, reason) => return (frames, Some((code, reason))),
                Heard::Lost => return (frames, None),
            }
        }
    }

    /// Cuts the transport without a goodbye.
    pub fn cut(self) {
        drop(self);
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        let _ = self.stream.close(None).await;
    }
}

/// The types a run can end with.
pub const RUN_ENDS: [&str; 5] =
    ["run_completed", "run_failed", "run_timed_out", "run_cancelled", "run_interrupted"];

fn selected(response: &Response) -> Option<String> {
    let header = response.headers().get("sec-websocket-protocol")?;
    Some(header.to_str().expect("text").to_owned())
}
