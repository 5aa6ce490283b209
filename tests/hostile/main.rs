//! The running server among clients that mean it no good: it stays healthy, its memory stays bounded,
//! and a well-behaved user beside them notices nothing: AUTH-01, AUTH-07, CONN-04, CONN-14, CONN-15, SAFE-41,
//! SAFE-44, SAFE-45, SAFE-53, SAFE-54, SAFE-70 and SAFE-85, on the whole server.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod arena;
mod crowds;
mod outside;
mod raw;
mod sockets;
