//! What can happen: the one generator of operations.

use crate::invariant::Witness;
use crate::node::{Fate, Pending};
use crate::reader::Reader;
use crate::seat::Socket;
use crate::team::{Team, ToolEnd};
use crate::world::{World, message, points};
use goldenpath_core::id::{ConnectionId, RunId, ThreadId};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{ClientBody, CloseCode, MultitaskStrategy, OnDisconnect, UserMessage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One thing that happens. A number picks among what there is, and wraps around; when there is
/// nothing to pick, nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// The store answers a question of a node.
    Answer(usize, usize, Fate),
    /// A reader comes to a node.
    Attach(usize),
    /// A run is cancelled by a reader.
    Cancel(usize),
    /// A reader that was sent away goes on where the lease is.
    ComeBack(usize),
    /// A process dies.
    Crash(usize),
    /// The socket of a client breaks.
    Cut(usize),
    /// The dial of a client is answered by a node, or fails.
    Dial(usize, usize, bool),
    /// A reader goes.
    Detach(usize),
    /// The task of a run dies.
    Die(usize, usize),
    /// A tool of a run ends.
    EndTool(usize, usize, ToolEnd),
    /// A task that was replaced speaks.
    Ghost(usize),
    /// The next frame reaches a client.
    Hear(usize),
    /// A write nobody waits for lands.
    Land(usize),
    /// An agent that its run has stopped speaks all the same. Models choose it; none is drawn.
    LateAgent(usize, usize),
    /// A tool that its run has given up ends all the same.
    LateTool(usize, usize, ToolEnd),
    /// A client reads a whole log.
    Load(usize, bool),
    /// A server learns that a socket is dead.
    Lose(usize),
    /// The agent whose turn it is moves.
    Move(usize, usize),
    /// Time passes until the next deadline.
    Pass,
    /// Some time passes, in milliseconds.
    PassFor(u16),
    /// The next frame of a client reaches its server.
    Reach(usize),
    /// The last answer of a store comes again.
    Repeat(usize),
    /// A run is told again what it was told last.
    RepeatToRun(usize, usize),
    /// A reader leaves and comes back at the position reached.
    Return(usize),
    /// A reader sends a message.
    Say(usize, Talk),
    /// A node takes the lease over, and claims what is unfinished.
    Seize(usize),
    /// A client is given a message.
    Send(usize, Talk),
    /// Civil time of a node is set, by so many minutes.
    SetClock(usize, i16),
    /// The task of a run says its next lines.
    Speak(usize, usize, u8),
    /// A node stands still, for so many seconds.
    StandStill(usize, u16),
    /// A dead process starts.
    Start(usize),
    /// A node takes the lease over.
    TakeOver(usize),
    /// A write nobody waits for is lost.
    Vanish(usize),
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Talk {
    /// Its name; the same name is the same message.
    pub name: u8,
    /// Which thread there is; `None`: a new one.
    pub thread: Option<u8>,
    /// What becomes of a run at work.
    pub strategy: MultitaskStrategy,
    /// Whether its run ends with its client.
    pub cancel_with_client: bool,
}

/// Where the numbers come from that decide what happens.
pub trait Source {
    /// A number below `most`; `None` at the end.
    fn draw(&mut self, most: u8) -> Option<u8>;
}

/// Bytes as a source: what property tests and fuzzing have.
#[derive(Clone, Debug)]
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// One number for each byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl Source for Bytes<'_> {
    fn draw(&mut self, most: u8) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first % most.max(1))
    }
}

/// A seed never ends: whoever draws from it counts.
impl Source for Seed {
    fn draw(&mut self, most: u8) -> Option<u8> {
        Some(self.below(u64::from(most.max(1))) as u8)
    }
}

/// How often each kind happens, out of all; the first ones are the simplest.
const KINDS: [(u8, Kind); 30] = [
    (14, Kind::Answer),
    (10, Kind::Speak),
    (8, Kind::Say),
    (6, Kind::Pass),
    (8, Kind::Hear),
    (6, Kind::Reach),
    (4, Kind::Dial),
    (5, Kind::Send),
    (8, Kind::Move),
    (4, Kind::EndTool),
    (2, Kind::Attach),
    (2, Kind::Return),
    (2, Kind::PassFor),
    (2, Kind::Cancel),
    (1, Kind::Detach),
    (1, Kind::Cut),
    (1, Kind::Lose),
    (1, Kind::Die),
    (1, Kind::Ghost),
    (1, Kind::Repeat),
    (1, Kind::RepeatToRun),
    (1, Kind::Crash),
    (3, Kind::Start),
    (2, Kind::Land),
    (1, Kind::TakeOver),
    (1, Kind::Load),
    (1, Kind::Seize),
    (2, Kind::SetClock),
    (1, Kind::StandStill),
    (2, Kind::LateTool),
];

#[derive(Clone, Copy)]
enum Kind {
    Answer,
    Attach,
    Cancel,
    Crash,
    Cut,
    Detach,
    Dial,
    Die,
    EndTool,
    Ghost,
    Hear,
    Land,
    LateTool,
    Load,
    Lose,
    Move,
    Pass,
    PassFor,
    Reach,
    Repeat,
    RepeatToRun,
    Return,
    Say,
    Seize,
    Send,
    SetClock,
    Speak,
    StandStill,
    Start,
    TakeOver,
}

impl Op {
    /// The next operation; `None` when the source has ended.
    pub fn draw(source: &mut impl Source) -> Option<Self> {
        let all: u8 = KINDS.iter().map(|(weight, _)| weight).sum();
        let mut at = source.draw(all)?;
        let (_, kind) = KINDS.into_iter().find(|(weight, _)| {
            let found = at < *weight;
            at = at.wrapping_sub(*weight);
            found
        })?;
        let node = |source: &mut _| index(source, 2);
        Some(match kind {
            Kind::Answer => {
                let fate = [
                    Fate::Well,
                    Fate::Well,
                    Fate::Well,
                    Fate::Well,
                    Fate::Well,
                    Fate::Well,
                    Fate::Down,
                    Fate::DoneUnheard,
                    Fate::LostUnheard,
                    Fate::DoneLater,
                ];
                Self::Answer(node(source)?, index(source, 4)?, fate[index(source, 10)?])
            }
            Kind::Attach => Self::Attach(node(source)?),
            Kind::Cancel => Self::Cancel(index(source, 4)?),
            Kind::Crash => Self::Crash(node(source)?),
            Kind::Cut => Self::Cut(index(source, 2)?),
            Kind::Detach => Self::Detach(index(source, 4)?),
            Kind::Dial => Self::Dial(index(source, 2)?, node(source)?, source.draw(8)? != 7),
            Kind::Die => Self::Die(node(source)?, index(source, 4)?),
            Kind::EndTool => {
                let ends = [ToolEnd::Returns, ToolEnd::FailsForNow, ToolEnd::Fails];
                Self::EndTool(node(source)?, index(source, 4)?, ends[index(source, 3)?])
            }
            Kind::Ghost => Self::Ghost(node(source)?),
            Kind::Hear => Self::Hear(index(source, 2)?),
            Kind::Land if source.draw(2)? == 0 => Self::Land(index(source, 4)?),
            Kind::Land => Self::Vanish(index(source, 4)?),
            Kind::LateTool => {
                let ends = [ToolEnd::Returns, ToolEnd::FailsForNow, ToolEnd::Fails];
                Self::LateTool(node(source)?, index(source, 4)?, ends[index(source, 3)?])
            }
            Kind::Load => Self::Load(index(source, 2)?, source.draw(4)? != 3),
            Kind::Lose => Self::Lose(index(source, 4)?),
            Kind::Move => Self::Move(node(source)?, index(source, 4)?),
            Kind::Pass => Self::Pass,
            Kind::PassFor => Self::PassFor(u16::from(source.draw(250)?) * 16 + 1),
            Kind::Reach => Self::Reach(index(source, 2)?),
            Kind::Repeat => Self::Repeat(node(source)?),
            Kind::RepeatToRun => Self::RepeatToRun(node(source)?, index(source, 4)?),
            Kind::Return => Self::Return(index(source, 4)?),
            Kind::Say => Self::Say(index(source, 4)?, Talk::draw(source)?),
            Kind::Seize => Self::Seize(node(source)?),
            Kind::Send => Self::Send(index(source, 2)?, Talk::draw(source)?),
            Kind::SetClock => {
                let hours = i16::from(source.draw(13)?) - 6;
                Self::SetClock(node(source)?, hours * 60 + 1)
            }
            Kind::Speak => Self::Speak(node(source)?, index(source, 4)?, source.draw(3)? + 1),
            Kind::StandStill => {
                let spans = [1, 3, 30, 600, 7_200, 43_200];
                Self::StandStill(node(source)?, spans[index(source, 6)?])
            }
            Kind::Start => Self::Start(node(source)?),
            Kind::TakeOver => Self::TakeOver(node(source)?),
        })
    }
}

fn index(source: &mut impl Source, most: u8) -> Option<usize> {
    source.draw(most).map(usize::from)
}

impl Talk {
    /// A message with this name in a thread, or in one of its own.
    #[must_use]
    pub const fn new(name: u8, thread: Option<u8>) -> Self {
        let strategy = MultitaskStrategy::Enqueue;
        Self { name, thread, strategy, cancel_with_client: false }
    }

    /// The same with what becomes of a run at work.
    #[must_use]
    pub const fn with(self, strategy: MultitaskStrategy) -> Self {
        Self { strategy, ..self }
    }

    fn draw(source: &mut impl Source) -> Option<Self> {
        let (name, choice) = (source.draw(12)?, source.draw(48)?);
        // Half of all messages open a thread; the name decides, so that a repeat is a repeat.
        let thread = (name % 2 == 1).then_some(choice % 4);
        let strategy = match choice / 4 % 6 {
            4 => MultitaskStrategy::Reject,
            5 => MultitaskStrategy::Interrupt,
            _ => MultitaskStrategy::Enqueue,
        };
        Some(Self { name, thread, strategy, cancel_with_client: choice >= 24 })
    }

    fn message(self, world: &World, prefix: &str) -> UserMessage {
        let thread_id = self.thread.and_then(|nth| pick(&world.store.threads, usize::from(nth)));
        let mut message = message(&format!("{prefix}{}", self.name), thread_id);
        message.multitask = self.strategy;
        if self.cancel_with_client {
            message.on_disconnect = OnDisconnect::Cancel;
        }
        message
    }
}

fn pick<K: Copy, V>(map: &BTreeMap<K, V>, index: usize) -> Option<K> {
    let len = map.len();
    (len > 0).then(|| map.keys().nth(index % len).copied()).flatten()
}

impl World {
    /// Lets it happen. Whether anything could.
    pub fn apply(&mut self, op: Op) -> bool {
        let nodes = self.nodes.len();
        match op {
            Op::Answer(at, index, fate) => {
                let waiting = self.nodes[at % nodes].pending.len();
                if waiting == 0 {
                    return false;
                }
                self.answer_at(at % nodes, index % waiting, fate);
            }
            Op::Attach(at) => {
                if self.nodes[at % nodes].hub.is_none() {
                    return false;
                }
                self.attach(at % nodes, Vec::new());
            }
            Op::Cancel(index) => {
                let (Some(run_id), Some(reader)) = (pick(&self.store.runs, index), self.speaker(0))
                else {
                    return false;
                };
                self.command(reader, ClientBody::CancelRun { run_id: Some(run_id) });
            }
            Op::ComeBack(index) => {
                let (away, holder) = (self.sent_away(), self.lease.unwrap_or_default());
                let Some(id) = away.get(index % away.len().max(1)) else { return false };
                self.moves_to(*id, holder);
            }
            Op::Crash(at) => self.crash_at(at % nodes),
            Op::Cut(index) => return self.at_seat(index, |world, index| world.cut(index, None)),
            Op::Dial(index, at, works) => {
                return self.at_seat(index, |world, index| world.dialed(index, at % nodes, works));
            }
            Op::Detach(index) => {
                let Some(reader) = self.speaker(index) else { return false };
                self.detach(reader);
            }
            Op::Die(at, index) => {
                return self.at_task(at, index, |world, at, run_id| world.die(at, run_id));
            }
            Op::EndTool(at, index, end) => {
                return self.at_task(at, index, |world, at, run_id| {
                    world.drive(at, run_id, |team, now| team.tool(now, 0, end));
                });
            }
            Op::Ghost(at) => self.ghost_speaks(at % nodes),
            Op::Hear(index) => return self.at_seat(index, Self::hear),
            Op::Land(index) => {
                let late = self.late.len().max(1);
                self.land(index % late);
            }
            Op::LateAgent(at, index) => {
                return self.at_task(at, index, |world, at, run_id| {
                    if world.team(at, run_id).is_some_and(|team| team.stopped() > 0) {
                        world.note(Witness::StoppedAgent);
                    }
                    world.drive(at, run_id, |team, now| team.stopped_agent(now));
                });
            }
            Op::LateTool(at, index, end) => {
                return self.at_task(at, index, |world, at, run_id| {
                    if world.team(at, run_id).is_some_and(|team| team.late() > 0) {
                        world.note(Witness::LateResult);
                    }
                    world.drive(at, run_id, |team, now| team.late_tool(now, 0, end));
                });
            }
            Op::Load(index, works) => {
                return self.at_seat(index, |world, index| world.loaded(index, works));
            }
            Op::Lose(index) => {
                let dead = self.readers.iter().filter(|(_, reader)| reader.half_open);
                let dead: Vec<ConnectionId> = dead.map(|(id, _)| *id).collect();
                let Some(id) = dead.get(index % dead.len().max(1)) else { return false };
                self.lose(*id);
            }
            Op::Move(at, index) => {
                return self.at_task(at, index, |world, at, run_id| {
                    world.drive(at, run_id, |team, now| team.moves(now, 0));
                });
            }
            Op::Pass => self.pass_to_deadline(),
            Op::PassFor(span) => self.pass(Millis(u64::from(span))),
            Op::Reach(index) => return self.at_seat(index, Self::reach),
            Op::Repeat(at) => self.repeat_answer(at % nodes),
            Op::RepeatToRun(at, index) => {
                return self.at_task(at, index, |world, at, run_id| {
                    if world.team(at, run_id).is_some_and(Team::can_repeat_a_result) {
                        world.note(Witness::ResultTwice);
                    }
                    world.drive(at, run_id, |team, now| team.repeat(now));
                });
            }
            Op::Return(index) => {
                let Some(id) = self.speaker(index) else { return false };
                self.comes_back(id);
            }
            Op::Say(index, talk) => {
                let Some(reader) = self.speaker(index) else { return false };
                self.say(reader, talk.message(self, "m"));
            }
            Op::Seize(at) => self.seize(at % nodes),
            Op::Send(index, talk) => {
                return self.at_seat(index, |world, index| {
                    let message = talk.message(world, &format!("s{index}m"));
                    world.send(index, message);
                });
            }
            Op::SetClock(at, minutes) => self.set_clock(at % nodes, i64::from(minutes) * 60_000),
            Op::Speak(at, index, count) => {
                return self.at_task(at, index, |world, at, run_id| {
                    world.speak_at(at, run_id, usize::from(count));
                });
            }
            Op::StandStill(at, seconds) => {
                self.stands_still(at % nodes, Millis::from_secs(u64::from(seconds)));
            }
            Op::Start(at) => self.start_at(at % nodes),
            Op::TakeOver(at) => self.take_over(at % nodes),
            Op::Vanish(index) => {
                if !self.late.is_empty() {
                    let late = self.late.len();
                    self.late.remove(index % late);
                }
            }
        }
        true
    }

    /// A reader without a machine of its own that may speak.
    fn speaker(&self, index: usize) -> Option<ConnectionId> {
        let may = self.readers.iter().filter(|(_, reader)| {
            reader.seat.is_none() && reader.closed.is_none() && reader.attached
        });
        let may: Vec<ConnectionId> = may.map(|(id, _)| *id).collect();
        may.get(index % may.len().max(1)).copied()
    }

    /// Readers without a machine of their own whose hub was given up.
    pub(crate) fn sent_away(&self) -> Vec<ConnectionId> {
        let away = |reader: &Reader| {
            reader.seat.is_none() && reader.closed == Some(CloseCode::Restarting.code())
        };
        self.readers.iter().filter(|(_, reader)| away(reader)).map(|(id, _)| *id).collect()
    }

    fn comes_back(&mut self, id: ConnectionId) {
        let Some(left) = self.readers.get(&id) else { return };
        self.moves_to(id, left.node);
    }

    /// A reader leaves, or has been sent away, and goes on at a node from the position reached.
    pub(crate) fn moves_to(&mut self, id: ConnectionId, at: usize) {
        let Some(left) = self.readers.get(&id).cloned() else { return };
        self.detach(id);
        let epoch = |thread_id: ThreadId| self.store.threads.get(&thread_id).map(|log| log.epoch);
        let points = points(&left, epoch);
        self.attach(at, points);
    }

    fn team(&self, at: usize, run_id: RunId) -> Option<&Team> {
        self.nodes[at].tasks.get(&run_id)?.team.as_deref()
    }

    fn at_seat(&mut self, index: usize, act: impl FnOnce(&mut Self, usize)) -> bool {
        let seats = self.seats.len();
        if seats > 0 {
            act(self, index % seats);
        }
        seats > 0
    }

    fn at_task(
        &mut self,
        at: usize,
        index: usize,
        act: impl FnOnce(&mut Self, usize, RunId),
    ) -> bool {
        let at = at % self.nodes.len();
        let Some(run_id) = pick(&self.nodes[at].tasks, index) else { return false };
        act(self, at, run_id);
        true
    }

    /// Everything that the world may do next, apart from what its users want: that is the model's to
    /// say. Exhaustive models choose among these.
    #[must_use]
    pub fn ops(&self) -> Vec<Op> {
        let mut ops = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            if node.hub.is_none() {
                ops.push(Op::Start(at));
                continue;
            }
            for (index, pending) in node.pending.iter().enumerate() {
                let fates = match pending {
                    Pending::Commit(..) => &Fate::ALL[..],
                    Pending::Load(..) | Pending::Record(_) => &[Fate::Well, Fate::Down],
                };
                ops.extend(fates.iter().map(|fate| Op::Answer(at, index, *fate)));
            }
            ops.extend(node.last.is_some().then_some(Op::Repeat(at)));
            ops.extend((!node.ghosts.is_empty()).then_some(Op::Ghost(at)));
            ops.push(Op::Crash(at));
            ops.extend((self.lease != Some(at)).then_some(Op::TakeOver(at)));
            for (index, task) in node.tasks.values().enumerate() {
                ops.push(Op::Die(at, index));
                let Some(team) = &task.team else {
                    ops.push(Op::Speak(at, index, 1));
                    continue;
                };
                ops.extend((team.movers() > 0).then_some(Op::Move(at, index)));
                ops.extend(team.can_repeat().then_some(Op::RepeatToRun(at, index)));
                let ends = [ToolEnd::Returns, ToolEnd::FailsForNow, ToolEnd::Fails];
                if team.calls() > 0 {
                    ops.extend(ends.map(|end| Op::EndTool(at, index, end)));
                }
                ops.extend((team.stopped() > 0).then_some(Op::LateAgent(at, index)));
                if team.late() > 0 {
                    ops.extend(ends.map(|end| Op::LateTool(at, index, end)));
                }
            }
        }
        for (index, seat) in self.seats.iter().enumerate() {
            match seat.socket {
                Socket::None => {}
                Socket::Dialing(_) => {
                    ops.extend((0..self.nodes.len()).map(|at| Op::Dial(index, at, true)));
                    ops.push(Op::Dial(index, 0, false));
                }
                Socket::Open { .. } => ops.push(Op::Cut(index)),
            }
            ops.extend((!seat.going.is_empty()).then_some(Op::Reach(index)));
            ops.extend((seat.coming() > 0).then_some(Op::Hear(index)));
            if seat.loads() > 0 {
                ops.extend([Op::Load(index, true), Op::Load(index, false)]);
            }
        }
        let dead = self.readers.values().filter(|reader| reader.half_open).count();
        ops.extend((0..dead).map(Op::Lose));
        let is_served = self.lease.is_some_and(|at| self.nodes[at].hub.is_some());
        let away = if is_served { self.sent_away().len() } else { 0 };
        ops.extend((0..away).map(Op::ComeBack));
        for index in 0..self.late.len() {
            ops.extend([Op::Land(index), Op::Vanish(index)]);
        }
        ops.extend(self.deadline().is_some().then_some(Op::Pass));
        ops
    }
}
