//! One set of demonstration data for all visitors of a day.

use super::{DAYS, IMPORT_ID, seed_tenant};
use crate::cost::prices::PriceTable;
use goldenpath_core::auth::DEMO_USER_PREFIX;
use goldenpath_runtime::Clock;
use goldenpath_runtime::usage::{
    Answer, Coverage, Day, ImportRecord, ImportSpec, ImportWriter, LeverGroup, LeverLimits, Period,
    Query, Table, Tenant, UsageError, UsageResult, UsageStore,
};
use std::borrow::Cow;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

const US_PER_MS: u64 = 1000;

/// A usage store in which a demo visitor without data sees the demonstration data of the day.
///
/// The data are laid out once a day, in a tenant that no user can have, and only read. A visitor's
/// first own import takes their place: made-up and real figures are never added up.
pub struct Demonstration {
    store: Arc<dyn UsageStore>,
    prices: Arc<PriceTable>,
    clock: Clock,
    /// The last day of the data that are laid out.
    laid_out: Mutex<Option<Day>>,
}

impl Demonstration {
    /// In front of this store.
    pub fn new(store: Arc<dyn UsageStore>, prices: Arc<PriceTable>, clock: Clock) -> Self {
        Self { store, prices, clock, laid_out: Mutex::new(None) }
    }

    /// Whose rows this tenant reads.
    async fn source<'a>(&self, tenant: &'a Tenant) -> Result<Cow<'a, Tenant>, UsageError> {
        let visitor = tenant.as_str().starts_with(DEMO_USER_PREFIX);
        if !visitor || !self.store.imports(tenant).await?.is_empty() {
            return Ok(Cow::Borrowed(tenant));
        }
        self.lay_out().await.map(Cow::Owned)
    }

    /// The demonstration data up to yesterday, laid out by whoever needs them first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn lay_out(&self) -> Result<Tenant, UsageError> {
        let now_us = self.clock.now().wall.0.saturating_mul(US_PER_MS);
        let last_day = Day::of_timestamp(i64::try_from(now_us).unwrap_or(i64::MAX)).plus(-1);
        let tenant = tenant_of(last_day);
        let mut laid_out = self.laid_out.lock().await;
        if *laid_out == Some(last_day) {
            return Ok(tenant);
        }
        // Making up and pricing some thousand records is work for a thread that may be busy (F34).
        let (store, prices, runtime) = (self.store.clone(), self.prices.clone(), Handle::current());
        let target = tenant.clone();
        let work = tokio::task::spawn_blocking(move || {
            // Every visitor of a day sees the same figures, on every node.
            let seed = u64::from(last_day.0.unsigned_abs());
            runtime.block_on(seed_tenant(&*store, &target, &prices, seed, last_day))
        });
        work.await.map_err(|error| UsageError::Storage(error.to_string()))??;
        *laid_out = Some(last_day);
        // Reports of yesterday keep their figures; the rows behind older ones are not kept for ever.
        for age in 2..=DAYS {
            let old = tenant_of(last_day.plus(-age));
            self.store.delete_import(&old, IMPORT_ID).await?;
        }
        Ok(tenant)
    }
}

fn tenant_of(last_day: Day) -> Tenant {
    Tenant::shared(&format!("demonstration data up to {last_day}"))
}

impl UsageStore for Demonstration {
    fn begin_import<'a>(
        &'a self,
        tenant: &'a Tenant,
        spec: ImportSpec,
    ) -> UsageResult<'a, Box<dyn ImportWriter>> {
        self.store.begin_import(tenant, spec)
    }

    fn imports<'a>(&'a self, tenant: &'a Tenant) -> UsageResult<'a, Vec<ImportRecord>> {
        Box::pin(async move { self.store.imports(&*self.source(tenant).await?).await })
    }

    fn delete_import<'a>(&'a self, tenant: &'a Tenant, import_id: &'a str) -> UsageResult<'a, u64> {
        self.store.delete_import(tenant, import_id)
    }

    fn coverage<'a>(&'a self, tenant: &'a Tenant) -> UsageResult<'a, Answer<Coverage>> {
        Box::pin(async move { self.store.coverage(&*self.source(tenant).await?).await })
    }

    fn query<'a>(&'a self, tenant: &'a Tenant, query: &'a Query) -> UsageResult<'a, Answer<Table>> {
        Box::pin(async move { self.store.query(&*self.source(tenant).await?, query).await })
    }

    fn levers<'a>(
        &'a self,
        tenant: &'a Tenant,
        period: Period,
        limits: &'a LeverLimits,
    ) -> UsageResult<'a, Answer<Vec<LeverGroup>>> {
        Box::pin(
            async move { self.store.levers(&*self.source(tenant).await?, period, limits).await },
        )
    }
}
