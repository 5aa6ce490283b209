//! The built-in agents and tools, and the cost analysis.

pub mod bench;
pub mod cost;
pub mod demo_data;
pub mod import;
pub mod scripted;
pub mod team;
pub mod tools;
