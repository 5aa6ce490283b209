//! What an older client says, as the frame any other client would have sent for it.

use super::super::decode::open_text;
use super::super::fields::{Fields, text_of};
use super::super::normalise::{Kind, kind_of, same};
use super::super::{ClientBody, ClientFrame, Json, Naming, Refused, Reply};
use super::entry::RUN_NAME;
use crate::id::{ClientMsgId, RunId, ThreadId};
use crate::limits::Limits;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use serde_json::value::RawValue;

/// The words by which an older client acknowledges the handshake.
const ACKNOWLEDGEMENTS: [&str; 2] = ["handshake_acknowledged", "session_acknowledged"];
/// Longest type sent back, in characters.
const TYPE_CHARS: usize = 64;

/// What an older client calls things by.
pub trait Names {
    /// Where what it says goes, when it does not say.
    fn thread(&self) -> ThreadId;

    /// The run it has given this name.
    fn run(&self, name: &str) -> Option<RunId>;
}

/// What a text frame of an older client turned out to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// It has read the handshake.
    Acknowledged,
    /// Something to handle.
    Frame {
        /// What any other client would have sent.
        frame: ClientFrame,
        /// The client's own name for the run its message begins.
        run_name: Option<String>,
    },
    /// A type nobody knows.
    Unknown {
        /// How the answer names it.
        reply: Reply,
        /// The type, cut to what is worth sending back.
        received_type: String,
    },
}

/// Reads one text frame of an older client.
///
/// # Errors
/// [`Refused`] for the same reasons as for any other client, an unknown type excepted.
//= specs/wire.md#wire-60
//# The older dialect MUST be read and written without panic, whatever the text.
pub fn read<N: Names>(
    text: &str,
    limits: &Limits,
    naming: Naming,
    names: &N,
) -> Result<Heard, Refused> {
    let thread: Box<RawValue>;
    let run: Box<RawValue>;
    let mut envelope = open_text(text, limits)?;
    if ACKNOWLEDGEMENTS.iter().any(|word| same(word, &envelope.word)) {
        return Ok(Heard::Acknowledged);
    }
    let kind = kind_of(&envelope.word);
    // JSON-RPC has an answer of its own for a method nobody knows.
    if kind.is_none() && !matches!(envelope.reply, Reply::JsonRpc(_)) {
        let printable = envelope.word.chars().filter(|letter| !letter.is_control());
        let received_type = printable.take(TYPE_CHARS).collect();
        return Ok(Heard::Unknown { reply: envelope.reply, received_type });
    }
    let said = text_field(&envelope.fields, "run_id");
    //= specs/wire.md#wire-53
    //# What an older client says without naming a thread MUST go to the thread of its handshake.
    if says_nothing(&envelope.fields, "thread_id") {
        thread = raw(&names.thread());
        envelope.fields.set("thread_id", &thread);
    }
    if let Some(run_id) = said.as_deref().and_then(|name| names.run(name)) {
        run = raw(&run_id);
        envelope.fields.set("run_id", &run);
    }
    let mut frame = envelope.read(limits, naming)?;
    let run_name = match kind {
        Some(Kind::UserMessage) => said.filter(|name| ClientMsgId::new(name).is_ok()),
        _ => None,
    };
    if let (ClientBody::UserMessage(message), Some(name)) = (&mut frame.body, &run_name) {
        message.metadata = Some(with_name(message.metadata.take(), name));
    }
    Ok(Heard::Frame { frame, run_name })
}

fn text_field(fields: &Fields<'_>, name: &str) -> Option<String> {
    fields.raw(name).and_then(text_of)
}

/// Absent or an empty text; anything else is the client's own mistake, to be told as such.
fn says_nothing(fields: &Fields<'_>, name: &str) -> bool {
    fields.raw(name).is_none_or(|raw| raw.get() == "\"\"")
}

fn raw<T: serde::Serialize>(value: &T) -> Box<RawValue> {
    // Ids are text: encoding them has no failing path.
    serde_json::value::to_raw_value(value).unwrap_or_default()
}

//= specs/wire.md#wire-57
//# A run MUST bear the name its client gave it in all its images, on later connections as well.
fn with_name(metadata: Option<Json>, name: &str) -> Json {
    let mut fields: BTreeMap<String, Box<RawValue>> =
        metadata.and_then(|metadata| metadata.decode().ok()).unwrap_or_default();
    fields.insert(RUN_NAME.into(), raw(&name));
    Json::encode(&fields).unwrap_or_default()
}
