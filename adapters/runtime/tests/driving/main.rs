//! The event loop with a store in memory and a clock that stands still: shards, connections, the drain.

mod connections;
mod rig;
mod shards;
