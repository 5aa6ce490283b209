//! A client frame in text, as our own clients write it: canonical words, fields under `payload`.

use super::{
    ClientBody, ClientFrame, Credential, Frame, Level, MultitaskStrategy, OnDisconnect, Reply,
    ThreadCommand, UserMessage,
};
use alloc::collections::BTreeMap;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

impl ClientFrame {
    /// Encodes the frame; [`super::decode()`] reads the same frame back. `claimed_user` is not written.
    #[must_use]
    //= specs/wire.md#wire-07
    //# Every client frame MUST survive its encoding.
    pub fn encode(&self) -> Frame {
        let (word, payload) = write(&self.body);
        match &self.reply {
            Reply::None => Frame::encode(&Out { kind: word, id: None::<&str>, payload }),
            Reply::Ref(id) => Frame::encode(&Out { kind: word, id: Some(id), payload }),
            Reply::JsonRpc(id) => {
                Frame::encode(&Request { jsonrpc: "2.0", id, method: word, params: payload })
            }
        }
    }
}

#[derive(Serialize)]
struct Out<I> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<I>,
    payload: Payload,
}

#[derive(Serialize)]
struct Request<I> {
    jsonrpc: &'static str,
    id: I,
    method: &'static str,
    params: Payload,
}

type Payload = BTreeMap<&'static str, alloc::boxed::Box<RawValue>>;

/// Collects the fields that are there.
#[derive(Default)]
struct Collected(Payload);

impl Collected {
    fn with<T: Serialize>(mut self, name: &'static str, value: T) -> Self {
        // Texts, numbers, and lists of them: encoding them has no failing path.
        if let Ok(raw) = to_raw_value(&value) {
            self.0.insert(name, raw);
        }
        self
    }

    fn with_some<T: Serialize>(self, name: &'static str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

fn write(body: &ClientBody) -> (&'static str, Payload) {
    let fields = Collected::default();
    let (word, fields) = match body {
        ClientBody::Auth { credential, resume } => {
            let fields = match credential {
                Credential::Token(token) => fields.with("token", &token.0),
                Credential::Ticket(ticket) => fields.with("ticket", &ticket.0),
            };
            let resume = Some(BTreeMap::from([("threads", resume)])).filter(|_| !resume.is_empty());
            ("auth", fields.with_some("resume", resume))
        }
        ClientBody::AuthRefresh { token } => ("auth_refresh", fields.with("token", &token.0)),
        ClientBody::Resume { threads } => ("resume", fields.with("threads", threads)),
        ClientBody::Subscribe { thread_id, level } => {
            let level = match level {
                Level::Full => "full",
                Level::Summary => "summary",
            };
            ("subscribe", fields.with("thread_id", thread_id).with("level", level))
        }
        ClientBody::Unsubscribe { thread_id } => {
            ("unsubscribe", fields.with("thread_id", thread_id))
        }
        ClientBody::UserMessage(message) => ("user_message", user_message(fields, message)),
        ClientBody::CancelRun { run_id } => ("cancel_run", fields.with_some("run_id", *run_id)),
        ClientBody::CancelQueued { run_id } => ("cancel_queued", fields.with("run_id", run_id)),
        ClientBody::GapRequest { thread_id, after_seq, to_seq } => (
            "gap_request",
            fields.with("thread_id", thread_id).with("after_seq", after_seq).with("to_seq", to_seq),
        ),
        ClientBody::Approval { run_id, request_id, approved, note } => (
            "approval",
            fields
                .with("run_id", run_id)
                .with("request_id", request_id)
                .with("decision", if *approved { "approve" } else { "reject" })
                .with_some("note", note.as_ref()),
        ),
        ClientBody::Feedback(feedback) => (
            "feedback",
            fields
                .with("message_id", feedback.message_id)
                .with("rating", feedback.rating)
                .with_some("comment", feedback.comment.as_ref()),
        ),
        ClientBody::Received { thread_id, seq } => {
            ("received", fields.with("thread_id", thread_id).with("seq", seq))
        }
        ClientBody::Thread(command) => thread_command(fields, command),
        ClientBody::Ping { nonce } => ("ping", fields.with_some("nonce", nonce.as_ref())),
        ClientBody::Pong => ("pong", fields),
    };
    (word, fields.0)
}

fn user_message(fields: Collected, message: &UserMessage) -> Collected {
    let multitask = match message.multitask {
        MultitaskStrategy::Enqueue => None,
        MultitaskStrategy::Reject | MultitaskStrategy::Interrupt => Some(message.multitask),
    };
    let on_disconnect = match message.on_disconnect {
        OnDisconnect::Continue => None,
        OnDisconnect::Cancel => Some(message.on_disconnect),
    };
    fields
        .with("client_msg_id", &message.client_msg_id)
        .with("content", &message.content)
        .with_some("thread_id", message.thread_id)
        .with_some("multitask_strategy", multitask)
        .with_some("on_disconnect", on_disconnect)
        .with_some("expected_head_seq", message.expected_head_seq)
        .with_some("metadata", message.metadata.as_ref())
}

fn thread_command(fields: Collected, command: &ThreadCommand) -> (&'static str, Collected) {
    match command {
        ThreadCommand::Create { title, metadata } => {
            let fields = fields.with_some("title", title.as_ref());
            ("create_thread", fields.with_some("metadata", metadata.as_ref()))
        }
        ThreadCommand::Delete { thread_id } => {
            ("delete_thread", fields.with("thread_id", thread_id))
        }
        ThreadCommand::History { thread_id, after_seq, limit } => (
            "get_thread_history",
            fields.with("thread_id", thread_id).with("after_seq", after_seq).with("limit", limit),
        ),
        ThreadCommand::List { limit } => ("list_threads", fields.with("limit", limit)),
        ThreadCommand::Rename { thread_id, title, metadata } => {
            let fields = fields.with("thread_id", thread_id).with_some("title", title.as_ref());
            ("rename_thread", fields.with_some("metadata", metadata.as_ref()))
        }
    }
}
