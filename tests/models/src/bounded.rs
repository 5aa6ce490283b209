//! A simulated world as a model: its users do what they wish in their order, and everything else may
//! happen at any time, each fault as often as the bound allows.

use goldenpath_core::wire::CloseCode;
use goldenpath_simulator::{Broken, Fate, HOME, Op, Setup, Socket, ToolEnd, World};
use stateright::{Model, Property};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

/// Something that may happen only so often, so that there is an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A process dies.
    Crash,
    /// A socket breaks.
    Cut,
    /// A task dies.
    Die,
    /// A dial fails.
    DialFails,
    /// The store does nothing, and says so.
    Down,
    /// The store writes, and nobody hears of it.
    DoneUnheard,
    /// The store writes later, or never.
    DoneLater,
    /// A replaced task speaks.
    Ghost,
    /// An agent speaks that its run has stopped.
    LateAgent,
    /// A tool answers that its run has given up.
    LateTool,
    /// The store writes nothing, and nobody knows.
    LostUnheard,
    /// Time passes until the next deadline.
    Pass,
    /// An answer comes twice.
    Repeat,
    /// A node takes the lease over, whether or not the other one is alive.
    TakeOver,
    /// A tool fails.
    ToolFails,
}

/// What an operation costs; nothing when it is what should happen.
const fn cost(op: Op) -> Option<Fault> {
    match op {
        Op::Answer(_, _, Fate::Down) => Some(Fault::Down),
        Op::Answer(_, _, Fate::DoneUnheard) => Some(Fault::DoneUnheard),
        Op::Answer(_, _, Fate::LostUnheard) => Some(Fault::LostUnheard),
        Op::Answer(_, _, Fate::DoneLater) => Some(Fault::DoneLater),
        Op::Crash(_) => Some(Fault::Crash),
        Op::Cut(_) => Some(Fault::Cut),
        Op::Die(..) => Some(Fault::Die),
        Op::Dial(_, _, false) => Some(Fault::DialFails),
        Op::EndTool(_, _, ToolEnd::Fails | ToolEnd::FailsForNow) => Some(Fault::ToolFails),
        Op::Ghost(_) => Some(Fault::Ghost),
        Op::LateAgent(..) => Some(Fault::LateAgent),
        Op::LateTool(..) => Some(Fault::LateTool),
        Op::Pass => Some(Fault::Pass),
        Op::Repeat(_) | Op::RepeatToRun(..) => Some(Fault::Repeat),
        Op::TakeOver(_) => Some(Fault::TakeOver),
        _ => None,
    }
}

/// A world with the bounds of its faults.
#[derive(Clone, Debug)]
pub struct Bounded {
    /// What the world begins with.
    pub setup: Setup,
    /// What the users wish, in this order; each list is a beginning of its own.
    pub wishes: Vec<Vec<Op>>,
    /// How often each fault may happen; one that is missing never does.
    pub faults: Vec<(Fault, u8)>,
    /// Faults there may be in all.
    pub at_most: u8,
    /// Frames that may wait for a client; one more, and its connection ends as that of a slow reader. Once: who
    /// never reads would come back for ever.
    pub outbox: usize,
    /// Whether all that is under way is done before time passes.
    pub quick: bool,
    /// Nodes that have a reader from the beginning.
    pub readers: Vec<usize>,
    /// What must be met somewhere, so that the bound is wide enough.
    pub sometimes: fn() -> Vec<Property<Bounded>>,
    /// Worlds that are known to heal.
    pub healing: Healing,
}

/// Fingerprints of worlds that are known to heal, so that each world is healed once.
#[derive(Clone, Debug, Default)]
pub struct Healing(Arc<Mutex<HashSet<u64>>>);

impl Healing {
    /// What does not hold once all faults have stopped in a world.
    fn heal(&self, world: &World) -> Vec<Broken> {
        let known =
            &mut |world| self.0.lock().expect("no other thread has failed").contains(&world);
        let (broken, way) = world.heal_unless(known);
        if broken.is_empty() {
            self.0.lock().expect("no other thread has failed").extend(way);
        }
        broken
    }
}

/// A world, and what is left of the bounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The world.
    pub world: World,
    /// Whether some client was too slow.
    pub overflowed: bool,
    list: usize,
    wished: usize,
    spent: BTreeMap<Fault, u8>,
}

impl State {
    /// How often this fault has happened.
    #[must_use]
    pub fn spent(&self, fault: Fault) -> u8 {
        self.spent.get(&fault).copied().unwrap_or_default()
    }

    /// Whether the users have said all they wish, and all runs have ended.
    #[must_use]
    pub fn is_over(&self, model: &Bounded) -> bool {
        self.wished == model.wishes[self.list].len() && self.world.store.unfinished().is_empty()
    }
}

impl Bounded {
    /// Visits every state; see [`crate::prove`].
    ///
    /// # Panics
    /// As it does.
    pub fn prove(mut self, name: &str) -> usize {
        let bounds = self.bounds();
        if crate::is_deep() {
            self.at_most += 1;
            self.faults.iter_mut().for_each(|(_, most)| *most += 1);
        }
        crate::prove(name, &bounds, self)
    }

    /// In words.
    fn bounds(&self) -> String {
        let Setup { nodes, clients, work, .. } = &self.setup;
        let wishes = self.wishes.iter().map(Vec::len).max().unwrap_or_default();
        let faults: Vec<String> =
            self.faults.iter().map(|(fault, most)| format!("{fault:?} {most}")).collect();
        let mut narrow = match self.outbox {
            usize::MAX => String::new(),
            frames => format!(", outbox of {frames} frames"),
        };
        if self.quick {
            narrow += ", time passes when nothing is under way";
        }
        format!(
            "nodes {nodes}, clients {clients}, work {work:?}, wishes {wishes}{narrow}; faults at most {}: {}",
            self.at_most,
            faults.join(", ")
        )
    }

    fn allows(&self, state: &State, op: Op) -> bool {
        cost(op).is_none_or(|fault| self.may(state, fault))
    }

    fn may(&self, state: &State, fault: Fault) -> bool {
        let most = self.faults.iter().find(|(kind, _)| *kind == fault).map_or(0, |(_, most)| *most);
        let spent = state.spent.get(&fault).copied().unwrap_or_default();
        // Time that passes is no fault.
        let faults = state.spent.iter().filter(|(kind, _)| **kind != Fault::Pass);
        let faults: u8 = faults.map(|(_, spent)| spent).sum();
        spent < most && (fault == Fault::Pass || faults < self.at_most)
    }
}

impl Bounded {
    /// What the run-time does when an outbox overflows: what waits is dropped, and both ends learn it. Whether
    /// there was one.
    fn ends_slow_readers(&self, world: &mut World) -> bool {
        let mut found = false;
        for index in 0..world.seats.len() {
            let seat = &world.seats[index];
            if let Socket::Open { connection_id, .. } = seat.socket
                && seat.coming() > self.outbox
            {
                world.cut(index, Some(CloseCode::SlowReader.code()));
                world.lose(connection_id);
                found = true;
            }
        }
        found
    }
}

impl Model for Bounded {
    type State = State;
    type Action = Op;

    fn init_states(&self) -> Vec<State> {
        let mut world = World::new(self.setup.clone());
        for at in &self.readers {
            world.attach(*at, Vec::new());
        }
        (0..self.wishes.len())
            .map(|list| State {
                world: world.clone(),
                overflowed: false,
                list,
                wished: 0,
                spent: BTreeMap::new(),
            })
            .collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Op>) {
        // What is broken is reported; there is nothing to see behind it.
        if !state.world.broken.is_empty() {
            return;
        }
        actions.extend(self.wishes[state.list].get(state.wished));
        actions.extend(state.world.ops().into_iter().filter(|op| self.allows(state, *op)));
        let home = state.world.nodes.len() == 1;
        if self.quick && actions.iter().any(|op| cost(*op).is_none()) {
            actions.retain(|op| *op != Op::Pass);
        }
        // Of a lone process nothing lands after its next start: whether it landed before is enough.
        if home && state.world.nodes[HOME].hub.is_some() {
            actions.retain(|op| !matches!(op, Op::Vanish(_)));
        }
    }

    fn next_state(&self, state: &State, op: Op) -> Option<State> {
        let mut next = state.clone();
        let wish = self.wishes[state.list].get(state.wished) == Some(&op);
        if wish {
            next.wished += 1;
        } else if let Some(fault) = cost(op) {
            *next.spent.entry(fault).or_default() += 1;
        }
        let happens = next.world.apply(op) || wish;
        next.overflowed = state.overflowed || self.ends_slow_readers(&mut next.world);
        if !self.may(&next, Fault::Repeat) {
            next.world.never_repeats();
        }
        if !self.may(&next, Fault::LateAgent) {
            next.world.never_unstopped();
        }
        if !self.may(&next, Fault::LateTool) {
            next.world.never_late();
        }
        if !self.may(&next, Fault::Ghost) {
            next.world.never_haunted();
        }
        // Nothing happened: no state of its own, unless a wish has come to nothing.
        happens.then_some(next).filter(|next| next != state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("every invariant of the simulator", |_, state: &State| {
                let broken = state.world.check();
                broken.iter().for_each(|broken| eprintln!("{broken}"));
                broken.is_empty()
            }),
            Property::always(
                "in the end quiescence stays reachable",
                |model: &Self, state: &State| {
                    let broken = model.healing.heal(&state.world);
                    broken.iter().for_each(|broken| eprintln!("{broken}"));
                    broken.is_empty()
                },
            ),
            Property::sometimes("all is said and done", |model: &Self, state: &State| {
                state.is_over(model)
            }),
        ];
        properties.extend((self.sometimes)());
        properties
    }
}
