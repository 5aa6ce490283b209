//! The web page's files, embedded in the binary.

use crate::problem::Problem;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use http::{Response, StatusCode};
use rust_embed::RustEmbed;
use std::borrow::Cow;
use std::fmt::Write as _;
use warp::filters::BoxedFilter;
use warp::path::Tail;
use warp::reply::Response as Reply;
use warp::{Filter, reject};

#[derive(RustEmbed)]
#[folder = "page/"]
struct Page;

/// The methods of its files.
pub(crate) const ALLOW: &str = "GET, HEAD";

/// `/` and every file of the page.
pub(crate) fn route() -> BoxedFilter<(Reply,)> {
    let get = warp::get().or(warp::head()).unify();
    warp::path::tail()
        .and_then(|tail: Tail| async move {
            let name = if tail.as_str().is_empty() { "index.html" } else { tail.as_str() };
            match Page::get(name) {
                Some(_) => Ok(name.to_owned()),
                None => Err(reject::not_found()),
            }
        })
        .and(get)
        .and(warp::header::headers_cloned())
        .map(|name: String, headers: HeaderMap| file(&name, &headers))
        .boxed()
}

/// What a person sees at an address that leads nowhere.
pub(crate) fn nowhere() -> Reply {
    let mut reply = file("nowhere.html", &HeaderMap::new());
    *reply.status_mut() = StatusCode::NOT_FOUND;
    reply.headers_mut().remove(ETAG);
    reply
}

fn file(name: &str, headers: &HeaderMap) -> Reply {
    let Some(file) = Page::get(name) else { return Problem::not_found().reply(None) };
    let tag = tag(&file.metadata.sha256_hash());
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|value| {
        value.to_str().is_ok_and(|tags| tags.split(',').any(|one| one.trim() == tag || one == "*"))
    });
    let body = match file.data {
        _ if known => Bytes::new(),
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let mut reply = Response::new(body.into());
    if known {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = reply.headers_mut();
    // Names do not change with content, so a browser asks every time; the tag makes that cheap.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_TYPE, media_type(name));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    reply
}

fn tag(hash: &[u8; 32]) -> String {
    let mut tag = String::from("\"");
    for byte in &hash[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

fn media_type(name: &str) -> HeaderValue {
    HeaderValue::from_static(match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "ico" => "image/x-icon",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "webmanifest" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    })
}
