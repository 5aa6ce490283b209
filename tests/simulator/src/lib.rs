//! Worlds around the real machines of `goldenpath-core`: a store, nodes with a hub and its runs,
//! readers, clients behind sockets, and everything that can go wrong with them. Pure: no clock, no
//! task, no randomness of its own.
//!
//! ```text
//!  Client ──frames──▶ Hub ──batches──▶ Store        an Op is one thing that happens in a World:
//!    ▲    ◀──frames──  │ ▲ ◀──answers──             a write is answered, lost, lands late; a socket
//!    │                 ▼ │ entries                  is cut; a task dies; a process dies; a node takes
//!  Reader             Task (script, or Run)         the lease over; time passes …
//! ```
//!
//! A [`World`] checks all that is in [`Invariant`] while things happen, in [`World::check`] whenever it
//! is asked, and at the end in [`World::heal`]: all faults stop, and everything must converge.
//!
//! One generator makes the operations ([`Op::draw`], from any [`Source`]), so property tests, fuzzing
//! and longer simulations explore alike; the exhaustive models enumerate the same operations with
//! [`World::ops`]. What they did can be kept as a [`Trace`] and [replayed](replay).
//!
//! ```
//! use goldenpath_simulator::{Bytes, Setup, play};
//!
//! let played = play(Setup::default(), &mut Bytes::new(b"any bytes are a history"));
//! assert_eq!(played.broken, []);
//! ```

mod clock;
mod heal;
mod invariant;
mod node;
mod op;
mod play;
mod process;
mod reader;
mod replays;
pub mod rules;
mod seat;
pub mod store;
#[cfg(test)]
mod tampered;
mod task;
mod team;
mod trace;
mod world;

pub use clock::Clock;
pub use invariant::{Aside, Broken, Invariant, Seen, Witness};
pub use node::{Fate, Node, Pending};
pub use op::{Bytes, Op, Source, Talk};
pub use play::{Played, play, replay, shortest};
pub use reader::Reader;
pub use replays::Replays;
pub use seat::{Seat, Socket};
pub use task::{Task, Work};
pub use team::{Team, ToolEnd};
pub use trace::Trace;
pub use world::{HOME, Setup, World, identity, message, points, scope_of};
