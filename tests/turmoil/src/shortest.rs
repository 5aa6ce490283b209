//! From a history that breaks something to one that says why.

use crate::plan::{At, Plan};
use crate::world::run;

/// Leaves out steps as long as something is still broken; runs at most `tries` worlds.
#[must_use]
pub fn shortest(plan: &Plan, tries: usize) -> Plan {
    let mut best = plan.clone();
    let mut left = tries;
    let mut piece = best.steps.len().div_ceil(2).max(1);
    loop {
        let mut start = 0;
        while start < best.steps.len() {
            if left == 0 {
                return best;
            }
            left -= 1;
            let end = (start + piece).min(best.steps.len());
            let steps: Vec<At> = [&best.steps[..start], &best.steps[end..]].concat();
            let shorter = Plan { steps, ..best.clone() };
            if run(&shorter).broken.is_empty() {
                start = end;
            } else {
                best = shorter;
            }
        }
        if piece == 1 {
            return best;
        }
        piece = piece.div_ceil(2);
    }
}
