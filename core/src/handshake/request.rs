//! What the decision is made from: the request as it came, and the condition the server is in.

use super::{Origins, Page, Refusal};
use crate::time::Millis;
use crate::wire::ErrorCode;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A request for `/ws`, before anything was answered.
#[derive(Clone, Copy, Debug)]
pub struct UpgradeRequest<'a> {
    /// `GET`, if it is one.
    pub method: &'a str,
    /// Names in any case, values as they came; a header may be there more than once.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// What stands after the `?`; empty when nothing does.
    pub query: &'a str,
}

/// What the server is able and willing to do at this moment.
#[derive(Clone, Copy, Debug)]
pub struct ServerCondition<'a> {
    /// The pages that may connect.
    pub origins: &'a Origins,
    /// Whether there is room.
    pub admission: Admission,
    /// Whether demo mode makes users.
    pub demo: bool,
}

/// Whether new connections are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Admission {
    /// This client holds too many sockets.
    Crowded {
        /// Not before this.
        retry_after: Millis,
    },
    /// They are.
    Open,
    /// The server shuts down; another node or the next process takes over.
    Draining {
        /// Not before this.
        retry_after: Millis,
    },
    /// Too many connections.
    Overloaded {
        /// Not before this.
        retry_after: Millis,
    },
    /// The server is not ready yet (F13).
    Starting {
        /// Not before this.
        retry_after: Millis,
    },
    /// This client tries too often.
    TooFast {
        /// Not before this.
        retry_after: Millis,
    },
}

impl Admission {
    //= specs/handshake.md#hand-04
    //# A server that is starting, draining or full MUST refuse an upgrade with 503 and
    //# `Retry-After`.
    pub(super) fn check(self) -> Result<(), Refusal> {
        match self {
            Self::Crowded { retry_after } => Err(Refusal::later(
                ErrorCode::TooManyConnections,
                retry_after,
                "too many connections from this address",
            )),
            Self::Open => Ok(()),
            Self::Draining { retry_after } => Err(Refusal::later(
                ErrorCode::ShuttingDown,
                retry_after,
                "the server is shutting down",
            )),
            Self::Overloaded { retry_after } => Err(Refusal::later(
                ErrorCode::Overloaded,
                retry_after,
                "too many connections at the moment",
            )),
            Self::Starting { retry_after } => Err(Refusal::later(
                ErrorCode::Degraded,
                retry_after,
                "the server is still starting",
            )),
            Self::TooFast { retry_after } => Err(Refusal::later(
                ErrorCode::RateLimited,
                retry_after,
                "too many connection attempts from this address",
            )),
        }
    }
}

impl<'a> UpgradeRequest<'a> {
    /// All values of a header, in order.
    pub(super) fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.headers
            .iter()
            .filter(move |(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// The comma-separated members of a header, over all its repetitions (RFC 9110 section 5.3).
    pub(super) fn list<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.all(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|member| !member.is_empty())
    }

    /// The parameters of the query, decoded; a `%` that starts no escape stands for itself.
    pub(super) fn parameters(
        &self,
    ) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        self.query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(name), percent_decoded(value))
        })
    }

    /// RFC 6455 section 4.2.1: is this a request for a WebSocket at all?
    //= specs/handshake.md#hand-01
    //# A request that is no WebSocket upgrade MUST be refused with 426 and headers that say how to
    //# ask.
    pub(super) fn check_upgrade(&self) -> Result<(), Refusal> {
        let names = |header, word: &str| {
            self.list(header).any(|member| member.eq_ignore_ascii_case(word.as_bytes()))
        };
        if self.method != "GET" || !names("Upgrade", "websocket") || !names("Connection", "upgrade")
        {
            return Err(Refusal::upgrade_required("this address answers WebSocket requests only"));
        }
        if self.only("Sec-WebSocket-Version") != Some(b"13") {
            return Err(Refusal::upgrade_required("only version 13 of WebSocket is spoken here"));
        }
        //= specs/handshake.md#hand-02
        //# A `Sec-WebSocket-Key` that is not 16 bytes in base64 MUST be refused with 400.
        let nonce = self.only("Sec-WebSocket-Key").and_then(|key| STANDARD.decode(key).ok());
        if nonce.is_none_or(|nonce| nonce.len() != 16) {
            return Err(Refusal::bad_request("Sec-WebSocket-Key must be 16 bytes in base64"));
        }
        Ok(())
    }

    /// Anything but a page may connect, and a page that is known (F40).
    //= specs/handshake.md#hand-03
    //# A page whose origin is not on the list MUST be refused with 403 before the upgrade.
    pub(super) fn check_origin(&self, origins: &Origins) -> Result<(), Refusal> {
        match origins.page(self.all("Origin"), self.only("Host")) {
            Page::Foreign => Err(Refusal::foreign_origin()),
            Page::Known(_) | Page::None => Ok(()),
        }
    }

    /// The value of a header that is there exactly once.
    fn only(&self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.all(name);
        let value = values.next()?;
        values.next().is_none().then(|| value.trim_ascii())
    }
}

fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            decoded.push(high << 4 | low);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            decoded.push(if *first == b'+' { b' ' } else { *first });
            rest = tail;
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_follows_a_percent_sign_is_decoded() {
        assert_eq!(percent_decoded("cab%2Ef+41%zz%4"), "cab.f 41%zz%4");
        assert_eq!(percent_decoded("plain"), "plain");
    }
}
