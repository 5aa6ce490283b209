//! The only event loop: tokio tasks, timers and shards around the core's machines, and the port traits.

pub mod agent;
pub mod connection;
pub mod dependency;
pub mod drain;
pub mod identity;
pub mod memory;
pub mod ports;
pub mod shard;
pub mod tally;
pub mod usage;
pub mod watchdog;

mod clock;

pub use clock::Clock;
