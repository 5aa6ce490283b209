//! A WebSocket server that does nothing but WebSocket: it answers each question with the frames a real
//! server once answered it with. What remains of the difference is the system.

use super::peer::{Beginning, Failure};
use futures_util::{SinkExt, StreamExt};
use goldenpath_tungstenite::Address;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// A running bare server; dropped, it stops.
pub(super) struct Server {
    address: Address,
    _running: oneshot::Sender<()>,
}

/// One frame of the answer.
enum Line {
    /// A control frame, as it is.
    Control(String),
    /// What follows an entry's number.
    Entry(String),
}

impl Server {
    /// Starts on a thread of its own, as the real server is a process of its own.
    pub(super) fn start(frames: Vec<String>) -> Result<Self, Failure> {
        let local = |error: std::io::Error| Failure::Local(format!("the bare server: {error}"));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(local)?;
        listener.set_nonblocking(true).map_err(local)?;
        let address = listener.local_addr().map_err(local)?.to_string();
        let address = address.parse().map_err(|_| Failure::Local("no address".into()))?;
        let (running, stop) = oneshot::channel();
        let script: Arc<[Line]> = frames.into_iter().map(Line::of).collect();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(local)?;
        std::thread::Builder::new()
            .name("bare".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stop => {}
                        () = accept(listener, script) => {}
                    }
                });
            })
            .map_err(local)?;
        Ok(Self { address, _running: running })
    }

    pub(super) fn address(&self) -> Address {
        self.address.clone()
    }
}

impl Line {
    fn of(frame: String) -> Self {
        match Beginning::of(&frame) {
            Some(Beginning { seq: Some(_), rest, .. }) => Self::Entry(frame[rest..].to_owned()),
            Some(_) | None => Self::Control(frame),
        }
    }
}

async fn accept(listener: std::net::TcpListener, script: Arc<[Line]>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, script.clone()));
    }
}

/// Ends with its connection, whatever the reason.
async fn serve(stream: TcpStream, script: Arc<[Line]>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let config = WebSocketConfig::default().read_buffer_size(4 * 1024).write_buffer_size(16 * 1024);
    let mut socket = accept_hdr_async_with_config(stream, select, Some(config)).await.ok()?;
    socket.send(Message::text("{\"type\":\"connection_ready\",\"payload\":{}}")).await.ok()?;
    let mut seq = 0_u64;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        match Beginning::of(&text).map(|beginning| beginning.kind) {
            Some("ping") => {
                let pong = text.as_str().replacen("ping", "pong", 1);
                socket.send(Message::text(pong)).await.ok()?;
            }
            Some("user_message") => {
                for line in script.iter() {
                    let frame = match line {
                        Line::Control(frame) => frame.clone(),
                        Line::Entry(rest) => {
                            seq += 1;
                            format!("{{\"seq\":{seq}{rest}")
                        }
                    };
                    socket.feed(Message::text(frame)).await.ok()?;
                }
                socket.flush().await.ok()?;
            }
            Some(_) | None => {}
        }
    }
    Some(())
}

#[expect(clippy::result_large_err, clippy::unnecessary_wraps, reason = "the library's signature")]
fn select(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let selected = HeaderValue::from_static(goldenpath_core::wire::PROTOCOL);
    response.headers_mut().insert("sec-websocket-protocol", selected);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::super::peer::Peer;
    use super::*;
    use core::time::Duration;
    use goldenpath_core::wire::Secret;
    use tokio::time::timeout;

    fn script(kinds: &[&str]) -> Vec<String> {
        let ack = "{\"type\":\"ack\",\"payload\":{\"thread_id\":\"thr_1\"}}".to_owned();
        let entries =
            (40..).zip(kinds).map(|(seq, kind)| format!("{{\"seq\":{seq},\"type\":\"{kind}\"}}"));
        core::iter::once(ack).chain(entries).collect()
    }

    const WHOLE: [&str; 6] = [
        "agent_started",
        "agent_thinking",
        "tool_executing",
        "tool_completed",
        "agent_completed",
        "run_completed",
    ];

    async fn peer(server: &Server) -> Peer {
        Peer::connect(&server.address(), &Secret(String::new()), "t").await.unwrap()
    }

    #[tokio::test]
    async fn the_client_finds_whole_runs_whole_and_counts_them() {
        let server = Server::start(script(&WHOLE)).unwrap();
        let mut peer = peer(&server).await;
        for _ in 0..3 {
            assert_eq!(peer.path("q").await.unwrap().entries, 6);
        }
        assert_eq!(peer.round_trips(5).await.unwrap().len(), 5);
        assert_eq!(peer.record("q").await.unwrap().len(), 7);
    }

    #[tokio::test]
    async fn entries_of_other_threads_are_not_counted() {
        let mut frames = script(&WHOLE);
        let other = "{\"seq\":1,\"type\":\"run_completed\",\"payload\":{},\"thread_id\":\"thr_2\"}";
        let mut answer = frames.split_off(1);
        let server = Server::start([frames, vec![other.to_owned()]].concat()).unwrap();
        let mut alone = peer(&server).await;
        let waited = timeout(Duration::from_millis(100), alone.path("q")).await;
        assert!(waited.is_err(), "the other thread's end is not ours");
        answer
            .iter_mut()
            .for_each(|frame| frame.insert_str(frame.len() - 1, ",\"thread_id\":\"thr_1\""));
        let ack = script(&[]);
        let server = Server::start([ack, answer].concat()).unwrap();
        assert_eq!(peer(&server).await.path("q").await.unwrap().entries, 6);
    }

    #[tokio::test]
    async fn the_client_finds_what_is_missing() {
        for (nth, missing) in WHOLE.iter().enumerate().take(5) {
            let mut kinds = WHOLE.to_vec();
            kinds.remove(nth);
            let server = Server::start(script(&kinds)).unwrap();
            let failure = peer(&server).await.path("q").await.unwrap_err();
            assert_eq!(failure.to_string(), format!("a run was not whole: it has no {missing}"));
        }
        let server = Server::start(script(&["agent_started", "run_failed"])).unwrap();
        assert!(peer(&server).await.path("q").await.unwrap_err().is_of_a_run());
    }
}
