//! HTTP, WebSocket and the web page, on warp and hyper.
//!
//! Nothing here decides about the business: an upgrade is decided by the core's handshake, a socket is
//! driven by the runtime, a command goes through its user's hub. [`serve`] takes any [`Listener`], so the
//! same code serves real sockets and a simulated network.

mod api;
mod app;
mod condition;
mod door;
#[cfg(feature = "echo")]
mod echo;
mod headers;
mod listener;
mod metrics;
mod page;
mod patience;
mod problem;
mod request;
mod routes;
mod server;
mod socket;
mod tls;
mod upgrade;

pub use app::{About, App, HttpLimits, ImportRequest, Imported, Parts, Usage};
pub use condition::{Condition, Phase};
pub use door::Door;
#[cfg(feature = "echo")]
pub use echo::serve_echo;
pub use listener::{Listener, Stream, listen};
pub use metrics::serve_metrics;
pub use server::serve;
pub use socket::Socket;
pub use tls::{Certificate, TlsIo, TlsListener};
