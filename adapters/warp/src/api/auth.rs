//! Logging in and out.

use super::{json, reply};
use crate::app::App;
use crate::problem::Problem;
use crate::request::{self, Caller, caller, signed_in};
use goldenpath_core::connection::Identity;
use goldenpath_core::wire::{ErrorCode, Secret};
use goldenpath_runtime::identity::{LoggedIn, Profile, TICKET_LIFETIME};
use http::StatusCode;
use http::header::{HeaderMap, ORIGIN};
use serde::Deserialize;
use serde_json::{Value, json as value};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

#[derive(Deserialize)]
struct Credentials {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    name: Option<String>,
}

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let with = || {
        let app = app.clone();
        warp::any().map(move || app.clone())
    };
    let demo = warp::path!("api" / "auth" / "demo")
        .and(warp::post())
        .and(with())
        .and(caller())
        .then(|app: App, caller| async move { reply(caller, demo(&app).await) });
    let login = warp::path!("api" / "auth" / "login")
        .and(warp::post())
        .and(request::json(app))
        .and(with())
        .and(caller())
        .then(
            |body, app: App, caller| async move { reply(caller, login(&app, body, caller).await) },
        );
    let register =
        warp::path!("api" / "auth" / "register")
            .and(warp::post())
            .and(request::json(app))
            .and(with())
            .and(caller())
            .then(|body, app: App, caller| async move {
                reply(caller, register(&app, body, caller).await)
            });
    let me = warp::path!("api" / "auth" / "me")
        .and(warp::get())
        .and(signed_in(app))
        .and(with())
        .and(caller())
        .then(|identity, app: App, caller| async move { reply(caller, me(&app, identity).await) });
    let ticket = warp::path!("api" / "auth" / "ticket")
        .and(warp::post())
        .and(signed_in(app))
        .and(warp::header::headers_cloned())
        .and(with())
        .and(caller())
        .map(|identity, headers, app: App, caller| {
            reply(caller, ticket(&app, &identity, &headers))
        });
    let logout = warp::path!("api" / "auth" / "logout")
        .and(warp::post())
        .and(signed_in(app))
        .and(with())
        .and(caller())
        .then(
            |identity, app: App, caller| async move { reply(caller, logout(&app, identity).await) },
        );
    demo.or(login)
        .unify()
        .or(register)
        .unify()
        .or(me)
        .unify()
        .or(ticket)
        .unify()
        .or(logout)
        .unify()
        .boxed()
}

async fn demo(app: &App) -> Result<Reply, Problem> {
    Ok(welcome(&app.0.identities.log_in_demo()?))
}

async fn login(app: &App, body: Credentials, caller: Caller) -> Result<Reply, Problem> {
    let Credentials { email, password, .. } = required(body)?;
    let client = caller.peer.ip().to_string();
    Ok(welcome(&app.0.identities.log_in(&email, Secret(password), &client).await?))
}

async fn register(app: &App, body: Credentials, caller: Caller) -> Result<Reply, Problem> {
    let Credentials { email, password, name } = required(body)?;
    let client = caller.peer.ip().to_string();
    let registered = app.0.identities.register(&email, Secret(password), name, &client).await?;
    let mut reply = welcome(&registered);
    *reply.status_mut() = StatusCode::CREATED;
    Ok(reply)
}

async fn me(app: &App, identity: Identity) -> Result<Reply, Problem> {
    let profile = app.0.identities.profile(&identity).await?;
    Ok(json(StatusCode::OK, &user(&profile)))
}

fn ticket(app: &App, identity: &Identity, headers: &HeaderMap) -> Result<Reply, Problem> {
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let ticket = app.0.identities.ticket(identity, origin)?;
    let body = value!({ "ticket": ticket.0, "expires_in": TICKET_LIFETIME.0 / 1000 });
    Ok(json(StatusCode::OK, &body))
}

async fn logout(app: &App, identity: Identity) -> Result<Reply, Problem> {
    app.0.identities.log_out(&identity, &app.0.connections.registry).await?;
    Ok(json(StatusCode::OK, &value!({ "success": true, "message": "logged out" })))
}

fn required(body: Credentials) -> Result<Credentials, Problem> {
    let missing = match (body.email.trim().is_empty(), body.password.is_empty()) {
        (true, _) => "email is missing",
        (_, true) => "password is missing",
        (false, false) => return Ok(body),
    };
    Err(Problem::of(ErrorCode::ValidationFailed, missing))
}

pub(super) fn welcome(logged_in: &LoggedIn) -> Reply {
    let body = value!({
        "access_token": logged_in.token.0,
        "token_type": "Bearer",
        "expires_in": logged_in.expires_in.0 / 1000,
        "user": user(&logged_in.user),
    });
    json(StatusCode::OK, &body)
}

fn user(profile: &Profile) -> Value {
    let mut user = value!({
        "id": profile.user_id,
        "name": profile.name,
        "demo": profile.demo,
    });
    if let Some(email) = &profile.email {
        user["email"] = Value::from(email.as_str());
    }
    user
}
