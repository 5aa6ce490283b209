//! The keys of tokens: which signs, which still verify (F20).

use super::{Config, Finding, Findings};
use goldenpath_core::wire::Secret;
use goldenpath_jsonwebtoken::{Key, KeyError, Keys, VerifyingKey};
use std::path::Path;

/// More older keys than this are forgotten, not kept.
const MOST_OLDER: usize = 16;

/// Adds what is wrong with the keys; how strong secrets are is checked beside it.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    if config.jwt_private_key_file.is_some() && config.jwt_secret_key.is_some() {
        findings.push(Finding::new(
            "JWT_SECRET_KEY",
            "is set beside JWT_PRIVATE_KEY_FILE, and only one key signs",
            "Remove one, or move the secret to JWT_PREVIOUS_KEYS: there it still verifies",
        ));
    }
    if config.jwt_previous_keys.len() + config.jwt_previous_key_files.len() > MOST_OLDER {
        findings.push(Finding::new(
            "JWT_PREVIOUS_KEYS",
            format!("and JWT_PREVIOUS_KEY_FILES name more than {MOST_OLDER} keys"),
            "Remove those whose tokens have expired",
        ));
    }
    if let Some(path) = &config.jwt_private_key_file
        && let Err(finding) = private(path)
    {
        findings.push(finding);
    }
    for path in &config.jwt_previous_key_files {
        if let Err(finding) = older(path) {
            findings.push(finding);
        }
    }
}

/// All keys, read from where the settings say they are.
///
/// # Errors
/// The first that is no key; [`check`] has found it before, unless a file changed since.
pub(crate) fn keys(config: &Config) -> Result<Keys, Finding> {
    let mut keys = match (&config.jwt_private_key_file, &config.jwt_secret_key) {
        (Some(path), _) => Keys::new(private(path)?),
        (None, Some(secret)) => Keys::new(shared("JWT_SECRET_KEY", secret)?),
        (None, None) => {
            let remedy = "Set it, or JWT_PRIVATE_KEY_FILE";
            return Err(Finding::new("JWT_SECRET_KEY", "is missing", remedy));
        }
    };
    for secret in &config.jwt_previous_keys {
        keys = keys.also_verify(shared("JWT_PREVIOUS_KEYS", secret)?);
    }
    for path in &config.jwt_previous_key_files {
        keys = keys.also_verify(older(path)?);
    }
    Ok(keys)
}

fn shared(name: &str, secret: &Secret) -> Result<Key, Finding> {
    Key::hs256(secret.0.as_bytes()).map_err(|error| {
        let remedy = "Set at least 32 random bytes, for example from `openssl rand -base64 48`";
        Finding::new(name, format!("is no key: {error}"), remedy)
    })
}

fn private(path: &Path) -> Result<Key, Finding> {
    read("JWT_PRIVATE_KEY_FILE", path, Key::from_pem)
}

fn older(path: &Path) -> Result<VerifyingKey, Finding> {
    read("JWT_PREVIOUS_KEY_FILES", path, VerifyingKey::from_pem)
}

fn read<K>(name: &str, path: &Path, parse: fn(&str) -> Result<K, KeyError>) -> Result<K, Finding> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let remedy = "Name a file this process can read";
        Finding::new(name, format!("{shown} cannot be read: {error}"), remedy)
    })?;
    parse(&text).map_err(|error| {
        let remedy = "Make one with `openssl genpkey -algorithm ed25519`";
        Finding::new(name, format!("{shown} {error}"), remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldenpath_core::time::Millis;

    const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

    fn found(config: &Config) -> String {
        let mut findings = Findings::default();
        check(config, &mut findings);
        findings.to_string()
    }

    #[test]
    fn one_key_signs_and_older_ones_verify() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, Key::generate_eddsa_pem().unwrap()).unwrap();
        let mut config = Config {
            jwt_private_key_file: Some(path),
            jwt_previous_keys: vec![Secret(SECRET.into())],
            ..Config::default()
        };
        assert!(found(&config).contains("0 findings"));
        let all = keys(&config).unwrap();
        let secret = Key::hs256(SECRET.as_bytes()).unwrap();
        assert_eq!(all.older().collect::<Vec<_>>(), [secret.fingerprint()]);
        config.jwt_secret_key = Some(Secret(SECRET.into()));
        assert!(found(&config).contains("only one key signs"));
    }

    #[test]
    fn a_file_that_is_no_key_is_told_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, "hush hush").unwrap();
        let config = Config {
            jwt_private_key_file: Some(path),
            jwt_previous_key_files: vec![folder.path().join("gone.pem")],
            ..Config::default()
        };
        let said = found(&config);
        assert!(said.contains("JWT_PRIVATE_KEY_FILE") && said.contains("gone.pem"), "{said}");
        assert!(!said.contains("hush"), "{said}");
        assert!(keys(&config).is_err());
    }

    /// F07: otherwise a socket would refuse what a request accepts.
    #[test]
    fn a_socket_outlives_its_token_as_long_as_a_request_would_be_accepted() {
        let environment = [("JWT_LEEWAY".to_owned(), "17".to_owned())];
        let layers = super::super::Layers::read(None, environment, []);
        let config = Config::check(&layers).unwrap();
        assert_eq!(config.jwt_leeway, Millis::from_secs(17));
        assert_eq!(config.limits.token_grace, config.jwt_leeway);
    }
}
