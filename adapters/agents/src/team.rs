//! The built-in team: who works, in which order, with which tools.
//!
//! Agents hold orchestration only: no clock, no chance, no I/O, no hash order. All of that is in
//! [`crate::tools`].

mod data;
mod data_helper;
mod optimization;
mod report;
mod triage;
pub mod workflow;

pub use data::{Collected, Data};
pub use data_helper::DataHelper;
pub use optimization::Optimization;
pub use report::Report;
pub use triage::{Triage, Understood};

use crate::tools::{Instruments, equip};
use goldenpath_runtime::agent::{Team, TeamError};

/// The team that answers questions about AI costs.
///
/// # Errors
/// Never, as its tests show.
pub fn built_in(instruments: &Instruments) -> Result<Team, TeamError> {
    let team = Team::builder(workflow::workflow())
        .agent(Triage)
        .agent(DataHelper)
        .agent(Data)
        .agent(Optimization)
        .agent(Report);
    equip(team, instruments).build()
}
