//! What may be said on a socket: text in, typed frames out; no state.

mod client;
mod close;
mod entry;
mod error;
mod event;
mod json;
mod server;

pub use client::{
    ClientBody, ClientFrame, Credential, Feedback, Level, Reply, ResumePoint, Secret,
    ThreadCommand, UserMessage,
};
pub use close::{CloseCode, Reconnect};
pub use entry::{Draft, Entry, EntryBody, Frame};
pub use error::ErrorCode;
pub use event::{
    AgentRef, AgentStatus, ErrorInfo, Event, MultitaskStrategy, OnDisconnect, PlanStep, Progress,
    RunScope, RunStatus, ThoughtKind, ToolCount, ToolStatus, Usage,
};
pub use json::Json;
pub use server::{
    AckFrame, ActiveRun, Announced, AuthMethod, ErrorFrame, Head, ReadyFrame, Resumed, ServerFrame,
};
