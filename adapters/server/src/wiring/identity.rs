//! Keys, passwords and randomness behind the ports of the runtime.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use futures_util::FutureExt as _;
use goldenpath_core::auth::Claims;
use goldenpath_core::fault::Fault;
use goldenpath_core::id::UserId;
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{ErrorCode, Secret};
use goldenpath_jsonwebtoken::{Grant, Tokens};
use goldenpath_runtime::identity;
use goldenpath_runtime::ports::Answer;

/// Tokens of our own.
pub(super) struct Jwt(pub(super) Tokens);

impl identity::Tokens for Jwt {
    fn issue(&self, claims: &Claims) -> Result<Secret, Fault> {
        let issued = claims.iat.unwrap_or_default();
        let grant = Grant {
            user_id: UserId::new(&claims.sub).map_err(|_| Fault::Refused)?,
            session_id: claims.sid.ok_or(Fault::Refused)?,
            lifetime: Millis::from_secs(claims.exp.saturating_sub(issued)),
            demo: claims.demo,
            email: claims.email.clone(),
            permissions: claims.permissions.clone(),
        };
        let wall = Wall(issued.saturating_mul(1000));
        self.0.issue(grant, wall).map(|issued| issued.token).map_err(|_| Fault::Refused)
    }

    fn read(&self, token: &Secret, now: Wall) -> Result<identity::Read, ErrorCode> {
        let verified = self.0.verify(&token.0, now)?;
        let (email, permissions) = (verified.claims.email, verified.claims.permissions);
        Ok(identity::Read { vouched: verified.vouched, email, permissions })
    }

    fn published(&self) -> String {
        self.0.keys().published()
    }
}

/// Randomness of the operating system.
pub(super) struct System;

impl identity::Entropy for System {
    fn draw(&self) -> Result<[u8; 32], Fault> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| Fault::Unavailable)?;
        Ok(bytes)
    }
}

/// Passwords by argon2id with OWASP's first choice of parameters: 19 MiB, two passes, one lane.
pub(super) struct Argon2id {
    hasher: Argon2<'static>,
    /// Checked when there is no account, so that it takes as long.
    nobody: String,
}

impl Argon2id {
    pub(super) fn new() -> Result<Self, String> {
        let params = Params::new(19 * 1024, 2, 1, None).map_err(|error| error.to_string())?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&hasher, "nobody has this password").map_err(|f| f.to_string())?;
        Ok(Self { hasher, nobody })
    }

    /// Away from the event loop; how many at once is the caller's to say.
    fn away<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<T> {
        let hasher = self.hasher.clone();
        async move {
            let worked = tokio::task::spawn_blocking(move || work(&hasher)).await;
            worked.map_err(|_| Fault::Unavailable)?
        }
        .boxed()
    }
}

impl identity::Passwords for Argon2id {
    fn hash(&self, password: Secret) -> Answer<String> {
        self.away(move |hasher| hash(hasher, &password.0))
    }

    fn matches(&self, password: Secret, found: Option<String>) -> Answer<bool> {
        let somebody = found.is_some();
        let phc = found.unwrap_or_else(|| self.nobody.clone());
        self.away(move |hasher| {
            let known = PasswordHash::new(&phc).map_err(|_| Fault::Refused)?;
            Ok(hasher.verify_password(password.0.as_bytes(), &known).is_ok() && somebody)
        })
    }

    fn is_outdated(&self, hash: &str) -> bool {
        is_weaker(hash, self.hasher.params())
    }
}

/// Whether a hash is of another kind than ours, or cost less.
fn is_weaker(phc: &str, ours: &Params) -> bool {
    let Ok(known) = PasswordHash::new(phc) else { return true };
    let cost = |name: &str| known.params.get_decimal(name).unwrap_or(0);
    known.algorithm.as_str() != "argon2id"
        || cost("m") < ours.m_cost()
        || cost("t") < ours.t_cost()
        || cost("p") < ours.p_cost()
}

fn hash(hasher: &Argon2<'static>, password: &str) -> Result<String, Fault> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| Fault::Unavailable)?;
    let phc = hasher.hash_password_with_salt(password.as_bytes(), &salt);
    phc.map(|phc| phc.to_string()).map_err(|_| Fault::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldenpath_runtime::identity::Passwords as _;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_and_nobody_matches_nothing() {
        let passwords = Argon2id::new().unwrap();
        let secret = |text: &str| Secret(text.to_owned());
        let phc = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(passwords.matches(secret("correct horse"), Some(phc.clone())).await.unwrap());
        assert!(!passwords.matches(secret("wrong horse"), Some(phc)).await.unwrap());
        assert!(!passwords.matches(secret("nobody has this password"), None).await.unwrap());
    }

    #[test]
    fn a_hash_that_cost_less_is_outdated_and_one_that_cost_more_is_not() {
        let passwords = Argon2id::new().unwrap();
        let hash =
            |kind: &str, cost: &str| format!("${kind}$v=19${cost}$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo");
        for (kind, cost, outdated) in [
            ("argon2id", "m=19456,t=2,p=1", false),
            ("argon2id", "m=65536,t=3,p=1", false),
            ("argon2id", "m=8192,t=2,p=1", true),
            ("argon2id", "m=19456,t=1,p=1", true),
            ("argon2i", "m=19456,t=2,p=1", true),
        ] {
            assert_eq!(passwords.is_outdated(&hash(kind, cost)), outdated, "{kind} {cost}");
        }
        assert!(passwords.is_outdated("plain text of an older system"));
    }
}
