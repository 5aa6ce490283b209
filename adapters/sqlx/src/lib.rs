//! The stores, on sqlx.

pub mod usage;
