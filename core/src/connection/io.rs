//! What a connection hears and says.

use crate::fault::End;
use crate::handshake::Accepted;
use crate::hub::HubReady;
use crate::id::{ConnectionId, EffectId, SessionId, UserId};
use crate::time::{Millis, Mono, Wall};
use crate::wire::{
    AuthMethod, ClientBody, CloseCode, Credential, ErrorCode, Frame, Head, Reply, ResumePoint,
};
use alloc::string::String;
use alloc::vec::Vec;

/// Who somebody is. Only a verdict makes one, and nobody changes it afterwards: see
/// [`Scope`](crate::auth::Scope) for the ways.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The subject.
    pub(crate) user_id: UserId,
    /// The log-in it belongs to.
    pub(crate) session_id: SessionId,
    /// When the credential was issued; long ago when it does not say.
    pub(crate) issued_at: Wall,
    /// When the credential ends; `None`: never (demo mode for the life of the process).
    pub(crate) expires_at: Option<Wall>,
    /// Made by demo mode.
    pub(crate) demo: bool,
}

/// What a connection is told when it is made, at the upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Opening {
    /// Its id.
    pub connection_id: ConnectionId,
    /// What the handshake decided: subprotocol, credential and its place, demo.
    pub accepted: Accepted,
    /// Who it is, when [`Accepted::verify_before_upgrade`] asked for that; `None` otherwise.
    pub identity: Option<Identity>,
}

/// From outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input<'a> {
    /// The 101 is on its way and the socket is up; nothing is handled before (F08).
    Upgraded,
    /// A text frame.
    Text(&'a str),
    /// A binary frame.
    Binary,
    /// Text that is not UTF-8.
    InvalidUtf8,
    /// A frame above the hard limit; the transport read no more of it.
    TooBig,
    /// A WebSocket ping or pong frame (answered by the transport itself): a sign of life.
    Alive,
    /// The peer sent a close frame.
    PeerClosed(Option<u16>),
    /// The transport is gone.
    Lost,
    /// The answer to [`Output::Verify`].
    Verdict {
        /// Which question.
        effect: EffectId,
        /// Who it is, or why not (`unauthorized`, `token_expired`, `token_revoked`, `ticket_invalid`, `overloaded`…).
        verdict: Result<Identity, ErrorCode>,
    },
    /// The hub has taken the connection in; the first thing it ever says to it.
    Attached(HubReady),
    /// The hub has frames for the peer, in its order.
    Deliver(&'a [Frame]),
    /// The heads of the threads this connection follows; the next `ping` carries them.
    Heads(Vec<Head>),
    /// The hub ends the connection.
    HubClose(CloseCode),
    /// The outbox overflowed (DLV-10).
    Overflow,
    /// The credential was revoked.
    Revoked,
    /// Its user opens connections too often; this one is to come back after this (SAFE-95).
    TooOften {
        /// When the next one is let in.
        retry_after: Millis,
    },
    /// The server drains; this connection is to come back after this.
    Drain {
        /// Its part of the jitter.
        reconnect_after: Millis,
    },
    /// The parts of the server that are not available now; none: all is well (F11).
    ServiceStatus {
        /// Their names, as `connection_ready` and `service_status` say them.
        degraded: Vec<String>,
    },
}

/// To the outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Write a text frame.
    Send(Frame),
    /// Check a credential; the answer is `Verdict`.
    Verify {
        /// The question.
        effect: EffectId,
        /// What to check.
        credential: Credential,
        /// By which place it came.
        method: AuthMethod,
    },
    /// Make a demo user; the answer is `Verdict`.
    MakeDemoUser {
        /// The question.
        effect: EffectId,
    },
    /// Hand the connection to its user's hub; the answer is `Attached`.
    Attach {
        /// Who.
        identity: Identity,
        /// Where reading goes on.
        resume: Vec<ResumePoint>,
    },
    /// A command for the hub.
    Forward {
        /// How answers name it.
        reply: Reply,
        /// The command.
        body: ClientBody,
    },
    /// Tell the hub that the connection is gone; only after `Attach`.
    Detach,
    /// Send a close frame with code and reason, then end.
    Close(CloseCode),
    /// The connection is over; drop everything.
    Ended(End),
    /// Nothing more for now; call `handle_timeout` at the deadline, if there is one.
    Idle(Option<Mono>),
}
