//! Exhaustive models of the real machines.
//!
//! A model puts machines of `goldenpath-core` into an environment that may do everything the world
//! may do to them, within small bounds, and visits every state that can be reached. Safety is an
//! `always` property; a `sometimes` property shows that the bound is wide enough to get somewhere;
//! liveness is the `always` property that from the state at hand, once faults stop, everything comes
//! to rest as it should ("quiescence stays reachable").
//!
//! Each model is a test of its own in `tests/`, and ends with [`prove`]; `specs/proof/models.md` has a row
//! for each, made from it. `GOLDENPATH_MODELS_DEEP=1` widens the bounds, for hours.

mod bounded;
mod page;

pub use bounded::{Bounded, Fault, Healing, State};

use stateright::{Checker as _, Expectation, HasDiscoveries, Model};
use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

/// More states than this are too many for the test command: tighten the bound of the model.
pub const MOST_STATES: usize = 1_000_000;

/// Steps after which the exploration is given up, unfinished: what waits of them fits into memory.
const MOST_STEPS: usize = 10 * MOST_STATES;

/// Threads that explore; the machine of the test command has two cores.
const THREADS: usize = 2;

/// How the name of a property begins that says what can be come to from every state.
pub const LIVENESS: &str = "in the end";

/// Whether bounds are wide, as in `tests/deep`.
#[must_use]
pub fn is_deep() -> bool {
    std::env::var_os("GOLDENPATH_MODELS_DEEP").is_some()
}

/// A bound of the test command, or that of `tests/deep`.
#[must_use]
pub fn bound<T>(every_day: T, deep: T) -> T {
    if is_deep() { deep } else { every_day }
}

/// Visits every state of the model, checks all its properties in each, prints how many there were and
/// writes `states N` to `proof/NAME.txt` in the build folder, for the summary of `tests/run`. Its row in
/// `specs/proof/models.md` says so, too; `bounds` is what that row says of bounds and faults.
///
/// Returns the number of states.
///
/// # Panics
/// When a property does not hold, with the shortest way there; when a `sometimes` property was never
/// met; when there are more than [`MOST_STATES`], unless bounds are wide; when the row is another one.
pub fn prove<M>(name: &str, bounds: &str, model: M) -> usize
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let properties = model.properties();
    let named = |expectation: Expectation| {
        let found = properties.iter().filter(move |one| one.expectation == expectation);
        found.map(|one| one.name).collect::<Vec<_>>()
    };
    let (always, sometimes) = (named(Expectation::Always), named(Expectation::Sometimes));
    let states = visit(name, model);
    if !is_deep() {
        page::check(name, bounds, &always, &sometimes, states);
    }
    goldenpath_proof::note(name, "states", states);
    states
}

/// Each rule that the text of a model names, in `.finds("…"`, has a row in its table of tampering, and none
/// else.
///
/// # Panics
/// When one is missing, on either side.
pub fn each_rule_has_its_row<'a>(text: &'a str, rows: impl IntoIterator<Item = &'a str>) {
    let rests = text.split(".finds(\"").skip(1);
    let mut found: Vec<&str> = rests.filter_map(|rest| rest.split('"').next()).collect();
    let mut rows: Vec<&str> = rows.into_iter().collect();
    found.sort_unstable();
    rows.sort_unstable();
    assert_eq!(found, rows);
}

fn visit<M>(name: &str, model: M) -> usize
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let begun = Instant::now();
    let checker = model
        .checker()
        .threads(THREADS)
        .target_state_count(MOST_STEPS)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let seconds = begun.elapsed().as_secs_f32();
    let cut = if checker.state_count() < MOST_STEPS { "" } else { ", cut off" };
    println!("{name}: states {states}, depth {depth}, {seconds:.1} s{cut}");
    for property in checker.model().properties() {
        let found = checker.discovery(property.name).map(stateright::Path::into_actions);
        match (property.expectation, found) {
            (Expectation::Always, Some(actions)) => panic!(
                "{name}: not always '{}'; the shortest way there:\n{actions:#?}",
                property.name
            ),
            (Expectation::Sometimes, None) => {
                panic!("{name}: never '{}': the bound is too narrow", property.name)
            }
            (Expectation::Eventually, _) => {
                panic!("{name}: state liveness as what can be reached from every state")
            }
            (Expectation::Always, None) | (Expectation::Sometimes, Some(_)) => {}
        }
    }
    assert!(
        is_deep() || states <= MOST_STATES && checker.state_count() < MOST_STEPS,
        "{name}: {states} states and more are too many for every day"
    );
    states
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateright::Property;

    /// Counts up to `end`.
    #[derive(Clone)]
    struct Count {
        end: u8,
        goal: u8,
    }

    impl Model for Count {
        type State = u8;
        type Action = ();

        fn init_states(&self) -> Vec<u8> {
            vec![0]
        }

        fn actions(&self, state: &u8, actions: &mut Vec<()>) {
            actions.extend((*state < self.end).then_some(()));
        }

        fn next_state(&self, state: &u8, (): ()) -> Option<u8> {
            Some(state + 1)
        }

        fn properties(&self) -> Vec<Property<Self>> {
            vec![
                Property::always("below 10", |_, state| *state < 10),
                Property::sometimes("at the goal", |model: &Self, state| *state == model.goal),
            ]
        }
    }

    #[test]
    fn every_state_is_visited_and_counted() {
        assert_eq!(visit("count", Count { end: 9, goal: 9 }), 10);
    }

    #[test]
    #[should_panic(expected = "not always 'below 10'")]
    fn a_property_that_does_not_hold_is_found() {
        visit("count_too_far", Count { end: 10, goal: 1 });
    }

    #[test]
    #[should_panic(expected = "never 'at the goal'")]
    fn a_goal_that_is_never_reached_is_found() {
        visit("count_too_short", Count { end: 5, goal: 6 });
    }
}
