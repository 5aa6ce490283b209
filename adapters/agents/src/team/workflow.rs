//! Who does what on each route, for the built-in team and for the one that measures the server.

use goldenpath_core::id::Name;
use goldenpath_runtime::agent::{Route, StepSpec, Workflow};
use std::collections::BTreeMap;

/// Names of the agents.
pub const SUPERVISOR: &str = "supervisor";
/// Looks at the question and at the data there are.
pub const TRIAGE: &str = "triage";
/// Says what is missing and how to load it.
pub const DATA_HELPER: &str = "data_helper";
/// Measures.
pub const DATA: &str = "data";
/// Finds savings.
pub const OPTIMIZATION: &str = "optimization";
/// Answers.
pub const REPORT: &str = "report";

/// The order of work:
///
/// | Route | Steps after triage |
/// |---|---|
/// | full | data → optimization → report |
/// | partial | data helper → data → report |
/// | guidance | data helper → report |
/// | capabilities | report |
/// | fallback (triage failed) | data helper → report |
#[must_use]
pub fn workflow() -> Workflow {
    let helper = || step(DATA_HELPER, "Data helper", "Find out what data are missing", &[]);
    let data = || step(DATA, "Data", "Measure what was spent, on what, and when", &[]);
    let savings = || step(OPTIMIZATION, "Optimization", "Find savings and check them", &[DATA]);
    let report = || step(REPORT, "Report", "Write the answer, every number with its source", &[]);
    let routes = BTreeMap::from([
        (Route::Capabilities, vec![report()]),
        (Route::Fallback, vec![helper(), report()]),
        (Route::Full, vec![data(), savings(), report()]),
        (Route::Guidance, vec![helper(), report()]),
        (Route::Partial, vec![helper(), data(), report()]),
    ]);
    let supervisor =
        step(SUPERVISOR, "Supervisor", "Answer the question with a team of agents", &[]);
    let triage = step(TRIAGE, "Triage", "Understand the question and look at the data", &[]);
    Workflow::new(supervisor, triage, routes).expect("a test makes this very plan")
}

fn step(agent: &str, title: &str, purpose: &str, needs: &[&str]) -> StepSpec {
    let name = |name: &str| Name::new(name).expect("the names above are names");
    StepSpec {
        agent: name(agent),
        title: title.into(),
        purpose: purpose.into(),
        needs: needs.iter().map(|needs| name(needs)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_ends_with_the_report_and_puts_data_before_optimization() {
        let workflow = workflow();
        for route in Route::ALL {
            let plan: Vec<String> =
                workflow.plan(route).iter().map(|step| step.agent.to_string()).collect();
            assert_eq!((plan[0].as_str(), plan[plan.len() - 1].as_str()), (TRIAGE, REPORT));
            let at = |agent: &str| plan.iter().position(|name| name == agent);
            if let Some(optimization) = at(OPTIMIZATION) {
                assert!(at(DATA).is_some_and(|data| data < optimization), "F27");
            }
        }
    }
}
