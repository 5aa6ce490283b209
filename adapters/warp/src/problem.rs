//! Errors over HTTP: RFC 9457 problem details, with the members older clients look for.

use bytes::Bytes;
use goldenpath_core::connection::Identity;
use goldenpath_core::edge::Ambiguous;
use goldenpath_core::handshake::Refusal;
use goldenpath_core::id::RequestId;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::ErrorCode;
use goldenpath_runtime::identity::Denied;
use goldenpath_runtime::tally;
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use serde::Serialize;
use std::borrow::Cow;
use warp::reply::Response as Reply;

/// What is answered instead of what was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    user_message: &'static str,
    retryable: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
    refused: Option<Refused>,
}

/// Beside an answer, for the record: it refuses somebody. Absent where that is recorded already.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) code: ErrorCode,
    /// Who it was, where only the right is missing.
    pub(crate) of: Option<Box<Identity>>,
}

impl warp::reject::Reject for Problem {}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    message: &'a str,
    user_message: &'a str,
    retryable: bool,
    request_id: Option<RequestId>,
}

impl Problem {
    /// A code that is also spoken on sockets, with its own status.
    pub(crate) fn of(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::from_u16(code.http_status());
        let problem = Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: code.as_str(),
            title: title(code.http_status()),
            detail: detail.into(),
            user_message: code.user_message(),
            retryable: code.is_retryable(),
            headers: Vec::new(),
            refused: Some(Refused { code, of: None }),
        };
        match code.http_status() {
            401 => problem.with(WWW_AUTHENTICATE, "Bearer"),
            503 => problem.with(RETRY_AFTER, "1"),
            _ => problem,
        }
    }

    /// An error of HTTP itself.
    pub(crate) fn http(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            title: title(status.as_u16()),
            detail: detail.into(),
            user_message: "This request could not be answered.",
            retryable: false,
            headers: Vec::new(),
            refused: None,
        }
    }

    /// Whether a part of the server is not there now.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// What is wrong.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Nothing lives at this address.
    pub(crate) fn not_found() -> Self {
        Self::http(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
    }

    /// Not with this method, but with these (RFC 9110 section 15.5.6).
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let detail = "this address does not answer this method";
        Self::http(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).with(ALLOW, allow)
    }

    /// Nothing that comes after it on its connection can be trusted either.
    pub(crate) fn ambiguous(why: Ambiguous) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self::http(status, "bad_request", why.to_string()).with(CONNECTION, "close")
    }

    /// It is somebody known who may not.
    pub(crate) fn of_user(mut self, identity: &Identity) -> Self {
        if let Some(refused) = &mut self.refused {
            refused.of = Some(Box::new(identity.clone()));
        }
        self
    }

    /// Whether it is we who could not.
    pub(crate) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// Whoever refused it has recorded it.
    pub(crate) fn recorded(mut self) -> Self {
        self.refused = None;
        self
    }

    /// Puts beside an answer what is to be recorded.
    pub(crate) fn mark(&self, reply: &mut Reply) {
        if let Some(refused) = &self.refused {
            reply.extensions_mut().insert(refused.clone());
        }
    }

    /// With one more header.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Not before this; whole seconds, rounded up.
    pub(crate) fn retry_after(self, span: Millis) -> Self {
        self.with(RETRY_AFTER, &span.0.div_ceil(1000).max(1).to_string())
    }

    /// As an answer.
    //= specs/wire.md#wire-12
    //# Every refusal over HTTP MUST be a problem with a code, a reason and words for the user.
    pub(crate) fn reply(&self, request_id: Option<RequestId>) -> Reply {
        let body = Body {
            r#type: "about:blank",
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            message: &self.detail,
            user_message: self.user_message,
            retryable: self.retryable,
            request_id,
        };
        tally::refused(self.code);
        // Text, numbers and switches only: encoding them has no failing path.
        let bytes = Bytes::from(serde_json::to_vec(&body).unwrap_or_default());
        let mut reply = Response::new(bytes.into());
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        self.mark(&mut reply);
        reply
    }
}

impl From<ErrorCode> for Problem {
    fn from(code: ErrorCode) -> Self {
        Self::of(code, code.user_message())
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let problem = Self::of(denied.code, denied.message).recorded();
        match denied.retry_after {
            Some(span) => problem.retry_after(span),
            None => problem,
        }
    }
}

impl From<goldenpath_core::fault::Fault> for Problem {
    fn from(_: goldenpath_core::fault::Fault) -> Self {
        Self::of(ErrorCode::StorageUnavailable, "the store does not answer")
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let mut problem = Self::of(refusal.code, refusal.message);
        problem.status = StatusCode::from_u16(refusal.status).unwrap_or(problem.status);
        problem.title = title(problem.status.as_u16());
        problem.headers.clear();
        for (name, value) in refusal.headers {
            if let Ok(name) = HeaderName::try_from(name) {
                problem = problem.with(name, &value);
            }
        }
        problem
    }
}

fn title(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error")
}
