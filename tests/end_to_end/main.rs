//! The real server, spoken to over real sockets. A test that stands for a row of the failure
//! catalogue carries its id (`specs/failures.md`).

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod conversation;
mod endings;
mod expiry;
mod handshake;
mod harmless;
mod input;
mod isolation;
mod metrics;
mod older;
mod operator;
mod resume;
mod runs;
mod secrets;
mod surface;
mod terminal;
mod tls;
