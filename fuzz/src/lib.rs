//! Coverage-guided search, one function a target: bytes in, a panic when a promise is broken.
//!
//! Every target is an ordinary function, so that the test command can replay what a search has found
//! (`tests/replay.rs`) without libFuzzer. The shells in `fuzz_targets/` hand libFuzzer's bytes to it.
//! The folder's README says what each target promises and how to search further.

mod client;
mod client_frame;
mod connection;
pub mod corpus;
mod draw;
mod frames;
mod handshake;
mod import_file;
mod json_rpc;
mod ledger;
mod older;
mod token;
mod world;

pub use client::client;
pub use client_frame::client_frame;
pub use connection::connection;
pub use handshake::handshake;
pub use import_file::import_file;
pub use json_rpc::json_rpc;
pub use older::older;
pub use token::token;
pub use world::world;

/// A target: what it is called, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them, in alphabetical order; the corpus of each is `corpus/NAME.b64`.
pub const TARGETS: &[Target] = &[
    ("client", client),
    ("client_frame", client_frame),
    ("connection", connection),
    ("handshake", handshake),
    ("import_file", import_file),
    ("json_rpc", json_rpc),
    ("older", older),
    ("token", token),
    ("world", world),
];
