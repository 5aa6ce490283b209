use super::*;
use crate::key::{Key, Keys};
use crate::tokens::{Grant, Tokens};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use goldenpath_core::auth::Policy;
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::time::Millis;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

const NOW: Wall = Wall(1_800_000_000_500);
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn policy() -> ForeignPolicy {
    ForeignPolicy {
        issuer: "https://login.example".into(),
        audience: "chat".into(),
        leeway: Millis::from_secs(5),
        max_age: None,
    }
}

/// Another issuer that signs with this key.
fn issuer(key: &Key) -> Tokens {
    let policy = Policy {
        issuer: policy().issuer,
        audience: Some(policy().audience),
        leeway: Millis::ZERO,
        max_age: None,
        older_issuer: None,
    };
    Tokens::new(Keys::new(key.clone()), policy)
}

fn token(key: &Key) -> String {
    let grant = Grant::new(UserId::new("ada").unwrap(), SessionId(7), Millis::from_secs(60));
    issuer(key).issue(grant, NOW).unwrap().token.0
}

fn published(keys: &[&Key]) -> Value {
    let all = keys.iter().flat_map(|key| {
        let set: Value = serde_json::from_str(&issuer(key).keys().published()).unwrap();
        set["keys"].as_array().unwrap().clone()
    });
    json!({ "keys": all.collect::<Vec<_>>() })
}

fn verdict(set: &Value, token: &str) -> Result<String, ErrorCode> {
    let foreigner = ForeignKeys::read(set).verify(token, &policy(), NOW)?;
    Ok(foreigner.subject().to_owned())
}

fn pem(der: &[u8]) -> Key {
    let body = STANDARD.encode(der);
    let text = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    Key::from_pem(&text).unwrap()
}

fn keys() -> [Key; 3] {
    let alg = &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let rng = aws_lc_rs::rand::SystemRandom::new();
    let ec = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(alg, &rng).unwrap();
    let rsa = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let rsa: Pkcs8V1Der<'static> = rsa.as_der().unwrap();
    let ed = Key::from_pem(&Key::generate_eddsa_pem().unwrap()).unwrap();
    [ed, pem(ec.as_ref()), pem(rsa.as_ref())]
}

fn named(header: &Header, key: &Key, token: &str) -> String {
    let claims = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    jsonwebtoken::encode(header, &claims, key.signing()).unwrap()
}

#[test]
fn each_kind_of_key_verifies_what_it_signed_and_nothing_else() {
    let keys = keys();
    let all = published(&[&keys[0], &keys[1], &keys[2]]);
    for (key, other) in keys.iter().zip(keys.iter().cycle().skip(1)) {
        let good = token(key);
        assert_eq!(verdict(&all, &good), Ok("ada".into()));
        assert_eq!(verdict(&published(&[key]), &good), Ok("ada".into()));
        assert_eq!(verdict(&published(&[other]), &good), Err(ErrorCode::Unauthorized));
        // Under the name of another key, and under none.
        let mut header = Header::new(key.algorithm());
        header.kid = Some(other.fingerprint().to_owned());
        assert_eq!(verdict(&all, &named(&header, key, &good)), Err(ErrorCode::Unauthorized));
        header.kid = None;
        let unnamed = named(&header, key, &good);
        assert_eq!(verdict(&published(&[key]), &unnamed), Ok("ada".into()), "there is only one");
        assert_eq!(verdict(&all, &unnamed), Err(ErrorCode::Unauthorized));
        let (head, signature) = good.rsplit_once('.').unwrap();
        for broken in [format!("{head}."), format!("{head}.A{signature}"), format!("{good}.x")] {
            assert_eq!(verdict(&all, &broken), Err(ErrorCode::Unauthorized));
        }
    }
}

//= specs/auth.md#auth-37
//= type=test
//# What verifies a token of another issuer MUST be a public key for signatures, by the one
//# algorithm of its kind.
#[test]
fn what_is_no_public_key_for_signatures_verifies_nothing() {
    let [ed, _, rsa] = keys();
    let refused = Err(ErrorCode::Unauthorized);
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("alg", json!("PS256")),
        ("alg", json!("RSA-OAEP")),
        ("alg", json!("HS256")),
        ("alg", json!("unheard-of")),
        ("kty", json!("oct")),
        ("kty", json!("unheard-of")),
        ("n", json!("AQAB")),
    ] {
        let mut set = published(&[&rsa]);
        set["keys"][0][name] = value.clone();
        assert_eq!(verdict(&set, &token(&rsa)), refused, "{name} {value}");
        // What is left out takes nothing along.
        set["keys"]
            .as_array_mut()
            .unwrap()
            .extend(published(&[&ed])["keys"].as_array().cloned().unwrap());
        assert_eq!(verdict(&set, &token(&ed)), Ok("ada".into()), "{name} {value}");
    }
    let secret = Key::hs256(SECRET).unwrap();
    let k = URL_SAFE_NO_PAD.encode(SECRET);
    for alg in [json!("HS256"), Value::Null] {
        let set =
            json!({"keys": [{"kty": "oct", "kid": secret.fingerprint(), "k": k, "alg": alg}]});
        assert_eq!(verdict(&set, &token(&secret)), refused);
    }
    // A public key taken for a secret.
    let public = published(&[&rsa]);
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(rsa.fingerprint().to_owned());
    let claims: Value = serde_json::from_slice(
        &URL_SAFE_NO_PAD.decode(token(&rsa).split('.').nth(1).unwrap()).unwrap(),
    )
    .unwrap();
    let taken = EncodingKey::from_secret(public["keys"][0]["n"].as_str().unwrap().as_bytes());
    let confused = jsonwebtoken::encode(&header, &claims, &taken).unwrap();
    assert_eq!(verdict(&public, &confused), refused);
    for nothing in [json!({}), json!([]), json!({"keys": "x"}), json!({"keys": [7, {}]})] {
        assert_eq!(verdict(&nothing, &token(&rsa)), refused);
    }
}
