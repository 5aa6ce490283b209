//! The replays a connection was promised, as whoever listens to it sees them (DLV-16).

use crate::invariant::{Broken, Invariant};
use goldenpath_core::id::{Seq, ThreadId};
use goldenpath_core::wire::{Entry, Resumed};
use std::collections::BTreeMap;

/// Replays of one connection that are under way: each ends with `replay_complete`, and nothing live of its
/// thread comes before that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Replays(BTreeMap<ThreadId, Replay>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Replay {
    to: Seq,
    /// Of nothing, its word may stay away: what looks like it is the answer to a `subscribe`.
    due: bool,
}

impl Replays {
    /// The answer to a resume or a `subscribe` was heard.
    pub fn answered(&mut self, resumed: &Resumed) {
        let Resumed { thread_id, recovered, from_seq, to_seq, .. } = *resumed;
        if recovered {
            self.0.insert(thread_id, Replay { to: to_seq, due: from_seq < to_seq });
        }
    }

    /// An entry was heard.
    pub fn entry(&mut self, entry: &Entry) -> Option<Broken> {
        if entry.replay {
            return None;
        }
        let open = self.0.remove(&entry.thread_id)?;
        open.due.then(|| {
            let (thread_id, seq, to) = (entry.thread_id, entry.seq, open.to);
            broken(format!("{thread_id} {seq} is live before the replay to {to} is complete"))
        })
    }

    /// `replay_complete` was heard behind the entry at `position`.
    pub fn complete(&mut self, thread_id: ThreadId, to: Seq, position: Seq) -> Option<Broken> {
        let open = self.0.remove(&thread_id);
        (open.is_none_or(|open| open.to != to) || position < to).then(|| {
            let to_be = open.map(|open| open.to);
            broken(format!("{thread_id}: {to} is complete at {position}, {to_be:?} was to be"))
        })
    }

    /// Threads whose replay has not ended.
    pub fn due(&self) -> impl Iterator<Item = ThreadId> {
        self.0.iter().filter(|(_, replay)| replay.due).map(|(thread_id, _)| *thread_id)
    }
}

fn broken(what: String) -> Broken {
    Broken { invariant: Invariant::ReplayEnds, what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HOME, World, message};
    use goldenpath_core::limits::Limits;
    use std::sync::Arc;

    const TO: Seq = Seq(9);

    fn resumed(thread_id: ThreadId, from: u64, recovered: bool) -> Resumed {
        Resumed {
            thread_id,
            recovered,
            epoch: None,
            from_seq: Seq(from),
            to_seq: TO,
            reason: None,
            snapshot_url: None,
        }
    }

    /// An entry of some thread.
    fn an_entry() -> Arc<Entry> {
        let mut world = World::with(Limits::default());
        let reader = world.attach(HOME, Vec::new());
        world.say(reader, message("m1", None));
        world.settle();
        world.store.threads.values().next().unwrap().decoded[9].clone()
    }

    #[test]
    fn a_replay_without_its_word_and_a_word_too_many_are_found() {
        let entry = an_entry();
        let thread_id = entry.thread_id;
        let after = |from, recovered| {
            let mut replays = Replays::default();
            replays.answered(&resumed(thread_id, from, recovered));
            replays
        };
        let due = |replays: &Replays| replays.due().collect::<Vec<_>>();
        // Live too early, and never ended.
        assert!(after(3, true).entry(&entry).is_some());
        assert_eq!(due(&after(3, true)), [thread_id]);
        // Replayed entries, the word, and then live; once.
        let mut well = after(3, true);
        assert_eq!(well.entry(&Entry { replay: true, ..Entry::clone(&entry) }), None);
        assert_eq!(well.complete(thread_id, TO, TO), None);
        assert_eq!((well.entry(&entry), due(&well)), (None, vec![]));
        assert!(well.complete(thread_id, TO, TO).is_some(), "it had its word");
        // Another end than was said, and an end before all of it.
        assert!(after(3, true).complete(thread_id, Seq(8), TO).is_some());
        assert!(after(3, true).complete(thread_id, TO, Seq(8)).is_some());
        // Of nothing, it may have its word.
        assert_eq!(after(9, true).complete(thread_id, TO, TO), None);
        assert_eq!(after(9, true).entry(&entry), None);
        assert_eq!(due(&after(9, true)), []);
        // There is none.
        assert_eq!(after(3, false).entry(&entry), None);
        assert!(after(3, false).complete(thread_id, TO, TO).is_some());
    }
}
