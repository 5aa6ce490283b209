//! The HTTP side on real sockets and on streams in memory, with a store that forgets.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod accounts;
mod addresses;
mod answers;
mod audits;
mod bare;
mod closes;
mod edge;
mod events;
mod guesses;
mod log_ins;
mod older;
mod patience;
mod provider;
mod rig;
mod sockets;
mod tickets;
