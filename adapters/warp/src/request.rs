//! What every route reads from a request: who asks, from where, and a bounded body.

use crate::app::App;
use crate::problem::Problem;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use goldenpath_core::connection::Identity;
use goldenpath_core::edge::Spent;
use goldenpath_core::fault::PeerFault;
use goldenpath_core::handshake::Presented;
use goldenpath_core::id::RequestId;
use goldenpath_core::wire::{AuthMethod, Credential, ErrorCode, Secret};
use goldenpath_runtime::connection::Verifier as _;
use goldenpath_runtime::identity::Known;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use warp::filters::BoxedFilter;
use warp::{Filter, Rejection, reject};

/// Longest JSON body, in bytes: a message and room for its envelope.
const JSON_BYTES: usize = 64 * 1024;

/// Where a request comes from (the client, where a trusted proxy speaks for it), whether the way there is
/// encrypted, and what it is called; put into its extensions at the door.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) peer: SocketAddr,
    pub(crate) request_id: RequestId,
    pub(crate) secure: bool,
}

/// The caller of a request.
pub(crate) fn caller() -> impl Filter<Extract = (Caller,), Error = Rejection> + Clone {
    warp::ext::get::<Caller>()
}

/// What a request was counted as for its user, once it has one; put into its extensions at the door.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tab(Arc<OnceLock<Spent>>);

impl Tab {
    /// What the user has left, if somebody is known.
    pub(crate) fn spent(&self) -> Option<Spent> {
        self.0.get().copied()
    }

    /// Counts the request of this user, once.
    pub(crate) fn count(&self, app: &App, identity: &Identity) -> Result<(), Problem> {
        let spent = self.0.get_or_init(|| app.0.door.user_request(identity.user_id()));
        spent.left.map(|_| ()).map_err(|wait| {
            Problem::of(ErrorCode::RateLimited, "too many requests of this user").retry_after(wait)
        })
    }
}

/// Who asks, by `Authorization: Bearer`; the same verdict as on a socket (AUTH-06).
pub(crate) fn signed_in(app: &App) -> BoxedFilter<(Identity,)> {
    let app = app.clone();
    warp::header::headers_cloned()
        .and(warp::ext::get::<Tab>())
        .and_then(move |headers: HeaderMap, tab: Tab| {
            let app = app.clone();
            async move {
                let identity = identity(&app, &headers).await.map_err(reject::custom)?;
                tab.count(&app, &identity).map_err(reject::custom)?;
                Ok::<_, Rejection>(identity)
            }
        })
        .boxed()
}

/// The same for what ends log-ins: it counts for the address only. Somebody with a stolen token shares the
/// user's allowance, and must not keep its owner from ending it by emptying that.
pub(crate) fn leaving(app: &App) -> BoxedFilter<(Identity,)> {
    let app = app.clone();
    warp::header::headers_cloned()
        .and_then(move |headers: HeaderMap| {
            let app = app.clone();
            async move { identity(&app, &headers).await.map_err(reject::custom) }
        })
        .boxed()
}

/// Who asks, and all their token says.
pub(crate) fn known(app: &App) -> BoxedFilter<(Known,)> {
    let app = app.clone();
    warp::header::headers_cloned()
        .and(warp::ext::get::<Tab>())
        .and_then(move |headers: HeaderMap, tab: Tab| {
            let app = app.clone();
            async move {
                let token = token(&headers).map_err(reject::custom)?;
                let known = app.0.identities.known(&token).await;
                let known = known.map_err(|code| reject::custom(Problem::from(code)))?;
                tab.count(&app, &known.identity).map_err(reject::custom)?;
                Ok::<_, Rejection>(known)
            }
        })
        .boxed()
}

/// Lets those pass whose token says that they may.
pub(crate) fn permitted(app: &App, permission: &'static str) -> BoxedFilter<()> {
    known(app)
        .and_then(move |known: Known| async move {
            if known.permissions.iter().any(|held| held == permission) {
                Ok(())
            } else {
                let detail = format!("the permission {permission} is missing");
                let problem = Problem::of(ErrorCode::Forbidden, detail);
                Err(reject::custom(problem.of_user(&known.identity)))
            }
        })
        .untuple_one()
        .boxed()
}

/// Who asks, if anybody says so.
pub(crate) async fn identity(app: &App, headers: &HeaderMap) -> Result<Identity, Problem> {
    let token = token(headers)?;
    let now = app.0.connections.clock.now().wall;
    //= specs/auth.md#auth-06
    //# The same token MUST get the same verdict over HTTP and WebSocket.
    let verdict = app.0.identities.verify(&Credential::Token(token), None, now).await;
    verdict.map_err(Problem::from)
}

/// What a request shows in `Authorization`, read as that of an upgrade is.
fn token(headers: &HeaderMap) -> Result<Secret, Problem> {
    let values = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    match Presented::in_authorization(values) {
        Presented::Credential(_, Credential::Token(token)) => Ok(token),
        Presented::Unusable(PeerFault { code, message }) => Err(Problem::of(code, message)),
        Presented::Credential(_, Credential::Ticket(_)) | Presented::Nothing => {
            Err(Problem::of(ErrorCode::Unauthorized, "Authorization: Bearer is missing"))
        }
    }
}

/// A JSON body of a type. An empty body counts as `{}`.
pub(crate) fn json<T: DeserializeOwned + Send + 'static>(
    app: &App,
) -> impl Filter<Extract = (T,), Error = Rejection> + Clone + use<T> {
    let limit = Duration::from_millis(app.0.limits.body_timeout.0);
    let kind = warp::header::headers_cloned().map(|headers: HeaderMap| is_json(&headers));
    kind.and(warp::body::stream()).and_then(move |is_json: bool, body| async move {
        let bytes = collect(body, JSON_BYTES, limit).await.map_err(reject::custom)?;
        if !is_json && !bytes.is_empty() {
            return Err(reject::custom(no_json()));
        }
        let bytes = if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes };
        if bytes.trim_ascii_start().starts_with(b"[") {
            // It would be taken for the fields of an object, by their order.
            let problem = Problem::of(ErrorCode::ValidationFailed, "the body must be an object");
            return Err(reject::custom(problem));
        }
        serde_json::from_slice(&bytes).map_err(|error| reject::custom(unreadable(&error)))
    })
}

/// A JSON body as far as it is one, for addresses that answer whatever was sent; `null` otherwise. What it
/// asks for must not depend on who carries it, only on the secrets in it.
pub(crate) fn lenient(
    app: &App,
) -> impl Filter<Extract = (serde_json::Value,), Error = Rejection> + Clone + use<> {
    let limit = Duration::from_millis(app.0.limits.body_timeout.0);
    warp::body::stream().then(move |body| async move {
        let bytes = collect(body, JSON_BYTES, limit).await.unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    })
}

/// `application/json` or a kind of it. A form, a text or nothing at all is what a page of others can
/// make a browser send without asking us first (CORS-safelisted, Fetch standard section 2.2.2).
//= specs/safety.md#safe-46
//# A body of a kind that foreign pages can send unasked MUST be refused where JSON is expected.
fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return false };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn no_json() -> Problem {
    Problem::http(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "the body must be JSON: say Content-Type: application/json",
    )
}

/// Where a body is not as it must be, and what is wrong as far as that is a text of ours: the words of the
/// library for a value of the wrong kind hold the value, and that may be a password.
//= specs/auth.md#auth-90
//# A refusal of a body that is not of the agreed shape MUST NOT repeat a value of it.
fn unreadable(error: &serde_json::Error) -> Problem {
    let said = error.to_string();
    if !error.is_data() {
        return Problem::of(ErrorCode::InvalidJson, said);
    }
    // The last are words of our own, which begin with the name of their field: see `goldenpath_core::wire`.
    let names_a_field = ["missing field `", "duplicate field `", "`metadata` "];
    let detail = if names_a_field.iter().any(|words| said.starts_with(words)) {
        said
    } else {
        let (line, column) = (error.line(), error.column());
        format!("a value is not of the kind it must be, at line {line} column {column}")
    };
    Problem::of(ErrorCode::ValidationFailed, detail)
}

/// Reads a body that is neither too long nor too long in coming: a byte now and then is no way to keep
/// us waiting.
async fn collect(
    body: impl Stream<Item = Result<impl Buf, warp::Error>>,
    most: usize,
    longest: Duration,
) -> Result<Bytes, Problem> {
    let mut body = pin!(body);
    let read = async {
        let mut all = BytesMut::new();
        loop {
            match body.next().await {
                None => return Ok(all.freeze()),
                Some(Err(_)) => {
                    return Err(Problem::of(ErrorCode::InvalidJson, "the body broke off"));
                }
                Some(Ok(mut piece)) => {
                    if all.len() + piece.remaining() > most {
                        let detail = format!("the body is longer than {most} bytes");
                        return Err(Problem::of(ErrorCode::MessageTooLarge, detail));
                    }
                    while piece.has_remaining() {
                        let chunk = piece.chunk();
                        all.extend_from_slice(chunk);
                        let read = chunk.len();
                        piece.advance(read);
                    }
                }
            }
        }
    };
    tokio::time::timeout(longest, read).await.unwrap_or_else(|_| Err(too_slow()))
}

/// The peer was silent inside a body for too long.
pub(crate) fn too_slow() -> Problem {
    Problem::http(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body came too slowly")
}

/// The first credential of an upgrade, for a check before the 101.
pub(crate) fn presented(presented: &Presented) -> Option<(AuthMethod, &Credential)> {
    match presented {
        Presented::Credential(method, credential) => Some((*method, credential)),
        Presented::Nothing | Presented::Unusable(_) => None,
    }
}
