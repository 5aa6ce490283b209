//! Can a key be guessed? (SAFE-01, SAFE-06, SAFE-97)

use super::{Finding, Findings};
use goldenpath_core::wire::Secret;

/// What a kind of key must be.
pub(super) struct Kind {
    /// Fewest bytes.
    least: usize,
    /// How one is made.
    remedy: &'static str,
}

/// Signs: RFC 7518 section 3.2 wants as many bits as the hash.
pub(super) const SIGNING: Kind = Kind {
    least: 32,
    remedy: "Set at least 32 random bytes, for example from `openssl rand -base64 48`",
};
/// Is sent along, and can be tried at the server only.
pub(super) const PRESENTED: Kind = Kind {
    least: 16,
    remedy: "Set at least 16 random bytes, for example from `openssl rand -base64 24`",
};
/// Fewest different characters a key of chance has; a hexadecimal one of 32 has about 14.
const KEY_VARIETY: usize = 8;
/// Fewest guesses, as a power of ten, that whoever knows words, sequences and repetitions needs: the most
/// that are counted. 10 random bytes in hexadecimal digits come to that.
const KEY_GUESSES: f64 = 19.0;
/// Beyond so many bytes nothing is looked for: the search takes the square of them.
const SEARCHED: usize = 64;
/// What stands in examples.
const EXAMPLES: [&str; 16] = [
    "-here",
    "256-bit",
    "256bit",
    "_here",
    "change-me",
    "change_me",
    "changeme",
    "default",
    "example",
    "password",
    "please",
    "replace",
    "secret",
    "test",
    "your-",
    "your_",
];

/// Adds what is wrong with a key; whether chance must have drawn it depends on who can reach the server.
pub(super) fn check(
    name: &str,
    key: &Secret,
    Kind { least, remedy }: Kind,
    must_be_drawn: bool,
    findings: &mut Findings,
) {
    let bytes = key.0.len();
    if bytes < least {
        let problem = format!("has {bytes} bytes, fewer than {least}");
        findings.push(Finding::new(name, problem, remedy));
    } else if must_be_drawn && is_guessable(&key.0) {
        findings.push(Finding::new(name, "can be guessed", remedy));
    }
}

fn is_guessable(key: &str) -> bool {
    let mut seen = [false; 256];
    key.bytes().for_each(|byte| seen[usize::from(byte)] = true);
    let lower = key.to_ascii_lowercase();
    let searched: String = key.chars().take(SEARCHED).collect();
    seen.iter().filter(|s| **s).count() < KEY_VARIETY
        || EXAMPLES.iter().any(|word| lower.contains(word))
        || zxcvbn::zxcvbn(&searched, &[]).guesses_log10() < KEY_GUESSES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_made_up_can_be_guessed() {
        for key in [
            "abcdefghabcdefghabcdefghabcdefgh",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "your-256-bit-key-goes-here-please",
            "0123456789abcdef0123456789abcdef",
            "qwertyuiopasdfghjklzxcvbnm123456",
            "this-is-only-for-testing-replace-me",
        ] {
            assert!(is_guessable(key), "{key}");
        }
    }

    #[test]
    fn what_chance_made_cannot_be_guessed() {
        for key in [
            "pZ4yT8vN1qWc7RbX2mKd9LsF5gHj3UaE",
            "9f86d081884c7d659a2feaa0c55ad015",
            "c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2",
            "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ",
            "\u{1}\u{2}ü$%&/()=?*'_:;>Äö#+~,.-0987654",
        ] {
            assert!(!is_guessable(key), "{key}");
        }
    }
}
