//! The truth: every thread's log, and the runs.

use super::Answer;
use goldenpath_core::auth::{Scope, Unfinished};
use goldenpath_core::hub::{Batch, Committed, Load, Loaded, Record};

/// Keeps logs. Every implementation passes the suite `tests/store`.
///
/// What a batch is answered is decided by [`goldenpath_core::store::decide`].
///
/// `Fault::Unavailable` means that nothing is written; after
/// `Fault::Unknown` the same batch may be sent again, and only the same.
///
/// Every call takes the [`Scope`] of its user (ISO-10); an id is not enough:
///
/// ```
/// # use goldenpath_core::auth::Scope;
/// # use goldenpath_core::hub::Load;
/// # use goldenpath_core::id::UserId;
/// # use goldenpath_runtime::ports::Store;
/// fn threads_of(store: &dyn Store, user: &Scope) {
///     let answer = store.load(user, Load::Threads { limit: 1 });
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use goldenpath_core::auth::Scope;
/// # use goldenpath_core::hub::Load;
/// # use goldenpath_core::id::UserId;
/// # use goldenpath_runtime::ports::Store;
/// fn threads_of(store: &dyn Store, user: &UserId) {
///     let answer = store.load(user, Load::Threads { limit: 1 });
/// }
/// ```
pub trait Store: Send + Sync + 'static {
    /// Makes a batch durable, or says why not. Batches of one caller that are handed over in order
    /// are decided in that order.
    fn commit(&self, batch: Batch) -> Answer<Committed>;

    /// Reads. It sees every commit that was answered before the call.
    fn load(&self, user: &Scope, load: Load) -> Answer<Loaded>;

    /// Keeps something beside the logs; `false`: what it is about does not exist for this user. A
    /// position beyond the head is kept as the head.
    fn record(&self, user: &Scope, record: Record) -> Answer<bool>;

    /// All runs that have not ended, by user, each user's oldest first: what a restart has to go on with.
    fn unfinished_runs(&self) -> Answer<Vec<Unfinished>>;

    /// Whether it would accept a commit now.
    fn ping(&self) -> Answer<()>;
}
