//! Three families of errors, told apart because three different people can mend them.

use crate::wire::{CloseCode, ErrorCode};
use core::fmt;

/// The other side broke a rule. Never returned as an error: it becomes a frame for that side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerFault {
    /// What the peer is told.
    pub code: ErrorCode,
    /// Plain English for the developer at the other end; holds no secret and nothing of another user.
    pub message: alloc::borrow::Cow<'static, str>,
}

impl PeerFault {
    /// A fault with its explanation.
    pub fn new(code: ErrorCode, message: impl Into<alloc::borrow::Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// One answer for a thread that does not exist, is another user's, or has no possible name (ISO-02).
    #[must_use]
    pub const fn thread_not_found() -> Self {
        let message = alloc::borrow::Cow::Borrowed("there is no such thread");
        Self { code: ErrorCode::ThreadNotFound, message }
    }

    /// One answer for a run that does not exist, is another user's, or has no possible name (ISO-02).
    #[must_use]
    pub const fn run_not_found() -> Self {
        let message = alloc::borrow::Cow::Borrowed("there is no such run");
        Self { code: ErrorCode::RunNotFound, message }
    }
}

impl fmt::Display for PeerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// Our own caller used a machine in a way it does not allow; nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Misuse {
    /// The name is taken by something else.
    Conflict,
    /// The machine has ended.
    Ended,
    /// The limit for such things is reached.
    Full,
    /// Not in this state.
    NotNow,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conflict => "the name is taken by something else",
            Self::Ended => "the machine has ended",
            Self::Full => "the limit is reached",
            Self::NotNow => "not in this state",
        })
    }
}

impl core::error::Error for Misuse {}

/// The outside world failed us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It is not there; nothing was done; trying again later is right.
    Unavailable,
    /// No answer in time; whether it was done is unknown; only the same request may be tried again (DLV-11).
    Unknown,
    /// It refused for good; trying again is useless.
    Refused,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "unavailable",
            Self::Unknown => "outcome unknown",
            Self::Refused => "refused",
        })
    }
}

impl core::error::Error for Fault {}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// We closed it.
    Closed(CloseCode),
    /// The transport went away.
    Lost,
    /// The peer closed it, with its code if it gave one.
    Peer(Option<u16>),
}

impl End {
    /// Whose doing it was, in a word.
    #[must_use]
    pub const fn whose(self) -> &'static str {
        match self {
            Self::Closed(_) => "server",
            Self::Lost => "nobody",
            Self::Peer(_) => "peer",
        }
    }

    /// The code, if it is one of ours: a peer may say any number.
    #[must_use]
    pub const fn code(self) -> Option<CloseCode> {
        match self {
            Self::Closed(code) => Some(code),
            Self::Peer(Some(code)) => CloseCode::from_code(code),
            Self::Lost | Self::Peer(None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_fault_says_in_words_whose_it_is() {
        assert_eq!(PeerFault::run_not_found().to_string(), "run_not_found: there is no such run");
        assert_eq!(Misuse::Full.to_string(), "the limit is reached");
        assert_eq!(Misuse::Ended.to_string(), "the machine has ended");
        assert_eq!(Misuse::NotNow.to_string(), "not in this state");
        assert_eq!(Misuse::Conflict.to_string(), "the name is taken by something else");
        assert_eq!(Fault::Unavailable.to_string(), "unavailable");
        assert_eq!(Fault::Unknown.to_string(), "outcome unknown");
        assert_eq!(Fault::Refused.to_string(), "refused");
    }

    #[test]
    fn an_end_says_whose_it_is_and_no_code_that_a_peer_made_up() {
        let cases = [
            (End::Closed(CloseCode::Replaced), "server", Some(4409)),
            (End::Lost, "nobody", None),
            (End::Peer(None), "peer", None),
            (End::Peer(Some(1000)), "peer", Some(1000)),
            (End::Peer(Some(4999)), "peer", None),
        ];
        for (end, whose, code) in cases {
            assert_eq!((end.whose(), end.code().map(CloseCode::code)), (whose, code), "{end:?}");
        }
    }
}
