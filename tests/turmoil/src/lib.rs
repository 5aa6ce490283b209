//! The whole system on a simulated network: the real core, the real server with its HTTP side, the
//! real client, and around them a network, a disk, agents and a clock that one seed decides over.
//!
//! ```text
//!  device-0 ─┐  turmoil: loss, delay, half-open, hold    ┌─ agents: slow, silent, failing
//!  device-1 ─┼───────────────── node ────────────────────┤
//!  device-2 ─┘  every byte to a client is listened to    └─ disk: slow, down, of unknown outcome
//! ```
//!
//! A [`Plan`] is everything people do and everything that goes wrong, with its times; [`Plan::draw`]
//! makes one from a seed, [`run`] runs it, heals all faults, and checks the whole history against the
//! [invariants](goldenpath_simulator::Invariant) of the other simulations: the logs, every frame that
//! any client heard, and what every application shows. Time is virtual; nothing here waits.

mod device;
mod ground;
mod history;
mod node;
mod oracle;
mod plan;
mod shortest;
mod store;
mod tap;
mod world;

pub use plan::{At, Fate, Plan, Point, Step};
pub use shortest::shortest;
pub use world::{Outcome, run};
