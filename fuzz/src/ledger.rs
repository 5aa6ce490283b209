//! A store of usage records that keeps what it is given, by the rules of the real one: rows of one id
//! count once, equal rows without an id of their own are numbered within their file.

use goldenpath_runtime::usage::{
    Answer, Coverage, Finish, ImportOutcome, ImportRecord, ImportSpec, ImportWriter, LeverGroup,
    LeverLimits, Period, Query, Table, Tenant, UsageError, UsageEvent, UsageResult, UsageStore,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

/// What tells one row from another: source, id, and which one of equal ones.
type Identity = (String, String, u64);

/// The visible rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<BTreeMap<Identity, UsageEvent>>>);

impl Ledger {
    /// All rows that are visible.
    pub(crate) fn rows(&self) -> Vec<UsageEvent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn answers_imports_only<T: Send + 'static>() -> UsageResult<'static, T> {
        Box::pin(async { Err(UsageError::Refused("this store only takes imports".into())) })
    }
}

impl UsageStore for Ledger {
    fn begin_import<'a>(
        &'a self,
        _tenant: &'a Tenant,
        _spec: ImportSpec,
    ) -> UsageResult<'a, Box<dyn ImportWriter>> {
        let open: Box<dyn ImportWriter> =
            Box::new(Open { ledger: self.clone(), staged: Vec::new() });
        Box::pin(async move { Ok(open) })
    }

    fn imports<'a>(&'a self, _tenant: &'a Tenant) -> UsageResult<'a, Vec<ImportRecord>> {
        Self::answers_imports_only()
    }

    fn delete_import<'a>(&'a self, _tenant: &'a Tenant, _id: &'a str) -> UsageResult<'a, u64> {
        Self::answers_imports_only()
    }

    fn coverage<'a>(&'a self, _tenant: &'a Tenant) -> UsageResult<'a, Answer<Coverage>> {
        Self::answers_imports_only()
    }

    fn query<'a>(
        &'a self,
        _tenant: &'a Tenant,
        _query: &'a Query,
    ) -> UsageResult<'a, Answer<Table>> {
        Self::answers_imports_only()
    }

    fn levers<'a>(
        &'a self,
        _tenant: &'a Tenant,
        _period: Period,
        _limits: &'a LeverLimits,
    ) -> UsageResult<'a, Answer<Vec<LeverGroup>>> {
        Self::answers_imports_only()
    }
}

struct Open {
    ledger: Ledger,
    staged: Vec<UsageEvent>,
}

impl ImportWriter for Open {
    fn write(&mut self, rows: Vec<UsageEvent>) -> UsageResult<'_, ()> {
        for row in &rows {
            assert_eq!(row.check(), Ok(()), "only checked rows are handed over: {row:?}");
            let before = self.staged.last().map_or(0, |row| row.position);
            assert!(row.position > before, "rows come in the order of the file");
            self.staged.push(row.clone());
        }
        Box::pin(async { Ok(()) })
    }

    fn finish(self: Box<Self>, finish: Finish) -> UsageResult<'static, ImportOutcome> {
        let Self { ledger, staged } = *self;
        let mut visible = ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = visible.clone();
        let mut outcome = ImportOutcome::default();
        let mut seen: BTreeMap<(String, String), u64> = BTreeMap::new();
        for row in staged {
            let nth = seen.entry((row.source.clone(), row.source_id.clone())).or_default();
            *nth += 1;
            let identity =
                (row.source.clone(), row.source_id.clone(), if row.identified { 1 } else { *nth });
            match visible.entry(identity) {
                Entry::Occupied(_) => outcome.duplicates += 1,
                Entry::Vacant(place) => {
                    place.insert(row);
                    outcome.imported += 1;
                }
            }
        }
        if finish == Finish::DryRun {
            *visible = before;
        }
        drop(visible);
        Box::pin(async move { Ok(outcome) })
    }
}
