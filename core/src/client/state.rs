//! The states of a client, each with what is known in it.

use super::io::{Ended, Link};
use super::verdict::Parting;
use crate::id::{EffectId, ThreadId};
use crate::time::{Millis, Mono, earliest};
use alloc::collections::BTreeSet;

/// Where the connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    Idle,
    Dialing(Dialing),
    Authenticating(Authenticating),
    Resuming(Resuming),
    Ready(Ready),
    Backoff(Backoff),
    Ended(Ended),
}

/// A socket was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Dialing {
    pub(super) dial: EffectId,
    pub(super) until: Mono,
}

/// The socket is open; the server has not said `connection_ready`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Authenticating {
    pub(super) socket: Socket,
    pub(super) until: Mono,
    pub(super) auth_sent: bool,
    /// Whether the server has asked for a credential, as it does once on a socket that brought none.
    pub(super) asked: bool,
}

/// The server is ready; what was missed is being read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Resuming {
    pub(super) socket: Socket,
    pub(super) since: Mono,
    pub(super) until: Mono,
    pub(super) pending: BTreeSet<ThreadId>,
}

/// Everything may be said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ready {
    pub(super) socket: Socket,
    pub(super) since: Mono,
}

/// Nothing is open; `None` waits for a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Backoff {
    pub(super) until: Option<Mono>,
}

/// An open socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Socket {
    pub(super) dial: EffectId,
    pub(super) heard: Mono,
    pub(super) silence: Millis,
    pub(super) message_bytes: usize,
    pub(super) parting: Parting,
}

impl Socket {
    const fn dead_at(&self) -> Mono {
        self.heard.after(self.silence)
    }
}

impl State {
    pub(super) const fn link(&self) -> Link {
        match self {
            Self::Idle => Link::Idle,
            Self::Dialing(_) => Link::Dialing,
            Self::Authenticating(_) => Link::Authenticating,
            Self::Resuming(_) => Link::Resuming,
            Self::Ready(_) => Link::Ready,
            Self::Backoff(_) => Link::Backoff,
            Self::Ended(why) => Link::Ended(*why),
        }
    }

    /// The open socket, if there is one.
    pub(super) const fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Authenticating(Authenticating { socket, .. })
            | Self::Resuming(Resuming { socket, .. })
            | Self::Ready(Ready { socket, .. }) => Some(socket),
            Self::Idle | Self::Dialing(_) | Self::Backoff(_) | Self::Ended(_) => None,
        }
    }

    pub(super) const fn socket_mut(&mut self) -> Option<&mut Socket> {
        match self {
            Self::Authenticating(Authenticating { socket, .. })
            | Self::Resuming(Resuming { socket, .. })
            | Self::Ready(Ready { socket, .. }) => Some(socket),
            Self::Idle | Self::Dialing(_) | Self::Backoff(_) | Self::Ended(_) => None,
        }
    }

    /// The socket, when the server has said `connection_ready` on it.
    pub(super) const fn ready_socket(&self) -> Option<&Socket> {
        match self {
            Self::Resuming(Resuming { socket, .. }) | Self::Ready(Ready { socket, .. }) => {
                Some(socket)
            }
            Self::Idle
            | Self::Dialing(_)
            | Self::Authenticating(_)
            | Self::Backoff(_)
            | Self::Ended(_) => None,
        }
    }

    /// Since when the server has been ready.
    pub(super) const fn ready_since(&self) -> Option<Mono> {
        match self {
            Self::Resuming(Resuming { since, .. }) | Self::Ready(Ready { since, .. }) => {
                Some(*since)
            }
            Self::Idle
            | Self::Dialing(_)
            | Self::Authenticating(_)
            | Self::Backoff(_)
            | Self::Ended(_) => None,
        }
    }

    /// The dial whose answers count.
    pub(super) const fn dial(&self) -> Option<EffectId> {
        match self {
            Self::Dialing(Dialing { dial, .. }) => Some(*dial),
            Self::Idle
            | Self::Authenticating(_)
            | Self::Resuming(_)
            | Self::Ready(_)
            | Self::Backoff(_)
            | Self::Ended(_) => match self.socket() {
                Some(socket) => Some(socket.dial),
                None => None,
            },
        }
    }

    /// When this state ends by itself.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let own = match self {
            Self::Dialing(Dialing { until, .. })
            | Self::Authenticating(Authenticating { until, .. })
            | Self::Resuming(Resuming { until, .. }) => Some(*until),
            Self::Backoff(Backoff { until }) => *until,
            Self::Idle | Self::Ready(_) | Self::Ended(_) => None,
        };
        earliest(own, self.socket().map(Socket::dead_at))
    }

    /// Whether nothing was heard for too long.
    pub(super) fn is_silent(&self, now: Mono) -> bool {
        self.socket().is_some_and(|socket| socket.dead_at() <= now)
    }
}
