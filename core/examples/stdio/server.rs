//! What stands behind any transport: the hub of one user, its runs, and a store in memory. A real
//! server has these in shards, tasks and a database; here they stand in a row.

#[path = "../../../tests/simulator/src/store.rs"]
#[allow(dead_code, unreachable_pub, reason = "the worlds of the tests look deeper into it")]
mod store;

use crate::team::{Team, workflow};
use goldenpath_core::auth::Scope;
use goldenpath_core::connection;
use goldenpath_core::hub::{Hub, Input, Output};
use goldenpath_core::id::{Fence, RunId};
use goldenpath_core::limits::Limits;
use goldenpath_core::run::{self, Run, Workflow};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Mono, Now, earliest};
use goldenpath_core::wire::Frame;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) struct Server {
    hub: Hub,
    runs: BTreeMap<RunId, (Run, Fence)>,
    store: store::Store,
    team: Team,
    workflow: Arc<Workflow>,
    limits: Arc<Limits>,
    seed: Seed,
}

/// What one step came to.
pub(crate) enum Step {
    /// Nothing to do before the deadline.
    Idle(Option<Mono>),
    /// Something was done; there may be more.
    Worked,
    /// Something for the connection.
    Tell(connection::Input<'static>),
    /// Frames for the connection.
    Deliver(Arc<[Frame]>),
}

impl Server {
    pub(crate) fn new(scope: Scope, limits: Arc<Limits>) -> Self {
        let mut seed = Seed::new(2);
        Self {
            hub: Hub::new(scope, limits.clone(), seed.fork()),
            runs: BTreeMap::new(),
            store: store::Store::default(),
            team: Team::default(),
            workflow: Arc::new(workflow()),
            limits,
            seed,
        }
    }

    pub(crate) fn handle_input(&mut self, now: Now, input: Input) {
        self.hub.handle_input(now, input);
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) {
        self.hub.handle_timeout(now);
        self.runs.values_mut().for_each(|(run, _)| run.handle_timeout(now));
    }

    pub(crate) fn step(&mut self, now: Now) -> Step {
        match self.hub.poll_output() {
            Output::Idle(of_hub) => match self.step_of_runs(now) {
                Step::Idle(of_runs) => Step::Idle(earliest(of_hub, of_runs)),
                worked => worked,
            },
            output => self.serve_hub(now, output),
        }
    }

    fn serve_hub(&mut self, now: Now, output: Output) -> Step {
        let answer = match output {
            Output::Attached { ready, .. } => {
                return Step::Tell(connection::Input::Attached(ready));
            }
            Output::Heads { heads, .. } => return Step::Tell(connection::Input::Heads(heads)),
            Output::Close { code, .. } => return Step::Tell(connection::Input::HubClose(code)),
            Output::Deliver { frames, .. } => return Step::Deliver(frames),
            Output::Commit { effect, batch } => {
                Input::Committed { effect, result: self.store.commit(&batch) }
            }
            Output::Load { effect, load } => {
                Input::Loaded { effect, result: Ok(self.store.load(&load)) }
            }
            Output::Record { effect, .. } => Input::Recorded { effect, result: Ok(true) },
            // Standard output has no queue: what was said has been written.
            Output::Mark { connection_id, mark } => Input::Marked { connection_id, mark },
            Output::StartRun { assignment, fence, .. } => {
                let (run_id, seed) = (assignment.run_id, self.seed.fork());
                let (workflow, limits) = (self.workflow.clone(), self.limits.clone());
                self.runs
                    .insert(run_id, (Run::new(assignment, workflow, limits, seed, now), fence));
                return Step::Worked;
            }
            Output::CancelRun { run_id, reason } => {
                if let Some((run, _)) = self.runs.get_mut(&run_id) {
                    run.handle_input(now, run::Input::Cancel(reason));
                }
                return Step::Worked;
            }
            Output::KillRun { run_id } => {
                self.runs.remove(&run_id);
                return Step::Worked;
            }
            // One process, and tools that may be called again.
            Output::Confirmed { .. } | Output::FencedOff => return Step::Worked,
            Output::Idle(_) | Output::Retire => return Step::Worked,
        };
        self.hub.handle_input(now, answer);
        Step::Worked
    }

    fn step_of_runs(&mut self, now: Now) -> Step {
        let mut deadline = None;
        for (run_id, (run, fence)) in &mut self.runs {
            match run.poll_output() {
                run::Output::Idle(at) => deadline = earliest(deadline, at),
                run::Output::Append(draft) => {
                    let (run_id, fence, drafts) = (*run_id, *fence, vec![draft]);
                    self.hub.handle_input(now, Input::Append { run_id, fence, drafts });
                    return Step::Worked;
                }
                output => {
                    if let Some(input) = self.team.work(output) {
                        run.handle_input(now, input);
                    }
                    return Step::Worked;
                }
            }
        }
        self.runs.retain(|_, (run, _)| run.ended().is_none());
        Step::Idle(deadline)
    }
}
