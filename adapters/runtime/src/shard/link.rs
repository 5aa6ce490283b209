//! The way to one user's hub, for connections and runs.

use super::ToShard;
use goldenpath_core::hub::Input;
use goldenpath_core::id::{ConnectionId, Fence, RunId, UserId};
use goldenpath_core::wire::{ClientBody, Draft, Frame, Reply};
use tokio::sync::mpsc;

/// Reaches the hub of one user and no other (invariant 9); cheap to clone.
#[derive(Clone, Debug)]
pub struct HubLink {
    user: UserId,
    inbox: mpsc::Sender<ToShard>,
}

impl HubLink {
    pub(super) const fn new(user: UserId, inbox: mpsc::Sender<ToShard>) -> Self {
        Self { user, inbox }
    }

    /// Whose hub it is.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// Waits while the shard's inbox is full.
    pub(crate) async fn send(&self, input: Input) {
        // A shard ends with the process only; then nobody is left to be told.
        let _ = self.inbox.send(ToShard::Input { user: self.user.clone(), input }).await;
    }

    /// Forwards a command of a connection.
    pub async fn command(&self, connection_id: ConnectionId, reply: Reply, body: ClientBody) {
        self.send(Input::Command { connection_id, reply, body }).await;
    }

    /// The connection has written everything before the mark.
    pub async fn marked(&self, connection_id: ConnectionId, mark: u64) {
        self.send(Input::Marked { connection_id, mark }).await;
    }

    /// The connection is gone.
    pub async fn detach(&self, connection_id: ConnectionId) {
        self.send(Input::Detach { connection_id }).await;
    }

    /// A run appends to its log; its last draft may be its terminal event.
    pub async fn append(&self, run_id: RunId, fence: Fence, drafts: Vec<Draft>) {
        self.send(Input::Append { run_id, fence, drafts }).await;
    }

    /// A run shows something that is not kept.
    pub async fn transient(&self, run_id: RunId, frame: Frame) {
        self.send(Input::Transient { run_id, frame }).await;
    }

    /// The task of a run ended.
    pub async fn run_stopped(&self, run_id: RunId, fence: Fence) {
        self.send(Input::RunStopped { run_id, fence }).await;
    }
}
