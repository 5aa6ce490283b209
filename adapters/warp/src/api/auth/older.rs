//! What only the replaced system's clients ask, and the doors of tests and developers.

use super::{place, welcome, with};
use crate::api::{json, reply};
use crate::app::App;
use crate::problem::Problem;
use crate::request::{self, Caller, caller};
use goldenpath_core::auth::BypassRefusal;
use goldenpath_core::wire::{ErrorCode, Secret};
use goldenpath_runtime::identity::BypassDenied;
use http::StatusCode;
use http::header::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json as value};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

/// Carries the E2E key.
const BYPASS_KEY: &str = "x-e2e-bypass-key";

#[derive(Deserialize)]
struct Developer {
    #[serde(default)]
    email: Option<String>,
}

#[derive(Default, Deserialize)]
struct Tester {
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    permissions: Vec<String>,
}

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let validate = warp::path!("auth" / "validate")
        .and(warp::post())
        .and(request::lenient(app))
        .and(with(app))
        .then(|body, app: App| async move { validate(&app, &body).await });
    let config = warp::path!("api" / "auth" / "config")
        .or(warp::path!("auth" / "config"))
        .unify()
        .and(warp::get())
        .and(with(app))
        .map(|app: App| config(&app));
    let dev = warp::path!("auth" / "dev" / "login")
        .and(warp::post())
        .and(request::json(app))
        .and(with(app))
        .and(caller())
        .then(|body, app: App, caller| async move { reply(caller, dev(&app, body, caller).await) });
    let e2e = warp::path!("auth" / "e2e" / "test-auth")
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(request::lenient(app))
        .and(with(app))
        .and(caller())
        .then(|headers: HeaderMap, body, app: App, caller| async move {
            // The door comes first: a body that is none is an address that is none.
            let body = serde_json::from_value(body).unwrap_or_default();
            reply(caller, e2e(&app, &headers, body, caller).await)
        });
    validate.or(config).unify().or(dev).unify().or(e2e).unify().boxed()
}

async fn validate(app: &App, body: &Value) -> Reply {
    let token = Secret(body["token"].as_str().unwrap_or_default().to_owned());
    match app.0.identities.known(&token).await {
        Ok(known) => {
            let expires_at = known.identity.expires_at().map(|at| at.to_rfc3339().to_string());
            let body = value!({
                "valid": true,
                "user_id": known.identity.user_id(),
                "email": known.email,
                "permissions": known.permissions,
                "expires_at": expires_at,
            });
            json(StatusCode::OK, &body)
        }
        Err(code) => {
            let body = value!({ "valid": false, "error": code.as_str() });
            let mut reply = json(StatusCode::OK, &body);
            // It is a refusal all the same, and recorded like one (AUTH-76).
            Problem::from(code).mark(&mut reply);
            reply
        }
    }
}

fn config(app: &App) -> Reply {
    let identities = &app.0.identities;
    let mut endpoints = value!({
        "login": "/auth/login",
        "logout": "/auth/logout",
        "refresh": "/auth/refresh",
        "user": "/auth/me",
        "validate_token": "/auth/validate",
    });
    if identities.registration() {
        endpoints["register"] = "/auth/register".into();
    }
    if identities.has_dev_login() {
        endpoints["dev_login"] = "/auth/dev/login".into();
    }
    if identities.has_e2e() {
        endpoints["e2e_test_auth"] = "/auth/e2e/test-auth".into();
    }
    let mut body = value!({
        "environment": app.0.about.environment,
        "development_mode": identities.has_dev_login(),
        "demo_mode": identities.demo(),
        "registration": identities.registration(),
        "endpoints": endpoints,
    });
    if let Some(name) = identities.provider_name() {
        body["oidc"] = value!({ "name": name, "login": "/api/auth/oidc/login" });
    }
    json(StatusCode::OK, &body)
}

async fn dev(app: &App, body: Developer, caller: Caller) -> Result<Reply, Problem> {
    let email = body.email.unwrap_or_else(|| "dev@example.com".to_owned());
    let registry = &app.0.connections.registry;
    Ok(welcome(&app.0.identities.log_in_dev(&email, &place(caller), registry).await?))
}

async fn e2e(
    app: &App,
    headers: &HeaderMap,
    body: Tester,
    caller: Caller,
) -> Result<Reply, Problem> {
    let mut keys = headers.get_all(BYPASS_KEY).iter();
    let key = keys.next().and_then(|key| key.to_str().ok()).map(|key| Secret(key.to_owned()));
    if keys.next().is_some() {
        return Err(Problem::of(ErrorCode::AuthAmbiguous, "X-E2E-Bypass-Key is there twice"));
    }
    let Tester { email, name, permissions } = body;
    let who = (email.as_str(), name, permissions);
    let (place, registry) = (place(caller), &app.0.connections.registry);
    let entered = app.0.identities.log_in_e2e(key.as_ref(), who, &place, registry).await;
    entered.map(|logged_in| welcome(&logged_in)).map_err(refused)
}

fn refused(denied: BypassDenied) -> Problem {
    let problem = match denied {
        BypassDenied::Key(BypassRefusal::Invalid) => {
            Problem::of(ErrorCode::Unauthorized, "Invalid E2E bypass key")
        }
        BypassDenied::Key(BypassRefusal::Missing) => {
            Problem::of(ErrorCode::Unauthorized, "E2E bypass key required")
        }
        BypassDenied::Key(BypassRefusal::NotConfigured) => Problem::http(
            StatusCode::SERVICE_UNAVAILABLE,
            "e2e_not_configured",
            "E2E bypass key not configured",
        ),
        BypassDenied::Key(BypassRefusal::Production) => {
            Problem::of(ErrorCode::Forbidden, "E2E bypass does not exist in production")
        }
        BypassDenied::Other(denied) => Problem::from(denied),
    };
    problem.recorded()
}
