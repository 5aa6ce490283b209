//! A row of the table: how its token differs from a good one, and what is to be said about it.

use crate::places::{Place, Written};
use serde_json::Value;

/// See `table.json`; members that are absent change nothing.
pub(crate) struct Row(pub(crate) Value);

impl Row {
    /// What it is, in words.
    pub(crate) fn name(&self) -> &str {
        self.0["name"].as_str().unwrap()
    }

    /// `good`, or the code it is refused with.
    pub(crate) fn verdict(&self) -> &str {
        self.0["verdict"].as_str().unwrap()
    }

    /// Who signs it.
    pub(crate) fn by(&self) -> &str {
        self.0["by"].as_str().unwrap_or("server")
    }

    /// Members of header or claims to be set, or removed when `null`.
    pub(crate) fn members(&self, of: &str) -> Vec<(String, Value)> {
        let members = self.0[of].as_object().cloned().unwrap_or_default();
        members.into_iter().collect()
    }

    /// The text of a part, in place of what the members would make.
    pub(crate) fn raw(&self, of: &str) -> Option<&str> {
        self.0[of].as_str()
    }

    /// What is done to the token after it was signed.
    pub(crate) fn edits(&self) -> Vec<Vec<Value>> {
        let edits = self.0["edit"].as_array().cloned().unwrap_or_default();
        edits.into_iter().map(|edit| edit.as_array().unwrap().clone()).collect()
    }

    /// Where it can be said at all: a header holds no line break, a frame no more than 8 KiB.
    pub(crate) fn places(&self) -> Vec<Place> {
        let Some(named) = self.0["places"].as_array() else { return Place::ALL.to_vec() };
        let named = |place: &Place| match name_of(*place) {
            Some(own) => named.iter().any(|name| name == own),
            None => true,
        };
        Place::ALL.into_iter().filter(named).collect()
    }
}

/// As the table calls it; nothing for what holds whatever there is.
const fn name_of(place: Place) -> Option<&'static str> {
    Some(match place {
        Place::Http | Place::Stream => "http",
        Place::Header | Place::Older => "header",
        Place::Offered(_, _, Written::AsItIs) => "raw",
        Place::Offered(..) => "encoded",
        Place::Frame | Place::Refresh => "frame",
        Place::Validate => return None,
    })
}
