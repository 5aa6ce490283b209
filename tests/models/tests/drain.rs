//! A process that shuts down: the drain, real connections in every stage of their lives, runs that end
//! when they like or never.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use goldenpath_core::connection::{Connection, Input, Opening, Output};
use goldenpath_core::fault::End;
use goldenpath_core::handshake::{Accepted, Dialect, Presented};
use goldenpath_core::health::{Drain, DrainInput, DrainOutput};
use goldenpath_core::hub::HubReady;
use goldenpath_core::id::{ConnectionId, EffectId};
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Mono, Now, Wall};
use goldenpath_core::wire::{AuthMethod, ClientBody, CloseCode, Credential, Secret};
use goldenpath_models::{bound, each_rule_has_its_row, prove};
use goldenpath_simulator::identity;
use stateright::{Model, Property};
use std::sync::Arc;

const START: Now = Now { mono: Mono(1_000), wall: Wall(1_800_000_000_000) };
const HELLO: &str = r#"{"type":"user_message","id":"m","payload":{"content":"hello"}}"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Act {
    Begin,
    Connect,
    /// The next thing a connection waits for: the 101, its verdict, its hub.
    Advance(usize),
    Leave(usize),
    Ask(usize),
    RunEnds,
    /// Everybody sleeps to the first deadline.
    Deadline,
}

/// A socket and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Socket {
    machine: Connection,
    steps: u8,
    /// The server said that it drains.
    told: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process {
    drain: Drain,
    now: Now,
    sockets: Vec<Socket>,
    runs: u8,
    arrivals_left: u8,
    questions_left: u8,
    begun: Option<Mono>,
    released: bool,
    stopped: Option<bool>,
    wrong: Option<&'static str>,
    example: Option<&'static str>,
}

struct Server {
    limits: Arc<Limits>,
}

impl Process {
    fn new(limits: &Limits) -> Self {
        Self {
            drain: Drain::new(limits, Seed::new(3)),
            now: START,
            sockets: Vec::new(),
            runs: 0,
            arrivals_left: bound(3, 5),
            questions_left: bound(2, 3),
            begun: None,
            released: false,
            stopped: None,
            wrong: None,
            example: None,
        }
    }

    /// What is found first is told.
    fn finds(&mut self, wrong: &'static str) {
        self.wrong.get_or_insert(wrong);
    }

    fn deadline(&self) -> Option<Mono> {
        let drain = match self.drain.clone().poll_output() {
            DrainOutput::Idle(deadline) => deadline,
            _ => None,
        };
        let sockets = self.sockets.iter().map(|socket| due(&socket.machine));
        sockets.chain([drain]).flatten().min()
    }

    fn after(&self, act: Act, limits: &Arc<Limits>) -> Option<Self> {
        let mut next = Self { example: None, ..self.clone() };
        match act {
            Act::Begin => {
                if next.begun.is_none() {
                    next.begun = Some(next.now.mono);
                }
                next.drain.handle_input(next.now.mono, DrainInput::Begin);
            }
            Act::Connect => {
                next.arrivals_left = next.arrivals_left.checked_sub(1)?;
                match next.drain.admit_connection() {
                    Ok(()) if next.begun.is_some() => next.finds("DRAIN-07 let in"),
                    Ok(()) => {
                        let machine = connection(limits, next.now);
                        next.sockets.push(Socket { machine, steps: 0, told: false });
                    }
                    Err(_) => next.example = Some("turned away"),
                }
            }
            Act::Advance(at) => next.advance(at)?,
            Act::Leave(at) => next.input(at, Input::Lost),
            Act::Ask(at) => {
                next.questions_left = next.questions_left.checked_sub(1)?;
                next.input(at, Input::Text(HELLO));
            }
            Act::RunEnds => {
                next.runs = next.runs.checked_sub(1)?;
                next.drain.handle_input(next.now.mono, DrainInput::RunEnded);
            }
            Act::Deadline => {
                let due_at = self.deadline()?;
                next.now = self.now.after(due_at.since(self.now.mono));
                next.drain.handle_timeout(next.now.mono);
                for at in 0..next.sockets.len() {
                    if due(&next.sockets[at].machine).is_some_and(|due| due <= next.now.mono) {
                        let now = next.now;
                        next.sockets[at].machine.handle_timeout(now);
                        next.listen(at);
                    }
                }
            }
        }
        next.obey();
        next.bury();
        next.judge(act, limits);
        Some(next)
    }

    fn advance(&mut self, at: usize) -> Option<()> {
        let verdict = || Ok(identity("ada", Wall(u64::MAX >> 12)));
        let input = match self.sockets[at].steps {
            0 => Input::Upgraded,
            1 => Input::Verdict { effect: EffectId(0), verdict: verdict() },
            2 => Input::Attached(HubReady::default()),
            _ => return None,
        };
        self.sockets[at].steps += 1;
        self.input(at, input);
        Some(())
    }

    fn input(&mut self, at: usize, input: Input<'_>) {
        let now = self.now;
        self.sockets[at].machine.handle_input(now, input);
        self.listen(at);
    }

    /// What a connection says; a message that goes through starts a run.
    fn listen(&mut self, at: usize) {
        loop {
            match self.sockets[at].machine.poll_output() {
                Output::Idle(_) => return,
                Output::Send(frame) => {
                    self.sockets[at].told |= frame.as_str().contains(r#""server_draining""#);
                    if frame.as_str().contains(r#""shutting_down""#) {
                        self.example = Some("asked to come back");
                    }
                }
                Output::Forward { body: ClientBody::UserMessage(_), .. } => {
                    if self.begun.is_some() || self.drain.admit_run().is_err() {
                        self.finds("DRAIN-07 a run began");
                    }
                    self.runs += 1;
                }
                _ => {}
            }
        }
    }

    /// Does what the drain says.
    fn obey(&mut self) {
        loop {
            let output = self.drain.poll_output();
            if let DrainOutput::Idle(_) = output {
                return;
            }
            self.does(output);
        }
    }

    fn does(&mut self, output: DrainOutput) {
        if self.stopped.is_some() {
            self.finds("something after the end");
        }
        match output {
            DrainOutput::Idle(_) => {}
            DrainOutput::StopAccepting => {
                if self.drain.is_serving() {
                    self.finds("DRAIN-07 still serving");
                }
            }
            DrainOutput::TellConnections => {
                for at in 0..self.sockets.len() {
                    let reconnect_after = self.drain.reconnect_after();
                    self.input(at, Input::Drain { reconnect_after });
                }
            }
            DrainOutput::ReleaseRuns => {
                if self.runs == 0 || self.released {
                    self.finds("leases handed over for nothing");
                }
                self.released = true;
            }
            DrainOutput::CloseConnections => {
                for at in 0..self.sockets.len() {
                    self.input(at, Input::HubClose(CloseCode::Restarting));
                }
            }
            DrainOutput::Stopped { clean } => {
                let left = self.sockets.iter().any(|s| s.machine.end().is_none());
                if left || clean != (self.runs == 0 && self.drain.connections() == 0) {
                    self.finds("DRAIN-01 stopped with something open");
                }
                self.stopped = Some(clean);
            }
        }
    }

    /// Connections that are over are counted out; the drain may go on at that.
    fn bury(&mut self) {
        while let Some(at) = self.sockets.iter().position(|s| s.machine.end().is_some()) {
            let socket = self.sockets.remove(at);
            let upgraded = socket.steps > 0;
            let by_restart = socket.machine.end() == Some(End::Closed(CloseCode::Restarting));
            if by_restart && (self.begun.is_none() || (upgraded && !socket.told)) {
                self.finds("DRAIN-02 closed without a word");
            }
            self.drain.handle_input(self.now.mono, DrainInput::ConnectionEnded);
            self.obey();
        }
    }

    fn judge(&mut self, act: Act, limits: &Limits) {
        if self.drain.connections() != self.sockets.len() as u64 && self.stopped.is_none() {
            self.finds("the drain counts another number");
        }
        let Some(begun) = self.begun else { return };
        if self.sockets.iter().any(|socket| !socket.told) {
            self.finds("DRAIN-02 a connection was not told");
        }
        let now = self.now.mono;
        let passed = |span: Millis| begun.after(span) <= now;
        if act == Act::Deadline {
            if passed(limits.drain_deadline) && self.stopped.is_none() {
                self.finds("DRAIN-01 not stopped at the deadline");
            }
            if passed(Millis(limits.drain_deadline.0 / 2)) && self.runs > 0 && !self.released {
                self.finds("DRAIN-03 leases kept beyond half time");
            }
            if passed(limits.drain_linger) && !self.sockets.is_empty() {
                self.finds("DRAIN-01 a connection outlived its time");
            }
        }
        if self.sockets.is_empty() && self.runs == 0 && self.stopped.is_none() {
            self.finds("DRAIN-01 nothing left and not stopped");
        }
    }

    /// The signal comes, and nobody helps: it stops, with every connection told and closed.
    fn stops(&self, limits: &Arc<Limits>) -> bool {
        let Some(mut state) = self.after(Act::Begin, limits) else { return false };
        for _ in 0..10 {
            if state.stopped.is_some() {
                return state.wrong.is_none() && state.sockets.is_empty();
            }
            match state.after(Act::Deadline, limits) {
                Some(next) => state = next,
                None => return false,
            }
        }
        false
    }
}

fn due(machine: &Connection) -> Option<Mono> {
    match machine.clone().poll_output() {
        Output::Idle(deadline) => deadline,
        _ => None,
    }
}

fn connection(limits: &Arc<Limits>, now: Now) -> Connection {
    let credential = Credential::Token(Secret("t.o.k".into()));
    let accepted = Accepted {
        subprotocol: Some("golden.v1".into()),
        dialect: Dialect::GoldenV1,
        presented: Presented::Credential(AuthMethod::Subprotocol, credential),
        demo: false,
        verify_before_upgrade: false,
    };
    let opening = Opening { connection_id: ConnectionId(1), accepted, identity: None };
    Connection::new(opening, limits.clone(), Seed::new(1), now)
}

impl Model for Server {
    type State = Process;
    type Action = Act;

    fn init_states(&self) -> Vec<Process> {
        vec![Process::new(&self.limits)]
    }

    fn actions(&self, state: &Process, acts: &mut Vec<Act>) {
        if state.wrong.is_some() {
            return;
        }
        acts.extend([Act::Begin, Act::Deadline, Act::RunEnds]);
        if state.sockets.len() < bound(2, 3) {
            acts.push(Act::Connect);
        }
        for at in 0..state.sockets.len() {
            acts.extend([Act::Advance(at), Act::Leave(at), Act::Ask(at)]);
        }
    }

    fn next_state(&self, state: &Process, act: Act) -> Option<Process> {
        state.after(act, &self.limits).filter(|next| next != state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "DRAIN-01 DRAIN-02 DRAIN-03 DRAIN-07 nothing begins, all are told, all ends in time",
                |_, s: &Process| s.wrong.is_none(),
            ),
            Property::always("in the end DRAIN-01 it can always stop", |m: &Self, s: &Process| {
                s.stopped.is_some() || s.stops(&m.limits)
            }),
            Property::sometimes("stopped, clean", |_, s: &Process| s.stopped == Some(true)),
            Property::sometimes("stopped, not clean", |_, s: &Process| s.stopped == Some(false)),
            Property::sometimes("leases handed over", |_, s: &Process| s.released),
            Property::sometimes("turned away", |_, s: &Process| s.example == Some("turned away")),
            Property::sometimes("asked to come back", |_, s: &Process| {
                s.example == Some("asked to come back")
            }),
            Property::sometimes("two connections and two runs at the signal", |_, s: &Process| {
                s.begun == Some(s.now.mono) && s.sockets.len() == 2 && s.runs == 2
            }),
        ]
    }
}

fn limits() -> Limits {
    Limits {
        auth_timeout: Millis::from_secs(6),
        heartbeat_interval: Millis::from_secs(7),
        heartbeat_timeout: Millis::from_secs(12),
        connection_max_age: Millis::from_secs(20),
        drain_deadline: Millis::from_secs(8),
        drain_linger: Millis::from_secs(2),
        ..Limits::default()
    }
}

#[test]
fn a_process_stops_in_time_and_tells_everybody() {
    prove(
        "drain",
        "connections 2 at a time, arrivals 3, questions 2; the signal at any time, runs that end or never do",
        Server { limits: Arc::new(limits()) },
    );
}

/// What is to be found, and how a process is tampered with so that it is.
type Row = (&'static str, fn(&mut Process));

const ROWS: [Row; 13] = [
    ("DRAIN-07 let in", |process| {
        process.begun = Some(process.now.mono);
        *process = process.after(Act::Connect, &Arc::new(limits())).unwrap();
    }),
    ("DRAIN-07 a run began", |process| {
        process.begun = Some(process.now.mono);
        process.input(0, Input::Text(HELLO));
    }),
    ("something after the end", |process| {
        process.stopped = Some(true);
        process.does(DrainOutput::TellConnections);
    }),
    ("DRAIN-07 still serving", |process| process.does(DrainOutput::StopAccepting)),
    ("leases handed over for nothing", |process| process.does(DrainOutput::ReleaseRuns)),
    ("DRAIN-01 stopped with something open", |process| {
        process.does(DrainOutput::Stopped { clean: true });
    }),
    ("DRAIN-02 closed without a word", |process| {
        process.input(0, Input::HubClose(CloseCode::Restarting));
        process.bury();
    }),
    ("the drain counts another number", |process| {
        process.sockets.clear();
        process.judge(Act::RunEnds, &limits());
    }),
    ("DRAIN-02 a connection was not told", |process| {
        process.begun = Some(process.now.mono);
        process.judge(Act::Begin, &limits());
    }),
    ("DRAIN-01 not stopped at the deadline", |process| overdue(process, 8, 0)),
    ("DRAIN-03 leases kept beyond half time", |process| overdue(process, 4, 1)),
    ("DRAIN-01 a connection outlived its time", |process| overdue(process, 2, 0)),
    ("DRAIN-01 nothing left and not stopped", |process| {
        *process = Process::new(&limits());
        process.begun = Some(process.now.mono);
        process.judge(Act::Begin, &limits());
    }),
];

/// The signal came, everybody knows, and so many seconds later nothing has happened.
fn overdue(process: &mut Process, seconds: u64, runs: u8) {
    process.begun = Some(process.now.mono);
    process.runs = runs;
    process.now = process.now.after(Millis::from_secs(seconds));
    process.sockets[0].told = true;
    process.judge(Act::Deadline, &limits());
}

/// Each rule can fail, and none is without its row.
#[test]
fn whatever_is_tampered_with_that_rule_says_so() {
    for (wrong, tamper) in ROWS {
        let mut process = Process::new(&limits());
        process = process.after(Act::Connect, &Arc::new(limits())).unwrap();
        (0..3).for_each(|_| process.advance(0).unwrap());
        process.judge(Act::Deadline, &limits());
        assert_eq!(process.wrong, None, "before it is tampered with");
        tamper(&mut process);
        assert_eq!(process.wrong, Some(wrong));
    }
    each_rule_has_its_row(include_str!("drain.rs"), ROWS.map(|(wrong, _)| wrong));
}
