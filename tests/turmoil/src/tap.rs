//! Streams of the simulated network: the client's are listened to, made deaf and cut.

use crate::ground::{Ground, Heard, What, now_ms};
use goldenpath_core::time::Wall;
use goldenpath_tungstenite::Outside;
use goldenpath_warp::Listener;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use turmoil::net::{TcpListener, TcpStream};

/// The node's end of the network.
pub(crate) struct Doors(pub(crate) TcpListener);

impl Listener for Doors {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }
}

/// A device's end of the network, and its clock.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) ground: Arc<Ground>,
    pub(crate) number: usize,
}

impl Outside for Device {
    type Io = Tapped;

    async fn connect(&self, authority: String) -> io::Result<Tapped> {
        self.ground.tape().dials.push((now_ms(), self.number));
        let stream = TcpStream::connect(authority).await?;
        let cuts = self.ground.seat(self.number).cuts;
        let socket = {
            let mut tape = self.ground.tape();
            tape.sockets += 1;
            tape.sockets
        };
        let device = self.clone();
        Ok(Tapped { stream, device, socket, cuts, deaf: None, reading: Reading::Head(Vec::new()) })
    }

    fn wall(&self) -> Wall {
        Ground::wall(now_ms())
    }
}

/// A client's stream.
pub(crate) struct Tapped {
    stream: TcpStream,
    device: Device,
    socket: u32,
    /// How often the device had been cut when it was opened.
    cuts: u64,
    deaf: Option<Pin<Box<Sleep>>>,
    reading: Reading,
}

/// What is read of the server's bytes.
enum Reading {
    /// The answer to the upgrade.
    Head(Vec<u8>),
    /// Frames.
    Frames(Vec<u8>),
    /// An HTTP answer; not followed.
    Http,
}

impl Tapped {
    fn is_cut(&mut self, context: &Context<'_>) -> bool {
        let mut seat = self.device.ground.seat(self.device.number);
        let is_cut = seat.cuts != self.cuts;
        if !is_cut {
            seat.wakers.push(context.waker().clone());
        }
        is_cut
    }

    /// Ready when it hears.
    fn poll_ears(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let until = self.device.ground.seat(self.device.number).deaf_until_ms;
        let wait = until.saturating_sub(now_ms());
        if wait == 0 {
            self.deaf = None;
            return Poll::Ready(());
        }
        let sleep = self.deaf.insert(Box::pin(sleep(Duration::from_millis(wait))));
        sleep.as_mut().poll(context)
    }

    fn listen(&mut self, bytes: &[u8]) {
        match &mut self.reading {
            Reading::Head(head) => {
                head.extend_from_slice(bytes);
                let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
                    return;
                };
                let rest = head.split_off(end + 4);
                self.reading = if head.starts_with(b"HTTP/1.1 101") {
                    Reading::Frames(rest)
                } else {
                    self.device.ground.meet(format!("http: {}", status(head)));
                    Reading::Http
                };
            }
            Reading::Frames(frames) => frames.extend_from_slice(bytes),
            Reading::Http => {}
        }
        let Reading::Frames(frames) = &mut self.reading else { return };
        let mut heard = Vec::new();
        while let Some((what, length)) = frame(frames) {
            frames.drain(..length);
            heard.extend(what);
        }
        for what in heard {
            let (ms, device, socket) = (now_ms(), self.device.number, self.socket);
            if let What::Text(text) = &what {
                self.device.ground.disk.heard(kind(text));
            }
            self.device.ground.tape().heard.push(Heard { ms, device, socket, what });
        }
    }
}

fn status(head: &[u8]) -> String {
    String::from_utf8_lossy(head).split(' ').nth(1).unwrap_or("none").to_owned()
}

/// The `type` of a frame, wherever it stands.
pub(crate) fn kind(text: &str) -> &str {
    let after = text.split_once("\"type\":\"").map_or("", |(_, after)| after);
    after.split('"').next().unwrap_or_default()
}

/// The first whole frame of a server (RFC 6455, 5.2): not masked; and its length.
fn frame(bytes: &[u8]) -> Option<(Option<What>, usize)> {
    let [first, second, ..] = *bytes else { return None };
    assert!(second < 128, "a server does not mask");
    let (header, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        short => (2, usize::from(short)),
    };
    let payload = bytes.get(header..header + length)?;
    let what = match first {
        0x81 => Some(What::Text(String::from_utf8(payload.to_vec()).expect("text is UTF-8"))),
        0x88 => Some(What::Close(
            payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]])),
        )),
        0x89 | 0x8a => None,
        other => panic!("a frame nobody agreed on: {other:#x}"),
    };
    Some((what, header + length))
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.is_cut(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if this.poll_ears(context).is_pending() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if polled.is_ready() {
            let bytes = buffer.filled()[before..].to_vec();
            this.listen(&bytes);
        }
        polled
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
