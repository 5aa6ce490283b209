//! A usage store on a database of its own.

use std::path::PathBuf;

use goldenpath_sqlx::usage::SqliteUsage;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

/// Lives as long as the test: dropping it removes the database.
pub(crate) struct Database {
    pub(crate) store: SqliteUsage,
    #[allow(dead_code, reason = "not every suite looks below the store")]
    pub(crate) pool: SqlitePool,
    _dir: tempfile::TempDir,
}

pub(crate) async fn database() -> Database {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(dir.path().join("usage.db"))
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
        .synchronous(sqlx::sqlite::SqliteSynchronous::Off);
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
    sqlx::migrate!("../sqlx/migrations/sqlite").run(&pool).await.unwrap();
    Database { store: SqliteUsage::new(pool.clone()), pool, _dir: dir }
}

/// A file of the shared test data. A missing folder fails the test: it must not pass unseen.
#[allow(dead_code, reason = "not every suite reads shared data")]
pub(crate) fn shared_data(file: &str) -> PathBuf {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let folder = std::env::var_os("GOLDENPATH_SHARED_DATA").map_or_else(default, PathBuf::from);
    let path = folder.join(file);
    assert!(path.exists(), "{} is missing; set GOLDENPATH_SHARED_DATA", path.display());
    path
}
