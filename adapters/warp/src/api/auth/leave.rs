//! Ways out: of this log-in, of all.

use super::{Refreshing, place, with};
use crate::api::{json, reply};
use crate::app::App;
use crate::problem::Problem;
use crate::request::{self, Caller, caller, leaving};
use goldenpath_core::connection::Identity;
use http::StatusCode;
use http::header::HeaderMap;
use serde_json::{Value, json as value};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let here = warp::path!("api" / "auth" / "logout")
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(request::json(app))
        .and(with(app))
        .and(caller())
        .then(|headers: HeaderMap, body, app: App, caller| async move {
            reply(caller, leave(&app, &headers, body, caller).await)
        });
    let older = warp::path!("auth" / "logout")
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(request::lenient(app))
        .and(with(app))
        .and(caller())
        .then(|headers: HeaderMap, body: Value, app: App, caller: Caller| async move {
            older(leave(&app, &headers, Refreshing::from(body), caller).await)
        });
    let everywhere = warp::path!("api" / "auth" / "logout-all")
        .and(warp::post())
        .and(leaving(app))
        .and(with(app))
        .and(caller())
        .then(|identity, app: App, caller| async move {
            reply(caller, everywhere(&app, &identity, caller).await)
        });
    here.or(older).unify().or(everywhere).unify().boxed()
}

/// By the access token; by the refresh token for those whose access token is over.
async fn leave(
    app: &App,
    headers: &HeaderMap,
    body: Refreshing,
    caller: Caller,
) -> Result<Reply, Problem> {
    let (identities, registry) = (&app.0.identities, &app.0.connections.registry);
    match (request::identity(app, headers).await, body.token()) {
        (Ok(identity), _) => identities.log_out(&identity, &place(caller), registry).await?,
        (Err(_), Some(token)) => identities.log_out_with(&token, &place(caller), registry).await?,
        (Err(problem), None) => return Err(problem),
    }
    Ok(left(None))
}

/// Clients of the replaced system count on 200, and are told all the same what came of it (F44).
//= specs/auth.md#auth-78
//# The older address to log out MUST answer 200 to whatever is sent, and MUST NOT call it a success
//# when a log-in goes on.
fn older(ended: Result<Reply, Problem>) -> Reply {
    ended.unwrap_or_else(|problem| {
        let mut reply = if problem.is_ours() {
            let message = "the log-in goes on: try again";
            json(StatusCode::OK, &value!({ "success": false, "message": message }))
        } else {
            let message = "there was no log-in to end";
            json(StatusCode::OK, &value!({ "success": true, "message": message }))
        };
        problem.mark(&mut reply);
        reply
    })
}

async fn everywhere(app: &App, identity: &Identity, caller: Caller) -> Result<Reply, Problem> {
    let registry = &app.0.connections.registry;
    let ended = app.0.identities.log_out_everywhere(identity, &place(caller), registry).await?;
    Ok(left(Some(ended)))
}

fn left(sessions: Option<usize>) -> Reply {
    let mut body = value!({ "success": true, "message": "logged out" });
    if let Some(sessions) = sessions {
        body["sessions_ended"] = sessions.into();
    }
    json(StatusCode::OK, &body)
}
