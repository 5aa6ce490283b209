//! Tokens: no hostile token is accepted, no good one refused, and the verdict is total.
//!
//! The judge is a second verifier in this file that shares no code with the first but the hash: it takes
//! the token apart by hand, checks the signature with the algorithm of the key, and reads the claims as
//! plain JSON.

use crate::draw::{json, quoted, text};
use arbitrary::{Result, Unstructured};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use goldenpath_core::auth::{MAX_TOKEN_BYTES, Policy};
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::ErrorCode;
use goldenpath_jsonwebtoken::{Key, Keys, Tokens};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::LazyLock;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const OLDER: &[u8] = b"fedcba9876543210fedcba9876543210";
const STRANGER: &[u8] = b"not the secret, but long enough!";
const NOW_S: u64 = 1_800_000_000;
const NOW: Wall = Wall(NOW_S * 1000 + 500);
const LEEWAY: Millis = Millis::from_secs(5);

/// PKCS#8 of an Ed25519 key (RFC 8410 section 7): the algorithm, then 32 bytes.
fn private_key() -> Vec<u8> {
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([7; 32]);
    der
}

static PAIR: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_pkcs8(&private_key()).expect("a key"));

static BY_SECRET: LazyLock<Tokens> = LazyLock::new(|| {
    let key = |secret| Key::hs256(secret).expect("long enough");
    Tokens::new(Keys::new(key(SECRET)).also_verify(key(OLDER)), policy())
});

static BY_PAIR: LazyLock<Tokens> = LazyLock::new(|| {
    let body = STANDARD.encode(private_key());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    Tokens::new(Keys::new(Key::from_pem(&pem).expect("a key")), policy())
});

static OLDER_ID: LazyLock<String> =
    LazyLock::new(|| Key::hs256(OLDER).expect("long enough").fingerprint().to_owned());

fn policy() -> Policy {
    Policy {
        issuer: "goldenpath".into(),
        audience: Some("goldenpath".into()),
        leeway: LEEWAY,
        max_age: None,
        older_issuer: None,
    }
}

/// Text that begins like a token is one; anything else is drawn from.
pub fn token(data: &[u8]) {
    if data.starts_with(b"ey") {
        let token = String::from_utf8_lossy(data);
        judge(&token, false);
    } else {
        let _ = drawn(&mut Unstructured::new(data));
    }
}

/// Checks the verdicts of both verifiers on one token. `tidy`: no member of its JSON occurs twice.
fn judge(token: &str, tidy: bool) {
    for (tokens, verifier) in [(&*BY_SECRET, Verifier::Secret), (&*BY_PAIR, Verifier::Pair)] {
        let verdict = tokens.verify(token, NOW);
        let judged = verifier.verdict(token);
        match &verdict {
            Ok(verified) => {
                assert_eq!(judged, Judged::Good, "accepted: {token}");
                let payload = token.split('.').nth(1).unwrap_or_default();
                let claims = object(payload).expect("a good token has claims");
                assert_eq!(verified.vouched.user_id().as_str(), claims["sub"]);
                let ends = verified.vouched.expires_at().expect("every token ends");
                assert!(ends.after(LEEWAY) > NOW);
                let later = tokens.verify(token, ends.after(LEEWAY));
                assert_eq!(later, Err(ErrorCode::TokenExpired), "it ends");
            }
            Err(ErrorCode::TokenExpired) => {
                assert_eq!(
                    judged,
                    Judged::Expired,
                    "a stranger learns nothing about time: {token}"
                );
            }
            Err(code) => {
                assert_eq!(*code, ErrorCode::Unauthorized);
                assert!(!tidy || judged == Judged::Bad, "refused, but {judged:?}: {token}");
            }
        }
        assert_eq!(verdict, tokens.verify(token, NOW), "the same token, the same verdict");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    Good,
    Expired,
    Bad,
}

#[derive(Clone, Copy)]
enum Verifier {
    Secret,
    Pair,
}

impl Verifier {
    fn verdict(self, token: &str) -> Judged {
        match self.check(token) {
            None => Judged::Bad,
            Some(expires) if expires.saturating_mul(1000).saturating_add(LEEWAY.0) <= NOW.0 => {
                Judged::Expired
            }
            Some(_) => Judged::Good,
        }
    }

    /// When the token ends, if it is one of ours; RFC 7519 section 7.2, step by step.
    fn check(self, token: &str) -> Option<u64> {
        let mut parts = token.split('.');
        let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let head = object(header)?;
        let text = |name: &str| head.get(name).and_then(Value::as_str);
        let id = head.get("kid").filter(|kid| !kid.is_null());
        let signed = format!("{header}.{payload}");
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        match self {
            Self::Secret => {
                let secrets: &[&[u8]] = match id {
                    // Whoever names no key may have used either.
                    None => &[SECRET, OLDER],
                    Some(id) if id == BY_SECRET.keys().signing().fingerprint() => &[SECRET],
                    Some(id) if id.as_str() == Some(OLDER_ID.as_str()) => &[OLDER],
                    Some(_) => return None,
                };
                let is_signed_by = |secret: &&[u8]| {
                    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                    hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
                };
                secrets.iter().any(is_signed_by).then_some(())?;
                (text("alg")? == "HS256").then_some(())?;
            }
            Self::Pair => {
                id.is_none_or(|id| id == BY_PAIR.keys().signing().fingerprint()).then_some(())?;
                let public = PAIR.public_key().as_ref();
                let key = UnparsedPublicKey::new(&ED25519, public);
                key.verify(signed.as_bytes(), &signature).ok()?;
                (text("alg")? == "EdDSA").then_some(())?;
            }
        }
        let absent = |name: &str| head.get(name).is_none_or(Value::is_null);
        ["crit", "zip", "enc", "cty"].into_iter().all(absent).then_some(())?;
        let kind = head.get("typ").filter(|kind| !kind.is_null());
        let is_jwt = |kind: &str| ["jwt", "at+jwt"].contains(&kind.to_ascii_lowercase().as_str());
        kind.is_none_or(|kind| kind.as_str().is_some_and(is_jwt)).then_some(())?;
        claims(&object(payload)?)
    }
}

/// When good claims end.
fn claims(claims: &Value) -> Option<u64> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let user = text("sub")?;
    let named = (1..=128).contains(&user.len()) && !user.chars().any(char::is_control);
    let ours = |aud: &Value| *aud == "goldenpath";
    let meant = match claims.get("aud")? {
        Value::Array(all) => all.iter().all(Value::is_string) && all.iter().any(ours),
        one => ours(one),
    };
    let seconds = |value: &Value| {
        value.as_u64().or_else(|| {
            value.as_f64().filter(|f| value.is_f64() && (0.0..9.0e15).contains(f)).map(|f| f as u64)
        })
    };
    let began = |name: &str| match claims.get(name) {
        None => true,
        Some(at) => seconds(at).is_some_and(|at| at.saturating_mul(1000) <= NOW.0 + LEEWAY.0),
    };
    let is_access = match claims.get("token_type") {
        None | Some(Value::Null) => true,
        Some(kind) => *kind == "access",
    };
    let good = named && text("iss")? == "goldenpath" && meant && is_access;
    (good && began("nbf") && began("iat")).then_some(())?;
    seconds(claims.get("exp")?)
}

/// The members that mean something; what is inside the others is nobody's business.
fn object(part: &str) -> Option<Value> {
    const READ: &[&str] = &[
        "alg",
        "aud",
        "crit",
        "cty",
        "enc",
        "exp",
        "iat",
        "iss",
        "kid",
        "nbf",
        "sub",
        "token_type",
        "typ",
        "zip",
    ];
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(&bytes).ok()?;
    let read = members.into_iter().filter(|(name, _)| READ.contains(&name.as_str()));
    let values = read.map(|(name, raw)| Some((name, serde_json::from_str(raw.get()).ok()?)));
    values.collect::<Option<_>>().map(Value::Object)
}

/// A token that is good but for what the bytes change: its header, its claims, its key, its text.
fn drawn(u: &mut Unstructured<'_>) -> Result<()> {
    let mut header = vec![("alg", quoted("HS256")), ("typ", quoted("JWT"))];
    let mut payload = vec![
        ("sub", quoted("ada")),
        ("iss", quoted("goldenpath")),
        ("aud", quoted("goldenpath")),
        ("exp", (NOW_S + 60).to_string()),
        ("iat", NOW_S.to_string()),
    ];
    let key = u.int_in_range(0..=7)?;
    if key == 7 {
        header[0].1 = quoted("EdDSA");
    }
    let headers =
        ["alg", "typ", "kid", "crit", "zip", "enc", "cty", "jku", "jwk", "x5c", "b64", "x"];
    change(u, &mut header, &headers, header_value)?;
    let claims = [
        "sub",
        "iss",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "sid",
        "demo",
        "email",
        "permissions",
        "token_type",
        "x",
    ];
    change(u, &mut payload, &claims, claim_value)?;
    let part = |members: &[(&str, String)]| URL_SAFE_NO_PAD.encode(write(members));
    let message = format!("{}.{}", part(&header), part(&payload));
    let signature = sign(key, message.as_bytes());
    let whole = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&signature));
    judge(&whole, is_tidy(&header) && is_tidy(&payload));
    if u.ratio(1, 4)? {
        judge(&damaged(u, &whole, &signature)?, false);
    }
    Ok(())
}

/// Nothing occurs twice, and nothing is there whose type only the first verifier looks at: then both must
/// say the same.
fn is_tidy(members: &[(&str, String)]) -> bool {
    let ours = ["alg", "aud", "exp", "iat", "iss", "kid", "nbf", "sub", "token_type", "typ"];
    members.iter().all(|(name, value)| {
        let shallow = !value.contains("[[") && !value.contains("\\ud800") && value != "1e999";
        let once = members.iter().filter(|(other, _)| other == name).count() == 1;
        shallow && once && ours.contains(name)
    })
}

fn change(
    u: &mut Unstructured<'_>,
    members: &mut Vec<(&'static str, String)>,
    names: &[&'static str],
    value: fn(&mut Unstructured<'_>, &str) -> Result<String>,
) -> Result<()> {
    for _ in 0..u.int_in_range(0..=3)? {
        let name = *u.choose(names)?;
        if !u.ratio(1, 12)? {
            members.retain(|(known, _)| *known != name);
        }
        if u.ratio(5, 6)? {
            members.push((name, value(u, name)?));
        }
    }
    Ok(())
}

fn header_value(u: &mut Unstructured<'_>, name: &str) -> Result<String> {
    let known = BY_SECRET.keys().signing().fingerprint();
    let texts: &[&str] = match name {
        "alg" => &["HS256", "EdDSA", "none", "None", "hs256", "HS384", "HS512", "RS256", "ES256"],
        "typ" => &["JWT", "jwt", "at+jwt", "dpop+jwt", ""],
        "kid" => &[known, &OLDER_ID, BY_PAIR.keys().signing().fingerprint(), "", "../../dev/null"],
        _ => &["DEF", "JWT", "https://evil.example/keys"],
    };
    if u.ratio(1, 4)? { json(u, 1) } else { Ok(quoted(u.choose(texts)?)) }
}

fn claim_value(u: &mut Unstructured<'_>, name: &str) -> Result<String> {
    if u.ratio(1, 4)? {
        return json(u, 2);
    }
    let at = |offset: i64| (NOW_S as i64 + offset).to_string();
    Ok(match name {
        "exp" | "iat" | "nbf" => match u.int_in_range(0..=9)? {
            0 => format!("{}.9", at(-5)),
            1 => "18446744073709551615".into(),
            2 => "9e15".into(),
            3 => "1.8e9".into(),
            4 => quoted(&at(60)),
            _ => at(*u.choose(&[-3600, -6, -5, -4, -1, 0, 1, 4, 5, 6, 3600])?),
        },
        "sub" => quoted(&if u.arbitrary()? { text(u)? } else { "eve".into() }),
        "iss" => {
            quoted(u.choose(&["goldenpath", "Goldenpath", "netra-auth-service", "goldenpath\0"])?)
        }
        "aud" => (*u.choose(&[
            "[\"x\",\"goldenpath\"]",
            "[\"goldenpath\",1]",
            "[]",
            "\"x\"",
            "\"goldenpath\"",
            "{}",
        ])?)
        .into(),
        "token_type" => {
            (*u.choose(&["\"access\"", "\"refresh\"", "null", "\"ACCESS\"", "1"])?).into()
        }
        "sid" => quoted(u.choose(&[
            "ses_00000000000000000000000001",
            "thr_00000000000000000000000001",
            "x",
        ])?),
        "demo" => (*u.choose(&["true", "false", "1"])?).into(),
        _ => quoted(&text(u)?),
    })
}

fn write(members: &[(&str, String)]) -> String {
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn sign(key: u8, message: &[u8]) -> Vec<u8> {
    let by = |secret: &[u8]| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
    };
    match key {
        0..=2 => by(SECRET),
        3 => by(OLDER),
        4 => by(STRANGER),
        // The oldest confusion: the public key taken for a secret.
        5 => by(PAIR.public_key().as_ref()),
        6 => Vec::new(),
        _ => PAIR.sign(message).as_ref().to_vec(),
    }
}

fn damaged(u: &mut Unstructured<'_>, whole: &str, signature: &[u8]) -> Result<String> {
    let message = whole.rsplit_once('.').map_or(whole, |(message, _)| message);
    Ok(match u.int_in_range(0..=7)? {
        0 => format!("{message}.{}", URL_SAFE.encode(signature)),
        1 => format!("{message}."),
        2 => message.to_owned(),
        3 => format!("{whole}.{}", URL_SAFE_NO_PAD.encode(signature)),
        4 => format!(" {whole}"),
        5 => format!("{whole}\0"),
        6 => format!("Bearer {whole}"),
        _ => {
            let mut bytes = whole.as_bytes().to_vec();
            let at = u.int_in_range(0..=bytes.len() - 1)?;
            bytes[at] = *u.choose(b"Aa0-_.+/=")?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
    })
}
