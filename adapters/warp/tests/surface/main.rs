//! The HTTP side on real sockets and on streams in memory, with a store that forgets.

mod answers;
mod closes;
mod patience;
mod rig;
mod sockets;
