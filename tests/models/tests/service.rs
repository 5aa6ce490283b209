//! A breaker and a dependency around one service, as a driver puts them together: calls go through the
//! breaker, its opening is a loss for the dependency, and questions go past the breaker. The service stops
//! working and works again when it likes, answers late or never.

use goldenpath_core::health::{
    Breaker, BreakerLimits, Dependency, DependencyInput, DependencyOutput, Pace, Permit, Standing,
};
use goldenpath_core::id::EffectId;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Mono};
use goldenpath_models::{bound, each_rule_has_its_row, prove};
use stateright::{Model, Property};

const LIMITS: BreakerLimits = BreakerLimits { failures: 2, cooldown: Millis(3) };
const PACE: Pace = Pace {
    wait: Millis(2),
    tries: 1,
    probe_timeout: Millis(2),
    interval: Millis(4),
    longest_wait: Millis(4),
};
const START: Mono = Mono(100);
/// The longest way back: the longest wait to a first good answer, the wait to a second one; the breaker's
/// cooldown passes meanwhile.
const BACK: u64 = PACE.longest_wait.0 + PACE.wait.0;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Service {
    breaker: Breaker,
    dependency: Dependency,
    now: Mono,
    works: bool,
    turns_left: u8,
    calls: Vec<Call>,
    /// The question that waits for its answer.
    question: Option<EffectId>,
    watch: Watch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Call {
    permit: Permit,
    /// Under which count of changes it was let through.
    since: u8,
}

/// What somebody knows who sees all that goes in and comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Watch {
    /// What was announced last.
    told: Standing,
    /// Changes of the breaker's state.
    changes: u8,
    /// Before this nothing may pass, and then one trial.
    shut_until: Option<Mono>,
    /// Good answers it takes before the dependency may be ready while the breaker is open.
    good_answers_due: u8,
    wrong: Option<&'static str>,
    /// What the last act was an example of.
    example: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Act {
    /// It stops working, or works again.
    Turn,
    Call,
    /// A call ends as the service is now.
    Ends(usize),
    /// Nobody ever hears of a call again.
    Forgotten(usize),
    /// The question is answered as the service is now.
    Answer,
    Tick,
}

impl Watch {
    /// What is found first is told.
    fn finds(&mut self, wrong: &'static str) {
        self.wrong.get_or_insert(wrong);
    }
}

impl Service {
    fn new() -> Self {
        let mut service = Self {
            breaker: Breaker::new(LIMITS),
            dependency: Dependency::new(PACE, Seed::new(4), START),
            now: START,
            works: true,
            turns_left: bound(2, 4),
            calls: Vec::new(),
            question: None,
            watch: Watch {
                told: Standing::Starting,
                changes: 0,
                shut_until: None,
                good_answers_due: 0,
                wrong: None,
                example: None,
            },
        };
        service.dependency.handle_timeout(START);
        service.listen();
        service
    }

    fn after(&self, act: Act) -> Option<Self> {
        let mut next = self.clone();
        next.watch.example = None;
        match act {
            Act::Turn => {
                next.turns_left = self.turns_left.checked_sub(1)?;
                next.works = !self.works;
            }
            Act::Call => next.call(),
            Act::Ends(at) => {
                let call = next.calls.remove(at);
                next.ends(call);
            }
            Act::Forgotten(at) => {
                next.calls.remove(at);
            }
            Act::Answer => next.answer()?,
            Act::Tick => {
                next.now = self.now.after(Millis(1));
                next.dependency.handle_timeout(next.now);
                if next.listen() == [Standing::Degraded] && self.breaker.is_closed() {
                    next.watch.example = Some("a question without an answer found it gone");
                }
            }
        }
        let watch = &mut next.watch;
        let is_open = next.breaker.state_name() == "open";
        if is_open && watch.told == Standing::Ready {
            watch.example = watch.example.or(Some("ready while the breaker is open"));
            if watch.good_answers_due > 0 {
                watch.finds("DEP-08 ready, though calls have found it gone since");
            }
        }
        Some(next)
    }

    fn call(&mut self) {
        let before = self.breaker.state_name();
        match self.breaker.admit(self.now) {
            Ok(permit) => {
                if self.watch.shut_until.is_some_and(|until| self.now < until) {
                    self.watch.finds("DEP-01 let through");
                }
                if before != "closed" {
                    // The trial, and the next one only when its time is over, too.
                    self.watch.changes += 1;
                    self.watch.shut_until = Some(self.now.after(LIMITS.cooldown));
                }
                if before == "half_open" {
                    self.watch.example = Some("a second trial");
                }
                self.calls.push(Call { permit, since: self.watch.changes });
            }
            Err(refused) => {
                let then = self.now.after(refused.retry_after);
                if self.watch.shut_until != Some(then) || then <= self.now {
                    self.watch.finds("DEP-02 another time than when it opens");
                }
            }
        }
    }

    fn ends(&mut self, Call { permit, since }: Call) {
        let before = (self.breaker.clone(), self.dependency.clone());
        let changes = self.watch.changes;
        if self.works {
            self.breaker.succeeded(permit);
        } else {
            self.breaker.failed(self.now, permit);
        }
        let (was, is) = (before.0.state_name(), self.breaker.state_name());
        if was != is {
            self.watch.changes += 1;
        }
        match is {
            "open" if was != is => {
                self.watch.shut_until = Some(self.now.after(LIMITS.cooldown));
                self.dependency.handle_input(self.now, DependencyInput::Lost);
                let told = self.watch.told;
                let announced = self.listen();
                // What is found out for the first time is announced at once; else it is known, or about to be.
                let right: &[Standing] =
                    if told == Standing::Ready { &[Standing::Degraded] } else { &[] };
                if announced != right {
                    self.watch.finds("DEP-08 a loss that calls found is not announced");
                }
                self.watch.good_answers_due = if told == Standing::Starting { 1 } else { 2 };
                self.watch.example = Some(match (was, told) {
                    ("half_open", _) => "a trial fails",
                    (_, Standing::Starting) => "gone at the start, say calls",
                    (_, Standing::Ready) => "a call found it gone before a question",
                    (_, Standing::Degraded) => "gone, and calls find it, too",
                });
            }
            "closed" if was != is => {
                self.watch.shut_until = None;
                if self.watch.told == Standing::Degraded {
                    self.watch.example = Some("closed before it is announced");
                }
            }
            _ => {}
        }
        if since != changes {
            self.watch.example = Some("a late result");
            if (&self.breaker, &self.dependency) != (&before.0, &before.1) {
                self.watch.finds("DEP-03 a late result changed something");
            }
        }
    }

    fn answer(&mut self) -> Option<()> {
        let effect = self.question.take()?;
        let input = DependencyInput::Probed { effect, works: self.works };
        self.dependency.handle_input(self.now, input);
        let due = self.watch.good_answers_due;
        self.watch.good_answers_due = if self.works { due.saturating_sub(1) } else { due };
        if self.listen() == [Standing::Degraded] && self.breaker.is_closed() {
            self.watch.example = Some("an answer found it gone");
        }
        Some(())
    }

    /// Takes what the dependency says; what it announced.
    fn listen(&mut self) -> Vec<Standing> {
        let mut announced = Vec::new();
        loop {
            match self.dependency.poll_output() {
                DependencyOutput::Announce(standing) => {
                    if standing == self.watch.told {
                        self.watch.finds("DEP-05 announced twice");
                    }
                    self.watch.told = standing;
                    announced.push(standing);
                }
                DependencyOutput::Probe { effect } => self.question = Some(effect),
                DependencyOutput::Idle(deadline) => {
                    if deadline.is_none_or(|at| at <= self.now) {
                        self.watch.finds("DEP-05 it is not asked again");
                    }
                    break;
                }
            }
        }
        if self.watch.told != self.dependency.standing() {
            self.watch.finds("DEP-05 another standing than was announced");
        }
        announced
    }

    /// It works from now on: after the longest way back it is announced and calls pass, and it stays so.
    fn heals(&self) -> bool {
        let mut state = self.clone();
        state.works = true;
        for ms in 0..=BACK + 3 * PACE.interval.0 {
            if ms > 0 {
                state = state.after(Act::Tick).expect("time passes");
            }
            while !state.calls.is_empty() {
                state = state.after(Act::Ends(0)).expect("it ends");
            }
            state = state.after(Act::Answer).unwrap_or(state);
            state = state.after(Act::Call).expect("somebody always calls");
            let well = state.watch.told == Standing::Ready && state.breaker.is_closed();
            if state.watch.wrong.is_some() || (ms >= BACK && !well) {
                return false;
            }
        }
        true
    }
}

struct World;

impl Model for World {
    type State = Service;
    type Action = Act;

    fn init_states(&self) -> Vec<Service> {
        vec![Service::new()]
    }

    fn actions(&self, state: &Service, acts: &mut Vec<Act>) {
        if state.watch.wrong.is_some() {
            return;
        }
        acts.extend([Act::Turn, Act::Answer, Act::Tick]);
        if state.calls.len() < 2 {
            acts.push(Act::Call);
        }
        acts.extend((0..state.calls.len()).flat_map(|at| [Act::Ends(at), Act::Forgotten(at)]));
    }

    fn next_state(&self, state: &Service, act: Act) -> Option<Service> {
        state.after(act).filter(|next| next != state)
    }

    fn within_boundary(&self, state: &Service) -> bool {
        state.now <= START.after(Millis(bound(11, 15))) && state.watch.changes <= bound(6, 9)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! met {
            ($($words:literal),* $(,)?) => {
                [$(Property::sometimes($words, |_, s: &Service| s.watch.example == Some($words))),*]
            };
        }
        let mut properties = vec![
            Property::always(
                "DEP-01 DEP-02 DEP-03 DEP-05 DEP-08 both machines keep their word to each other",
                |_, s: &Service| {
                    s.watch.wrong.iter().for_each(|wrong| eprintln!("not so: {wrong}"));
                    s.watch.wrong.is_none()
                },
            ),
            Property::always(
                "in the end DEP-02 DEP-05 it works, so calls pass and all know it",
                |_, s: &Service| s.heals(),
            ),
        ];
        properties.extend(met![
            "a call found it gone before a question",
            "a late result",
            "a question without an answer found it gone",
            "a second trial",
            "a trial fails",
            "an answer found it gone",
            "closed before it is announced",
            "gone at the start, say calls",
            "gone, and calls find it, too",
            "ready while the breaker is open",
        ]);
        properties
    }
}

#[test]
fn a_service_that_comes_and_goes_is_left_alone_while_it_is_gone_and_used_when_it_is_back() {
    prove(
        "health-service",
        "calls 2 at a time, 11 ms of a cooldown of 3, changes 6; it stops working and works again 2 times; results and answers late, twice, never",
        World,
    );
}

/// What is to be found, and how the watch is misled so that it is.
type Row = (&'static str, fn(&mut Service));

const ROWS: [Row; 8] = [
    ("DEP-08 ready, though calls have found it gone since", |one| {
        fails(one);
        (one.watch.told, one.watch.good_answers_due) = (Standing::Ready, 1);
        *one = one.after(Act::Turn).expect("it may turn");
    }),
    ("DEP-01 let through", |one| {
        one.watch.shut_until = Some(one.now.after(Millis(1)));
        one.call();
    }),
    ("DEP-02 another time than when it opens", |one| {
        fails(one);
        one.watch.shut_until = None;
        one.call();
    }),
    ("DEP-08 a loss that calls found is not announced", |one| {
        one.watch.told = Standing::Starting;
        fails(one);
    }),
    ("DEP-03 a late result changed something", |one| {
        one.works = false;
        one.call();
        one.watch.changes += 1;
        let call = one.calls.remove(0);
        one.ends(call);
    }),
    ("DEP-05 announced twice", |one| {
        *one = Service::new();
        one.watch.told = Standing::Ready;
        *one = one.after(Act::Answer).expect("it was asked");
    }),
    ("DEP-05 it is not asked again", |one| {
        one.now = one.now.after(Millis(100));
        one.listen();
    }),
    ("DEP-05 another standing than was announced", |one| {
        one.watch.told = Standing::Degraded;
        one.listen();
    }),
];

/// Calls fail until the breaker opens.
fn fails(one: &mut Service) {
    one.works = false;
    for _ in 0..LIMITS.failures {
        one.call();
        let call = one.calls.remove(0);
        one.ends(call);
    }
    assert_eq!(one.breaker.state_name(), "open");
}

/// Each rule can fail, and none is without its row.
#[test]
fn whoever_is_misled_says_so_by_the_right_rule() {
    for (wrong, tamper) in ROWS {
        let mut one = Service::new().after(Act::Answer).expect("it was asked");
        assert_eq!((one.watch.told, one.watch.wrong), (Standing::Ready, None));
        tamper(&mut one);
        assert_eq!(one.watch.wrong, Some(wrong));
    }
    each_rule_has_its_row(include_str!("service.rs"), ROWS.map(|(wrong, _)| wrong));
}
