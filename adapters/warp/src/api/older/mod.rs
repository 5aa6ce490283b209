//! The HTTP surface of the replaced system, for its deployed clients: thin views of our own API. What
//! they start is a run like any other, and they see what its user sees.

mod agents;
mod chat;
mod discovery;
mod sockets;

use crate::app::App;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

/// All of them.
//= specs/wire.md#wire-63
//# Every address of the older HTTP surface MUST answer in its shape.
pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    agents::routes(app)
        .or(chat::routes(app))
        .unify()
        .or(discovery::routes(app))
        .unify()
        .or(sockets::routes(app))
        .unify()
        .boxed()
}

/// The time as older clients read it.
fn timestamp(app: &App) -> String {
    app.0.connections.clock.now().wall.to_rfc3339().to_string()
}
