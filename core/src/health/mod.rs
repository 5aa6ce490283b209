//! How parts fail and come back: waits between tries, dependencies, circuit breakers, shutting down.

mod backoff;
mod breaker;
mod dependency;
mod drain;

pub use backoff::Backoff;
pub use breaker::{Breaker, BreakerLimits, Permit, Refused};
pub use dependency::{
    Dependency, Input as DependencyInput, Output as DependencyOutput, Pace, Standing,
};
pub use drain::{Drain, Input as DrainInput, Output as DrainOutput};
