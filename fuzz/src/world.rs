//! Whole worlds: the simulator's generator decides from bytes what happens to nodes, store, clients and
//! runs, its invariants are checked on the way, and in the end all faults stop and everything converges.

use goldenpath_core::limits::Limits;
use goldenpath_simulator::{Bytes, Setup, Work, play, replay, shortest};

/// The first byte decides the world, each of the others what happens in it.
pub fn world(data: &[u8]) {
    let [first, history @ ..] = data else { return };
    let setup = setup(*first);
    let played = play(setup.clone(), &mut Bytes::new(history));
    if let Some(broken) = played.broken.first() {
        let ops = shortest(&setup, &played.ops);
        panic!("{broken}\n{setup:?}\nreplay(setup, &{ops:?})");
    }
    if first & 0x80 != 0 {
        let again = replay(setup, &played.ops);
        assert_eq!(
            format!("{:?}", again.seen),
            format!("{:?}", played.seen),
            "the same history, the same world"
        );
    }
}

/// One or two nodes, readers with and without a machine of their own, scripts or whole teams, roomy or
/// tight bounds.
fn setup(choice: u8) -> Setup {
    let tight = Limits {
        connections_per_user: 4,
        load_page: 3,
        queued_runs_per_thread: 3,
        running_runs_per_user: 2,
        ..Limits::default()
    };
    Setup {
        nodes: 1 + usize::from(choice & 1),
        clients: usize::from(choice >> 1 & 3) % 3,
        limits: if choice & 8 != 0 { tight } else { Limits::default() },
        work: if choice & 16 != 0 { Work::Team } else { Work::FiveKinds },
        ..Setup::default()
    }
}
