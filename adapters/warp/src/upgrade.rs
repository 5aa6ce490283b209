//! `GET /ws`: the decision is the core's, the 101 and the raw stream are made here.

use crate::api::auth::place;
use crate::app::App;
use crate::listener::Stream;
use crate::patience::Patient;
use crate::problem::Problem;
use crate::request::{Caller, caller, presented};
use crate::socket::Socket;
use bytes::Bytes;
use goldenpath_core::connection::Identity;
use goldenpath_core::fault::PeerFault;
use goldenpath_core::handshake::{
    Accepted, Admission, Dialect, Page, Presented, Refusal, ServerCondition, UpgradeRequest, decide,
};
use goldenpath_runtime::connection::{Newcomer, Sighting, Transport, Verifier as _, Whence};
use goldenpath_runtime::ports::AuditAction;
use goldenpath_runtime::tally;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{Method, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;
use warp::{Filter, Rejection};

/// The route of sockets, on streams of this type; a connection has its frames through what `above`
/// makes of a socket.
pub(crate) fn route<S: Stream, T: Transport + 'static>(
    app: &App,
    above: fn(Socket<S>) -> T,
) -> BoxedFilter<(Reply,)> {
    let app = app.clone();
    let query = warp::query::raw().or_else(|_| async { Ok::<_, Rejection>((String::new(),)) });
    warp::path!("ws")
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(query)
        .and(caller())
        .and(warp::ext::optional::<OnUpgrade>())
        .then(move |method, headers, query, caller: Caller, on_upgrade| {
            let app = app.clone();
            async move {
                let way = Way { caller, on_upgrade, above };
                match upgrade(&app, &method, &headers, query, way).await {
                    Ok(reply) => reply,
                    Err(refusal) => {
                        tally::upgrade(Err(refusal.code));
                        Problem::from(refusal).reply(Some(caller.request_id))
                    }
                }
            }
        })
        .boxed()
}

/// From whoever asks to a connection.
struct Way<S, T> {
    caller: Caller,
    on_upgrade: Option<OnUpgrade>,
    above: fn(Socket<S>) -> T,
}

async fn upgrade<S: Stream, T: Transport + 'static>(
    app: &App,
    method: &Method,
    headers: &HeaderMap,
    query: String,
    Way { caller, on_upgrade, above }: Way<S, T>,
) -> Result<Reply, Refusal> {
    let parts = &app.0;
    let pairs: Vec<(&str, &[u8])> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let request = UpgradeRequest { method: method.as_str(), headers: &pairs, query: &query };
    let open = parts.connections.registry.len();
    let (admission, places) = match parts.condition.admission(open, parts.limits.connections) {
        Admission::Open => {
            let unauthenticated = parts.connections.registry.unauthenticated();
            parts.door.admit(caller.peer.ip(), unauthenticated)
        }
        refused => (refused, None),
    };
    let server =
        ServerCondition { origins: &parts.origins, admission, demo: parts.identities.demo() };
    let accepted = decide(&request, &server)?;
    // A ticket is good for the page that asked for it.
    let origin = match app.page(headers) {
        Page::Known(origin) => Some(origin.to_owned()),
        Page::Foreign | Page::None => None,
    };
    if let Presented::Unusable(fault) = &accepted.presented {
        // It is told inside, where no verdict is asked for any more.
        let socket = (AuditAction::Socket, None);
        parts.identities.note_refused(socket, None, &place(caller), fault.code);
    }
    let identity = known_before(app, &accepted, origin.as_deref(), caller).await?;
    let (Some(on_upgrade), Some(key)) = (on_upgrade, headers.get(SEC_WEBSOCKET_KEY)) else {
        // The core saw a request for an upgrade; without these it came over HTTP/2 or worse.
        let fault = "this connection cannot be upgraded";
        let code = goldenpath_core::wire::ErrorCode::UnsupportedVersion;
        return Err(Refusal::unauthenticated(&PeerFault::new(code, fault)));
    };
    let reply = switching(&accepted, key);
    tally::upgrade(Ok(accepted.dialect));
    let (seat, newcomer) = places.unzip();
    let newcomer = newcomer.map(|newcomer| Box::new(newcomer) as Box<dyn Newcomer>);
    let whence = Whence { origin, place: Some(place(caller)), newcomer };
    let connections = parts.connections.clone();
    tokio::spawn(async move {
        let Ok(upgraded) = on_upgrade.await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<Patient<S>>>() else {
            return tracing::error!("an upgraded stream has another type than its listener's");
        };
        // An empty buffer still holds hyper's 8 KiB.
        let read = if parts.read_buf.is_empty() { Bytes::new() } else { parts.read_buf };
        let frame_bytes = connections.limits.frame_bytes;
        let mut socket = Socket::new(parts.io.into_inner().into_inner(), read, frame_bytes).await;
        if accepted.dialect == Dialect::Older {
            // It may know nothing of our own `ping`.
            let every = connections.limits.heartbeat_interval;
            socket = socket.kept_alive(Duration::from_millis(every.0.max(1)));
        }
        // A task of its own: the one of the upgrade is larger than what waits for hours.
        let served = connections.serve(above(socket), accepted, identity, whence);
        tokio::spawn(async move {
            served.await;
            drop(seat);
        });
    });
    Ok(reply)
}

/// Clients that cannot be told inside hear before the 101 that their credential is no good (F36).
async fn known_before(
    app: &App,
    accepted: &Accepted,
    origin: Option<&str>,
    caller: Caller,
) -> Result<Option<Identity>, Refusal> {
    if !accepted.verify_before_upgrade {
        return Ok(None);
    }
    let Some((method, credential)) = presented(&accepted.presented) else { return Ok(None) };
    let now = app.0.connections.clock.now().wall;
    let verdict = app.0.identities.verify(credential, origin, now).await;
    // A refusal is recorded where it is answered.
    if verdict.is_ok() {
        let place = place(caller);
        app.0.identities.seen(Sighting { method, place: Some(&place), verdict: &verdict });
    }
    verdict.map(Some).map_err(|code| {
        Refusal::unauthenticated(&PeerFault::new(code, "the credential is not accepted"))
    })
}

fn switching(accepted: &Accepted, key: &HeaderValue) -> Reply {
    let mut reply = Response::new(Bytes::new().into());
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = reply.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    // Base64 is made of characters a header may hold.
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(protocol) = &accepted.subprotocol
        && let Ok(protocol) = HeaderValue::from_str(protocol)
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    if accepted.dialect == Dialect::GoldenV1 {
        // Whoever named the protocol in the address finds here whether that was understood (F06).
        let name = HeaderName::from_static("golden-protocol");
        headers.insert(name, HeaderValue::from_static(goldenpath_core::wire::PROTOCOL));
    }
    reply
}
