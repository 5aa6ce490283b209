//! One suite for every store: the same cases in memory and on SQLite, and both compared on random
//! histories.
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the case")]

mod accounts;
mod batches;
mod commits;
mod differential;
mod directory;
mod files;
mod isolation;
mod links;
mod reads;
mod sessions;
mod tickets;
mod world;

/// Runs a case on every store.
macro_rules! on_every_store {
    ($(async fn $name:ident($world:ident: &mut World) $body:block)*) => {
        $(async fn $name($world: &mut World) $body)*

        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&mut crate::world::World::memory()).await;
            })*
        }

        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&mut crate::world::World::sqlite().await).await;
            })*
        }
    };
}

pub(crate) use on_every_store;
