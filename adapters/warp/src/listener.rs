//! Where sockets come from: the operating system, or a simulated network.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections the kernel holds while we are busy.
const BACKLOG: u32 = 4096;

/// A byte stream with a peer.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Gives out sockets.
pub trait Listener: Send + 'static {
    /// What it gives out.
    type Io: Stream;

    /// Whether nobody on the way can read what is said.
    const SECURE: bool = false;

    /// The next socket and where it comes from.
    ///
    /// # Errors
    /// Those of the operating system; running out of descriptors is one that passes.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, SocketAddr)>> + Send;
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self).await
    }
}

/// Listens on an address. Small frames are sent at once: sockets inherit `TCP_NODELAY` from here.
///
/// # Errors
/// When the address is taken or not ours.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
