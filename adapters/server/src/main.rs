//! The goldenpath binary.
fn main() {}
