//! The event loop.

pub mod usage;
