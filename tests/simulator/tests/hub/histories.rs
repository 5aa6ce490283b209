//! Random histories from the generator: messages, repeats, windows that come, go and resume, tasks
//! that speak and die, cancels, a store that fails before and after writing and late, crashes; then
//! all faults stop and everything must come to its end (all of [`goldenpath_simulator::Invariant`]).

use crate::found::kept;
use goldenpath_core::client::Config;
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_proof::counted_to;
use goldenpath_simulator::{Bytes, Seen, Setup, Witness, Work, play, replay};
use proptest::prelude::*;

/// The worlds histories are played in.
pub(crate) fn worlds() -> [(&'static str, Setup); 6] {
    let tight = Limits {
        connections_per_user: 4,
        load_page: 3,
        queued_runs_per_thread: 3,
        running_runs_per_user: 2,
        ..Limits::default()
    };
    [
        ("readers", Setup::default()),
        ("clients", Setup { clients: 2, limits: tight.clone(), ..Setup::default() }),
        ("teams", Setup { work: Work::Team, limits: tight.clone(), ..Setup::default() }),
        (
            "two nodes",
            Setup { nodes: 2, clients: 1, client: Config::default(), ..Setup::default() },
        ),
        (
            "effects",
            Setup { nodes: 2, work: Work::Effects, limits: tight.clone(), ..Setup::default() },
        ),
        (
            "two nodes and two clients",
            Setup { nodes: 2, clients: 2, limits: tight, ..Setup::default() },
        ),
    ]
}

/// Plays the history in a world; keeps it and says how to see it again if something does not hold.
fn holds((name, setup): &(&str, Setup), bytes: &[u8]) -> Result<(), TestCaseError> {
    let played = play(setup.clone(), &mut Bytes::new(bytes));
    let Some(broken) = played.broken.first() else { return Ok(()) };
    Err(TestCaseError::fail(kept(name, setup, broken, &played.ops)))
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 0,
        ..counted_to(150)
    })]

    //= specs/delivery.md#dlv-05
    //= type=test
    //# Every entry MUST in the end reach a reader that stays connected or keeps resuming.
    //= specs/runs.md#run-08
    //= type=test
    //# Every accepted run MUST reach its terminal event, provided the store accepts writes in the
    //# end.
    #[test]
    fn whatever_happens_to_readers_everything_comes_to_its_end(
        bytes in prop::collection::vec(any::<u8>(), 0..500)
    ) {
        holds(&worlds()[0], &bytes)?;
    }

    #[test]
    fn whatever_happens_to_clients_everything_comes_to_its_end(
        bytes in prop::collection::vec(any::<u8>(), 0..500)
    ) {
        holds(&worlds()[1], &bytes)?;
    }

    #[test]
    fn whatever_happens_to_teams_everything_comes_to_its_end(
        bytes in prop::collection::vec(any::<u8>(), 0..500)
    ) {
        holds(&worlds()[2], &bytes)?;
    }

    #[test]
    fn whatever_happens_to_two_nodes_everything_comes_to_its_end(
        bytes in prop::collection::vec(any::<u8>(), 0..500)
    ) {
        holds(&worlds()[3], &bytes)?;
    }

    #[test]
    fn whatever_happens_to_effects_everything_comes_to_its_end(
        bytes in prop::collection::vec(any::<u8>(), 0..500)
    ) {
        holds(&worlds()[4], &bytes)?;
    }

    #[test]
    fn whatever_happens_to_two_nodes_with_two_clients_everything_comes_to_its_end(
        bytes in prop::collection::vec(any::<u8>(), 0..500)
    ) {
        holds(&worlds()[5], &bytes)?;
    }

    #[test]
    fn the_same_history_twice_is_the_same_world(
        bytes in prop::collection::vec(any::<u8>(), 0..300)
    ) {
        let first = play(worlds()[3].1.clone(), &mut Bytes::new(&bytes));
        let again = replay(worlds()[3].1.clone(), &first.ops);
        prop_assert_eq!(first.broken, again.broken);
    }
}

#[test]
fn the_histories_meet_everything_that_can_happen() {
    let mut seen = Seen::default();
    for (name, setup) in worlds() {
        for seed in 0..40 {
            let played = play(setup.clone(), &mut Seed::new(seed));
            if let Some(broken) = played.broken.first() {
                panic!("seed {seed}: {}", kept(name, &setup, broken, &played.ops));
            }
            seen = seen.and(played.seen);
        }
    }
    let all = [
        Witness::Applied,
        Witness::Cancelled,
        Witness::Crashed,
        Witness::DoneUnheard,
        Witness::Duplicate,
        Witness::Fenced,
        Witness::FencedOff,
        Witness::Ghost,
        Witness::HalfOpen,
        Witness::Interrupted,
        Witness::Killed,
        Witness::LandedLate,
        Witness::Repeated,
        Witness::Rejected,
        Witness::Replayed,
        Witness::SentAway,
        Witness::SetBack,
        Witness::SetForward,
        Witness::StoodStill,
        Witness::StoreDown,
        Witness::TakenOver,
        Witness::TimedOut,
        Witness::Waited,
    ];
    let missing: Vec<_> = all.into_iter().filter(|witness| !seen.has(*witness)).collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
}
