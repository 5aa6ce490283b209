//! About the WebSocket, for those who look before they connect. Numbers are of the whole process; nothing
//! here belongs to a user.

use super::super::json;
use super::timestamp;
use crate::app::App;
use crate::condition::Phase;
use http::StatusCode;
use serde_json::json as value;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let with = || {
        let app = app.clone();
        warp::any().map(move || app.clone())
    };
    let health = warp::path!("ws" / "health").and(warp::get()).and(with()).map(|app| health(&app));
    let config = warp::path!("ws" / "config").and(warp::get()).and(with()).map(|app| config(&app));
    let stats = warp::path!("ws" / "stats")
        .and(warp::get())
        .and(with())
        .then(|app: App| async move { stats(&app).await });
    health.or(config).unify().or(stats).unify().boxed()
}

fn health(app: &App) -> Reply {
    if app.0.condition.phase() != Phase::Serving {
        return super::super::health::full(app);
    }
    let degraded = app.0.connections.registry.degraded();
    let mut body = value!({
        "status": "healthy",
        "service": "websocket",
        "version": app.0.about.version,
        "timestamp": timestamp(app),
    });
    if !degraded.is_empty() {
        // Sockets are let in and told the same.
        body["status"] = "degraded".into();
        body["degraded"] = degraded.into();
    }
    json(StatusCode::OK, &body)
}

fn config(app: &App) -> Reply {
    let limits = &app.0.connections.limits;
    let body = value!({
        "websocket_config": {
            "heartbeat_interval": limits.heartbeat_interval.0 / 1000,
            "heartbeat_timeout": limits.heartbeat_timeout.0 / 1000,
            "authentication_timeout": limits.auth_timeout.0 / 1000,
            // As `WEBSOCKET_CONNECTION_TIMEOUT` means it; the second is the name it has with us.
            "connection_timeout": limits.connection_max_age.0 / 1000,
            "connection_max_age": limits.connection_max_age.0 / 1000,
            "max_message_size": limits.message_bytes,
            "max_frame_size": limits.frame_bytes,
            "max_connections_per_user": limits.connections_per_user,
            "messages_per_minute": limits.messages_per_minute,
            "subprotocols": ["golden.v1", "jwt-auth", "jwt", "bearer"],
            "path": "/ws",
        },
        "status": "success",
        "timestamp": timestamp(app),
    });
    json(StatusCode::OK, &body)
}

//= specs/safety.md#safe-84
//# What a stranger is told about connections MUST be counts of the whole server.
async fn stats(app: &App) -> Reply {
    let load = app.0.connections.shards.load().await;
    let body = value!({
        "active_connections": app.0.connections.registry.len(),
        "attached_connections": load.connections,
        "active_users": load.users,
        "active_runs": load.runs,
        "status": "success",
        "timestamp": timestamp(app),
    });
    json(StatusCode::OK, &body)
}
