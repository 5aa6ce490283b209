//! The places a token may come from, spoken byte by byte: no client of ours may tidy up what is sent.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use goldenpath_tests::server::PATIENCE;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Where a token is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `Authorization` of a request.
    Http,
    /// `Authorization` of an upgrade to `golden.v1`.
    Header,
    /// `Authorization` of an upgrade of an older client, refused before the 101.
    Older,
    /// `Sec-WebSocket-Protocol: jwt.TOKEN`.
    Raw,
    /// `Sec-WebSocket-Protocol: jwt.BASE64`.
    Encoded,
    /// The first frame.
    Frame,
}

impl Place {
    pub(crate) const ALL: [Self; 6] =
        [Self::Http, Self::Header, Self::Older, Self::Raw, Self::Encoded, Self::Frame];
}

/// What was said about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Let in, as this user.
    In(String),
    /// Refused, with this code.
    Refused(String),
}

/// Presents a token and hears the verdict.
pub(crate) async fn present(port: u16, place: Place, token: &str) -> Verdict {
    let judged = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let authorization = format!("Authorization: Bearer {token}\r\n");
        let golden = "Sec-WebSocket-Protocol: golden.v1";
        let headers = match place {
            Place::Http => return http(&mut stream, &authorization).await,
            Place::Older => authorization,
            Place::Header => format!("{authorization}{golden}\r\n"),
            Place::Raw => format!("{golden}, jwt.{token}\r\n"),
            Place::Encoded => format!("{golden}, jwt.{}\r\n", URL_SAFE_NO_PAD.encode(token)),
            Place::Frame => format!("{golden}\r\n"),
        };
        upgrade(&mut stream, &headers, (place == Place::Frame).then_some(token)).await
    };
    let judged = tokio::time::timeout(PATIENCE, judged).await;
    judged.unwrap_or_else(|_| panic!("{place:?}: no verdict on {token:?}"))
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

async fn upgrade(stream: &mut TcpStream, headers: &str, frame: Option<&str>) -> Verdict {
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
    if let Some(token) = frame {
        let auth = json!({"type": "auth", "id": "a", "payload": {"token": token}});
        heard.stream.write_all(&masked(auth.to_string().as_bytes())).await.unwrap();
    }
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
                return Verdict::In(frame["payload"]["user_id"].as_str().unwrap().to_owned());
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
