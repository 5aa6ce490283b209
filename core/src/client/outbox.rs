//! Messages on their way: queued, sent, acknowledged. Each keeps its name and content until the server
//! has it or refuses it for good, over any number of connections (DLV-08 seen from the other end).

use super::io::{Config, MessageState};
use crate::fault::Misuse;
use crate::id::{ClientMsgId, FrameRef};
use crate::time::{Millis, Mono, earliest};
use crate::wire::{AckFrame, ErrorCode, ErrorFrame, UserMessage};
use alloc::collections::VecDeque;

/// How long a message waits that was refused for now without a time.
const PAUSE: Millis = Millis(500);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Item {
    message: UserMessage,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Queued,
    Sent { frame: FrameRef, until: Mono },
}

/// First in, first out; a refusal for now holds back everything behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Outbox {
    items: VecDeque<Item>,
    not_before: Option<Mono>,
}

/// What became of a message because of an input.
pub(super) type Moved = Option<(ClientMsgId, MessageState)>;

impl Outbox {
    /// Takes a message in; the same once more is no second one.
    pub(super) fn push(&mut self, message: UserMessage, config: &Config) -> Result<Moved, Misuse> {
        let id = message.client_msg_id.clone();
        if let Some(known) = self.items.iter().find(|item| item.message.client_msg_id == id) {
            return if known.message == message { Ok(None) } else { Err(Misuse::Conflict) };
        }
        //= specs/client.md#clnt-11
        //# Messages on their way MUST be bounded, and one name MUST stand for one content.
        if self.items.len() >= config.outbox_messages {
            return Err(Misuse::Full);
        }
        self.items.push_back(Item { message, stage: Stage::Queued });
        Ok(Some((id, MessageState::Queued)))
    }

    /// The next message that may be sent now.
    pub(super) fn next(&self, now: Mono, config: &Config) -> Option<&UserMessage> {
        if self.not_before.is_some_and(|at| now < at) || self.in_flight() >= config.in_flight {
            return None;
        }
        let waiting = self.items.iter().find(|item| item.stage == Stage::Queued);
        waiting.map(|item| &item.message)
    }

    /// It was sent, as that frame.
    pub(super) fn sent(&mut self, id: &ClientMsgId, frame: FrameRef, until: Mono) -> Moved {
        let item = self.items.iter_mut().find(|item| item.message.client_msg_id == *id)?;
        item.stage = Stage::Sent { frame, until };
        Some((id.clone(), MessageState::Sent))
    }

    /// Whether the message opens a thread of its own.
    pub(super) fn opens_thread(&self, id: &ClientMsgId) -> bool {
        let mut items = self.items.iter();
        items.any(|item| item.message.client_msg_id == *id && item.message.thread_id.is_none())
    }

    /// The server has it. An acknowledgement of something unknown is a late one.
    pub(super) fn acked(&mut self, ack: &AckFrame) -> Moved {
        let id = &ack.client_msg_id;
        let at = self.items.iter().position(|item| item.message.client_msg_id == *id)?;
        self.items.remove(at)?;
        self.not_before = None;
        Some((id.clone(), MessageState::Acked(ack.clone())))
    }

    /// The server refused the frame: for now, then it is sent again later, or for good.
    /// `None` when the frame was no message of ours.
    pub(super) fn refused(
        &mut self,
        frame: &FrameRef,
        error: &ErrorFrame,
        retryable: bool,
        now: Mono,
    ) -> Moved {
        let is_it = |item: &Item| matches!(&item.stage, Stage::Sent { frame: f, .. } if f == frame);
        let at = self.items.iter().position(is_it)?;
        // `thread_busy` is what `multitask_strategy: reject` asked to hear.
        if retryable && error.code != ErrorCode::ThreadBusy {
            self.pause(now.after(error.retry_after.unwrap_or(PAUSE)));
            let item = self.items.get_mut(at)?;
            item.stage = Stage::Queued;
            return Some((item.message.client_msg_id.clone(), MessageState::Queued));
        }
        let item = self.items.remove(at)?;
        Some((item.message.client_msg_id, MessageState::Refused(error.clone())))
    }

    /// Takes a message out that cannot be sent.
    pub(super) fn give_up(&mut self, id: &ClientMsgId, error: ErrorFrame) -> Moved {
        let at = self.items.iter().position(|item| item.message.client_msg_id == *id)?;
        self.items.remove(at)?;
        Some((id.clone(), MessageState::Refused(error)))
    }

    /// The longest message under way: the one a server means that closes for a frame too big.
    pub(super) fn longest_sent(&self) -> Option<ClientMsgId> {
        let sent = self.items.iter().filter(|item| item.stage != Stage::Queued);
        let longest = sent.max_by_key(|item| item.message.content.len());
        longest.map(|item| item.message.client_msg_id.clone())
    }

    /// Nothing is sent before that.
    pub(super) fn pause(&mut self, until: Mono) {
        self.not_before = Some(self.not_before.map_or(until, |at| at.max(until)));
    }

    /// The connection is gone: everything under way waits for the next one.
    //= specs/client.md#clnt-01
    //# A message MUST be sent again under its name until the server has it or refuses it for good.
    pub(super) fn connection_lost(&mut self) {
        for item in &mut self.items {
            item.stage = Stage::Queued;
        }
    }

    /// A message whose acknowledgement does not come is queued again.
    pub(super) fn handle_timeout(&mut self, now: Mono) {
        if self.not_before.is_some_and(|at| at <= now) {
            self.not_before = None;
        }
        for item in &mut self.items {
            if matches!(item.stage, Stage::Sent { until, .. } if until <= now) {
                item.stage = Stage::Queued;
            }
        }
    }

    /// When the next thing is due here, on a ready connection.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let acks = self.items.iter().filter_map(|item| match item.stage {
            Stage::Sent { until, .. } => Some(until),
            Stage::Queued => None,
        });
        earliest(acks.min(), self.not_before)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    fn in_flight(&self) -> usize {
        self.items.iter().filter(|item| item.stage != Stage::Queued).count()
    }
}
