//! A connection as its server sees it, and what must hold of every frame that goes out on it.

use crate::invariant::{Aside, Invariant, Witness};
use crate::replays::Replays;
use crate::world::World;
use goldenpath_core::hub::HubReady;
use goldenpath_core::id::{ConnectionId, RunId, Seq, ThreadId};
use goldenpath_core::wire::{
    AckFrame, CloseCode, Entry, ErrorCode, Frame, ResumePoint, Said, ServerEvent,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// A connection: applies entries by the client rule and checks them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reader {
    /// At which node.
    pub node: usize,
    /// Of which client, if it has one.
    pub seat: Option<usize>,
    /// The client's end is gone, and the server does not know it yet.
    pub half_open: bool,
    /// Whether the first thing it heard was that it is attached.
    pub attached: bool,
    /// Closed by the hub.
    pub closed: Option<u16>,
    /// The last entry of each thread.
    pub positions: BTreeMap<ThreadId, Seq>,
    /// Up to where it has asked for entries again: what was on its way meanwhile may come twice.
    pub asked_again: BTreeMap<ThreadId, Seq>,
    /// Replays that have not ended.
    pub replays: Replays,
    /// Each entry, without the replay mark; not kept for clients, which have a view of their own.
    pub seen: Aside<BTreeMap<(ThreadId, Seq), Frame>>,
    /// Frames without a place; not kept for clients.
    pub control: Aside<Vec<Frame>>,
}

impl Reader {
    /// One that comes to a node and goes on from these points.
    #[must_use]
    pub fn at(node: usize, resume: &[ResumePoint]) -> Self {
        let positions = resume.iter().map(|point| (point.thread_id, point.after_seq)).collect();
        Self { node, positions, ..Self::default() }
    }

    /// The last control frame of a type that it heard.
    #[must_use]
    pub fn heard(&self, kind: &str) -> Option<Value> {
        let values = self.control.0.iter().rev();
        let mut values = values.filter_map(|frame| serde_json::from_str(frame.as_str()).ok());
        values.find(|value: &Value| value["type"] == kind)
    }
}

impl World {
    /// A hub has taken a connection in.
    pub(crate) fn attached(&mut self, connection_id: ConnectionId, ready: HubReady) {
        let Some(reader) = self.readers.get_mut(&connection_id) else {
            return self.breaks(Invariant::AttachedFirst, "somebody unknown is attached");
        };
        let first = reader.seen.0.is_empty() && reader.control.0.is_empty();
        if core::mem::replace(&mut reader.attached, true) || !first {
            self.breaks(
                Invariant::AttachedFirst,
                format!("{connection_id} attached late or twice"),
            );
            return;
        }
        for resumed in ready.resume.iter().filter(|resumed| !resumed.recovered) {
            reader.positions.remove(&resumed.thread_id);
        }
        ready.resume.iter().for_each(|resumed| reader.replays.answered(resumed));
        if ready.resume.iter().any(|one| one.recovered != one.reason.is_none()) {
            self.breaks(Invariant::Order, "not recovered without a reason, or the reverse");
        }
        self.seat_attached(connection_id, ready);
    }

    /// A hub closes a connection.
    pub(crate) fn closes(&mut self, connection_id: ConnectionId, code: CloseCode) {
        // Of several nodes one may have been given up for another.
        let given_up = code == CloseCode::Restarting && self.nodes.len() > 1;
        if code != CloseCode::Replaced && !given_up {
            self.breaks(Invariant::FaultsCloseNothing, format!("closed with {}", code.code()));
        }
        if given_up {
            self.note(Witness::SentAway);
        }
        let Some(reader) = self.readers.get_mut(&connection_id) else { return };
        reader.closed = Some(code.code());
        self.seat_closed(connection_id, code);
    }

    /// The client rule, and what must hold of every frame.
    pub(crate) fn delivered(&mut self, connection_id: ConnectionId, frame: &Frame) {
        let Some(reader) = self.readers.get(&connection_id) else {
            return self.breaks(Invariant::Order, "a frame for a connection that is gone");
        };
        if !reader.attached || reader.closed.is_some() {
            let what = format!("{connection_id} hears before it is attached or after its close");
            self.breaks(Invariant::AttachedFirst, what);
        }
        match ServerEvent::decode(frame.as_str()) {
            ServerEvent::Entry(entry) => self.entry_delivered(connection_id, frame, &entry),
            ServerEvent::Control { said, .. } => {
                self.control_delivered(connection_id, &said);
                if let Some(reader) = self.readers.get_mut(&connection_id)
                    && reader.seat.is_none()
                {
                    reader.control.0.push(frame.clone());
                }
            }
            ServerEvent::UnknownEntry { .. } | ServerEvent::Unknown => {
                self.breaks(Invariant::SameBytes, format!("nobody reads {}", frame.as_str()));
            }
        }
        self.seat_delivered(connection_id, frame);
    }

    fn entry_delivered(&mut self, connection_id: ConnectionId, frame: &Frame, entry: &Entry) {
        let (thread_id, seq) = (entry.thread_id, entry.seq);
        let log = self.store.threads.get(&thread_id);
        let stored = log.and_then(|log| log.entries.get(seq.0 as usize - 1));
        let Some(stored) = stored.cloned() else {
            let what = format!("{} at {seq} is not in the store", entry.event.type_name());
            return self.breaks(Invariant::CommittedFirst, what);
        };
        if stored.frame(seq, entry.replay) != *frame {
            self.breaks(Invariant::SameBytes, format!("other bytes at {seq}"));
        }
        if entry.replay {
            self.note(Witness::Replayed);
        }
        let Some(reader) = self.readers.get_mut(&connection_id) else { return };
        let position = reader.positions.entry(thread_id).or_insert(Seq(seq.0 - 1));
        // What is live comes once and in its place; only what is replayed may be there already, or what
        // was asked for while it was on its way.
        let asked = reader.asked_again.get(&thread_id).is_some_and(|to| seq <= *to);
        let there = !entry.replay && seq < position.next();
        let (hole, again) = (seq > position.next(), there && !asked);
        let early = reader.replays.entry(entry);
        *position = (*position).max(seq);
        if reader.seat.is_none() {
            reader.seen.0.insert((thread_id, seq), stored.frame(seq, false));
        }
        if hole {
            self.breaks(Invariant::Order, format!("a hole before {seq} on {connection_id}"));
        }
        if again {
            self.breaks(Invariant::Order, format!("{seq} again on {connection_id}"));
        }
        self.broken.extend(early);
    }

    fn control_delivered(&mut self, connection_id: ConnectionId, said: &Said) {
        match said {
            // Its reader has everything up to there, from another connection.
            Said::Resumed { threads } => {
                let Some(reader) = self.readers.get_mut(&connection_id) else { return };
                threads.iter().for_each(|resumed| reader.replays.answered(resumed));
                for resumed in threads.iter().filter(|resumed| resumed.recovered) {
                    let position = reader.positions.entry(resumed.thread_id).or_default();
                    *position = (*position).max(resumed.from_seq);
                }
            }
            Said::Ack(ack) => self.acknowledged(ack),
            Said::ReplayComplete { thread_id, to_seq } => {
                let Some(reader) = self.readers.get_mut(&connection_id) else { return };
                let position = reader.positions.get(thread_id).copied().unwrap_or_default();
                let wrong = reader.replays.complete(*thread_id, *to_seq, position);
                self.broken.extend(wrong);
            }
            Said::Done { what, result } if what == "cancel_run" => {
                let result: Value = serde_json::from_str(result.as_str()).unwrap_or_default();
                let run_id: Option<RunId> =
                    result["run_id"].as_str().and_then(|id| id.parse().ok());
                run_id.into_iter().for_each(|run_id| self.cancel_promised(connection_id, run_id));
            }
            Said::Error { frame, .. } => match frame.code {
                ErrorCode::StorageUnavailable => self.note(Witness::StoreDown),
                ErrorCode::ThreadBusy => self.note(Witness::Rejected),
                _ => {}
            },
            _ => {}
        }
    }

    /// Whoever asked for it heard that a run is cancelled: it ends so, and its task in time.
    fn cancel_promised(&mut self, connection_id: ConnectionId, run_id: RunId) {
        self.cancels.insert(run_id);
        let Some(at) = self.readers.get(&connection_id).map(|reader| reader.node) else { return };
        let now = self.now_at(at).mono;
        if let Some(task) = self.nodes[at].tasks.get_mut(&run_id) {
            task.cancelled.get_or_insert(now);
        }
    }

    fn acknowledged(&mut self, ack: &AckFrame) {
        if ack.duplicate {
            self.note(Witness::Duplicate);
        }
        let name = &ack.client_msg_id;
        let Some(stored) = self.store.messages.get(name) else {
            return self.breaks(Invariant::Kept, format!("{} is acknowledged", name.as_str()));
        };
        let told = (ack.message_id, ack.thread_id, ack.seq, ack.run_id);
        if told != (stored.message_id, stored.thread_id, stored.seq, stored.run_id) {
            let what = format!("{}: {told:?}, stored: {stored:?}", name.as_str());
            self.breaks(Invariant::OneOutcome, what);
        }
    }
}
