//! Which of a provider's keys may verify, and which one a token names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::JsonWebKey as _;
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeyType, CoreJsonWebKeyUse};

/// What a key without a name is called here; a token without `kid` asks for it.
const UNNAMED: &str = "";

/// The keys that may verify, and what they are called. A single one answers to no name as well.
//= specs/auth.md#auth-69
//# A shared secret in a set of public keys MUST NOT verify anything.
pub(crate) fn usable(keys: &[CoreJsonWebKey]) -> (Vec<String>, Vec<CoreJsonWebKey>) {
    let keys: Vec<CoreJsonWebKey> = keys
        .iter()
        .filter(|key| *key.key_type() != CoreJsonWebKeyType::Symmetric)
        .filter(|key| key.key_use().is_none_or(|purpose| *purpose == CoreJsonWebKeyUse::Signature))
        .cloned()
        .collect();
    let mut names: Vec<String> = keys
        .iter()
        .map(|key| key.key_id().map_or_else(|| UNNAMED.to_owned(), |id| id.to_string()))
        .collect();
    if keys.len() == 1 {
        names.push(UNNAMED.to_owned());
    }
    (names, keys)
}

/// The key a token names. Nothing of the token is believed yet: the name only says which key to have.
pub(crate) fn named_key(token: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Header {
        kid: Option<String>,
    }
    let header = token.split('.').next().unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    let header = serde_json::from_slice(&json).unwrap_or(Header { kid: None });
    header.kid.unwrap_or_else(|| UNNAMED.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(json: &str) -> CoreJsonWebKey {
        serde_json::from_str(json).unwrap()
    }

    //= specs/auth.md#auth-69
    //= type=test
    //# A shared secret in a set of public keys MUST NOT verify anything.
    #[test]
    fn a_secret_in_the_set_is_left_out_and_so_is_a_key_for_encryption() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let ed = key(&format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"a","x":"{x}"}}"#));
        let secret = key(r#"{"kty":"oct","kid":"b","k":"c2VjcmV0"}"#);
        let sealing =
            key(&format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"c","use":"enc","x":"{x}"}}"#));
        let (names, keys) = usable(&[secret, ed.clone(), sealing]);
        assert_eq!((names, keys), (vec!["a".to_owned(), UNNAMED.to_owned()], vec![ed.clone()]));
        let unnamed = key(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#));
        assert_eq!(usable(&[ed, unnamed]).0, ["a", UNNAMED]);
    }

    #[test]
    fn a_token_names_one_key_or_none() {
        let token = |header: &str| format!("{}.x.y", URL_SAFE_NO_PAD.encode(header));
        assert_eq!(named_key(&token(r#"{"alg":"RS256","kid":"a"}"#)), "a");
        for none in [token("{}"), token(r#"{"kid":7}"#), "x".to_owned(), String::new()] {
            assert_eq!(named_key(&none), UNNAMED);
        }
    }
}
