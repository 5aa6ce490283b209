//! One thread as a reader follows it: apply what comes next, ignore what is known, hold what is ahead
//! and ask for the hole (DLV-06).

use super::io::Config;
use crate::health::Backoff;
use crate::id::{EffectId, Epoch, Seq, ThreadId};
use crate::seed::Seed;
use crate::time::{Millis, Mono, earliest};
use crate::wire::{Entry, ResumePoint};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

#[cfg(test)]
mod matrix_tests;

/// How far a thread has been read, and what is known to be missing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Follow {
    /// The log's epoch, once known.
    pub(super) epoch: Option<Epoch>,
    /// The last entry applied.
    pub(super) last: Seq,
    /// The highest place the server spoke of.
    head: Seq,
    /// Entries ahead of a hole; `None` for a kind this version does not know.
    held: BTreeMap<Seq, Option<Box<Entry>>>,
    /// Whether the server follows the thread for this connection.
    joined: Joined,
    /// A hole was asked for.
    asked: Option<Asked>,
    /// A replay is on its way until then: holes are being filled already.
    replaying: Option<Mono>,
    /// Reading the log by other means.
    pub(super) load: Load,
    /// How often that was needed in a row.
    loads: Backoff,
}

/// What the server is known to do with the thread on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Joined {
    No,
    Asked { until: Mono },
    Yes,
}

/// A `gap_request` under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Asked {
    to: Seq,
    until: Mono,
}

/// Reading the log by other means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Load {
    /// Not needed.
    No,
    /// At this time; not at once, because it was tried before.
    Later { at: Mono, url: Option<String> },
    /// Under way.
    Running { effect: EffectId, url: Option<String> },
}

impl Follow {
    pub(super) const fn new(epoch: Option<Epoch>, last: Seq, config: &Config) -> Self {
        Self {
            epoch,
            last,
            head: last,
            held: BTreeMap::new(),
            joined: Joined::No,
            asked: None,
            replaying: None,
            load: Load::No,
            loads: Backoff::new(config.backoff_first, config.backoff_longest),
        }
    }

    pub(super) const fn point(&self, thread_id: ThreadId) -> ResumePoint {
        ResumePoint { thread_id, epoch: self.epoch, after_seq: self.last }
    }

    /// Takes one entry in and returns what can be applied now, in order. An entry of another epoch is
    /// not taken: only an answer to a resume may say that the log was replaced.
    //= specs/delivery.md#dlv-06
    //# A reader that follows the client rule MUST see each entry exactly once and in order.
    pub(super) fn offer(
        &mut self,
        seq: Seq,
        epoch: Epoch,
        entry: Option<Box<Entry>>,
        config: &Config,
    ) -> Offered {
        if *self.epoch.get_or_insert(epoch) != epoch {
            //= specs/client.md#clnt-10
            //# An entry of another epoch MUST NOT be applied to a view.
            return Offered::OtherEpoch;
        }
        self.head = self.head.max(seq);
        if canary!(SeenTwice) && seq <= self.last {
            return Offered::Apply(entry.into_iter().collect());
        }
        if seq <= self.last {
            return Offered::Apply(Vec::new());
        }
        self.held.insert(seq, entry);
        let ready = self.drain();
        //= specs/client.md#clnt-16
        //# Entries held ahead of a hole MUST be bounded.
        if self.held.len() > config.held_entries {
            // The farthest ahead comes again with the gap requests that follow.
            self.held.pop_last();
        }
        Offered::Apply(ready)
    }

    #[expect(clippy::vec_box, reason = "the boxes go on to the application as they are")]
    fn drain(&mut self) -> Vec<Box<Entry>> {
        let mut ready = Vec::new();
        while let Some(entry) = self.held.remove(&self.last.next()) {
            self.last = self.last.next();
            ready.extend(entry);
        }
        if self.asked.is_some_and(|asked| asked.to <= self.last) {
            self.asked = None;
        }
        ready
    }

    /// The server says how far the log goes.
    pub(super) fn head_is(&mut self, head: Seq) {
        self.head = self.head.max(head);
    }

    /// The hole to ask for now, `after < seq ≤ to`; at most one request is under way.
    pub(super) fn hole(&mut self, now: Mono, config: &Config) -> Option<(Seq, Seq)> {
        let busy = self.asked.is_some() || self.replaying.is_some() || self.load != Load::No;
        if busy || self.head <= self.last {
            return None;
        }
        let before_held = self.held.keys().next().map(|first| Seq(first.0 - 1));
        let to = before_held.unwrap_or(self.head).min(self.last.plus(config.gap_entries));
        self.asked = Some(Asked { to, until: now.after(config.gap_timeout) });
        Some((self.last, to))
    }

    pub(super) const fn is_replaying(&self) -> bool {
        self.replaying.is_some()
    }

    pub(super) const fn replay_begins(&mut self, until: Mono) {
        self.replaying = Some(until);
    }

    pub(super) const fn replay_ends(&mut self) {
        self.replaying = None;
    }

    /// The log can be followed again.
    pub(super) const fn recovered(&mut self) {
        self.loads.reset();
    }

    /// The connection is gone: what it promised does not come.
    pub(super) fn connection_lost(&mut self) {
        self.held.clear();
        self.head = self.last;
        self.joined = Joined::No;
        self.asked = None;
        self.replaying = None;
    }

    /// The server sends what is new in the thread on this connection.
    pub(super) const fn has_joined(&mut self) {
        self.joined = Joined::Yes;
    }

    /// What the server thinks of the thread must be asked anew.
    pub(super) const fn must_join(&mut self) {
        if matches!(self.joined, Joined::Yes) {
            self.joined = Joined::No;
        }
    }

    /// Whether a resume is to be sent now; asks for one at a time.
    pub(super) fn joins(&mut self, until: Mono) -> bool {
        let due = self.joined == Joined::No && self.load == Load::No;
        if due {
            self.joined = Joined::Asked { until };
        }
        due
    }

    /// The log was replaced; reading starts anew.
    //= specs/client.md#clnt-15
    //# A view MUST begin anew when the log it shows was replaced.
    pub(super) fn reset(&mut self, epoch: Epoch) {
        self.epoch = Some(epoch);
        self.last = Seq::ZERO;
        self.head = Seq::ZERO;
        self.held.clear();
        self.asked = None;
    }

    /// The log is to be read by other means: now, or later when that was just done.
    pub(super) fn load_is_needed(&mut self, now: Mono, url: Option<String>, seed: &mut Seed) {
        self.replaying = None;
        self.asked = None;
        if matches!(self.load, Load::Running { .. }) {
            return;
        }
        let first = self.loads.failures() == 0;
        let wait = self.loads.draw(seed).max(Millis(1));
        self.load = Load::Later { at: if first { now } else { now.after(wait) }, url };
    }

    /// Takes the load that is due.
    pub(super) fn load_due(&mut self, now: Mono, effects: &mut EffectId) -> Option<Due> {
        let Load::Later { at, url } = &mut self.load else { return None };
        if *at > now {
            return None;
        }
        let (effect, url) = (effects.take_next(), url.take());
        self.load = Load::Running { effect, url: url.clone() };
        Some(Due { effect, url })
    }

    pub(super) fn load_failed(&mut self, now: Mono, seed: &mut Seed) {
        if let Load::Running { url, .. } = &mut self.load {
            let at = now.after(self.loads.draw(seed).max(Millis(1)));
            self.load = Load::Later { at, url: url.take() };
        }
    }

    /// What was asked for and did not come is no longer waited for.
    pub(super) fn handle_timeout(&mut self, now: Mono) {
        //= specs/client.md#clnt-03
        //# A hole MUST be asked for again when what was asked for does not come.
        if self.asked.is_some_and(|asked| asked.until <= now) {
            self.asked = None;
        }
        if self.replaying.is_some_and(|until| until <= now) {
            self.replaying = None;
        }
        if matches!(self.joined, Joined::Asked { until } if until <= now) {
            self.joined = Joined::No;
        }
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        let load = match self.load {
            Load::Later { at, .. } => Some(at),
            Load::No | Load::Running { .. } => None,
        };
        let joining = match self.joined {
            Joined::Asked { until } => Some(until),
            Joined::No | Joined::Yes => None,
        };
        let asked = self.asked.map(|asked| asked.until);
        earliest(earliest(load, joining), earliest(asked, self.replaying))
    }
}

/// A load that is to be made now.
pub(super) struct Due {
    pub(super) effect: EffectId,
    pub(super) url: Option<String>,
}

/// What became of an offered entry.
#[expect(clippy::vec_box, reason = "the boxes go on to the application as they are")]
pub(super) enum Offered {
    /// These are next, in order.
    Apply(Vec<Box<Entry>>),
    /// It belongs to another log.
    OtherEpoch,
}
