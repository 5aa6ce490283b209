//! Worlds around the real machines.
