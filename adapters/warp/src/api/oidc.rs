//! Log in through another provider: there, back, and the page picks up its token.
//!
//! A browser goes to the provider with a cookie that no script reads and no other site sends along with
//! more than a navigation. It comes back with a code of the provider, is sent on to the page with a code of
//! our own behind the `#` of the address (which no server and no log sees), and the page gives that code,
//! good once and only with the cookie, for the token. No token is ever part of an address.

use super::auth::{place, welcome};
use super::reply;
use crate::app::App;
use crate::problem::Problem;
use crate::request::{self, Caller, caller};
use bytes::Bytes;
use goldenpath_core::wire::{ErrorCode, Secret};
use goldenpath_runtime::identity::{AWAY, Arrival, Denied};
use goldenpath_runtime::ports::{AuditAction, Credence};
use http::header::{COOKIE, HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use http::{Response, StatusCode};
use serde::Deserialize;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

/// Ties a log-in to the browser that began it.
const COOKIE_NAME: &str = "goldenpath-login";
/// The only place it is sent to.
const COOKIE_PATH: &str = "/api/auth/oidc";

/// What the provider adds to our address.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    state: String,
    code: Option<String>,
    iss: Option<String>,
}

#[derive(Deserialize)]
struct Ticket {
    #[serde(default)]
    code: String,
}

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let with = || {
        let app = app.clone();
        warp::any().map(move || app.clone())
    };
    let login = warp::path!("api" / "auth" / "oidc" / "login")
        .and(warp::get())
        .and(with())
        .and(caller())
        .then(|app: App, caller: Caller| async move { login(&app, &place(caller)).await });
    let callback = warp::path!("api" / "auth" / "oidc" / "callback")
        .and(warp::get())
        .and(warp::query::<Answer>())
        .and(warp::header::headers_cloned())
        .and(with())
        .and(caller())
        .then(|answer, headers: HeaderMap, app: App, caller: Caller| async move {
            callback(&app, &headers, answer, &place(caller)).await
        });
    let finish = warp::path!("api" / "auth" / "oidc" / "finish")
        .and(warp::post())
        .and(request::json(app))
        .and(warp::header::headers_cloned())
        .and(with())
        .and(caller())
        .then(|ticket, headers: HeaderMap, app: App, caller: Caller| async move {
            reply(caller, finish(&app, &headers, ticket, &place(caller)).await)
        });
    login.or(callback).unify().or(finish).unify().boxed()
}

async fn login(app: &App, place: &str) -> Reply {
    match app.0.identities.depart(place).await {
        Ok(departure) => {
            let mut reply = see_other(&departure.url);
            set_cookie(&mut reply, &departure.browser.0, AWAY.0 / 1000, departure.secure);
            reply
        }
        Err(denied) => failed(&denied),
    }
}

async fn callback(app: &App, headers: &HeaderMap, answer: Answer, place: &str) -> Reply {
    let Answer { state, code, iss } = answer;
    let arrival = Arrival { state: Secret(state), code: code.map(Secret), issuer: iss };
    match app.0.identities.arrive(&browser(headers), arrival, place).await {
        Ok(code) => see_other(&format!("/#login={}", code.0)),
        Err(denied) => {
            let by = (AuditAction::LogIn, Some(Credence::Oidc));
            app.0.identities.note_refused(by, None, place, denied.code);
            failed(&denied)
        }
    }
}

async fn finish(
    app: &App,
    headers: &HeaderMap,
    ticket: Ticket,
    place: &str,
) -> Result<Reply, Problem> {
    let code = Secret(ticket.code);
    let (identities, registry) = (&app.0.identities, &app.0.connections.registry);
    let logged_in = identities.pick_up(&browser(headers), &code, place, registry).await?;
    let mut reply = welcome(&logged_in);
    set_cookie(&mut reply, "", 0, false);
    Ok(reply)
}

/// Back to the page, which says why in words.
fn failed(denied: &Denied) -> Reply {
    tracing::warn!(code = denied.code.as_str(), why = denied.message, "a foreign log-in failed");
    see_other(&format!("/#login-failed={}", denied.code.as_str()))
}

fn see_other(url: &str) -> Reply {
    let mut reply = Response::new(Bytes::new().into());
    match HeaderValue::from_str(url) {
        Ok(url) => {
            *reply.status_mut() = StatusCode::SEE_OTHER;
            reply.headers_mut().insert(LOCATION, url);
            reply
        }
        Err(_) => Problem::of(ErrorCode::Internal, "the address is none").reply(None),
    }
}

/// What the cookie says, or nothing, which no log-in was begun with.
fn browser(headers: &HeaderMap) -> Secret {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let found = cookies.flat_map(|line| line.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE_NAME).then(|| value.to_owned())
    });
    Secret(found.unwrap_or_default())
}

fn set_cookie(reply: &mut Reply, value: &str, seconds: u64, secure: bool) {
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE_NAME}={value}; Path={COOKIE_PATH}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
    );
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        reply.headers_mut().append(SET_COOKIE, cookie);
    }
}
