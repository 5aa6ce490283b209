//! Shutting down without losing anything: Serving → Draining → Stopped (RUN-13, F47).
//!
//! From the signal on nothing new begins. Connections are told at once, each with its own time to come
//! back (F35). Runs get half of the deadline to end by themselves; then their leases are handed over
//! and connections are closed. When everything is gone, or at the deadline, it has stopped.

use crate::fault::Misuse;
use crate::limits::Limits;
use crate::seed::Seed;
use crate::time::{Millis, Mono};
use alloc::collections::VecDeque;

/// From outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The signal to stop; a second one changes nothing.
    Begin,
    /// A connection that was admitted is over.
    ConnectionEnded,
    /// A run that was admitted is over, or its lease was handed over.
    RunEnded,
}

/// To the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Take no more connections, start no more runs.
    StopAccepting,
    /// Tell every connection (`Input::Drain`), each with [`Drain::reconnect_after`].
    TellConnections,
    /// Hand over the leases of the runs that are left; the log is their checkpoint.
    ReleaseRuns,
    /// Close every connection with 1012.
    CloseConnections,
    /// The process may end.
    Stopped {
        /// Everything ended by itself before the deadline.
        clean: bool,
    },
    /// Nothing more for now.
    Idle(Option<Mono>),
}

/// The machine of one process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Drain {
    deadline: Millis,
    jitter: Millis,
    seed: Seed,
    connections: u64,
    runs: u64,
    state: State,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Serving,
    Draining(Draining),
    Stopped(Stopped),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Draining {
    /// Runs may end by themselves until then; `None` once they were told to stop.
    release_at: Option<Mono>,
    stop_at: Mono,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stopped;

impl Drain {
    /// Serving.
    #[must_use]
    pub const fn new(limits: &Limits, seed: Seed) -> Self {
        Self {
            deadline: limits.drain_deadline,
            jitter: limits.drain_jitter,
            seed,
            connections: 0,
            runs: 0,
            state: State::Serving,
            outputs: VecDeque::new(),
        }
    }

    /// A connection asks to come in; it counts until `ConnectionEnded`.
    ///
    /// # Errors
    /// [`Misuse::NotNow`] once draining has begun.
    //= specs/drain.md#drain-07
    //# Once the signal to stop has come, a connection or a run MUST NOT be admitted.
    pub fn admit_connection(&mut self) -> Result<(), Misuse> {
        match self.state {
            State::Serving => {
                self.connections += 1;
                Ok(())
            }
            State::Draining(_) if canary!(DrainAdmits) => Ok(()),
            State::Draining(_) | State::Stopped(_) => Err(Misuse::NotNow),
        }
    }

    /// A run asks to start; it counts until `RunEnded`.
    ///
    /// # Errors
    /// [`Misuse::NotNow`] once draining has begun.
    pub fn admit_run(&mut self) -> Result<(), Misuse> {
        match self.state {
            State::Serving => {
                self.runs += 1;
                Ok(())
            }
            State::Draining(_) if canary!(DrainAdmits) => Ok(()),
            State::Draining(_) | State::Stopped(_) => Err(Misuse::NotNow),
        }
    }

    /// Whether new connections are taken.
    #[must_use]
    pub const fn is_serving(&self) -> bool {
        matches!(self.state, State::Serving)
    }

    /// Connections that have not ended.
    #[must_use]
    pub const fn connections(&self) -> u64 {
        self.connections
    }

    /// Runs that have not ended.
    #[must_use]
    pub const fn runs(&self) -> u64 {
        self.runs
    }

    /// When one connection is to come back: up to `Limits::drain_jitter`, each another time.
    //= specs/drain.md#drain-02
    //# Each connection MUST be told its own time to come back, within the bound of the jitter.
    pub fn reconnect_after(&mut self) -> Millis {
        Millis(self.seed.below(self.jitter.0.saturating_add(1)))
    }

    /// Takes in what happened.
    pub fn handle_input(&mut self, now: Mono, input: Input) {
        match input {
            Input::Begin => {
                if self.is_serving() {
                    self.outputs.extend([Output::StopAccepting, Output::TellConnections]);
                    self.state = State::Draining(Draining {
                        release_at: Some(now.after(Millis(self.deadline.0 / 2))),
                        stop_at: now.after(self.deadline),
                    });
                }
            }
            Input::ConnectionEnded => self.connections = self.connections.saturating_sub(1),
            Input::RunEnded => self.runs = self.runs.saturating_sub(1),
        }
        self.handle_timeout(now);
    }

    /// Lets time pass; harmless at any time.
    pub fn handle_timeout(&mut self, now: Mono) {
        let State::Draining(mut draining) = self.state else { return };
        //= specs/drain.md#drain-03
        //# Runs that have not ended at half of the deadline MUST be left to the next process.
        if draining.release_at.is_some_and(|at| at <= now || self.runs == 0) {
            draining.release_at = None;
            if self.runs > 0 {
                self.outputs.push_back(Output::ReleaseRuns);
            }
            if self.connections > 0 {
                self.outputs.push_back(Output::CloseConnections);
            }
        }
        let clean = self.connections == 0 && self.runs == 0;
        //= specs/drain.md#drain-01
        //# Shutdown MUST end by its deadline, whatever is left.
        self.state = if clean || draining.stop_at <= now {
            self.outputs.push_back(Output::Stopped { clean });
            State::Stopped(Stopped)
        } else {
            State::Draining(draining)
        };
    }

    /// What it has to say; ends with [`Output::Idle`].
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or(Output::Idle(match self.state {
            State::Draining(draining) => Some(draining.release_at.unwrap_or(draining.stop_at)),
            State::Serving | State::Stopped(_) => None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Page, Row};
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const BEGIN: Mono = Mono(1_000);

    fn serving(connections: u64, runs: u64) -> Drain {
        let mut drain = Drain::new(&Limits::default(), Seed::new(1));
        (0..connections).for_each(|_| drain.admit_connection().unwrap());
        (0..runs).for_each(|_| drain.admit_run().unwrap());
        drain
    }

    fn said(drain: &mut Drain) -> Vec<Output> {
        let mut outputs = Vec::new();
        loop {
            match drain.poll_output() {
                Output::Idle(_) => return outputs,
                output => outputs.push(output),
            }
        }
    }

    fn input(drain: &mut Drain, at: u64, input: Input) -> Vec<Output> {
        drain.handle_input(Mono(at), input);
        said(drain)
    }

    fn draining(connections: u64, runs: u64) -> Drain {
        let mut drain = serving(connections, runs);
        input(&mut drain, BEGIN.0, Input::Begin);
        drain
    }

    #[test]
    fn what_is_still_there_is_counted_down_to_nothing_and_no_further() {
        let mut drain = serving(2, 1);
        assert_eq!((drain.connections(), drain.runs(), drain.is_serving()), (2, 1, true));
        input(&mut drain, 1_000, Input::ConnectionEnded);
        input(&mut drain, 1_000, Input::RunEnded);
        input(&mut drain, 1_000, Input::RunEnded);
        assert_eq!((drain.connections(), drain.runs()), (1, 0));
        input(&mut drain, 1_000, Input::Begin);
        assert!(!drain.is_serving());
    }

    #[test]
    fn an_idle_server_stops_at_once() {
        let mut drain = serving(0, 0);
        assert_eq!(
            input(&mut drain, 1_000, Input::Begin),
            [Output::StopAccepting, Output::TellConnections, Output::Stopped { clean: true }]
        );
    }

    /// RUN-13.
    //= specs/drain.md#drain-07
    //= type=test
    //# Once the signal to stop has come, a connection or a run MUST NOT be admitted.
    #[test]
    fn after_the_signal_nothing_begins() {
        let mut drain = draining(1, 0);
        assert_eq!(drain.admit_connection(), Err(Misuse::NotNow));
        assert_eq!(drain.admit_run(), Err(Misuse::NotNow));
    }

    #[test]
    fn connections_are_closed_once_the_runs_have_ended() {
        let mut drain = draining(2, 1);
        assert_eq!(drain.poll_output(), Output::Idle(Some(Mono(5_000))));
        assert_eq!(input(&mut drain, 2_000, Input::RunEnded), [Output::CloseConnections]);
        assert_eq!(input(&mut drain, 2_100, Input::ConnectionEnded), []);
        assert_eq!(
            input(&mut drain, 2_200, Input::ConnectionEnded),
            [Output::Stopped { clean: true }]
        );
    }

    #[test]
    fn runs_that_do_not_end_are_handed_over_at_half_time() {
        let mut drain = draining(1, 1);
        drain.handle_timeout(Mono(4_999));
        assert_eq!(said(&mut drain), []);
        drain.handle_timeout(Mono(5_000));
        assert_eq!(said(&mut drain), [Output::ReleaseRuns, Output::CloseConnections]);
    }

    #[test]
    fn at_the_deadline_it_stops_whatever_is_left() {
        let mut drain = draining(1, 1);
        drain.handle_timeout(Mono(9_000));
        assert_eq!(said(&mut drain).last(), Some(&Output::Stopped { clean: false }));
        assert_eq!(drain.poll_output(), Output::Idle(None));
    }

    /// F35.
    //= specs/drain.md#drain-02
    //= type=test
    //# Each connection MUST be told its own time to come back, within the bound of the jitter.
    #[test]
    fn connections_come_back_at_different_times_within_the_bound() {
        let mut drain = draining(1, 0);
        let mut times: Vec<Millis> = (0..100).map(|_| drain.reconnect_after()).collect();
        times.sort_unstable();
        times.dedup();
        assert!(times.len() > 90 && times.iter().all(|at| *at <= Limits::default().drain_jitter));
    }

    const fn state_name(drain: &Drain) -> &'static str {
        match drain.state {
            State::Serving => "serving",
            State::Draining(Draining { release_at: Some(_), .. }) => "draining",
            State::Draining(Draining { release_at: None, .. }) => "closing",
            State::Stopped(_) => "stopped",
        }
    }

    const PAGE: Page = Page {
        name: "drain",
        title: "The drain of a process",
        about: "How a process ends without losing anything: nothing new begins, everybody is told, runs may end by\n\
                themselves for half of the time, the rest is handed over, and then it is over (RUN-13, F47).",
        states: &[
            (
                "serving",
                "Connections and runs are admitted and counted. Only the signal ends this.",
            ),
            (
                "draining",
                "Every connection was told when to come back, each at another time (F35). Nothing is admitted. Runs \
                 at work may end by themselves until half of the deadline has passed.",
            ),
            (
                "closing",
                "The runs have ended, or their leases were handed over: the log is their checkpoint, and another \
                 process goes on. Connections are being closed with 1012.",
            ),
            ("stopped", "The process may end. `clean` says that nothing had to be left behind."),
        ],
        begins: &["serving"],
        rows: Vec::new(),
    };

    #[test]
    fn the_matrix_of_states_and_inputs() {
        let mut releasing = draining(2, 2);
        releasing.handle_timeout(Mono(5_000));
        said(&mut releasing);
        let states = [
            ("serving, idle", serving(0, 0)),
            ("serving", serving(2, 2)),
            ("draining", draining(2, 2)),
            ("draining, last run", draining(2, 1)),
            ("draining, released", releasing),
            ("stopped", draining(0, 0)),
        ];
        type Act = fn(&mut Drain) -> Vec<Output>;
        let acts: [(&str, Act); 6] = [
            ("begin", |drain| input(drain, 5_500, Input::Begin)),
            ("connection ended", |drain| input(drain, 1_500, Input::ConnectionEnded)),
            ("run ended", |drain| input(drain, 1_500, Input::RunEnded)),
            ("timeout at once", |drain| {
                drain.handle_timeout(BEGIN);
                said(drain)
            }),
            ("timeout at half time", |drain| {
                drain.handle_timeout(Mono(5_000));
                said(drain)
            }),
            ("timeout at the deadline", |drain| {
                drain.handle_timeout(Mono(9_000));
                said(drain)
            }),
        ];
        let mut rows: Vec<String> = Vec::new();
        let mut seen = Vec::new();
        for (name, before) in &states {
            for (act_name, act) in &acts {
                let mut drain = before.clone();
                let outputs = act(&mut drain);
                rows.push(format!("{name} × {act_name} → {:?}: {outputs:?}", drain.state));
                let said: Vec<String> = outputs.iter().map(|said| format!("{said:?}")).collect();
                seen.push(Row::of(
                    name,
                    state_name(before),
                    act_name,
                    state_name(&drain),
                    &said.join(", "),
                ));
            }
        }
        insta::assert_snapshot!(rows.join("\n"));
        Page { rows: seen, ..PAGE }.check();
    }

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        /// RUN-13: it always stops by its deadline, says so once, and tells and closes before.
        //= specs/drain.md#drain-01
        //= type=test
        //# Shutdown MUST end by its deadline, whatever is left.
        #[test]
        fn it_stops_by_its_deadline_whatever_happens(
            connections in 0u64..5, runs in 0u64..5,
            steps in prop::collection::vec((0u8..4, 0u64..3_000), 0..40),
        ) {
            let mut drain = serving(connections, runs);
            let mut now = BEGIN;
            let mut all = input(&mut drain, now.0, Input::Begin);
            for (kind, wait) in steps {
                now = now.after(Millis(wait));
                match kind {
                    0 => drain.handle_input(now, Input::ConnectionEnded),
                    1 => drain.handle_input(now, Input::RunEnded),
                    2 => drain.handle_input(now, Input::Begin),
                    _ => drain.handle_timeout(now),
                }
                all.extend(said(&mut drain));
            }
            drain.handle_timeout(BEGIN.after(Limits::default().drain_deadline).max(now));
            all.extend(said(&mut drain));
            let count = |wanted: fn(&Output) -> bool| all.iter().filter(|o| wanted(o)).count();
            prop_assert_eq!(count(|o| matches!(o, Output::Stopped { .. })), 1);
            prop_assert_eq!(count(|o| matches!(o, Output::TellConnections)), 1);
            prop_assert!(count(|o| matches!(o, Output::CloseConnections)) <= 1);
            let last = all.last().copied();
            prop_assert!(matches!(last, Some(Output::Stopped { .. })), "{last:?}");
            prop_assert_eq!(drain.poll_output(), Output::Idle(None));
        }
    }
}
