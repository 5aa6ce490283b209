//! A client that writes bytes, from addresses of its own on the loopback network.

use goldenpath_tests::server::PATIENCE;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Where the attacker is; the user who behaves is at 127.0.0.1.
pub(crate) const ATTACKER: [u8; 4] = [127, 0, 0, 66];

/// What was heard until the other side closed.
pub(crate) struct Heard {
    pub(crate) bytes: Vec<u8>,
    pub(crate) after: Duration,
}

/// A connection from an address.
pub(crate) async fn connect(from: [u8; 4], port: u16) -> TcpStream {
    connected(TcpSocket::new_v4().unwrap(), from, port).await
}

/// One that takes in next to nothing before it is read: who does not read is a burden to the other side
/// at once, and not after megabytes that are on their way.
pub(crate) async fn connect_narrow(from: [u8; 4], port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    connected(socket, from, port).await
}

async fn connected(socket: TcpSocket, from: [u8; 4], port: u16) -> TcpStream {
    socket.set_reuseaddr(true).unwrap();
    socket.bind((from, 0).into()).unwrap();
    let connected = socket.connect(([127, 0, 0, 1], port).into());
    tokio::time::timeout(PATIENCE, connected).await.expect("it connects in time").unwrap()
}

/// The head of an upgrade that offers `golden.v1`, with more lines; not ended.
pub(crate) fn upgrade(query: &str, lines: &str) -> String {
    format!(
        "GET /ws{query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: golden.v1\r\n{lines}"
    )
}

/// A masked frame: its first byte, and a payload under a mask of zeros.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(0x80 | len as u8),
        len @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// Sends and listens until the other side closes; a reset is an end like any other.
pub(crate) async fn exchange(from: [u8; 4], port: u16, bytes: &[u8]) -> Heard {
    let mut stream = connect(from, port).await;
    let _ = stream.write_all(bytes).await;
    until_closed(stream).await
}

/// Listens until something was said; `None` when the other side closes before.
pub(crate) async fn until(stream: &mut TcpStream, word: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&bytes).contains(word) {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await;
        match read.expect("it says something or closes") {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
    Some(bytes)
}

/// Listens until the other side closes.
pub(crate) async fn until_closed(mut stream: TcpStream) -> Heard {
    let began = Instant::now();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "it is not closed: {}", String::from_utf8_lossy(&bytes));
    Heard { bytes, after: began.elapsed() }
}

impl Heard {
    /// The HTTP status; 0 when there was no answer.
    pub(crate) fn status(&self) -> u16 {
        let text = String::from_utf8_lossy(&self.bytes);
        text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The text frames after the upgrade, and the code of the close frame.
    pub(crate) fn frames(&self) -> (Vec<String>, Option<u16>) {
        let mut texts = Vec::new();
        let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return (texts, None);
        };
        let mut rest = &self.bytes[end + 4..];
        while let [first, len, tail @ ..] = rest {
            let (len, tail) = match *len {
                126 => (usize::from(u16::from_be_bytes([tail[0], tail[1]])), &tail[2..]),
                127 => panic!("no frame of ours is that long"),
                len => (usize::from(len), tail),
            };
            let payload = &tail[..len.min(tail.len())];
            if *first == 0x88 {
                return (texts, Some(u16::from_be_bytes([payload[0], payload[1]])));
            }
            texts.push(String::from_utf8_lossy(payload).into_owned());
            rest = &tail[payload.len()..];
        }
        (texts, None)
    }
}
