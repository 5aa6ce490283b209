//! Answers to questions that were asked before, while the data are the same.

use goldenpath_runtime::usage::{
    Answer, Coverage, ImportRecord, ImportSpec, ImportWriter, LeverGroup, LeverLimits, Period,
    Query, Table, Tenant, UsageError, UsageResult, UsageStore,
};
use quick_cache::sync::Cache;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Answers kept; one is a table of some rows to some hundred rows.
const ANSWERS: usize = 4096;

/// A usage store that answers the same question about the same data once.
///
/// The key is the tenant, what was asked, and which imports the tenant has: whatever changes the data
/// changes the key, whoever wrote it (another process, another node). Who asks while the answer is
/// being computed waits for that one answer.
pub struct ResultCache {
    store: Arc<dyn UsageStore>,
    coverages: Kept<Coverage>,
    levers: Kept<Vec<LeverGroup>>,
    tables: Kept<Table>,
}

/// A digest of tenant, imports and question; the tenant is part of it (invariant 9).
type Key = [u8; 32];

struct Kept<T>(Cache<Key, Arc<Answer<T>>>);

impl<T: Clone> Kept<T> {
    fn new() -> Self {
        Self(Cache::new(ANSWERS))
    }

    async fn get(
        &self,
        key: Key,
        computed: UsageResult<'_, Answer<T>>,
    ) -> Result<Answer<T>, UsageError> {
        let compute = async { computed.await.map(Arc::new) };
        self.0.get_or_insert_async(&key, compute).await.map(|answer| (*answer).clone())
    }
}

impl ResultCache {
    /// In front of this store.
    pub fn new(store: Arc<dyn UsageStore>) -> Self {
        Self { store, coverages: Kept::new(), levers: Kept::new(), tables: Kept::new() }
    }

    async fn key(&self, tenant: &Tenant, asked: &impl Serialize) -> Result<Key, UsageError> {
        let imports = self.store.imports(tenant).await?;
        let key = serde_json::to_vec(&(tenant, &imports, asked))
            .map_err(|error| UsageError::Refused(error.to_string()))?;
        Ok(Sha256::digest(&key).into())
    }
}

impl UsageStore for ResultCache {
    fn begin_import<'a>(
        &'a self,
        tenant: &'a Tenant,
        spec: ImportSpec,
    ) -> UsageResult<'a, Box<dyn ImportWriter>> {
        self.store.begin_import(tenant, spec)
    }

    fn imports<'a>(&'a self, tenant: &'a Tenant) -> UsageResult<'a, Vec<ImportRecord>> {
        self.store.imports(tenant)
    }

    fn delete_import<'a>(&'a self, tenant: &'a Tenant, import_id: &'a str) -> UsageResult<'a, u64> {
        self.store.delete_import(tenant, import_id)
    }

    fn coverage<'a>(&'a self, tenant: &'a Tenant) -> UsageResult<'a, Answer<Coverage>> {
        Box::pin(async move {
            let key = self.key(tenant, &"coverage").await?;
            self.coverages.get(key, self.store.coverage(tenant)).await
        })
    }

    fn query<'a>(&'a self, tenant: &'a Tenant, query: &'a Query) -> UsageResult<'a, Answer<Table>> {
        Box::pin(async move {
            let key = self.key(tenant, query).await?;
            self.tables.get(key, self.store.query(tenant, query)).await
        })
    }

    fn levers<'a>(
        &'a self,
        tenant: &'a Tenant,
        period: Period,
        limits: &'a LeverLimits,
    ) -> UsageResult<'a, Answer<Vec<LeverGroup>>> {
        Box::pin(async move {
            let key = self.key(tenant, &(period, limits)).await?;
            self.levers.get(key, self.store.levers(tenant, period, limits)).await
        })
    }
}
