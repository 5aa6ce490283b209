//! Who somebody is: logging in, staying, leaving; what they may see and change about themselves. The
//! addresses of the replaced system (`/auth/…`) are views of the same.
//!
//! Every credential travels in a header or a body, never in a cookie: a page of another site can make
//! a browser send a request, but not one that says who is asking (CSRF).

mod entry;
mod leave;
mod older;
mod own;

use super::json;
use crate::app::App;
use crate::problem::Problem;
use crate::request::Caller;
use goldenpath_core::wire::{ErrorCode, Secret};
use goldenpath_runtime::identity::{LoggedIn, Profile};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json as value};
use std::convert::Infallible;
use std::net::IpAddr;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let known = entry::routes(app).or(own::routes(app)).unify();
    known.or(leave::routes(app)).unify().or(older::routes(app)).unify().boxed()
}

/// The parts, for a route.
fn with(app: &App) -> impl Filter<Extract = (App,), Error = Infallible> + Clone + use<> {
    let app = app.clone();
    warp::any().map(move || app.clone())
}

/// Where a request comes from, as tries are counted: an address, of IPv6 the part a subscriber has.
pub(crate) fn place(caller: Caller) -> String {
    match caller.peer.ip().to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// What somebody gets who logged in.
pub(super) fn welcome(logged_in: &LoggedIn) -> Reply {
    let body = value!({
        "access_token": logged_in.token.0,
        "token_type": "Bearer",
        "expires_in": logged_in.expires_in.0 / 1000,
        "refresh_token": logged_in.refresh_token.0,
        "refresh_expires_in": logged_in.refresh_expires_in.0 / 1000,
        "device": logged_in.device.0,
        "user": user(&logged_in.user),
    });
    let mut reply = json(StatusCode::OK, &body);
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

fn user(profile: &Profile) -> Value {
    let mut user = value!({
        "id": profile.user_id,
        "name": profile.name,
        "demo": profile.demo,
        "permissions": profile.permissions,
    });
    if let Some(email) = &profile.email {
        user["email"] = Value::from(email.as_str());
    }
    user
}

/// A refresh token under any of the names clients give it, or under several of them.
#[derive(Deserialize)]
#[serde(from = "Value")]
struct Refreshing {
    refresh_token: Option<String>,
}

impl From<Value> for Refreshing {
    /// From a body that may be anything: the first of the names that holds a text.
    fn from(body: Value) -> Self {
        let names = ["refresh_token", "refreshToken", "token"];
        let refresh_token = names.iter().find_map(|name| body[name].as_str()).map(str::to_owned);
        Self { refresh_token }
    }
}

impl Refreshing {
    fn token(self) -> Option<Secret> {
        self.refresh_token.filter(|token| !token.is_empty()).map(Secret)
    }
}

fn missing(what: &'static str) -> Problem {
    Problem::of(ErrorCode::ValidationFailed, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldenpath_core::id::RequestId;

    #[test]
    fn a_place_is_an_address_and_of_ipv6_the_part_of_one_subscriber() {
        for (address, expected) in [
            ("192.0.2.7:1", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:1", "192.0.2.7"),
            ("[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1:2::/64"),
            ("[2001:db8:1:2:ffff::1]:1", "2001:db8:1:2::/64"),
        ] {
            let caller =
                Caller { peer: address.parse().unwrap(), request_id: RequestId(1), secure: false };
            assert_eq!(place(caller), expected);
        }
    }
}
