//! What a hub has for a connection, in order.

use goldenpath_core::hub::HubReady;
use goldenpath_core::outbox::Weight;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{CloseCode, Frame, Head};
use std::sync::Arc;

/// One item of a connection's outbox.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// The hub has taken the connection in; always the first item.
    Attached(HubReady),
    /// The connection ends.
    Close(CloseCode),
    /// The server drains; come back after this.
    Drain(Millis),
    /// Frames, in order; shared by all their readers.
    Frames(Arc<[Frame]>),
    /// What the next `ping` carries.
    Heads(Vec<Head>),
    /// To be sent back once everything before it is written.
    Mark(u64),
    /// The credential was revoked.
    Revoked,
    /// A part became unavailable or is back.
    Status(Frame),
}

impl Outgoing {
    /// What it takes of the outbox's bounds; only frames count.
    #[must_use]
    pub fn weight(&self) -> Weight {
        match self {
            Self::Frames(frames) => {
                Weight { frames: frames.len(), bytes: frames.iter().map(Frame::len).sum() }
            }
            Self::Attached(_)
            | Self::Close(_)
            | Self::Drain(_)
            | Self::Heads(_)
            | Self::Mark(_)
            | Self::Revoked
            | Self::Status(_) => Weight::default(),
        }
    }
}
