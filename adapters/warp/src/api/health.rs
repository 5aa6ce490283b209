//! Is it alive, is it ready, what is it?

use super::json;
use crate::app::App;
use crate::condition::Phase;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use serde_json::json as value;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

/// The word in `service`.
const SERVICE: &str = "goldenpath";

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let get = warp::get().or(warp::head()).unify();
    let with = || {
        let app = app.clone();
        warp::any().map(move || app.clone())
    };
    let health = warp::path!("health").and(get).and(with()).map(|app| full(&app));
    let api = warp::path!("api" / "health").and(get).and(with()).map(|app| full(&app));
    let part = warp::path!("health" / Part).and(get).and(with()).map(part);
    let config = warp::path!("api" / "config").and(get).and(with()).map(|app| config(&app));
    health.or(api).unify().or(part).unify().or(config).unify().boxed()
}

#[derive(Clone, Copy)]
enum Part {
    Live,
    Ready,
    Startup,
}

impl std::str::FromStr for Part {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "live" => Ok(Self::Live),
            "ready" => Ok(Self::Ready),
            "startup" => Ok(Self::Startup),
            _ => Err(()),
        }
    }
}

/// Health with everything there is to say about it.
pub(super) fn full(app: &App) -> Reply {
    let parts = &app.0;
    let timestamp = parts.connections.clock.now().wall.to_rfc3339().to_string();
    let phase = parts.condition.phase();
    if phase == Phase::Serving {
        let degraded = parts.connections.registry.degraded();
        let mut body = value!({
            "status": "healthy",
            "service": SERVICE,
            "version": parts.about.version,
            "timestamp": timestamp,
        });
        if !degraded.is_empty() {
            // Alive, and honest about what it cannot do; `/health/ready` is what asks for traffic.
            body["status"] = "degraded".into();
            body["degraded"] = degraded.into();
        }
        return json(StatusCode::OK, &body);
    }
    let message = match phase {
        Phase::Starting => "the server is starting",
        Phase::Draining | Phase::Serving => "the server is shutting down",
    };
    let code = if phase == Phase::Starting { "degraded" } else { "shutting_down" };
    unavailable(&value!({
        "status": "unhealthy",
        "code": code,
        "message": message,
        "service": SERVICE,
        "version": parts.about.version,
        "timestamp": timestamp,
        "startup_in_progress": phase == Phase::Starting,
        // Two steps to be served: the port is open, and what a restart left behind is read.
        "details": { "phase": phase.as_str(), "progress": if phase == Phase::Starting { 0.5 } else { 1.0 } },
    }))
}

fn part(part: Part, app: App) -> Reply {
    let phase = app.0.condition.phase();
    let degraded = app.0.connections.registry.degraded();
    let well = match part {
        Part::Live => true,
        Part::Ready if phase == Phase::Serving && !degraded.is_empty() => {
            let body = value!({
                "status": "unhealthy",
                "code": "degraded",
                "message": "a part that is needed does not answer",
                "startup_in_progress": false,
                "details": { "phase": phase.as_str(), "progress": 1.0 },
                "degraded": degraded,
            });
            return unavailable(&body);
        }
        Part::Ready => phase == Phase::Serving,
        Part::Startup => phase != Phase::Starting,
    };
    if well {
        json(StatusCode::OK, &value!({ "status": "healthy", "phase": phase.as_str() }))
    } else {
        full(&app)
    }
}

fn unavailable(body: &serde_json::Value) -> Reply {
    let mut reply = json(StatusCode::SERVICE_UNAVAILABLE, body);
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

fn config(app: &App) -> Reply {
    let parts = &app.0;
    let demo = parts.identities.demo();
    let limits = &parts.connections.limits;
    let mut config = value!({
        "mode": if demo { "demo" } else { "login" },
        "environment": parts.about.environment,
        "demo": demo,
        "registration": parts.identities.registration(),
        "agents": parts.about.agents,
        "limits": {
            "max_message_bytes": limits.message_bytes,
            "max_content_bytes": limits.content_bytes,
            "max_import_bytes": parts.limits.import_bytes,
        },
        "version": parts.about.version,
    });
    if let Some(name) = parts.identities.provider_name() {
        config["oidc"] = value!({ "name": name, "login": "/api/auth/oidc/login" });
    }
    json(StatusCode::OK, &config)
}
