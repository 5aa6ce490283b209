//! The lock and the reference count: std's, or those of loom or shuttle when they explore the outbox.

#[cfg(feature = "loom")]
pub(super) use loom::sync::{Arc, Mutex, MutexGuard};
#[cfg(all(feature = "shuttle", not(feature = "loom")))]
pub(super) use shuttle::sync::{Arc, Mutex, MutexGuard};
pub(super) use std::sync::PoisonError;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
pub(super) use std::sync::{Arc, Mutex, MutexGuard};
