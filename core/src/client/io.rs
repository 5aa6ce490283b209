//! What a client machine hears and says.

use crate::fault::Fault;
use crate::id::{ClientMsgId, EffectId, Epoch, FrameRef, Seq, ThreadId};
use crate::time::{Millis, Mono, Wall};
use crate::wire::{AckFrame, CloseCode, Credential, Entry, ErrorFrame, Frame, ReadyHeard, Said};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// How a client behaves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Send the credential in a first `auth` frame. Otherwise the transport presents it when it dials,
    /// and the server says `connection_ready` unasked.
    pub auth_by_frame: bool,
    /// From a dial to an open socket.
    pub dial_timeout: Millis,
    /// From an open socket to `connection_ready`.
    pub ready_timeout: Millis,
    /// How long a replay may take before the client goes on and fills holes as it finds them.
    pub resume_timeout: Millis,
    /// Silence after which a connection counts as dead, until the server announces its heartbeat.
    pub silence: Millis,
    /// From a sent message to its `ack`; then it is sent again under the same name.
    pub ack_timeout: Millis,
    /// From a `gap_request` to its entries; then it is sent again.
    pub gap_timeout: Millis,
    /// First ceiling of the wait between dials; it doubles up to `backoff_longest`.
    pub backoff_first: Millis,
    /// Last ceiling of the wait between dials.
    pub backoff_longest: Millis,
    /// How long a connection must have been ready for its loss to count as the first failure.
    pub stable_after: Millis,
    /// Messages waiting to be acknowledged; `send` refuses beyond it.
    pub outbox_messages: usize,
    /// Messages sent and not yet acknowledged at a time; 1 keeps them in order even through refusals.
    pub in_flight: usize,
    /// Threads followed at a time.
    pub threads: usize,
    /// Entries of one thread held while a hole before them is filled; those beyond it are asked for again.
    pub held_entries: usize,
    /// Entries asked for in one `gap_request`.
    pub gap_entries: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            auth_by_frame: false,
            dial_timeout: Millis::from_secs(10),
            ready_timeout: Millis::from_secs(10),
            resume_timeout: Millis::from_secs(10),
            silence: Millis::from_secs(75),
            ack_timeout: Millis::from_secs(10),
            gap_timeout: Millis::from_secs(5),
            backoff_first: Millis(500),
            backoff_longest: Millis::from_secs(30),
            stable_after: Millis::from_secs(5),
            outbox_messages: 64,
            in_flight: 1,
            threads: 64,
            held_entries: 1024,
            gap_entries: 500,
        }
    }
}

/// From outside. What comes from a socket names the dial it belongs to; an older one is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input<'a> {
    /// The upgrade is complete.
    Opened {
        /// The answer to which [`Output::Dial`].
        dial: EffectId,
    },
    /// No socket came of it.
    DialFailed {
        /// The answer to which [`Output::Dial`].
        dial: EffectId,
        /// Why.
        why: DialFailure,
    },
    /// A text frame.
    Text {
        /// Whose.
        dial: EffectId,
        /// The frame.
        text: &'a str,
    },
    /// A WebSocket ping or pong: a sign of life.
    Alive {
        /// Whose.
        dial: EffectId,
    },
    /// The socket ended, with the server's close code if it gave one.
    Closed {
        /// Whose.
        dial: EffectId,
        /// RFC 6455 section 7.4.
        code: Option<u16>,
    },
    /// The answer to [`Output::LoadSnapshot`].
    Snapshot {
        /// Which question.
        effect: EffectId,
        /// The log, or why not: [`Fault::Refused`] means there is no such thread.
        result: Result<Snapshot, Fault>,
    },
}

/// Why a dial led to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DialFailure {
    /// The server answered the upgrade with an HTTP status.
    Refused {
        /// The status.
        status: u16,
        /// Its `Retry-After`.
        retry_after: Option<Millis>,
    },
    /// Nobody answered.
    Unreachable,
}

/// The entries of a thread after a position, read at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The log's epoch; when it is not the one asked for, the entries begin with the first.
    pub epoch: Epoch,
    /// In order, without a hole.
    pub entries: Vec<Entry>,
}

/// To the outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Open a socket; the answer is `Opened` or `DialFailed`. An older socket is dropped.
    Dial {
        /// Names the socket.
        dial: EffectId,
        /// To be presented with the upgrade.
        credential: Option<Credential>,
    },
    /// Write a text frame.
    Send {
        /// On which socket.
        dial: EffectId,
        /// The frame.
        frame: Frame,
    },
    /// Close the socket.
    Hangup {
        /// Which.
        dial: EffectId,
        /// The close code for the server.
        code: CloseCode,
    },
    /// Tell the application.
    Event(Event),
    /// Read a thread's log by other means (HTTP); the answer is `Snapshot`.
    LoadSnapshot {
        /// The question.
        effect: EffectId,
        /// Which thread.
        thread_id: ThreadId,
        /// The epoch of what the client has; a log of another one is to be read from its beginning.
        epoch: Option<Epoch>,
        /// What the client has.
        after_seq: Seq,
        /// Where, as the server said.
        url: Option<String>,
    },
    /// The connection needs another credential; `set_credential` is the answer.
    NeedCredential(WhyCredential),
    /// Nothing more for now; call `handle_timeout` at the deadline, if there is one.
    Idle(Option<Mono>),
}

/// Why another credential is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhyCredential {
    /// The server asked for one.
    Asked,
    /// The one in use was refused.
    Refused,
    /// The one in use has ended.
    Expired,
    /// The one in use ends at that time; the connection is still good.
    Expiring(Wall),
}

/// What the application learns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// An entry of a thread: each once, in order, without a hole (DLV-06).
    Applied(Box<Entry>),
    /// The connection is in another state.
    Connection(Link),
    /// Something was refused or failed that belongs to no message.
    Error {
        /// The frame it answers.
        reference: Option<FrameRef>,
        /// What.
        error: ErrorFrame,
    },
    /// What was asked for with `ask` is done.
    Answered {
        /// The frame it answers.
        reference: Option<FrameRef>,
        /// What the server says.
        said: Said,
    },
    /// A message moved on.
    Message {
        /// Which.
        client_msg_id: ClientMsgId,
        /// Where it is now.
        state: MessageState,
    },
    /// The server has taken the connection in.
    Ready(Box<ReadyHeard>),
    /// The log was replaced: forget all entries of the thread; they come anew.
    Reset {
        /// Which thread.
        thread_id: ThreadId,
        /// The new log's epoch.
        epoch: Epoch,
    },
    /// Parts of the server that are not available now; empty: all is well.
    ServiceStatus(Vec<String>),
    /// The thread does not exist any more; it is no longer followed.
    ThreadGone(ThreadId),
    /// Something passing that no log keeps.
    Transient(Said),
}

/// Where a message is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// Waiting for a connection, or for its turn.
    Queued,
    /// On its way.
    Sent,
    /// In the store, for ever.
    Acked(AckFrame),
    /// Not taken, for good.
    Refused(ErrorFrame),
}

/// The state of the connection, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// Nothing was asked for yet.
    Idle,
    /// Opening a socket.
    Dialing,
    /// The socket is open.
    Authenticating,
    /// Reading what was missed.
    Resuming,
    /// Up to date.
    Ready,
    /// Waiting before the next dial, or for a credential.
    Backoff,
    /// Over, for good.
    Ended(Ended),
}

/// Why a client is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ended {
    /// The application asked for it.
    Done,
    /// The server closed with a code that forbids to come back.
    Forbidden(CloseCode),
    /// The upgrade was refused with this HTTP status.
    Refused(u16),
}
