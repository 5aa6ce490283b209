//! What users see and change about themselves.

use super::{missing, place, user, with};
use crate::api::{json, raw_json, reply};
use crate::app::App;
use crate::problem::Problem;
use crate::request::{self, Caller, caller, known, leaving, signed_in};
use bytes::Bytes;
use goldenpath_core::connection::Identity;
use goldenpath_core::wire::Secret;
use goldenpath_runtime::identity::{Known, TICKET_LIFETIME};
use http::StatusCode;
use http::header::{HeaderMap, ORIGIN};
use serde::Deserialize;
use serde_json::{Value, json as value};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

#[derive(Deserialize)]
struct Renaming {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Passwords {
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    new_password: String,
}

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let me = warp::path!("api" / "auth" / "me")
        .or(warp::path!("auth" / "me"))
        .unify()
        .and(warp::get())
        .and(known(app))
        .and(with(app))
        .and(caller())
        .then(|known, app: App, caller| async move { reply(caller, me(&app, &known).await) });
    let rename = warp::path!("api" / "auth" / "me")
        .and(warp::patch())
        .and(known(app))
        .and(request::json(app))
        .and(with(app))
        .and(caller())
        .then(|known, body, app: App, caller| async move {
            reply(caller, rename(&app, &known, body).await)
        });
    let preferences = warp::path!("api" / "auth" / "preferences")
        .and(warp::get())
        .and(signed_in(app))
        .and(with(app))
        .and(caller())
        .then(|identity, app: App, caller| async move {
            reply(caller, preferences(&app, &identity).await)
        });
    let prefer = warp::path!("api" / "auth" / "preferences")
        .and(warp::put())
        .and(signed_in(app))
        .and(request::json(app))
        .and(with(app))
        .and(caller())
        .then(|identity, body, app: App, caller| async move {
            reply(caller, prefer(&app, &identity, &body).await)
        });
    let password = warp::path!("api" / "auth" / "password")
        .and(warp::post())
        .and(leaving(app))
        .and(request::json(app))
        .and(with(app))
        .and(caller())
        .then(|identity, body, app: App, caller| async move {
            reply(caller, password(&app, &identity, body, caller).await)
        });
    let sessions = warp::path!("api" / "auth" / "sessions")
        .and(warp::get())
        .and(signed_in(app))
        .and(with(app))
        .and(caller())
        .then(|identity, app: App, caller| async move {
            reply(caller, sessions(&app, &identity).await)
        });
    let ticket = warp::path!("api" / "auth" / "ticket")
        .and(warp::post())
        .and(signed_in(app))
        .and(warp::header::headers_cloned())
        .and(with(app))
        .and(caller())
        .then(|identity, headers, app: App, caller| async move {
            reply(caller, ticket(&app, &identity, &headers, caller).await)
        });
    let about = me.or(rename).unify().or(preferences).unify().or(prefer).unify();
    about.or(password).unify().or(sessions).unify().or(ticket).unify().boxed()
}

async fn me(app: &App, known: &Known) -> Result<Reply, Problem> {
    Ok(json(StatusCode::OK, &user(&app.0.identities.profile(known).await?)))
}

async fn rename(app: &App, known: &Known, body: Renaming) -> Result<Reply, Problem> {
    let name = body.name.ok_or_else(|| missing("name is missing"))?;
    app.0.identities.rename(&known.identity, name).await?;
    me(app, known).await
}

async fn preferences(app: &App, identity: &Identity) -> Result<Reply, Problem> {
    let kept = app.0.identities.preferences(identity).await?;
    Ok(raw_json(StatusCode::OK, Bytes::from(kept)))
}

async fn prefer(app: &App, identity: &Identity, body: &Value) -> Result<Reply, Problem> {
    app.0.identities.set_preferences(identity, body).await?;
    Ok(json(StatusCode::OK, body))
}

async fn password(
    app: &App,
    identity: &Identity,
    body: Passwords,
    caller: Caller,
) -> Result<Reply, Problem> {
    let Passwords { current_password, new_password } = body;
    if current_password.is_empty() || new_password.is_empty() {
        return Err(missing("current_password or new_password is missing"));
    }
    let (current, new) = (Secret(current_password), Secret(new_password));
    let registry = &app.0.connections.registry;
    let identities = &app.0.identities;
    let ended =
        identities.change_password(identity, current, new, &place(caller), registry).await?;
    Ok(json(StatusCode::OK, &value!({ "success": true, "sessions_ended": ended })))
}

async fn sessions(app: &App, identity: &Identity) -> Result<Reply, Problem> {
    let sessions = app.0.identities.sessions(identity).await?;
    let sessions: Vec<Value> = sessions
        .iter()
        .map(|log_in| {
            let family = &log_in.family;
            value!({
                "id": family.session_id,
                "current": family.session_id == identity.session_id(),
                "began_at": family.began_at.to_rfc3339().to_string(),
                "used_at": family.rotated_at.to_rfc3339().to_string(),
                "ends_at": family.ends_at.to_rfc3339().to_string(),
                "method": log_in.by.as_str(),
                "place": log_in.place,
            })
        })
        .collect();
    Ok(json(StatusCode::OK, &value!({ "sessions": sessions })))
}

async fn ticket(
    app: &App,
    identity: &Identity,
    headers: &HeaderMap,
    caller: Caller,
) -> Result<Reply, Problem> {
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let ticket = app.0.identities.ticket(identity, origin).await?;
    app.0.identities.note_ticket(identity, &place(caller));
    let body = value!({ "ticket": ticket.0, "expires_in": TICKET_LIFETIME.0 / 1000 });
    Ok(json(StatusCode::OK, &body))
}
