//! Opening, migrating and closing the files of one node.
//!
//! Two files: `goldenpath.db` holds logs, accounts and artifacts, `usage.db` the usage records. SQLite
//! has one writer a file, so a large import never makes a run wait.

use crate::chaos::Chaos;
use crate::store::{CACHED_STATEMENTS, SqliteStore, Writer};
use core::fmt;
use core::time::Duration;
use goldenpath_runtime::ports::{Accounts, Artifacts, AuditLog, Directory, Links, Sessions, Store};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlitePool};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sqlite");
/// Migrations from this version on belong to the file of usage records.
const FIRST_USAGE_MIGRATION: i64 = 100;
/// Jobs that may wait for the writer; beyond it a write is `Unavailable`.
const QUEUE: usize = 65_536;
/// How long a connection waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const PAGE_BYTES: u32 = 8192;
/// 256 MiB of the file may be read without a copy.
const MMAP_BYTES: u32 = 256 << 20;
/// 16 MiB of pages a connection; SQLite counts them in KiB, with a minus sign.
const CACHE_KIB: &str = "-16384";
/// Pages in the write-ahead log before they are moved into the file: 64 MiB.
const CHECKPOINT_PAGES: u32 = 8192;

/// What survives what, once a commit is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Everything survives `kill -9`; the last moments before a power cut may be lost, the file stays whole.
    #[default]
    ProcessCrash,
    /// Everything survives a power cut; each group of commits waits for the disk.
    PowerCut,
}

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of its files; made when missing, for its owner only.
    pub dir: PathBuf,
    /// What survives what.
    pub durability: Durability,
    /// Connections that read, a file.
    pub readers: u32,
    /// Writes of one transaction at most.
    pub group: usize,
    /// Largest size of `goldenpath.db` in bytes; at it writes are `Unavailable`. `None`: the disk decides.
    pub max_bytes: Option<u64>,
    /// Commits that go wrong on purpose; for tests.
    pub chaos: Option<Arc<Chaos>>,
}

impl Options {
    /// The ordinary ones, in this folder.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            durability: Durability::default(),
            readers: 4,
            group: 512,
            max_bytes: None,
            chaos: None,
        }
    }

    /// The file of logs, accounts and artifacts.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir.join("goldenpath.db")
    }

    /// The file of usage records.
    #[must_use]
    pub fn usage_file(&self) -> PathBuf {
        self.dir.join("usage.db")
    }

    fn connect(&self, file: &Path) -> SqliteConnectOptions {
        let synchronous = match self.durability {
            Durability::ProcessCrash => SqliteSynchronous::Normal,
            Durability::PowerCut => SqliteSynchronous::Full,
        };
        SqliteConnectOptions::new()
            .filename(file)
            .page_size(PAGE_BYTES)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("mmap_size", MMAP_BYTES.to_string())
            .pragma("cache_size", CACHE_KIB)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
            .disable_statement_logging()
    }
}

/// Why a database cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The file or its folder cannot be made or used.
    File(PathBuf, io::Error),
    /// A newer version of this program wrote it; going on would damage it.
    Newer {
        /// Which file.
        file: PathBuf,
        /// The version of its schema.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// Its schema cannot be brought up to date.
    Migrate(PathBuf, MigrateError),
    /// SQLite refuses it.
    Sql(PathBuf, sqlx::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, error) => write!(f, "{}: {error}", file.display()),
            Self::Newer { file, found, known } => write!(
                f,
                "{}: its schema is version {found}, this program knows up to {known}; \
                 use the newer program that wrote it, or restore a backup",
                file.display()
            ),
            Self::Migrate(file, error) => {
                write!(f, "{}: the schema cannot be brought up to date: {error}", file.display())
            }
            Self::Sql(file, error) => write!(f, "{}: {error}", file.display()),
        }
    }
}

impl std::error::Error for OpenError {}

/// The open files of one node; clones share them. [`close`](Self::close) ends them in order; without
/// it nothing that was answered is lost.
#[derive(Clone, Debug)]
pub struct Database {
    store: SqliteStore,
    usage: SqlitePool,
}

impl Database {
    /// Opens the files, makes them if they are missing, and brings their schemas up to date.
    ///
    /// # Errors
    /// [`OpenError`], in words for the person who starts the server.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        migrate(&options).await?;
        let (file, usage_file) = (options.file(), options.usage_file());
        // Room for all rows of a group, so that SQLite's thread never waits for the task that reads them.
        let mut writing = options
            .connect(&file)
            .row_buffer_size(options.group.max(64))
            .statement_cache_capacity(CACHED_STATEMENTS);
        if let Some(bytes) = options.max_bytes {
            let pages = (bytes / u64::from(PAGE_BYTES)).max(1);
            writing = writing.pragma("max_page_count", pages.to_string());
        }
        let failed = |error| OpenError::Sql(file.clone(), error);
        let conn = writing.connect().await.map_err(failed)?;
        let readers = pool(&options, options.connect(&file).read_only(true)).await;
        let usage = pool(&options, options.connect(&usage_file)).await;
        let usage = usage.map_err(|error| OpenError::Sql(usage_file, error))?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = Writer::new(queue, writing, conn, options.group, options.chaos);
        tokio::spawn(writer.run());
        Ok(Self { store: SqliteStore::new(readers.map_err(failed)?, jobs), usage })
    }

    /// The logs.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    /// Views of the logs.
    #[must_use]
    pub fn directory(&self) -> Arc<dyn Directory> {
        Arc::new(self.store.clone())
    }

    /// Log-ins.
    #[must_use]
    pub fn sessions(&self) -> Arc<dyn Sessions> {
        Arc::new(self.store.clone())
    }

    /// Who was let in.
    #[must_use]
    pub fn audit(&self) -> Arc<dyn AuditLog> {
        Arc::new(self.store.clone())
    }

    /// Accounts and preferences.
    #[must_use]
    pub fn accounts(&self) -> Arc<dyn Accounts> {
        Arc::new(self.store.clone())
    }

    /// Users whom another provider knows.
    #[must_use]
    pub fn links(&self) -> Arc<dyn Links> {
        Arc::new(self.store.clone())
    }

    /// Artifacts.
    #[must_use]
    pub fn artifacts(&self) -> Arc<dyn Artifacts> {
        Arc::new(self.store.clone())
    }

    /// Connections to the usage records, for [`SqliteUsage`](crate::usage::SqliteUsage).
    #[must_use]
    pub fn usage_pool(&self) -> SqlitePool {
        self.usage.clone()
    }

    /// Finishes every write that was handed over and closes the files; later calls are `Unavailable`.
    pub async fn close(&self) {
        // The last connection to close moves the write-ahead log into the file: readers go first.
        self.store.readers.close().await;
        self.store.close().await;
        self.usage.close().await;
    }
}

/// Makes the files if they are missing and brings their schemas up to date.
///
/// # Errors
/// [`OpenError`]; a schema of a newer program is left as it is.
pub async fn migrate(options: &Options) -> Result<(), OpenError> {
    let (own, usage): (Vec<_>, Vec<_>) =
        MIGRATIONS.iter().cloned().partition(|m| m.version < FIRST_USAGE_MIGRATION);
    make_dir(&options.dir).map_err(|error| OpenError::File(options.dir.clone(), error))?;
    for (file, migrations) in [(options.file(), own), (options.usage_file(), usage)] {
        make_file(&file).map_err(|error| OpenError::File(file.clone(), error))?;
        let known = migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
        let failed = |error| OpenError::Sql(file.clone(), error);
        let mut conn = options.connect(&file).connect().await.map_err(failed)?;
        let migrated = Migrator::with_migrations(migrations).run(&mut conn).await;
        migrated.map_err(|error| match error {
            //= specs/storage.md#stor-10
            //# A file of a newer program MUST be refused in words and left as it is.
            MigrateError::VersionMissing(found) if found > known => {
                OpenError::Newer { file: file.clone(), found, known }
            }
            error => OpenError::Migrate(file.clone(), error),
        })?;
        sqlx::Connection::close(conn).await.map_err(failed)?;
    }
    Ok(())
}

/// Without the pool's maintenance: its task can spin and hold up the shutdown (sqlx 0.9.0).
async fn pool(options: &Options, connect: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let pool = SqlitePoolOptions::new()
        .max_connections(options.readers.max(1))
        .acquire_timeout(BUSY_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false);
    pool.connect_with(connect).await
}

#[cfg(unix)]
fn make_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn make_dir(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)
}

/// SQLite gives its side files the permissions of the file itself.
//= specs/storage.md#stor-12
//# The files MUST be accessible to their owner only.
fn make_file(file: &Path) -> io::Result<()> {
    let mut open = std::fs::OpenOptions::new();
    open.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    open.open(file).map(drop)
}
