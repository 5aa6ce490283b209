//! local
use crate::id::*;
use crate::seed::Seed;
use crate::time::Wall;
use crate::wire::*;
use alloc::vec::Vec;
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grammar {
    run_id: RunId,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Violation;
impl Grammar {
    pub fn new(run_id: RunId) -> Self {
        Self { run_id }
    }
    pub fn observe(&mut self, _d: &Draft) -> Result<(), Violation> {
        Ok(())
    }
    pub fn replay(&mut self, _e: &Entry) {}
    pub fn close(
        &mut self,
        _s: AgentStatus,
        _w: Wall,
        _t: ThreadId,
        _e: Epoch,
        _seed: &mut Seed,
    ) -> Vec<Draft> {
        Vec::new()
    }
}
