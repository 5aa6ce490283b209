//! Where the services are: one process is all of them. Addresses are those by which the server was asked.

use super::super::json;
use super::timestamp;
use crate::app::App;
use crate::request::{Caller, caller};
use goldenpath_core::handshake::Page;
use http::StatusCode;
use http::header::{HOST, HeaderMap};
use serde_json::{Map, Value, json as value};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

/// The names older clients know the parts by.
const SERVICES: [&str; 3] = ["auth", "backend", "frontend"];

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let with = || {
        let app = app.clone();
        warp::any().map(move || app.clone())
    };
    let headers = warp::header::headers_cloned;
    let services = warp::path!("api" / "discovery" / "services")
        .and(warp::get())
        .and(headers())
        .and(with())
        .and(caller())
        .map(|headers, app, caller| services(&app, &headers, caller));
    let servers = warp::path!("api" / "mcp" / "servers")
        .and(warp::get())
        .and(with())
        .map(|app| servers(&app));
    let config = warp::path!("api" / "mcp" / "config")
        .and(warp::get())
        .and(headers())
        .and(with())
        .and(caller())
        .map(|headers, app, caller| config(&app, &headers, caller));
    services.or(servers).unify().or(config).unify().boxed()
}

/// How the caller reaches this server.
struct Address {
    secure: bool,
    host: String,
}

impl Address {
    /// The way is encrypted when it is to us, when a trusted proxy says so, and when a page that may
    /// connect says so by its own origin: behind a proxy that is not trusted nobody else knows.
    //= specs/wire.md#wire-67
    //# An address told to an older client MUST be `https` and `wss` when the client came that way,
    //# through a trusted proxy too.
    fn of(app: &App, headers: &HeaderMap, caller: Caller) -> Self {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let own = format!("https://{host}");
        let secure = caller.secure || app.page(headers) == Page::Known(&own);
        Self { secure, host: host.to_owned() }
    }

    fn http(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.host)
    }

    fn websocket(&self) -> String {
        format!("{}://{}/ws", if self.secure { "wss" } else { "ws" }, self.host)
    }

    fn port(&self) -> u16 {
        let named = self.host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        named.unwrap_or(if self.secure { 443 } else { 80 })
    }
}

fn services(app: &App, headers: &HeaderMap, caller: Caller) -> Reply {
    let (address, timestamp) = (Address::of(app, headers, caller), timestamp(app));
    let one = || {
        value!({
            "port": address.port(),
            "url": address.http(),
            "api_url": address.http() + "/api",
            "ws_url": address.websocket(),
            "timestamp": timestamp,
        })
    };
    let services: Map<String, Value> =
        SERVICES.iter().map(|name| ((*name).to_owned(), one())).collect();
    let body = value!({ "services": services, "timestamp": timestamp, "available": SERVICES });
    json(StatusCode::OK, &body)
}

fn servers(app: &App) -> Reply {
    let body = value!({
        "data": [{
            "name": "goldenpath",
            "status": "connected",
            "version": app.0.about.version,
            "capabilities": { "tools": true, "resources": false, "prompts": false },
            "description": format!("Agents that use tools: {}", app.0.about.agents.join(", ")),
        }],
        "status": "success",
    });
    json(StatusCode::OK, &body)
}

/// The tools are used by the agents; whoever wants them asks an agent, over HTTP or JSON-RPC 2.0.
fn config(app: &App, headers: &HeaderMap, caller: Caller) -> Reply {
    let address = Address::of(app, headers, caller);
    let http = value!({
        "url": address.http() + "/api",
        "execute": address.http() + "/api/agents/execute",
        "authorization": "Bearer",
    });
    let websocket = value!({
        "url": address.websocket(),
        "subprotocol": "golden.v1",
        "messages": "JSON-RPC 2.0",
        "method": "user_message",
    });
    let client = value!({ "name": "goldenpath", "http": http, "websocket": websocket });
    let body = value!({
        "claude": client,
        "cursor": client,
        "mcp": { "server": "goldenpath", "version": app.0.about.version, "transports": ["http", "websocket"] },
        "http": http,
        "websocket": websocket,
    });
    json(StatusCode::OK, &body)
}
