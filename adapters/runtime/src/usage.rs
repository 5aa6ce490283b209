//! The port to the usage records of a user: what the cost analysis reads and an import writes.
//!
//! # Money
//!
//! One request often costs less than a micro-dollar, so a row's cost is kept in whole *pico*-dollars
//! ([`Usd`]), never in floating point, and rounded only when it is displayed. A price of `$0.075` per
//! million tokens is exactly `75,000` pico-dollars per token; every published price with up to six
//! decimals per million tokens is an integer. Totals therefore equal any independent exact computation.
//!
//! # Whose data
//!
//! Every function takes a [`Tenant`] first: there is no query without one, and no query over two
//! (invariant 9).
//!
//! # Tracing a number
//!
//! Every answer comes with its [`Evidence`]: the SQL text, its parameters, and how many usage rows
//! were read for it. The tenant is parameter `?1` and is shown as `<tenant>`.

mod calendar;
mod event;
mod levers;
mod money;
mod query;

use core::fmt;
use goldenpath_core::auth::Scope;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use calendar::{Day, Period, TimestampStyle, format_timestamp, parse_timestamp};
pub use event::{CostStatus, Costing, EventFault, Outcome, UsageEvent};
pub use levers::{Lengths, LeverGroup, LeverLimits, Sums, Wasted};
pub use money::Usd;
pub use query::{
    Answer, Cell, Column, Condition, Dimension, Evidence, Filter, Grain, Metric, Order, Query,
    Table,
};

/// Whose usage data are meant: the id of the authenticated user, the same in demo mode.
///
/// The only way to name the rows of a query; it is a parameter of the SQL, never part of its text. It is
/// got from a right, not from a name:
///
/// ```
/// # use goldenpath_core::auth::Scope;
/// # use goldenpath_core::id::UserId;
/// # use goldenpath_runtime::usage::{Tenant, UsageStore};
/// fn imports_of(usage: &dyn UsageStore, user: &Scope) {
///     let tenant = Tenant::of(user);
///     let answer = usage.imports(&tenant);
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use goldenpath_core::auth::Scope;
/// # use goldenpath_core::id::UserId;
/// # use goldenpath_runtime::usage::{Tenant, UsageStore};
/// fn imports_of(usage: &dyn UsageStore, user: &UserId) {
///     let tenant = Tenant::of(user);
///     let answer = usage.imports(&tenant);
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use goldenpath_core::auth::Scope;
/// # use goldenpath_core::id::UserId;
/// # use goldenpath_runtime::usage::{Tenant, UsageStore};
/// fn imports_of(usage: &dyn UsageStore, user: &UserId) {
///     let answer = usage.imports(user);
/// }
/// ```
///
/// ```compile_fail,E0277
/// # use goldenpath_core::auth::Scope;
/// # use goldenpath_core::id::UserId;
/// # use goldenpath_runtime::usage::{Tenant, UsageStore};
/// fn imports_of(usage: &dyn UsageStore, user: &UserId) {
///     let tenant: Tenant = serde_json::from_str("\"ada\"").unwrap();
/// }
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Tenant(String);

impl Tenant {
    /// The rows of this user.
    pub fn of(user: &Scope) -> Self {
        Self(user.user_id().as_str().to_owned())
    }

    /// The rows of the user whom somebody names who has the database in hand: for commands at the
    /// machine and for tests, never for what comes over a wire.
    pub fn at_the_machine(user_id: impl Into<String>) -> Self {
        Self(user_id.into())
    }

    /// Rows that belong to no user. No user can have the name: an id of a user has no line ends.
    pub fn shared(name: &str) -> Self {
        Self(format!("\n{name}"))
    }

    /// The user's id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an import says about itself before its first row.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ImportSpec {
    /// Identifies the import for its owner; chosen by the caller, unique per tenant.
    pub id: String,
    /// The label of the source: `litellm`, `openai-usage`, `csv`, `azure-trace`, `demo-synthetic`.
    pub source: String,
    /// The file's name as the user knows it; display only.
    pub name: String,
    /// When the import was started, microseconds since the Unix epoch.
    pub started_at_us: i64,
}

/// How an import ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finish {
    /// All rows become visible in one transaction.
    Commit,
    /// Nothing is written; the counts are what a commit would have reported.
    DryRun,
}

/// What a finished import did (or, for a dry run, would have done).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ImportOutcome {
    /// Rows that are new.
    pub imported: u64,
    /// Rows that were there already, or stand in the file twice under the same source id.
    pub duplicates: u64,
}

/// One committed import, for the list of what is loaded.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ImportRecord {
    /// As given in [`ImportSpec::id`].
    pub id: String,
    /// As given in [`ImportSpec::source`].
    pub source: String,
    /// As given in [`ImportSpec::name`].
    pub name: String,
    /// Rows this import added.
    pub rows: u64,
    /// Rows of the file that were there already.
    pub duplicates: u64,
    /// When it was started, microseconds since the Unix epoch.
    pub started_at_us: i64,
}

/// What data a tenant has: the data helper's question.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Usage rows.
    pub rows: u64,
    /// Requests (a bucketed source counts many in one row).
    pub requests: u64,
    /// The first and the last day with usage.
    pub days: Option<(Day, Day)>,
    /// Days that have at least one row.
    pub days_with_data: u64,
    /// Moment of the newest row, microseconds since the Unix epoch.
    pub newest_us: Option<i64>,
    /// Sources and their rows, the largest first.
    pub sources: Vec<(String, u64)>,
    /// Rows that have a feature.
    pub with_feature: u64,
    /// Rows that have a team.
    pub with_team: u64,
    /// Rows without any cost, because their model has no known price.
    pub unpriced: u64,
    /// Rows that stand for one request each: request-level rules work on them only.
    pub single_requests: u64,
    /// Rows that carry a prompt hash.
    pub with_prompt_hash: u64,
}

/// Why the store could not answer. RFC 9457 bodies carry the matching error codes of the protocol.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UsageError {
    /// The import id is taken by another import of this tenant.
    ImportExists,
    /// The query needs more groups or time than it may.
    LimitExceeded(&'static str),
    /// A metric, dimension or filter that this store refuses; a mistake of the caller.
    Refused(String),
    /// The database failed; the text is for the log, not for the user.
    Storage(String),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ImportExists => f.write_str("an import with this id exists already"),
            Self::LimitExceeded(what) => write!(f, "the query exceeds its limit of {what}"),
            Self::Refused(why) => write!(f, "the query was refused: {why}"),
            Self::Storage(why) => write!(f, "the usage store failed: {why}"),
        }
    }
}

impl std::error::Error for UsageError {}

/// The result of a call to the store.
pub type UsageResult<'a, T> = BoxFuture<'a, Result<T, UsageError>>;

/// Usage records, per tenant. Implemented by the sqlx adapter; shared as `Arc<dyn UsageStore>`.
pub trait UsageStore: Send + Sync + 'static {
    /// Opens an import. Nothing is visible before [`ImportWriter::finish`] with [`Finish::Commit`];
    /// dropping the writer discards everything.
    fn begin_import<'a>(
        &'a self,
        tenant: &'a Tenant,
        spec: ImportSpec,
    ) -> UsageResult<'a, Box<dyn ImportWriter>>;

    /// The committed imports of a tenant, newest first.
    fn imports<'a>(&'a self, tenant: &'a Tenant) -> UsageResult<'a, Vec<ImportRecord>>;

    /// Removes an import and all its rows in one transaction; the number of rows removed.
    fn delete_import<'a>(&'a self, tenant: &'a Tenant, import_id: &'a str) -> UsageResult<'a, u64>;

    /// What data there are.
    fn coverage<'a>(&'a self, tenant: &'a Tenant) -> UsageResult<'a, Answer<Coverage>>;

    /// The semantic layer: metrics by dimensions, filtered, over a period.
    fn query<'a>(&'a self, tenant: &'a Tenant, query: &'a Query) -> UsageResult<'a, Answer<Table>>;

    /// What the optimization rules need, per provider, model and feature.
    fn levers<'a>(
        &'a self,
        tenant: &'a Tenant,
        period: Period,
        limits: &'a LeverLimits,
    ) -> UsageResult<'a, Answer<Vec<LeverGroup>>>;
}

/// An open import: rows are staged outside the visible table, then committed at once.
pub trait ImportWriter: Send {
    /// Stages rows. Each must have passed [`UsageEvent::check`].
    fn write(&mut self, rows: Vec<UsageEvent>) -> UsageResult<'_, ()>;

    /// Ends the import.
    fn finish(self: Box<Self>, finish: Finish) -> UsageResult<'static, ImportOutcome>;
}
