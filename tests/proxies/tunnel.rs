//! What a client without TLS speaks through to a server with it.

use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A port on which plain bytes are passed on through TLS.
pub(crate) struct Tunnel {
    pub(crate) port: u16,
    task: JoinHandle<()>,
}

impl Tunnel {
    /// To `localhost` at a port, believing this certificate and no other.
    pub(crate) async fn to(secure: u16, believed: &CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(believed.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let connector = connector.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", secure)).await.unwrap();
                    let name = ServerName::try_from("localhost").unwrap();
                    let mut server = connector.connect(name, server).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { port, task }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}
