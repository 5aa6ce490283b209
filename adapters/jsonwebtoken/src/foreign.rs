//! The keys of another issuer, and the tokens it signed with them.

use crate::key::VerifyingKey;
use crate::once::says_everything_once;
use crate::tokens::{is_plain, signature_only};
use goldenpath_core::auth::{
    ForeignClaims, ForeignPolicy, Foreigner, MAX_TOKEN_BYTES, Signed, check_foreign,
};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::ErrorCode;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde::Deserialize as _;

/// The public keys an issuer names in its key set, by the names it gives them. Each speaks one
/// algorithm, decided by what kind of key it is (AUTH-60); what cannot verify is left out: shared
/// secrets, keys for encryption, keys of other kinds, keys that are too short.
#[derive(Clone, Debug, Default)]
pub struct ForeignKeys(Vec<(String, VerifyingKey)>);

impl ForeignKeys {
    /// Reads the members of a JSON Web Key Set (RFC 7517).
    #[must_use]
    pub fn read(set: &serde_json::Value) -> Self {
        let keys = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self(keys.iter().filter_map(usable).collect())
    }

    /// Checks shape, signature and claims of a token, at the given instant.
    ///
    /// # Errors
    /// `token_expired` for a token that was good once, `unauthorized` for everything else.
    pub fn verify(
        &self,
        token: &str,
        policy: &ForeignPolicy,
        wall: Wall,
    ) -> Result<Foreigner, ErrorCode> {
        let refused = ErrorCode::Unauthorized;
        if token.len() > MAX_TOKEN_BYTES || !says_everything_once(token) {
            return Err(refused);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused)?;
        if !is_plain(&header) {
            return Err(refused);
        }
        let key = self.named(header.kid.as_deref(), header.alg).ok_or(refused)?;
        let decoded = jsonwebtoken::decode::<ForeignClaims>(
            token,
            key.verifying(),
            &signature_only(key.algorithm()),
        );
        let claims = decoded.map_err(|_| refused)?.claims;
        check_foreign(&Signed::by(key.fingerprint(), claims), policy, wall)
    }

    /// The key of a name that speaks this algorithm; a single key answers to no name as well.
    fn named(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&VerifyingKey> {
        let only = self.0.len() == 1;
        let mut named = self.0.iter().filter(|(name, key)| {
            let called = kid.map_or(only || name.is_empty(), |kid| name == kid);
            called && key.algorithm() == algorithm
        });
        named.next().map(|(_, key)| key)
    }
}

fn usable(key: &serde_json::Value) -> Option<(String, VerifyingKey)> {
    let key = Jwk::deserialize(key).ok()?;
    //= specs/auth.md#auth-37
    //# What verifies a token of another issuer MUST be a public key for signatures, by the one
    //# algorithm of its kind.
    let algorithm = match &key.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    let common = &key.common;
    let for_signatures =
        common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let may_verify = common
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let speaks = common.key_algorithm.is_none_or(|said| said == algorithm.into());
    let name = common.key_id.clone().unwrap_or_default();
    let usable = for_signatures && may_verify && speaks;
    usable.then(|| VerifyingKey::from_jwk(algorithm, key).ok()).flatten().map(|key| (name, key))
}

#[cfg(test)]
mod tests;
