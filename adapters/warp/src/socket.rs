//! A WebSocket on any byte stream, as the connection's driver wants it.

use bytes::Bytes;
use futures_util::{Sink as _, Stream as _};
use goldenpath_core::wire::Frame;
use goldenpath_runtime::connection::{Lost, Received, Transport};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame as RawFrame, Utf8Bytes};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

/// Read buffer of a connection: every idle one holds it.
const READ_BUFFER: usize = 1024;
/// From here on writing begins without waiting for a flush.
const WRITE_BUFFER: usize = 16 * 1024;
/// Bytes read and dropped while a connection ends.
const DISCARDED: usize = 4 * 1024 * 1024;
/// The protocol was broken below our own (RFC 6455 section 7.4.1); no row of our table.
const PROTOCOL_ERROR: u16 = 1002;

/// A message, or why there will be none.
pub(crate) type Read = Result<Message, Error>;

/// A WebSocket whose upgrade is complete.
pub struct Socket<S> {
    stream: WebSocketStream<S>,
    ending: Ending,
    discarded: usize,
    /// When to ask for a sign of life below our own frames.
    keep_alive: Option<Box<Interval>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    Flushing,
    ShuttingDown,
    Discarding,
}

impl<S: crate::Stream> Socket<S> {
    /// On a stream from which `read` was read beyond the request. Frames above `frame_bytes` are
    /// refused before they are read.
    pub async fn new(stream: S, read: Bytes, frame_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(usize::MAX)
            .max_frame_size(Some(frame_bytes))
            .max_message_size(Some(frame_bytes));
        let stream = if read.is_empty() {
            WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await
        } else {
            let read = read.to_vec();
            WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await
        };
        Self { stream, ending: Ending::No, discarded: 0, keep_alive: None }
    }

    /// With a WebSocket ping now and then, which every peer answers whatever dialect it speaks
    /// (RFC 6455 section 5.5.2).
    //= specs/wire.md#wire-66
    //# An older client that answers WebSocket pings MUST NOT be taken for dead, whatever it says.
    #[must_use]
    pub fn kept_alive(mut self, every: Duration) -> Self {
        let mut interval = interval_at(Instant::now() + every, every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.keep_alive = Some(Box::new(interval));
        self
    }

    fn poll_keep_alive(&mut self, context: &mut Context<'_>) {
        let Some(interval) = &mut self.keep_alive else { return };
        while interval.poll_tick(context).is_ready() {
            let mut stream = Pin::new(&mut self.stream);
            // Whoever does not take what is written is found out by its silence.
            if stream.as_mut().poll_ready(context).is_ready()
                && stream.as_mut().start_send(Message::Ping(Bytes::new())).is_ok()
            {
                let _ = stream.poll_flush(context);
            }
        }
    }

    /// What the library read next; nothing once there will be nothing more.
    pub(crate) fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Read>> {
        self.poll_keep_alive(context);
        Pin::new(&mut self.stream).poll_next(context)
    }

    /// What that means to a connection. The library has put its pieces together and answered a ping.
    //= specs/connection.md#conn-70
    //# A message MUST mean the same in one frame or in many, with control frames between them or
    //# without.
    pub(crate) fn received(&mut self, read: Option<Read>) -> Received<Utf8Bytes> {
        match read {
            None => Received::Lost,
            Some(Ok(Message::Text(text))) => Received::Text(text),
            Some(Ok(Message::Binary(_))) => Received::Binary,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Received::Alive,
            Some(Ok(Message::Close(frame))) => {
                Received::Closed(frame.map(|frame| u16::from(frame.code)))
            }
            Some(Err(error)) => self.failed(&error),
        }
    }

    /// Takes a data message as it is: a text message would be checked for UTF-8 once more.
    pub(crate) fn say(&mut self, data: Data, bytes: Bytes) -> Result<(), Lost> {
        self.start(Message::Frame(RawFrame::message(bytes, OpCode::Data(data), true)))
    }

    fn start(&mut self, message: Message) -> Result<(), Lost> {
        Pin::new(&mut self.stream).start_send(message).map_err(|_| Lost)
    }

    fn failed(&mut self, error: &Error) -> Received<Utf8Bytes> {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Received::TooBig,
            Error::Utf8(_) => Received::InvalidUtf8,
            //= specs/connection.md#conn-71
            //# What RFC 6455 forbids MUST end its connection with 1002, unless another code is
            //# required.
            Error::Protocol(_) => {
                let _ = self.close(PROTOCOL_ERROR, "protocol_error");
                Received::Closed(Some(PROTOCOL_ERROR))
            }
            Error::AlreadyClosed
            | Error::AttackAttempt
            | Error::Capacity(_)
            | Error::ConnectionClosed
            | Error::Http(_)
            | Error::HttpFormat(_)
            | Error::Io(_)
            | Error::Tls(_)
            | Error::Url(_)
            | Error::WriteBufferFull(_) => Received::Lost,
        }
    }
}

impl<S: crate::Stream> Transport for Socket<S> {
    type Text = Utf8Bytes;

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Received<Utf8Bytes>> {
        let read = ready!(self.poll_message(context));
        Poll::Ready(self.received(read))
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        Pin::new(&mut self.stream).poll_ready(context).map_err(|_| Lost)
    }

    fn send(&mut self, frame: Frame) -> Result<(), Lost> {
        self.say(Data::Text, frame.bytes().clone())
    }

    fn close(&mut self, code: u16, reason: &'static str) -> Result<(), Lost> {
        let reason = Utf8Bytes::from_static(reason);
        self.start(Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason })))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        Pin::new(&mut self.stream).poll_flush(context).map_err(|_| Lost)
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.ending {
                Ending::No => self.ending = Ending::Flushing,
                //= specs/connection.md#conn-72
                //# A close frame MUST be answered with its code before the connection ends.
                Ending::Flushing => {
                    // The answer to a close is among what is written here. After both close frames
                    // the library reports the end as an error; then all is written.
                    let _ = ready!(Pin::new(&mut self.stream).poll_flush(context));
                    self.ending = Ending::ShuttingDown;
                }
                Ending::ShuttingDown => {
                    if ready!(Pin::new(self.stream.get_mut()).poll_shutdown(context)).is_err() {
                        return Poll::Ready(());
                    }
                    self.ending = Ending::Discarding;
                }
                Ending::Discarding => {
                    let mut space = [0u8; 4096];
                    let mut buffer = ReadBuf::new(&mut space);
                    let read = Pin::new(self.stream.get_mut()).poll_read(context, &mut buffer);
                    if ready!(read).is_err() || buffer.filled().is_empty() {
                        return Poll::Ready(());
                    }
                    self.discarded += buffer.filled().len();
                    if self.discarded > DISCARDED {
                        return Poll::Ready(());
                    }
                }
            }
        }
    }
}
