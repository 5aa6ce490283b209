//! The places a token may come from, spoken byte by byte: no client of ours may tidy up what is sent.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use goldenpath_tests::server::{PATIENCE, Server};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Where a token is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `Authorization` of a request.
    Http,
    /// `Authorization` of an event stream.
    Stream,
    /// The body of `POST /auth/validate`.
    Validate,
    /// `Authorization` of an upgrade to `golden.v1`.
    Header,
    /// `Authorization` of an upgrade of an older client, refused before the 101.
    Older,
    /// `Sec-WebSocket-Protocol`, behind this name (none if empty): a prefix and the token.
    Offered(&'static str, &'static str, Written),
    /// The first frame.
    Frame,
    /// `auth_refresh` on a socket that is open with another token.
    Refresh,
}

/// How a token is written behind its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    AsItIs,
    Base64Url,
    Padded,
    /// The alphabet with `+` and `/`.
    Base64,
}

impl Written {
    fn write(self, token: &str) -> String {
        match self {
            Self::AsItIs => token.to_owned(),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(token),
            Self::Padded => URL_SAFE.encode(token),
            Self::Base64 => STANDARD.encode(token),
        }
    }
}

const LONG: &str = "base64url.bearer.authorization.golden.";

impl Place {
    pub(crate) const ALL: [Self; 22] = [
        Self::Http,
        Self::Stream,
        Self::Validate,
        Self::Header,
        Self::Older,
        Self::Frame,
        Self::Refresh,
        Self::Offered("golden.v1", "jwt.", Written::AsItIs),
        Self::Offered("golden.v1", "jwt.", Written::Base64Url),
        Self::Offered("golden.v1", "jwt-auth.", Written::AsItIs),
        Self::Offered("golden.v1", "bearer.", Written::Padded),
        Self::Offered("golden.v1", LONG, Written::Base64Url),
        Self::Offered("", "jwt.", Written::AsItIs),
        Self::Offered("", "jwt.", Written::Base64),
        Self::Offered("", "jwt-auth.", Written::AsItIs),
        Self::Offered("", "jwt-auth.", Written::Base64Url),
        Self::Offered("", "bearer.", Written::AsItIs),
        Self::Offered("", "bearer.", Written::Base64Url),
        Self::Offered("", LONG, Written::Base64Url),
        Self::Offered("jwt-auth", "jwt.", Written::Base64Url),
        Self::Offered("jwt", "jwt.", Written::AsItIs),
        Self::Offered("bearer", "bearer.", Written::Padded),
    ];
}

/// What was said about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Let in, as this user.
    In(String),
    /// Refused, with this code.
    Refused(String),
}

/// Presents a token and hears the verdict. `plain` is good: a token of the same user, if this one is to be
/// let in; a socket is open with it before a refresh, and what its user says is heard on a stream.
pub(crate) async fn present(port: u16, place: Place, token: &str, plain: &str) -> Verdict {
    let judged = async {
        let mut stream = connect(port).await;
        let authorization = format!("Authorization: Bearer {token}\r\n");
        let golden = "Sec-WebSocket-Protocol: golden.v1";
        let (headers, said) = match place {
            Place::Http => return http(&mut stream, &authorization).await,
            Place::Stream => return events(port, &mut stream, &authorization, plain).await,
            Place::Validate => return validate(&mut stream, token).await,
            Place::Older => (authorization, None),
            Place::Header => (format!("{authorization}{golden}\r\n"), None),
            Place::Offered(name, prefix, written) => {
                let comma = if name.is_empty() { "" } else { ", " };
                let carried = written.write(token);
                (format!("Sec-WebSocket-Protocol: {name}{comma}{prefix}{carried}\r\n"), None)
            }
            Place::Frame => (format!("{golden}\r\n"), Some(("auth", token))),
            Place::Refresh => {
                let before = format!("Authorization: Bearer {plain}\r\n{golden}\r\n");
                (before, Some(("auth_refresh", token)))
            }
        };
        upgrade(&mut stream, &headers, said).await
    };
    let judged = tokio::time::timeout(PATIENCE, judged).await;
    judged.unwrap_or_else(|_| panic!("{place:?}: no verdict on {token:?}"))
}

/// Presents a token in every place to a server with demo mode; each says the same.
pub(crate) async fn everywhere(server: &Server, token: &str, verdict: &Verdict) {
    let plain = match verdict {
        Verdict::In(_) => token.to_owned(),
        Verdict::Refused(_) => server.demo().await.0,
    };
    for place in Place::ALL {
        assert_eq!(present(server.port(), place, token, &plain).await, *verdict, "{place:?}");
    }
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

/// An event stream is of whoever's words are heard on it.
async fn events(port: u16, stream: &mut TcpStream, authorization: &str, plain: &str) -> Verdict {
    let request = format!(
        "GET /api/events/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n{authorization}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Heard { stream, bytes: Vec::new() };
    let head = heard.head().await;
    if !head.starts_with("HTTP/1.1 200 ") {
        assert!(is_refusal(&head), "{head}");
        let body = heard.body(&head).await;
        return Verdict::Refused(body["code"].as_str().unwrap().to_owned());
    }
    assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
    let bearer = format!("Authorization: Bearer {plain}\r\n");
    let Verdict::In(user) = http(&mut connect(port).await, &bearer).await else {
        panic!("the plain token is good")
    };
    let word = format!("a word of {}", NEXT.fetch_add(1, Ordering::Relaxed));
    let body = json!({ "content": word }).to_string();
    let length = body.len();
    let ask = format!(
        "POST /api/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n{bearer}\r\n{body}"
    );
    let mut other = connect(port).await;
    other.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    while !String::from_utf8_lossy(&heard.bytes).contains(&word) {
        heard.more().await;
    }
    Verdict::In(user)
}

/// Words that are said once.
static NEXT: AtomicU32 = AtomicU32::new(0);

async fn validate(stream: &mut TcpStream, token: &str) -> Verdict {
    let body = json!({ "token": token }).to_string();
    let length = body.len();
    let request = format!(
        "POST /auth/validate HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Heard { stream, bytes: Vec::new() };
    let head = heard.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let body = heard.body(&head).await;
    let said = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
    match body["valid"].as_bool() {
        Some(true) => Verdict::In(said("user_id")),
        _ => Verdict::Refused(said("error")),
    }
}

async fn http(stream: &mut TcpStream, authorization: &str) -> Verdict {
    let request = format!(
        "GET /api/auth/me HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{authorization}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    let text = String::from_utf8(heard).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{text}"));
    if head.starts_with("HTTP/1.1 200 ") {
        return Verdict::In(body["id"].as_str().unwrap().to_owned());
    }
    assert!(is_refusal(head), "{text}");
    Verdict::Refused(body["code"].as_str().unwrap().to_owned())
}

/// `said`: the type of a frame that carries a token, and the token.
async fn upgrade(stream: &mut TcpStream, headers: &str, said: Option<(&str, &str)>) -> Verdict {
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Heard { stream, bytes: Vec::new() };
    let head = heard.head().await;
    if !head.starts_with("HTTP/1.1 101 ") {
        assert!(is_refusal(&head), "{head}");
        let body = heard.body(&head).await;
        return Verdict::Refused(body["code"].as_str().unwrap().to_owned());
    }
    if let Some((kind, token)) = said {
        let frame = json!({"type": kind, "id": "said", "payload": {"token": token}});
        heard.stream.write_all(&masked(frame.to_string().as_bytes())).await.unwrap();
    }
    let is_refresh = matches!(said, Some(("auth_refresh", _)));
    let mut user = None;
    let mut refused = None;
    loop {
        let (opcode, payload) = heard.frame().await;
        if opcode == 8 {
            let code = u16::from_be_bytes([payload[0], payload[1]]);
            let refused: String = refused.expect("a close is explained");
            let expected = match refused.as_str() {
                "token_expired" => 4440,
                "token_revoked" => 4441,
                "degraded" => 1013,
                _ => 4401,
            };
            assert_eq!(code, expected, "{refused}");
            return Verdict::Refused(refused);
        }
        let frame: Value = serde_json::from_slice(&payload).unwrap();
        match frame["type"].as_str().unwrap() {
            "connection_ready" => {
                let known = frame["payload"]["user_id"].as_str().unwrap().to_owned();
                if !is_refresh {
                    return Verdict::In(known);
                }
                user = Some(known);
            }
            "auth_ok" => return Verdict::In(user.expect("ready comes first")),
            // The older credential lives on: the connection is not closed.
            "error" if is_refresh && frame["payload"]["fatal"] != true => {
                assert_eq!(frame["ref"], "said", "{frame}");
                return Verdict::Refused(frame["payload"]["code"].as_str().unwrap().to_owned());
            }
            // What an older client hears first.
            "connection_established" => {
                return Verdict::In(frame["user_id"].as_str().unwrap().to_owned());
            }
            "error" => {
                refused = Some(frame["payload"]["code"].as_str().unwrap().to_owned());
            }
            _ => {}
        }
    }
}

/// No, or not now.
fn is_refusal(head: &str) -> bool {
    ["HTTP/1.1 401 ", "HTTP/1.1 503 "].iter().any(|status| head.starts_with(status))
}

/// A text frame of a client; a mask of zeros is a mask.
fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => frame.push(0x80 | u8::try_from(length).unwrap()),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => panic!("no frame of this test is so long"),
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

struct Heard<'a> {
    stream: &'a mut TcpStream,
    bytes: Vec<u8>,
}

impl Heard<'_> {
    async fn more(&mut self) {
        let count = self.stream.read_buf(&mut self.bytes).await.unwrap();
        assert!(count > 0, "closed early: {}", String::from_utf8_lossy(&self.bytes));
    }

    async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.bytes.split_off(end + 4);
                let head = std::mem::replace(&mut self.bytes, rest);
                return String::from_utf8(head).unwrap();
            }
            self.more().await;
        }
    }

    async fn body(&mut self, head: &str) -> Value {
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let length: usize = length.expect("an answer has a length");
        while self.bytes.len() < length {
            self.more().await;
        }
        serde_json::from_slice(&self.bytes[..length]).unwrap()
    }

    /// Opcode and payload of the next frame.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some((at, length)) = extent(&self.bytes)
                && self.bytes.len() >= at + length
            {
                let opcode = self.bytes[0] & 15;
                let payload = self.bytes[at..at + length].to_vec();
                self.bytes.drain(..at + length);
                return (opcode, payload);
            }
            self.more().await;
        }
    }
}

/// Where the payload of a server's frame begins and how long it is, once that is known.
fn extent(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? {
        length @ 0..126 => Some((2, usize::from(length))),
        126 => Some((4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])))),
        _ => {
            let eight: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
            Some((10, usize::try_from(u64::from_be_bytes(eight)).ok()?))
        }
    }
}
