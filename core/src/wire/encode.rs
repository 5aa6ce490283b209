//! Control frames in text: `{"type", "ref"?, "payload"}`, or the JSON-RPC response of the same content.

use super::jsonrpc::{ErrorResponse, Response};
use super::server::{ActiveRun, Resumed};
use super::{
    AckFrame, Announced, AuthMethod, ErrorCode, ErrorFrame, Frame, Json, ReadyFrame, Reply,
    RunStatus, ServerFrame,
};
use crate::id::{
    ClientMsgId, ConnectionId, FrameRef, MessageId, RequestId, RunId, Seq, SessionId, ThreadId,
    UserId,
};
use crate::limits::Limits;
use crate::time::{Millis, Wall};
use alloc::string::String;
use serde::{Serialize, Serializer};

/// The subprotocol, and the value of `protocol` in `connection_ready`.
pub const PROTOCOL: &str = "golden.v1";

/// What a client may rely on beyond the first words of the protocol.
pub const FEATURES: &[&str] = &[
    "approval",
    "auth_refresh",
    "cancel",
    "feedback",
    "gap_request",
    "json_rpc",
    "multitask",
    "resume",
    "summary",
    "thread_operations",
];

impl ServerFrame {
    /// Encodes the frame as an answer to `reply`. `announced` is what `connection_ready` says about
    /// this server; no other frame reads it. Times in payloads are milliseconds since 1970.
    #[must_use]
    //= specs/wire.md#wire-11
    //# A client MUST hear what a server says: every control frame is read back as it was meant.
    pub fn encode(&self, reply: &Reply, announced: Announced<'_>) -> Frame {
        match self {
            Self::Ack(ack) => control("ack", reply, AckOut::from(ack)),
            Self::AuthOk { token_expires_at } => {
                control("auth_ok", reply, AuthOkOut { token_expires_at: *token_expires_at })
            }
            Self::AuthRequired { timeout } => {
                control("auth_required", reply, AuthRequiredOut { timeout_ms: *timeout })
            }
            Self::Disconnect { code, reconnect_after } => control(
                "disconnect",
                reply,
                DisconnectOut {
                    code: code.code(),
                    reason: code.reason(),
                    reconnect: code.reconnect().is_wanted(),
                    reconnect_after_ms: *reconnect_after,
                },
            ),
            Self::Done { what, result } => {
                control("ack", reply, DoneOut { status: "done", what, result })
            }
            Self::Error(error) => encode_error(error, reply),
            Self::Ping { heads } => control("ping", reply, PingOut { heads }),
            Self::Pong { nonce } => control("pong", reply, PongOut { nonce: nonce.as_ref() }),
            Self::RateLimit { retry_after } => {
                control("rate_limit", reply, RateLimitOut { retry_after_ms: *retry_after })
            }
            Self::Ready(ready) => encode_ready(ready, reply, announced.limits),
            Self::ReplayComplete { thread_id, to_seq } => control(
                "replay_complete",
                reply,
                ReplayCompleteOut { thread_id: *thread_id, to_seq: *to_seq },
            ),
            Self::Resumed { threads } => control("resumed", reply, ResumedOut { threads }),
            Self::ServerDraining { reconnect_after } => control(
                "server_draining",
                reply,
                DrainingOut { reconnect_after_ms: *reconnect_after },
            ),
            Self::ServiceStatus { degraded } => {
                let status = if degraded.is_empty() { "healthy" } else { "degraded" };
                control("service_status", reply, ServiceStatusOut { status, degraded })
            }
            Self::TokenExpiring { expires_at } => {
                control("token_expiring", reply, ExpiringOut { expires_at: *expires_at })
            }
            Self::ToolProgress { thread_id, run_id, tool_call_id, done, total, text } => {
                Frame::encode(&TransientOut {
                    kind: "tool_progress",
                    transient: true,
                    thread_id: *thread_id,
                    run_id: *run_id,
                    payload: ProgressOut {
                        tool_call_id: *tool_call_id,
                        done: *done,
                        total: *total,
                        text,
                    },
                })
            }
        }
    }
}

/// `{"type", "ref"?, "payload"}`, or a JSON-RPC result of the payload with its type.
fn control<T: Serialize>(kind: &'static str, reply: &Reply, payload: T) -> Frame {
    match reply {
        Reply::None => Frame::encode(&ControlOut { kind, reference: None, payload }),
        Reply::Ref(id) => Frame::encode(&ControlOut { kind, reference: Some(id), payload }),
        Reply::JsonRpc(id) => Frame::encode(&Response::new(id, ResultOut { kind, payload })),
    }
}

fn encode_error(error: &ErrorFrame, reply: &Reply) -> Frame {
    let payload = ErrorOut {
        code: error.code,
        message: &error.message,
        user_message: error.code.user_message(),
        retryable: error.code.is_retryable(),
        retry_after_ms: error.retry_after,
        fatal: error.fatal,
        details: error.details.as_ref(),
        request_id: error.request_id,
    };
    match reply {
        Reply::JsonRpc(id) => Frame::encode(&ErrorResponse::new(id, error, payload)),
        Reply::None | Reply::Ref(_) => control("error", reply, payload),
    }
}

fn encode_ready(ready: &ReadyFrame, reply: &Reply, limits: &Limits) -> Frame {
    let payload = ReadyOut {
        connection_id: ready.connection_id,
        user_id: &ready.user_id,
        session_id: ready.session_id,
        auth_method: ready.auth_method,
        protocol: PROTOCOL,
        mode: ready.mode,
        server_time: ready.server_time,
        token_expires_at: ready.token_expires_at,
        heartbeat: HeartbeatOut {
            interval_ms: limits.heartbeat_interval,
            timeout_ms: limits.heartbeat_timeout,
        },
        limits: LimitsOut {
            message_bytes: limits.message_bytes,
            frame_bytes: limits.frame_bytes,
            content_bytes: limits.content_bytes,
            messages_per_minute: limits.messages_per_minute,
            message_burst: limits.message_burst,
            subscriptions: limits.subscriptions_per_connection,
            replay_entries: limits.replay_entries,
            queued_runs_per_thread: limits.queued_runs_per_thread,
        },
        features: FEATURES,
        resume: ResumedOut { threads: &ready.resume },
        active_runs: &ready.active_runs,
        degraded: &ready.degraded,
    };
    match reply {
        Reply::JsonRpc(_) => control("connection_ready", reply, payload),
        Reply::None | Reply::Ref(_) => Frame::encode(&ReadyFrameOut {
            kind: "connection_ready",
            reference: match reply {
                Reply::Ref(id) => Some(id),
                Reply::None | Reply::JsonRpc(_) => None,
            },
            connection_ready: true,
            user_id: &ready.user_id,
            timestamp: ready.server_time,
            payload,
        }),
    }
}

#[derive(Serialize)]
struct ControlOut<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<&'a FrameRef>,
    payload: T,
}

#[derive(Serialize)]
struct ResultOut<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    payload: T,
}

#[derive(Serialize)]
struct TransientOut<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    transient: bool,
    thread_id: ThreadId,
    run_id: RunId,
    payload: T,
}

#[derive(Serialize)]
struct ReadyFrameOut<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<&'a FrameRef>,
    connection_ready: bool,
    user_id: &'a UserId,
    #[serde(serialize_with = "rfc3339")]
    timestamp: Wall,
    payload: ReadyOut<'a>,
}

fn rfc3339<S: Serializer>(wall: &Wall, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&wall.to_rfc3339())
}

#[derive(Serialize)]
struct ReadyOut<'a> {
    connection_id: ConnectionId,
    user_id: &'a UserId,
    session_id: SessionId,
    auth_method: AuthMethod,
    protocol: &'static str,
    mode: &'a str,
    server_time: Wall,
    token_expires_at: Option<Wall>,
    heartbeat: HeartbeatOut,
    limits: LimitsOut,
    features: &'static [&'static str],
    resume: ResumedOut<'a>,
    active_runs: &'a [ActiveRun],
    degraded: &'a [String],
}

#[derive(Serialize)]
struct HeartbeatOut {
    interval_ms: Millis,
    timeout_ms: Millis,
}

#[derive(Serialize)]
struct LimitsOut {
    message_bytes: usize,
    frame_bytes: usize,
    content_bytes: usize,
    messages_per_minute: u32,
    message_burst: u32,
    subscriptions: usize,
    replay_entries: u64,
    queued_runs_per_thread: usize,
}

#[derive(Serialize)]
struct ResumedOut<'a> {
    threads: &'a [Resumed],
}

#[derive(Serialize)]
struct AckOut<'a> {
    status: &'static str,
    client_msg_id: &'a ClientMsgId,
    message_id: MessageId,
    thread_id: ThreadId,
    run_id: RunId,
    run_status: RunStatus,
    queue_position: u32,
    seq: Seq,
}

impl<'a> From<&'a AckFrame> for AckOut<'a> {
    fn from(ack: &'a AckFrame) -> Self {
        Self {
            status: if ack.duplicate { "duplicate" } else { "accepted" },
            client_msg_id: &ack.client_msg_id,
            message_id: ack.message_id,
            thread_id: ack.thread_id,
            run_id: ack.run_id,
            run_status: ack.run_status,
            queue_position: ack.queue_position,
            seq: ack.seq,
        }
    }
}

#[derive(Serialize)]
struct DoneOut<'a> {
    status: &'static str,
    what: &'static str,
    result: &'a Json,
}

#[derive(Serialize)]
struct AuthOkOut {
    token_expires_at: Option<Wall>,
}

#[derive(Serialize)]
struct AuthRequiredOut {
    timeout_ms: Millis,
}

#[derive(Serialize)]
struct DisconnectOut {
    code: u16,
    reason: &'static str,
    reconnect: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reconnect_after_ms: Option<Millis>,
}

#[derive(Serialize)]
struct ErrorOut<'a> {
    code: ErrorCode,
    message: &'a str,
    user_message: &'static str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<Millis>,
    fatal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Json>,
    request_id: Option<RequestId>,
}

#[derive(Serialize)]
struct PingOut<'a> {
    heads: &'a [super::Head],
}

#[derive(Serialize)]
struct PongOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a Json>,
}

#[derive(Serialize)]
struct RateLimitOut {
    retry_after_ms: Millis,
}

#[derive(Serialize)]
struct ReplayCompleteOut {
    thread_id: ThreadId,
    to_seq: Seq,
}

#[derive(Serialize)]
struct DrainingOut {
    reconnect_after_ms: Millis,
}

#[derive(Serialize)]
struct ServiceStatusOut<'a> {
    status: &'static str,
    degraded: &'a [String],
}

#[derive(Serialize)]
struct ExpiringOut {
    expires_at: Wall,
}

#[derive(Serialize)]
struct ProgressOut<'a> {
    tool_call_id: crate::id::ToolCallId,
    done: u64,
    total: u64,
    text: &'a str,
}
