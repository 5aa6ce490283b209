//! Ways in without a password, and where they exist at all.

use super::DEMO_USER_PREFIX;
use crate::connection::Identity;
use crate::wire::Secret;

/// How the id of every user of the developers' door begins.
pub const DEV_USER_PREFIX: &str = "dev-";
/// How the id of every user of the tests' door begins.
pub const E2E_USER_PREFIX: &str = "e2e-";

/// The ways in that prove nothing about a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bypass {
    /// Demo mode.
    Demo,
    /// The developers' door.
    Dev,
    /// The E2E key.
    E2e,
}

impl Bypass {
    /// By which of them somebody came; their ids are made so that no account has one like it.
    #[must_use]
    pub fn of(identity: &Identity) -> Option<Self> {
        let id = identity.user_id.as_str();
        if identity.demo || id.starts_with(DEMO_USER_PREFIX) {
            Some(Self::Demo)
        } else if id.starts_with(DEV_USER_PREFIX) {
            Some(Self::Dev)
        } else if id.starts_with(E2E_USER_PREFIX) {
            Some(Self::E2e)
        } else {
            None
        }
    }
}

/// Where this server runs; production forbids what only tests may do (SAFE-01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Environment {
    /// A developer's machine.
    Development,
    /// A test run.
    Test,
    /// Like production, for trying out.
    Staging,
    /// The real thing.
    Production,
}

impl Environment {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Development, Self::Test, Self::Staging, Self::Production];

    /// The word in settings and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Test => "test",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    /// Whether the rules of production apply.
    #[must_use]
    pub const fn is_production(self) -> bool {
        matches!(self, Self::Production)
    }

    /// Whether anybody may become anybody by asking.
    //= specs/auth.md#auth-47
    //# A log-in without a credential MUST NOT be given outside development and test.
    #[must_use]
    pub const fn has_dev_login(self) -> bool {
        matches!(self, Self::Development | Self::Test)
    }

    /// The developers' door, where it is open.
    #[must_use]
    pub fn open_for_developers(self) -> Option<Opened> {
        self.has_dev_login().then_some(Opened { prefix: DEV_USER_PREFIX })
    }
}

/// A door without proof that is open for one who came; good for one
/// [`Admission`](super::Admission).
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Opened {
    prefix: &'static str,
}

impl Opened {
    /// How the ids of those who come through it begin.
    pub(super) const fn prefix(&self) -> &'static str {
        self.prefix
    }
}

/// Why the E2E key does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BypassRefusal {
    /// It is not the key.
    Invalid,
    /// No key was presented.
    Missing,
    /// This server has no key (F15: another thing than a wrong one).
    NotConfigured,
    /// In production there is no such door.
    Production,
}

/// Whether the key opens. It is the only thing that counts: no other header, and no token without a
/// signature (F16).
///
/// # Errors
/// Why not.
//= specs/auth.md#auth-46
//# The E2E key MUST open nothing in production, nothing where none is configured, and nothing when
//# it is missing or wrong; and each of these MUST be told apart.
pub fn check_bypass(
    environment: Environment,
    configured: Option<&Secret>,
    presented: Option<&Secret>,
) -> Result<Opened, BypassRefusal> {
    if environment.is_production() {
        return Err(BypassRefusal::Production);
    }
    let configured = configured.ok_or(BypassRefusal::NotConfigured)?;
    let presented = presented.filter(|key| !key.0.is_empty()).ok_or(BypassRefusal::Missing)?;
    if same(configured.0.as_bytes(), presented.0.as_bytes()) {
        Ok(Opened { prefix: E2E_USER_PREFIX })
    } else {
        Err(BypassRefusal::Invalid)
    }
}

/// Compares in a time that says nothing about where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |seen, (a, b)| seen | (a ^ b));
    core::hint::black_box(differing) == 0 && a.len() == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{SessionId, UserId};
    use crate::time::Wall;

    #[test]
    fn by_which_door_somebody_came_is_read_from_who_they_are() {
        let by = |name: &str, demo| {
            let user_id = UserId::new(name).unwrap();
            let visitor = Identity::visitor(1, SessionId(1), Wall(0));
            Bypass::of(&Identity { user_id, demo, ..visitor })
        };
        assert_eq!(by("demo-user-1-7", true), Some(Bypass::Demo));
        assert_eq!(by("demo-user-1-7", false), Some(Bypass::Demo));
        assert_eq!(by("ada", true), Some(Bypass::Demo));
        assert_eq!(by("dev-ada", false), Some(Bypass::Dev));
        assert_eq!(by("e2e-ada", false), Some(Bypass::E2e));
        assert_eq!(by("ada", false), None);
    }

    //= specs/auth.md#auth-46
    //= type=test
    //# The E2E key MUST open nothing in production, nothing where none is configured, and nothing when
    //# it is missing or wrong; and each of these MUST be told apart.
    #[test]
    fn f15_every_way_of_having_no_right_key_has_its_own_name() {
        use BypassRefusal::{Invalid, Missing, NotConfigured, Production};
        let key = Secret("a key of sixteen".into());
        let others = [
            "",
            "a key of sixtee",
            "a key of sixteen ",
            "A key of sixteen",
            "b key of sixteen",
            // Two letters in each other's place differ twice, and by the same.
            "a kye of sixteen",
        ];
        let wrong: alloc::vec::Vec<Secret> = others.iter().map(|k| Secret((*k).into())).collect();
        for environment in Environment::ALL {
            let check = |ours, theirs| check_bypass(environment, ours, theirs).map(|_| ());
            let unless_production = |verdict| match environment {
                Environment::Production => Err(Production),
                Environment::Development | Environment::Test | Environment::Staging => verdict,
            };
            assert_eq!(check(Some(&key), Some(&key)), unless_production(Ok(())));
            assert_eq!(check(Some(&key), None), unless_production(Err(Missing)));
            assert_eq!(check(Some(&key), Some(&wrong[0])), unless_production(Err(Missing)));
            assert_eq!(check(None, Some(&key)), unless_production(Err(NotConfigured)));
            assert_eq!(check(None, None), unless_production(Err(NotConfigured)));
            for wrong in &wrong[1..] {
                assert_eq!(check(Some(&key), Some(wrong)), unless_production(Err(Invalid)));
            }
        }
    }

    #[test]
    fn where_a_server_runs_is_one_of_four_words() {
        let words = Environment::ALL.map(Environment::as_str);
        assert_eq!(words, ["development", "test", "staging", "production"]);
    }

    //= specs/auth.md#auth-47
    //= type=test
    //# A log-in without a credential MUST NOT be given outside development and test.
    #[test]
    fn the_door_for_developers_is_only_in_their_houses() {
        let doors = Environment::ALL.map(Environment::has_dev_login);
        assert_eq!(doors, [true, true, false, false]);
    }
}
