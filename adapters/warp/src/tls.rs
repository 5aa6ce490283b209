//! TLS on the listener: the same sockets, whose bytes nobody on the way can read.

use crate::listener::Listener;
use std::fmt;
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// A certificate and its key, as they are shown to newcomers; clones share them.
#[derive(Clone)]
pub struct Certificate(Arc<RwLock<Arc<ServerConfig>>>);

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate(…)")
    }
}

impl Certificate {
    /// Reads a chain and the key of its first certificate from PEM files.
    ///
    /// # Errors
    /// What is wrong with which file, in words.
    pub fn read(chain: &Path, key: &Path) -> Result<Self, String> {
        let config = read(chain, key)?;
        Ok(Self(Arc::new(RwLock::new(Arc::new(config)))))
    }

    /// Reads them again; whoever is connected stays so.
    ///
    /// # Errors
    /// As [`Certificate::read`]; then the older ones are shown on.
    pub fn read_again(&self, chain: &Path, key: &Path) -> Result<(), String> {
        let config = read(chain, key)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(())
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// TLS 1.2 and 1.3 as rustls has them: no older version, no weak cipher, no renegotiation.
fn read(chain: &Path, key: &Path) -> Result<ServerConfig, String> {
    let unreadable = |path: &Path, what: &dyn fmt::Display| format!("{}: {what}", path.display());
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(chain, &error))?;
    if certificates.is_empty() {
        return Err(unreadable(chain, &"holds no certificate"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|error| unreadable(key, &error))?;
    // The only protocol there is behind it.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Gives out sockets that speak TLS.
#[derive(Debug)]
pub struct TlsListener {
    tcp: TcpListener,
    certificate: Certificate,
}

impl TlsListener {
    /// On a listener that is open.
    #[must_use]
    pub const fn new(tcp: TcpListener, certificate: Certificate) -> Self {
        Self { tcp, certificate }
    }
}

impl Listener for TlsListener {
    type Io = TlsIo;

    const SECURE: bool = true;

    async fn accept(&mut self) -> io::Result<(TlsIo, SocketAddr)> {
        let (stream, peer) = self.tcp.accept().await?;
        let accept = Box::new(self.certificate.acceptor().accept(stream));
        Ok((TlsIo(State::Greeting(accept)), peer))
    }
}

/// A socket whose TLS handshake happens with its first read: the accept loop waits for nobody, and the
/// time for a request's head is the time for the handshake, too.
pub struct TlsIo(State);

enum State {
    Greeting(Box<Accept<TcpStream>>),
    Open(Box<TlsStream<TcpStream>>),
    /// They did not understand each other; nothing more can be said.
    Failed,
}

impl TlsIo {
    fn poll_open(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Pin<&mut TlsStream<TcpStream>>>> {
        if let State::Greeting(accept) = &mut self.0 {
            let greeted = ready!(Pin::new(accept.as_mut()).poll(context));
            self.0 = State::Failed;
            self.0 = State::Open(Box::new(greeted?));
        }
        match &mut self.0 {
            State::Open(stream) => Poll::Ready(Ok(Pin::new(stream.as_mut()))),
            State::Greeting(_) | State::Failed => {
                Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
            }
        }
    }
}

impl AsyncRead for TlsIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?.poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Open(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
            // Nothing was said; there is nobody to say goodbye to.
            State::Greeting(_) | State::Failed => Poll::Ready(Ok(())),
        }
    }
}
