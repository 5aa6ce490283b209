//! What must be found nowhere, and the search for it.

use memchr::memmem;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Members of a question or an answer whose texts are secret.
const MEMBERS: [&str; 8] = [
    "access_token",
    "current_password",
    "device_token",
    "new_password",
    "password",
    "refresh_token",
    "ticket",
    "token",
];

/// What must not be found, each with its name.
#[derive(Default)]
pub struct Secrets(BTreeMap<String, &'static str>);

impl Secrets {
    /// One more.
    pub fn add(&mut self, name: &'static str, secret: impl Into<String>) {
        let secret = secret.into();
        assert!(secret.len() >= 8, "{name} is too short to be looked for");
        self.0.insert(secret, name);
    }

    /// What is secret in a body, where it is long enough to be nothing else.
    pub fn body(&mut self, body: &Value) {
        for name in MEMBERS {
            if let Some(secret) = body[name].as_str().filter(|secret| secret.len() >= 12) {
                self.token(name, secret);
            }
        }
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
        self.0.extend(signature.map(|signature| (signature.to_owned(), name)));
    }

    /// A key in PEM: each of its lines.
    pub fn pem(&mut self, name: &'static str, pem: &str) {
        for line in pem.lines().filter(|line| !line.starts_with("-----")) {
            self.add(name, line);
        }
    }

    /// Those that are in there.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let is_in = |secret: &str| memmem::find(bytes, secret.as_bytes()).is_some();
        self.0.iter().filter(|(secret, _)| is_in(secret)).map(|(_, name)| *name).collect()
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
