//! The fields of a client frame, flat or under `payload`, read one by one into types.

use super::{ErrorCode, Json, Metadata};
use crate::fault::PeerFault;
use crate::id::{Epoch, RunId, Seq, ThreadId};
use crate::limits::Limits;
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::value::RawValue;

/// The largest integer every JSON reader keeps exactly (RFC 8259 section 6): 2⁵³ − 1.
const MAX_EXACT: u64 = Seq::MAX.0;

/// An object whose values have not been read yet.
pub(super) type Object<'a> = BTreeMap<String, &'a RawValue>;

/// What is wrong with a frame: the word, the explanation, and the field it is about.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) fault: PeerFault,
    pub(super) field: Option<&'static str>,
}

impl From<PeerFault> for Wrong {
    fn from(fault: PeerFault) -> Self {
        Self { fault, field: None }
    }
}

/// A field that is missing or has a wrong value.
pub(super) fn invalid(field: &'static str, why: &str) -> Wrong {
    Wrong {
        fault: PeerFault::new(ErrorCode::ValidationFailed, format!("`{field}` {why}")),
        field: Some(field),
    }
}

/// Reads `null` and absence as the same.
pub(super) fn present<'a>(object: &Object<'a>, name: &str) -> Option<&'a RawValue> {
    object.get(name).copied().filter(|raw| raw.get() != "null")
}

/// The text of a JSON string.
pub(super) fn text_of(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// Two layers of fields: those of the payload win over those beside it.
pub(super) struct Fields<'a> {
    inner: Object<'a>,
    outer: Object<'a>,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(inner: Object<'a>, outer: Object<'a>) -> Self {
        Self { inner, outer }
    }

    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        present(&self.inner, name).or_else(|| present(&self.outer, name))
    }

    /// Puts a value in the place of what the frame says, or of what it leaves out.
    pub(super) fn set(&mut self, name: &str, value: &'a RawValue) {
        self.inner.insert(String::from(name), value);
    }

    /// What both layers say about a field, where they say it.
    pub(super) fn both(&self, name: &str) -> [Option<&'a RawValue>; 2] {
        [present(&self.inner, name), present(&self.outer, name)]
    }

    /// A text without NUL (no database takes one), of at most `max` bytes.
    pub(super) fn text(&self, name: &'static str, max: usize) -> Result<Option<String>, Wrong> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        bounded_text(name, raw, max).map(Some)
    }

    pub(super) fn required_text(&self, name: &'static str, max: usize) -> Result<String, Wrong> {
        let text = self.text(name, max)?.ok_or_else(|| invalid(name, "is missing"))?;
        if text.trim().is_empty() { Err(invalid(name, "is empty")) } else { Ok(text) }
    }

    pub(super) fn count(&self, name: &'static str) -> Result<Option<u64>, Wrong> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        match serde_json::from_str::<u64>(raw.get()) {
            Ok(number) if number <= MAX_EXACT => Ok(Some(number)),
            Ok(_) | Err(_) => Err(invalid(name, "must be a whole number from 0 to 2^53 - 1")),
        }
    }

    pub(super) fn seq(&self, name: &'static str) -> Result<Option<Seq>, Wrong> {
        Ok(self.count(name)?.map(Seq))
    }

    pub(super) fn required_seq(&self, name: &'static str) -> Result<Seq, Wrong> {
        self.seq(name)?.ok_or_else(|| invalid(name, "is missing"))
    }

    /// How many are wanted: at least 1, cut to `most`.
    pub(super) fn limit(&self, default: u32, most: u64) -> Result<u32, Wrong> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let Some(wanted) = self.count("limit")? else { return Ok(default.min(most)) };
        Ok(u32::try_from(wanted).unwrap_or(u32::MAX).clamp(1, most.max(1)))
    }

    /// A thread; a text that is no id is answered exactly as a thread that does not exist (ISO-02).
    pub(super) fn thread(&self) -> Result<Option<ThreadId>, Wrong> {
        let Some(raw) = self.raw("thread_id") else { return Ok(None) };
        let text = text_of(raw).ok_or_else(|| invalid("thread_id", "must be a text"))?;
        //= specs/wire.md#wire-13
        //# A text that is no id MUST be answered with the code of an id that does not exist.
        text.parse().map(Some).map_err(|_| PeerFault::thread_not_found().into())
    }

    pub(super) fn required_thread(&self) -> Result<ThreadId, Wrong> {
        self.thread()?.ok_or_else(|| invalid("thread_id", "is missing"))
    }

    /// A run; a text that is no id is answered exactly as a run that does not exist (ISO-02).
    pub(super) fn run(&self) -> Result<Option<RunId>, Wrong> {
        let Some(raw) = self.raw("run_id") else { return Ok(None) };
        let text = text_of(raw).ok_or_else(|| invalid("run_id", "must be a text"))?;
        text.parse().map(Some).map_err(|_| PeerFault::run_not_found().into())
    }

    pub(super) fn required_run(&self) -> Result<RunId, Wrong> {
        self.run()?.ok_or_else(|| invalid("run_id", "is missing"))
    }

    pub(super) fn epoch(&self) -> Result<Option<Epoch>, Wrong> {
        let Some(raw) = self.raw("epoch") else { return Ok(None) };
        let parsed = text_of(raw).and_then(|text| text.parse().ok());
        parsed.map(Some).ok_or_else(|| invalid("epoch", "must be an epoch as the server wrote it"))
    }

    /// JSON that is carried and not understood; nested no deeper than readers can follow.
    pub(super) fn json(&self, name: &'static str) -> Result<Option<Json>, Wrong> {
        self.carried(name, Json::check_readable)
    }

    pub(super) fn json_object(&self, name: &'static str) -> Result<Option<Json>, Wrong> {
        self.carried(name, Json::check_object)
    }

    fn carried(
        &self,
        name: &'static str,
        check: impl FnOnce(&Json) -> Result<(), &'static str>,
    ) -> Result<Option<Json>, Wrong> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let json = Json::from(raw.to_owned());
        check(&json).map_err(|why| invalid(name, why))?;
        Ok(Some(json))
    }

    /// What a client keeps with a thread.
    pub(super) fn metadata(&self) -> Result<Option<Metadata>, Wrong> {
        let json = self.raw("metadata").map(|raw| Json::from(raw.to_owned()));
        json.map(Metadata::new).transpose().map_err(|why| invalid("metadata", why.as_str()))
    }

    /// The objects of a list.
    pub(super) fn objects(
        &self,
        name: &'static str,
        limits: &Limits,
    ) -> Result<Option<Vec<Fields<'a>>>, Wrong> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let list: Vec<Object<'a>> = serde_json::from_str(raw.get())
            .map_err(|_| invalid(name, "must be a list of objects"))?;
        if list.len() > limits.subscriptions_per_connection {
            return Err(invalid(name, "is longer than the number of threads one may follow"));
        }
        Ok(Some(list.into_iter().map(|object| Fields::new(object, Object::new())).collect()))
    }

    /// An object inside, or nothing.
    pub(super) fn object(&self, name: &'static str) -> Result<Option<Fields<'a>>, Wrong> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let object: Object<'a> =
            serde_json::from_str(raw.get()).map_err(|_| invalid(name, "must be an object"))?;
        Ok(Some(Fields::new(object, Object::new())))
    }
}

fn bounded_text(name: &'static str, raw: &RawValue, max: usize) -> Result<String, Wrong> {
    let text = text_of(raw).ok_or_else(|| invalid(name, "must be a text"))?;
    if text.len() > max {
        return Err(invalid(name, &format!("is longer than {max} bytes")));
    }
    if text.contains('\0') {
        return Err(invalid(name, "holds a NUL character"));
    }
    Ok(text)
}
