//! Text in, a typed client frame out; or the refusal to send back. No input makes it panic (F41).

use super::fields::{Fields, Object, Wrong, invalid, present, text_of};
use super::normalise::{Kind, kind_of};
use super::{
    ClientBody, ClientFrame, Credential, ErrorCode, ErrorFrame, Feedback, Json, Level,
    MultitaskStrategy, OnDisconnect, Reply, ResumePoint, Secret, ThreadCommand, UserMessage,
    jsonrpc,
};
use crate::fault::PeerFault;
use crate::id::{ClientMsgId, ConnectionId, FrameRef, Seq};
use crate::limits::Limits;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

const TITLE_BYTES: usize = 400;
const NOTE_BYTES: usize = 4000;
const REQUEST_ID_BYTES: usize = 128;
const PAGE: u32 = 50;

/// Names a message whose client gave it no name: unique to the connection, and the same when the same
/// frame id comes twice on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Naming {
    /// The connection.
    pub connection_id: ConnectionId,
    /// How many frames came before this one.
    pub nth: u64,
}

impl Naming {
    //= specs/wire.md#wire-10
    //# A message without a name MUST get one that stays the same when a frame with the same id
    //# comes again.
    fn name(self, reply: &Reply) -> ClientMsgId {
        let connection = self.connection_id;
        let by_frame = match reply {
            Reply::Ref(id) => Some(format!("{connection}:{id}")),
            Reply::JsonRpc(id) => Some(format!("{connection}:{}", id.as_str())),
            Reply::None => None,
        };
        by_frame
            .and_then(|name| ClientMsgId::new(&name).ok())
            .or_else(|| ClientMsgId::new(&format!("{connection}#{}", self.nth)).ok())
            .expect("a connection id and a number are 51 bytes without control characters")
    }
}

/// A frame that is not handled, and what its sender is told. The connection lives on (CONN-10).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refused {
    /// How the answer names the frame; as much of it as could be read.
    pub reply: Reply,
    /// What is wrong.
    pub fault: PeerFault,
    /// The field it is about, for `details.field`.
    pub field: Option<&'static str>,
    /// Whether it was an `auth`: its sender wants to be somebody (AUTH-32).
    pub is_auth: bool,
}

impl Refused {
    /// The `error` frame for it.
    #[must_use]
    pub fn error_frame(&self) -> ErrorFrame {
        let mut frame = ErrorFrame::new(self.fault.code, self.fault.message.to_string());
        frame.details =
            self.field.and_then(|field| Json::parse(&format!("{{\"field\":\"{field}\"}}")).ok());
        frame
    }
}

/// Reads one text frame of a client: `golden.v1` (fields flat or under `payload`) or JSON-RPC 2.0.
///
/// # Errors
/// [`Refused`] with `message_too_large`, `invalid_json`, `invalid_frame`, `unknown_type`,
/// `validation_failed` (naming the field), `auth_ambiguous`, `user_mismatch`, or `thread_not_found`
/// and `run_not_found` for ids that cannot exist.
//= specs/wire.md#wire-01
//# Reading a frame MUST NOT panic, whatever its text.
pub fn decode(text: &str, limits: &Limits, naming: Naming) -> Result<ClientFrame, Refused> {
    open_text(text, limits)?.read(limits, naming)
}

/// Takes a text frame apart, whatever it is about.
pub(super) fn open_text<'a>(text: &'a str, limits: &Limits) -> Result<Envelope<'a>, Refused> {
    //= specs/wire.md#wire-03
    //# A message above the limit of bytes MUST be refused as `message_too_large`.
    if text.len() > limits.message_bytes {
        let message = format!("a message may have {} bytes", limits.message_bytes);
        return Err(refused(Reply::None, PeerFault::new(ErrorCode::MessageTooLarge, message)));
    }
    let object: Object<'_> =
        serde_json::from_str(text).map_err(|error| unreadable(text, &error))?;
    if object.contains_key("jsonrpc") { jsonrpc::open(object) } else { open(object) }
}

/// A frame taken apart: how it is answered, what it is, and what it carries.
pub(super) struct Envelope<'a> {
    pub(super) reply: Reply,
    pub(super) word: String,
    pub(super) fields: Fields<'a>,
}

impl Envelope<'_> {
    /// Reads what it is about.
    pub(super) fn read(self, limits: &Limits, naming: Naming) -> Result<ClientFrame, Refused> {
        let Self { reply, word, fields } = self;
        read(&word, &fields, &reply, limits, naming)
            .map(|(body, claimed_user)| ClientFrame { reply: reply.clone(), body, claimed_user })
            //= specs/wire.md#wire-09
            //# A refusal MUST name the frame it is about, as far as that could be read.
            .map_err(|wrong| Refused {
                reply,
                fault: wrong.fault,
                field: wrong.field,
                is_auth: kind_of(&word) == Some(Kind::Auth),
            })
    }
}

pub(super) fn refused(reply: Reply, fault: PeerFault) -> Refused {
    Refused { reply, fault, field: None, is_auth: false }
}

fn unreadable(text: &str, error: &serde_json::Error) -> Refused {
    // A JSON-RPC peer is owed a response object with id null (JSON-RPC 2.0 section 5).
    let reply =
        if text.contains("\"jsonrpc\"") { Reply::JsonRpc(Json::null()) } else { Reply::None };
    if error.is_data() {
        return refused(reply, PeerFault::new(ErrorCode::InvalidFrame, "a frame is a JSON object"));
    }
    refused(reply, PeerFault::new(ErrorCode::InvalidJson, format!("not JSON: {error}")))
}

fn open(mut object: Object<'_>) -> Result<Envelope<'_>, Refused> {
    let invalid_frame = |reply: &Reply, why: &'static str, field| Refused {
        reply: reply.clone(),
        fault: PeerFault::new(ErrorCode::InvalidFrame, why),
        field: Some(field),
        is_auth: false,
    };
    let reply = match present(&object, "id") {
        None => Reply::None,
        Some(raw) => frame_ref(raw.get()).map(Reply::Ref).ok_or_else(|| {
            invalid_frame(&Reply::None, "`id` must be a text of 1 to 128 bytes or a number", "id")
        })?,
    };
    let Some(word) = present(&object, "type").and_then(text_of) else {
        return Err(invalid_frame(&reply, "`type` must be a text", "type"));
    };
    let inner = match present(&object, "payload").map(|raw| serde_json::from_str(raw.get())) {
        None => Object::new(),
        Some(Ok(inner)) => inner,
        Some(Err(_)) => {
            return Err(invalid_frame(&reply, "`payload` must be an object", "payload"));
        }
    };
    object.remove("payload");
    Ok(Envelope { reply, word, fields: Fields::new(inner, object) })
}

/// A frame's id: a text as it is, a whole number as its digits.
fn frame_ref(raw: &str) -> Option<FrameRef> {
    match serde_json::from_str::<String>(raw) {
        Ok(text) => FrameRef::new(&text).ok(),
        Err(_) => {
            serde_json::from_str::<i64>(raw).ok()?;
            FrameRef::new(raw).ok()
        }
    }
}

fn read(
    word: &str,
    fields: &Fields<'_>,
    reply: &Reply,
    limits: &Limits,
    naming: Naming,
) -> Result<(ClientBody, Option<String>), Wrong> {
    let Some(kind) = kind_of(word) else {
        let shown: String = word.chars().filter(|c| !c.is_control()).take(40).collect();
        let message = format!("unknown type `{shown}`");
        return Err(PeerFault::new(ErrorCode::UnknownType, message).into());
    };
    let claimed = claimed_user(fields)?;
    Ok((body(kind, fields, reply, limits, naming)?, claimed))
}

/// The user a frame names; two different ones are nobody's.
fn claimed_user(fields: &Fields<'_>) -> Result<Option<String>, Wrong> {
    let [inner, outer] = fields
        .both("user_id")
        .map(|raw| raw.map(|raw| text_of(raw).unwrap_or_else(|| String::from(raw.get()))));
    match (inner, outer) {
        (Some(inner), Some(outer)) if inner != outer => {
            Err(PeerFault::new(ErrorCode::UserMismatch, "the frame names two users").into())
        }
        (Some(user), _) | (None, Some(user)) => Ok(Some(user)),
        (None, None) => Ok(None),
    }
}

//= specs/wire.md#wire-02
//# Each kind of broken input MUST be refused with its own code, naming the field where there is
//# one.
fn body(
    kind: Kind,
    fields: &Fields<'_>,
    reply: &Reply,
    limits: &Limits,
    naming: Naming,
) -> Result<ClientBody, Wrong> {
    Ok(match kind {
        Kind::Approval => ClientBody::Approval {
            run_id: fields.required_run()?,
            request_id: fields.required_text("request_id", REQUEST_ID_BYTES)?,
            approved: decision(fields)?,
            note: fields.text("note", NOTE_BYTES)?,
        },
        Kind::Auth => ClientBody::Auth {
            credential: credential(fields)?,
            resume: match fields.object("resume")? {
                Some(resume) => points(&resume, limits)?.unwrap_or_default(),
                None => Vec::new(),
            },
        },
        Kind::AuthRefresh => ClientBody::AuthRefresh {
            token: secret(fields, "token").ok_or_else(|| invalid("token", "is missing"))?,
        },
        Kind::CancelQueued => ClientBody::CancelQueued { run_id: fields.required_run()? },
        Kind::CancelRun => ClientBody::CancelRun { run_id: fields.run()? },
        Kind::CreateThread => ClientBody::Thread(ThreadCommand::Create {
            title: fields.text("title", TITLE_BYTES)?,
            metadata: fields.metadata()?,
        }),
        Kind::DeleteThread => {
            ClientBody::Thread(ThreadCommand::Delete { thread_id: fields.required_thread()? })
        }
        Kind::Feedback => ClientBody::Feedback(feedback(fields)?),
        Kind::GapRequest => gap(fields)?,
        Kind::GetThreadHistory => ClientBody::Thread(ThreadCommand::History {
            thread_id: fields.required_thread()?,
            after_seq: fields.seq("after_seq")?.unwrap_or(Seq::ZERO),
            limit: fields.limit(PAGE, limits.load_page)?,
        }),
        Kind::ListThreads => {
            ClientBody::Thread(ThreadCommand::List { limit: fields.limit(PAGE, limits.load_page)? })
        }
        Kind::Ping => ClientBody::Ping { nonce: fields.json("nonce")? },
        Kind::Pong => ClientBody::Pong,
        Kind::Received => ClientBody::Received {
            thread_id: fields.required_thread()?,
            seq: fields.required_seq("seq")?,
        },
        Kind::RenameThread => ClientBody::Thread(rename(fields)?),
        Kind::Resume => ClientBody::Resume {
            threads: points(fields, limits)?.ok_or_else(|| invalid("threads", "is missing"))?,
        },
        Kind::Subscribe => {
            ClientBody::Subscribe { thread_id: fields.required_thread()?, level: level(fields)? }
        }
        Kind::Unsubscribe => ClientBody::Unsubscribe { thread_id: fields.required_thread()? },
        Kind::UserMessage => ClientBody::UserMessage(user_message(fields, reply, limits, naming)?),
    })
}

fn rename(fields: &Fields<'_>) -> Result<ThreadCommand, Wrong> {
    let (thread_id, metadata) = (fields.required_thread()?, fields.metadata()?);
    let title = match &metadata {
        Some(_) if fields.raw("title").is_none() => None,
        Some(_) | None => Some(fields.required_text("title", TITLE_BYTES)?),
    };
    Ok(ThreadCommand::Rename { thread_id, title, metadata })
}

fn user_message(
    fields: &Fields<'_>,
    reply: &Reply,
    limits: &Limits,
    naming: Naming,
) -> Result<UserMessage, Wrong> {
    let client_msg_id = match fields.text("client_msg_id", ClientMsgId::MAX_BYTES)? {
        None => naming.name(reply),
        Some(text) => ClientMsgId::new(&text).map_err(|_| {
            invalid("client_msg_id", "must be 1 to 128 bytes, no control characters")
        })?,
    };
    Ok(UserMessage {
        client_msg_id,
        content: content(fields, limits)?,
        thread_id: fields.thread()?,
        multitask: one_of(
            fields,
            "multitask_strategy",
            &[
                ("enqueue", MultitaskStrategy::Enqueue),
                ("interrupt", MultitaskStrategy::Interrupt),
                ("reject", MultitaskStrategy::Reject),
            ],
        )?
        .unwrap_or_default(),
        on_disconnect: one_of(
            fields,
            "on_disconnect",
            &[("cancel", OnDisconnect::Cancel), ("continue", OnDisconnect::Continue)],
        )?
        .unwrap_or_default(),
        expected_head_seq: fields.seq("expected_head_seq")?,
        metadata: fields.json_object("metadata")?,
    })
}

/// What was said, under any of the names it goes by; the first one present counts.
//= specs/wire.md#wire-05
//# What a message says MUST be found under every name it goes by.
fn content(fields: &Fields<'_>, limits: &Limits) -> Result<String, Wrong> {
    const NAMES: &[&str] = &["content", "text", "user_request", "query", "message"];
    const INSIDE: &[&str] = &["query", "user_request", "content", "text"];
    if let Some(name) = NAMES.iter().find(|name| fields.raw(name).is_some()) {
        return fields.required_text(name, limits.content_bytes);
    }
    if let Some(request) = fields.object("request")?
        && let Some(name) = INSIDE.iter().find(|name| request.raw(name).is_some())
    {
        return request.required_text(name, limits.content_bytes);
    }
    Err(invalid("content", "is missing"))
}

/// What `auth` offers. What is there is a credential, whatever it looks like: it is judged as in every
/// other place, and does not make a visitor of whoever offered it.
fn credential(fields: &Fields<'_>) -> Result<Credential, Wrong> {
    match (secret(fields, "token"), secret(fields, "ticket")) {
        (Some(token), None) => Ok(Credential::Token(token)),
        (None, Some(ticket)) => Ok(Credential::Ticket(ticket)),
        (Some(_), Some(_)) => {
            Err(PeerFault::new(ErrorCode::AuthAmbiguous, "give `token` or `ticket`, not both")
                .into())
        }
        (None, None) => Err(invalid("token", "is missing")),
    }
}

/// Exactly as it was sent. What is no text is nobody's, like the empty text.
//= specs/auth.md#auth-32
//# Whatever `auth` offers as a credential MUST be judged byte by byte as in every other place, and
//# MUST NOT be taken for none.
fn secret(fields: &Fields<'_>, name: &str) -> Option<Secret> {
    fields.raw(name).map(|raw| Secret(text_of(raw).unwrap_or_default()))
}

/// The threads of a resume: a list, or (older clients) one thread beside it.
fn points(fields: &Fields<'_>, limits: &Limits) -> Result<Option<Vec<ResumePoint>>, Wrong> {
    match fields.objects("threads", limits)? {
        Some(list) => list.iter().map(point).collect::<Result<_, _>>().map(Some),
        None if fields.raw("thread_id").is_some() => Ok(Some(Vec::from([point(fields)?]))),
        None => Ok(None),
    }
}

fn point(fields: &Fields<'_>) -> Result<ResumePoint, Wrong> {
    Ok(ResumePoint {
        thread_id: fields.required_thread()?,
        epoch: fields.epoch()?,
        after_seq: fields.seq("after_seq")?.unwrap_or(Seq::ZERO),
    })
}

fn gap(fields: &Fields<'_>) -> Result<ClientBody, Wrong> {
    let (after_seq, to_seq) = (fields.required_seq("after_seq")?, fields.required_seq("to_seq")?);
    if to_seq <= after_seq {
        return Err(invalid("to_seq", "must be greater than `after_seq`"));
    }
    Ok(ClientBody::GapRequest { thread_id: fields.required_thread()?, after_seq, to_seq })
}

fn decision(fields: &Fields<'_>) -> Result<bool, Wrong> {
    let words = [
        ("approve", true),
        ("approved", true),
        ("yes", true),
        ("deny", false),
        ("denied", false),
        ("no", false),
        ("reject", false),
        ("rejected", false),
    ];
    match fields.raw("decision").map(serde_json::value::RawValue::get) {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => {
            one_of(fields, "decision", &words)?.ok_or_else(|| invalid("decision", "is missing"))
        }
        None => Err(invalid("decision", "is missing")),
    }
}

fn feedback(fields: &Fields<'_>) -> Result<Feedback, Wrong> {
    let raw = fields.raw("message_id").ok_or_else(|| invalid("message_id", "is missing"))?;
    let message_id = text_of(raw)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid("message_id", "must be the id of a message"))?;
    let wrong = || invalid("rating", "must be 1 to 5, `up` or `down`");
    let raw = fields.raw("rating").ok_or_else(|| invalid("rating", "is missing"))?;
    let rating = match text_of(raw) {
        Some(word) => match word.as_str() {
            "up" | "thumbs_up" => 5,
            "down" | "thumbs_down" => 1,
            _ => return Err(wrong()),
        },
        None => serde_json::from_str::<u8>(raw.get())
            .ok()
            .filter(|rating| (1..=5).contains(rating))
            .ok_or_else(wrong)?,
    };
    Ok(Feedback { message_id, rating, comment: fields.text("comment", NOTE_BYTES)? })
}

fn level(fields: &Fields<'_>) -> Result<Level, Wrong> {
    let words = [("full", Level::Full), ("summary", Level::Summary)];
    Ok(one_of(fields, "level", &words)?.unwrap_or_default())
}

fn one_of<T: Copy>(
    fields: &Fields<'_>,
    name: &'static str,
    words: &[(&str, T)],
) -> Result<Option<T>, Wrong> {
    let Some(raw) = fields.raw(name) else { return Ok(None) };
    let text = text_of(raw).map(|text| text.to_ascii_lowercase());
    let found = words.iter().find(|(word, _)| text.as_deref() == Some(*word));
    found.map(|(_, value)| Some(*value)).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        invalid(name, &format!("must be one of: {}", known.join(", ")))
    })
}
