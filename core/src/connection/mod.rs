//! One socket's life: Upgrading → Authenticating → Ready → Draining → Closed.

mod io;

pub use io::{Identity, Input, Opening, Output};
