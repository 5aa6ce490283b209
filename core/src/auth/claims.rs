//! The claims of a token whose signature was found good: one function for HTTP and WebSocket (AUTH-06, F07).

use super::{Signed, Vouched};
use crate::connection::Identity;
use crate::id::{SessionId, UserId};
use crate::time::{Millis, Wall};
use crate::wire::ErrorCode;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::de::{SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// What a token says (RFC 7519 section 4.1, and a few of our own). Times are seconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claims {
    /// Whose token it is.
    pub sub: String,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// For whom; one text or a list.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub aud: Vec<String>,
    /// Not valid from here on. Required.
    #[serde(deserialize_with = "seconds")]
    pub exp: u64,
    /// Not valid before.
    #[serde(default, deserialize_with = "some_seconds", skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// When it was made.
    #[serde(default, deserialize_with = "some_seconds", skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// Its own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The log-in it belongs to; what a log-out revokes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// Made by demo mode.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub demo: bool,
    /// Where the user is reached; shown, never used to decide anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What the user may do besides using what is their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<String>,
    /// `access`, or absent; a refresh token is no proof of identity here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<String>,
}

/// What this server demands of claims.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// The only `iss` accepted.
    pub issuer: String,
    /// Must be among `aud`; `None`: not checked (never in production).
    pub audience: Option<String>,
    /// How far clocks may differ.
    pub leeway: Millis,
    /// The oldest token accepted, by `iat`, whatever its `exp` says; `None`: not checked.
    pub max_age: Option<Millis>,
    /// Another `iss` accepted, whose tokens may lack `aud`: what the replaced system made.
    pub older_issuer: Option<String>,
}

/// Compares signed claims with the policy at an instant.
///
/// # Errors
/// `token_expired` when everything but the time is right, `unauthorized` otherwise.
//= specs/auth.md#auth-12
//# A token MUST NOT be accepted unless its issuer, audience, times and kind are those of the
//# policy.
pub fn check_claims(
    signed: &Signed<Claims>,
    policy: &Policy,
    wall: Wall,
) -> Result<Vouched, ErrorCode> {
    let claims = signed.claims();
    let user_id = UserId::new(&claims.sub).map_err(|_| ErrorCode::Unauthorized)?;
    let issuer = claims.iss.as_deref();
    let issued_here = issuer == Some(policy.issuer.as_str());
    //= specs/auth.md#auth-63
    //# A token of the older issuer MUST NOT be accepted unless that issuer is configured.
    let issued_before = issuer.is_some() && issuer == policy.older_issuer.as_deref();
    let meant_for_us = policy.audience.as_ref().is_none_or(|ours| claims.aud.contains(ours))
        || (issued_before && claims.aud.is_empty());
    let is_access = claims.token_type.as_deref().is_none_or(|kind| kind == "access");
    if !(issued_here || issued_before) || !meant_for_us || !is_access {
        return Err(ErrorCode::Unauthorized);
    }
    let times = Times { exp: claims.exp, nbf: claims.nbf, iat: claims.iat };
    let expires_at = check_times(times, policy.leeway, policy.max_age, wall)?;
    let session_id = claims.sid.unwrap_or_else(|| session_of(claims));
    let (issued_at, expires_at) = (claims.issued_at(), Some(expires_at));
    Ok(Vouched::new(Identity { user_id, session_id, issued_at, expires_at, demo: claims.demo }))
}

/// What a token says about time, in seconds since the Unix epoch.
pub(super) struct Times {
    pub(super) exp: u64,
    pub(super) nbf: Option<u64>,
    pub(super) iat: Option<u64>,
}

/// When a token ends that counts at this instant.
pub(super) fn check_times(
    times: Times,
    leeway: Millis,
    max_age: Option<Millis>,
    wall: Wall,
) -> Result<Wall, ErrorCode> {
    let soon = wall.after(leeway);
    if [times.nbf, times.iat].into_iter().flatten().any(|at| wall_of(at) > soon) {
        return Err(ErrorCode::Unauthorized);
    }
    if let Some(max_age) = max_age {
        let issued = times.iat.ok_or(ErrorCode::Unauthorized)?;
        if wall_of(issued).after(max_age).after(leeway) <= wall {
            return Err(ErrorCode::TokenExpired);
        }
    }
    let expires_at = wall_of(times.exp);
    if expires_at.after(leeway) <= wall {
        return Err(ErrorCode::TokenExpired);
    }
    Ok(expires_at)
}

const fn wall_of(seconds: u64) -> Wall {
    Wall(seconds.saturating_mul(1000))
}

/// Tokens that others signed with our keys name no session of ours: the token is its own session, named
/// by a digest (FNV-1a, 128 bits) of what tells it from others. It is a name, not a proof.
//= specs/auth.md#auth-35
//# Logging out with a token that names no log-in MUST end that token and no other.
fn session_of(claims: &Claims) -> SessionId {
    let mut digest: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let mut add = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[0xff]) {
            digest = (digest ^ u128::from(*byte))
                .wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    };
    add(claims.iss.as_deref().unwrap_or_default().as_bytes());
    add(claims.sub.as_bytes());
    add(claims.jti.as_deref().unwrap_or_default().as_bytes());
    add(&claims.iat.unwrap_or_default().to_be_bytes());
    add(&claims.exp.to_be_bytes());
    SessionId(digest)
}

/// A NumericDate: RFC 7519 allows fractions, which some issuers write; they are cut off.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Seconds;
    impl Visitor<'_> for Seconds {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("seconds since 1970")
        }

        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<u64, E> {
            Ok(value)
        }

        fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<u64, E> {
            if (0.0..9.0e15).contains(&value) {
                Ok(value as u64)
            } else {
                Err(E::invalid_value(Unexpected::Float(value), &self))
            }
        }
    }
    deserializer.deserialize_any(Seconds)
}

pub(super) fn some_seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    seconds(deserializer).map(Some)
}

pub(super) fn one_or_many<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;
    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E: serde::de::Error>(self, one: &str) -> Result<Vec<String>, E> {
            Ok(alloc::vec![one.into()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut many = Vec::new();
            while let Some(one) = list.next_element()? {
                many.push(one);
            }
            Ok(many)
        }
    }
    deserializer.deserialize_any(OneOrMany)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Endings;

    const NOW: Wall = Wall(1_800_000_000_000);
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

    fn good() -> Claims {
        Claims {
            sub: "ada".into(),
            iss: Some("goldenpath".into()),
            aud: alloc::vec!["other".into(), "goldenpath".into()],
            exp: NOW_S + 60,
            iat: Some(NOW_S - 60),
            sid: Some(SessionId(7)),
            ..Claims::default()
        }
    }

    fn verdict(change: impl FnOnce(&mut Claims, &mut Policy)) -> Result<Identity, ErrorCode> {
        let (mut claims, mut policy) = (good(), policy());
        change(&mut claims, &mut policy);
        let vouched = check_claims(&Signed::by("key", claims), &policy, NOW)?;
        vouched.unless_ended(&Endings::default())
    }

    #[test]
    fn good_claims_make_an_identity() {
        let identity = verdict(|_, _| {}).unwrap();
        assert_eq!(identity.user_id.as_str(), "ada");
        assert_eq!(identity.session_id, SessionId(7));
        assert_eq!(identity.expires_at, Some(Wall((NOW_S + 60) * 1000)));
        assert!(!identity.demo);
    }

    #[test]
    fn a_token_without_a_session_is_named_by_the_fnv_1a_of_what_tells_it_from_others() {
        let identity = verdict(|claims, _| claims.sid = None).unwrap();
        assert_eq!(identity.session_id, SessionId(0x89b7_bf2d_46d4_73da_cb63_9f54_f488_66e3));
    }

    //= specs/auth.md#auth-12
    //= type=test
    //# A token MUST NOT be accepted unless its issuer, audience, times and kind are those of the
    //# policy.
    #[test]
    fn every_wrong_claim_is_refused_with_its_word() {
        use ErrorCode::{TokenExpired, Unauthorized};
        type Change = fn(&mut Claims, &mut Policy);
        let cases: [(Change, ErrorCode); 14] = [
            (|c, _| c.sub.clear(), Unauthorized),
            (|c, _| c.sub = "x".repeat(200), Unauthorized),
            (|c, _| c.iss = None, Unauthorized),
            (|c, _| c.iss = Some("netra-auth-service".into()), Unauthorized),
            (|c, _| c.aud.clear(), Unauthorized),
            (|c, _| c.aud = alloc::vec!["other".into()], Unauthorized),
            (|c, _| c.nbf = Some(NOW_S + 6), Unauthorized),
            (|c, _| c.iat = Some(NOW_S + 6), Unauthorized),
            (|c, _| c.token_type = Some("refresh".into()), Unauthorized),
            (|c, _| c.exp = NOW_S - 5, TokenExpired),
            (|c, _| c.exp = 0, TokenExpired),
            (|_, p| p.max_age = Some(Millis::from_secs(55)), TokenExpired),
            (
                |c, p| {
                    p.max_age = Some(Millis::from_secs(55));
                    c.iat = None;
                },
                Unauthorized,
            ),
            // Expired and of another issuer: a stranger learns nothing about time.
            (
                |c, _| {
                    c.exp = 0;
                    c.iss = None;
                },
                Unauthorized,
            ),
        ];
        for (index, (change, code)) in cases.into_iter().enumerate() {
            assert_eq!(verdict(change), Err(code), "case {index}");
        }
    }

    #[test]
    fn the_leeway_is_granted_to_the_second() {
        assert!(verdict(|c, _| c.exp = NOW_S - 4).is_ok());
        assert!(verdict(|c, _| c.nbf = Some(NOW_S + 5)).is_ok());
    }

    #[test]
    fn the_audience_is_checked_only_when_one_is_configured() {
        let unchecked = verdict(|c, p| {
            c.aud.clear();
            p.audience = None;
        });
        assert!(unchecked.is_ok());
    }

    //= specs/auth.md#auth-63
    //= type=test
    //# A token of the older issuer MUST NOT be accepted unless that issuer is configured.
    #[test]
    fn a_token_of_the_older_issuer_counts_only_where_it_is_expected() {
        let older = |aud: &[&str], expected: Option<&str>| {
            verdict(|c, p| {
                c.iss = Some("netra-auth-service".into());
                c.aud = aud.iter().map(|&aud| aud.into()).collect();
                p.older_issuer = expected.map(Into::into);
            })
        };
        let expected = Some("netra-auth-service");
        assert!(older(&[], expected).is_ok());
        assert!(older(&["goldenpath"], expected).is_ok());
        assert_eq!(older(&["other"], expected), Err(ErrorCode::Unauthorized));
        assert_eq!(older(&[], Some("another")), Err(ErrorCode::Unauthorized));
        assert_eq!(older(&["goldenpath"], None), Err(ErrorCode::Unauthorized));
        // Our own tokens name their audience all the same.
        let ours = verdict(|c, p| {
            c.aud.clear();
            p.older_issuer = expected.map(Into::into);
        });
        assert_eq!(ours, Err(ErrorCode::Unauthorized));
    }

    #[test]
    fn a_token_that_names_no_session_is_its_own() {
        let session = |jti: &str| {
            verdict(|c, _| {
                c.sid = None;
                c.jti = Some(jti.into());
            })
            .unwrap()
            .session_id
        };
        assert_eq!(session("a"), session("a"));
        assert_ne!(session("a"), session("b"));
    }

    #[test]
    fn an_expiry_at_the_end_of_time_does_not_overflow() {
        assert_eq!(verdict(|c, _| c.exp = u64::MAX).unwrap().expires_at, Some(Wall(u64::MAX)));
    }

    #[test]
    fn claims_are_read_as_issuers_write_them() {
        let read = |json: &str| serde_json::from_str::<Claims>(json);
        let one = read(r#"{"sub":"a","aud":"x","exp":12.9,"unknown":[1]}"#).unwrap();
        assert_eq!((one.aud.as_slice(), one.exp), (&["x".into()][..], 12));
        let two = read(r#"{"sub":"a","aud":["x","y"],"exp":12}"#).unwrap();
        assert_eq!((two.aud.as_slice(), two.exp), (&["x".into(), "y".into()][..], 12));
        for bad in [
            r#"{"sub":"a"}"#,
            r#"{"exp":1}"#,
            r#"{"sub":1,"exp":1}"#,
            r#"{"sub":"a","exp":"1"}"#,
            r#"{"sub":"a","exp":-1}"#,
            r#"{"sub":"a","exp":1e300}"#,
            r#"{"sub":"a","exp":null}"#,
            r#"{"sub":"a","exp":1,"nbf":"soon"}"#,
            r#"{"sub":"a","exp":1,"aud":7}"#,
            r#"{"sub":"a","exp":1,"aud":[7]}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn claims_survive_their_encoding() {
        let text = serde_json::to_string(&good()).unwrap();
        assert_eq!(serde_json::from_str::<Claims>(&text).unwrap(), good());
    }
}
