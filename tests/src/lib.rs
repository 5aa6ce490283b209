//! Shared by the suites that run the real server: its process, its clients, and the oracle.

pub mod oracle;
pub mod port;
pub mod secrets;
pub mod server;
pub mod socket;
