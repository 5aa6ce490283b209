//! The server with a certificate of its own: HTTPS, `wss`, and nothing else.

use futures_util::{SinkExt as _, StreamExt as _};
use goldenpath_tests::port::Port;
use goldenpath_tests::secrets::{Secrets, files};
use goldenpath_tests::server::{PATIENCE, binary};
use goldenpath_tests::socket::{GOLDEN, RUN_ENDS};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

struct Secure {
    child: Child,
    folder: TempDir,
    port: Port,
}

/// Makes a certificate for `localhost`, writes it where the server reads it, and answers it.
fn certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

impl Secure {
    async fn start() -> (Self, CertificateDer<'static>) {
        let folder = TempDir::new().unwrap();
        let shown = certificate(folder.path());
        let port = Port::free();
        let log = std::fs::File::create(folder.path().join("server.log")).unwrap();
        let child = Command::new(binary())
            .args(["serve", "--agents", "bench", "--listen", &port.to_string()])
            .env_clear()
            .envs([
                ("TLS_CERT_FILE", "cert.pem"),
                ("TLS_KEY_FILE", "key.pem"),
                ("GOLDENPATH_HEADER_TIMEOUT", "2"),
                ("LOG_LEVEL", "trace,rustls=trace"),
            ])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let server = Self { child, folder, port };
        let begin = Instant::now();
        while server.get("/health/ready", &shown).await.is_none_or(|said| !said.contains(" 200 ")) {
            assert!(begin.elapsed() < PATIENCE, "it is not ready: {}", server.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (server, shown)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// A TLS connection that believes this certificate and no other.
    async fn connect(&self, believed: &CertificateDer<'static>) -> Option<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(believed.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.port.to_string()).await.ok()?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()
    }

    async fn get(&self, path: &str, believed: &CertificateDer<'static>) -> Option<String> {
        let mut stream = self.connect(believed).await?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        Some(String::from_utf8_lossy(&said).into_owned())
    }

    async fn hang_up(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().await.unwrap().success());
    }
}

//= specs/safety.md#safe-48
//= type=test
//# With a certificate the server MUST speak TLS only, and tell browsers to stay with it.
#[tokio::test]
async fn with_a_certificate_everything_goes_through_tls_and_nothing_beside_it() {
    let (server, shown) = Secure::start().await;
    let page = server.get("/", &shown).await.unwrap().to_lowercase();
    assert!(page.starts_with("http/1.1 200 "), "{page}");
    assert!(page.contains("\r\nstrict-transport-security: max-age=31536000\r\n"), "{page}");

    let mut plain = TcpStream::connect(server.port.to_string()).await.unwrap();
    let _ = plain.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut said = Vec::new();
    let read = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut said)).await;
    assert!(read.is_ok() && !said.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&said));

    let began = Instant::now();
    let mut silent = TcpStream::connect(server.port.to_string()).await.unwrap();
    let read = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut said)).await;
    assert!(read.is_ok() && began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    assert!(server.connect(other.cert.der()).await.is_none(), "the test would notice a stranger");
}

#[tokio::test]
async fn the_golden_path_over_wss_survives_a_new_certificate() {
    let (server, shown) = Secure::start().await;
    let stream = server.connect(&shown).await.unwrap();
    let mut request = "wss://localhost/ws".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", GOLDEN.parse().unwrap());
    request.headers_mut().insert("Origin", "https://localhost".parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let mut asked = false;
    let mut heard = Vec::new();
    loop {
        let next = tokio::time::timeout(PATIENCE, socket.next()).await;
        let Some(Ok(message)) = next.expect("it goes on") else { panic!("closed: {heard:?}") };
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        let kind = frame["type"].as_str().unwrap().to_owned();
        if kind == "connection_ready" && !asked {
            asked = true;
            // From here on newcomers see another certificate; this connection stays.
            let renewed = certificate(server.folder.path());
            server.hang_up().await;
            let begin = Instant::now();
            while server.get("/health", &renewed).await.is_none() {
                assert!(begin.elapsed() < PATIENCE, "it is not read again: {}", server.log());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let ask = json!({ "type": "user_message", "payload": { "content": "hello" } });
            socket.send(Message::text(ask.to_string())).await.unwrap();
        }
        let last = RUN_ENDS.contains(&kind.as_str());
        heard.push(kind);
        if last {
            break;
        }
    }
    assert_eq!(heard.last().unwrap(), "run_completed");
    assert!(heard.iter().any(|kind| kind == "tool_completed"), "{heard:?}");

    // AUTH-55: not even of a key that cannot be read is anything said, only that it cannot.
    let path = server.folder.path().join("key.pem");
    let key = std::fs::read_to_string(&path).unwrap();
    let mut secrets = Secrets::default();
    secrets.pem("TLS key", &key);
    std::fs::write(&path, &key[..key.len() - 60]).unwrap();
    server.hang_up().await;
    let begin = Instant::now();
    while !server.log().contains("the older certificate is shown on") {
        assert!(begin.elapsed() < PATIENCE, "a broken key is told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for file in files(server.folder.path()) {
        let found = secrets.found_in(&std::fs::read(&file).unwrap());
        let is_key = file == path;
        assert_eq!(found.is_empty(), !is_key, "{} in {}", found.join(", "), file.display());
    }
}
