//! Who is connected to this process: for the end of a session and the end of the server.

use super::Outbox;
use crate::shard::Delivery;
use crate::tally::Open;
use goldenpath_core::connection::Identity;
use goldenpath_core::id::{ConnectionId, SessionId, ThreadId, UserId};
use goldenpath_core::outbox::Weight;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::CloseCode;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// All sockets from upgrade to end; cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    sockets: Arc<Mutex<BTreeMap<ConnectionId, Socket>>>,
    /// What is not available now; changed and read while `sockets` are locked.
    degraded: Arc<Mutex<Vec<String>>>,
    count: watch::Sender<usize>,
    unauthenticated: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Socket {
    outbox: Outbox,
    /// Known once it is authenticated.
    known: Option<(UserId, SessionId)>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            sockets: Arc::default(),
            degraded: Arc::default(),
            count: watch::Sender::new(0),
            unauthenticated: Arc::default(),
        }
    }
}

impl Registry {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        *self.count.borrow()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many have not said who they are.
    #[must_use]
    pub fn unauthenticated(&self) -> usize {
        self.unauthenticated.load(Ordering::Relaxed)
    }

    /// Waits until there is none.
    pub async fn emptied(&self) {
        let mut count = self.count.subscribe();
        // The sender is held by `self`, so waiting cannot fail.
        let _ = count.wait_for(|count| *count == 0).await;
    }

    /// Whether this thread was named to an open socket of this user, and may be begun with a message.
    #[must_use]
    pub fn has_announced(&self, user: &UserId, thread_id: ThreadId) -> bool {
        let sockets = self.sockets();
        let known = sockets.get(&thread_id.namesake()).and_then(|socket| socket.known.as_ref());
        known.is_some_and(|(known, _)| known == user)
    }

    /// Closes the sockets of a session that was ended early with 4441 (F39, AUTH-08).
    //= specs/auth.md#auth-08
    //# The connections of a session that was ended MUST be closed with 4441, and no others.
    pub fn revoke(&self, session_id: SessionId) {
        for socket in self.sockets().values() {
            if socket.known.as_ref().is_some_and(|(_, known)| *known == session_id) {
                let _ = socket.outbox.push_urgent(Delivery::Revoked);
            }
        }
    }

    /// The same for every socket of a user, but those of one session (AUTH-33).
    pub fn revoke_user(&self, user: &UserId, but: Option<SessionId>) {
        for socket in self.sockets().values() {
            let own =
                |(known, session): &(UserId, SessionId)| known == user && Some(*session) != but;
            if socket.known.as_ref().is_some_and(own) {
                let _ = socket.outbox.push_urgent(Delivery::Revoked);
            }
        }
    }

    /// Tells every socket that the server drains, each with its own time to come back (F35).
    pub fn drain(&self, mut reconnect_after: impl FnMut() -> Millis) {
        for socket in self.sockets().values() {
            let reconnect_after = reconnect_after();
            let _ = socket.outbox.push_urgent(Delivery::Drain { reconnect_after });
        }
    }

    /// Closes every socket.
    pub fn close(&self, code: CloseCode) {
        for socket in self.sockets().values() {
            let _ = socket.outbox.push_urgent(Delivery::Close(code));
        }
    }

    /// Tells every socket which parts are not available now, and those that come later.
    pub fn service_status(&self, degraded: &[String]) {
        let sockets = self.sockets();
        let before = std::mem::replace(&mut *self.lock_degraded(), degraded.to_vec());
        if before == degraded {
            return;
        }
        for socket in sockets.values() {
            let delivery = Delivery::ServiceStatus(degraded.to_vec());
            let _ = socket.outbox.push(delivery, Weight::default());
        }
    }

    /// The parts that are not available now.
    #[must_use]
    pub fn degraded(&self) -> Vec<String> {
        self.lock_degraded().clone()
    }

    fn lock_degraded(&self) -> MutexGuard<'_, Vec<String>> {
        self.degraded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader that is no socket (an event stream): it counts, and hears of log-outs and the drain
    /// through its outbox, until the entry is dropped.
    #[must_use]
    pub fn enter_reader(
        &self,
        connection_id: ConnectionId,
        who: &Identity,
        outbox: Outbox,
    ) -> Entry {
        let entry = self.enter_as(connection_id, outbox, Open::events());
        entry.authenticated(who);
        entry
    }

    pub(super) fn enter(&self, connection_id: ConnectionId, outbox: Outbox) -> Entry {
        self.enter_as(connection_id, outbox, Open::socket())
    }

    fn enter_as(&self, connection_id: ConnectionId, outbox: Outbox, open: Open) -> Entry {
        let mut sockets = self.sockets();
        let degraded = self.degraded();
        if !degraded.is_empty() {
            // The first thing it learns, so that its `connection_ready` says it.
            let _ = outbox.push(Delivery::ServiceStatus(degraded), Weight::default());
        }
        sockets.insert(connection_id, Socket { outbox, known: None });
        self.count.send_replace(sockets.len());
        self.unauthenticated.fetch_add(1, Ordering::Relaxed);
        Entry { registry: self.clone(), connection_id, _open: open }
    }

    fn sockets(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Socket>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the registry; given up when it is dropped.
#[derive(Debug)]
pub struct Entry {
    registry: Registry,
    connection_id: ConnectionId,
    _open: Open,
}

impl Entry {
    /// Whose socket it is, is known now.
    pub(super) fn authenticated(&self, who: &Identity) {
        if let Some(socket) = self.registry.sockets().get_mut(&self.connection_id) {
            if socket.known.is_none() {
                self.registry.unauthenticated.fetch_sub(1, Ordering::Relaxed);
            }
            socket.known = Some((who.user_id().clone(), who.session_id()));
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut sockets = self.registry.sockets();
        let left = sockets.remove(&self.connection_id);
        if left.is_some_and(|socket| socket.known.is_none()) {
            self.registry.unauthenticated.fetch_sub(1, Ordering::Relaxed);
        }
        self.registry.count.send_replace(sockets.len());
    }
}
