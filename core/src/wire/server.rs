//! What the server says besides log entries: control and transient frames.

use super::event::{ErrorInfo, RunStatus};
use super::{CloseCode, ErrorCode, Json};
use crate::id::{
    ClientMsgId, ConnectionId, Epoch, MessageId, RequestId, RunId, Seq, SessionId, ThreadId,
    ToolCallId, UserId,
};
use crate::limits::Limits;
use crate::time::{Millis, Wall};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What became of one resume point.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resumed {
    /// The thread.
    pub thread_id: ThreadId,
    /// Whether the replay that follows is whole (DLV-07).
    pub recovered: bool,
    /// The log's epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The replay begins after this.
    pub from_seq: Seq,
    /// The replay ends with this: the head at the time.
    pub to_seq: Seq,
    /// Why it is not recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ErrorCode>,
    /// Where the whole log can be read instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_url: Option<String>,
}

/// A run of this user that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActiveRun {
    /// The run.
    pub run_id: RunId,
    /// Its thread.
    pub thread_id: ThreadId,
    /// `queued` or `running`.
    pub status: RunStatus,
}

/// The head of a thread, in `ping`, so that a hole is found while connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// The thread.
    pub thread_id: ThreadId,
    /// Its last entry.
    pub seq: Seq,
}

/// By which place a credential came in (`auth_method` of the ready frame).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// `Authorization: Bearer`.
    AuthorizationHeader,
    /// Demo mode made a user.
    Demo,
    /// The first frame.
    FirstMessage,
    /// `Sec-WebSocket-Protocol`.
    Subprotocol,
    /// `?ticket=`.
    Ticket,
}

/// `connection_ready`: once, first (CONN-08).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReadyFrame {
    /// This socket.
    pub connection_id: ConnectionId,
    /// Whose it is.
    pub user_id: UserId,
    /// This log-in.
    pub session_id: SessionId,
    /// How they came in.
    pub auth_method: AuthMethod,
    /// `demo` or `normal`.
    pub mode: &'static str,
    /// Our clock.
    pub server_time: Wall,
    /// When the credential ends; `None` for one that does not.
    pub token_expires_at: Option<Wall>,
    /// What became of each resume point.
    pub resume: Vec<Resumed>,
    /// What is under way.
    pub active_runs: Vec<ActiveRun>,
    /// Parts that are not available (F11).
    pub degraded: Vec<String>,
}

/// `ack`: message and run are committed (DLV-12).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AckFrame {
    /// Seen before with the same content: the first outcome.
    pub duplicate: bool,
    /// The client's name for it.
    pub client_msg_id: ClientMsgId,
    /// Ours.
    pub message_id: MessageId,
    /// Where it is.
    pub thread_id: ThreadId,
    /// The run that answers it.
    pub run_id: RunId,
    /// How far that is.
    pub run_status: RunStatus,
    /// 0 when it is at work.
    pub queue_position: u32,
    /// The message's place in the log.
    pub seq: Seq,
}

/// `error`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ErrorFrame {
    /// The word both sides know.
    pub code: ErrorCode,
    /// For developers.
    pub message: String,
    /// Not before this.
    pub retry_after: Option<Millis>,
    /// Whether the connection closes now.
    pub fatal: bool,
    /// More, for programs.
    pub details: Option<Json>,
    /// The correlation id, also in the log.
    pub request_id: Option<RequestId>,
}

impl ErrorFrame {
    /// An error that leaves the connection as it is.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
            fatal: false,
            details: None,
            request_id: None,
        }
    }
}

/// Frames without a place in a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerFrame {
    /// Message and run are committed.
    Ack(AckFrame),
    /// Answer to a request that needs no other: what was asked for is done.
    Done {
        /// The `type` of what was asked.
        what: &'static str,
        /// More, as JSON.
        result: Json,
    },
    /// The credential (or the newer one) was accepted.
    AuthOk {
        /// When it ends.
        token_expires_at: Option<Wall>,
    },
    /// Say who you are.
    AuthRequired {
        /// How long there is.
        timeout: Millis,
    },
    /// The first thing an authenticated client hears.
    Ready(ReadyFrame),
    /// The last thing before a close.
    Disconnect {
        /// The close code that follows.
        code: CloseCode,
        /// Not before this.
        reconnect_after: Option<Millis>,
    },
    /// Something was refused or failed.
    Error(ErrorFrame),
    /// Are you there? With the heads of what is followed.
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
    /// We are going away; a close follows.
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
        /// Done and total.
        done: u64,
        /// Units in all; 0 when unknown.
        total: u64,
        /// In words.
        text: String,
    },
}

/// What every ready frame says about this server.
#[derive(Clone, Copy, Debug)]
pub struct Announced<'a> {
    /// The bounds in force.
    pub limits: &'a Limits,
}

/// An [`ErrorInfo`] as an error frame.
impl From<ErrorInfo> for ErrorFrame {
    fn from(info: ErrorInfo) -> Self {
        Self::new(info.code, info.message)
    }
}
