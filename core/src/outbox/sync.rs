//! The lock and the reference count: std's, or loom's when it explores the outbox.

#[cfg(feature = "loom")]
pub(super) use loom::sync::{Arc, Mutex, MutexGuard};
pub(super) use std::sync::PoisonError;
#[cfg(not(feature = "loom"))]
pub(super) use std::sync::{Arc, Mutex, MutexGuard};
