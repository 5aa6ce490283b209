//! What a client hears: server text in, typed events out. What this version does not know is
//! [`ServerEvent::Unknown`], to be ignored; a log entry of unknown kind still has its place.

use super::server::{ActiveRun, AuthMethod, Head, Resumed};
use super::{AckFrame, CloseCode, Entry, ErrorCode, ErrorFrame, Json, RunStatus};
use crate::id::{
    ClientMsgId, ConnectionId, Epoch, FrameRef, MessageId, RequestId, RunId, Seq, SessionId,
    ThreadId, ToolCallId, UserId,
};
use crate::time::{Millis, Wall};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Deserialize;
use serde_json::value::RawValue;

/// One text frame of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerEvent {
    /// A log entry.
    Entry(Box<Entry>),
    /// A log entry of a kind this version does not know: ignored, but it has its place in the log.
    UnknownEntry {
        /// Its thread.
        thread_id: ThreadId,
        /// The log's epoch.
        epoch: Epoch,
        /// Its place.
        seq: Seq,
    },
    /// A frame without a place in a log.
    Control {
        /// The `id` of the frame it answers.
        reference: Option<FrameRef>,
        /// What it says.
        said: Said,
    },
    /// Nothing this version understands.
    Unknown,
}

/// What a control or transient frame says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    /// A message and its run are committed.
    Ack(AckFrame),
    /// The credential was accepted.
    AuthOk {
        /// When it ends.
        token_expires_at: Option<Wall>,
    },
    /// Say who you are.
    AuthRequired {
        /// How long there is.
        timeout: Millis,
    },
    /// A close follows.
    Disconnect {
        /// The close code that follows, if it is one of ours.
        code: Option<CloseCode>,
        /// Not before this.
        reconnect_after: Option<Millis>,
    },
    /// What was asked for is done.
    Done {
        /// The `type` of what was asked.
        what: String,
        /// More, as JSON.
        result: Json,
    },
    /// Something was refused or failed. An unknown word is read as `internal` and kept in `word`.
    Error {
        /// The frame.
        frame: ErrorFrame,
        /// The code as it was written.
        word: String,
        /// Whether sending the same again later can succeed.
        retryable: bool,
    },
    /// Are you there?
    Ping {
        /// Where the followed threads are.
        heads: Vec<Head>,
    },
    /// I am here.
    Pong {
        /// What the ping carried.
        nonce: Option<Json>,
    },
    /// Slow down.
    RateLimit {
        /// Not before this.
        retry_after: Millis,
    },
    /// The first thing an authenticated client hears.
    Ready(Box<ReadyHeard>),
    /// All of a replay was sent.
    ReplayComplete {
        /// The thread.
        thread_id: ThreadId,
        /// Up to here.
        to_seq: Seq,
    },
    /// What became of a resume or subscribe.
    Resumed {
        /// One per thread.
        threads: Vec<Resumed>,
    },
    /// The server goes away; a close follows.
    ServerDraining {
        /// Come back after this.
        reconnect_after: Millis,
    },
    /// A part became unavailable, or is back.
    ServiceStatus {
        /// What is not available now; empty: all is well.
        degraded: Vec<String>,
    },
    /// The credential ends soon.
    TokenExpiring {
        /// When.
        expires_at: Wall,
    },
    /// Transient: how far a tool is.
    ToolProgress {
        /// Its thread.
        thread_id: ThreadId,
        /// Its run.
        run_id: RunId,
        /// The call.
        tool_call_id: ToolCallId,
        /// Units done.
        done: u64,
        /// Units in all; 0 when unknown.
        total: u64,
        /// In words.
        text: String,
    },
}

/// `connection_ready` as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct ReadyHeard {
    /// This socket.
    pub connection_id: ConnectionId,
    /// Whose it is.
    pub user_id: UserId,
    /// This log-in.
    pub session_id: SessionId,
    /// How they came in.
    pub auth_method: AuthMethod,
    /// `demo` or `normal`.
    pub mode: String,
    /// The server's clock.
    pub server_time: Wall,
    /// When the credential ends.
    #[serde(default)]
    pub token_expires_at: Option<Wall>,
    /// When to expect a ping, and when to give up.
    pub heartbeat: Heartbeat,
    /// The longest message, and other bounds.
    pub limits: LimitsHeard,
    /// What became of each resume point.
    #[serde(default)]
    pub resume: ResumeHeard,
    /// What is under way.
    #[serde(default)]
    pub active_runs: Vec<ActiveRun>,
    /// Parts that are not available.
    #[serde(default)]
    pub degraded: Vec<String>,
}

/// When a ping comes, and after how much silence a connection is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct Heartbeat {
    /// How often the server pings.
    #[serde(rename = "interval_ms")]
    pub interval: Millis,
    /// Silence after which a connection is dead.
    #[serde(rename = "timeout_ms")]
    pub timeout: Millis,
}

/// The bounds a client needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct LimitsHeard {
    /// Longest client message, in bytes.
    pub message_bytes: usize,
    /// Longest content of a user message, in bytes.
    pub content_bytes: usize,
}

/// `resume` of the ready frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct ResumeHeard {
    /// One per thread.
    #[serde(default)]
    pub threads: Vec<Resumed>,
}

impl ServerEvent {
    /// Reads one text frame. Never fails: what cannot be read is [`Self::Unknown`].
    #[must_use]
    //= specs/wire.md#wire-08
    //# A client MUST ignore what it does not know, apart from the place of an entry.
    pub fn decode(text: &str) -> Self {
        let Ok(head) = serde_json::from_str::<HeadIn<'_>>(text) else { return Self::Unknown };
        match (head.seq, head.thread_id, head.epoch) {
            (Some(seq), Some(thread_id), Some(epoch)) => Entry::decode(text.as_bytes())
                .map_or(Self::UnknownEntry { thread_id, epoch, seq }, |entry| {
                    Self::Entry(Box::new(entry))
                }),
            _ => match said(&head) {
                Some(said) => Self::Control { reference: head.reference, said },
                None => Self::Unknown,
            },
        }
    }
}

#[derive(Deserialize)]
struct HeadIn<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "ref", default)]
    reference: Option<FrameRef>,
    #[serde(default)]
    seq: Option<Seq>,
    #[serde(default)]
    epoch: Option<Epoch>,
    #[serde(default)]
    thread_id: Option<ThreadId>,
    #[serde(default)]
    run_id: Option<RunId>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

fn payload<'a, T: Deserialize<'a>>(head: &HeadIn<'a>) -> Option<T> {
    serde_json::from_str(head.payload.get()).ok()
}

/// Reads the payload of a control frame by its type; `None` for what is not known.
fn said(head: &HeadIn<'_>) -> Option<Said> {
    Some(match head.kind.as_str() {
        "ack" => ack(payload(head)?)?,
        "auth_ok" => {
            let AuthOkIn { token_expires_at } = payload(head)?;
            Said::AuthOk { token_expires_at }
        }
        "auth_required" => {
            let AuthRequiredIn { timeout_ms } = payload(head)?;
            Said::AuthRequired { timeout: timeout_ms }
        }
        "connection_ready" => Said::Ready(payload(head)?),
        "disconnect" => {
            let DisconnectIn { code, reconnect_after_ms } = payload(head)?;
            let code = CloseCode::from_code(code);
            Said::Disconnect { code, reconnect_after: reconnect_after_ms }
        }
        "error" => error(payload(head)?),
        "ping" => {
            let PingIn { heads } = payload(head)?;
            Said::Ping { heads }
        }
        "pong" => {
            let PongIn { nonce } = payload(head)?;
            Said::Pong { nonce: nonce.map(Json::from) }
        }
        "rate_limit" => {
            let RateLimitIn { retry_after_ms } = payload(head)?;
            Said::RateLimit { retry_after: retry_after_ms }
        }
        "replay_complete" => {
            let ReplayCompleteIn { thread_id, to_seq } = payload(head)?;
            Said::ReplayComplete { thread_id, to_seq }
        }
        "resumed" => {
            let ResumeHeard { threads } = payload(head)?;
            Said::Resumed { threads }
        }
        "server_draining" => {
            let DrainingIn { reconnect_after_ms } = payload(head)?;
            Said::ServerDraining { reconnect_after: reconnect_after_ms }
        }
        "service_status" => {
            let ServiceStatusIn { degraded } = payload(head)?;
            Said::ServiceStatus { degraded }
        }
        "token_expiring" => {
            let ExpiringIn { expires_at } = payload(head)?;
            Said::TokenExpiring { expires_at }
        }
        "tool_progress" => {
            let ProgressIn { tool_call_id, done, total, text } = payload(head)?;
            let (thread_id, run_id) = (head.thread_id?, head.run_id?);
            Said::ToolProgress { thread_id, run_id, tool_call_id, done, total, text }
        }
        _ => return None,
    })
}

fn ack(read: AckIn) -> Option<Said> {
    match read.status.as_str() {
        "done" => Some(Said::Done { what: read.what?, result: Json::from(read.result?) }),
        "accepted" | "duplicate" => Some(Said::Ack(AckFrame {
            duplicate: read.status == "duplicate",
            client_msg_id: read.client_msg_id?,
            message_id: read.message_id?,
            thread_id: read.thread_id?,
            run_id: read.run_id?,
            run_status: read.run_status?,
            queue_position: read.queue_position,
            seq: read.seq?,
        })),
        _ => None,
    }
}

fn error(read: ErrorIn) -> Said {
    let known = ErrorCode::ALL.iter().find(|code| code.as_str() == read.code).copied();
    let frame = ErrorFrame {
        code: known.unwrap_or(ErrorCode::Internal),
        message: read.message,
        retry_after: read.retry_after_ms,
        fatal: read.fatal,
        details: read.details.map(Json::from),
        request_id: read.request_id,
    };
    Said::Error { frame, word: read.code, retryable: read.retryable }
}

#[derive(Deserialize)]
struct AckIn {
    status: String,
    client_msg_id: Option<ClientMsgId>,
    message_id: Option<MessageId>,
    thread_id: Option<ThreadId>,
    run_id: Option<RunId>,
    run_status: Option<RunStatus>,
    #[serde(default)]
    queue_position: u32,
    seq: Option<Seq>,
    what: Option<String>,
    result: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct AuthOkIn {
    #[serde(default)]
    token_expires_at: Option<Wall>,
}

#[derive(Deserialize)]
struct AuthRequiredIn {
    timeout_ms: Millis,
}

#[derive(Deserialize)]
struct DisconnectIn {
    code: u16,
    #[serde(default)]
    reconnect_after_ms: Option<Millis>,
}

#[derive(Deserialize)]
struct ErrorIn {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    retryable: bool,
    #[serde(default)]
    retry_after_ms: Option<Millis>,
    #[serde(default)]
    fatal: bool,
    #[serde(default)]
    details: Option<Box<RawValue>>,
    #[serde(default)]
    request_id: Option<RequestId>,
}

#[derive(Deserialize)]
struct PingIn {
    #[serde(default)]
    heads: Vec<Head>,
}

#[derive(Deserialize)]
struct PongIn {
    #[serde(default)]
    nonce: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct RateLimitIn {
    retry_after_ms: Millis,
}

#[derive(Deserialize)]
struct ReplayCompleteIn {
    thread_id: ThreadId,
    to_seq: Seq,
}

#[derive(Deserialize)]
struct DrainingIn {
    reconnect_after_ms: Millis,
}

#[derive(Deserialize)]
struct ServiceStatusIn {
    #[serde(default)]
    degraded: Vec<String>,
}

#[derive(Deserialize)]
struct ExpiringIn {
    expires_at: Wall,
}

#[derive(Deserialize)]
struct ProgressIn {
    tool_call_id: ToolCallId,
    #[serde(default)]
    done: u64,
    #[serde(default)]
    total: u64,
    #[serde(default)]
    text: String,
}
