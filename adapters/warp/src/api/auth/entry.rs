//! Ways in, and the way to stay: demo mode, a password, a new account, a refresh token.

use super::{Refreshing, missing, place, welcome, with};
use crate::api::reply;
use crate::app::App;
use crate::problem::Problem;
use crate::request::{self, Caller, caller};
use goldenpath_core::wire::Secret;
use http::StatusCode;
use serde::Deserialize;
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
    /// Of an earlier log-in; whatever is no such text is none.
    #[serde(default)]
    device: serde_json::Value,
}

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let demo = warp::path!("api" / "auth" / "demo")
        .and(warp::post())
        .and(with(app))
        .and(caller())
        .then(|app: App, caller| async move { reply(caller, demo(&app, caller).await) });
    let login = warp::path!("api" / "auth" / "login")
        .or(warp::path!("auth" / "login"))
        .unify()
        .and(warp::post())
        .and(request::json(app))
        .and(with(app))
        .and(caller())
        .then(
            |body, app: App, caller| async move { reply(caller, login(&app, body, caller).await) },
        );
    let register =
        warp::path!("api" / "auth" / "register")
            .or(warp::path!("auth" / "register"))
            .unify()
            .and(warp::post())
            .and(request::json(app))
            .and(with(app))
            .and(caller())
            .then(|body, app: App, caller| async move {
                reply(caller, register(&app, body, caller).await)
            });
    let refresh =
        warp::path!("api" / "auth" / "refresh")
            .or(warp::path!("auth" / "refresh"))
            .unify()
            .and(warp::post())
            .and(request::json(app))
            .and(with(app))
            .and(caller())
            .then(|body, app: App, caller| async move {
                reply(caller, refresh(&app, body, caller).await)
            });
    demo.or(login).unify().or(register).unify().or(refresh).unify().boxed()
}

async fn demo(app: &App, caller: Caller) -> Result<Reply, Problem> {
    let registry = &app.0.connections.registry;
    Ok(welcome(&app.0.identities.log_in_demo(&place(caller), registry).await?))
}

async fn login(app: &App, body: Credentials, caller: Caller) -> Result<Reply, Problem> {
    let Credentials { email, password, device, .. } = required(body)?;
    let device = device.as_str().map(|device| Secret(device.to_owned()));
    let (place, identities, password) = (place(caller), &app.0.identities, Secret(password));
    let registry = &app.0.connections.registry;
    let logged_in = identities.log_in(&email, password, &place, device.as_ref(), registry).await?;
    Ok(welcome(&logged_in))
}

async fn register(app: &App, body: Credentials, caller: Caller) -> Result<Reply, Problem> {
    let Credentials { email, password, name, .. } = required(body)?;
    let (place, password, registry) =
        (place(caller), Secret(password), &app.0.connections.registry);
    let registered = app.0.identities.register(&email, password, name, &place, registry).await?;
    let mut reply = welcome(&registered);
    *reply.status_mut() = StatusCode::CREATED;
    Ok(reply)
}

async fn refresh(app: &App, body: Refreshing, caller: Caller) -> Result<Reply, Problem> {
    let token = body.token().ok_or_else(|| missing("refresh_token is missing"))?;
    let registry = &app.0.connections.registry;
    Ok(welcome(&app.0.identities.refresh(&token, &place(caller), registry).await?))
}

fn required(body: Credentials) -> Result<Credentials, Problem> {
    match (body.email.trim().is_empty(), body.password.is_empty()) {
        (true, _) => Err(missing("email is missing")),
        (_, true) => Err(missing("password is missing")),
        (false, false) => Ok(body),
    }
}
