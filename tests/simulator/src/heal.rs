//! What must hold in every state, and that from every state everything comes to its end once faults
//! stop (invariant 15).

use crate::invariant::{Broken, Invariant};
use crate::node::{Fate, Pending};
use crate::rules;
use crate::seat::Socket;
use crate::team::ToolEnd;
use crate::world::World;
use goldenpath_core::id::{ConnectionId, Fence, RunId};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Steps after which a world that heals must have come to rest.
const PATIENCE: usize = 5_000;

impl World {
    /// Everything that does not hold: what was seen on the way, and in the state as it is.
    #[must_use]
    pub fn check(&self) -> Vec<Broken> {
        let mut broken = self.broken.clone();
        broken.extend(rules::of_store(&self.store, &self.limits, &self.cancels));
        broken
    }

    /// Lets all faults stop in a copy of this world, and everybody leave; what does not hold then.
    #[must_use]
    pub fn heal(&self) -> Vec<Broken> {
        self.heal_unless(&mut |_| false).0
    }

    /// The same for many worlds: `known` says whether a world, given by its fingerprint, is known to
    /// heal, and the fingerprints of all worlds on the way are returned, to be known next time.
    pub fn heal_unless(&self, known: &mut dyn FnMut(u64) -> bool) -> (Vec<Broken>, Vec<u64>) {
        let mut world = self.clone();
        let mut way = Vec::new();
        for _ in 0..PATIENCE {
            let mut hasher = DefaultHasher::new();
            world.hash(&mut hasher);
            let fingerprint = hasher.finish();
            if known(fingerprint) {
                return (world.check(), way);
            }
            way.push(fingerprint);
            if !world.heals_on() {
                break;
            }
        }
        world.check_rest();
        world.leave();
        (world.check(), way)
    }

    /// All faults stop: late writes land, dead processes start, who lost the lease learns it,
    /// everything is answered, sockets open, every task goes on to its end, time passes.
    pub fn settle(&mut self) {
        for _ in 0..PATIENCE {
            if !self.heals_on() {
                break;
            }
        }
        self.check_rest();
    }

    /// The next thing on the way to rest. Whether there was one.
    fn heals_on(&mut self) -> bool {
        if self.moves_on() {
            return true;
        }
        if self.is_quiet() {
            return false;
        }
        // Of several nodes the one with the lease looks for runs again and again: a write that landed
        // late may have left one behind.
        if self.nodes.len() > 1 && !self.store.unfinished().is_empty() {
            self.recover(self.lease.unwrap_or_default());
            if self.moves_on() {
                return true;
            }
        }
        if let Some(at) = self.stranded() {
            self.crash_at(at);
            return true;
        }
        let waits = self.deadline().is_some();
        self.pass_to_deadline();
        waits
    }

    /// A node without the lease that has nothing to write, and so never hears that it lost it: no machine of
    /// the core tells it, and its readers wait there until its process ends.
    fn stranded(&self) -> Option<usize> {
        let holder = self.lease.unwrap_or_default();
        let rests = |at: usize| {
            let Some(hub) = &self.nodes[at].hub else { return false };
            let mut threads = self.store.threads.keys();
            threads.all(|id| ["idle", "unknown"].contains(&hub.thread_state(*id)))
        };
        let mut read_at = self.readers.values().filter(|one| one.closed.is_none());
        let at = read_at.find(|one| one.node != holder && rests(one.node))?.node;
        Some(at)
    }

    fn check_rest(&mut self) {
        if self.is_quiet() {
            return;
        }
        let unfinished = self.store.unfinished();
        let links: Vec<_> = self.seats.iter().map(|seat| seat.client.link()).collect();
        let positions = self.readers.values().map(|reader| (&reader.positions, &reader.replays));
        let positions: Vec<_> = positions.collect();
        let what = format!(
            "runs: {unfinished:?}, links: {links:?}, readers: {positions:?}, at {:?}",
            self.deadline()
        );
        self.breaks(Invariant::Converges, what);
    }

    /// Everybody goes; then no hub has a reason to stay.
    pub(crate) fn leave(&mut self) {
        for index in 0..self.seats.len() {
            self.seats[index].client.disconnect();
            self.drain_seat(index);
        }
        let open = self.readers.iter().filter(|(_, reader)| reader.closed.is_none());
        let open: Vec<ConnectionId> = open.map(|(id, _)| *id).collect();
        open.into_iter().for_each(|connection_id| self.detach(connection_id));
        (0..self.nodes.len()).for_each(|at| self.time_at(at));
        for _ in 0..PATIENCE {
            if self.nodes.iter().all(|node| node.hub.is_none() || node.retired) {
                return;
            }
            if !self.moves_on() {
                if self.deadline().is_none() {
                    break;
                }
                self.pass_to_deadline();
            }
        }
        self.breaks(Invariant::Converges, "a hub stays that has nothing to do");
    }

    /// One thing that happens without any fault. Whether there was one.
    fn moves_on(&mut self) -> bool {
        if !self.late.is_empty() {
            self.land(0);
            return true;
        }
        let holder = self.lease.unwrap_or_default();
        if self.nodes[holder].hub.is_none() {
            self.start_at(holder);
            return true;
        }
        if let Some((id, _)) = self.readers.iter().find(|(_, reader)| reader.half_open) {
            self.lose(*id);
            return true;
        }
        if !self.nodes[holder].pending.is_empty() {
            self.answer_at(holder, 0, Fate::Well);
            return true;
        }
        if let Some(id) = self.sent_away().first() {
            self.moves_to(*id, holder);
            return true;
        }
        (0..self.nodes.len()).any(|at| at != holder && self.loser_moves_on(at, holder))
            || (0..self.seats.len()).any(|index| self.seat_moves_on(index, holder))
            || self.task_moves_on(holder)
    }

    /// Who lost the lease goes on as if nothing had happened, with each of its runs once that is claimed by who
    /// has it: its next write says so. What it would write before is heard by nobody there.
    fn loser_moves_on(&mut self, at: usize, holder: usize) -> bool {
        let tasks = &self.nodes[at].tasks;
        if tasks.iter().any(|(run_id, task)| self.is_unclaimed(*run_id, task.fence)) {
            self.recover(holder);
            if !self.nodes[holder].pending.is_empty() {
                return true;
            }
        }
        let may_go = |pending: &Pending| match pending {
            Pending::Commit(_, batch) => {
                let mut runs = batch.runs.iter();
                !runs.any(|change| self.is_unclaimed(change.run_id, change.fence))
            }
            Pending::Load(..) | Pending::Record(_) => true,
        };
        if let Some(index) = self.nodes[at].pending.iter().position(may_go) {
            self.answer_at(at, index, Fate::Well);
            return true;
        }
        self.task_moves_on(at)
    }

    /// Whether a run is at work, and nobody has claimed it since it was under this fence.
    fn is_unclaimed(&self, run_id: RunId, fence: Fence) -> bool {
        let run = self.store.runs.get(&run_id);
        run.is_some_and(|run| !run.status.is_terminal() && run.fence == fence)
    }

    fn seat_moves_on(&mut self, index: usize, at: usize) -> bool {
        let seat = &self.seats[index];
        if matches!(seat.socket, Socket::Dialing(_)) {
            self.dialed(index, at, true);
        } else if seat.loads() > 0 {
            self.loaded(index, true);
        } else if !seat.going.is_empty() {
            self.reach(index);
        } else if seat.coming() > 0 {
            self.hear(index);
        } else {
            return false;
        }
        true
    }

    fn task_moves_on(&mut self, at: usize) -> bool {
        let is_held = self.lease.unwrap_or_default() == at;
        let tasks = self.nodes[at].tasks.iter();
        let may_go = tasks.filter(|(id, task)| is_held || !self.is_unclaimed(**id, task.fence));
        let runs: Vec<RunId> = may_go.map(|(run_id, _)| *run_id).collect();
        for run_id in runs {
            match &self.nodes[at].tasks[&run_id].team {
                None => self.speak_at(at, run_id, usize::MAX),
                Some(team) if team.calls() > 0 => {
                    self.drive(at, run_id, |team, now| team.tool(now, 0, ToolEnd::Returns));
                }
                Some(team) if team.movers() > 0 => {
                    self.drive(at, run_id, |team, now| team.moves(now, 0));
                }
                Some(_) => continue,
            }
            return true;
        }
        false
    }

    /// Every run has ended, and everybody who is there has seen everything.
    fn is_quiet(&self) -> bool {
        let mut open = self.readers.values().filter(|reader| reader.closed.is_none());
        self.store.unfinished().is_empty()
            && self.nodes.iter().all(|node| node.pending.is_empty() && node.tasks.is_empty())
            && open.all(|reader| {
                let heads = &self.store.threads;
                let mut read = reader.positions.iter();
                reader.attached
                    && reader.replays.due().next().is_none()
                    && read.all(|(id, seq)| heads[id].head() == *seq)
            })
            && self.seats.iter().all(|seat| seat.is_replaced() || self.is_up_to_date(seat))
    }
}
