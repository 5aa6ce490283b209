//! What is said comes back: the endpoint that foreign suites of RFC 6455 measure.
//!
//! Upgrade, limits, socket, connection and close are those of the server. The only difference: a data
//! message goes back to the peer instead of to the connection, and what the connection says in text
//! is not sent. Exists behind the feature `echo`, for `tests/rfc6455/check`.

use crate::app::App;
use crate::listener::{Listener, Stream};
use crate::server::serve_above;
use crate::socket::Socket;
use bytes::Bytes;
use goldenpath_core::wire::Frame;
use goldenpath_runtime::connection::{Lost, Received, Transport};
use std::task::{Context, Poll, ready};
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

/// As [`crate::serve`], with a socket that echoes.
pub async fn serve_echo<L: Listener>(app: App, listener: L) {
    serve_above(app, listener, |socket| Echo { socket, unflushed: false }).await;
}

struct Echo<S> {
    socket: Socket<S>,
    /// Whether something was echoed and not flushed.
    unflushed: bool,
}

impl<S: Stream> Transport for Echo<S> {
    type Text = Utf8Bytes;

    /// A data message is a sign of life; everything else is what it is for any connection.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Received<Utf8Bytes>> {
        if self.unflushed {
            // Nothing more is read from a peer who does not read. One who cannot is still listened to.
            let _ = ready!(self.socket.poll_flush(context));
            self.unflushed = false;
        }
        let read = ready!(self.socket.poll_message(context));
        let (data, bytes) = match read {
            Some(Ok(Message::Text(text))) => (Data::Text, Bytes::from(text)),
            Some(Ok(Message::Binary(bytes))) => (Data::Binary, bytes),
            other => return Poll::Ready(self.socket.received(other)),
        };
        self.unflushed = self.socket.say(data, bytes).is_ok();
        Poll::Ready(Received::Alive)
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        self.socket.poll_ready(context)
    }

    /// The peer knows nothing of our frames.
    fn send(&mut self, _: Frame) -> Result<(), Lost> {
        Ok(())
    }

    fn close(&mut self, code: u16, reason: &'static str) -> Result<(), Lost> {
        self.socket.close(code, reason)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        self.socket.poll_flush(context)
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_finish(context)
    }
}
