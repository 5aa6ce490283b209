//! Client frames in pieces, so that one meaning can be written in many ways.

use crate::draw::{json, quoted, run, text, thread};
use arbitrary::{Result, Unstructured};
use goldenpath_core::id::{ConnectionId, MessageId};
use goldenpath_core::wire::{Naming, WORDS};

/// How the targets name messages without a name.
pub(crate) const NAMING: Naming = Naming { connection_id: ConnectionId(7), nth: 3 };

/// Words nobody agreed on.
const STRANGE_WORDS: &[&str] =
    &["", "fly", "agent_started", "PING\u{0}", "ｐing", "user message", "ack"];

/// Every field that any kind reads.
const FIELDS: &[&str] = &[
    "after_seq",
    "client_msg_id",
    "comment",
    "content",
    "decision",
    "epoch",
    "expected_head_seq",
    "level",
    "limit",
    "message",
    "message_id",
    "metadata",
    "multitask_strategy",
    "nonce",
    "note",
    "on_disconnect",
    "query",
    "rating",
    "request",
    "request_id",
    "resume",
    "run_id",
    "seq",
    "text",
    "thread_id",
    "threads",
    "ticket",
    "title",
    "to_seq",
    "token",
    "user_id",
    "user_request",
];

/// A frame taken apart: its word, and its fields as JSON text. No name occurs twice.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    /// The `type` or `method`.
    pub(crate) word: String,
    /// Names and values.
    pub(crate) fields: Vec<(&'static str, String)>,
}

impl Pieces {
    /// Draws one that is right more often than not.
    pub(crate) fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let word = if u.ratio(1, 12)? {
            (*u.choose(STRANGE_WORDS)?).to_owned()
        } else {
            u.choose(WORDS)?.0.to_owned()
        };
        let mut fields: Vec<(&'static str, String)> = Vec::new();
        if u.ratio(3, 4)? {
            // What most kinds need, so that a frame gets through.
            fields.push(("thread_id", quoted(&thread(u)?.to_string())));
            fields.push(("run_id", quoted(&run(u)?.to_string())));
            fields.push(("message_id", quoted(&MessageId(3).to_string())));
            for (name, value) in [
                ("after_seq", "1"),
                ("to_seq", "2"),
                ("seq", "1"),
                ("rating", "5"),
                ("threads", "[]"),
                ("content", "\"hi\""),
                ("title", "\"T\""),
                ("token", "\"t.o.k\""),
                ("request_id", "\"q\""),
                ("decision", "\"approve\""),
            ] {
                fields.push((name, value.into()));
            }
        }
        for _ in 0..u.int_in_range(0..=5)? {
            let name = *u.choose(FIELDS)?;
            fields.retain(|(known, _)| *known != name);
            if u.ratio(5, 6)? {
                fields.push((name, value(u, name)?));
            }
        }
        Ok(Self { word, fields })
    }

    /// The fields as an object, in order or the other way round.
    pub(crate) fn object(&self, reversed: bool) -> String {
        let mut fields: Vec<String> =
            self.fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        if reversed {
            fields.reverse();
        }
        format!("{{{}}}", fields.join(","))
    }

    /// `golden.v1` with the fields under `payload`.
    pub(crate) fn nested(&self, id: Option<&str>) -> String {
        let id = id.map_or_else(String::new, |id| format!("\"id\":{id},"));
        format!("{{{id}\"type\":{},\"payload\":{}}}", quoted(&self.word), self.object(false))
    }

    /// `golden.v1` with the fields beside the type.
    pub(crate) fn flat(&self, id: Option<&str>) -> String {
        let object = self.object(true);
        let comma = if self.fields.is_empty() { "" } else { "," };
        let id = id.map_or_else(String::new, |id| format!(",\"id\":{id}"));
        format!("{}{comma}\"type\":{}{id}}}", &object[..object.len() - 1], quoted(&self.word))
    }

    /// A JSON-RPC 2.0 request.
    pub(crate) fn request(&self, id: Option<&str>) -> String {
        let id = id.map_or_else(String::new, |id| format!("\"id\":{id},"));
        let (word, params) = (quoted(&self.word), self.object(false));
        format!("{{\"jsonrpc\":\"2.0\",{id}\"method\":{word},\"params\":{params}}}")
    }

    /// The same word in another spelling: case, and `-` for `_`.
    pub(crate) fn respelled(&self) -> Self {
        let word = self.word.replace('_', "-").to_ascii_uppercase();
        Self { word, ..self.clone() }
    }
}

/// A value for a field: of the right shape, or anything.
fn value(u: &mut Unstructured<'_>, name: &str) -> Result<String> {
    if u.ratio(1, 4)? {
        return json(u, 2);
    }
    Ok(match name {
        "after_seq" | "expected_head_seq" | "seq" | "to_seq" | "limit" => (*u.choose(&[
            "0",
            "1",
            "2",
            "500",
            "501",
            "9007199254740991",
            "9007199254740992",
            "1.0",
            "\"1\"",
            "null",
        ])?)
        .into(),
        "rating" => {
            (*u.choose(&["0", "1", "5", "6", "\"up\"", "\"thumbs_down\"", "4.5", "true"])?).into()
        }
        "decision" => {
            (*u.choose(&["true", "false", "\"YES\"", "\"denied\"", "\"perhaps\"", "1"])?).into()
        }
        "level" => (*u.choose(&["\"full\"", "\"Summary\"", "\"all\"", "null"])?).into(),
        "multitask_strategy" => {
            (*u.choose(&["\"enqueue\"", "\"REJECT\"", "\"interrupt\"", "\"x\"", "null"])?).into()
        }
        "on_disconnect" => (*u.choose(&["\"cancel\"", "\"continue\"", "\"Cancel\"", "1"])?).into(),
        "epoch" => (*u.choose(&["\"e1\"", "\"effffffff\"", "\"e\"", "\"E1\"", "1"])?).into(),
        "thread_id" => quoted(&thread(u)?.to_string()),
        "run_id" => quoted(&run(u)?.to_string()),
        "message_id" => quoted(&MessageId(u.arbitrary()?).to_string()),
        "threads" => points(u)?,
        "resume" => format!("{{\"threads\":{}}}", points(u)?),
        "request" => {
            let name = u.choose(&["query", "user_request", "content", "text", "other"])?;
            format!("{{\"{name}\":{}}}", quoted(&text(u)?))
        }
        "metadata" => format!("{{\"a\": {}}}", json(u, 2)?),
        _ => quoted(&text(u)?),
    })
}

fn points(u: &mut Unstructured<'_>) -> Result<String> {
    let mut points = Vec::new();
    for _ in 0..*u.choose(&[0, 1, 2, 3, 64, 65])? {
        let thread = quoted(&thread(u)?.to_string());
        let rest = u.choose(&["", ",\"after_seq\":4", ",\"epoch\":\"ea\"", ",\"after_seq\":-1"])?;
        points.push(format!("{{\"thread_id\":{thread}{rest}}}"));
    }
    Ok(format!("[{}]", points.join(",")))
}
