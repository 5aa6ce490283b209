//! Makes the tokens of the table: keys, headers, claims, signatures and what is done to them afterwards.

use crate::row::Row;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use goldenpath_jsonwebtoken::{Key, VerifyingKey};
use serde_json::{Map, Value, json};

/// What a server's key may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Hs256,
    Rs256,
    Es256,
    EdDsa,
}

/// A key of one kind, with its private part.
pub(crate) enum Pair {
    Hmac(Vec<u8>),
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Pair {
    fn new(kind: Kind) -> Self {
        let rng = SystemRandom::new();
        match kind {
            Kind::Hs256 => {
                let mut bytes = [0; 30];
                rand::fill(&mut bytes).unwrap();
                Self::Hmac(URL_SAFE_NO_PAD.encode(bytes).into_bytes())
            }
            Kind::Rs256 => Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
            Kind::Es256 => {
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let der = EcdsaKeyPair::generate_pkcs8(algorithm, &rng).unwrap();
                Self::Ec(EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref()).unwrap())
            }
            Kind::EdDsa => Self::Ed(Ed25519KeyPair::generate().unwrap()),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Hmac(_) => "HS256",
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Hmac(secret) => by_secret(secret, message),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let rng = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// PKCS#8, as the server reads it.
    pub(crate) fn private_pem(&self) -> String {
        let der: Pkcs8V1Der<'static> = match self {
            Self::Hmac(_) => unreachable!("a secret has no PEM"),
            Self::Rsa(pair) => pair.as_der().unwrap(),
            Self::Ec(pair) => return pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()),
            Self::Ed(pair) => pair.as_der().unwrap(),
        };
        pem("PRIVATE KEY", der.as_ref())
    }

    /// What everybody may know.
    pub(crate) fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.public_der())
    }

    fn public_der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'static> = match self {
            Self::Hmac(_) => unreachable!("a secret has no public part"),
            Self::Rsa(pair) => pair.public_key().as_der().unwrap(),
            Self::Ec(pair) => pair.public_key().as_der().unwrap(),
            Self::Ed(pair) => pair.public_key().as_der().unwrap(),
        };
        der.as_ref().to_vec()
    }

    fn kid(&self) -> String {
        match self {
            Self::Hmac(secret) => Key::hs256(secret).unwrap().fingerprint().to_owned(),
            pair => VerifyingKey::from_pem(&pair.public_pem()).unwrap().fingerprint().to_owned(),
        }
    }

    /// As a thief would offer it.
    fn jwk(&self) -> Value {
        match self {
            Self::Hmac(secret) => json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret)}),
            Self::Ed(pair) => {
                let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x, "alg": "EdDSA"})
            }
            Self::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let [x, y] = [&point[..32], &point[32..]].map(|c| URL_SAFE_NO_PAD.encode(c));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
            Self::Rsa(pair) => {
                let n = pair.public_key().modulus().big_endian_without_leading_zero().to_vec();
                json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": "AQAB"})
            }
        }
    }
}

fn by_secret(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

fn pem(name: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {name}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        text.push_str(core::str::from_utf8(line).unwrap());
        text.push('\n');
    }
    text + "-----END " + name + "-----\n"
}

/// A token as it is presented.
pub(crate) struct Made {
    pub(crate) token: String,
    pub(crate) subject: String,
}

/// All keys around one server.
pub(crate) struct Forge {
    pub(crate) server: Pair,
    pub(crate) older: Pair,
    /// Of another kind than the others.
    pub(crate) older2: Pair,
    stranger: Pair,
    pub(crate) kid: String,
}

impl Forge {
    pub(crate) fn new(kind: Kind) -> Self {
        let other = if kind == Kind::Hs256 { Kind::Es256 } else { Kind::Hs256 };
        let server = Pair::new(kind);
        let kid = server.kid();
        let [older, stranger] = [Pair::new(kind), Pair::new(kind)];
        Self { server, older, older2: Pair::new(other), stranger, kid }
    }

    /// What must not be in any log.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let text = |pair: &Pair| match pair {
            Pair::Hmac(secret) => String::from_utf8(secret.clone()).unwrap(),
            pair => pair.private_pem().lines().nth(1).unwrap().to_owned(),
        };
        [&self.server, &self.older, &self.older2].map(text).to_vec()
    }

    /// The token of a row at this second. A row that edits its token is tried with small differences
    /// until the edit changes something: not every text has a character to be spelt otherwise.
    pub(crate) fn make(&self, row: &Row, now: u64) -> Made {
        let edits = row.edits();
        for vary in 0..200 {
            let (token, subject) = self.signed(row, now, (!edits.is_empty()).then_some(vary));
            let edited = edits
                .iter()
                .try_fold(token.clone(), |token, edit| self.edited(&token, edit))
                .filter(|edited| edits.is_empty() || *edited != token);
            if let Some(token) = edited {
                return Made { token, subject };
            }
        }
        panic!("{}: the edit changes nothing", row.name());
    }

    /// A good token of this user.
    pub(crate) fn plain(&self, user: &str, now: u64) -> String {
        let row = json!({"name": "plain", "verdict": "good", "claims": {"sub": user}});
        self.make(&Row(row), now).token
    }

    fn signed(&self, row: &Row, now: u64, vary: Option<usize>) -> (String, String) {
        let mut header = json!({"alg": self.server.algorithm(), "typ": "JWT", "kid": self.kid});
        let mut claims = json!({
            "sub": "ada", "iss": "goldenpath", "aud": "goldenpath", "exp": now + 600, "iat": now,
        });
        if let Some(vary) = vary {
            header["vary"] = "?".repeat(vary % 7).into();
            claims["vary"] = "?".repeat(vary).into();
        }
        for (of, part) in [("header", &mut header), ("claims", &mut claims)] {
            let part = part.as_object_mut().unwrap();
            for (name, value) in row.members(of) {
                if value.is_null() {
                    part.remove(&name);
                } else {
                    part.insert(name, self.resolved(value, now));
                }
            }
        }
        let subject = claims["sub"].as_str().unwrap_or_default().to_owned();
        let header_text = row
            .raw("header_raw")
            .map_or_else(|| header.to_string(), |raw| raw.replace("$header", &inside(&header, "")));
        let claims_text = row.raw("claims_raw").map_or_else(
            || claims.to_string(),
            |raw| {
                raw.replace("$claims_but_exp", &inside(&claims, "exp"))
                    .replace("$claims_but_sub", &inside(&claims, "sub"))
                    .replace("$claims", &inside(&claims, ""))
            },
        );
        let [head, body] = [header_text, claims_text].map(|part| URL_SAFE_NO_PAD.encode(part));
        let message = format!("{head}.{body}");
        let signature = URL_SAFE_NO_PAD.encode(self.signature(row.by(), message.as_bytes()));
        (format!("{message}.{signature}"), subject)
    }

    fn signature(&self, by: &str, message: &[u8]) -> Vec<u8> {
        match by {
            "server" => self.server.sign(message),
            "stranger" => self.stranger.sign(message),
            "older" => self.older.sign(message),
            "older2" => self.older2.sign(message),
            "nobody" => Vec::new(),
            other => {
                let what = other.strip_prefix("hmac ").unwrap_or_else(|| panic!("by {other}?"));
                by_secret(&self.taken_for_a_secret(what), message)
            }
        }
    }

    /// What everybody knows, and a careless server takes for its secret.
    fn taken_for_a_secret(&self, what: &str) -> Vec<u8> {
        let public = match &self.server {
            Pair::Hmac(_) => &self.older2,
            pair => pair,
        };
        match what {
            "public pem" => public.public_pem().into_bytes(),
            "public pem trimmed" => public.public_pem().trim().as_bytes().to_vec(),
            "public der" => public.public_der(),
            "public jwk" => public.jwk().to_string().into_bytes(),
            "thumbprint" | "kid" => self.kid.clone().into_bytes(),
            "empty" => Vec::new(),
            "zeros" => vec![0; 32],
            "one NUL" => vec![0],
            "issuer" => b"goldenpath".to_vec(),
            other => panic!("hmac {other}?"),
        }
    }

    fn resolved(&self, value: Value, now: u64) -> Value {
        match value {
            Value::String(text) => self.resolved_text(&text, now),
            Value::Array(all) => all.into_iter().map(|one| self.resolved(one, now)).collect(),
            Value::Object(members) => {
                let members = members.into_iter().map(|(k, v)| (k, self.resolved(v, now)));
                Value::Object(members.collect::<Map<_, _>>())
            }
            other => other,
        }
    }

    fn resolved_text(&self, text: &str, now: u64) -> Value {
        match text {
            "<null>" => return Value::Null,
            "$stranger_jwk" => return self.stranger.jwk(),
            "$long" => return "x".repeat(8192).into(),
            "$nearly_long" => return "x".repeat(5000).into(),
            _ => {}
        }
        if let Some(offset) = text.strip_prefix("now").filter(|o| o.starts_with(['+', '-'])) {
            return offset.parse::<i64>().map_or_else(
                |_| (now as f64 + offset.parse::<f64>().unwrap()).into(),
                |offset| (now as i64 + offset).into(),
            );
        }
        text.replace("$half_kid", &self.kid[..8])
            .replace("$KID", &format!("{}X", self.kid.to_uppercase()))
            .replace("$kid", &self.kid)
            .replace("$older2_alg", self.older2.algorithm())
            .replace("$older_alg", self.older.algorithm())
            .replace("$older2", &self.older2.kid())
            .replace("$older", &self.older.kid())
            .replace("$alg", self.server.algorithm())
            .into()
    }

    /// The token after an edit; `None` when it changes nothing.
    fn edited(&self, token: &str, edit: &[Value]) -> Option<String> {
        let word = |at: usize| edit[at].as_str().unwrap();
        let part_at = || usize::try_from(edit[1].as_u64().unwrap()).unwrap();
        let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        match word(0) {
            "whole" => return Some(word(1).replace("$token", token)),
            "append" => return Some(format!("{token}{}", word(1).replace("$token", token))),
            "prepend" => return Some(format!("{}{token}", word(1))),
            "first" => return Some(token[..part_at()].to_owned()),
            "last" => return Some(token[..token.len() - part_at()].to_owned()),
            "lower" => return Some(token.to_lowercase()),
            "percent" => return Some(token.replace('.', "%2E")),
            "dots" => return Some(token.replace('.', word(1))),
            "base64" => return Some(URL_SAFE_NO_PAD.encode(token)),
            "reverse" => parts.reverse(),
            "sign payload" => {
                parts[2] = URL_SAFE_NO_PAD.encode(self.server.sign(parts[1].as_bytes()));
            }
            "payload" => {
                let mut claims: Value = serde_json::from_slice(&decoded(&parts[1])).unwrap();
                claims["sub"] = word(1).into();
                parts[1] = URL_SAFE_NO_PAD.encode(claims.to_string());
            }
            "drop" => drop(parts.remove(part_at())),
            op => {
                let part = &mut parts[part_at()];
                let middle = part.len() / 2;
                match op {
                    "empty" => part.clear(),
                    "cut" => {
                        let by = usize::try_from(edit[2].as_u64().unwrap()).unwrap();
                        part.truncate(part.len() - by);
                    }
                    "more" => part.push_str(word(2)),
                    "inside" => part.insert_str(middle, word(2)),
                    "double" => *part = part.repeat(2),
                    "change" => {
                        let other = if &part[middle..=middle] == "A" { "B" } else { "A" };
                        part.replace_range(middle..=middle, other);
                    }
                    "zeros" => {
                        let zeros = vec![0; decoded(part).len()];
                        *part = URL_SAFE_NO_PAD.encode(zeros);
                    }
                    "hex" => {
                        *part = decoded(part).iter().map(|byte| format!("{byte:02x}")).collect();
                    }
                    "other alphabet" => *part = STANDARD_NO_PAD.encode(decoded(part)),
                    "loose" => *part = loose(part)?,
                    other => panic!("edit {other}?"),
                }
            }
        }
        Some(parts.join("."))
    }
}

/// The members of an object without its braces, and without one of them.
fn inside(object: &Value, without: &str) -> String {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove(without);
    let text = object.to_string();
    text[1..text.len() - 1].to_owned()
}

/// The same bytes with other bits where base64 has bits to spare; `None` when it has none.
fn loose(part: &str) -> Option<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if part.len().is_multiple_of(4) {
        return None;
    }
    let last = *part.as_bytes().last()?;
    let at = ALPHABET.iter().position(|c| *c == last)?;
    let other = char::from(ALPHABET[at ^ 1]);
    Some(format!("{}{other}", &part[..part.len() - 1]))
}
