//! A whole history: operations, then healing, then everything is checked.

use crate::invariant::{Broken, Seen};
use crate::op::{Op, Source};
use crate::world::{Setup, World};

/// Operations of one history; more are not drawn.
const MOST_OPS: usize = 400;

/// What a history came to.
#[derive(Clone, Debug)]
pub struct Played {
    /// What happened; [`replay`] does it again.
    pub ops: Vec<Op>,
    /// What did not hold, first things first.
    pub broken: Vec<Broken>,
    /// What was met on the way.
    pub seen: Seen,
}

/// Plays the history that a source decides.
pub fn play(setup: Setup, source: &mut impl Source) -> Played {
    let ops: Vec<Op> = std::iter::from_fn(|| Op::draw(source)).take(MOST_OPS).collect();
    replay(setup, &ops)
}

/// Plays a history that is known; a node that has readers begins with one.
#[must_use]
pub fn replay(setup: Setup, ops: &[Op]) -> Played {
    let mut world = World::new(setup);
    world.attach(crate::world::HOME, Vec::new());
    for op in ops {
        world.apply(*op);
        if !world.broken.is_empty() {
            break;
        }
    }
    let broken = world.heal();
    Played { ops: ops.to_vec(), broken, seen: world.seen.0 }
}

/// Leaves out whatever is not needed for the same invariant to break: the trace to read, and to keep.
#[must_use]
pub fn shortest(setup: &Setup, ops: &[Op]) -> Vec<Op> {
    let first = |ops: &[Op]| replay(setup.clone(), ops).broken.first().map(|one| one.invariant);
    let mut ops = ops.to_vec();
    let Some(invariant) = first(&ops) else { return ops };
    let mut span = ops.len();
    while span > 0 {
        let mut at = 0;
        while at < ops.len() {
            let mut fewer = ops.clone();
            fewer.drain(at..(at + span).min(ops.len()));
            if first(&fewer) == Some(invariant) {
                ops = fewer;
            } else {
                at += span;
            }
        }
        span /= 2;
    }
    ops
}
