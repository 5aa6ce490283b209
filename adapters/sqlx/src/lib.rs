//! The stores, on sqlx.
//!
//! [`Database`] opens the files of one node and hands out the ports: logs, views, accounts, log-ins,
//! artifacts, and who was let in.
//! Usage records have a module of their own, [`usage`].

mod accounts;
mod artifacts;
mod audit;
mod chaos;
mod columns;
mod database;
mod directory;
mod folder_lock;
mod links;
mod sessions;
mod store;
pub mod usage;

pub use chaos::{Chaos, Lost};
pub use database::{Database, Durability, OpenError, Options, migrate};
pub use folder_lock::{FolderLock, LockError};
pub use store::SqliteStore;
