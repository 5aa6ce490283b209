//! Headers of every answer: what a browser may do with it, and which pages may read it.

use crate::app::App;
use bytes::Bytes;
use goldenpath_core::handshake::Page;
use goldenpath_core::id::RequestId;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use warp::reply::Response as Reply;

/// Nothing but our own files, no frame around us, no form to elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// What of a request decides about the headers of its answer.
pub(crate) struct Seen {
    allowed_origin: Option<HeaderValue>,
    has_origin: bool,
    preflight: bool,
    api: bool,
    changes: bool,
    secure: bool,
}

impl Seen {
    /// `secure`: nobody on the way to the peer can read it; `trusted`: the peer is a proxy that is
    /// believed when it says the same of the way to the client.
    pub(crate) fn of<B>(app: &App, request: &Request<B>, secure: bool, trusted: bool) -> Self {
        let headers = request.headers();
        let path = request.uri().path();
        let proto = headers.get("x-forwarded-proto").map(HeaderValue::as_bytes);
        let page = app.page(headers);
        Self {
            allowed_origin: match page {
                Page::Known(origin) => HeaderValue::from_str(origin).ok(),
                Page::Foreign | Page::None => None,
            },
            has_origin: page != Page::None,
            preflight: request.method() == Method::OPTIONS
                && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD),
            api: ["/api/", "/auth/"].iter().any(|p| path.starts_with(p)),
            changes: !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS),
            secure: secure || (trusted && proto == Some(b"https".as_slice())),
        }
    }

    /// A page that may not connect asks for more than to read.
    pub(crate) const fn is_foreign_change(&self) -> bool {
        self.has_origin && self.allowed_origin.is_none() && self.changes
    }

    /// Nobody on the way to the client can read what is said.
    pub(crate) const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The answer to a browser that asks before it asks (CORS, Fetch standard section 3.2).
    pub(crate) fn preflight(&self) -> Option<Reply> {
        if !self.preflight {
            return None;
        }
        let mut reply = Response::new(Bytes::new().into());
        *reply.status_mut() = StatusCode::NO_CONTENT;
        if self.allowed_origin.is_some() {
            let headers = reply.headers_mut();
            let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            let names = HeaderValue::from_static("authorization, content-type");
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
        Some(reply)
    }

    /// Puts the headers on.
    pub(crate) fn dress(self, mut reply: Reply, request_id: RequestId) -> Reply {
        if reply.status() == StatusCode::SWITCHING_PROTOCOLS {
            return reply;
        }
        let headers = reply.headers_mut();
        // What already has its own policy (an artifact) keeps it.
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        let same = HeaderName::from_static("cross-origin-opener-policy");
        headers.insert(same, HeaderValue::from_static("same-origin"));
        if let Ok(id) = HeaderValue::from_str(&request_id.to_string()) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        //= specs/safety.md#safe-48
        //# With a certificate the server MUST speak TLS only, and tell browsers to stay with it.
        if self.secure {
            let year = HeaderValue::from_static("max-age=31536000");
            headers.insert(STRICT_TRANSPORT_SECURITY, year);
        }
        if self.api {
            headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        }
        // Also where no page has asked: a cache would give the answer to one that does (Fetch, "CORS
        // protocol and HTTP caches").
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.allowed_origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            let names =
                HeaderValue::from_static("ratelimit, ratelimit-policy, retry-after, x-request-id");
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
        reply
    }
}
