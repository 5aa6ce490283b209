//! Clocks of nodes that live: civil time is set, and a node that stood still has everything due at once.

use crate::invariant::{Invariant, Witness};
use crate::world::World;
use goldenpath_core::time::{Millis, Mono, Now, Wall};

/// What the clocks of a node show, beside those of the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Clock {
    /// How far civil time is off, in milliseconds.
    pub wall_off: i64,
    /// How far time for deadlines is ahead: it never goes back.
    pub mono_ahead: Millis,
}

impl Clock {
    /// A point on the clock for deadlines of this node, by that of the world.
    pub(crate) const fn in_the_world(self, mono: Mono) -> Mono {
        Mono(mono.0.saturating_sub(self.mono_ahead.0))
    }
}

impl World {
    /// Both clocks of a node at this instant.
    #[must_use]
    pub fn now_at(&self, at: usize) -> Now {
        let Clock { wall_off, mono_ahead } = self.nodes[at].clock;
        let wall = Wall(self.now.wall.0.saturating_add_signed(wall_off));
        Now { mono: self.now.mono.after(mono_ahead), wall }
    }

    /// Civil time of a node is set while it lives: by hours, forwards or back.
    pub fn set_clock(&mut self, at: usize, by_ms: i64) {
        if self.is_seen_at_work(at) {
            let which = if by_ms < 0 { Witness::SetBack } else { Witness::SetForward };
            self.note(which);
        }
        let wall_off = &mut self.nodes[at].clock.wall_off;
        *wall_off = wall_off.saturating_add(by_ms);
        self.looks_up(at);
    }

    /// A node stood still, as a virtual machine that is resumed: both its clocks have moved on, and all that
    /// it was to do meanwhile is due at once.
    pub fn stands_still(&mut self, at: usize, span: Millis) {
        if self.is_seen_at_work(at) {
            self.note(Witness::StoodStill);
        }
        let clock = &mut self.nodes[at].clock;
        clock.mono_ahead = Millis(clock.mono_ahead.0.saturating_add(span.0));
        clock.wall_off = clock.wall_off.saturating_add_unsigned(span.0);
        self.looks_up(at);
    }

    /// A node looks at its clocks, and has nothing left to do before now.
    fn looks_up(&mut self, at: usize) {
        self.time_at(at);
        if self.nodes[at].due().is_some_and(|due| due <= self.now.mono) {
            self.breaks(Invariant::Rests, "a deadline that is over, at a clock that was set");
        }
        self.check_cancels();
    }

    /// Whether a node has a run at work, and somebody who listens.
    fn is_seen_at_work(&self, at: usize) -> bool {
        let mut readers = self.readers.values();
        let listens = readers.any(|one| one.node == at && one.attached && one.closed.is_none());
        listens && !self.nodes[at].tasks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{HOME, Setup};

    #[test]
    fn each_node_has_clocks_of_its_own() {
        let mut world = World::new(Setup { nodes: 2, ..Setup::default() });
        let before = world.now;
        world.set_clock(HOME, -3_600_000);
        world.stands_still(1, Millis(500));
        let set = Now { wall: Wall(before.wall.0 - 3_600_000), ..before };
        assert_eq!((world.now_at(HOME), world.now_at(1)), (set, before.after(Millis(500))));
        assert_eq!(world.nodes[1].clock.in_the_world(world.now_at(1).mono), before.mono);
    }
}
