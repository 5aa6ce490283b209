//! A whole node, in memory, whose sockets echo: `ws://…/ws?protocol=golden.v1`. For `tests/rfc6455/check`.
//!
//! Prints where it listens, on a free port of loopback, and serves until its standard input ends. The
//! largest frame is the server's own; a number as its argument is another one, in bytes.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

#[path = "../tests/surface/rig.rs"]
#[expect(dead_code, reason = "the tests of the surface use the rest")]
mod rig;

use goldenpath_core::limits::Limits;
use goldenpath_warp::{Phase, listen, serve_echo};
use std::io;

#[tokio::main]
async fn main() {
    let mut limits = Limits::default();
    if let Some(bytes) = std::env::args().nth(1) {
        limits.frame_bytes = bytes.parse().unwrap();
    }
    let (app, condition, _) = rig::app(rig::Wishes { limits, ..rig::Wishes::default() });
    let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
    println!("{}", listener.local_addr().unwrap());
    tokio::spawn(serve_echo(app, listener));
    condition.set(Phase::Serving);
    // Whoever started this may end without a word.
    let ended = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    ended.await.unwrap().unwrap();
}
