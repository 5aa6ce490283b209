//! The image of what has no place in a log: control and transient frames, and the first words.

use super::super::{AckFrame, ErrorFrame, Frame, ReadyHeard, RunStatus, Said};
use super::flat::Flat;
use crate::id::{ConnectionId, FrameRef, RequestId, RunId, ThreadId};
use crate::time::Wall;

/// What the first two frames say.
#[derive(Clone, Copy, Debug)]
pub struct Greeting<'a> {
    /// What `connection_ready` says.
    pub ready: &'a ReadyHeard,
    /// Where the client's messages go.
    pub thread_id: ThreadId,
    /// The run under way in it, if there is one.
    pub run_id: Option<RunId>,
}

impl Greeting<'_> {
    /// `connection_established`, then, unasked, `handshake_response`.
    //= specs/wire.md#wire-50
    //# A client of the older dialect MUST hear `connection_established` first, and then, unasked, a
    //# `handshake_response` that names the thread where its messages go.
    #[must_use]
    pub fn encode(&self) -> [Frame; 2] {
        let ready = self.ready;
        let established = Flat::new("connection_established", ready.server_time)
            .with("connection_id", &ready.connection_id)
            .with("user_id", &ready.user_id)
            .with("connection_ready", &true)
            .with("session_id", &ready.session_id)
            .with("auth_method", &ready.auth_method)
            .with("mode", &ready.mode)
            .maybe("token_expires_at", ready.token_expires_at)
            .with("heartbeat_interval_ms", &ready.heartbeat.interval)
            .with("max_message_size", &ready.limits.message_bytes)
            .with("degraded", &ready.degraded);
        let ConnectionId(bits) = ready.connection_id;
        // One handshake, one request, and the name of a run that has not begun: three ids of the same
        // connection, each of its own kind.
        let response = Flat::new("handshake_response", ready.server_time)
            .with("thread_id", &self.thread_id)
            .with("run_id", &self.run_id.unwrap_or(RunId(bits)))
            .with("request_id", &RequestId(bits))
            .with("session_token", &ready.session_id)
            .with("connection_id", &ready.connection_id)
            .with("user_id", &ready.user_id)
            .with("status", "success");
        [established.encode(), response.encode()]
    }
}

/// The answer to the client's acknowledgement of the handshake.
#[must_use]
pub fn handshake_complete(user_id: &str, thread_id: ThreadId, at: Wall) -> Frame {
    Flat::new("handshake_complete", at)
        .with("thread_id", &thread_id)
        .with("user_id", user_id)
        .with("status", "success")
        .encode()
}

/// The answer to a type nobody knows.
//= specs/wire.md#wire-58
//# A frame of an unknown type MUST be answered `ack` with its type and the status `acknowledged`.
#[must_use]
pub fn acknowledged(reference: Option<&FrameRef>, received_type: &str, at: Wall) -> Frame {
    Flat::new("ack", at)
        .with("received_type", received_type)
        .with("status", "acknowledged")
        .maybe("ref", reference)
        .encode()
}

/// What an older client hears instead of a frame without a place in a log. `run_name` is the client's
/// own name for the run it is about.
#[must_use]
pub fn of_control(
    said: &Said,
    reference: Option<&FrameRef>,
    run_name: Option<&str>,
    user_id: &str,
    at: Wall,
) -> Frame {
    let of = |kind| Flat::new(kind, at).maybe("ref", reference);
    let named = |image: Flat, run_id: RunId| match run_name {
        Some(name) => image.with("run_id", name).with("server_run_id", &run_id),
        None => image.with("run_id", &run_id),
    };
    match said {
        Said::Ack(ack) => named(accepted(of("ack"), ack), ack.run_id).with("user_id", user_id),
        Said::AuthOk { token_expires_at } => {
            of("auth_ok").maybe("token_expires_at", token_expires_at.as_ref())
        }
        Said::AuthRequired { timeout } => of("auth_required").with("timeout_ms", timeout),
        Said::Disconnect { code, reconnect_after } => of("disconnect")
            .maybe("code", code.map(|code| code.code()))
            .maybe("reason", code.map(|code| code.reason()))
            .maybe("reconnect", code.map(|code| code.reconnect().is_wanted()))
            .maybe("reconnect_after_ms", reconnect_after.as_ref()),
        Said::Done { what, result } => of("ack")
            .with("received_type", what)
            .with("status", "done")
            .with("what", what)
            .with("result", result),
        Said::Error { frame, word, retryable } => error(of("error"), frame, word, *retryable),
        Said::Ping { heads } => of("ping").with("heads", heads),
        Said::Pong { nonce } => of("pong").maybe("nonce", nonce.as_ref()),
        Said::RateLimit { retry_after } => of("rate_limit").with("retry_after_ms", retry_after),
        Said::Ready(ready) => of("connection_established").with("user_id", &ready.user_id),
        Said::ReplayComplete { thread_id, to_seq } => {
            of("replay_complete").with("thread_id", thread_id).with("to_seq", to_seq)
        }
        Said::Resumed { threads } => of("resumed").with("threads", threads),
        Said::ServerDraining { reconnect_after } => {
            of("server_draining").with("reconnect_after_ms", reconnect_after)
        }
        Said::ServiceStatus { degraded } => of("service_status")
            .with("status", if degraded.is_empty() { "healthy" } else { "degraded" })
            .with("degraded", degraded),
        Said::TokenExpiring { expires_at } => of("token_expiring").with("expires_at", expires_at),
        Said::ToolProgress { thread_id, run_id, tool_call_id, done, total, text } => {
            named(of("tool_progress").with("transient", &true), *run_id)
                .with("thread_id", thread_id)
                .with("user_id", user_id)
                .with("tool_call_id", tool_call_id)
                .with("done", done)
                .with("total", total)
                .named(&["text", "message"], text)
        }
    }
    .encode()
}

fn accepted(image: Flat, ack: &AckFrame) -> Flat {
    let queued = matches!(ack.run_status, RunStatus::Queued);
    image
        .with("received_type", "user_message")
        .with("status", if ack.duplicate { "duplicate" } else { "accepted" })
        .with("thread_id", &ack.thread_id)
        .with("message_id", &ack.message_id)
        .with("client_msg_id", &ack.client_msg_id)
        .with("run_status", &ack.run_status)
        .maybe("queue_position", queued.then_some(ack.queue_position))
        .with("seq", &ack.seq)
}

//= specs/wire.md#wire-59
//# What is refused MUST be answered with an `error` that has `error_code`, `error_message` and
//# `message`, and the connection kept as it would be for anybody.
fn error(image: Flat, frame: &ErrorFrame, word: &str, retryable: bool) -> Flat {
    image
        .named(&["error_code", "code"], word)
        .named(&["error_message", "message", "error"], &frame.message)
        .with("user_message", frame.code.user_message())
        .named(&["recoverable", "retryable"], &retryable)
        .with("fatal", &frame.fatal)
        .maybe("retry_after_ms", frame.retry_after.as_ref())
        .maybe("details", frame.details.as_ref())
        .maybe("request_id", frame.request_id.as_ref())
}
