//! Histories that once broke an invariant, cut to what it takes. They hold now, and are kept.

use crate::histories::worlds;
use goldenpath_core::wire::MultitaskStrategy::{Enqueue, Interrupt, Reject};
use goldenpath_simulator::Fate::{DoneLater, Down, Well};
use goldenpath_simulator::Op::{
    Answer, Attach, Cancel, Crash, Detach, Dial, Die, Hear, Land, Pass, PassFor, Reach, Return,
    Say, Send, Speak, TakeOver,
};
use goldenpath_simulator::{Op, Talk, replay};

/// Plays it in the world of this name.
fn holds(world: &str, ops: &[Op]) {
    let worlds = worlds();
    let (_, setup) = worlds.iter().find(|(name, _)| *name == world).unwrap();
    let broken = replay(setup.clone(), ops).broken;
    assert!(broken.is_empty(), "{broken:?}");
}

const fn talk(
    name: u8,
    thread: Option<u8>,
    strategy: goldenpath_core::wire::MultitaskStrategy,
) -> Talk {
    Talk { name, thread, strategy, cancel_with_client: false }
}

const fn with_client(talk: Talk) -> Talk {
    Talk { cancel_with_client: true, ..talk }
}

/// It was answered "is being cancelled", and completed.
#[test]
fn a_cancel_that_finds_its_run_ending_is_answered_with_the_end() {
    holds(
        "readers",
        &[
            Say(2, talk(2, None, Enqueue)),
            Answer(1, 0, Well),
            Die(1, 1),
            Answer(1, 3, Well),
            Answer(0, 0, Well),
            Say(1, talk(1, Some(1), Interrupt)),
            Cancel(3),
            Answer(0, 1, Down),
            Say(3, talk(3, Some(2), Enqueue)),
        ],
    );
}

/// The node before had its time-out on its way into the log.
#[test]
fn a_cancel_is_no_promise_before_the_claim_is_ours() {
    holds(
        "effects",
        &[
            Say(0, with_client(talk(10, None, Enqueue))),
            Answer(0, 0, Well),
            Say(1, with_client(talk(3, Some(2), Interrupt))),
            Speak(0, 2, 2),
            Answer(0, 3, Well),
            Pass,
            Pass,
            Answer(0, 3, Well),
            TakeOver(1),
            Answer(1, 1, Well),
            Attach(1),
            Detach(0),
            Cancel(1),
        ],
    );
    holds(
        "effects",
        &[
            Say(0, talk(10, None, Enqueue)),
            Answer(0, 2, Well),
            Speak(0, 1, 1),
            Answer(0, 3, Well),
            Pass,
            Attach(1),
            Say(0, with_client(talk(7, Some(3), Interrupt))),
            Attach(1),
            Answer(0, 1, DoneLater),
            Return(3),
            Say(0, talk(5, Some(3), Enqueue)),
            Pass,
            Land(0),
            Answer(1, 1, Well),
            Pass,
            Cancel(0),
        ],
    );
}

/// A resume of two threads waited for the second while the first was given up, to be read again: its
/// reader was told that there is no such thread.
#[test]
fn a_thread_that_is_read_again_during_a_resume_is_still_there() {
    holds(
        "two nodes",
        &[
            Send(0, with_client(talk(3, Some(0), Reject))),
            Say(3, with_client(talk(9, Some(1), Enqueue))),
            Detach(3),
            Dial(0, 0, true),
            TakeOver(1),
            PassFor(1),
            Answer(0, 1, Well),
            Speak(0, 2, 2),
            Hear(0),
            Hear(0),
            Attach(1),
            Reach(1),
            Answer(0, 1, Well),
            Say(3, with_client(talk(3, Some(2), Enqueue))),
            Answer(1, 2, Well),
            Hear(1),
            Hear(1),
            Hear(1),
            Hear(0),
            Crash(0),
            Pass,
            Dial(0, 1, true),
            Hear(0),
            Reach(0),
        ],
    );
}
