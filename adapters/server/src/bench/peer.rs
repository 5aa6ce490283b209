//! One lean connection: it looks at the first bytes of a frame, counts, and checks that a run is whole.

use core::fmt;
use core::time::Duration;
use futures_util::{SinkExt, StreamExt};
use goldenpath_core::client::DialFailure;
use goldenpath_core::wire::{Credential, Secret};
use goldenpath_tungstenite::{Address, RestError, Socket, upgrade};
use std::time::Instant;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Silence after which a run counts as lost.
const SILENCE: Duration = Duration::from_secs(90);

/// What every completed run must contain.
const KINDS: [&str; 5] =
    ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];

/// Why a measurement could not be made.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The server closed or went away.
    Closed,
    /// The socket could not be opened.
    Dial(DialFailure),
    /// Something on this machine.
    Local(String),
    /// An error frame.
    Refused(String),
    /// A run ended otherwise than completed, or not whole.
    Run(String),
    /// Nothing came any more.
    Silent,
    /// No token was given out.
    Token(RestError),
}

impl Failure {
    pub(super) const fn is_of_a_run(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Run(_) | Self::Silent)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Dial(DialFailure::Unreachable) => f.write_str("nobody answers"),
            Self::Dial(DialFailure::Refused { status, .. }) => {
                write!(f, "the upgrade was refused with {status}")
            }
            Self::Local(why) => f.write_str(why),
            Self::Refused(frame) if frame.contains("\"rate_limited\"") => f.write_str(
                "the server's rate limit is in the way; start the server with `goldenpath serve \
                 --agents bench`, or with GOLDENPATH_MESSAGES_PER_MINUTE and \
                 GOLDENPATH_MESSAGE_BURST set to 1000000, or ask less with --runs",
            ),
            Self::Refused(frame) => write!(f, "the server refused: {frame}"),
            Self::Run(why) => write!(f, "a run was not whole: {why}"),
            Self::Silent => write!(f, "nothing came for {} s", SILENCE.as_secs()),
            Self::Token(error) => write!(f, "no token: {error}"),
        }
    }
}

/// A completed run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub(super) took: Duration,
    pub(super) entries: usize,
}

/// What the beginning of a frame says: `{"seq":7,"type":"agent_started",…` or `{"type":"ack",…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning<'a> {
    pub(super) seq: Option<u64>,
    pub(super) kind: &'a str,
    /// Where what follows the number begins.
    pub(super) rest: usize,
}

impl<'a> Beginning<'a> {
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let mut at = usize::from(text.starts_with('{'));
        if text.get(at..)?.starts_with("\"replay\":true,") {
            at += "\"replay\":true,".len();
        }
        let mut seq = None;
        if let Some(number) = text.get(at..)?.strip_prefix("\"seq\":") {
            let digits = number.bytes().take_while(u8::is_ascii_digit).count();
            seq = number[..digits].parse().ok();
            seq?;
            at += "\"seq\":".len() + digits;
        }
        let rest = at;
        let kind = text.get(at..)?.trim_start_matches(',').strip_prefix("\"type\":\"")?;
        Some(Self { seq, kind: kind.split('"').next()?, rest })
    }
}

/// One connection that asks in one thread.
pub(super) struct Peer {
    socket: Socket,
    name: String,
    asked: u64,
    thread: Option<String>,
    seq: u64,
}

impl Peer {
    /// Connects and waits for `connection_ready`.
    pub(super) async fn connect(
        address: &Address,
        token: &Secret,
        name: &str,
    ) -> Result<Self, Failure> {
        let credential = (!token.0.is_empty()).then(|| Credential::Token(token.clone()));
        let socket = upgrade(address, credential.as_ref()).await.map_err(Failure::Dial)?;
        // Names of messages must differ from those of earlier measurements of the same user.
        let started = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let name = format!("bench-{name}-{started:x}");
        let mut peer = Self { socket, name, asked: 0, thread: None, seq: 0 };
        loop {
            let text = peer.next().await?;
            match Beginning::of(&text).map(|beginning| beginning.kind) {
                Some("connection_ready") => return Ok(peer),
                Some("error" | "disconnect" | "auth_required") => {
                    return Err(Failure::Refused(text.as_str().to_owned()));
                }
                Some(_) | None => {}
            }
        }
    }

    /// Asks once and waits for the end of the run.
    pub(super) async fn path(&mut self, question: &str) -> Result<Path, Failure> {
        self.ask(question, |_| {}).await
    }

    /// Asks once and keeps the frames of the answer.
    pub(super) async fn record(&mut self, question: &str) -> Result<Vec<String>, Failure> {
        let mut frames = Vec::new();
        self.ask(question, |frame| frames.push(frame.to_owned())).await?;
        Ok(frames)
    }

    async fn ask(&mut self, question: &str, mut keep: impl FnMut(&str)) -> Result<Path, Failure> {
        let begun = Instant::now();
        let frame = self.question(question);
        self.send(frame).await?;
        let (mut entries, mut seen) = (0, [false; KINDS.len()]);
        loop {
            let text = self.next().await?;
            let Some(Beginning { seq, kind, .. }) = Beginning::of(&text) else {
                return Err(Failure::Run(format!("a frame of another form: {}", text.as_str())));
            };
            match (seq, kind) {
                // A new thread of the same user is sent to all connections of this user.
                (Some(_), _) if !self.is_ours(&text) => {}
                (Some(seq), kind) => {
                    keep(&text);
                    if seq != self.seq + 1 {
                        let last = self.seq;
                        return Err(Failure::Run(format!("entry {seq} came after {last}")));
                    }
                    self.seq = seq;
                    entries += 1;
                    if let Some(nth) = KINDS.iter().position(|known| *known == kind) {
                        seen[nth] = true;
                    }
                    if self.ends(kind, &text, seen)? {
                        return Ok(Path { took: begun.elapsed(), entries });
                    }
                }
                (None, "ack") => {
                    keep(&text);
                    self.thread = self.thread.take().or_else(|| thread_of(&text));
                }
                (None, "ping") => self.send("{\"type\":\"pong\"}".to_owned()).await?,
                (None, "error") => return Err(Failure::Refused(text.as_str().to_owned())),
                (None, _) => {}
            }
        }
    }

    /// Whether an entry is of this connection's thread. Its name stands behind the payload.
    fn is_ours(&self, text: &str) -> bool {
        const NAME: &str = "\"thread_id\":\"";
        let (Some(ours), Some(at)) = (&self.thread, text.rfind(NAME)) else { return true };
        text.get(at + NAME.len()..).is_some_and(|rest| rest.starts_with(ours.as_str()))
    }

    /// Whether an entry ends the run; it must then be completed and whole.
    fn ends(&self, kind: &str, text: &str, seen: [bool; 5]) -> Result<bool, Failure> {
        match kind {
            "run_completed" => {}
            "run_failed" | "run_timed_out" | "run_cancelled" | "run_interrupted" => {
                return Err(Failure::Run(text.to_owned()));
            }
            _ => return Ok(false),
        }
        match KINDS.iter().zip(seen).find(|(_, seen)| !seen) {
            Some((missing, _)) => Err(Failure::Run(format!("it has no {missing}"))),
            None => Ok(true),
        }
    }

    /// Asks "are you there" one time after the other.
    pub(super) async fn round_trips(&mut self, count: usize) -> Result<Vec<Duration>, Failure> {
        let mut took = Vec::with_capacity(count);
        for nth in 0..count {
            let begun = Instant::now();
            self.send(format!("{{\"type\":\"ping\",\"payload\":{{\"nonce\":{nth}}}}}")).await?;
            loop {
                let text = self.next().await?;
                match Beginning::of(&text).map(|beginning| beginning.kind) {
                    Some("pong") => break,
                    Some("error") => return Err(Failure::Refused(text.as_str().to_owned())),
                    Some(_) | None => {}
                }
            }
            took.push(begun.elapsed());
        }
        Ok(took)
    }

    fn question(&mut self, question: &str) -> String {
        self.asked += 1;
        let payload = serde_json::json!({
            "client_msg_id": format!("{}-{}", self.name, self.asked),
            "content": question,
            "thread_id": self.thread,
        });
        format!("{{\"type\":\"user_message\",\"id\":\"b{}\",\"payload\":{payload}}}", self.asked)
    }

    async fn send(&mut self, text: String) -> Result<(), Failure> {
        self.socket.send(Message::text(text)).await.map_err(|_| Failure::Closed)
    }

    async fn next(&mut self) -> Result<Utf8Bytes, Failure> {
        loop {
            match timeout(SILENCE, self.socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => return Ok(text),
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => return Err(Failure::Closed),
                Ok(Some(Ok(_))) => {}
                Err(_) => return Err(Failure::Silent),
            }
        }
    }
}

fn thread_of(ack: &str) -> Option<String> {
    let (_, rest) = ack.split_once("\"thread_id\":\"")?;
    rest.split('"').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_frame_is_enough() {
        let of = |text| Beginning::of(text).map(|b| (b.seq, b.kind));
        assert_eq!(of(r#"{"seq":71,"type":"run_plan","x":1}"#), Some((Some(71), "run_plan")));
        let replayed = r#"{"replay":true,"seq":2,"type":"agent_started"}"#;
        assert_eq!(of(replayed), Some((Some(2), "agent_started")));
        assert_eq!(of(r#"{"type":"ack","payload":{}}"#), Some((None, "ack")));
        for other in ["", "{", "{}", "é", r#"{"seq":,"type":"x"}"#, r#"{"seq":"#, "[1]"] {
            assert_eq!(of(other), None, "{other}");
        }
        let ack = r#"{"type":"ack","payload":{"thread_id":"thr_1","seq":2}}"#;
        assert_eq!(thread_of(ack).as_deref(), Some("thr_1"));
    }
}
