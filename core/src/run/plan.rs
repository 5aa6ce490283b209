//! Who does what, in which order: a route becomes a plan, and a plan is checked when it is made (F27).

use super::Route;
use crate::id::Name;
use crate::wire::PlanStep;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// One step: an agent and what it is there for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StepSpec {
    /// Who does it; once per plan.
    pub agent: Name,
    /// The agent's name for people.
    pub title: String,
    /// What for, in a few words.
    pub purpose: String,
    /// Agents whose result it cannot do without; they stand before it in every plan.
    pub needs: Vec<Name>,
}

/// The team's order of work: who looks at the question, and which steps each route has.
///
/// Every plan made by it ends with the report (RUN-14) and has each step after what it needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Workflow {
    supervisor: StepSpec,
    triage: StepSpec,
    routes: BTreeMap<Route, Vec<StepSpec>>,
}

/// Why a plan cannot be worked through.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PlanError {
    /// An agent has two steps, or the supervisor or triage is a step as well.
    Doubled(Name),
    /// A step stands before something it needs.
    NeedsLater {
        /// The step.
        agent: Name,
        /// What it needs.
        needs: Name,
    },
    /// The route has no steps: nobody would answer.
    NoReport(Route),
    /// The last step is not the agent that reports in the other routes.
    ReportNotLast(Route),
    /// A name the inputs of a step use for something else.
    Reserved(Name),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doubled(agent) => write!(f, "{agent} has two places in the plan"),
            Self::NeedsLater { agent, needs } => {
                write!(f, "{agent} needs {needs}, which does not stand before it")
            }
            Self::NoReport(route) => write!(f, "the route {} has no steps", route.as_str()),
            Self::ReportNotLast(route) => {
                write!(f, "the route {} does not end with the report", route.as_str())
            }
            Self::Reserved(name) => write!(f, "{name} cannot be the name of an agent"),
        }
    }
}

impl core::error::Error for PlanError {}

/// The key under which a step's inputs say which agents before it have no result.
pub const MISSING: &str = "missing";

impl Workflow {
    /// Checks every route's plan; all five routes must be there.
    ///
    /// # Errors
    /// The first plan that could not be worked through, and why (F27).
    pub fn new(
        supervisor: StepSpec,
        triage: StepSpec,
        routes: BTreeMap<Route, Vec<StepSpec>>,
    ) -> Result<Self, PlanError> {
        let report = routes.values().find_map(|steps| steps.last()).map(|step| step.agent.clone());
        for route in Route::ALL {
            let steps = routes.get(&route).map_or(&[][..], Vec::as_slice);
            //= specs/runs.md#run-14
            //# The report agent MUST run in every run that is not cancelled, interrupted or cut off
            //# with its task.
            match steps.last() {
                None => return Err(PlanError::NoReport(route)),
                Some(last) if Some(&last.agent) != report.as_ref() => {
                    return Err(PlanError::ReportNotLast(route));
                }
                Some(_) => {}
            }
            let mut before = alloc::vec![&supervisor.agent, &triage.agent];
            for step in steps {
                if step.agent.as_str() == MISSING {
                    return Err(PlanError::Reserved(step.agent.clone()));
                }
                if before.contains(&&step.agent) {
                    return Err(PlanError::Doubled(step.agent.clone()));
                }
                //= specs/runs.md#run-25
                //# A plan with a step before what it needs MUST be refused when it is made.
                if let Some(needs) = step.needs.iter().find(|needs| !before.contains(needs)) {
                    let (agent, needs) = (step.agent.clone(), needs.clone());
                    return Err(PlanError::NeedsLater { agent, needs });
                }
                before.push(&step.agent);
            }
        }
        Ok(Self { supervisor, triage, routes })
    }

    /// The agent every event tree has at its root; it has no code, the run itself is it.
    #[must_use]
    pub const fn supervisor(&self) -> &StepSpec {
        &self.supervisor
    }

    /// Who looks at the question first.
    #[must_use]
    pub const fn triage(&self) -> &StepSpec {
        &self.triage
    }

    /// The steps after triage; the last one reports.
    #[must_use]
    pub fn steps(&self, route: Route) -> &[StepSpec] {
        self.routes.get(&route).map_or(&[], Vec::as_slice)
    }

    /// The plan as the log shows it, triage included.
    #[must_use]
    pub fn plan(&self, route: Route) -> Vec<PlanStep> {
        core::iter::once(&self.triage)
            .chain(self.steps(route))
            .map(|step| PlanStep { agent: step.agent.clone(), title: step.purpose.clone() })
            .collect()
    }
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Capabilities, Self::Fallback, Self::Full, Self::Guidance, Self::Partial];

    /// The word in `run_plan`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::Fallback => "fallback",
            Self::Full => "full",
            Self::Guidance => "guidance",
            Self::Partial => "partial",
        }
    }

    /// The route a `run_plan` names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{step, workflow};
    use super::*;
    use alloc::vec;

    fn with(route: Route, steps: Vec<StepSpec>) -> Result<Workflow, PlanError> {
        let good = workflow();
        let mut routes = good.routes.clone();
        routes.insert(route, steps);
        Workflow::new(good.supervisor.clone(), good.triage, routes)
    }

    /// F27.
    //= specs/runs.md#run-25
    //= type=test
    //# A plan with a step before what it needs MUST be refused when it is made.
    #[test]
    fn optimization_before_data_is_refused_when_the_plan_is_made() {
        let steps = vec![step("optimization", &["data"]), step("data", &[]), step("report", &[])];
        let error = with(Route::Full, steps).unwrap_err();
        insta::assert_snapshot!(error, @"optimization needs data, which does not stand before it");
    }

    /// F26, RUN-14.
    #[test]
    fn a_plan_without_report_at_its_end_is_refused() {
        let error = with(Route::Full, vec![step("report", &[]), step("data", &[])]).unwrap_err();
        insta::assert_snapshot!(error, @"the route full does not end with the report");
        let error = with(Route::Guidance, vec![]).unwrap_err();
        insta::assert_snapshot!(error, @"the route guidance has no steps");
    }

    #[test]
    fn an_agent_has_one_place_in_a_plan() {
        let twice = vec![step("data", &[]), step("data", &[]), step("report", &[])];
        insta::assert_snapshot!(with(Route::Full, twice).unwrap_err(), @"data has two places in the plan");
        let triage = vec![step("triage", &[]), step("report", &[])];
        insta::assert_snapshot!(with(Route::Full, triage).unwrap_err(), @"triage has two places in the plan");
        let reserved = vec![step("missing", &[]), step("report", &[])];
        insta::assert_snapshot!(with(Route::Full, reserved).unwrap_err(), @"missing cannot be the name of an agent");
    }

    #[test]
    fn every_route_has_a_word_of_its_own() {
        for route in Route::ALL {
            assert_eq!(Route::from_word(route.as_str()), Some(route));
            assert_eq!(serde_json::to_string(&route).unwrap().trim_matches('"'), route.as_str());
        }
        assert_eq!(Route::from_word("somewhere"), None);
    }
}
