//! The few HTTP requests of a client: a token, a thread's log, health.

use crate::address::Address;
use crate::outside::{Outside, System};
use bytes::Bytes;
use core::fmt;
use goldenpath_core::client::Snapshot;
use goldenpath_core::fault::Fault;
use goldenpath_core::id::{Epoch, Seq, ThreadId};
use goldenpath_core::wire::{Entry, Secret};
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);
const BODY_BYTES: usize = 64 << 20;
/// Entries asked for in one page, and pages read in a row: more is no thread of this system.
const PAGE: u64 = 500;
const PAGES: usize = 2000;

/// A server's HTTP side.
#[derive(Clone, Debug)]
pub struct Rest<O = System> {
    outside: O,
    address: Address,
    token: Option<Secret>,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestError {
    /// Nobody answered, or not in time.
    Unreachable(String),
    /// The server refused: status, and its words.
    Refused(u16, String),
    /// The answer is not what it should be.
    Unreadable(String),
}

impl fmt::Display for RestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "no answer: {why}"),
            Self::Refused(status, words) => write!(f, "refused with {status}: {words}"),
            Self::Unreadable(why) => write!(f, "an answer nobody can read: {why}"),
        }
    }
}

impl std::error::Error for RestError {}

impl Rest {
    /// Requests carry the token, if there is one.
    #[must_use]
    pub const fn new(address: Address, token: Option<Secret>) -> Self {
        Self { outside: System, address, token }
    }
}

impl<O: Outside> Rest<O> {
    /// [`Rest::new`] on streams from elsewhere.
    #[must_use]
    pub const fn through(outside: O, address: Address, token: Option<Secret>) -> Self {
        Self { outside, address, token }
    }

    /// A user and token of demo mode.
    ///
    /// # Errors
    /// [`RestError`]; a server without demo mode refuses.
    pub async fn demo(&self) -> Result<Secret, RestError> {
        self.token_from("/api/auth/demo", "{}".into()).await
    }

    /// Logs in.
    ///
    /// # Errors
    /// [`RestError`]; wrong credentials are refused with 401.
    pub async fn login(&self, email: &str, password: &str) -> Result<Secret, RestError> {
        let body = serde_json::json!({ "email": email, "password": password });
        self.token_from("/api/auth/login", body.to_string()).await
    }

    async fn token_from(&self, path: &str, body: String) -> Result<Secret, RestError> {
        #[derive(Deserialize)]
        struct Granted {
            #[serde(alias = "token")]
            access_token: String,
        }
        let answer = self.request(Method::POST, path, Some(body)).await?;
        let granted: Granted = read(&answer)?;
        Ok(Secret(granted.access_token))
    }

    /// Reads a thread's log after a position; from its beginning when its epoch is not the given one.
    ///
    /// # Errors
    /// [`Fault::Refused`] when there is no such thread for this user, otherwise [`Fault::Unavailable`].
    pub async fn log(
        &self,
        thread_id: ThreadId,
        epoch: Option<Epoch>,
        after: Seq,
        url: Option<&str>,
    ) -> Result<Snapshot, Fault> {
        let default = format!("/api/threads/{thread_id}/log");
        let path = url.filter(|url| url.starts_with('/')).unwrap_or(&default);
        let first = self.page(path, Seq::ZERO, 1).await?;
        let current = first.epoch().ok_or(Fault::Unavailable)?;
        let mut after = if epoch == Some(current) { after } else { Seq::ZERO };
        let mut entries = Vec::new();
        for _ in 0..PAGES {
            let page = self.page(path, after, PAGE).await?;
            let Some(last) = page.entries.last() else { break };
            after = last.seq;
            let is_last = page.next_after_seq.is_none();
            entries.extend(page.entries);
            if is_last {
                break;
            }
        }
        if entries.iter().any(|entry| entry.epoch != current) {
            return Err(Fault::Unavailable);
        }
        Ok(Snapshot { epoch: current, entries })
    }

    async fn page(&self, path: &str, after: Seq, limit: u64) -> Result<Page, Fault> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}after_seq={after}&limit={limit}");
        match self.get::<PageIn>(&path).await {
            Ok(page) => Page::read(page).map_err(|_| Fault::Unavailable),
            Err(RestError::Refused(403 | 404, _)) => Err(Fault::Refused),
            Err(_) => Err(Fault::Unavailable),
        }
    }

    /// Any JSON document.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RestError> {
        read(&self.request(Method::GET, path, None).await?)
    }

    /// One request on a connection of its own; the body of a 2xx answer.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Bytes, RestError> {
        let exchange = self.exchange(method, path, body);
        let (status, body) = tokio::time::timeout(TIMEOUT, exchange)
            .await
            .map_err(|_| RestError::Unreachable("no answer in time".into()))??;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        Err(RestError::Refused(status, words(&body)))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<(u16, Bytes), RestError> {
        let authority = self.address.authority();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &authority)
            .header(ACCEPT, "application/json");
        if let Some(token) = &self.token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.0))
                .map_err(|_| RestError::Unreadable("the token is no header value".into()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| RestError::Unreadable(error.to_string()))?;
        let stream = self.outside.connect(authority).await.map_err(unreachable)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(unreachable)?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_BYTES)
            .collect()
            .await
            .map_err(|error| RestError::Unreachable(error.to_string()))?
            .to_bytes();
        connection.abort();
        Ok((status, body))
    }
}

fn unreachable(error: impl fmt::Display) -> RestError {
    RestError::Unreachable(error.to_string())
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, RestError> {
    serde_json::from_slice(body).map_err(|error| RestError::Unreadable(error.to_string()))
}

/// The plain words of a problem document, or the beginning of whatever came instead.
fn words(body: &Bytes) -> String {
    #[derive(Deserialize)]
    struct Problem {
        #[serde(alias = "message", alias = "title")]
        detail: String,
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => problem.detail,
        Err(_) => String::from_utf8_lossy(body).chars().take(200).collect(),
    }
}

#[derive(Deserialize)]
struct PageIn {
    entries: Vec<Box<RawValue>>,
    #[serde(default)]
    next_after_seq: Option<Seq>,
    #[serde(default)]
    epoch: Option<Epoch>,
}

struct Page {
    entries: Vec<Entry>,
    next_after_seq: Option<Seq>,
    epoch: Option<Epoch>,
}

impl Page {
    fn read(page: PageIn) -> Result<Self, serde_json::Error> {
        let entries = page.entries.iter().map(|raw| Entry::decode(raw.get().as_bytes()));
        Ok(Self {
            entries: entries.collect::<Result<_, _>>()?,
            next_after_seq: page.next_after_seq,
            epoch: page.epoch,
        })
    }

    fn epoch(&self) -> Option<Epoch> {
        self.entries.first().map(|entry| entry.epoch).or(self.epoch)
    }
}
