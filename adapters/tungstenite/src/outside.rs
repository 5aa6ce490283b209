//! Where a client's streams and its civil time come from: the operating system, or a simulation.

use core::future::Future;
use goldenpath_core::time::Wall;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What a client needs from around it. Deadlines follow tokio's clock, which a simulation holds itself.
pub trait Outside: Clone + Send + Sync + 'static {
    /// A byte stream to a server.
    type Io: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Opens a stream to `host:port`.
    ///
    /// # Errors
    /// When nobody is there.
    fn connect(&self, authority: String) -> impl Future<Output = io::Result<Self::Io>> + Send;

    /// The civil time.
    fn wall(&self) -> Wall;
}

/// The operating system's TCP and clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Outside for System {
    type Io = TcpStream;

    async fn connect(&self, authority: String) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(authority).await?;
        // Small frames are sent as they come.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn wall(&self) -> Wall {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Wall(u64::try_from(wall).unwrap_or(u64::MAX))
    }
}
