//! The event loop with a store in memory and a clock that stands still: shards, connections, the drain.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod connections;
mod rig;
mod shards;
