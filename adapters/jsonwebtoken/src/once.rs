//! JSON that says everything once: two readers of a token must not hear two things.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::fmt;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;

/// Whether header and payload of a compact token are JSON objects, in the one spelling of base64, none of
/// whose members occurs twice (RFC 7519 section 4 leaves to us which of two counts: neither).
//= specs/auth.md#auth-62
//# A token in whose header or payload a member occurs twice MUST be refused.
pub(crate) fn says_everything_once(token: &str) -> bool {
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    [header, payload].into_iter().all(|part| {
        URL_SAFE_NO_PAD.decode(part).is_ok_and(|json| serde_json::from_slice::<Once>(&json).is_ok())
    })
}

struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Names)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose members occur once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Once, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value::<IgnoredAny>()?;
            if !seen.insert(name) {
                return Err(A::Error::custom("a member occurs twice"));
            }
        }
        Ok(Once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= specs/auth.md#auth-62
    //= type=test
    //# A token in whose header or payload a member occurs twice MUST be refused.
    #[test]
    fn what_occurs_twice_in_any_spelling_is_refused() {
        let token = |header: &str, payload: &str| {
            let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
            format!("{header}.{payload}.x")
        };
        let good = r#"{"a":1,"b":{"a":1}}"#;
        assert!(says_everything_once(&token(good, good)));
        for bad in
            [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":{},"x":[]}"#, "[]", "1", ""]
        {
            assert!(!says_everything_once(&token(bad, good)), "{bad}");
            assert!(!says_everything_once(&token(good, bad)), "{bad}");
        }
        assert!(!says_everything_once("a.b") && !says_everything_once("a.b.c.d"));
    }
}
