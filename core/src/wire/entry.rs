//! A log entry: encoded once, stored as it is, the same bytes for every reader and for ever.
//!
//! The store gives an entry its `seq` (the thread row is locked by the update that raises the head), so
//! the encoded body leaves it out; [`EntryBody::frame`] puts it in front without encoding anything again.

use super::event::{AgentRef, Event, RunScope};
use crate::id::{Epoch, EventId, RunId, Seq, ThreadId};
use crate::time::Wall;
use alloc::format;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// One encoded text frame, ready for any number of connections. Always valid UTF-8, always JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frame(Bytes);

impl Frame {
    /// Encodes anything that is one of our frames.
    pub fn encode<T: Serialize>(value: &T) -> Self {
        // Our frame types hold only text, numbers, lists and structs: encoding them has no failing path.
        Self(serde_json::to_vec(value).map(Bytes::from).unwrap_or_default())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The bytes, shared.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it holds nothing (never, for an encoded frame).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An entry before it has its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Draft {
    /// Made by us, once; kept when a commit is tried again (DLV-11).
    pub id: EventId,
    /// Its thread.
    pub thread_id: ThreadId,
    /// The log's epoch.
    pub epoch: Epoch,
    /// When it happened.
    pub ts: Wall,
    /// Its run and agent.
    pub scope: Option<RunScope>,
    /// Written by recovery, not by the agent itself.
    pub synthesized: bool,
    /// What happened.
    pub event: Event,
}

#[derive(Serialize)]
struct BodyOut<'a> {
    #[serde(flatten)]
    event: &'a Event,
    id: EventId,
    thread_id: ThreadId,
    epoch: Epoch,
    #[serde(serialize_with = "rfc3339")]
    ts: Wall,
    ts_ms: Wall,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a AgentRef>,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    synthesized: bool,
}

fn rfc3339<S: Serializer>(wall: &Wall, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&wall.to_rfc3339())
}

impl Draft {
    /// Encodes it; the one time this happens in its life.
    #[must_use]
    pub fn encode(&self) -> EntryBody {
        let out = BodyOut {
            event: &self.event,
            id: self.id,
            thread_id: self.thread_id,
            epoch: self.epoch,
            ts: self.ts,
            ts_ms: self.ts,
            run_id: self.scope.as_ref().map(|s| s.run_id),
            agent: self.scope.as_ref().and_then(|s| s.agent.as_ref()),
            synthesized: self.synthesized,
        };
        EntryBody(Frame::encode(&out).0)
    }
}

/// An encoded entry without its `seq`: what the store keeps. A JSON object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryBody(Bytes);

impl EntryBody {
    /// Takes back what [`Draft::encode`] made and the store kept.
    #[must_use]
    pub const fn from_stored(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes to keep.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The event's `type`, read from where [`Draft::encode`] puts it: in front.
    #[must_use]
    pub fn type_name(&self) -> &str {
        let text = core::str::from_utf8(&self.0).unwrap_or_default();
        let name = text.strip_prefix("{\"type\":\"").unwrap_or_default();
        name.split('"').next().unwrap_or_default()
    }

    /// The frame at its place: the same bytes live and on replay, apart from the `replay` mark (invariant 6).
    #[must_use]
    //= specs/delivery.md#dlv-15
    //# A replayed entry MUST have the bytes of the live one, apart from the `replay` mark.
    pub fn frame(&self, seq: Seq, replay: bool) -> Frame {
        let mut number = itoa::Buffer::new();
        let number = number.format(seq.0);
        let mark: &[u8] = if replay { b"{\"replay\":true,\"seq\":" } else { b"{\"seq\":" };
        let mut frame = Vec::with_capacity(mark.len() + number.len() + self.0.len());
        frame.extend_from_slice(mark);
        frame.extend_from_slice(number.as_bytes());
        frame.push(b',');
        frame.extend_from_slice(self.0.get(1..).unwrap_or_default());
        Frame(Bytes::from(frame))
    }
}

/// An entry as a reader sees it; what recovery and clients decode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// Its id.
    pub id: EventId,
    /// Its thread.
    pub thread_id: ThreadId,
    /// The log's epoch.
    pub epoch: Epoch,
    /// Its place; 0 in a stored body.
    pub seq: Seq,
    /// When it happened.
    pub ts: Wall,
    /// Its run.
    pub run_id: Option<RunId>,
    /// Its agent.
    pub agent: Option<AgentRef>,
    /// Written by recovery.
    pub synthesized: bool,
    /// Sent from the store, not live.
    pub replay: bool,
}

#[derive(Deserialize)]
struct EntryIn<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    payload: &'a RawValue,
    id: EventId,
    thread_id: ThreadId,
    epoch: Epoch,
    #[serde(default)]
    seq: Seq,
    ts_ms: Wall,
    #[serde(default)]
    run_id: Option<RunId>,
    #[serde(default)]
    agent: Option<AgentRef>,
    #[serde(default)]
    synthesized: bool,
    #[serde(default)]
    replay: bool,
}

impl Entry {
    /// Decodes a frame or a stored body.
    ///
    /// # Errors
    /// When it is no durable entry this version knows.
    //= specs/wire.md#wire-06
    //# Every event MUST survive its encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let raw: EntryIn<'_> = serde_json::from_slice(bytes)?;
        // With the type in front serde reads the payload in place; a payload kept as raw JSON
        // (arguments, results) cannot pass through serde's buffer for unordered tags.
        let tagged = format!("{{\"type\":\"{}\",\"payload\":{}}}", raw.kind, raw.payload.get());
        Ok(Self {
            event: serde_json::from_str(&tagged)?,
            id: raw.id,
            thread_id: raw.thread_id,
            epoch: raw.epoch,
            seq: raw.seq,
            ts: raw.ts_ms,
            run_id: raw.run_id,
            agent: raw.agent,
            synthesized: raw.synthesized,
            replay: raw.replay,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Json;
    use super::*;
    use crate::id::{AgentRunId, Name, ToolCallId};

    fn draft() -> Draft {
        Draft {
            id: EventId(1),
            thread_id: ThreadId(2),
            epoch: Epoch(0xe7a),
            ts: Wall(1_795_255_873_120),
            scope: Some(RunScope {
                run_id: RunId(3),
                agent: Some(AgentRef {
                    name: Name::new("data").unwrap(),
                    agent_run_id: AgentRunId(4),
                    parent: Some(AgentRunId(5)),
                    attempt: 1,
                }),
            }),
            synthesized: false,
            event: Event::ToolExecuting {
                tool_call_id: ToolCallId(6),
                tool: Name::new("usage_totals").unwrap(),
                title: "Totals".into(),
                args: Json::parse(r#"{"b":1,"a":[2]}"#).unwrap(),
                args_truncated: false,
                deadline_at: Wall(9),
            },
        }
    }

    //= specs/delivery.md#dlv-15
    //= type=test
    //# A replayed entry MUST have the bytes of the live one, apart from the `replay` mark.
    #[test]
    fn replay_gives_the_same_bytes_as_live_apart_from_the_mark() {
        let body = draft().encode();
        let live = body.frame(Seq(12), false);
        let replay = body.frame(Seq(12), true);
        assert_eq!(replay.as_str().replacen("\"replay\":true,", "", 1), live.as_str());
        insta::assert_snapshot!(live.as_str());
    }

    #[test]
    fn an_entry_survives_the_wire() {
        let draft = draft();
        let entry = Entry::decode(draft.encode().frame(Seq(12), true).bytes()).unwrap();
        assert_eq!(entry.event, draft.event);
        assert_eq!((entry.seq, entry.replay, entry.ts), (Seq(12), true, draft.ts));
        assert_eq!(entry.agent, draft.scope.unwrap().agent);
    }

    #[test]
    fn only_a_frame_without_bytes_is_empty() {
        assert!(Frame(Bytes::new()).is_empty());
        assert!(!Frame::encode(&0).is_empty());
    }
}
