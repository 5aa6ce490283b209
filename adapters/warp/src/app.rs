//! What the HTTP side works with.

use crate::condition::Condition;
use crate::door::Door;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use goldenpath_core::auth::Scope;
use goldenpath_core::handshake::{Origins, Page};
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{ErrorCode, Json};
use goldenpath_runtime::connection::Connections;
use goldenpath_runtime::identity::Identities;
use goldenpath_runtime::ports::{Answer, Artifacts, Directory, Store};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;
use std::time::Duration;

/// Everything a request may need; cheap to clone.
#[derive(Clone)]
pub struct App(pub(crate) Arc<Parts>);

impl App {
    /// Of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// From which page a request with these headers comes.
    pub(crate) fn page<'h>(&self, headers: &'h HeaderMap) -> Page<'h> {
        let origins = headers.get_all(ORIGIN).iter().map(HeaderValue::as_bytes);
        self.0.origins.page(origins, headers.get(HOST).map(HeaderValue::as_bytes))
    }
}

/// The parts of an [`App`].
pub struct Parts {
    /// What `GET /api/config` says.
    pub about: About,
    /// Large results.
    pub artifacts: Arc<dyn Artifacts>,
    /// Starting, serving, draining.
    pub condition: Condition,
    /// Sockets and hubs.
    pub connections: Connections,
    /// Who may come in, and how often.
    pub door: Door,
    /// Lists.
    pub directory: Arc<dyn Directory>,
    /// Who somebody is.
    pub identities: Identities,
    /// Bounds of HTTP.
    pub limits: HttpLimits,
    /// Which pages may connect.
    pub origins: Origins,
    /// Logs.
    pub store: Arc<dyn Store>,
    /// Usage records.
    pub usage: Arc<dyn Usage>,
}

/// What the server says about itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Names of the agents.
    pub agents: Vec<String>,
    /// `development`, `test`, `staging`, `production`.
    pub environment: &'static str,
    /// Of the program.
    pub version: &'static str,
}

/// Bounds of HTTP.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Longest time for a JSON body, and longest silence inside a file.
    pub body_timeout: Millis,
    /// Longest time for a request's head.
    pub header_timeout: Millis,
    /// Largest import, in bytes.
    pub import_bytes: u64,
    /// Open sockets, WebSocket or not.
    pub connections: usize,
    /// The idle limit of whatever stands in front: it cuts what is silent for so long.
    pub proxy_timeout: Millis,
}

impl HttpLimits {
    /// How long an answer may take to come: at most so long, and always less than a proxy waits, so that it is
    /// our word the client hears and not the proxy's.
    //= specs/safety.md#safe-98
    //# An answer MUST NOT be waited for, nor an event stream be silent, for as long as the proxy in front waits.
    pub(crate) fn patience(&self, at_most: Duration) -> Duration {
        let before_the_proxy = self.proxy_timeout.0.saturating_mul(11) / 12;
        at_most.min(Duration::from_millis(before_the_proxy))
    }
}

/// How an import over HTTP is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportRequest {
    /// Count, but store nothing.
    pub dry_run: bool,
    /// What the file contains; found out when absent.
    pub format: Option<String>,
    /// Columns of a CSV, `field=column`, separated by commas.
    pub map: Option<String>,
    /// The model of records that name none.
    pub model: Option<String>,
    /// The file's name, for display.
    pub name: Option<String>,
    /// Import the good records of a file with bad ones.
    pub skip_bad: bool,
}

/// What became of an import.
#[derive(Clone, Debug)]
pub enum Imported {
    /// Records were imported, or would have been; the report as JSON.
    Done(Json),
    /// Nothing was imported, because of what the report says.
    Refused(Json),
    /// There is no report.
    Failed(ErrorCode, String),
}

/// The usage records of a user, as far as HTTP shows them.
pub trait Usage: Send + Sync + 'static {
    /// Reads a file to its end and imports it, or says why not.
    fn import(
        &self,
        user: &Scope,
        request: ImportRequest,
        file: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> BoxFuture<'static, Imported>;

    /// What data there are, as JSON.
    fn summary(&self, user: &Scope) -> Answer<Json>;
}
