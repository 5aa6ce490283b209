//! `GET /metrics`, on a listener of its own: whoever reads numbers needs no token, so it must not stand
//! where strangers pass.

use crate::listener::Listener;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections at once; one that reads numbers is enough.
const AT_ONCE: usize = 16;
/// Longest time for one answer, with everything around it.
const LONGEST: Duration = Duration::from_secs(10);
/// After an accept that failed.
const PAUSE: Duration = Duration::from_millis(100);
/// The text format of Prometheus.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Serves what `page` shows to whoever reaches the listener, until it is dropped.
pub async fn serve_metrics<L: Listener>(
    mut listener: L,
    page: impl Fn() -> String + Send + Sync + 'static,
) {
    let page = Arc::new(page);
    let room = Arc::new(Semaphore::new(AT_ONCE));
    // The semaphore is never closed.
    while let Ok(permit) = room.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let page = page.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
                let answered = answer(request.method(), request.uri().path(), &*page);
                async move { Ok::<_, Infallible>(answered) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            if !matches!(timeout(LONGEST, connection).await, Ok(Ok(()))) {
                tracing::debug!("a reader of metrics left early");
            }
            drop(permit);
        });
    }
}

fn answer(method: &Method, path: &str, page: impl Fn() -> String) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::default());
    if path != "/metrics" {
        *reply.status_mut() = StatusCode::NOT_FOUND;
    } else if !matches!(*method, Method::GET | Method::HEAD) {
        *reply.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    } else {
        reply.headers_mut().insert(CONTENT_TYPE, TEXT);
        *reply.body_mut() = Full::from(page());
    }
    reply
}
