//! Who was let in and who was not, when, from where and how. It never holds a secret, nor what somebody
//! typed into a field: a password is typed into the wrong one now and then.

use super::Answer;
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::ErrorCode;

/// Keeps the audit log.
pub trait AuditLog: Send + Sync + 'static {
    /// Adds records, in order.
    fn append(&self, records: Vec<AuditRecord>) -> Answer<()>;

    /// Rows before a place in the log, the newest first; from the end without one.
    fn read(&self, before: Option<u64>, limit: u32) -> Answer<Vec<AuditRow>>;

    /// Forgets what happened before this instant; how many rows that were.
    fn forget_before(&self, at: Wall) -> Answer<u64>;
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The one with this word.
            #[must_use]
            pub fn of(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
            }
        }
    )*};
}

words! {
    /// What somebody tried.
    AuditAction {
        /// To log in.
        LogIn = "log_in",
        /// To log out, here or everywhere.
        LogOut = "log_out",
        /// To change the password.
        Password = "password",
        /// To go on with a refresh token.
        Refresh = "refresh",
        /// To make an account.
        Register = "register",
        /// To use a refresh token a second time: its log-in was ended.
        Reuse = "reuse",
        /// To use the API.
        Request = "request",
        /// To open a socket.
        Socket = "socket",
        /// To be given a ticket.
        Ticket = "ticket",
    }

    /// What came of it.
    AuditOutcome {
        /// It was done.
        Accepted = "accepted",
        /// It was not.
        Refused = "refused",
    }

    /// How somebody showed who they are.
    Credence {
        /// Not at all: demo mode.
        Demo = "demo",
        /// Not at all: the door for developers.
        Dev = "dev",
        /// By the E2E key.
        E2e = "e2e",
        /// By a token in the first frame.
        Frame = "frame",
        /// By a token in `Authorization`.
        Header = "header",
        /// By an identity provider.
        Oidc = "oidc",
        /// By a password.
        Password = "password",
        /// By a refresh token.
        Refresh = "refresh",
        /// By a token in `Sec-WebSocket-Protocol`.
        Subprotocol = "subprotocol",
        /// By a ticket.
        Ticket = "ticket",
    }
}

impl Credence {
    /// Whether it proves nothing about a person.
    #[must_use]
    pub const fn is_bypass(self) -> bool {
        match self {
            Self::Demo | Self::Dev | Self::E2e => true,
            Self::Frame
            | Self::Header
            | Self::Oidc
            | Self::Password
            | Self::Refresh
            | Self::Subprotocol
            | Self::Ticket => false,
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// When; of several alike, the first.
    pub at: Wall,
    /// What was tried.
    pub action: AuditAction,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// Why it was refused.
    pub reason: Option<ErrorCode>,
    /// How they showed who they are.
    pub by: Option<Credence>,
    /// Who it was, or whose account it was about; `None`: nobody knows.
    pub user_id: Option<UserId>,
    /// The log-in.
    pub session_id: Option<SessionId>,
    /// From where.
    pub place: Option<String>,
    /// How often, shortly after each other.
    pub times: u32,
}

/// A record and its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// 1, 2, 3 …
    pub n: u64,
    /// What happened.
    pub record: AuditRecord,
}
