//! One conversation's log: appending in order, positions, replay, gaps.

mod log;
mod subscription;

pub use log::{Log, Outcome};
pub use subscription::{Next, Subscription};

#[cfg(test)]
mod matrix_tests;
