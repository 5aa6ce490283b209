//! Client frames: reading is total and repeatable, what is read is within its bounds, what is written is
//! read back, and the many ways to write one frame mean one thing.

use crate::draw::quoted;
use crate::frames::{NAMING, Pieces};
use arbitrary::{Result, Unstructured};
use goldenpath_core::id::{ClientMsgId, Epoch, EventId, FrameRef, MessageId, Seq, ThreadId};
use goldenpath_core::limits::Limits;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{
    Announced, ClientBody, ClientFrame, Credential, Draft, Entry, ErrorCode, Event, Json, Refused,
    Reply, Said, Secret, ServerEvent, ServerFrame, ThreadCommand, decode, error_number,
};
use serde_json::Value;

/// The largest whole number every JSON reader keeps (RFC 8259 section 6).
const EXACT: u64 = (1 << 53) - 1;

/// The longest refusal: the longest id, escaped, and a sentence.
const REFUSAL_BYTES: usize = 2048;

/// Text that begins like JSON is read as it is; anything else is drawn from.
pub fn client_frame(data: &[u8]) {
    if matches!(data.first(), Some(b'{' | b'[' | b'"' | b' ')) {
        let _ = read(&String::from_utf8_lossy(data));
    } else {
        // Too few bytes draw nothing, which is nothing to check.
        let _ = written_in_many_ways(&mut Unstructured::new(data));
    }
}

/// Reads a text and checks all that must hold of the result, whatever the text.
pub(crate) fn read(text: &str) -> core::result::Result<ClientFrame, Refused> {
    let limits = Limits::default();
    let result = decode(text, &limits, NAMING);
    assert_eq!(result, decode(text, &limits, NAMING), "the same text, the same result");
    match &result {
        Ok(frame) => {
            assert!(text.len() <= limits.message_bytes);
            is_within_bounds(frame, &limits);
            is_read_back(frame, &limits);
            can_be_told(frame);
            hides_its_secret(frame);
        }
        Err(refused) => is_explained(refused),
    }
    let padded = format!(" \n{text}\t ");
    if padded.len() <= limits.message_bytes {
        let again = decode(&padded, &limits, NAMING);
        // Where JSON breaks is told by line and column.
        if !matches!(&result, Err(refused) if refused.fault.code == ErrorCode::InvalidJson) {
            assert_eq!(result, again, "white space around a frame means nothing");
        }
    }
    result
}

fn is_within_bounds(frame: &ClientFrame, limits: &Limits) {
    let said = |text: &str, most: usize| {
        assert!(text.len() <= most && !text.contains('\0') && !text.trim().is_empty(), "{text:?}");
    };
    match &frame.body {
        ClientBody::UserMessage(message) => {
            said(&message.content, limits.content_bytes);
            assert!(message.expected_head_seq.is_none_or(|seq| seq.0 <= EXACT));
            if let Some(metadata) = &message.metadata {
                assert!(metadata.decode::<Value>().is_ok_and(|value| value.is_object()));
            }
        }
        ClientBody::Feedback(feedback) => assert!((1..=5).contains(&feedback.rating)),
        ClientBody::GapRequest { after_seq, to_seq, .. } => {
            assert!(after_seq < to_seq && to_seq.0 <= EXACT);
        }
        ClientBody::Received { seq, .. } => assert!(seq.0 <= EXACT),
        ClientBody::Auth { resume, .. } | ClientBody::Resume { threads: resume } => {
            assert!(resume.len() <= limits.subscriptions_per_connection);
            assert!(resume.iter().all(|point| point.after_seq.0 <= EXACT));
        }
        ClientBody::Approval { request_id, .. } => said(request_id, 128),
        ClientBody::Thread(
            ThreadCommand::History { limit, .. } | ThreadCommand::List { limit },
        ) => {
            assert!((1..=limits.load_page).contains(&u64::from(*limit)));
        }
        ClientBody::Thread(ThreadCommand::Rename { title, metadata, .. }) => {
            assert!(title.is_some() || metadata.is_some());
            title.iter().for_each(|title| said(title, 400));
        }
        ClientBody::Ping { nonce: Some(nonce) } => {
            assert!(nonce.decode::<Value>().is_ok() && !nonce.is_null());
        }
        ClientBody::AuthRefresh { .. }
        | ClientBody::CancelQueued { .. }
        | ClientBody::CancelRun { .. }
        | ClientBody::Ping { nonce: None }
        | ClientBody::Pong
        | ClientBody::Subscribe { .. }
        | ClientBody::Thread(ThreadCommand::Create { .. } | ThreadCommand::Delete { .. })
        | ClientBody::Unsubscribe { .. } => {}
    }
}

/// Written by our own client and read again it is the same frame.
fn is_read_back(frame: &ClientFrame, limits: &Limits) {
    let canonical = ClientFrame { claimed_user: None, ..frame.clone() };
    let written = canonical.encode();
    assert!(serde_json::from_str::<Box<serde_json::value::RawValue>>(written.as_str()).is_ok());
    // Its own name and the longer words may make it larger than what was read.
    let roomy = Limits { message_bytes: usize::MAX, ..limits.clone() };
    let again = decode(written.as_str(), &roomy, NAMING);
    assert_eq!(again.as_ref(), Ok(&canonical), "{}", written.as_str());
    assert_eq!(canonical.encode(), written);
}

/// What a client gives to be carried is carried in frames that every JSON reader can read: serde_json
/// stops at a depth of 128, and most others are no deeper.
fn can_be_told(frame: &ClientFrame) {
    let told = match &frame.body {
        ClientBody::Ping { nonce } => ServerFrame::Pong { nonce: nonce.clone() }
            .encode(&Reply::None, Announced { limits: &Limits::default() }),
        ClientBody::UserMessage(message) => {
            let event = Event::UserMessage {
                message_id: MessageId(1),
                client_msg_id: message.client_msg_id.clone(),
                content: message.content.clone(),
                metadata: message.metadata.clone(),
            };
            let (thread_id, epoch) = (ThreadId(1), Epoch(1));
            let draft = Draft {
                id: EventId(1),
                thread_id,
                epoch,
                ts: Wall(0),
                scope: None,
                synthesized: false,
                event,
            };
            let told = draft.encode().frame(Seq(1), true);
            let entry = Entry::decode(told.bytes()).expect("an entry is read back");
            assert_eq!(entry.event, draft.event);
            told
        }
        _ => return,
    };
    let read = serde_json::from_str::<Value>(told.as_str());
    assert!(read.is_ok(), "{read:?}: {}", told.as_str());
}

/// AUTH-05: what is printed does not depend on the secret.
fn hides_its_secret(frame: &ClientFrame) {
    let mut other = frame.clone();
    match &mut other.body {
        ClientBody::Auth {
            credential: Credential::Token(secret) | Credential::Ticket(secret),
            ..
        }
        | ClientBody::AuthRefresh { token: secret } => *secret = Secret("another".into()),
        _ => return,
    }
    assert_eq!(format!("{frame:?}"), format!("{other:?}"));
}

/// CONN-10: a refusal can be sent, names its frame, and says no more than it should.
fn is_explained(refused: &Refused) {
    let error = refused.error_frame();
    assert_eq!(error.code, refused.fault.code);
    assert!(!error.message.is_empty() && !error.message.contains(char::is_control), "{error:?}");
    assert!(!error.fatal);
    let text = ServerFrame::Error(error.clone())
        .encode(&refused.reply, Announced { limits: &Limits::default() });
    assert!(text.len() <= REFUSAL_BYTES, "{}", text.as_str());
    match &refused.reply {
        Reply::JsonRpc(id) => {
            let answer = response(text.as_str(), id);
            assert_eq!(answer["error"]["code"], error_number(error.code));
            assert_eq!(answer["error"]["data"]["code"], error.code.as_str());
        }
        Reply::None | Reply::Ref(_) => {
            let ServerEvent::Control { reference, said: Said::Error { frame, word, .. } } =
                ServerEvent::decode(text.as_str())
            else {
                panic!("a client does not understand {}", text.as_str());
            };
            assert_eq!((&frame, word.as_str()), (&error, error.code.as_str()));
            assert_eq!(reference.map(Reply::Ref).unwrap_or_default(), refused.reply);
        }
    }
}

/// JSON-RPC 2.0 section 5: the version, the id as it came, and either a result or an error.
pub(crate) fn response(text: &str, id: &Json) -> Value {
    let echo = format!("\"id\":{}", id.as_str());
    assert!(text.contains(&echo), "{text}");
    // An id may be a number that is larger than ours; it is carried, not read.
    let readable = text.replacen(&echo, "\"id\":0", 1);
    let answer: Value = serde_json::from_str(&readable).expect("an answer is JSON");
    let object = answer.as_object().expect("an answer is an object");
    assert_eq!(object.get("jsonrpc"), Some(&Value::from("2.0")), "{text}");
    assert_ne!(object.contains_key("result"), object.contains_key("error"), "{text}");
    assert_eq!(object.len(), 3, "{text}");
    answer
}

fn written_in_many_ways(u: &mut Unstructured<'_>) -> Result<()> {
    let pieces = Pieces::draw(u)?;
    let id = match u.int_in_range(0..=3)? {
        0 => None,
        1 => Some(quoted("c1")),
        2 => Some(u.arbitrary::<i64>()?.to_string()),
        _ => Some(crate::draw::json(u, 1)?),
    };
    let (nested, flat) = (pieces.nested(id.as_deref()), pieces.flat(id.as_deref()));
    let request = pieces.request(Some(&quoted("c1")));
    let plain = pieces.nested(Some(&quoted("c1")));
    let most = Limits::default().message_bytes;
    if [&nested, &flat, &request, &plain].into_iter().any(|text| text.len() > most) {
        // Each way has its own length, and the longest of them is refused for it.
        for text in [&nested, &flat, &request, &plain] {
            let too_large = code(&read(text)) == Some(ErrorCode::MessageTooLarge);
            assert_eq!(too_large, text.len() > most);
        }
        return Ok(());
    }
    let first = read(&nested);
    assert_eq!(first, read(&flat), "fields under `payload` or beside it: {nested}");
    let respelled = read(&pieces.respelled().nested(id.as_deref()));
    if code(&first) == Some(ErrorCode::UnknownType) {
        assert_eq!(code(&respelled), Some(ErrorCode::UnknownType));
    } else {
        assert_eq!(first, respelled, "case and separators of the word: {nested}");
    }
    assert_eq!(unnamed(read(&request)), unnamed(read(&plain)), "as JSON-RPC: {nested}");
    Ok(())
}

fn code(result: &core::result::Result<ClientFrame, Refused>) -> Option<ErrorCode> {
    result.as_ref().err().map(|refused| refused.fault.code)
}

/// The same without what the way of asking gives: how it is answered, and the name made from that.
fn unnamed(
    result: core::result::Result<ClientFrame, Refused>,
) -> core::result::Result<ClientFrame, Refused> {
    let reply = Reply::Ref(FrameRef::new("c1").expect("a reference"));
    match result {
        Ok(mut frame) => {
            frame.reply = reply;
            if let ClientBody::UserMessage(message) = &mut frame.body
                && message.client_msg_id.as_str().starts_with(&NAMING.connection_id.to_string())
            {
                message.client_msg_id = ClientMsgId::new("made").expect("a name");
            }
            Ok(frame)
        }
        Err(refused) => Err(Refused { reply, ..refused }),
    }
}
