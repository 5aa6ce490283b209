//! The way to one user's hub, for connections.

use super::{Inbox, ToShard};
use goldenpath_core::auth::Scope;
use goldenpath_core::hub::Input;
use goldenpath_core::id::{ConnectionId, UserId};
use goldenpath_core::wire::{ClientBody, Reply};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;

/// Reaches the hub of one user and no other (invariant 9); cheap to clone.
#[derive(Clone, Debug)]
pub struct HubLink {
    user: Scope,
    inbox: Inbox,
}

impl HubLink {
    pub(super) const fn new(user: Scope, inbox: Inbox) -> Self {
        Self { user, inbox }
    }

    /// Whose hub it is.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        self.user.user_id()
    }

    /// Forwards a command of a connection; waits while the shard has too many to handle.
    pub async fn command(&self, connection_id: ConnectionId, reply: Reply, body: ClientBody) {
        let input = Input::Command { connection_id, reply, body };
        // A shard ends with the process only; then nobody is left to be told.
        let _ = self.inbox.commands.send(ToShard::Input { user: self.user.clone(), input }).await;
    }

    /// The connection has written everything before the mark.
    pub fn marked(&self, connection_id: ConnectionId, mark: u64) {
        self.tell(Input::Marked { connection_id, mark });
    }

    /// The connection is gone. It goes the way of the commands, behind all that the connection has said.
    /// Never waits, so that it can be said where a task ends.
    //= specs/delivery.md#dlv-25
    //# What a client sent before it closed its connection MUST be handled before the connection is
    //# taken for gone.
    pub fn detach(&self, connection_id: ConnectionId) {
        let user = self.user.clone();
        let gone = ToShard::Input { user, input: Input::Detach { connection_id } };
        if let Err(TrySendError::Full(gone)) = self.inbox.commands.try_send(gone)
            && let Ok(runtime) = Handle::try_current()
        {
            let commands = self.inbox.commands.clone();
            runtime.spawn(async move { commands.send(gone).await });
        }
    }

    pub(super) fn tell(&self, input: Input) {
        let _ = self.inbox.answers.send(ToShard::Input { user: self.user.clone(), input });
    }
}
