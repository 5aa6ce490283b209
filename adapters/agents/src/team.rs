//! The built-in team: who works, in which order, with which tools.

pub mod workflow;
