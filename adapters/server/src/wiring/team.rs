//! Which agents answer.

use crate::commands::Failed;
use crate::config::Agents;
use goldenpath_agents::cost::prices::PriceTable;
use goldenpath_runtime::agent::Team;
use goldenpath_runtime::usage::UsageStore;
use std::sync::Arc;

pub(super) fn of(
    agents: Agents,
    _usage: &Arc<dyn UsageStore>,
    _prices: &Arc<PriceTable>,
) -> Result<Team, Failed> {
    let team = match agents {
        Agents::Bench | Agents::Builtin => goldenpath_agents::bench::team(),
        Agents::Scripted => goldenpath_agents::scripted::team(),
    };
    team.map_err(|error| format!("the team of agents: {error}").into())
}
