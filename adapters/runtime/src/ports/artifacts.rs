//! What is too large for an event: tool results, reports, charts.

use super::Answer;
use bytes::Bytes;
use goldenpath_core::auth::Scope;
use goldenpath_core::id::RunId;
use goldenpath_core::time::Wall;

/// Keeps artifacts. They belong to a run and go with its thread. A name is no right to them (ISO-10):
///
/// ```
/// # use goldenpath_core::auth::Scope;
/// # use goldenpath_core::id::{RunId, ThreadId, UserId};
/// # use goldenpath_runtime::ports::Artifacts;
/// fn look(artifacts: &dyn Artifacts, user: &Scope) {
///     let answer = artifacts.list(user, RunId(1));
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use goldenpath_core::auth::Scope;
/// # use goldenpath_core::id::{RunId, ThreadId, UserId};
/// # use goldenpath_runtime::ports::Artifacts;
/// fn look(artifacts: &dyn Artifacts, user: &UserId) {
///     let answer = artifacts.list(user, RunId(1));
/// }
/// ```
pub trait Artifacts: Send + Sync + 'static {
    /// Keeps an artifact; one of the same run and name is replaced, so a step that is repeated after
    /// a crash leaves one. `false`: there is no such run for this user, nothing was written.
    fn put(&self, user: &Scope, run_id: RunId, artifact: Artifact) -> Answer<bool>;

    /// Reads one; `None`: there is none for this user.
    fn get(&self, user: &Scope, run_id: RunId, name: &str) -> Answer<Option<Artifact>>;

    /// What a run has kept, by name; empty for a run of another user.
    fn list(&self, user: &Scope, run_id: RunId) -> Answer<Vec<ArtifactInfo>>;
}

/// Bytes with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Unique within its run.
    pub name: String,
    /// As in `Content-Type`.
    pub media_type: String,
    /// The content.
    pub bytes: Bytes,
    /// When it was made.
    pub at: Wall,
}

/// An artifact without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactInfo {
    /// Unique within its run.
    pub name: String,
    /// As in `Content-Type`.
    pub media_type: String,
    /// Length in bytes.
    pub len: u64,
    /// When it was made.
    pub at: Wall,
}
