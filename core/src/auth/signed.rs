//! Claims whose signature was found good.

use alloc::string::String;

/// Claims, and the key whose signature over them was found good.
///
/// The core computes no signature, so it has to be told: whoever checks signatures says so with
/// [`Self::by`], right below the check. It is the one thing about a token that is believed here, and
/// `tests/tidy` names the only files that may say it.
///
/// ```
/// use goldenpath_core::auth::{Claims, Policy, Signed, check_claims};
/// use goldenpath_core::time::Wall;
///
/// fn judge(read_and_checked: Signed<Claims>, policy: &Policy) {
///     let verdict = check_claims(&read_and_checked, policy, Wall(0));
/// }
/// ```
///
/// Claims that were only read are not judged:
///
/// ```compile_fail,E0308
/// use goldenpath_core::auth::{Claims, Policy, Signed, check_claims};
/// use goldenpath_core::time::Wall;
///
/// fn judge(only_read: Claims, policy: &Policy) {
///     let verdict = check_claims(&only_read, policy, Wall(0));
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signed<C> {
    claims: C,
    key: String,
}

impl<C> Signed<C> {
    /// A signature over exactly these claims was good, by the key of this fingerprint or name.
    //= specs/isolation.md#iso-22
    //# What gives a right on an adapter's word MUST be called in the files that are named for it, and
    //# nowhere else.
    #[must_use]
    pub fn by(key: &str, claims: C) -> Self {
        Self { claims, key: key.into() }
    }

    /// What was signed.
    #[must_use]
    pub const fn claims(&self) -> &C {
        &self.claims
    }

    /// By which key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What was signed, without saying so any longer.
    #[must_use]
    pub fn into_claims(self) -> C {
        self.claims
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_is_kept_beside_the_key_it_was_signed_by() {
        let signed = Signed::by("3f2a", 7);
        assert_eq!((signed.key(), signed.claims()), ("3f2a", &7));
        assert_eq!(signed.into_claims(), 7);
    }
}
