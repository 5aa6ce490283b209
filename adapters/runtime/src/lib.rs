//! The only event loop: tasks, timers, shards, and the port traits.

pub mod memory;
pub mod ports;
pub mod usage;
