//! Issue and verify.

use crate::key::Keys;
use crate::once::says_everything_once;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::fmt;
use goldenpath_core::auth::{Claims, MAX_TOKEN_BYTES, Policy, Signed, Vouched, check_claims};
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{ErrorCode, Secret};
use jsonwebtoken::{Header, Validation};

/// Makes tokens and checks them.
#[derive(Clone, Debug)]
pub struct Tokens {
    keys: Keys,
    policy: Policy,
}

/// What a new token is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whose it is.
    pub user_id: UserId,
    /// The log-in it belongs to.
    pub session_id: SessionId,
    /// How long it lives.
    pub lifetime: Millis,
    /// Made by demo mode.
    pub demo: bool,
    /// Where the user is reached.
    pub email: Option<String>,
    /// What the user may do.
    pub permissions: Vec<String>,
}

impl Grant {
    /// For an ordinary user.
    #[must_use]
    pub const fn new(user_id: UserId, session_id: SessionId, lifetime: Millis) -> Self {
        Self { user_id, session_id, lifetime, demo: false, email: None, permissions: Vec::new() }
    }
}

/// A new token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The compact form; not shown by `Debug`.
    pub token: Secret,
    /// When it ends: a whole second.
    pub expires_at: Wall,
}

/// A token that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whose it is and until when, unless that log-in was ended.
    pub vouched: Vouched,
    /// All it says.
    pub claims: Claims,
}

/// The token could not be signed; the key is checked when it is made, so this is a fault of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssueError;

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the token could not be signed")
    }
}

impl core::error::Error for IssueError {}

impl Tokens {
    /// With these keys, for this policy.
    #[must_use]
    pub const fn new(keys: Keys, policy: Policy) -> Self {
        Self { keys, policy }
    }

    /// The keys; their fingerprints belong in the log.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Signs a token that [`Self::verify`] accepts until it expires. It says who made it for whom
    /// (`iss`, `aud`), whose it is (`sub`), from when and until when it is good (`iat`, `nbf`, `exp`),
    /// and has a name of its own (`jti`).
    ///
    /// # Errors
    /// [`IssueError`].
    //= specs/auth.md#auth-34
    //# A token of ours MUST say who made it, for whom, of whom, when and until when, and MUST have a
    //# name that no other token has.
    pub fn issue(&self, grant: Grant, wall: Wall) -> Result<Issued, IssueError> {
        let issued = wall.0 / 1000;
        let expires = issued.saturating_add(grant.lifetime.0.div_ceil(1000));
        let claims = Claims {
            sub: grant.user_id.as_str().to_owned(),
            iss: Some(self.policy.issuer.clone()),
            aud: self.policy.audience.iter().cloned().collect(),
            exp: expires,
            nbf: Some(issued),
            iat: Some(issued),
            jti: Some(unique().ok_or(IssueError)?),
            sid: Some(grant.session_id),
            demo: grant.demo,
            email: grant.email,
            permissions: grant.permissions,
            token_type: Some("access".to_owned()),
        };
        let key = self.keys.signing();
        let mut header = Header::new(key.algorithm());
        header.kid = Some(key.fingerprint().to_owned());
        let token =
            jsonwebtoken::encode(&header, &claims, key.signing()).map_err(|_| IssueError)?;
        Ok(Issued { token: Secret(token), expires_at: Wall(expires.saturating_mul(1000)) })
    }

    /// Checks shape, signature and claims, at the given instant.
    ///
    /// # Errors
    /// `token_expired` for a token that was good once, `unauthorized` for everything else: a stranger
    /// learns nothing about why.
    //= specs/auth.md#auth-13
    //# A token whose signature, header or shape is not as agreed MUST be refused as `unauthorized`.
    pub fn verify(&self, token: &str, wall: Wall) -> Result<Verified, ErrorCode> {
        if token.len() > MAX_TOKEN_BYTES || !says_everything_once(token) {
            return Err(ErrorCode::Unauthorized);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| ErrorCode::Unauthorized)?;
        if !is_plain(&header) {
            return Err(ErrorCode::Unauthorized);
        }
        let mut keys = self.keys.candidates(header.kid.as_deref(), header.alg);
        let signed = keys.find_map(|key| {
            let only = signature_only(key.algorithm());
            let decoded = jsonwebtoken::decode::<Claims>(token, key.verifying(), &only).ok()?;
            Some(Signed::by(key.fingerprint(), decoded.claims))
        });
        let signed = signed.ok_or(ErrorCode::Unauthorized)?;
        let vouched = check_claims(&signed, &self.policy, wall)?;
        Ok(Verified { vouched, claims: signed.into_claims() })
    }
}

/// The name of one token, which no other has and nobody guesses: 128 bits of the operating system.
fn unique() -> Option<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// The library compares nothing but the signature: it reads the system's clock, and lets a claim pass
/// that has the wrong type. Time and claims are compared in the core.
pub(crate) fn signature_only(algorithm: jsonwebtoken::Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp", "iss", "sub"]);
    validation
}

/// A signed token and nothing more: no extension that must be understood (RFC 7515 section 4.1.11), not
/// compressed, not encrypted, no token inside, and of the right kind if it names one.
pub(crate) fn is_plain(header: &Header) -> bool {
    let kind = header.typ.as_deref().unwrap_or("JWT");
    let is_a_jwt = ["JWT", "at+jwt"].iter().any(|known| known.eq_ignore_ascii_case(kind));
    is_a_jwt
        && header.crit.is_none()
        && header.zip.is_none()
        && header.enc.is_none()
        && header.cty.is_none()
}

#[cfg(test)]
mod tests;
