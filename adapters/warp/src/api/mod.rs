//! The HTTP API: thin views of the store, and commands that go through the user's hub.

mod admin;
pub(crate) mod auth;
mod command;
mod events;
mod health;
mod keys;
mod messages;
mod oidc;
mod older;
mod runs;
mod threads;
mod usage;

use crate::app::App;
use crate::problem::Problem;
use crate::request::Caller;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use std::str::FromStr;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

/// All of them.
pub(crate) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    health::routes(app)
        .or(auth::routes(app))
        .unify()
        .or(admin::routes(app))
        .unify()
        .or(keys::routes(app))
        .unify()
        .or(oidc::routes(app))
        .unify()
        .or(threads::routes(app))
        .unify()
        .or(messages::routes(app))
        .unify()
        .or(runs::routes(app))
        .unify()
        .or(usage::routes(app))
        .unify()
        .or(events::routes(app))
        .unify()
        .or(older::routes(app))
        .unify()
        .boxed()
}

/// JSON with a status.
fn json<T: Serialize>(status: StatusCode, body: &T) -> Reply {
    match serde_json::to_vec(body) {
        Ok(bytes) => raw_json(status, Bytes::from(bytes)),
        Err(error) => {
            tracing::error!(%error, "an answer could not be encoded");
            Problem::of(goldenpath_core::wire::ErrorCode::Internal, "an internal error").reply(None)
        }
    }
}

/// JSON that is encoded already.
fn raw_json(status: StatusCode, bytes: Bytes) -> Reply {
    let mut reply = Response::new(bytes.into());
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// An answer or the problem in its place.
fn reply(caller: Caller, answered: Result<Reply, Problem>) -> Reply {
    answered.unwrap_or_else(|problem| problem.reply(Some(caller.request_id)))
}

/// An id in a path: what is no id names nothing of this user (ISO-02).
fn id<T: FromStr>(text: &str, missing: goldenpath_core::wire::ErrorCode) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::of(missing, "there is no such thing"))
}
