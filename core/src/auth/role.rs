//! What somebody may do besides using what is their own.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

/// Reads the audit log.
pub const AUDIT_READ: &str = "audit:read";
/// Everything an operator may.
pub const ADMIN: &str = "admin";

/// What an account was given. Everybody is a user; that is no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// May do everything there is a permission for.
    Admin,
    /// May read who logged in.
    Auditor,
}

/// The text names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotARole;

impl fmt::Display for NotARole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not one of admin, auditor")
    }
}

impl core::error::Error for NotARole {}

impl Role {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Admin, Self::Auditor];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }

    const fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::Admin => &[ADMIN, AUDIT_READ],
            Self::Auditor => &[AUDIT_READ],
        }
    }
}

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(NotARole)
    }
}

/// What all these roles may, each once, in alphabetical order: what a token says in `permissions`.
#[must_use]
pub fn permissions_of(roles: &[Role]) -> Vec<String> {
    let mut all: Vec<&str> = roles.iter().flat_map(|role| role.permissions()).copied().collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_one_word_and_its_permissions_are_told_once() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!("root".parse::<Role>(), Err(NotARole));
        assert_eq!(NotARole.to_string(), "is not one of admin, auditor");
        assert_eq!(permissions_of(&Role::ALL), ["admin", "audit:read"]);
        assert_eq!(permissions_of(&[]), [""; 0]);
    }
}
