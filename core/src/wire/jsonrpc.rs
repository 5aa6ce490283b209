//! JSON-RPC 2.0 around the same frames: `method` is the type, `params` the payload, the answer a
//! response object. A notification is answered like a frame without an id.

use super::decode::{Envelope, Refused, refused};
use super::fields::{Fields, Object, present, text_of};
use super::{ErrorCode, ErrorFrame, Json, Reply};
use crate::fault::PeerFault;
use alloc::borrow::ToOwned;
use alloc::string::String;
use serde::Serialize;
use serde_json::value::RawValue;

/// The number JSON-RPC has for an error of ours (section 5.1); our own word goes into `error.data.code`.
#[must_use]
pub const fn error_number(code: ErrorCode) -> i32 {
    match code {
        ErrorCode::InvalidJson => -32700,
        ErrorCode::InvalidFrame => -32600,
        ErrorCode::UnknownType => -32601,
        ErrorCode::ValidationFailed => -32602,
        ErrorCode::Internal => -32603,
        _ => -32000,
    }
}

/// Takes a request object apart.
pub(super) fn open(object: Object<'_>) -> Result<Envelope<'_>, Refused> {
    let invalid = |reply, why: &'static str| {
        Err(refused(reply, PeerFault::new(ErrorCode::InvalidFrame, why)))
    };
    let reply = match object.get("id").copied() {
        None => Reply::None,
        Some(raw) if is_id(raw) => Reply::JsonRpc(Json::from(raw.to_owned())),
        Some(_) => {
            return invalid(Reply::JsonRpc(Json::null()), "`id` must be a text, a number or null");
        }
    };
    if present(&object, "jsonrpc").and_then(text_of).as_deref() != Some("2.0") {
        return invalid(reply, "`jsonrpc` must be \"2.0\"");
    }
    let Some(word) = present(&object, "method").and_then(text_of) else {
        return invalid(reply, "`method` must be a text");
    };
    let fields = match present(&object, "params").map(|raw| serde_json::from_str(raw.get())) {
        None => Object::new(),
        Some(Ok(fields)) => fields,
        Some(Err(_)) => {
            let fault = PeerFault::new(ErrorCode::ValidationFailed, "`params` must be an object");
            return Err(Refused { reply, fault, field: Some("params"), is_auth: false });
        }
    };
    Ok(Envelope { reply, word, fields: Fields::new(fields, Object::new()) })
}

fn is_id(raw: &RawValue) -> bool {
    let text = raw.get();
    let scalar =
        text == "null" || text.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit());
    // What is echoed must be readable to everybody: no lone surrogates.
    scalar
        && text.len() <= 130
        && (!text.starts_with('"') || serde_json::from_str::<String>(text).is_ok())
}

#[derive(Serialize)]
pub(super) struct Response<'a, T> {
    jsonrpc: &'static str,
    id: &'a Json,
    result: T,
}

impl<'a, T> Response<'a, T> {
    pub(super) const fn new(id: &'a Json, result: T) -> Self {
        Self { jsonrpc: "2.0", id, result }
    }
}

#[derive(Serialize)]
pub(super) struct ErrorResponse<'a, T> {
    jsonrpc: &'static str,
    id: &'a Json,
    error: ErrorObject<'a, T>,
}

#[derive(Serialize)]
struct ErrorObject<'a, T> {
    code: i32,
    message: &'a str,
    data: T,
}

impl<'a, T> ErrorResponse<'a, T> {
    pub(super) fn new(id: &'a Json, error: &'a ErrorFrame, data: T) -> Self {
        let error = ErrorObject { code: error_number(error.code), message: &error.message, data };
        Self { jsonrpc: "2.0", id, error }
    }
}
