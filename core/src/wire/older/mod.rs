//! The older dialect: what clients of the replaced system say and hear. Text in, the same typed frame
//! as from anybody else; one of our frames in, the older ones that say the same. No state: what a
//! conversation must remember is kept by the connection's translator.
//!
//! An older frame is flat: `type`, `run_id`, `thread_id`, `user_id`, `agent_name`, `timestamp` and the
//! fields of what happened stand at the top, and again under `payload` and `data`, because readers
//! were written for each of the three. It is never wrapped in another type.

mod answer;
mod control;
mod entry;
mod flat;
mod read;

pub use answer::{Answered, answered};
pub use control::{Greeting, acknowledged, handshake_complete, of_control};
pub use entry::{About, of_entry, run_name};
pub use read::{Heard, Names, read};

#[cfg(test)]
mod tests;
