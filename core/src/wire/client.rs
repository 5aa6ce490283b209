//! What a client may say, after normalisation: typed, validated, bounded.

use super::{Json, Metadata, MultitaskStrategy, OnDisconnect};
use crate::id::{ClientMsgId, Epoch, FrameRef, RunId, Seq, ThreadId};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::Serialize;

/// One frame of a client: its body, and the `id` (or JSON-RPC id) its answer refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientFrame {
    /// How the answer names it.
    pub reply: Reply,
    /// What it asks for.
    pub body: ClientBody,
    /// The `user_id` the frame names, if it names one: anything but the connection's own user is
    /// refused with `user_mismatch`.
    pub claimed_user: Option<String>,
}

/// How an answer refers to its frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The frame had no id; answers carry no `ref`.
    #[default]
    None,
    /// `golden.v1`: the answer carries `"ref"`.
    Ref(FrameRef),
    /// JSON-RPC 2.0: the answer is a response object with this id (a JSON number or string, verbatim).
    JsonRpc(Json),
}

/// A secret: never printed, never serialised, wiped from `Debug` (AUTH-05).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret(pub String);

//= specs/auth.md#auth-05
//# A token or a ticket MUST NOT appear in the debug text of anything, and so not in a log.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Proof of who somebody is, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Credential {
    /// A JSON web token (RFC 7519) in compact form.
    Token(Secret),
    /// A single-use ticket from `POST /api/auth/ticket`.
    Ticket(Secret),
}

/// From where a reader wants to go on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ResumePoint {
    /// The thread.
    pub thread_id: ThreadId,
    /// The epoch the position belongs to; `None` from a client that does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The last entry it has; 0 for none.
    pub after_seq: Seq,
}

/// How much of a thread a subscription carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Everything.
    #[default]
    Full,
    /// Conversation and run ends only.
    Summary,
}

/// A message of a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserMessage {
    /// The client's name for it; made from the connection and the frame when the client gives none.
    pub client_msg_id: ClientMsgId,
    /// What was said; 1 to `Limits::content_bytes` bytes, not only white space.
    pub content: String,
    /// Where; `None` opens a new thread.
    pub thread_id: Option<ThreadId>,
    /// What to do when a run is at work there.
    pub multitask: MultitaskStrategy,
    /// What the loss of the client means.
    pub on_disconnect: OnDisconnect,
    /// Refuse with `thread_advanced` when the head is another.
    pub expected_head_seq: Option<Seq>,
    /// The client's own.
    pub metadata: Option<Json>,
}

/// A rating, 1 (bad) to 5 (good); thumbs are 1 and 5.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Feedback {
    /// What it is about.
    pub message_id: crate::id::MessageId,
    /// 1 to 5.
    pub rating: u8,
    /// In words.
    pub comment: Option<String>,
}

/// What a client frame asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientBody {
    /// Prove who you are, and say where you were.
    Auth {
        /// The proof.
        credential: Credential,
        /// Where reading goes on.
        resume: Vec<ResumePoint>,
    },
    /// A newer token of the same user.
    AuthRefresh {
        /// The token.
        token: Secret,
    },
    /// Go on reading.
    Resume {
        /// From where.
        threads: Vec<ResumePoint>,
    },
    /// Follow a thread from now on.
    Subscribe {
        /// Which.
        thread_id: ThreadId,
        /// How much of it.
        level: Level,
    },
    /// Follow it no longer.
    Unsubscribe {
        /// Which.
        thread_id: ThreadId,
    },
    /// Say something.
    UserMessage(UserMessage),
    /// Stop a run that is at work or waits.
    CancelRun {
        /// Which; `None` (older clients) means the one at work in their only thread.
        run_id: Option<RunId>,
    },
    /// Take a waiting run back; a run at work is not touched.
    CancelQueued {
        /// Which.
        run_id: RunId,
    },
    /// Send entries again, `after_seq < seq ≤ to_seq`.
    GapRequest {
        /// Where.
        thread_id: ThreadId,
        /// The last one before the hole.
        after_seq: Seq,
        /// The last one of the hole.
        to_seq: Seq,
    },
    /// Answer an agent's question.
    Approval {
        /// The run that asked.
        run_id: RunId,
        /// The question.
        request_id: String,
        /// Yes or no.
        approved: bool,
        /// In words.
        note: Option<String>,
    },
    /// Rate an answer.
    Feedback(Feedback),
    /// What has been read, up to and including `seq`.
    Received {
        /// Where.
        thread_id: ThreadId,
        /// How far.
        seq: Seq,
    },
    /// A thread operation, also reachable over HTTP.
    Thread(ThreadCommand),
    /// Are you there?
    Ping {
        /// Sent back.
        nonce: Option<Json>,
    },
    /// I am here.
    Pong,
}

/// Operations on threads (older clients send them as frames, newer ones over HTTP).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ThreadCommand {
    /// A new, empty thread.
    Create {
        /// Shown in lists.
        title: Option<String>,
        /// The client's own; `None` is `{}`.
        metadata: Option<Metadata>,
    },
    /// Removes a thread with all it holds.
    Delete {
        /// Which.
        thread_id: ThreadId,
    },
    /// The entries of a thread.
    History {
        /// Which.
        thread_id: ThreadId,
        /// From where.
        after_seq: Seq,
        /// How many at most.
        limit: u32,
    },
    /// The user's threads, newest first.
    List {
        /// How many at most.
        limit: u32,
    },
    /// A new title, or other metadata, or both; [`decode()`](super::decode()) wants one of them.
    Rename {
        /// Which.
        thread_id: ThreadId,
        /// The title; `None` leaves it.
        title: Option<String>,
        /// What takes the place of the metadata; `None` leaves them.
        metadata: Option<Metadata>,
    },
}
