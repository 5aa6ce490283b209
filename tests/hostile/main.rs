//! The running server among clients that mean it no good: it stays healthy, its memory stays bounded,
//! and a well-behaved user beside them notices nothing.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod arena;
mod crowds;
mod outside;
mod raw;
mod sockets;
