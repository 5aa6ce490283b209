//! What may be said on a socket: text in, typed frames out; no state.
//!
//! A server reads with [`decode()`] and writes with [`ServerFrame::encode`] and [`EntryBody::frame`];
//! a client writes with [`ClientFrame::encode`] and reads with [`ServerEvent::decode`].

mod client;
mod close;
mod decode;
mod encode;
mod encode_client;
mod entry;
mod error;
mod event;
mod fields;
mod heard;
mod json;
mod jsonrpc;
mod metadata;
mod normalise;
pub mod older;
mod server;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod credential_tests;
#[cfg(test)]
mod tests;

pub use client::{
    ClientBody, ClientFrame, Credential, Feedback, Level, Reply, ResumePoint, Secret,
    ThreadCommand, UserMessage,
};
pub use close::{CloseCode, Reconnect};
pub use decode::{Naming, Refused, decode};
pub use encode::{FEATURES, PROTOCOL};
pub use entry::{Draft, Entry, EntryBody, Frame};
pub use error::ErrorCode;
pub use event::{
    AgentRef, AgentStatus, ErrorInfo, Event, MultitaskStrategy, OnDisconnect, PlanStep, Progress,
    RunScope, RunStatus, ThoughtKind, ToolCount, ToolStatus, Usage,
};
pub use heard::{Heartbeat, LimitsHeard, ReadyHeard, ResumeHeard, Said, ServerEvent};
pub use json::Json;
pub use jsonrpc::error_number;
pub use metadata::{Metadata, NoMetadata};
pub use normalise::{Kind, WORDS, kind_of};
pub use server::{
    AckFrame, ActiveRun, Announced, AuthMethod, ErrorFrame, Head, ReadyFrame, Resumed, ServerFrame,
};
