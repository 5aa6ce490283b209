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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file of the page with this ending.
    fn files(ending: &str) -> Vec<(String, String)> {
        let names = Page::iter().filter(|name| name.ends_with(ending));
        let read = |name: Cow<'static, str>| {
            let text = Page::get(&name).unwrap().data.into_owned();
            (name.into_owned(), String::from_utf8(text).unwrap())
        };
        names.map(read).collect()
    }

    /// The tags of a document that begin with this name.
    fn tags<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
        let begin = format!("<{name}");
        let found = html.match_indices(&begin).map(|(at, _)| &html[at..]);
        found.filter_map(|rest| rest.split_once('>').map(|(tag, _)| tag)).collect()
    }

    #[test]
    fn no_page_holds_a_script_or_makes_one_of_text() {
        let (pages, scripts) = (files(".html"), files(".js"));
        assert!(pages.len() >= 2 && scripts.len() >= 10, "{} {}", pages.len(), scripts.len());
        for (name, html) in &pages {
            let scripts = tags(html, "script");
            assert!(scripts.iter().all(|tag| tag.contains(" src=\"/")), "{name}: {scripts:?}");
            // An attribute that is a script or a style; text between tags begins no word with these.
            for word in html.split_whitespace().filter(|word| word.contains('=')) {
                let attribute = word.split('=').next().unwrap_or_default();
                assert!(!attribute.starts_with("on") && attribute != "style", "{name}: {word}");
            }
            assert!(!html.contains("javascript:") && tags(html, "style").is_empty(), "{name}");
        }
        for (name, script) in &scripts {
            for word in [
                "eval(",
                "Function(",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "srcdoc",
                "setTimeout('",
                "setTimeout(\"",
                "javascript:",
            ] {
                assert!(!script.contains(word), "{name} has {word}");
            }
        }
    }

    #[test]
    fn the_form_to_log_in_tells_a_password_manager_what_is_what() {
        let index = files("index.html").remove(0).1;
        let input = |id: &str| {
            let inputs = tags(&index, "input");
            let wanted = format!(" id=\"{id}\"");
            let found = inputs.into_iter().find(|tag| tag.contains(&wanted));
            found.unwrap_or_else(|| panic!("there is no {id}")).to_owned()
        };
        for (id, attributes) in [
            ("email", ["type=\"email\"", "autocomplete=\"username\"", "required"]),
            ("password", ["type=\"password\"", "autocomplete=\"current-password\"", "required"]),
        ] {
            let tag = input(id);
            for attribute in attributes {
                assert!(tag.contains(attribute), "{attribute} in {tag}");
            }
        }
        assert!(input("name").contains("autocomplete=\"name\""));
        // Nothing of it is ever sent by the form itself, in an address or anywhere.
        let forms = tags(&index, "form");
        assert!(forms.iter().all(|tag| !tag.contains("action=") && !tag.contains("method=")));
    }
}
