//! How the core's types stand in columns.

use goldenpath_core::auth::Digest;
use goldenpath_core::fault::Fault;
use goldenpath_core::id::{
    ClientMsgId, Epoch, EventId, Fence, MessageId, RunId, Seq, SessionId, ThreadId, UserId,
};
use goldenpath_core::run::CancelReason;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{ErrorCode, Json, Metadata, OnDisconnect, RunStatus};
use goldenpath_runtime::ports::{AuditAction, AuditOutcome, Credence, Role};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// A type with one way to stand in a column, and back.
pub(crate) trait Column: Sized {
    /// What SQLite keeps.
    type Stored: for<'q> sqlx::Encode<'q, sqlx::Sqlite>
        + for<'r> sqlx::Decode<'r, sqlx::Sqlite>
        + sqlx::Type<sqlx::Sqlite>
        + Send
        + 'static;

    /// To the column.
    fn stored(&self) -> Self::Stored;

    /// From the column; `None`: nothing of ours wrote that.
    fn restored(stored: Self::Stored) -> Option<Self>;
}

/// Reads a column by name.
pub(crate) fn get<T: Column>(row: &SqliteRow, name: &str) -> Result<T, sqlx::Error> {
    let stored: T::Stored = row.try_get(name)?;
    restored(stored, name)
}

/// Reads a column that may be NULL.
pub(crate) fn get_optional<T: Column>(
    row: &SqliteRow,
    name: &str,
) -> Result<Option<T>, sqlx::Error> {
    let stored: Option<T::Stored> = row.try_get(name)?;
    stored.map(|stored| restored(stored, name)).transpose()
}

fn restored<T: Column>(stored: T::Stored, name: &str) -> Result<T, sqlx::Error> {
    T::restored(stored).ok_or_else(|| sqlx::Error::ColumnDecode {
        index: name.to_owned(),
        source: "nothing of ours wrote this".into(),
    })
}

/// What a failed read means to its caller.
pub(crate) fn read_fault(error: &sqlx::Error) -> Fault {
    tracing::warn!(%error, "a read failed");
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => Fault::Refused,
        _ => Fault::Unavailable,
    }
}

/// A number as SQLite has it; ours never come near the end of 63 bits.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

macro_rules! ids {
    ($($name:ident)*) => {$(
        impl Column for $name {
            type Stored = Vec<u8>;

            fn stored(&self) -> Vec<u8> {
                self.0.to_be_bytes().to_vec()
            }

            fn restored(stored: Vec<u8>) -> Option<Self> {
                stored.try_into().ok().map(|bytes| Self(u128::from_be_bytes(bytes)))
            }
        }
    )*};
}

ids! { EventId MessageId RunId SessionId ThreadId }

macro_rules! numbers {
    ($($name:ident)*) => {$(
        impl Column for $name {
            type Stored = i64;

            fn stored(&self) -> i64 {
                signed(self.0.into())
            }

            fn restored(stored: i64) -> Option<Self> {
                stored.try_into().ok().map(Self)
            }
        }
    )*};
}

numbers! { Epoch Fence Seq Wall }

macro_rules! texts {
    ($($name:ident)*) => {$(
        impl Column for $name {
            type Stored = String;

            fn stored(&self) -> String {
                self.as_str().to_owned()
            }

            fn restored(stored: String) -> Option<Self> {
                Self::new(&stored).ok()
            }
        }
    )*};
}

texts! { ClientMsgId UserId }

impl Column for Metadata {
    type Stored = String;

    fn stored(&self) -> String {
        self.as_str().to_owned()
    }

    fn restored(stored: String) -> Option<Self> {
        Json::parse(&stored).ok().and_then(|json| Self::new(json).ok())
    }
}

impl Column for Digest {
    type Stored = Vec<u8>;

    fn stored(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn restored(stored: Vec<u8>) -> Option<Self> {
        stored.try_into().ok().map(Self)
    }
}

macro_rules! listed {
    ($($name:ident)*) => {$(
        impl Column for $name {
            type Stored = String;

            fn stored(&self) -> String {
                self.as_str().to_owned()
            }

            fn restored(stored: String) -> Option<Self> {
                Self::of(&stored)
            }
        }
    )*};
}

listed! { AuditAction AuditOutcome Credence }

impl Column for ErrorCode {
    type Stored = String;

    fn stored(&self) -> String {
        self.as_str().to_owned()
    }

    fn restored(stored: String) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == stored)
    }
}

macro_rules! words {
    ($($name:ident: $($variant:ident = $word:literal)*;)*) => {$(
        impl Column for $name {
            type Stored = String;

            fn stored(&self) -> String {
                match self {
                    $(Self::$variant => $word,)*
                }
                .to_owned()
            }

            fn restored(stored: String) -> Option<Self> {
                match stored.as_str() {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    )*};
}

words! {
    CancelReason: Disconnect = "disconnect" Interrupt = "interrupt" User = "user";
    OnDisconnect: Cancel = "cancel" Continue = "continue";
    Role: Assistant = "assistant" User = "user";
    RunStatus: Cancelled = "cancelled" Completed = "completed" Degraded = "degraded"
        Failed = "failed" Interrupted = "interrupted" Queued = "queued" Running = "running"
        TimedOut = "timed_out";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_stored_as_the_word_on_the_wire() {
        for status in [
            RunStatus::Cancelled,
            RunStatus::Completed,
            RunStatus::Degraded,
            RunStatus::Failed,
            RunStatus::Interrupted,
            RunStatus::Queued,
            RunStatus::Running,
            RunStatus::TimedOut,
        ] {
            assert_eq!(status.stored(), status.as_str());
            assert_eq!(RunStatus::restored(status.stored()), Some(status));
        }
    }

    #[test]
    fn stored_ids_sort_as_ids_do() {
        let (low, high) = (ThreadId(0x00ff), ThreadId(0x0100));
        assert!(low.stored() < high.stored());
        assert_eq!(ThreadId::restored(high.stored()), Some(high));
        assert_eq!(ThreadId::restored(vec![1, 2]), None);
    }
}
