//! Access tokens of other issuers: what they must say once their signature was found good, and whom
//! they make known here.
//!
//! The issuer decides who somebody is there; who that is here is decided by issuer and subject
//! together. Nothing else it says counts: no permission, no log-in of ours, no address.

use super::claims::{Times, check_times, one_or_many, seconds, some_seconds};
use super::{MAX_TOKEN_BYTES, Signed, Vouched};
use crate::connection::Identity;
use crate::id::{SessionId, UserId};
use crate::time::{Millis, Wall};
use crate::wire::ErrorCode;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// The longest subject, in bytes (OpenID Connect Core section 2).
const SUBJECT_BYTES: usize = 255;

/// What a token of another issuer says, as far as it is looked at. Times are seconds since the Unix
/// epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct ForeignClaims {
    iss: String,
    sub: String,
    #[serde(default, deserialize_with = "one_or_many")]
    aud: Vec<String>,
    #[serde(deserialize_with = "seconds")]
    exp: u64,
    #[serde(default, deserialize_with = "some_seconds")]
    nbf: Option<u64>,
    #[serde(default, deserialize_with = "some_seconds")]
    iat: Option<u64>,
    #[serde(default)]
    token_type: Option<String>,
    // Of an ID token, which says who logged in somewhere else and opens nothing.
    #[serde(default, deserialize_with = "is_there")]
    nonce: bool,
    #[serde(default, deserialize_with = "is_there")]
    at_hash: bool,
    // Of a log-out token and its kin (RFC 8417).
    #[serde(default, deserialize_with = "is_there")]
    events: bool,
    // Good only together with a key that nobody shows us here (RFC 7800).
    #[serde(default, deserialize_with = "is_there")]
    cnf: bool,
}

/// What this server demands of the tokens of one other issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ForeignPolicy {
    /// The only `iss` accepted.
    pub issuer: String,
    /// Must be among `aud`.
    pub audience: String,
    /// How far clocks may differ.
    pub leeway: Millis,
    /// The oldest token accepted, by `iat`, whatever its `exp` says; `None`: not checked.
    pub max_age: Option<Millis>,
}

/// Somebody another issuer vouches for. Only a verdict on a token makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Foreigner {
    issuer: String,
    subject: String,
    issued_at: Wall,
    expires_at: Wall,
}

impl Foreigner {
    /// Who says so.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What the issuer calls the user, for ever.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// When the token was issued; long ago when it does not say.
    #[must_use]
    pub const fn issued_at(&self) -> Wall {
        self.issued_at
    }

    /// As one of our users, who was found by issuer and subject. The token is a session of its own.
    #[must_use]
    pub fn known_as(self, user_id: UserId, session_id: SessionId) -> Vouched {
        let (issued_at, expires_at) = (self.issued_at, Some(self.expires_at));
        Vouched::new(Identity { user_id, session_id, issued_at, expires_at, demo: false })
    }
}

/// Compares claims with the policy at an instant. They were signed with a key of this issuer.
///
/// # Errors
/// `token_expired` when everything but the time is right, `unauthorized` otherwise.
//= specs/auth.md#auth-36
//# A token of another issuer MUST NOT be accepted unless the operator named the issuer, its audience
//# is the one set for it, and it is an access token that whoever holds it may use.
pub fn check_foreign(
    signed: &Signed<ForeignClaims>,
    policy: &ForeignPolicy,
    wall: Wall,
) -> Result<Foreigner, ErrorCode> {
    judge(signed.claims(), policy, wall)
}

/// Whether a token could be accepted if its signature were good: only to say no before anybody is
/// asked for keys.
///
/// # Errors
/// As [`check_foreign`].
pub fn could_be_accepted(token: &str, policy: &ForeignPolicy, wall: Wall) -> Result<(), ErrorCode> {
    let claims = unchecked(token).ok_or(ErrorCode::Unauthorized)?;
    judge(&claims, policy, wall).map(|_| ())
}

fn judge(
    claims: &ForeignClaims,
    policy: &ForeignPolicy,
    wall: Wall,
) -> Result<Foreigner, ErrorCode> {
    let subject = &claims.sub;
    let named = !subject.trim().is_empty()
        && subject.len() <= SUBJECT_BYTES
        && !subject.chars().any(char::is_control);
    let is_access = claims.token_type.as_deref().is_none_or(|kind| kind == "access");
    let is_other = claims.nonce || claims.at_hash || claims.events || claims.cnf;
    let meant_for_us = claims.iss == policy.issuer && claims.aud.contains(&policy.audience);
    if !meant_for_us || !named || !is_access || is_other {
        return Err(ErrorCode::Unauthorized);
    }
    let times = Times { exp: claims.exp, nbf: claims.nbf, iat: claims.iat };
    let expires_at = check_times(times, policy.leeway, policy.max_age, wall)?;
    Ok(Foreigner {
        issuer: claims.iss.clone(),
        subject: subject.clone(),
        issued_at: Wall(claims.iat.unwrap_or_default().saturating_mul(1000)),
        expires_at,
    })
}

/// Whose token it claims to be: decides which keys it is checked with, and nothing is believed yet.
#[must_use]
pub fn claimed_issuer(token: &str) -> Option<String> {
    unchecked::<Issued>(token).map(|claimed| claimed.iss)
}

#[derive(Deserialize)]
struct Issued {
    iss: String,
}

fn unchecked<T: for<'de> Deserialize<'de>>(token: &str) -> Option<T> {
    let payload = token.split('.').nth(1).filter(|_| token.len() <= MAX_TOKEN_BYTES)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Endings;
    use alloc::borrow::ToOwned as _;
    use alloc::format;
    use serde_json::{Value, json};

    const NOW: Wall = Wall(1_800_000_000_000);
    const NOW_S: u64 = 1_800_000_000;

    fn policy() -> ForeignPolicy {
        ForeignPolicy {
            issuer: "https://login.example".into(),
            audience: "chat".into(),
            leeway: Millis::from_secs(5),
            max_age: Some(Millis::from_secs(3600)),
        }
    }

    fn verdict(name: &str, value: Value) -> Result<Foreigner, ErrorCode> {
        let mut claims = json!({
            "iss": "https://login.example", "sub": "7", "aud": ["other", "chat"],
            "exp": NOW_S + 60, "iat": NOW_S - 60, "jti": "x",
        });
        claims[name] = value;
        if claims[name].is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
        let claims = serde_json::from_value(claims).map_err(|_| ErrorCode::Unauthorized)?;
        check_foreign(&Signed::by("theirs", claims), &policy(), NOW)
    }

    //= specs/auth.md#auth-36
    //= type=test
    //# A token of another issuer MUST NOT be accepted unless the operator named the issuer, its audience
    //# is the one set for it, and it is an access token that whoever holds it may use.
    #[test]
    fn what_is_no_access_token_of_this_issuer_for_us_is_refused_with_its_word() {
        for (name, good) in [
            ("x", Value::Null),
            ("aud", json!("chat")),
            ("jti", Value::Null),
            ("exp", json!(NOW_S - 4)),
            ("nbf", json!(NOW_S + 5)),
            ("iat", json!(NOW_S - 3604)),
            ("sub", json!("x".repeat(255))),
            ("token_type", json!("access")),
            ("sid", json!("a text of theirs")),
            ("permissions", json!(["audit:read"])),
            ("scope", json!("openid")),
        ] {
            assert!(verdict(name, good.clone()).is_ok(), "{name} {good}");
        }
        for (name, bad) in [
            ("iss", Value::Null),
            ("iss", json!("https://login.example/")),
            ("iss", json!(["https://login.example"])),
            ("aud", Value::Null),
            ("aud", json!("Chat")),
            ("aud", json!([])),
            ("sub", Value::Null),
            ("sub", json!("")),
            ("sub", json!(" ")),
            ("sub", json!("a\u{0}")),
            ("sub", json!("x".repeat(256))),
            ("sub", json!(7)),
            ("exp", Value::Null),
            ("exp", json!("soon")),
            ("nbf", json!(NOW_S + 6)),
            ("iat", json!(NOW_S + 6)),
            ("iat", Value::Null),
            ("token_type", json!("refresh")),
            ("nonce", json!("n")),
            ("at_hash", json!("h")),
            ("events", json!({})),
            ("cnf", json!({"jkt": "k"})),
        ] {
            assert_eq!(verdict(name, bad.clone()), Err(ErrorCode::Unauthorized), "{name} {bad}");
        }
        for (name, late) in [("exp", json!(NOW_S - 5)), ("iat", json!(NOW_S - 3605))] {
            assert_eq!(verdict(name, late), Err(ErrorCode::TokenExpired), "{name}");
        }
    }

    #[test]
    fn who_is_vouched_for_is_known_as_the_user_found_and_as_nobody_else() {
        let foreigner = verdict("sub", json!("ada")).unwrap();
        assert_eq!((foreigner.issuer(), foreigner.subject()), ("https://login.example", "ada"));
        assert_eq!(foreigner.issued_at(), Wall((NOW_S - 60) * 1000));
        let vouched = foreigner.known_as(UserId::new("user-1").unwrap(), SessionId(9));
        let identity = vouched.unless_ended(&Endings::default()).unwrap();
        assert_eq!((identity.user_id.as_str(), identity.session_id), ("user-1", SessionId(9)));
        assert_eq!(identity.expires_at, Some(Wall((NOW_S + 60) * 1000)));
        assert!(!identity.demo);
    }

    #[test]
    fn whose_token_it_claims_to_be_is_read_from_one_that_has_a_shape() {
        let token = |payload: &str| format!("x.{}.y", URL_SAFE_NO_PAD.encode(payload));
        let issuer = |payload: &str| claimed_issuer(&token(payload));
        assert_eq!(issuer(r#"{"iss":"a","exp":"?"}"#).as_deref(), Some("a"));
        for none in [r#"{"iss":7}"#, "{}", "[]", ""] {
            assert_eq!(issuer(none), None, "{none}");
        }
        let long = format!(r#"{{"iss":"a","x":"{}"}}"#, "x".repeat(MAX_TOKEN_BYTES));
        assert_eq!(issuer(&long), None);
        for none in ["", "a", "a.b", "a.!.c"] {
            assert_eq!(claimed_issuer(none), None, "{none}");
        }
        let said: ForeignClaims = unchecked(&token(r#"{"iss":"a","sub":"b","exp":1}"#)).unwrap();
        assert_eq!((said.iss, said.sub), ("a".to_owned(), "b".to_owned()));
        let other = r#"{"iss":"a","sub":"b","exp":1,"nonce":"n","events":{"x":[1]},"cnf":7}"#;
        assert!(
            unchecked::<ForeignClaims>(&token(other)).is_some(),
            "another kind has a shape, too"
        );
        let early = could_be_accepted(&token(other), &policy(), NOW);
        assert_eq!(early, Err(ErrorCode::Unauthorized), "no key is fetched for it");
    }
}
