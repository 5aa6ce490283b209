#![no_std]
//! The machines of Golden Path: pure, deterministic, without I/O and without a clock.

extern crate alloc;
#[cfg(any(test, feature = "sync"))]
extern crate std;

pub mod auth;
pub mod client;
pub mod connection;
pub mod fault;
pub mod handshake;
pub mod health;
pub mod hub;
pub mod id;
pub mod limits;
#[cfg(feature = "sync")]
pub mod outbox;
pub mod run;
pub mod seed;
pub mod thread;
pub mod time;
pub mod wire;
