//! The only event loop: tasks, timers, shards, and the port traits.

pub mod clock;
pub mod ports;
pub mod shard;
pub mod usage;
