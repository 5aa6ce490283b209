//! Close codes: the table of `specs/protocol`, each with its reconnect verdict (invariant 14).

use core::fmt;

/// What a client should do after a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reconnect {
    /// After a refreshed token.
    AfterRefresh,
    /// With the usual backoff, or after the time given in `disconnect`.
    Backoff,
    /// Right away.
    Immediately,
    /// Never.
    No,
    /// Once.
    Once,
    /// Only with another credential.
    WithNewCredential,
}

impl Reconnect {
    /// The value of `reconnect` in the `disconnect` frame.
    #[must_use]
    pub const fn is_wanted(self) -> bool {
        !matches!(self, Self::No)
    }
}

macro_rules! close_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $word:literal, $reconnect:ident;)*) => {
        /// Why the server closes a WebSocket.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum CloseCode { $($(#[$doc])* $name,)* }

        impl CloseCode {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The number on the wire (RFC 6455 section 7.4).
            #[must_use]
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)* }
            }

            /// The reason phrase on the wire, in snake case.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What the client should do.
            #[must_use]
            pub const fn reconnect(self) -> Reconnect {
                match self { $(Self::$name => Reconnect::$reconnect,)* }
            }

            /// The code for a number, if it is one of ours.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

close_codes! {
    /// The client is done.
    Normal = 1000, "normal", No;
    /// The server goes away.
    GoingAway = 1001, "going_away", Backoff;
    /// A binary frame.
    Unsupported = 1003, "binary_not_supported", No;
    /// Text that is not UTF-8.
    InvalidUtf8 = 1007, "invalid_utf8", No;
    /// A frame above the hard limit; the client must not send it again.
    TooBig = 1009, "frame_too_big", Backoff;
    /// A bug of ours; an `error` with a correlation id went before it.
    Internal = 1011, "internal_error", Backoff;
    /// The server restarts; another node or the next process goes on.
    Restarting = 1012, "server_restarting", Backoff;
    /// Overloaded or not ready.
    TryAgainLater = 1013, "try_again_later", Backoff;
    /// The protocol was violated repeatedly, or the credentials contradict each other.
    ProtocolViolated = 4400, "protocol_violated", No;
    /// No or an invalid credential.
    Unauthorized = 4401, "unauthorized", WithNewCredential;
    /// Known, but not allowed.
    Forbidden = 4403, "forbidden", No;
    /// Not authenticated in time.
    AuthTimeout = 4408, "auth_timeout", Once;
    /// Too many connections of this user; this was the oldest.
    Replaced = 4409, "replaced", No;
    /// The connection reached its maximum age.
    MaxAge = 4410, "max_age", Immediately;
    /// The protocol version is not supported.
    VersionNotSupported = 4412, "version_not_supported", No;
    /// The reader is too slow for what it follows.
    SlowReader = 4420, "slow_reader", Backoff;
    /// Nothing was heard for the heartbeat timeout.
    HeartbeatLost = 4421, "heartbeat_lost", Backoff;
    /// The rate limit was ignored repeatedly.
    RateLimited = 4429, "rate_limited", Backoff;
    /// The token expired and was not refreshed.
    TokenExpired = 4440, "token_expired", AfterRefresh;
    /// The token was revoked.
    TokenRevoked = 4441, "token_revoked", No;
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_number() {
        for code in CloseCode::ALL {
            assert_eq!(CloseCode::from_code(code.code()), Some(*code));
        }
        assert_eq!(CloseCode::from_code(1006), None);
    }

    #[test]
    fn coming_back_is_wanted_unless_it_is_useless() {
        assert!(!Reconnect::No.is_wanted());
        assert!(Reconnect::Once.is_wanted() && Reconnect::WithNewCredential.is_wanted());
    }
}
