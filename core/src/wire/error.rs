//! Error codes, the same over WebSocket and HTTP (RFC 9457).

use core::fmt;
use serde::{Deserialize, Serialize};

macro_rules! error_codes {
    ($($name:ident = $word:literal, $status:literal, $retryable:literal, $user:literal;)*) => {
        /// What went wrong, as a word both sides know.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum ErrorCode { $(
            #[doc = $user]
            #[serde(rename = $word)]
            $name,
        )* }

        impl ErrorCode {
            /// All of them, in alphabetical order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The HTTP status of the same error.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// Whether sending the same again later can succeed.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)* }
            }

            /// One sentence for the person in front of the screen.
            #[must_use]
            pub const fn user_message(self) -> &'static str {
                match self { $(Self::$name => $user,)* }
            }
        }
    };
}

error_codes! {
    AgentFailed = "agent_failed", 500, true, "One of the agents failed. Please try again.";
    AgentTimeout = "agent_timeout", 504, true, "One of the agents took too long. Please try again.";
    AuthAmbiguous = "auth_ambiguous", 400, false, "Two different identities were presented at once. Please sign in again.";
    CursorInvalid = "cursor_invalid", 400, false, "This place in the list no longer exists. Please reload.";
    Degraded = "degraded", 503, true, "A part of the service is not available right now.";
    EpochMismatch = "epoch_mismatch", 409, false, "This conversation was restored. Please reload it.";
    Forbidden = "forbidden", 403, false, "You may not do this.";
    IdempotencyConflict = "idempotency_conflict", 409, false, "This message was already sent with other content.";
    Internal = "internal", 500, true, "Something went wrong on our side. Please try again.";
    InvalidFrame = "invalid_frame", 400, false, "The message could not be understood.";
    InvalidJson = "invalid_json", 400, false, "The message could not be read.";
    LlmRateLimited = "llm_rate_limited", 429, true, "The language model is busy. Please try again soon.";
    LlmRejected = "llm_rejected", 502, false, "The language model refused this request.";
    LlmUnavailable = "llm_unavailable", 503, true, "The language model is not available right now.";
    MessageTooLarge = "message_too_large", 413, false, "This message is too long.";
    OriginNotAllowed = "origin_not_allowed", 403, false, "This page may not connect to this server.";
    Overloaded = "overloaded", 503, true, "The service is very busy. Please try again soon.";
    QueueFull = "queue_full", 429, true, "Too many questions are waiting. Please wait for an answer first.";
    RateLimited = "rate_limited", 429, true, "That was too fast. Please wait a moment.";
    ReplayTooLarge = "replay_too_large", 409, false, "Too much has happened since. Please reload the conversation.";
    RunNotActive = "run_not_active", 409, false, "This run has already ended.";
    RunNotFound = "run_not_found", 404, false, "This run does not exist.";
    RunTimeout = "run_timeout", 504, true, "The answer took too long.";
    ShuttingDown = "shutting_down", 503, true, "The server is restarting. Please wait a moment.";
    StorageUnavailable = "storage_unavailable", 503, true, "Messages cannot be saved right now. Please try again soon.";
    ThreadAdvanced = "thread_advanced", 409, false, "The conversation has moved on. Please look again before you send.";
    ThreadBusy = "thread_busy", 409, true, "An answer is already being written in this conversation.";
    ThreadNotFound = "thread_not_found", 404, false, "This conversation does not exist.";
    TicketInvalid = "ticket_invalid", 401, false, "This sign-in ticket is no longer valid. Please sign in again.";
    TokenExpired = "token_expired", 401, false, "Your session has expired. Please sign in again.";
    TokenRevoked = "token_revoked", 401, false, "You were signed out. Please sign in again.";
    TooManyConnections = "too_many_connections", 429, true, "Too many windows are open. Please close some.";
    ToolFailed = "tool_failed", 500, true, "One of the tools failed.";
    ToolTimeout = "tool_timeout", 504, true, "One of the tools took too long.";
    Unauthorized = "unauthorized", 401, false, "Please sign in.";
    UnknownType = "unknown_type", 400, false, "The server does not know this kind of message.";
    UnsupportedVersion = "unsupported_version", 400, false, "This version of the application is too old or too new for the server.";
    UserMismatch = "user_mismatch", 403, false, "This message names another user.";
    ValidationFailed = "validation_failed", 422, false, "The message is incomplete or has a wrong value.";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_alphabetical_order_and_unique() {
        assert!(ErrorCode::ALL.windows(2).all(|w| w[0].as_str() < w[1].as_str()));
    }

    #[test]
    fn the_word_is_what_serde_writes() {
        for code in ErrorCode::ALL {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json.trim_matches('"'), code.as_str());
        }
    }
}
