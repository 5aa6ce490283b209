//! The accept loop and the door: hyper below, warp's filters above, one id and one caller per request.

use crate::api::auth::place;
use crate::app::App;
use crate::headers;
use crate::listener::{Listener, Stream};
use crate::patience::Patient;
use crate::problem::{Problem, Refused};
use crate::request::{Caller, Tab};
use crate::routes::Routes;
use crate::socket::Socket;
use futures_util::FutureExt as _;
use goldenpath_core::edge::{Route, Spent, Who, unambiguous};
use goldenpath_core::time::Millis;
use goldenpath_core::wire::ErrorCode;
use goldenpath_runtime::connection::Transport;
use goldenpath_runtime::ports::{AuditAction, Credence};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Request, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tower_service::Service as _;
use warp::reply::Response as Reply;

/// After running out of descriptors: others must close before we can accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a request under way may go on once the server drains.
const REQUEST_GRACE: Duration = Duration::from_secs(5);
/// Largest head of a request, in bytes.
const HEAD_BYTES: usize = 32 * 1024;

/// Serves until the server drains; requests under way are finished, sockets are told by their registry.
pub async fn serve<L: Listener>(app: App, listener: L) {
    serve_above(app, listener, core::convert::identity).await;
}

/// The same, with this above each socket.
pub(crate) async fn serve_above<L: Listener, T: Transport + 'static>(
    app: App,
    mut listener: L,
    above: fn(Socket<L::Io>) -> T,
) {
    let routes = Routes::new(&app, above);
    let room = Arc::new(Semaphore::new(app.0.limits.connections));
    let condition = app.0.condition.clone();
    let mut drains = pin!(condition.drains());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut drains => return,
            accepted = accept(&mut listener, &room) => accepted,
        };
        let (stream, peer, permit) = accepted;
        let Some(place) = app.0.door.pick_up(peer.ip()) else {
            tracing::debug!(%peer, "an address holds too many connections");
            continue;
        };
        let (app, routes) = (app.clone(), routes.clone());
        tokio::spawn(async move {
            connection(app, routes, stream, Peer { address: peer, secure: L::SECURE }).await;
            drop((permit, place));
        });
    }
}

async fn accept<L: Listener>(
    listener: &mut L,
    room: &Arc<Semaphore>,
) -> (L::Io, SocketAddr, tokio::sync::OwnedSemaphorePermit) {
    loop {
        // The semaphore is never closed; beyond its bound the kernel holds newcomers back.
        let Ok(permit) = room.clone().acquire_owned().await else {
            std::future::pending::<()>().await;
            continue;
        };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) if is_about_one_socket(&error) => {}
            Err(error) => {
                tracing::error!(%error, "accepting failed; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The peer gave up between its SYN and our accept.
fn is_about_one_socket(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}

/// The other end of a connection: a client, or the proxy before it.
#[derive(Clone, Copy)]
struct Peer {
    address: SocketAddr,
    secure: bool,
}

async fn connection<S: Stream>(app: App, routes: Routes, stream: S, peer: Peer) {
    let condition = app.0.condition.clone();
    let header_timeout = Duration::from_millis(app.0.limits.header_timeout.0);
    // As long as a body may take that comes the other way.
    let patience = Duration::from_millis(app.0.limits.body_timeout.0);
    let service = service_fn(move |request| answer(app.clone(), routes.clone(), request, peer));
    //= specs/safety.md#safe-85
    //# Bytes that are no request MUST be answered with a bare status or nothing, and MUST end their
    //# connection and nothing else.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Patient::new(stream, patience)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let drained = tokio::select! {
        biased;
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(peer = %peer.address, %error, "a connection ended early");
            }
            false
        }
        () = condition.drains() => true,
    };
    if drained {
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(REQUEST_GRACE, connection).await;
    }
}

async fn answer(
    app: App,
    routes: Routes,
    mut request: Request<Incoming>,
    peer: Peer,
) -> Result<Reply, Infallible> {
    let request_id = app.0.connections.draw_request_id();
    let door = &app.0.door;
    let from = headers::Seen::of(&app, &request, peer.secure, door.trusts(peer.address.ip()));
    let proxy = peer.address.ip();
    let peer = door.client(peer.address, request.headers());
    let secure = from.is_secure();
    request.extensions_mut().insert(Caller { peer, request_id, secure });
    let tab = Tab::default();
    request.extensions_mut().insert(tab.clone());
    let route = Route::find(request.uri().path());
    let who = route.map(|route| route.who);
    let recorded =
        if who == Some(Who::Socket) { AuditAction::Socket } else { AuditAction::Request };
    let by = request.headers().contains_key(AUTHORIZATION).then_some(Credence::Header);
    let spent = door.request(peer.ip(), who);
    let sound = {
        let pairs = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        unambiguous(request.version() <= Version::HTTP_10, pairs)
    };
    let mut reply = match (sound, spent.left) {
        (Err(why), _) => Problem::ambiguous(why).reply(Some(request_id)),
        (Ok(()), Err(wait)) => too_often(wait).reply(Some(request_id)),
        (Ok(()), Ok(_)) => match door.take_up(proxy, peer.ip()) {
            Ok(taken_up) => {
                request.extensions_mut().insert(taken_up);
                routed(routes, route, request, &from, request_id).await
            }
            Err(wait) => too_many(wait).reply(Some(request_id)),
        },
    };
    if let Some(Refused { code, of }) = reply.extensions_mut().remove() {
        let place = place(Caller { peer, request_id, secure });
        app.0.identities.note_refused((recorded, by), of.as_deref(), &place, code);
    }
    announce(&mut reply, tab.spent().map_or(spent, |of_user| spent.tighter(of_user)));
    Ok(from.dress(reply, request_id))
}

async fn routed(
    routes: Routes,
    route: Option<&'static Route>,
    request: Request<Incoming>,
    from: &headers::Seen,
    request_id: goldenpath_core::id::RequestId,
) -> Reply {
    if let Some(reply) = from.preflight() {
        return reply;
    }
    // `CONNECT` names no place of ours, and warp would take the missing path for a bug.
    if request.uri().path_and_query().is_none() {
        return Problem::method_not_allowed("").reply(Some(request_id));
    }
    //= specs/safety.md#safe-47
    //# A request of a foreign page that is not only reading MUST be refused.
    if from.is_foreign_change() {
        let detail = "the Origin of this page is not on the server's list";
        return Problem::of(ErrorCode::OriginNotAllowed, detail).reply(Some(request_id));
    }
    let filter = match routes.of(route, request.method().as_str()) {
        Ok(filter) => filter,
        Err(problem) => return problem.reply(Some(request_id)),
    };
    let answered = AssertUnwindSafe(warp::service(filter).call(request)).catch_unwind().await;
    match answered {
        Ok(Ok(reply)) => reply,
        Err(_) => {
            tracing::error!(%request_id, "a request failed");
            Problem::of(ErrorCode::Internal, "an internal error").reply(Some(request_id))
        }
    }
}

fn too_often(wait: Millis) -> Problem {
    Problem::of(ErrorCode::RateLimited, "too many requests from this address").retry_after(wait)
}

fn too_many(wait: Millis) -> Problem {
    let detail = "too many requests of this address are under way";
    Problem::of(ErrorCode::TooManyConnections, detail).retry_after(wait)
}

/// The limit and what is left of it, as draft-ietf-httpapi-ratelimit-headers-10 writes them: `q` at
/// once, all of them again after `w` seconds; `r` left, all there again in `t` seconds.
//= specs/safety.md#safe-50
//# A refusal for too much of anything MUST say over HTTP when to come back, and the limit if it is
//# one of requests, and MUST NOT tell of another.
fn announce(reply: &mut Reply, Spent { whose, policy, left }: Spent) {
    let window = policy.window();
    // What refused is another limit than that of requests: theirs would say that all is well.
    let is_another = reply.status() == StatusCode::TOO_MANY_REQUESTS && left.is_ok();
    if window == Millis::ZERO || is_another {
        return;
    }
    let (left, full_in) = match left {
        Ok(left) => (left.remaining, left.full_in),
        Err(_) => (0, window),
    };
    let seconds = |span: Millis| span.0.div_ceil(1000).max(1);
    let whose = whose.as_str();
    let said = [
        ("ratelimit-policy", format!("\"{whose}\";q={};w={}", policy.burst(), seconds(window))),
        ("ratelimit", format!("\"{whose}\";r={left};t={}", seconds(full_in))),
    ];
    for (name, value) in said {
        if let Ok(value) = HeaderValue::from_str(&value) {
            reply.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
}
