//! Keys: what signs, what verifies, and how a key is named without being shown.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use core::fmt;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse, ThumbprintHash,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use std::collections::BTreeMap;

/// The shortest secret for HS256, in bytes: as long as what it makes (RFC 7518 section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// Fewer different bytes than this are a pattern, not a secret.
const MIN_DIFFERENT_BYTES: usize = 8;
/// The shortest RSA modulus, in bytes (RFC 7518 section 3.3: 2048 bits).
const MIN_RSA_BYTES: usize = 256;

/// Why something is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The system could not make a key.
    Generation,
    /// Not a PEM file of a private key of a kind that signs here.
    NotAPrivateKey,
    /// Not a PEM file of a key of a kind that verifies here.
    NotAKey,
    /// A secret of that many bytes is too short; at least [`MIN_SECRET_BYTES`].
    TooShort {
        /// How long it is.
        bytes: usize,
    },
    /// The secret repeats a few bytes: anyone can guess it.
    TooSimple,
    /// An RSA key of fewer than 2048 bits.
    RsaTooShort,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KINDS: &str = "RSA, P-256 (in PKCS#8) or Ed25519";
        match self {
            Self::Generation => f.write_str("the system could not make a key"),
            Self::NotAPrivateKey => {
                write!(f, "is not a PEM file of a private key ({KINDS})")
            }
            Self::NotAKey => write!(f, "is not a PEM file of a key ({KINDS})"),
            Self::TooShort { bytes } => {
                write!(f, "a secret needs at least {MIN_SECRET_BYTES} bytes, this one has {bytes}")
            }
            Self::TooSimple => f.write_str("a secret must not repeat a few characters"),
            Self::RsaTooShort => f.write_str("an RSA key needs at least 2048 bits"),
        }
    }
}

impl core::error::Error for KeyError {}

/// One key that signs, with the one algorithm it speaks.
#[derive(Clone)]
pub struct Key {
    signing: EncodingKey,
    verifier: VerifyingKey,
}

/// One key that verifies what another server, or this one in former times, signed.
#[derive(Clone)]
pub struct VerifyingKey {
    id: String,
    algorithm: Algorithm,
    verifying: DecodingKey,
    /// What everybody may know of it; a secret has no such part.
    public: Option<Jwk>,
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
            signing: EncodingKey::from_secret(secret),
            verifier: VerifyingKey {
                id: short_hex(named.as_ref()),
                algorithm: Algorithm::HS256,
                verifying: DecodingKey::from_secret(secret),
                public: None,
            },
        })
    }

    /// A private key in PEM. What it is decides what it speaks: an RSA key (PKCS#8 or PKCS#1) RS256, a
    /// P-256 key (PKCS#8) ES256, an Ed25519 key (PKCS#8) EdDSA.
    ///
    /// # Errors
    /// [`KeyError::NotAPrivateKey`], [`KeyError::RsaTooShort`].
    //= specs/auth.md#auth-60
    //# A key MUST speak one algorithm only, decided by what kind of key it is.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let text = pem.trim().as_bytes();
        let kinds = [
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(text)),
            (Algorithm::ES256, EncodingKey::from_ec_pem(text)),
            (Algorithm::RS256, EncodingKey::from_rsa_pem(text)),
        ];
        for (algorithm, read) in kinds {
            if let Ok(signing) = read {
                let public = Jwk::from_encoding_key(&signing, algorithm)
                    .map_err(|_| KeyError::NotAPrivateKey)?;
                let verifier = VerifyingKey::from_jwk(algorithm, public)?;
                return Ok(Self { signing, verifier });
            }
        }
        Err(KeyError::NotAPrivateKey)
    }

    /// A new Ed25519 private key as PKCS#8 PEM, to be kept where only the server reads it.
    ///
    /// # Errors
    /// [`KeyError::Generation`].
    pub fn generate_eddsa_pem() -> Result<String, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Generation)?;
        let der: Pkcs8V1Der<'static> = pair.as_der().map_err(|_| KeyError::Generation)?;
        let body = STANDARD.encode(der.as_ref());
        Ok(format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"))
    }

    /// Names the key in tokens (`kid`) and in the log, so that two servers can be seen to have the same
    /// one (F20); 16 hex digits that say nothing about a secret.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.verifier.id
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.verifier.algorithm
    }

    pub(crate) const fn signing(&self) -> &EncodingKey {
        &self.signing
    }
}

impl VerifyingKey {
    /// A public or a private key in PEM, of the kinds of [`Key::from_pem`].
    ///
    /// # Errors
    /// [`KeyError::NotAKey`], [`KeyError::RsaTooShort`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        match Key::from_pem(pem) {
            Err(KeyError::NotAPrivateKey) => {}
            read => return read.map(Self::from),
        }
        let text = pem.trim();
        let is_public = ["-----BEGIN PUBLIC KEY-----", "-----BEGIN RSA PUBLIC KEY-----"]
            .iter()
            .any(|begin| text.starts_with(begin));
        if !is_public {
            return Err(KeyError::NotAKey);
        }
        let kinds = [
            (Algorithm::EdDSA, DecodingKey::from_ed_pem(text.as_bytes())),
            (Algorithm::ES256, DecodingKey::from_ec_pem(text.as_bytes())),
            (Algorithm::RS256, DecodingKey::from_rsa_pem(text.as_bytes())),
        ];
        for (algorithm, read) in kinds {
            if let Ok(key) = read {
                let public =
                    Jwk::from_decoding_key(&key, Some(algorithm)).map_err(|_| KeyError::NotAKey)?;
                return Self::from_jwk(algorithm, public);
            }
        }
        Err(KeyError::NotAKey)
    }

    pub(crate) fn from_jwk(algorithm: Algorithm, mut public: Jwk) -> Result<Self, KeyError> {
        match &public.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).map_err(|_| KeyError::NotAKey)?;
                if modulus.len() < MIN_RSA_BYTES {
                    return Err(KeyError::RsaTooShort);
                }
            }
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {}
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {}
            _ => return Err(KeyError::NotAKey),
        }
        let verifying = DecodingKey::from_jwk(&public).map_err(|_| KeyError::NotAKey)?;
        let thumbprint =
            public.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyError::NotAKey)?;
        let id = short_hex(digest(&SHA256, thumbprint.as_bytes()).as_ref());
        public.common.key_id = Some(id.clone());
        public.common.key_algorithm = Some(algorithm.into());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { id, algorithm, verifying, public: Some(public) })
    }

    /// As [`Key::fingerprint`]; the same for the private and the public half.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.id
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) const fn verifying(&self) -> &DecodingKey {
        &self.verifying
    }
}

impl From<Key> for VerifyingKey {
    fn from(key: Key) -> Self {
        key.verifier
    }
}

//= specs/auth.md#auth-10
//# A key MUST NOT appear in debug text: its fingerprint names it.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.verifier).finish()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("fingerprint", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The key that signs, and older ones that still verify.
#[derive(Clone, Debug)]
pub struct Keys {
    signing: Key,
    all: BTreeMap<String, VerifyingKey>,
}

impl Keys {
    /// One key for everything.
    #[must_use]
    pub fn new(signing: Key) -> Self {
        let all = BTreeMap::from([(signing.fingerprint().to_owned(), signing.verifier.clone())]);
        Self { signing, all }
    }

    /// Accepts what another key signed, too: the one before a rotation.
    #[must_use]
    pub fn also_verify(mut self, older: impl Into<VerifyingKey>) -> Self {
        let older = older.into();
        self.all.insert(older.id.clone(), older);
        self
    }

    /// The key that signs.
    #[must_use]
    pub const fn signing(&self) -> &Key {
        &self.signing
    }

    /// The names of the keys that verify and do not sign.
    pub fn older(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str).filter(|id| *id != self.signing.fingerprint())
    }

    /// What everybody may know, as a JSON Web Key Set (RFC 7517): public keys only, so that others can
    /// check our tokens without being able to make them.
    //= specs/auth.md#auth-61
    //# A shared secret or a private key MUST NOT be published.
    #[must_use]
    pub fn published(&self) -> String {
        let keys = self.all.values().filter_map(|key| key.public.clone()).collect();
        // Public keys are texts; encoding them cannot fail.
        serde_json::to_string(&JwkSet { keys }).unwrap_or_else(|_| r#"{"keys":[]}"#.to_owned())
    }

    /// The keys that may have signed a token: the one it names; for one that names none, as others write
    /// them, each that speaks its algorithm, the one that signs first.
    //= specs/auth.md#auth-91
    //# A token that names no key MUST be judged by every key of its algorithm that we sign or signed
    //# with, and by no other.
    pub(crate) fn candidates(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &VerifyingKey> {
        let signing = &self.signing.verifier;
        let older = self.all.values().filter(|key| key.id != signing.id);
        let named = kid.and_then(|kid| self.all.get(kid));
        let unnamed = core::iter::once(signing).chain(older).filter(move |_| kid.is_none());
        named.into_iter().chain(unnamed).filter(move |key| key.algorithm == algorithm)
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

    const PUBLIC_PEM: &str = "-----BEGIN PUBLIC KEY-----";

    fn pem(name: &str, der: &[u8]) -> String {
        let base64 = STANDARD.encode(der);
        let lines: Vec<&str> =
            base64.as_bytes().chunks(64).map(|line| core::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", lines.join("\n"))
    }

    fn ec_p256() -> String {
        let alg = &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let der = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(alg, &rng).unwrap();
        pem("PRIVATE KEY", der.as_ref())
    }

    fn rsa_2048() -> String {
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'static> = pair.as_der().unwrap();
        pem("PRIVATE KEY", der.as_ref())
    }

    #[test]
    fn a_generated_key_is_read_back_as_the_same_key() {
        let pem = Key::generate_eddsa_pem().unwrap();
        let again = Key::from_pem(&pem).unwrap();
        assert_eq!(Key::from_pem(&pem).unwrap().fingerprint(), again.fingerprint());
        assert_ne!(Key::generate_eddsa_pem().unwrap(), pem);
    }

    //= specs/auth.md#auth-60
    //= type=test
    //# A key MUST speak one algorithm only, decided by what kind of key it is.
    #[test]
    fn what_a_key_is_decides_what_it_speaks() {
        let ed = Key::generate_eddsa_pem().unwrap();
        for (pem, algorithm) in
            [(ed, Algorithm::EdDSA), (ec_p256(), Algorithm::ES256), (rsa_2048(), Algorithm::RS256)]
        {
            let key = Key::from_pem(&format!("\r\n{}\n", pem.replace('\n', "\r\n"))).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let header = jsonwebtoken::Header::new(algorithm);
            assert!(jsonwebtoken::encode(&header, &(), key.signing()).is_ok());
            for other in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256, Algorithm::HS256] {
                let header = jsonwebtoken::Header::new(other);
                let signed = jsonwebtoken::encode(&header, &(), key.signing());
                assert_eq!(signed.is_ok(), other == algorithm, "{algorithm:?} as {other:?}");
            }
            assert_eq!(VerifyingKey::from_pem(&pem).unwrap().fingerprint(), key.fingerprint());
        }
    }

    //= specs/auth.md#auth-61
    //= type=test
    //# A shared secret or a private key MUST NOT be published.
    #[test]
    fn what_is_published_is_public_and_names_its_key() {
        let (ec, rsa) = (ec_p256(), rsa_2048());
        let keys = Keys::new(Key::from_pem(&ec).unwrap())
            .also_verify(Key::hs256(SECRET).unwrap())
            .also_verify(Key::from_pem(&rsa).unwrap());
        let set: serde_json::Value = serde_json::from_str(&keys.published()).unwrap();
        let published = set["keys"].as_array().unwrap();
        assert_eq!(published.len(), 2, "the secret is not among them: {set}");
        for key in published {
            let members: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
            let public = ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"];
            assert!(members.iter().all(|member| public.contains(member)), "{members:?}");
            assert_eq!(key["use"], "sig");
            let kid = key["kid"].as_str();
            let speaks = [Algorithm::ES256, Algorithm::RS256];
            let found = speaks.into_iter().flat_map(|algorithm| keys.candidates(kid, algorithm));
            assert_eq!(found.map(VerifyingKey::fingerprint).collect::<Vec<_>>(), [kid.unwrap()]);
        }
        assert_eq!(keys.older().count(), 2);
        let secret_only = Keys::new(Key::hs256(SECRET).unwrap());
        assert_eq!(secret_only.published(), r#"{"keys":[]}"#);
    }

    /// RFC 8410 section 7: version 0, the algorithm, the 32 bytes; what `openssl genpkey` writes.
    #[test]
    fn a_key_as_openssl_writes_it_is_read() {
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend([7; 32]);
        assert_eq!(Key::from_pem(&pem("PRIVATE KEY", &der)).unwrap().algorithm(), Algorithm::EdDSA);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = Key::generate_eddsa_pem().unwrap();
        let cut = good.replacen("M", "", 1);
        let public = good.replace("PRIVATE", "PUBLIC");
        let certificate = good.replace("PRIVATE KEY", "CERTIFICATE");
        for bad in ["", "x", PUBLIC_PEM, &cut, &public, &certificate] {
            assert_eq!(Key::from_pem(bad).unwrap_err(), KeyError::NotAPrivateKey, "{bad}");
            assert_eq!(VerifyingKey::from_pem(bad).unwrap_err(), KeyError::NotAKey, "{bad}");
        }
        let alg = &aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING;
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let der = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(alg, &rng).unwrap();
        let p384 = pem("PRIVATE KEY", der.as_ref());
        assert_eq!(Key::from_pem(&p384).unwrap_err(), KeyError::NotAPrivateKey);
    }
}
