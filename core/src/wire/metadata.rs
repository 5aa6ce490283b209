//! What a client keeps with a thread, for itself.

use super::Json;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A JSON object of a client's own: kept and given back as it was written, never read for anything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Json")]
pub struct Metadata(Json);

/// Why something is no [`Metadata`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoMetadata {
    /// It is no object, or nested too deeply, or holds what is not text.
    Unreadable,
    /// It has more than [`Metadata::MAX_BYTES`].
    TooLarge,
}

impl Metadata {
    /// Bytes of the text, at most.
    pub const MAX_BYTES: usize = 16_384;

    /// Takes an object as it is.
    ///
    /// # Errors
    /// [`NoMetadata`] for anything else, and for what is too large or nested too deeply to be listed.
    //= specs/wire.md#wire-14
    //# Metadata of a thread that are no object of at most 16 KiB that every reader of JSON can follow MUST be
    //# refused as `validation_failed`.
    pub fn new(json: Json) -> Result<Self, NoMetadata> {
        if json.as_str().len() > Self::MAX_BYTES {
            return Err(NoMetadata::TooLarge);
        }
        if json.check_object().is_ok() { Ok(Self(json)) } else { Err(NoMetadata::Unreadable) }
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Default for Metadata {
    /// `{}`.
    fn default() -> Self {
        Self(Json::parse("{}").expect("an object without fields is JSON"))
    }
}

impl TryFrom<Json> for Metadata {
    type Error = NoMetadata;

    fn try_from(json: Json) -> Result<Self, NoMetadata> {
        Self::new(json)
    }
}

impl NoMetadata {
    /// What is wrong, said of the field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "must be an object, not nested too deeply, of text alone",
            Self::TooLarge => "is longer than 16384 bytes",
        }
    }
}

impl fmt::Display for NoMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`metadata` {}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ConnectionId, ThreadId};
    use crate::limits::Limits;
    use crate::wire::{ClientBody, Naming, ThreadCommand, decode};
    use alloc::format;
    use alloc::string::ToString;

    fn of(text: &str) -> Result<Metadata, NoMetadata> {
        Metadata::new(Json::parse(text).unwrap())
    }

    //= specs/wire.md#wire-14
    //= type=test
    //# Metadata of a thread that are no object of at most 16 KiB that every reader of JSON can follow MUST be
    //# refused as `validation_failed`.
    #[test]
    fn metadata_are_an_object_of_a_bounded_size_and_depth_kept_as_it_was_written() {
        let filled = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let odd = "{ \"b\" : 123456789012345678901234567890.0,\n\"a\":[null, \"<b>\"]}";
        for good in ["{}", odd, &filled(Metadata::MAX_BYTES), &nested(100)] {
            assert_eq!(of(good).unwrap().as_str(), good);
        }
        for bad in ["null", "7", "\"a\"", "[]", "[{}]", "{\"a\":\"\\ud800\"}", &nested(200)] {
            assert_eq!(of(bad), Err(NoMetadata::Unreadable), "{bad}");
        }
        // Within what serde_json reads by itself, but not within the list it is carried in.
        assert_eq!(of(&nested(122)), Err(NoMetadata::Unreadable));
        assert_eq!(of(&filled(Metadata::MAX_BYTES + 1)), Err(NoMetadata::TooLarge));
        assert_eq!(Metadata::default(), of("{}").unwrap());
    }

    #[test]
    fn title_and_metadata_are_changed_alone_or_together() {
        let naming = Naming { connection_id: ConnectionId(7), nth: 3 };
        let renamed = |fields: &str| {
            let thread = ThreadId(1);
            let text = format!("{{\"type\":\"rename_thread\",\"thread_id\":\"{thread}\"{fields}}}");
            decode(&text, &Limits::default(), naming).ok().map(|frame| frame.body)
        };
        let rename = |title: Option<&str>, metadata: Option<Metadata>| {
            let (thread_id, title) = (ThreadId(1), title.map(Into::into));
            Some(ClientBody::Thread(ThreadCommand::Rename { thread_id, title, metadata }))
        };
        let (title, metadata) = (",\"title\":\"May\"", ",\"metadata\":{}");
        assert_eq!(renamed(title), rename(Some("May"), None));
        assert_eq!(renamed(metadata), rename(None, Some(Metadata::default())));
        let both = format!("{title}{metadata}");
        assert_eq!(renamed(&both), rename(Some("May"), Some(Metadata::default())));
        assert_eq!(renamed(""), None);
    }

    #[test]
    fn what_is_no_metadata_says_why() {
        let read = |text: &str| serde_json::from_str::<Metadata>(text).map_err(|e| e.to_string());
        assert_eq!(read("{\"a\":1}"), Ok(of("{\"a\":1}").unwrap()));
        assert!(read("[]").unwrap_err().starts_with("`metadata` must be an object"));
        let long = format!("\"{}\"", "x".repeat(Metadata::MAX_BYTES));
        assert!(read(&long).unwrap_err().starts_with("`metadata` is longer than 16384 bytes"));
        assert_eq!(Metadata::MAX_BYTES, 16384, "as the text says");
    }
}
