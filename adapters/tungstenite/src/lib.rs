//! The client: drives the core's client machine over tokio-tungstenite, and asks the few HTTP questions
//! a client has (a token, a log that cannot be replayed).
//!
//! ```no_run
//! use goldenpath_core::client::Event;
//! use goldenpath_tungstenite::{Address, Chat, Credentials, Heard};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server: Address = "http://127.0.0.1:8000".parse()?;
//! let mut chat = Chat::connect(server, Credentials::Demo);
//! chat.send("Analyze my AI costs").await?;
//! while let Some(heard) = chat.next().await {
//!     if let Heard::Event(Event::Applied(entry)) = heard {
//!         println!("{} {}", entry.seq, entry.event.type_name());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here decides: when to dial, what to send again, what to show and when to give up is the
//! machine's.

mod address;
mod chat;
mod dial;
mod driver;
mod outside;
mod rest;

pub use address::{Address, BadAddress};
pub use chat::{Chat, Credentials, Heard, Message};
pub use dial::{Socket, upgrade};
pub use outside::{Outside, System};
pub use rest::{Rest, RestError};
