//! Agents and tools as code: what their authors write against, and the task that runs them.
//!
//! An [`Agent`] is an `async fn` over a [`Cx`]. Every await on the context is an effect that the
//! [`Run`](goldenpath_core::run::Run) records in the log, so after a crash the code runs again, is
//! answered from the log up to where it was, and goes on. What makes that hold, and what the helper in
//! [`testing`] shows for a given team: no clock, no randomness, no I/O and no hash order inside an agent;
//! all of that belongs into a [`Tool`].
//!
//! ```
//! use goldenpath_runtime::agent::{Agent, AgentError, Cx, Finish, Task, Tool, ToolCx, ToolError, join};
//! use futures_util::future::BoxFuture;
//!
//! struct Add;
//!
//! impl Tool for Add {
//!     type Args = (u64, u64);
//!     type Out = u64;
//!     const NAME: &'static str = "add";
//!     const TITLE: &'static str = "Add two numbers";
//!
//!     async fn call(&self, _: ToolCx, (a, b): (u64, u64)) -> Result<u64, ToolError> {
//!         a.checked_add(b).ok_or_else(|| ToolError::invalid("the sum is too large"))
//!     }
//! }
//!
//! struct Adder;
//!
//! impl Agent for Adder {
//!     fn name(&self) -> &'static str {
//!         "adder"
//!     }
//!
//!     fn title(&self) -> &'static str {
//!         "Adder"
//!     }
//!
//!     fn run(&self, cx: Cx, task: Task) -> BoxFuture<'static, Result<Finish, AgentError>> {
//!         Box::pin(async move {
//!             cx.think(format!("Adding for: {}", task.text)).await;
//!             let (a, b) = join(cx.tool::<Add>((1, 2)), cx.tool::<Add>((3, 4))).await;
//!             Finish::with(&(a? + b?), "Added").map_err(AgentError::from)
//!         })
//!     }
//! }
//! ```

mod context;
mod coroutine;
mod join;
mod runs;
mod task;
mod team;
pub mod testing;
mod tool;

pub use context::{Cx, Inputs, Missing};
pub use futures_util::future::{join, join3, join4, join5};
pub use goldenpath_core::run::{Finish, Route, StepSpec, Task, ToolPolicy, Workflow};
pub use join::join_all;
pub use runs::AgentRuns;
pub use task::Log;
pub use team::{Agent, AgentError, Team, TeamBuilder, TeamError};
pub use tool::{Kept, Shelf, Tool, ToolCx, ToolError};
