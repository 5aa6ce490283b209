//! A store under test, and how to restart it.

use crate::batches::vouched;
use goldenpath_core::auth::Scope;
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Batch, Committed, Load, Loaded, StoredThread};
use goldenpath_core::id::{Seq, SessionId, ThreadId};
use goldenpath_core::wire::EntryBody;
use goldenpath_runtime::memory::MemoryStore;
use goldenpath_runtime::ports::{Accounts, Artifacts, AuditLog, Directory, Links, Sessions, Store};
use goldenpath_sqlx::{Database, Options};
use std::sync::Arc;
use tempfile::TempDir;

/// The ports of one store.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) accounts: Arc<dyn Accounts>,
    pub(crate) artifacts: Arc<dyn Artifacts>,
    pub(crate) audit: Arc<dyn AuditLog>,
    pub(crate) sessions: Arc<dyn Sessions>,
    pub(crate) links: Arc<dyn Links>,
    behind: Behind,
}

enum Behind {
    Memory,
    Sqlite { database: Database, options: Options, _dir: TempDir },
}

impl World {
    pub(crate) fn memory() -> Self {
        let store = Arc::new(MemoryStore::new());
        Self {
            store: store.clone(),
            directory: store.clone(),
            accounts: store.clone(),
            audit: store.clone(),
            sessions: store.clone(),
            artifacts: store.clone(),
            links: store,
            behind: Behind::Memory,
        }
    }

    pub(crate) async fn sqlite() -> Self {
        Self::sqlite_with(|_| {}).await
    }

    pub(crate) async fn sqlite_with(change: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::in_dir(dir.path().join("data"));
        change(&mut options);
        let database = Database::open(options.clone()).await.unwrap();
        Self {
            store: database.store(),
            directory: database.directory(),
            accounts: database.accounts(),
            audit: database.audit(),
            sessions: database.sessions(),
            artifacts: database.artifacts(),
            links: database.links(),
            behind: Behind::Sqlite { database, options, _dir: dir },
        }
    }

    /// Whether a session of this user was ended by itself.
    pub(crate) async fn is_revoked(&self, user: &Scope, session_id: SessionId) -> bool {
        let asked = vouched(user.user_id().as_str(), session_id);
        self.sessions.endings(&asked).await.unwrap().revoked
    }

    /// Ends the store in order and opens it again; memory has nothing to close.
    pub(crate) async fn restart(&mut self) {
        if let Behind::Sqlite { database, options, .. } = &mut self.behind {
            database.close().await;
            *database = Database::open(options.clone()).await.unwrap();
            self.store = database.store();
            self.directory = database.directory();
            self.accounts = database.accounts();
            self.audit = database.audit();
            self.sessions = database.sessions();
            self.artifacts = database.artifacts();
            self.links = database.links();
        }
    }

    pub(crate) fn database(&self) -> &Database {
        match &self.behind {
            Behind::Sqlite { database, .. } => database,
            Behind::Memory => panic!("memory has no files"),
        }
    }

    pub(crate) fn options(&self) -> &Options {
        match &self.behind {
            Behind::Sqlite { options, .. } => options,
            Behind::Memory => panic!("memory has no files"),
        }
    }

    pub(crate) async fn commit(&self, batch: &Batch) -> Result<Committed, Fault> {
        self.store.commit(batch.clone()).await
    }

    /// Commits what must succeed and returns the first position.
    pub(crate) async fn done(&self, batch: &Batch) -> Seq {
        match self.commit(batch).await {
            Ok(Committed::Done { first_seq }) => first_seq,
            other => panic!("{other:?} for {batch:?}"),
        }
    }

    pub(crate) async fn load(&self, user: &Scope, load: Load) -> Loaded {
        self.store.load(user, load).await.unwrap()
    }

    pub(crate) async fn thread(&self, user: &Scope, thread_id: ThreadId) -> Option<StoredThread> {
        match self.load(user, Load::Thread { thread_id }).await {
            Loaded::Thread(thread) => Some(thread),
            Loaded::NoThread => None,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn log(&self, user: &Scope, thread_id: ThreadId) -> Vec<(Seq, EntryBody)> {
        let load = Load::Entries {
            thread_id,
            after_seq: Seq::ZERO,
            to_seq: Seq(u64::MAX),
            limit: u64::MAX,
        };
        match self.load(user, load).await {
            Loaded::Entries(entries) => entries,
            other => panic!("{other:?}"),
        }
    }
}
