//! Our public keys, for whoever wants to check our tokens without asking us each time.

use super::raw_json;
use crate::app::App;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let app = app.clone();
    warp::path!(".well-known" / "jwks.json")
        .and(warp::get())
        .map(move || {
            let keys = Bytes::from(app.0.identities.published_keys());
            let mut reply = raw_json(StatusCode::OK, keys);
            let minutes = HeaderValue::from_static("public, max-age=300");
            reply.headers_mut().insert(CACHE_CONTROL, minutes);
            reply
        })
        .boxed()
}
