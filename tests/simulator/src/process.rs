//! Processes that die and start, and the lease that passes from one to the other.

use crate::invariant::Witness;
use crate::node::{Fate, Pending, hub_seed};
use crate::world::{World, owner};
use goldenpath_core::hub::{Hub, Input};
use goldenpath_core::id::ConnectionId;

/// Questions after which a hub has asked all it needs to go on with what was left behind.
const QUESTIONS: usize = 100;

impl World {
    /// The process of a node dies: what it had asked of the store may land, or not.
    pub fn crash_at(&mut self, at: usize) {
        if self.nodes[at].hub.is_some() {
            self.note(Witness::Crashed);
            self.drop_hub(at);
        }
    }

    fn drop_hub(&mut self, at: usize) {
        self.nodes[at].hub = None;
        let node = &mut self.nodes[at];
        for pending in core::mem::take(&mut node.pending) {
            if let Pending::Commit(_, batch) = pending {
                self.late.push(batch);
            }
        }
        let node = &mut self.nodes[at];
        node.tasks.clear();
        node.ghosts.clear();
        node.cancelled.clear();
        node.last = None;
        node.deadline = None;
        let here = self.readers.iter().filter(|(_, reader)| reader.node == at);
        let gone: Vec<(ConnectionId, Option<usize>)> =
            here.map(|(id, r)| (*id, r.seat.filter(|_| !r.half_open))).collect();
        for (connection_id, seat) in gone {
            self.readers.remove(&connection_id);
            if let Some(index) = seat {
                self.cut(index, None);
            }
        }
    }

    /// The process of a node starts again; with the lease it goes on with what was left behind.
    pub fn start_at(&mut self, at: usize) {
        if self.nodes[at].hub.is_some() {
            return;
        }
        if self.nodes.len() == 1 {
            // The writes of a lone process end with it: what has not landed by now never does.
            self.late.clear();
        }
        let node = &mut self.nodes[at];
        node.starts += 1;
        node.hub = Some(Hub::new(owner(), self.limits.clone(), hub_seed(at, node.starts)));
        if self.lease == Some(at) {
            self.recover(at);
        }
    }

    /// The lease of this user passes to a node, which begins anew with what is unfinished: what it knew
    /// of the user before is old. The one that had the lease does not know yet, and goes on.
    pub fn take_over(&mut self, at: usize) {
        if self.lease != Some(at) && self.nodes[at].hub.is_some() {
            self.note(Witness::TakenOver);
            self.lease = Some(at);
            self.drop_hub(at);
            self.start_at(at);
        }
    }

    /// A node takes the lease over and gets as far as to claim what is unfinished: whoever was at work on
    /// it hears with its next write that it is not any more.
    pub fn seize(&mut self, at: usize) {
        if self.lease == Some(at) || self.nodes[at].hub.is_none() {
            return;
        }
        self.take_over(at);
        for _ in 0..QUESTIONS {
            if self.nodes[at].pending.is_empty() {
                return;
            }
            self.answer_at(at, 0, Fate::Well);
        }
    }

    /// A node that holds the lease looks for runs that were left behind.
    pub fn recover(&mut self, at: usize) {
        let runs = self.store.unfinished();
        self.input(at, Input::Recover { runs });
    }

    /// The only process dies and starts again; nothing of what was under way lands.
    pub fn crash(&mut self) {
        self.crash_at(crate::world::HOME);
        self.late.clear();
        self.start_at(crate::world::HOME);
    }
}
