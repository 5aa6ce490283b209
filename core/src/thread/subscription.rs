//! The reading end of one thread for one connection: the next frame sent is always the one after the
//! last (DLV-04). Behind, it reads the store page by page, paced by its reader; at the head it is live.
//!
//! Entries committed during a replay are not buffered: they are in the store, and the replay goes on
//! until it meets the head. So there is no buffer to overflow, and a hole in the live stream (another
//! node wrote) is healed the same way.

use crate::hub::Load;
use crate::id::{EffectId, Seq, ThreadId};
use crate::wire::{EntryBody, Frame, Level};
use alloc::vec::Vec;

/// One connection's reading of one thread.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subscription {
    level: Level,
    /// The last entry sent (or left out by the level).
    sent: Seq,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Live,
    Behind(Behind),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Behind {
    /// Up to here frames carry the replay mark, and `replay_complete` follows it; `None` once it was
    /// sent, or when this is no replay but a hole being healed.
    target: Option<Seq>,
    wait: Wait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Wait {
    Nothing,
    Page(EffectId),
    Reader(u64),
}

/// What a subscription that is behind does next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// Read this from the store.
    Load(Load),
    /// All of the replay was sent.
    ReplayComplete(Seq),
    /// Nothing: live, or waiting.
    Nothing,
}

impl Subscription {
    /// From now on: nothing is replayed.
    #[must_use]
    pub const fn live(head: Seq, level: Level) -> Self {
        Self { level, sent: head, state: State::Live }
    }

    /// From `after` on; up to `target` (the head now) as replay.
    #[must_use]
    pub const fn replay(after: Seq, target: Seq, level: Level) -> Self {
        let behind = Behind { target: Some(target), wait: Wait::Nothing };
        Self { level, sent: after, state: State::Behind(behind) }
    }

    /// The last entry sent.
    #[must_use]
    pub const fn sent(&self) -> Seq {
        self.sent
    }

    /// How much of the thread it carries.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Whether it is at the head and gets entries as they are committed.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.state, State::Live)
    }

    /// `count` entries from `first` on were committed. Answers whether they are to be sent now; if
    /// not, they are read from the store when their turn comes.
    pub fn committed(&mut self, first: Seq, count: u64) -> bool {
        match &self.state {
            //= specs/delivery.md#dlv-04
            //# On one connection the entries of a thread MUST be sent without a gap from the resume
            //# position on.
            State::Live if self.sent.next() == first => {
                self.sent = self.sent.plus(count);
                true
            }
            State::Live if first > self.sent => {
                self.state = State::Behind(Behind { target: None, wait: Wait::Nothing });
                false
            }
            State::Live | State::Behind(_) => false,
        }
    }

    /// What to do now, with the log's head where it is. A `Load` must be followed by [`Self::asked`].
    pub fn next(&mut self, thread_id: ThreadId, head: Seq, page: u64) -> Next {
        // Another node wrote, and the log learnt it from the store and not by a commit of its own.
        if self.is_live() && self.sent < head {
            self.state = State::Behind(Behind { target: None, wait: Wait::Nothing });
        }
        let State::Behind(behind) = &mut self.state else { return Next::Nothing };
        if behind.wait != Wait::Nothing {
            return Next::Nothing;
        }
        match behind.target {
            //= specs/delivery.md#dlv-16
            //# A replay MUST end with `replay_complete`, which names the last entry replayed.
            Some(target) if self.sent >= target => {
                behind.target = None;
                if canary!(SkipReplayComplete) {
                    return Next::Nothing;
                }
                Next::ReplayComplete(target)
            }
            _ if self.sent >= head => {
                self.state = State::Live;
                Next::Nothing
            }
            target => Next::Load(Load::Entries {
                thread_id,
                after_seq: self.sent,
                to_seq: target.unwrap_or(head),
                limit: page,
            }),
        }
    }

    /// The load of [`Self::next`] was asked for under this number.
    pub const fn asked(&mut self, effect: EffectId) {
        if let State::Behind(behind) = &mut self.state {
            behind.wait = Wait::Page(effect);
        }
    }

    /// A page came; returns the frames to send, and waits for the reader under `mark`. Entries out of
    /// place (already sent, or after a hole) are left out. `None`: not the page this waits for.
    pub fn page(
        &mut self,
        effect: EffectId,
        mark: u64,
        entries: &[(Seq, EntryBody)],
        in_level: impl Fn(&EntryBody) -> bool,
    ) -> Option<Vec<Frame>> {
        let State::Behind(behind) = &mut self.state else { return None };
        if behind.wait != Wait::Page(effect) {
            return None;
        }
        behind.wait = Wait::Reader(mark);
        let replay = behind.target.is_some();
        let mut frames = Vec::with_capacity(entries.len());
        for (seq, body) in entries {
            if *seq == self.sent.next() {
                self.sent = *seq;
                if self.level == Level::Full || in_level(body) {
                    frames.push(body.frame(*seq, replay));
                }
            }
        }
        Some(frames)
    }

    /// The page could not be read; it is asked for again with the next step.
    pub fn page_failed(&mut self, effect: EffectId) -> bool {
        match &mut self.state {
            State::Behind(behind) if behind.wait == Wait::Page(effect) => {
                behind.wait = Wait::Nothing;
                true
            }
            State::Behind(_) | State::Live => false,
        }
    }

    /// The reader has written everything before `mark`.
    pub fn read(&mut self, mark: u64) {
        if let State::Behind(behind) = &mut self.state
            && behind.wait == Wait::Reader(mark)
        {
            behind.wait = Wait::Nothing;
        }
    }
}

#[cfg(test)]
mod tests;
