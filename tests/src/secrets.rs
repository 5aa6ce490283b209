//! What must be found nowhere, and the search for it.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// What must not be found, by name.
#[derive(Default)]
pub struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    /// One more.
    pub fn add(&mut self, name: &'static str, secret: impl Into<String>) {
        let secret = secret.into();
        assert!(secret.len() >= 8, "{name} is too short to be looked for");
        self.0.push((name, secret));
    }

    /// A pair of tokens as it is answered: whole, and the parts that are secret by themselves.
    pub fn pair(&mut self, answer: &Value) -> (String, String) {
        let text = |member: &str| answer[member].as_str().expect("a pair").to_owned();
        let (access, refresh) = (text("access_token"), text("refresh_token"));
        self.token("access token", &access);
        self.add("refresh token", refresh.clone());
        let halves = refresh.strip_prefix("gpr_").expect("its prefix");
        self.add("first half of a refresh token", &halves[..64]);
        self.add("second half of a refresh token", &halves[64..]);
        (access, refresh)
    }

    /// A token, and its signature alone.
    pub fn token(&mut self, name: &'static str, token: &str) {
        self.add(name, token);
        let signature = token.rsplit('.').next().filter(|part| part.len() > 20);
        self.0.extend(signature.map(|signature| (name, signature.to_owned())));
    }

    /// A key in PEM: each of its lines.
    pub fn pem(&mut self, name: &'static str, pem: &str) {
        for line in pem.lines().filter(|line| !line.starts_with("-----")) {
            self.add(name, line);
        }
    }

    /// Those that are in there.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let is_in = |secret: &str| bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        let found = self.0.iter().filter(|(_, secret)| is_in(secret));
        found.map(|(name, _)| *name).collect()
    }
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
