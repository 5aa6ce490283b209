//! What a connection needs of a socket, so that a real one, one in memory and a simulated one look alike.

use goldenpath_core::wire::Frame;
use std::task::{Context, Poll};

/// The peer cannot be reached any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// A ping or pong frame; answered already where it needs an answer.
    Alive,
    /// A binary message.
    Binary,
    /// A close frame, with its code if it had one.
    Closed(Option<u16>),
    /// Text that is not UTF-8.
    InvalidUtf8,
    /// Nothing will come any more.
    Lost,
    /// A text message.
    Text(T),
    /// A frame above the hard limit.
    TooBig,
}

/// A message stream below one connection. All `poll_*` functions wake the task when it is worth trying again.
pub trait Transport: Send {
    /// How a text message comes.
    type Text: AsRef<str> + Send;

    /// The next thing from the peer. After `Closed` or `Lost` it is not called again.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Received<Self::Text>>;

    /// Ready when [`send`](Self::send) has room for a frame.
    ///
    /// # Errors
    /// [`Lost`] when there is no use in trying.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>>;

    /// Takes a text frame; what was taken is written at the latest by a flush.
    ///
    /// # Errors
    /// [`Lost`] when there is no use in trying.
    fn send(&mut self, frame: Frame) -> Result<(), Lost>;

    /// Takes a close frame; nothing can be sent after it.
    ///
    /// # Errors
    /// [`Lost`] when there is no use in trying.
    fn close(&mut self, code: u16, reason: &'static str) -> Result<(), Lost>;

    /// Ready when everything taken was handed to the operating system.
    ///
    /// # Errors
    /// [`Lost`] when there is no use in trying.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>>;

    /// Ready when everything was written and the peer ended its side. Reads and drops what still
    /// comes: a socket closed with unread data would take our last words back (RFC 1122, 4.2.2.13).
    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<()>;
}
