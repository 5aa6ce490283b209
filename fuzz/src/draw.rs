//! What the structure-aware targets draw from bytes: texts, JSON, ids, entries.

use arbitrary::{Result, Unstructured};
use goldenpath_core::id::{Epoch, EventId, RunId, Seq, ThreadId};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{Draft, Event, RunScope, RunStatus, Usage};

/// Pieces of text that parsers trip over.
const PIECES: &[&str] = &[
    "a",
    "hello",
    " ",
    "\n",
    "\t",
    "\"",
    "\\",
    "\\u0000",
    "\u{0}",
    "\u{7f}",
    "é",
    "😀",
    "\u{2028}",
    "{",
    "}",
    "null",
    "Bearer ",
    ".",
    ",",
    "-",
    "_",
    "%",
    "0",
    "9007199254740993",
];

/// A text of a few pieces; now and then a long one.
pub(crate) fn text(u: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::new();
    for _ in 0..u.int_in_range(0..=4)? {
        if u.ratio(1, 8)? {
            let length = *u.choose(&[63usize, 129, 401, 4001, 8001])?;
            text.push_str(&"x".repeat(length));
        } else if u.ratio(1, 6)? {
            text.push(u.arbitrary()?);
        } else {
            text.push_str(u.choose(PIECES)?);
        }
    }
    Ok(text)
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// JSON of any shape, as text that need not be in anybody's canonical form.
pub(crate) fn json(u: &mut Unstructured<'_>, depth: u32) -> Result<String> {
    Ok(match u.int_in_range(0..=if depth == 0 { 4 } else { 7 })? {
        0 => {
            (*u.choose(&["null", "true", "false", "\"\\ud800\"", "\"\\u0000\"", "1e999", "-0"])?)
                .into()
        }
        1 => u.arbitrary::<i64>()?.to_string(),
        2 => (*u.choose(&[
            "0",
            "1",
            "-1",
            "1.5",
            "9007199254740991",
            "9007199254740992",
            "18446744073709551616",
        ])?)
        .into(),
        3 | 4 => quoted(&text(u)?),
        5 => {
            let levels = *u.choose(&[2usize, 100, 126, 127, 128, 200])?;
            format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
        }
        6 => {
            let mut list = Vec::new();
            for _ in 0..u.int_in_range(0..=3)? {
                list.push(json(u, depth - 1)?);
            }
            format!("[{}]", list.join(", "))
        }
        _ => {
            let mut fields = Vec::new();
            for _ in 0..u.int_in_range(0..=3)? {
                fields.push(format!("{} : {}", quoted(&text(u)?), json(u, depth - 1)?));
            }
            format!("{{{}}}", fields.join(","))
        }
    })
}

/// One of few threads, so that inputs meet each other.
pub(crate) fn thread(u: &mut Unstructured<'_>) -> Result<ThreadId> {
    Ok(ThreadId(u.int_in_range(1..=3)?))
}

/// One of few runs.
pub(crate) fn run(u: &mut Unstructured<'_>) -> Result<RunId> {
    Ok(RunId(u.int_in_range(11..=13)?))
}

/// Mostly a small place in a log; sometimes one at the end of what can be said.
pub(crate) fn seq(u: &mut Unstructured<'_>) -> Result<Seq> {
    let most = Seq::MAX.0;
    Ok(Seq(match u.int_in_range(0..=15)? {
        0 => *u.choose(&[most, most - 1, most - 500])?,
        1 => u.int_in_range(0..=2_000)?,
        _ => u.int_in_range(0..=9)?,
    }))
}

/// A place, or a number beyond all places.
pub(crate) fn any_seq(u: &mut Unstructured<'_>) -> Result<Seq> {
    let beyond = [u64::MAX, u64::MAX - 1, Seq::MAX.0 + 1];
    if u.ratio(1, 16)? { Ok(Seq(*u.choose(&beyond)?)) } else { seq(u) }
}

/// An entry whose id says its thread, epoch and place: two with the same id are the same entry.
pub(crate) fn entry(
    u: &mut Unstructured<'_>,
    thread_id: ThreadId,
    epoch: Epoch,
    seq: Seq,
) -> Result<Draft> {
    let event = match u.int_in_range(0..=3)? {
        0 => Event::RunCompleted {
            status: RunStatus::Completed,
            duration_ms: 1,
            usage: Usage::default(),
        },
        1 => Event::RunCancelled { reason: "user".into(), duration_ms: 1 },
        _ => Event::ThreadUpdated { title: "t".into() },
    };
    let scope = if u.arbitrary()? { Some(RunScope { run_id: run(u)?, agent: None }) } else { None };
    let id = (thread_id.0 << 96) | (u128::from(epoch.0) << 64) | u128::from(seq.0);
    Ok(Draft { id: EventId(id), thread_id, epoch, ts: Wall(0), scope, synthesized: false, event })
}
