//! JSON carried through without being understood: tool arguments, results, metadata.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// One valid JSON value as compact text; cheap to clone, compared by its bytes.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Encodes a value.
    ///
    /// # Errors
    /// When the value cannot be JSON (a map with keys that are not text).
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self::from)
    }

    /// Checks that the text is exactly one JSON value.
    ///
    /// # Errors
    /// Where and why it is not.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<Box<RawValue>>(text).map(Self::from)
    }

    /// `null`.
    #[must_use]
    pub fn null() -> Self {
        Self::from(RawValue::NULL.to_owned())
    }

    /// Decodes into a type.
    ///
    /// # Errors
    /// When the value has another shape.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Why it cannot be kept for others to read, as what is said of a field.
    ///
    /// # Errors
    /// It is nested deeper than readers can follow, or holds escapes that are no text.
    //= specs/wire.md#wire-79
    //# JSON that is kept for others MUST be refused, wherever it comes in, when a reader cannot follow it.
    pub fn check_readable(&self) -> Result<(), &'static str> {
        // Reading it as a value is the check: serde_json stops at a depth of 128, and it is carried
        // in frames, and in lists of frames, of up to eight levels more.
        let carried = format!("[[[[[[[[{}]]]]]]]]", self.as_str());
        serde_json::from_str::<serde_json::Value>(&carried)
            .map(drop)
            .map_err(|_| "is nested too deeply or holds what is not text")
    }

    /// The same for what must be an object.
    ///
    /// # Errors
    /// It is none, or cannot be kept.
    pub fn check_object(&self) -> Result<(), &'static str> {
        self.check_readable()?;
        if self.as_str().starts_with('{') { Ok(()) } else { Err("must be an object") }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.as_str() == "null"
    }
}

impl From<Box<RawValue>> for Json {
    fn from(raw: Box<RawValue>) -> Self {
        Self(Arc::from(raw))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl PartialOrd for Json {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Json {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Json {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::null()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_null_and_nothing_else_is() {
        assert!(Json::null().is_null() && Json::parse(" null ").unwrap().is_null());
        for other in ["\"null\"", "0", "[]", "{}", "false"] {
            assert!(!Json::parse(other).unwrap().is_null(), "{other}");
        }
    }

    //= specs/wire.md#wire-79
    //= type=test
    //# JSON that is kept for others MUST be refused, wherever it comes in, when a reader cannot follow it.
    #[test]
    fn what_no_reader_can_follow_is_not_kept() {
        let nested = |levels: usize| {
            let text = format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
            Json::parse(&text).unwrap()
        };
        assert_eq!(nested(118).check_object(), Ok(()));
        for unreadable in [nested(119), nested(200), Json::parse(r#"{"a":"\ud800"}"#).unwrap()] {
            assert_eq!(unreadable.check_object(), unreadable.check_readable());
            assert!(unreadable.check_readable().is_err(), "{unreadable:?}");
        }
        for other in ["[1]", "\"{}\"", "1", "null"] {
            let other = Json::parse(other).unwrap();
            assert_eq!(other.check_readable(), Ok(()));
            assert_eq!(other.check_object(), Err("must be an object"));
        }
        assert_eq!(Json::parse(" {} ").unwrap().check_object(), Ok(()));
    }
}
