//! An older frame: its fields at the top, and again under `payload` and `data`.

use super::super::{Frame, Json};
use crate::time::Wall;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// A frame in the making.
pub(super) struct Flat {
    kind: &'static str,
    fields: Vec<(&'static str, Json)>,
}

impl Flat {
    pub(super) fn new(kind: &'static str, at: Wall) -> Self {
        Self { kind, fields: Vec::new() }.with("timestamp", &at.to_rfc3339().to_string())
    }

    /// With one more field. What is written is ours: text, numbers and JSON that was read before.
    pub(super) fn with<T: Serialize + ?Sized>(mut self, name: &'static str, value: &T) -> Self {
        self.fields.push((name, Json::encode(value).unwrap_or_default()));
        self
    }

    /// With a field under each of the names it goes by.
    pub(super) fn named<T: Serialize + ?Sized>(
        mut self,
        names: &[&'static str],
        value: &T,
    ) -> Self {
        let value = Json::encode(value).unwrap_or_default();
        self.fields.extend(names.iter().map(|name| (*name, value.clone())));
        self
    }

    /// With a field, if there is something to say.
    pub(super) fn maybe<T: Serialize>(self, name: &'static str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.with(name, &value),
            None => self,
        }
    }

    pub(super) fn encode(&self) -> Frame {
        Frame::encode(self)
    }
}

impl Serialize for Flat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.kind)?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("payload", &Fields(&self.fields))?;
        map.serialize_entry("data", &Fields(&self.fields))?;
        map.end()
    }
}

struct Fields<'a>(&'a [(&'static str, Json)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
