//! One agent run: plan, event grammar, timeouts, cancel, recovery by replay.

mod grammar;
mod io;
pub use grammar::{Closing, Desk, Grammar, OpenAgent, OpenTool, Violation};

pub use io::{
    AgentSays, Answer, Assignment, CancelReason, Finish, Input, Output, Request, Route,
    StoredResult, Task, ToolOutcome, ToolPolicy, ToolResult,
};
