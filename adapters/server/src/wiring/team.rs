//! Which agents answer.

use crate::commands::Failed;
use crate::config::Agents;
use goldenpath_agents::cost::prices::PriceTable;
use goldenpath_agents::tools::Instruments;
use goldenpath_runtime::agent::Team;
use goldenpath_runtime::usage::UsageStore;
use std::sync::Arc;

pub(super) fn of(
    agents: Agents,
    usage: &Arc<dyn UsageStore>,
    prices: &Arc<PriceTable>,
    demo: bool,
) -> Result<Team, Failed> {
    let team = match agents {
        Agents::Bench => goldenpath_agents::bench::team(),
        Agents::Builtin => goldenpath_agents::team::built_in(&Instruments {
            usage: usage.clone(),
            prices: prices.clone(),
            thresholds: Arc::default(),
            demo,
        }),
        Agents::Scripted => goldenpath_agents::scripted::team(),
    };
    team.map_err(|error| format!("the team of agents: {error}").into())
}
