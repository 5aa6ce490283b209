//! The breaker and the dependency, each against what an observer expects of it.

use goldenpath_core::health::{
    Breaker, BreakerLimits, Dependency, DependencyInput, DependencyOutput, Pace, Permit, Standing,
};
use goldenpath_core::id::EffectId;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Mono};
use goldenpath_models::{bound, each_rule_has_its_row, prove};
use stateright::{Model, Property};

const LIMITS: BreakerLimits = BreakerLimits { failures: 2, cooldown: Millis(3) };

/// A breaker, and what somebody who knows only its rules expects of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Guarded {
    breaker: Breaker,
    now: Mono,
    /// Calls under way or reported once; a nervous driver may report twice.
    calls: Vec<Call>,
    expected: Expected,
    /// Changes of state so far.
    changes: u8,
    wrong: Option<&'static str>,
    /// What the last step was an example of.
    example: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Call {
    permit: Permit,
    /// Under which count of changes it was let through.
    since: u8,
    reported: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Expected {
    Closed { failures: u32 },
    Open { until: Mono },
    HalfOpen { trial_until: Mono },
}

impl Expected {
    const fn name(self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::HalfOpen { .. } => "half_open",
            Self::Open { .. } => "open",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum BreakerAct {
    Admit,
    Report { call: usize, works: bool },
    Tick,
}

impl Guarded {
    fn new() -> Self {
        Self {
            breaker: Breaker::new(LIMITS),
            now: Mono(100),
            calls: Vec::new(),
            expected: Expected::Closed { failures: 0 },
            changes: 0,
            wrong: None,
            example: None,
        }
    }

    /// What is found first is told.
    fn finds(&mut self, wrong: &'static str) {
        self.wrong.get_or_insert(wrong);
    }

    fn become_expected(&mut self, expected: Expected) {
        self.changes += 1;
        self.expected = expected;
    }

    /// DEP-01, DEP-02: when a call is let through, and what a refusal promises.
    fn admit(&mut self) {
        let until = match self.expected {
            Expected::Closed { .. } => self.now,
            Expected::Open { until } => until,
            Expected::HalfOpen { trial_until } => trial_until,
        };
        match self.breaker.admit(self.now) {
            Ok(permit) => {
                if self.now < until {
                    self.finds("DEP-01");
                }
                if !matches!(self.expected, Expected::Closed { .. }) {
                    self.example = Some("a trial");
                    let trial_until = self.now.after(LIMITS.cooldown);
                    self.become_expected(Expected::HalfOpen { trial_until });
                }
                self.calls.push(Call { permit, since: self.changes, reported: false });
            }
            Err(refused) => {
                if until <= self.now || refused.retry_after != until.since(self.now) {
                    self.finds("DEP-02");
                }
                self.example = Some("refused");
            }
        }
    }

    fn report(&mut self, call: usize, works: bool) {
        let told = self.calls[call];
        if told.reported {
            self.calls.remove(call);
        } else {
            self.calls[call].reported = true;
        }
        let before = self.breaker.clone();
        if works {
            self.breaker.succeeded(told.permit);
        } else {
            self.breaker.failed(self.now, told.permit);
        }
        if told.since != self.changes {
            self.example = Some("a late result");
            if self.breaker != before {
                self.finds("DEP-03");
            }
            return;
        }
        let until = self.now.after(LIMITS.cooldown);
        match (self.expected, works) {
            (Expected::Closed { .. }, true) => self.expected = Expected::Closed { failures: 0 },
            (Expected::Closed { failures }, false) if failures + 1 < LIMITS.failures => {
                self.expected = Expected::Closed { failures: failures + 1 };
            }
            (Expected::HalfOpen { .. }, true) => {
                self.example = Some("closed again");
                self.become_expected(Expected::Closed { failures: 0 });
            }
            (Expected::Closed { .. } | Expected::HalfOpen { .. }, false) => {
                self.become_expected(Expected::Open { until });
            }
            // No call is let through while it is open, so none can be of now.
            (Expected::Open { .. }, _) => self.finds("DEP-01"),
        }
    }

    /// It works again: one call after the cooldown closes the breaker, whatever happened before.
    fn heals(&self) -> bool {
        let mut breaker = self.breaker.clone();
        let trial = match breaker.admit(self.now) {
            Ok(permit) => Ok(permit),
            Err(refused) => breaker.admit(self.now.after(refused.retry_after)),
        };
        if let Ok(permit) = trial {
            breaker.succeeded(permit);
        }
        breaker.is_closed()
    }
}

struct BreakerWorld;

impl Model for BreakerWorld {
    type State = Guarded;
    type Action = BreakerAct;

    fn init_states(&self) -> Vec<Guarded> {
        vec![Guarded::new()]
    }

    fn actions(&self, state: &Guarded, acts: &mut Vec<BreakerAct>) {
        if state.wrong.is_some() {
            return;
        }
        acts.push(BreakerAct::Tick);
        if state.calls.len() < 3 {
            acts.push(BreakerAct::Admit);
        }
        for call in 0..state.calls.len() {
            acts.extend([true, false].map(|works| BreakerAct::Report { call, works }));
        }
    }

    fn next_state(&self, state: &Guarded, act: BreakerAct) -> Option<Guarded> {
        let mut next = Guarded { example: None, ..state.clone() };
        match act {
            BreakerAct::Admit => next.admit(),
            BreakerAct::Report { call, works } => next.report(call, works),
            BreakerAct::Tick => next.now = next.now.after(Millis(1)),
        }
        if next.breaker.state_name() != next.expected.name() {
            next.finds("another state than the rules say");
        }
        Some(next)
    }

    fn within_boundary(&self, state: &Guarded) -> bool {
        state.now <= Mono(bound(110, 114)) && state.changes <= bound(5, 8)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "DEP-01 open lets nothing through, half-open one",
                |_, s: &Guarded| s.wrong != Some("DEP-01"),
            ),
            Property::always(
                "DEP-02 a refusal says when, and then it is over",
                |_, s: &Guarded| s.wrong != Some("DEP-02"),
            ),
            Property::always("DEP-03 a late result changes nothing", |_, s: &Guarded| {
                s.wrong != Some("DEP-03")
            }),
            Property::always("its state is what the rules say", |_, s: &Guarded| s.wrong.is_none()),
            Property::always("in the end DEP-02 it can close again", |_, s: &Guarded| s.heals()),
            Property::sometimes("refused", |_, s: &Guarded| s.example == Some("refused")),
            Property::sometimes("a trial", |_, s: &Guarded| s.example == Some("a trial")),
            Property::sometimes("a late result", |_, s: &Guarded| {
                s.example == Some("a late result")
            }),
            Property::sometimes("closed again", |_, s: &Guarded| s.example == Some("closed again")),
        ]
    }
}

#[test]
fn a_breaker_opens_and_closes_by_its_rules() {
    prove(
        "health-breaker",
        "calls 3 at a time, 10 ms of a cooldown of 3, changes 5; results at any time, twice, never",
        BreakerWorld,
    );
}

const PACE: Pace = Pace {
    wait: Millis(2),
    tries: 2,
    probe_timeout: Millis(5),
    interval: Millis(7),
    longest_wait: Millis(6),
};

/// A dependency, and what somebody who knows only its rules expects of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    dependency: Dependency,
    now: Mono,
    /// The question that counts, and until when.
    open: Option<(u64, Mono)>,
    questions: u64,
    losses_left: u8,
    expected: Standing,
    /// Bad answers at the start; good ones in a row afterwards.
    count: u32,
    wrong: Option<&'static str>,
    example: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum DependencyAct {
    Answer {
        effect: u64,
        works: bool,
    },
    /// The driver sleeps to the deadline.
    Deadline,
    /// The deadline passes, and the driver has not looked yet.
    Late,
    Lost,
}

impl Asked {
    fn new() -> Self {
        let now = Mono(100);
        let mut state = Self {
            dependency: Dependency::new(PACE, Seed::new(4), now),
            now,
            open: None,
            questions: 0,
            losses_left: 2,
            expected: Standing::Starting,
            count: 0,
            wrong: None,
            example: None,
        };
        state.dependency.handle_timeout(now);
        state.listen(None);
        state
    }

    /// What is found first is told.
    fn finds(&mut self, wrong: &'static str) {
        self.wrong.get_or_insert(wrong);
    }

    fn deadline(&self) -> Option<Mono> {
        match self.dependency.clone().poll_output() {
            DependencyOutput::Idle(deadline) => deadline,
            DependencyOutput::Announce(_) | DependencyOutput::Probe { .. } => None,
        }
    }

    /// Something was learnt about it; what those who use it should know now.
    fn learn(&mut self, works: bool) {
        (self.expected, self.count) = match (self.expected, works) {
            (Standing::Starting | Standing::Ready, true) => (Standing::Ready, 0),
            (Standing::Starting, false) if self.count < PACE.tries => {
                (Standing::Starting, self.count + 1)
            }
            (Standing::Degraded, true) if self.count == 1 => {
                self.example = Some("back");
                (Standing::Ready, 0)
            }
            (Standing::Degraded, true) => (Standing::Degraded, 1),
            (Standing::Starting | Standing::Ready | Standing::Degraded, false) => {
                (Standing::Degraded, 0)
            }
        };
    }

    /// Takes what it says; `learnt` is what the act was for it.
    fn listen(&mut self, learnt: Option<bool>) {
        let before = self.expected;
        if let Some(works) = learnt {
            self.learn(works);
        }
        let mut announced = Vec::new();
        loop {
            match self.dependency.poll_output() {
                DependencyOutput::Announce(standing) => announced.push(standing),
                DependencyOutput::Idle(_) => break,
                DependencyOutput::Probe { effect } => {
                    if self.open.is_some() || effect.0 != self.questions {
                        self.finds("two questions at once");
                    }
                    self.open = Some((effect.0, self.now.after(PACE.probe_timeout)));
                    self.questions = effect.0 + 1;
                }
            }
        }
        let told = if before == self.expected { vec![] } else { vec![self.expected] };
        if announced != told || self.dependency.standing() != self.expected {
            self.finds("DEP-05");
        }
    }

    fn after(&self, act: DependencyAct) -> Option<Self> {
        let mut next = Self { example: None, ..self.clone() };
        let learnt = match act {
            DependencyAct::Answer { effect, works } => {
                let effect_id = EffectId(effect);
                let input = DependencyInput::Probed { effect: effect_id, works };
                next.dependency.handle_input(next.now, input);
                if self.open.is_some_and(|(asked, _)| asked == effect) {
                    next.open = None;
                    Some(works)
                } else {
                    let mut waited = self.dependency.clone();
                    waited.handle_timeout(self.now);
                    if next.dependency != waited {
                        next.finds("DEP-03");
                    }
                    next.example = Some("a late answer");
                    next.gives_up()
                }
            }
            DependencyAct::Deadline | DependencyAct::Late => {
                let due = self.deadline()?;
                if act == DependencyAct::Late {
                    next.now = due;
                    return (due > self.now).then_some(next);
                }
                next.now = due.max(self.now);
                next.dependency.handle_timeout(next.now);
                next.gives_up()
            }
            DependencyAct::Lost => {
                next.losses_left = self.losses_left.checked_sub(1)?;
                let known = match self.expected {
                    Standing::Starting => true,
                    Standing::Ready => false,
                    Standing::Degraded => self.count == 0,
                };
                next.dependency.handle_input(next.now, DependencyInput::Lost);
                if known {
                    next.gives_up()
                } else {
                    // What was asked before the loss no longer says anything.
                    next.open = None;
                    Some(false)
                }
            }
        };
        next.listen(learnt);
        if let DependencyAct::Deadline = act {
            next.is_asked_in_time();
        }
        Some(next)
    }

    /// It wants to be looked at, ahead, and not too far ahead.
    fn is_asked_in_time(&mut self) {
        let longest = PACE.interval.max(PACE.probe_timeout).max(PACE.longest_wait);
        let due = self.deadline();
        if due.is_none_or(|due| due <= self.now || due > self.now.after(longest)) {
            self.finds("it is asked again, in time");
        }
    }

    /// A question without an answer by its time is a bad answer.
    fn gives_up(&mut self) -> Option<bool> {
        self.open.take_if(|(_, give_up)| *give_up <= self.now)?;
        Some(false)
    }

    /// It works from now on, and answers: ready after at most a wait and two questions (DEP-05).
    fn heals(&self) -> bool {
        let mut state = self.clone();
        for _ in 0..6 {
            if state.expected == Standing::Ready {
                return state.wrong.is_none();
            }
            let act = match state.open {
                Some((effect, _)) => DependencyAct::Answer { effect, works: true },
                None => DependencyAct::Deadline,
            };
            match state.after(act) {
                Some(next) => state = next,
                None => return false,
            }
        }
        false
    }
}

struct DependencyWorld;

impl Model for DependencyWorld {
    type State = Asked;
    type Action = DependencyAct;

    fn init_states(&self) -> Vec<Asked> {
        vec![Asked::new()]
    }

    fn actions(&self, state: &Asked, acts: &mut Vec<DependencyAct>) {
        if state.wrong.is_some() {
            return;
        }
        acts.extend([DependencyAct::Deadline, DependencyAct::Late, DependencyAct::Lost]);
        for effect in state.questions.saturating_sub(2)..=state.questions {
            acts.extend([true, false].map(|works| DependencyAct::Answer { effect, works }));
        }
    }

    fn next_state(&self, state: &Asked, act: DependencyAct) -> Option<Asked> {
        state.after(act)
    }

    fn within_boundary(&self, state: &Asked) -> bool {
        state.questions <= bound(9, 12)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("DEP-03 a late answer changes nothing", |_, s: &Asked| {
                s.wrong != Some("DEP-03")
            }),
            Property::always(
                "DEP-05 each change is announced, once, and is the right one",
                |_, s: &Asked| s.wrong != Some("DEP-05"),
            ),
            Property::always("one question at a time, and always another", |_, s: &Asked| {
                s.wrong.is_none()
            }),
            Property::always(
                "in the end DEP-05 once it works it is ready again",
                |_, s: &Asked| s.heals(),
            ),
            Property::sometimes("ready", |_, s: &Asked| s.expected == Standing::Ready),
            Property::sometimes("done without at the start", |_, s: &Asked| {
                s.expected == Standing::Degraded && s.questions == u64::from(PACE.tries) + 1
            }),
            Property::sometimes("back", |_, s: &Asked| s.example == Some("back")),
            Property::sometimes("a late answer", |_, s: &Asked| s.example == Some("a late answer")),
        ]
    }
}

#[test]
fn a_dependency_is_known_for_what_it_is() {
    prove(
        "health-dependency",
        "questions 9, losses 2; answers good, bad, late, twice, never; a driver that looks late",
        DependencyWorld,
    );
}

/// What is to be found, and how an observer is misled so that it is.
type Row<T> = (&'static str, fn(&mut T));

/// Of a breaker.
const OF_BREAKER: [Row<Guarded>; 5] = [
    ("DEP-01", |one| {
        one.expected = Expected::Open { until: one.now.after(Millis(1)) };
        one.admit();
    }),
    ("DEP-01", |one| {
        one.admit();
        one.expected = Expected::Open { until: one.now };
        one.report(0, false);
    }),
    ("DEP-02", |one| {
        for call in 0..LIMITS.failures as usize {
            one.admit();
            one.report(call, false);
        }
        one.expected = Expected::Closed { failures: 0 };
        one.admit();
    }),
    ("DEP-03", |one| {
        one.admit();
        one.changes += 1;
        one.report(0, false);
    }),
    ("another state than the rules say", |one| {
        one.expected = Expected::Open { until: one.now };
        *one = BreakerWorld.next_state(one, BreakerAct::Tick).expect("time passes");
    }),
];

/// Of a dependency.
const OF_DEPENDENCY: [Row<Asked>; 4] = [
    ("two questions at once", |one| {
        one.questions = 7;
        for _ in 0..2 {
            *one = one.after(DependencyAct::Deadline).expect("it has a deadline");
        }
    }),
    ("DEP-05", |one| {
        one.expected = Standing::Degraded;
        *one = one.after(DependencyAct::Answer { effect: 0, works: true }).expect("an answer");
    }),
    ("DEP-03", |one| {
        one.open = None;
        *one = one.after(DependencyAct::Answer { effect: 0, works: true }).expect("an answer");
    }),
    ("it is asked again, in time", |one| {
        one.now = one.now.after(Millis(100));
        one.is_asked_in_time();
    }),
];

/// Each rule can fail, and none is without its row.
#[test]
fn whoever_is_misled_says_so_by_the_right_rule() {
    for (wrong, tamper) in OF_BREAKER {
        let mut one = Guarded::new();
        tamper(&mut one);
        assert_eq!(one.wrong, Some(wrong));
    }
    for (wrong, tamper) in OF_DEPENDENCY {
        let mut one = Asked::new();
        assert_eq!(one.wrong, None);
        tamper(&mut one);
        assert_eq!(one.wrong, Some(wrong));
    }
    let rows = OF_BREAKER.map(|(wrong, _)| wrong).into_iter();
    let rows = rows.chain(OF_DEPENDENCY.map(|(wrong, _)| wrong));
    each_rule_has_its_row(include_str!("health.rs"), rows);
}
