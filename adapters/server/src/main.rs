//! The goldenpath binary.
mod config;
fn main() {
    let layers = config::Layers::read(None, std::env::vars(), []);
    match config::Config::load(&layers) {
        Ok(c) => println!("{c:?}"),
        Err(e) => println!("{e}"),
    }
}
