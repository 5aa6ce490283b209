use super::*;
use crate::key::Key;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use goldenpath_core::auth::Bypass;
use jsonwebtoken::{Algorithm, EncodingKey};
use proptest::prelude::*;
use serde_json::{Value, json};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const OLDER: &[u8] = b"fedcba9876543210fedcba9876543210";
const STRANGER: &[u8] = b"not the secret, but long enough!";
const NOW: Wall = Wall(1_800_000_000_500);
const NOW_S: u64 = 1_800_000_000;

fn policy() -> Policy {
    Policy {
        issuer: "goldenpath".into(),
        audience: Some("goldenpath".into()),
        leeway: Millis::from_secs(5),
        max_age: None,
        older_issuer: None,
    }
}

fn hs256() -> Tokens {
    let older = Key::hs256(OLDER).unwrap();
    Tokens::new(Keys::new(Key::hs256(SECRET).unwrap()).also_verify(older), policy())
}

fn eddsa(pem: &str) -> Tokens {
    Tokens::new(Keys::new(Key::from_pem(pem).unwrap()), policy())
}

fn grant() -> Grant {
    Grant::new(UserId::new("ada").unwrap(), SessionId(7), Millis::from_secs(60))
}

fn claims() -> Value {
    json!({"sub": "ada", "iss": "goldenpath", "aud": "goldenpath", "exp": NOW_S + 60, "iat": NOW_S})
}

fn without(claim: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(claim);
    claims
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

/// A token whose header and payload are exactly these texts, with a good HS256 signature by `secret`.
fn forged(header: &str, payload: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn signed(header: &Value, claims: &Value) -> String {
    forged(&header.to_string(), &claims.to_string(), SECRET)
}

fn plain() -> Value {
    json!({"alg": "HS256", "typ": "JWT"})
}

#[test]
fn a_token_of_ours_is_accepted_until_it_expires() {
    let pem = Key::generate_eddsa_pem().unwrap();
    for tokens in [hs256(), eddsa(&pem)] {
        let issued = tokens.issue(grant(), NOW).unwrap();
        assert_eq!(issued.expires_at, Wall((NOW_S + 60) * 1000));
        let verified = tokens.verify(&issued.token.0, NOW).unwrap();
        assert_eq!(verified.vouched.user_id().as_str(), "ada");
        assert_eq!(verified.vouched.session_id(), SessionId(7));
        assert_eq!(verified.vouched.expires_at(), Some(issued.expires_at));
        let after = |secs| tokens.verify(&issued.token.0, NOW.after(Millis::from_secs(secs)));
        assert!(after(64).is_ok());
        assert_eq!(after(65), Err(ErrorCode::TokenExpired));
    }
}

//= specs/auth.md#auth-34
//= type=test
//# A token of ours MUST say who made it, for whom, of whom, when and until when, and MUST have a
//# name that no other token has.
#[test]
fn a_token_of_ours_says_all_that_others_ask_for_and_has_a_name_of_its_own() {
    let tokens = hs256();
    let names: std::collections::BTreeSet<String> = (0..1000)
        .map(|_| {
            let token = tokens.issue(grant(), NOW).unwrap().token;
            let claims = tokens.verify(&token.0, NOW).unwrap().claims;
            assert_eq!(claims.iss.as_deref(), Some("goldenpath"));
            assert_eq!(
                (claims.sub.as_str(), claims.aud.as_slice()),
                ("ada", &["goldenpath".into()][..])
            );
            assert_eq!(
                (claims.iat, claims.nbf, claims.exp),
                (Some(NOW_S), Some(NOW_S), NOW_S + 60)
            );
            claims.jti.unwrap()
        })
        .collect();
    assert_eq!(names.len(), 1000);
    assert!(names.iter().all(|name| URL_SAFE_NO_PAD.decode(name).unwrap().len() == 16));
}

#[test]
fn a_grant_survives_its_token() {
    let full = Grant {
        demo: true,
        email: Some("ada@example.org".into()),
        permissions: vec!["import".into()],
        ..grant()
    };
    let tokens = hs256();
    let verified = tokens.verify(&tokens.issue(full, NOW).unwrap().token.0, NOW).unwrap();
    assert_eq!(verified.vouched.bypass(), Some(Bypass::Demo));
    assert_eq!(verified.claims.email.as_deref(), Some("ada@example.org"));
    assert_eq!(verified.claims.permissions, ["import"]);
}

#[test]
fn tokens_of_other_issuers_are_read_as_they_write_them() {
    for (header, claims) in [
        (plain(), claims()),
        (json!({"alg": "HS256"}), with("aud", json!(["x", "goldenpath"]))),
        (json!({"alg": "HS256", "typ": "at+JWT"}), with("exp", json!(NOW_S as f64 + 60.5))),
        (plain(), with("unknown", json!({"deep": [1, {"a": null}]}))),
        (plain(), with("token_type", json!("access"))),
        (json!({"alg": "HS256", "kid": Key::hs256(SECRET).unwrap().fingerprint()}), claims()),
        (json!({"alg": "HS256", "jku": "https://evil.example/keys", "x": 1}), claims()),
    ] {
        assert!(hs256().verify(&signed(&header, &claims), NOW).is_ok(), "{header} {claims}");
    }
}

#[test]
fn an_older_key_still_verifies_and_signs_nothing() {
    let older = Tokens::new(Keys::new(Key::hs256(OLDER).unwrap()), policy());
    let token = older.issue(grant(), NOW).unwrap().token;
    assert!(hs256().verify(&token.0, NOW).is_ok());
    let new = hs256().issue(grant(), NOW).unwrap().token;
    assert!(older.verify(&new.0, NOW).is_err());
}

//= specs/auth.md#auth-91
//= type=test
//# A token that names no key MUST be judged by every key of its algorithm that we sign or signed
//# with, and by no other.
#[test]
fn a_token_without_a_name_is_judged_by_every_key_of_its_algorithm_and_by_no_other() {
    let by = |secret: &[u8]| forged(&plain().to_string(), &claims().to_string(), secret);
    let ed = Key::from_pem(&Key::generate_eddsa_pem().unwrap()).unwrap();
    let signing_ed = Keys::new(ed.clone()).also_verify(Key::hs256(OLDER).unwrap());
    let signing_ed = Tokens::new(signing_ed.also_verify(Key::hs256(SECRET).unwrap()), policy());
    let refused = Err(ErrorCode::Unauthorized);
    for tokens in [&hs256(), &signing_ed] {
        for secret in [SECRET, OLDER] {
            assert!(tokens.verify(&by(secret), NOW).is_ok());
        }
        assert_eq!(tokens.verify(&by(STRANGER), NOW), refused);
    }
    let header = Header::new(Algorithm::EdDSA);
    let unnamed = jsonwebtoken::encode(&header, &claims(), ed.signing()).unwrap();
    assert!(signing_ed.verify(&unnamed, NOW).is_ok());
    assert_eq!(hs256().verify(&unnamed, NOW), refused);

    // The one that signs first; none of another algorithm, and none beside the one that is named.
    let keys = signing_ed.keys();
    let tried = |kid: Option<&str>, algorithm| {
        keys.candidates(kid, algorithm).map(|key| key.fingerprint().to_owned()).collect::<Vec<_>>()
    };
    let own = ed.fingerprint();
    assert_eq!(tried(None, Algorithm::EdDSA), [own]);
    assert_eq!(tried(None, Algorithm::HS256).len(), 2);
    assert!(tried(None, Algorithm::RS256).is_empty());
    assert_eq!(tried(Some(own), Algorithm::EdDSA), [own]);
    assert!(tried(Some(own), Algorithm::HS256).is_empty());
    assert!(tried(Some(""), Algorithm::HS256).is_empty());
    let newer = hs256();
    let first = newer.keys().candidates(None, Algorithm::HS256).next().unwrap();
    assert_eq!(first.fingerprint(), newer.keys().signing().fingerprint());
}

fn without_signature(token: &str) -> String {
    token.rsplit_once('.').unwrap().0.to_owned() + "."
}

/// Hostile tokens with a good signature by the right secret: what the claims and header say is wrong.
fn well_signed() -> Vec<(&'static str, String)> {
    let h = plain;
    let header = |extra: Value| {
        let mut header = h();
        header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        signed(&header, &claims())
    };
    let payload = |claims: &Value| signed(&h(), claims);
    let raw = |payload: &str| forged(&h().to_string(), payload, SECRET);
    let deep = format!("{}1{}", "[".repeat(3_000), "]".repeat(3_000));
    vec![
        ("no exp", payload(&without("exp"))),
        ("exp as text", payload(&with("exp", json!("1900000000")))),
        ("exp null", payload(&with("exp", Value::Null))),
        ("exp negative", payload(&with("exp", json!(-1)))),
        ("exp beyond numbers", raw(&claims().to_string().replace("1800000060", "1e400"))),
        ("no sub", payload(&without("sub"))),
        ("sub empty", payload(&with("sub", json!("")))),
        ("sub with a control character", payload(&with("sub", json!("ada\u{0}")))),
        ("sub a number", payload(&with("sub", json!(7)))),
        ("sub too long", payload(&with("sub", json!("x".repeat(129))))),
        ("no iss", payload(&without("iss"))),
        ("another iss", payload(&with("iss", json!("netra-auth-service")))),
        ("a list of iss", payload(&with("iss", json!(["goldenpath", "evil"])))),
        ("no aud", payload(&without("aud"))),
        ("another aud", payload(&with("aud", json!("elsewhere")))),
        ("aud an object", payload(&with("aud", json!({"goldenpath": 1})))),
        ("aud empty", payload(&with("aud", json!([])))),
        ("nbf in the future", payload(&with("nbf", json!(NOW_S + 60)))),
        ("nbf as text", payload(&with("nbf", json!("now")))),
        ("iat in the future", payload(&with("iat", json!(NOW_S + 60)))),
        ("a refresh token", payload(&with("token_type", json!("refresh")))),
        ("sid of another kind", payload(&with("sid", json!("thr_00000000000000000000000001")))),
        ("sub twice", raw(&claims().to_string().replacen('{', r#"{"sub":"eve","#, 1))),
        ("payload a list", raw("[]")),
        ("payload null", raw("null")),
        ("payload empty", raw("")),
        ("payload not JSON", raw("{")),
        ("payload with a tail", raw(&format!("{}x", claims()))),
        (
            "payload deep",
            raw(&claims().to_string().replacen('{', &format!(r#"{{"email":{deep},"#), 1)),
        ),
        ("crit unknown", header(json!({"crit": ["exp"]}))),
        ("crit empty", header(json!({"crit": []}))),
        ("crit b64", header(json!({"crit": ["b64"], "b64": false}))),
        ("compressed", header(json!({"zip": "DEF"}))),
        ("encrypted", header(json!({"enc": "A128GCM"}))),
        ("a token inside", header(json!({"cty": "JWT"}))),
        ("another kind", header(json!({"typ": "dpop+jwt"}))),
        ("kid unknown", header(json!({"kid": "another"}))),
        ("kid a path", header(json!({"kid": "../../dev/null"}))),
        ("kid a number", header(json!({"kid": 1}))),
        ("kid empty", header(json!({"kid": ""}))),
        ("alg lower case", header(json!({"alg": "hs256"}))),
        ("header without alg", signed(&json!({"typ": "JWT"}), &claims())),
        ("header a list", forged("[]", &claims().to_string(), SECRET)),
        ("alg twice", forged(r#"{"alg":"none","alg":"HS256"}"#, &claims().to_string(), SECRET)),
        ("too long", payload(&with("email", json!("x".repeat(MAX_TOKEN_BYTES))))),
    ]
}

/// Hostile tokens that the right secret did not sign as they stand.
fn badly_signed() -> Vec<(&'static str, String)> {
    let good = signed(&plain(), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let encoded = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let raw_signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let with_alg = |alg: &str| format!("{}.{payload}.{signature}", encoded(json!({"alg": alg})));
    let by = |secret: &[u8]| forged(&plain().to_string(), &claims().to_string(), secret);
    vec![
        ("empty", String::new()),
        ("dots", "..".into()),
        ("one part", "abc".into()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts, as if encrypted", "a.b.c.d.e".into()),
        ("no signature", without_signature(&good)),
        ("alg none", format!("{}.{payload}.", encoded(json!({"alg": "none"})))),
        ("alg None", format!("{}.{payload}.{signature}", encoded(json!({"alg": "None"})))),
        ("alg HS384", with_alg("HS384")),
        ("alg HS512", with_alg("HS512")),
        ("alg RS256", with_alg("RS256")),
        ("alg EdDSA", with_alg("EdDSA")),
        ("another secret", by(STRANGER)),
        ("the empty secret", by(b"")),
        ("another payload", format!("{header}.{}.{signature}", encoded(with("sub", json!("eve"))))),
        ("signature cut", format!("{header}.{payload}.{}", &signature[..signature.len() - 4])),
        ("signature longer", format!("{good}AAAA")),
        ("signature of zeros", format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([0; 32]))),
        (
            "signature with padding",
            format!("{header}.{payload}.{}", URL_SAFE.encode(&raw_signature)),
        ),
        ("header in the other alphabet", {
            let standard = STANDARD.encode(r#"{"alg":"HS256","x":"?>?>~~~"}"#);
            format!("{standard}.{payload}.{signature}")
        }),
        ("white space around", format!(" {good} ")),
        ("white space inside", good.replacen('.', ". ", 1)),
        ("a NUL at the end", format!("{good}\0")),
        ("not ASCII", good.replacen('.', "․", 1)),
        ("with its scheme", format!("Bearer {good}")),
        ("very long", "a.".repeat(1_000_000)),
    ]
}

/// AUTH-06: one verifier, one verdict; whatever a token says about its own checking is not believed.
//= specs/auth.md#auth-13
//= type=test
//# A token whose signature, header or shape is not as agreed MUST be refused as `unauthorized`.
#[test]
fn every_hostile_token_is_refused() {
    let tokens = hs256();
    assert!(tokens.verify(&signed(&plain(), &claims()), NOW).is_ok(), "the pattern itself is good");
    let all: Vec<_> = well_signed().into_iter().chain(badly_signed()).collect();
    assert!(all.len() >= 70, "{}", all.len());
    for (name, token) in all {
        assert_eq!(tokens.verify(&token, NOW), Err(ErrorCode::Unauthorized), "{name}");
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let pem = Key::generate_eddsa_pem().unwrap();
    let tokens = eddsa(&pem);
    let issued = tokens.issue(grant(), NOW).unwrap().token.0;
    let key = tokens.keys().candidates(None, Algorithm::EdDSA).next().unwrap();
    let public = key.verifying().try_get_as_bytes().unwrap().to_vec();
    let kid = tokens.keys().signing().fingerprint();
    for secret in [public.as_slice(), pem.as_bytes(), SECRET] {
        for header in [json!({"alg": "HS256", "kid": kid}), plain(), json!({"alg": "EdDSA"})] {
            let token = forged(&header.to_string(), &claims().to_string(), secret);
            assert_eq!(tokens.verify(&token, NOW), Err(ErrorCode::Unauthorized));
        }
    }
    let stranger = eddsa(&Key::generate_eddsa_pem().unwrap());
    assert_eq!(stranger.verify(&issued, NOW), Err(ErrorCode::Unauthorized));
    assert_eq!(hs256().verify(&issued, NOW), Err(ErrorCode::Unauthorized));
    assert_eq!(
        tokens.verify(&hs256().issue(grant(), NOW).unwrap().token.0, NOW),
        Err(ErrorCode::Unauthorized)
    );
}

/// AUTH-05.
#[test]
fn no_token_and_no_key_is_printed() {
    let tokens = hs256();
    let issued = tokens.issue(grant(), NOW).unwrap();
    let text = format!("{tokens:?} {issued:?}");
    assert!(!text.contains(&issued.token.0) && !text.contains("0123456789abcdef0123"));
}

proptest! {
    #![proptest_config(goldenpath_proof::counted())]

    #[test]
    fn no_text_makes_it_panic_or_is_accepted(text in "\\PC{0,60}(\\.\\PC{0,60}){0,4}") {
        prop_assert!(hs256().verify(&text, NOW).is_err());
    }

    #[test]
    fn no_changed_byte_is_accepted(at in 0usize..400, to in "[A-Za-z0-9_-]") {
        let tokens = hs256();
        let good = tokens.issue(grant(), NOW).unwrap().token.0;
        let at = at % good.len();
        let mut changed = good.clone();
        changed.replace_range(at..=at, &to);
        // The last digit of a base64 text may hold bits that mean nothing; such a text is another
        // spelling of the same bytes, and the library refuses it or reads the same.
        if changed != good && !good[at..].starts_with('.') && at + 1 != good.len() {
            prop_assert!(tokens.verify(&changed, NOW).is_err(), "{changed}");
        }
    }
}
