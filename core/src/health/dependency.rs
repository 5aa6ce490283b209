//! One dependency of the server (store, bus, model): Starting → Waiting → Ready ⇄ Degraded → Recovering.
//!
//! At the start it is asked at once and then up to three times, 500 ms apart (F10); after that the
//! server goes on without it, says so (F11), and keeps asking until it is back (DEP-05).

use super::Backoff;
use crate::id::EffectId;
use crate::seed::Seed;
use crate::time::{Millis, Mono};
use alloc::collections::VecDeque;

/// How often it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pace {
    /// Between the tries at the start, and before the first try after a loss.
    pub wait: Millis,
    /// Further tries at the start before the server goes on without it.
    pub tries: u32,
    /// An answer that takes longer is a failure.
    pub probe_timeout: Millis,
    /// Between questions while all is well.
    pub interval: Millis,
    /// Longest wait between tries while it is away.
    pub longest_wait: Millis,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            wait: Millis(500),
            tries: 3,
            probe_timeout: Millis::from_secs(2),
            interval: Millis::from_secs(10),
            longest_wait: Millis::from_secs(5),
        }
    }
}

/// From outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The answer to [`Output::Probe`]; any other is late and ignored (DEP-03).
    Probed {
        /// Which question.
        effect: EffectId,
        /// Whether it works.
        works: bool,
    },
    /// A call found it gone: its breaker opened, or its connection broke.
    Lost,
}

/// To the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Ask it whether it works; the answer is `Probed`.
    Probe {
        /// The question.
        effect: EffectId,
    },
    /// It changed for those who use it; clients are told (DEP-05).
    Announce(Standing),
    /// Nothing more for now.
    Idle(Option<Mono>),
}

/// What those who use it need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Not known yet; the server is starting.
    Starting,
    /// It works.
    Ready,
    /// It does not, and the server goes on without it.
    Degraded,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dependency {
    pace: Pace,
    seed: Seed,
    state: State,
    question: Question,
    effects: EffectId,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Starting,
    Waiting(Waiting),
    Ready,
    Degraded(Degraded),
    /// It answered once; a second answer shows that it stays.
    Recovering(Degraded),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    failures: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Degraded {
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Question {
    Due(Mono),
    Asked { effect: EffectId, give_up: Mono },
}

impl Dependency {
    /// Not asked yet; the first question is due now.
    #[must_use]
    pub const fn new(pace: Pace, seed: Seed, now: Mono) -> Self {
        Self {
            pace,
            seed,
            state: State::Starting,
            question: Question::Due(now),
            effects: EffectId(0),
            outputs: VecDeque::new(),
        }
    }

    /// What those who use it need to know.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match self.state {
            State::Starting | State::Waiting(_) => Standing::Starting,
            State::Ready => Standing::Ready,
            State::Degraded(_) | State::Recovering(_) => Standing::Degraded,
        }
    }

    /// The state in a word, for the dashboard.
    #[must_use]
    pub const fn state_name(&self) -> &'static str {
        match self.state {
            State::Starting => "starting",
            State::Waiting(_) => "waiting",
            State::Ready => "ready",
            State::Degraded(_) => "degraded",
            State::Recovering(_) => "recovering",
        }
    }

    /// Takes in what happened.
    pub fn handle_input(&mut self, now: Mono, input: Input) {
        match (input, self.question) {
            (Input::Probed { effect, works }, Question::Asked { effect: asked, .. })
                if effect == asked =>
            {
                self.learn(now, works);
            }
            (Input::Probed { .. }, _) => {}
            (Input::Lost, _) => match self.state {
                State::Ready | State::Recovering(_) => self.learn(now, false),
                // Known already, or about to be found out.
                State::Starting | State::Waiting(_) | State::Degraded(_) => {}
            },
        }
        self.handle_timeout(now);
    }

    /// Lets time pass; harmless at any time.
    pub fn handle_timeout(&mut self, now: Mono) {
        match self.question {
            Question::Asked { give_up, .. } if give_up <= now => self.learn(now, false),
            Question::Asked { .. } | Question::Due(_) => {}
        }
        match self.question {
            Question::Due(at) if at <= now => {
                let effect = self.effects.take_next();
                let give_up = now.after(self.pace.probe_timeout);
                self.question = Question::Asked { effect, give_up };
                self.outputs.push_back(Output::Probe { effect });
            }
            Question::Asked { .. } | Question::Due(_) => {}
        }
    }

    /// What it has to say; ends with [`Output::Idle`].
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or(Output::Idle(Some(match self.question {
            Question::Due(at) => at,
            Question::Asked { give_up, .. } => give_up,
        })))
    }

    //= specs/dependencies.md#dep-05
    //# A dependency that works again MUST be announced as ready within its bound, without a
    //# restart.
    fn learn(&mut self, now: Mono, works: bool) {
        let before = self.standing();
        let (state, wait) = match (core::mem::replace(&mut self.state, State::Starting), works) {
            (State::Starting | State::Waiting(_) | State::Ready | State::Recovering(_), true) => {
                (State::Ready, self.pace.interval)
            }
            (State::Degraded(degraded), true) => (State::Recovering(degraded), self.pace.wait),
            (State::Starting, false) => self.after_failures(1),
            (State::Waiting(waiting), false) => self.after_failures(waiting.failures + 1),
            (State::Ready, false) => self.degraded(),
            (State::Degraded(mut degraded) | State::Recovering(mut degraded), false) => {
                let wait = self.pace.wait.max(degraded.backoff.draw(&mut self.seed));
                (State::Degraded(degraded), wait)
            }
        };
        self.state = state;
        self.question = Question::Due(now.after(wait));
        //= specs/dependencies.md#dep-08
        //# A loss MUST be announced at once, and a return after two good answers.
        if self.standing() != before {
            self.outputs.push_back(Output::Announce(self.standing()));
        }
    }

    //= specs/dependencies.md#dep-07
    //# A dependency missing at the start MUST be asked a bounded number of times and then declared
    //# degraded.
    fn after_failures(&self, failures: u32) -> (State, Millis) {
        if failures > self.pace.tries {
            self.degraded()
        } else {
            (State::Waiting(Waiting { failures }), self.pace.wait)
        }
    }

    const fn degraded(&self) -> (State, Millis) {
        let backoff = Backoff::new(self.pace.wait, self.pace.longest_wait);
        (State::Degraded(Degraded { backoff }), self.pace.wait)
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

    /// A dependency whose real state the test knows.
    #[derive(Clone)]
    struct Rig {
        dependency: Dependency,
        now: Mono,
        asked: Option<EffectId>,
        said: Vec<Output>,
    }

    impl Rig {
        fn new() -> Self {
            let now = Mono(1_000);
            let dependency = Dependency::new(Pace::default(), Seed::new(4), now);
            let mut rig = Self { dependency, now, asked: None, said: Vec::new() };
            rig.wait(Millis::ZERO);
            rig
        }

        fn drain(&mut self) -> Mono {
            loop {
                match self.dependency.poll_output() {
                    Output::Idle(at) => return at.expect("it always asks again"),
                    output => {
                        if let Output::Probe { effect } = output {
                            self.asked = Some(effect);
                        }
                        self.said.push(output);
                    }
                }
            }
        }

        fn wait(&mut self, span: Millis) {
            self.now = self.now.after(span);
            self.dependency.handle_timeout(self.now);
            self.drain();
        }

        fn input(&mut self, input: Input) {
            self.dependency.handle_input(self.now, input);
            self.drain();
        }

        /// Answers the question under way, waiting for it if need be.
        fn answer(&mut self, works: bool) {
            while self.asked.is_none() {
                let at = self.drain();
                self.wait(at.since(self.now));
            }
            let effect = self.asked.take().unwrap();
            self.input(Input::Probed { effect, works });
        }

        fn announced(&self) -> Vec<Standing> {
            self.said
                .iter()
                .filter_map(|output| match output {
                    Output::Announce(standing) => Some(*standing),
                    Output::Idle(_) | Output::Probe { .. } => None,
                })
                .collect()
        }

        fn after(answers: &[bool]) -> Self {
            let mut rig = Self::new();
            answers.iter().for_each(|works| rig.answer(*works));
            rig
        }
    }

    /// F10: readiness is 500 ms × 3, then degraded.
    //= specs/dependencies.md#dep-07
    //= type=test
    //# A dependency missing at the start MUST be asked a bounded number of times and then declared
    //# degraded.
    #[test]
    fn a_dependency_that_is_not_there_is_asked_three_more_times_and_then_done_without() {
        let mut rig = Rig::new();
        let start = rig.now;
        for _ in 0..3 {
            rig.answer(false);
            assert_eq!(rig.dependency.state_name(), "waiting");
        }
        rig.answer(false);
        assert_eq!(rig.now, start.after(Millis(1_500)));
        assert_eq!(rig.announced(), [Standing::Degraded]);
    }

    #[test]
    fn one_that_comes_up_meanwhile_is_ready() {
        let rig = Rig::after(&[false, false, true]);
        assert_eq!(rig.announced(), [Standing::Ready]);
    }

    /// DEP-05, F11.
    //= specs/dependencies.md#dep-08
    //= type=test
    //# A loss MUST be announced at once, and a return after two good answers.
    #[test]
    fn a_loss_is_announced_at_once_and_a_return_after_two_good_answers() {
        let mut rig = Rig::after(&[true]);
        rig.asked = None;
        rig.input(Input::Lost);
        assert_eq!(rig.announced(), [Standing::Ready, Standing::Degraded]);
        rig.answer(true);
        assert_eq!(rig.dependency.state_name(), "recovering");
        assert_eq!(rig.announced().len(), 2);
        rig.answer(true);
        assert_eq!(rig.announced(), [Standing::Ready, Standing::Degraded, Standing::Ready]);
    }

    #[test]
    fn an_answer_that_takes_too_long_is_a_failure_and_ignored_when_it_comes() {
        let mut rig = Rig::new();
        let late = rig.asked.take().unwrap();
        rig.wait(Pace::default().probe_timeout);
        assert_eq!(rig.dependency.state_name(), "waiting");
        rig.input(Input::Probed { effect: late, works: true });
        assert_eq!(rig.dependency.state_name(), "waiting");
    }

    #[test]
    fn what_works_is_asked_again_and_a_failed_question_degrades() {
        let rig = Rig::after(&[true, true, false]);
        assert_eq!(rig.announced(), [Standing::Ready, Standing::Degraded]);
        assert_eq!(rig.now, Mono(1_000).after(Millis::from_secs(20)));
    }

    const PAGE: Page = Page {
        name: "dependency",
        title: "A dependency",
        about: "What the server knows about something it uses: the store, the bus, the model. It asks, it waits,\n\
                it says what changed. It never stops asking, so what comes back is found without a restart.",
        states: &[
            (
                "starting",
                "It was asked for the first time and has not answered. Nothing is announced yet.",
            ),
            (
                "waiting",
                "It did not work at the start. It is asked three more times, 500 ms apart (F10), before the server \
                 goes on without it.",
            ),
            (
                "ready",
                "It works. It is asked every ten seconds all the same; a bad answer, none in time, or a call that \
                 found it gone is announced at once.",
            ),
            (
                "degraded",
                "It does not work and the server goes on without it; clients were told (F11). It is asked again and \
                 again, with growing waits.",
            ),
            (
                "recovering",
                "It answered once. A second good answer shows that it stays; only then it is announced as ready.",
            ),
        ],
        begins: &["starting"],
        rows: Vec::new(),
    };

    #[test]
    fn the_matrix_of_states_and_inputs() {
        let states = [
            ("starting", Rig::new()),
            ("waiting", Rig::after(&[false])),
            ("waiting, last", Rig::after(&[false, false, false])),
            ("ready", Rig::after(&[true])),
            ("degraded", Rig::after(&[true, false])),
            ("recovering", Rig::after(&[true, false, true])),
        ];
        type Act = fn(&mut Rig);
        let acts: [(&str, Act); 6] = [
            ("works", |rig| rig.answer(true)),
            ("fails", |rig| rig.answer(false)),
            ("lost", |rig| rig.input(Input::Lost)),
            ("late answer", |rig| {
                rig.input(Input::Probed { effect: EffectId(99), works: true });
            }),
            ("timeout at once", |rig| rig.wait(Millis::ZERO)),
            ("timeout after a minute", |rig| rig.wait(Millis::from_secs(60))),
        ];
        let (mut rows, mut seen) = (Vec::new(), Vec::new());
        for (name, before) in &states {
            for (act_name, act) in &acts {
                let mut rig = before.clone();
                rig.said.clear();
                act(&mut rig);
                let said: Vec<String> = rig
                    .said
                    .iter()
                    .map(|output| match output {
                        Output::Probe { .. } => "probe".into(),
                        other => format!("{other:?}"),
                    })
                    .collect();
                let state = rig.dependency.state_name();
                rows.push(format!("{name} × {act_name} → {state}: {}", said.join(", ")));
                seen.push(Row::of(
                    name,
                    before.dependency.state_name(),
                    act_name,
                    state,
                    &said.join(", "),
                ));
            }
        }
        insta::assert_snapshot!(rows.join("\n"));
        Page { rows: seen, ..PAGE }.check();
    }

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        /// DEP-05 as liveness: whatever happened before, once it works it is ready again, and soon.
        //= specs/dependencies.md#dep-05
        //= type=test
        //# A dependency that works again MUST be announced as ready within its bound, without a
        //# restart.
        #[test]
        fn once_it_works_again_it_is_ready_within_its_bound(
            steps in prop::collection::vec((0u8..5, 0u64..8_000), 0..60)
        ) {
            let mut rig = Rig::new();
            for (kind, wait) in steps {
                match kind {
                    0 => rig.answer(true),
                    1 => rig.answer(false),
                    2 => rig.input(Input::Lost),
                    3 => rig.input(Input::Probed { effect: EffectId(wait), works: wait % 2 == 0 }),
                    _ => rig.wait(Millis(wait)),
                }
                prop_assert!(rig.drain() > rig.now, "a deadline that has passed would spin");
            }
            let announced = rig.announced();
            prop_assert!(announced.windows(2).all(|pair| pair[0] != pair[1]), "announced once");
            prop_assert_eq!(
                announced.last().copied().unwrap_or(Standing::Starting),
                rig.dependency.standing()
            );
            let healed = rig.now;
            while rig.dependency.standing() != Standing::Ready {
                rig.answer(true);
            }
            let pace = Pace::default();
            let bound = [pace.probe_timeout, pace.longest_wait, pace.wait, pace.wait];
            prop_assert!(rig.now.since(healed).0 <= bound.iter().map(|span| span.0).sum::<u64>());
        }
    }
}
