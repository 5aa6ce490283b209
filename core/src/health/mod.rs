//! How parts fail and come back: waits between tries.

mod backoff;

pub use backoff::Backoff;
