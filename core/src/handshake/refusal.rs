//! The HTTP answer to an upgrade that may not happen.

use crate::fault::PeerFault;
use crate::time::Millis;
use crate::wire::ErrorCode;
use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

/// Why an upgrade does not happen; the adapter renders it as RFC 9457 problem+json.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The word both sides know.
    pub code: ErrorCode,
    /// Headers the answer must carry, such as `Retry-After` (seconds).
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// For developers; holds no secret (AUTH-05).
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// The credential is missing, contradictory or was found invalid: 401 with the reason, 503 when it
    /// could not be checked right now, else the code's own status (`auth_ambiguous` is 400).
    #[must_use]
    pub fn unauthenticated(fault: &PeerFault) -> Self {
        let status = fault.code.http_status();
        let headers = match status {
            401 => vec![("WWW-Authenticate", Cow::Borrowed("Bearer"))],
            503 => vec![("Retry-After", Cow::Borrowed("1"))],
            _ => Vec::new(),
        };
        Self { status, code: fault.code, headers, message: fault.message.clone() }
    }

    pub(super) fn bad_request(message: &'static str) -> Self {
        Self {
            status: 400,
            code: ErrorCode::ValidationFailed,
            headers: Vec::new(),
            message: message.into(),
        }
    }

    /// RFC 9110 section 15.5.22 and RFC 6455 section 4.4: what to upgrade to, and in which version.
    pub(super) fn upgrade_required(message: &'static str) -> Self {
        Self {
            status: 426,
            code: ErrorCode::UnsupportedVersion,
            headers: vec![
                ("Upgrade", "websocket".into()),
                ("Connection", "Upgrade".into()),
                ("Sec-WebSocket-Version", "13".into()),
            ],
            message: message.into(),
        }
    }

    pub(super) fn foreign_origin() -> Self {
        Self {
            status: 403,
            code: ErrorCode::OriginNotAllowed,
            headers: Vec::new(),
            message: "the Origin of this page is not on the server's list".into(),
        }
    }

    /// `Retry-After` counts whole seconds: rounded up, at least one.
    pub(super) fn later(code: ErrorCode, retry_after: Millis, message: &'static str) -> Self {
        let seconds = retry_after.as_millis().div_ceil(1000).max(1);
        Self {
            status: code.http_status(),
            code,
            headers: vec![("Retry-After", seconds.to_string().into())],
            message: message.into(),
        }
    }
}
