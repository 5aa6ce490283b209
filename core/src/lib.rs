//= specs/safety.md#safe-05
//# The core MUST NOT know a clock, a socket or a thread.
#![no_std]
//! The machines of Golden Path: pure, deterministic, without I/O and without a clock.
//!
//! A thread is a durable, ordered log; everything else is a machine that reads inputs and says what
//! should happen next. Sockets, SQL, clocks and tasks live in adapters that contain no decisions.
//!
//! # The contract
//!
//! Every machine looks the same. Its driver hands in what happened, then polls until the machine is
//! idle, and comes back with the next input or at the deadline. The deadline is learnt only there, so
//! nobody can sleep over something that was still to be said.
//!
//! ```
//! use goldenpath_core::connection::{Connection, Identity, Input, Opening, Output};
//! use goldenpath_core::handshake::{Accepted, Dialect, Presented};
//! use goldenpath_core::hub::HubReady;
//! use goldenpath_core::id::{ConnectionId, SessionId, UserId};
//! use goldenpath_core::limits::Limits;
//! use goldenpath_core::seed::Seed;
//! use goldenpath_core::time::{Millis, Mono, Now, Wall};
//! use goldenpath_core::wire::CloseCode;
//! use std::sync::Arc;
//!
//! // A client was let in; it has not said yet who it is.
//! let accepted = Accepted {
//!     subprotocol: Some("golden.v1".into()),
//!     dialect: Dialect::GoldenV1,
//!     presented: Presented::Nothing,
//!     demo: false,
//!     verify_before_upgrade: false,
//! };
//! let opening = Opening { connection_id: ConnectionId(1), accepted, identity: None };
//! let mut now = Now { mono: Mono(0), wall: Wall(1_800_000_000_000) };
//! let mut connection = Connection::new(opening, Arc::new(Limits::default()), Seed::new(7), now);
//!
//! // The world, played here by a list: what a peer, a verifier and a hub would do.
//! let ask = r#"{"type":"user_message","payload":{"content":"Analyze my AI costs"}}"#;
//! let auth = r#"{"type":"auth","payload":{"token":"eyJ…"}}"#;
//! let mut world = vec![Input::Text(auth), Input::Text(ask)]; // the last one comes first
//! let (mut sent, mut forwarded) = (Vec::new(), 0);
//!
//! connection.handle_input(now, Input::Upgraded);
//! loop {
//!     // 1. Drain: do everything it says.
//!     let deadline = loop {
//!         match connection.poll_output() {
//!             Output::Send(frame) => sent.push(frame.as_str().to_owned()),
//!             Output::Verify { effect, .. } => {
//!                 let identity = Identity::visitor(7, SessionId(1), now.wall);
//!                 world.push(Input::Verdict { effect, verdict: Ok(identity) });
//!             }
//!             Output::Attach { .. } => world.push(Input::Attached(HubReady::default())),
//!             Output::Forward { .. } => forwarded += 1,
//!             Output::Idle(deadline) => break deadline,
//!             Output::Close(_) | Output::Detach | Output::Ended(_) | Output::MakeDemoUser { .. } => {}
//!         }
//!     };
//!     if connection.end().is_some() {
//!         break;
//!     }
//!     // 2. Wait: for input, or for the deadline.
//!     match (world.pop(), deadline) {
//!         (Some(input), _) => connection.handle_input(now, input),
//!         (None, Some(deadline)) => {
//!             now = now.after(deadline.since(now.mono));
//!             connection.handle_timeout(now);
//!         }
//!         (None, None) => break,
//!     }
//! }
//!
//! let of = |kind: &str| sent.iter().position(|frame| frame.contains(kind));
//! // The message came before the user was known: it was held, and handled once ready (F09).
//! assert!(of("auth_required") < of("connection_ready"));
//! assert_eq!(forwarded, 1);
//! // Nobody spoke any more: it pinged, and then it said why it ended.
//! assert!(of("\"ping\"") < of("heartbeat_lost"));
//! assert_eq!(now.mono, Mono(0).after(Millis::from_secs(75)));
//! # use goldenpath_core::fault::End;
//! assert_eq!(connection.end(), Some(End::Closed(CloseCode::HeartbeatLost)));
//! # Ok::<(), goldenpath_core::id::NotAnId>(())
//! ```
//!
//! The rules that make this safe to drive:
//!
//! 1. **Input never fails.** What a peer does wrong becomes an output. What our own caller may not do
//!    now is a command that returns [`fault::Misuse`]. What the world fails at comes in as a [`fault::Fault`].
//! 2. **Time is passed in** as [`time::Now`]; `handle_timeout` is harmless at any time, any number of times.
//! 3. **Effects carry a number** ([`id::EffectId`]); their answers come back as inputs, and late ones are ignored.
//! 4. **Persist, then publish**: what others may see has been committed before.
//! 5. **The same inputs give the same outputs**: a [`seed::Seed`] instead of randomness, no hash order.
//! 6. **Everything is bounded** by [`limits::Limits`].
//! 7. **The end is explicit**: one, with a reason; afterwards every input is ignored.
//!
//! # The machines
//!
//! ```text
//!  text ─▶ wire ─▶ Connection ─▶ Hub ─▶ commit ─▶ Hub ─▶ Subscription ─▶ outbox ─▶ text
//!            handshake, auth      │  ▲                    (thread)
//!                                 ▼  │ entries
//!                                 Run ──▶ agents and tools
//! ```
//!
//! [`edge`] counts those nobody knows yet; [`handshake`] decides on an upgrade; [`connection`] is one socket's life, with an [`auth::Session`] in
//! it; [`hub`] is one user, and nothing in it can name another; [`thread`] brings each reader every entry
//! once and in order; [`store`] decides what is written; [`run`] is one answer in the making and the only source of the five events;
//! [`client`] is the other end of the wire; [`health`] knows what works, and how to stop.
//! The example `stdio` drives them all in one loop without sockets.

extern crate alloc;
#[cfg(any(test, feature = "sync"))]
extern crate std;

/// Whether a known bug is let loose: the constant `false`, but for `tests/canaries`.
#[cfg(feature = "canary")]
macro_rules! canary {
    ($name:ident) => {
        $crate::canary::Canary::$name.is_loose()
    };
}
#[cfg(not(feature = "canary"))]
macro_rules! canary {
    ($name:ident) => {
        false
    };
}

pub mod auth;
#[cfg(feature = "canary")]
pub mod canary;
pub mod client;
pub mod connection;
pub mod edge;
pub mod fault;
pub mod handshake;
pub mod health;
pub mod hub;
pub mod id;
pub mod limits;
#[cfg(test)]
#[path = "../tests/matrix/mod.rs"]
mod matrix;
#[cfg(feature = "sync")]
pub mod outbox;
pub mod run;
pub mod seed;
pub mod store;
pub mod thread;
pub mod time;
pub mod wire;
