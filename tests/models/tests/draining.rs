//! A process with runs at work that is told to stop: the real drain, hub and run between clients and a store; the
//! signal at any moment, a second one at any moment after it, and the next process, which goes on with what is left.

use goldenpath_core::health::{Drain, DrainInput, DrainOutput};
use goldenpath_core::hub::Input;
use goldenpath_core::id::{ConnectionId, RunId};
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Mono};
use goldenpath_core::wire::RunStatus;
use goldenpath_models::{bound, each_rule_has_its_row, prove};
use goldenpath_simulator::{Fate, HOME, Op, Setup, Talk, ToolEnd, Witness, Work, World};
use stateright::{Model, Property};
use std::collections::BTreeSet;

const FIRST: Op = Op::Say(0, Talk::new(0, None));
const IN_ANOTHER_THREAD: Op = Op::Say(0, Talk::new(2, None));
const IN_THE_SAME: Op = Op::Say(0, Talk::new(1, Some(0)));

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Act {
    /// What happens in every world.
    World(Op),
    Signal,
    /// Once more: the process ends at once.
    SignalAgain,
    /// Everybody sleeps to the first deadline.
    Deadline,
}

/// A process, and what the run-time does between its drain and its hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process {
    world: World,
    drain: Drain,
    /// Runs and connections the drain knows of.
    counted: (u64, u64),
    list: usize,
    wished: usize,
    faults_left: u8,
    signal: Option<Mono>,
    /// Runs at work when it came, and runs that waited.
    at_signal: BTreeSet<RunId>,
    /// Runs that waited when it came.
    queued_at_signal: BTreeSet<RunId>,
    /// How many messages had been said.
    said_at_signal: usize,
    /// Whether it ended by itself, and clean; `None` while it lives, and when it was ended.
    stopped: Option<bool>,
    ended_at_once: bool,
    is_next: bool,
    wrong: Option<&'static str>,
}

struct Draining {
    setup: Setup,
    wishes: Vec<Vec<Op>>,
    faults: u8,
    /// What must be met somewhere, so that the bound is wide enough.
    sometimes: fn() -> Vec<Property<Draining>>,
}

impl Process {
    fn new(model: &Draining, list: usize) -> Self {
        let mut world = World::new(model.setup.clone());
        world.attach(HOME, Vec::new());
        Self {
            world,
            drain: Drain::new(&model.setup.limits, Seed::new(3)),
            counted: (0, 0),
            list,
            wished: 0,
            faults_left: model.faults,
            signal: None,
            at_signal: BTreeSet::new(),
            queued_at_signal: BTreeSet::new(),
            said_at_signal: 0,
            stopped: None,
            ended_at_once: false,
            is_next: false,
            wrong: None,
        }
    }

    fn is_alive(&self) -> bool {
        self.world.home().hub.is_some()
    }

    fn is_draining(&self) -> bool {
        self.signal.is_some() && self.is_alive() && !self.is_next
    }

    fn load(&self) -> (u64, u64) {
        let open = self.world.readers.values().filter(|reader| reader.closed.is_none()).count();
        (self.world.home().tasks.len() as u64, open as u64)
    }

    fn deadline(&self) -> Option<Mono> {
        let drain = match self.drain.clone().poll_output() {
            DrainOutput::Idle(deadline) => deadline,
            _ => None,
        };
        [drain, self.world.deadline()].into_iter().flatten().min()
    }

    fn after(&self, model: &Draining, act: Act) -> Option<Self> {
        let mut next = self.clone();
        match act {
            Act::World(op) => {
                let wish = model.wishes[self.list].get(self.wished) == Some(&op);
                next.wished += usize::from(wish);
                if matches!(op, Op::Answer(_, _, fate) if fate != Fate::Well) {
                    next.faults_left = self.faults_left.checked_sub(1)?;
                }
                next.is_next |= matches!(op, Op::Start(_));
                if !next.world.apply(op) && !wish {
                    return None;
                }
            }
            Act::Signal => next.begin(&model.setup.limits),
            Act::SignalAgain => {
                next.ended_at_once = true;
                next.world.crash_at(HOME);
            }
            Act::Deadline => {
                let at = self.deadline()?;
                next.world.pass(at.since(self.world.now.mono));
                next.drain.handle_timeout(next.world.now.mono);
            }
        }
        next.world.never_repeats();
        next.world.never_haunted();
        next.world.never_late();
        next.world.never_unstopped();
        if next.is_draining() {
            next.counts();
            next.obeys();
            next.judge(model);
        }
        (next != *self).then_some(next)
    }

    /// As the run-time begins it: who is there is counted first.
    fn begin(&mut self, limits: &Limits) {
        self.drain = Drain::new(limits, Seed::new(3));
        self.counted = self.load();
        for _ in 0..self.counted.0 {
            self.drain.admit_run().expect("a machine that serves admits everything");
        }
        for _ in 0..self.counted.1 {
            self.drain.admit_connection().expect("a machine that serves admits everything");
        }
        let now = self.world.now.mono;
        self.signal = Some(now);
        self.at_signal = self.world.home().tasks.keys().copied().collect();
        let queued =
            self.world.store.runs.iter().filter(|(_, run)| run.status == RunStatus::Queued);
        self.queued_at_signal = queued.map(|(run_id, _)| *run_id).collect();
        self.said_at_signal = self.wished;
        self.drain.handle_input(now, DrainInput::Begin);
    }

    /// The run-time counts who is left.
    fn counts(&mut self) {
        let now = self.world.now.mono;
        let left = self.load();
        for _ in left.0..self.counted.0 {
            self.drain.handle_input(now, DrainInput::RunEnded);
        }
        for _ in left.1..self.counted.1 {
            self.drain.handle_input(now, DrainInput::ConnectionEnded);
        }
        self.counted = (left.0.min(self.counted.0), left.1.min(self.counted.1));
    }

    /// Does what the drain says, as the run-time does it.
    fn obeys(&mut self) {
        loop {
            let output = self.drain.poll_output();
            if let DrainOutput::Idle(_) = output {
                return;
            }
            self.does(output);
            if self.stopped.is_some() {
                return;
            }
            self.counts();
        }
    }

    fn does(&mut self, output: DrainOutput) {
        match output {
            DrainOutput::StopAccepting => self.world.input(HOME, Input::Drain),
            // A socket's own business: the other model of the drain has sockets.
            DrainOutput::Idle(_) | DrainOutput::TellConnections => {}
            DrainOutput::ReleaseRuns => {
                let runs: Vec<RunId> = self.world.home().tasks.keys().copied().collect();
                runs.into_iter().for_each(|run_id| self.world.die(HOME, run_id));
                self.world.never_haunted();
            }
            DrainOutput::CloseConnections => {
                let open: Vec<ConnectionId> = self.world.readers.keys().copied().collect();
                open.into_iter().for_each(|id| self.world.detach(id));
            }
            DrainOutput::Stopped { clean } => {
                let waited =
                    self.at_signal.iter().any(|id| self.world.home().tasks.contains_key(id));
                if clean && (waited || self.load().1 > 0) {
                    self.finds("DRAIN-01 clean, with something open");
                }
                self.stopped = Some(clean);
                self.world.crash_at(HOME);
            }
        }
    }

    /// What is found first is told.
    fn finds(&mut self, wrong: &'static str) {
        self.wrong.get_or_insert(wrong);
    }

    fn judge(&mut self, model: &Draining) {
        let Some(signal) = self.signal else { return };
        let limits = &model.setup.limits;
        // What was on its way to the store at the signal may begin yet; what waited may not.
        let mut at_work = self.world.home().tasks.keys();
        if at_work.any(|run_id| self.queued_at_signal.contains(run_id)) {
            self.finds("DRAIN-07 a run that waited began after the signal");
        }
        let said = model.wishes[self.list][..self.said_at_signal].iter();
        let said: BTreeSet<String> = said.filter_map(name).collect();
        let mut stored = self.world.store.messages.keys();
        if stored.any(|one| !said.contains(one.as_str())) {
            self.finds("DRAIN-07 a message was taken after the signal");
        }
        let now = self.world.now.mono;
        let half = Millis(limits.drain_deadline.0 / 2);
        let (runs, open) = self.load();
        if signal.after(half) <= now && runs + open > 0 && self.counted != (0, 0) {
            self.finds("DRAIN-03 a run or a reader is left after half of the time");
        }
        if signal.after(limits.drain_deadline) <= now && self.is_alive() {
            self.finds("DRAIN-01 not stopped at the deadline");
        }
    }

    /// The signal comes, if it has not, and nobody helps: it stops, and the next process answers all that was
    /// acknowledged.
    fn ends_well(&self, model: &Draining) -> bool {
        let begun = match self.signal {
            Some(_) => Some(self.clone()),
            None => self.after(model, Act::Signal),
        };
        let Some(mut state) = begun else { return false };
        for _ in 0..200 {
            if !state.is_draining() {
                let broken = state.world.heal();
                broken.iter().for_each(|broken| eprintln!("{broken}"));
                return state.wrong.is_none() && broken.is_empty();
            }
            match state.after(model, Act::Deadline) {
                Some(next) => state = next,
                None => return false,
            }
        }
        false
    }
}

impl Model for Draining {
    type State = Process;
    type Action = Act;

    fn init_states(&self) -> Vec<Process> {
        (0..self.wishes.len()).map(|list| Process::new(self, list)).collect()
    }

    fn actions(&self, state: &Process, acts: &mut Vec<Act>) {
        if state.wrong.is_some() || !state.world.broken.is_empty() {
            return;
        }
        let ops = state.world.ops().into_iter().filter(|op| match op {
            Op::Answer(_, _, fate) => {
                *fate == Fate::Well
                    || (!state.is_next && matches!(fate, Fate::DoneUnheard | Fate::Down))
            }
            Op::EndTool(_, _, end) => *end == ToolEnd::Returns,
            Op::Move(..) | Op::Speak(..) | Op::Start(_) | Op::Land(_) | Op::Vanish(_) => true,
            _ => false,
        });
        acts.extend(ops.map(Act::World));
        if !state.is_next {
            let wish = self.wishes[state.list].get(state.wished).filter(|_| state.is_alive());
            acts.extend(wish.copied().map(Act::World));
        }
        match state.signal {
            None => acts.push(Act::Signal),
            Some(_) if state.is_draining() => acts.extend([Act::SignalAgain, Act::Deadline]),
            Some(_) => {}
        }
    }

    fn next_state(&self, state: &Process, act: Act) -> Option<Process> {
        state.after(self, act)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(
                "DRAIN-01 DRAIN-03 DRAIN-07 nothing begins, all ends in time",
                |_, s: &Process| s.wrong.is_none(),
            ),
            Property::always("every invariant of the simulator", |_, s: &Process| {
                let broken = s.world.check();
                broken.iter().for_each(|broken| eprintln!("{broken}"));
                broken.is_empty()
            }),
            Property::always(
                "in the end DRAIN-06 the next process answers what was acknowledged",
                |m: &Self, s: &Process| s.is_next || s.ends_well(m),
            ),
        ];
        properties.extend((self.sometimes)());
        properties
    }
}

/// The client's name for what a wish says.
fn name(wish: &Op) -> Option<String> {
    match wish {
        Op::Say(_, talk) => Some(format!("m{}", talk.name)),
        _ => None,
    }
}

fn of_one() -> Vec<Property<Draining>> {
    vec![
        Property::sometimes("leases handed over", |_, s: &Process| {
            !s.at_signal.is_empty()
                && s.stopped == Some(true)
                && !s.world.store.unfinished().is_empty()
        }),
        Property::sometimes("a second signal while a run is at work", |_, s: &Process| {
            s.ended_at_once && !s.world.store.unfinished().is_empty()
        }),
        Property::sometimes("the next process goes on with a run", |_, s: &Process| {
            s.is_next && s.world.home().tasks.values().any(|task| task.fence.0 > 1)
        }),
        Property::sometimes("a write lands after its process ended", |_, s: &Process| {
            s.world.seen.0.has(Witness::LandedLate)
        }),
    ]
}

fn of_two() -> Vec<Property<Draining>> {
    let mut properties = of_one();
    properties.extend([
        Property::sometimes("two runs at work at the signal", |_, s: &Process| {
            s.at_signal.len() == 2
        }),
        Property::sometimes("both end by themselves, and it stops clean", |_, s: &Process| {
            s.stopped == Some(true)
                && s.at_signal.len() == 2
                && s.world.store.unfinished().is_empty()
        }),
        Property::sometimes("a run waits at the signal", |_, s: &Process| {
            !s.queued_at_signal.is_empty() && !s.at_signal.is_empty()
        }),
    ]);
    properties
}

fn model(work: Work, wishes: &[&[Op]], sometimes: fn() -> Vec<Property<Draining>>) -> Draining {
    let setup = Setup { work, wall_stands: true, ..Setup::default() };
    Draining {
        setup,
        wishes: wishes.iter().map(|list| list.to_vec()).collect(),
        faults: bound(1, 2),
        sometimes,
    }
}

#[test]
fn whenever_a_process_is_told_to_stop_its_runs_end_or_go_on_in_the_next_one() {
    let wishes: &[&[Op]] = &[&[FIRST, IN_ANOTHER_THREAD], &[FIRST, IN_THE_SAME]];
    prove(
        "drain_of_runs",
        "runs 2, in one thread or two; the signal at any time, a second one at any time after it; writes that \
         fail or are not heard of: 1; then the next process",
        model(Work::Answer, wishes, of_two),
    );
}

/// The same with the real run machine: two agents that move, and a tool that must not be called twice.
#[test]
fn whenever_a_process_is_told_to_stop_a_real_run_ends_or_goes_on_in_the_next_one() {
    prove(
        "drain_of_a_team",
        "runs 1, with two agents and a tool that is not repeatable; the signal at any time, a second one at any \
         time after it; writes that fail or are not heard of: 1; then the next process",
        model(Work::Effects, &[&[FIRST]], of_one),
    );
}

/// What is to be found, and how a process with a run at work is tampered with so that it is.
type Row = (&'static str, fn(&mut Process, &Draining));

const ROWS: [Row; 5] = [
    ("DRAIN-01 clean, with something open", |process, _| {
        process.does(DrainOutput::Stopped { clean: true });
    }),
    ("DRAIN-07 a run that waited began after the signal", |process, model| {
        process.queued_at_signal = process.at_signal.clone();
        process.judge(model);
    }),
    ("DRAIN-07 a message was taken after the signal", |process, model| {
        process.said_at_signal = 0;
        process.judge(model);
    }),
    ("DRAIN-03 a run or a reader is left after half of the time", |process, model| {
        overdue(process, model, 2);
    }),
    ("DRAIN-01 not stopped at the deadline", |process, model| {
        process.counted = (0, 0);
        overdue(process, model, 1);
    }),
];

/// This part of the time for a drain has passed, and nothing has happened.
fn overdue(process: &mut Process, model: &Draining, part: u64) {
    let now = &mut process.world.now.mono;
    *now = now.after(Millis(model.setup.limits.drain_deadline.0 / part));
    process.judge(model);
}

/// Each rule can fail, and none is without its row.
#[test]
fn whatever_is_tampered_with_that_rule_says_so() {
    let model = model(Work::Answer, &[&[FIRST, IN_ANOTHER_THREAD]], of_two);
    for (wrong, tamper) in ROWS {
        let mut process = Process::new(&model, 0);
        for act in [Act::World(FIRST), Act::World(Op::Answer(0, 0, Fate::Well)), Act::Signal] {
            process = process.after(&model, act).expect("it happens");
        }
        assert_eq!((process.at_signal.len(), process.wrong), (1, None));
        tamper(&mut process, &model);
        assert_eq!(process.wrong, Some(wrong));
    }
    each_rule_has_its_row(include_str!("draining.rs"), ROWS.map(|(wrong, _)| wrong));
}
