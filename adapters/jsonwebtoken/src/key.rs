//! Keys: what signs, what verifies, and how a key is named without being shown.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use std::collections::BTreeMap;

/// The shortest secret for HS256, in bytes: as long as what it makes (RFC 7518 section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// Fewer different bytes than this are a pattern, not a secret.
const MIN_DIFFERENT_BYTES: usize = 8;

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// Why something is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The system could not make a key.
    Generation,
    /// Not a PKCS#8 PEM of an Ed25519 private key.
    NotAnEd25519Key,
    /// A secret of that many bytes is too short; at least [`MIN_SECRET_BYTES`].
    TooShort {
        /// How long it is.
        bytes: usize,
    },
    /// The secret repeats a few bytes: anyone can guess it.
    TooSimple,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generation => f.write_str("the system could not make a key"),
            Self::NotAnEd25519Key => f.write_str("not a PKCS#8 PEM file of an Ed25519 private key"),
            Self::TooShort { bytes } => {
                write!(f, "a secret needs at least {MIN_SECRET_BYTES} bytes, this one has {bytes}")
            }
            Self::TooSimple => f.write_str("a secret must not repeat a few characters"),
        }
    }
}

impl core::error::Error for KeyError {}

/// One key with the one algorithm it speaks.
#[derive(Clone)]
pub struct Key {
    id: String,
    algorithm: Algorithm,
    signing: EncodingKey,
    verifying: DecodingKey,
}

impl Key {
    /// A shared secret for HS256.
    ///
    /// # Errors
    /// [`KeyError::TooShort`], [`KeyError::TooSimple`].
    //= specs/safety.md#safe-06
    //# A secret that is short or repeats a few bytes MUST NOT become a key.
    pub fn hs256(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeyError::TooShort { bytes: secret.len() });
        }
        let mut different = secret.to_vec();
        different.sort_unstable();
        different.dedup();
        if different.len() < MIN_DIFFERENT_BYTES {
            return Err(KeyError::TooSimple);
        }
        // Keyed, so that the name says nothing that a token signed with the secret does not say.
        let named = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"goldenpath key id");
        Ok(Self {
            id: short_hex(named.as_ref()),
            algorithm: Algorithm::HS256,
            signing: EncodingKey::from_secret(secret),
            verifying: DecodingKey::from_secret(secret),
        })
    }

    /// An Ed25519 private key in PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// [`KeyError::NotAnEd25519Key`].
    pub fn eddsa_pem(pem: &str) -> Result<Self, KeyError> {
        let body = pem
            .trim()
            .strip_prefix(PEM_BEGIN)
            .and_then(|rest| rest.strip_suffix(PEM_END))
            .ok_or(KeyError::NotAnEd25519Key)?;
        let base64: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let der = STANDARD.decode(base64).map_err(|_| KeyError::NotAnEd25519Key)?;
        let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| KeyError::NotAnEd25519Key)?;
        let public = pair.public_key().as_ref();
        Ok(Self {
            id: short_hex(digest(&SHA256, public).as_ref()),
            algorithm: Algorithm::EdDSA,
            signing: EncodingKey::from_ed_der(&der),
            verifying: DecodingKey::from_ed_der(public),
        })
    }

    /// A new Ed25519 private key as PKCS#8 PEM, to be kept where only the server reads it.
    ///
    /// # Errors
    /// [`KeyError::Generation`].
    pub fn generate_eddsa_pem() -> Result<String, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Generation)?;
        let der: Pkcs8V1Der<'static> = pair.as_der().map_err(|_| KeyError::Generation)?;
        Ok(format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", STANDARD.encode(der.as_ref())))
    }

    /// Names the key in tokens (`kid`) and in the log, so that two servers can be seen to have the same
    /// one (F20); 16 hex digits that say nothing about a secret.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.id
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) const fn signing(&self) -> &EncodingKey {
        &self.signing
    }

    pub(crate) const fn verifying(&self) -> &DecodingKey {
        &self.verifying
    }
}

//= specs/auth.md#auth-10
//# A key MUST NOT appear in debug text: its fingerprint names it.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("fingerprint", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The key that signs, and older ones that still verify.
#[derive(Clone, Debug)]
pub struct Keys {
    signing: String,
    all: BTreeMap<String, Key>,
}

impl Keys {
    /// One key for everything.
    #[must_use]
    pub fn new(signing: Key) -> Self {
        let id = signing.id.clone();
        Self { all: BTreeMap::from([(id.clone(), signing)]), signing: id }
    }

    /// Accepts what another key signed, too: the one before a rotation.
    #[must_use]
    pub fn also_verify(mut self, older: Key) -> Self {
        self.all.insert(older.id.clone(), older);
        self
    }

    /// The key that signs.
    #[must_use]
    pub fn signing(&self) -> &Key {
        // `new` puts it there and nothing takes it away.
        self.all.get(&self.signing).expect("the signing key is one of the keys")
    }

    /// The key a token names; a token that names none was made by somebody who knows the signing key only.
    pub(crate) fn named(&self, kid: Option<&str>) -> Option<&Key> {
        kid.map_or_else(|| Some(self.signing()), |kid| self.all.get(kid))
    }
}

fn short_hex(bytes: &[u8]) -> String {
    bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    /// SAFE-01.
    //= specs/safety.md#safe-06
    //= type=test
    //# A secret that is short or repeats a few bytes MUST NOT become a key.
    #[test]
    fn weak_secrets_are_no_keys() {
        assert_eq!(Key::hs256(b"").unwrap_err(), KeyError::TooShort { bytes: 0 });
        assert_eq!(Key::hs256(&SECRET[1..]).unwrap_err(), KeyError::TooShort { bytes: 31 });
        assert_eq!(Key::hs256(&[b'a'; 64]).unwrap_err(), KeyError::TooSimple);
        assert!(Key::hs256(SECRET).is_ok());
    }

    /// F20, AUTH-05.
    //= specs/auth.md#auth-10
    //= type=test
    //# A key MUST NOT appear in debug text: its fingerprint names it.
    #[test]
    fn a_fingerprint_tells_keys_apart_and_shows_none() {
        let key = Key::hs256(SECRET).unwrap();
        assert_eq!(key.fingerprint(), Key::hs256(SECRET).unwrap().fingerprint());
        let other = Key::hs256(b"0123456789abcdef0123456789abcdeg").unwrap();
        assert_ne!(key.fingerprint(), other.fingerprint());
        assert_eq!(key.fingerprint().len(), 16);
        assert!(!format!("{key:?} {:?}", Keys::new(key.clone())).contains("0123456789"));
    }

    #[test]
    fn a_generated_key_is_read_back_as_the_same_key() {
        let pem = Key::generate_eddsa_pem().unwrap();
        let again = Key::eddsa_pem(&pem).unwrap();
        assert_eq!(Key::eddsa_pem(&pem).unwrap().fingerprint(), again.fingerprint());
        assert_ne!(Key::generate_eddsa_pem().unwrap(), pem);
    }

    /// RFC 8410 section 7: version 0, the algorithm, the 32 bytes; what `openssl genpkey` writes.
    #[test]
    fn a_key_as_openssl_writes_it_is_read() {
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend([7; 32]);
        let base64 = STANDARD.encode(der);
        let pem = format!("{PEM_BEGIN}\r\n{}\r\n{}\r\n{PEM_END}\r\n", &base64[..40], &base64[40..]);
        assert_eq!(Key::eddsa_pem(&pem).unwrap().algorithm(), Algorithm::EdDSA);
    }

    #[test]
    fn what_is_no_ed25519_key_is_refused() {
        let pem = Key::generate_eddsa_pem().unwrap();
        let cut = pem.replacen("M", "", 1);
        for bad in ["", "x", PEM_BEGIN, &cut, &pem.replace("PRIVATE", "PUBLIC")] {
            assert_eq!(Key::eddsa_pem(bad).unwrap_err(), KeyError::NotAnEd25519Key, "{bad}");
        }
    }
}
