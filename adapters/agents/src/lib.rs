//! The built-in agents and tools, and the cost analysis.

pub mod cost;
pub mod import;
