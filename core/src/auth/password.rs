//! Which passwords may be chosen (NIST SP 800-63B section 5.1.1.2: length and the obvious ones, no
//! rules of composition).

/// Shortest, in characters.
pub const PASSWORD_MIN: usize = 8;
/// Longest, in bytes: hashing more is work for a stranger's sake.
pub const PASSWORD_MAX: usize = 256;

/// What is tried first, of those long enough; in lower case.
const OBVIOUS: [&str; 40] = [
    "00000000",
    "11111111",
    "11223344",
    "12341234",
    "12344321",
    "12345678",
    "123456789",
    "1234567890",
    "123123123",
    "123qweasd",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "987654321",
    "aa123456",
    "abc12345",
    "abcd1234",
    "admin123",
    "baseball",
    "changeme",
    "computer",
    "football",
    "iloveyou",
    "jennifer",
    "letmein1",
    "michelle",
    "p@ssw0rd",
    "passw0rd",
    "password",
    "password1",
    "password12",
    "password123",
    "princess",
    "qwer1234",
    "qwerty123",
    "qwertyui",
    "qwertyuiop",
    "sunshine",
    "trustno1",
    "welcome1",
];

/// Whether an account with this address may have this password.
///
/// # Errors
/// What is wrong with it, for whoever chooses it.
//= specs/auth.md#auth-48
//# A password that is short, too long, one of the most common or the account's own name MUST NOT be
//# accepted for an account.
pub fn check_password(password: &str, email: &str) -> Result<(), &'static str> {
    if password.chars().count() < PASSWORD_MIN {
        return Err("password has fewer than 8 characters");
    }
    if password.len() > PASSWORD_MAX {
        return Err("password has more than 256 bytes");
    }
    let lower = password.to_lowercase();
    let local = email.rsplit_once('@').map_or(email, |(local, _)| local);
    let first = lower.chars().next();
    let repeats = lower.chars().all(|c| Some(c) == first);
    if repeats || OBVIOUS.contains(&&*lower) || lower == email || lower == local {
        return Err("password is one that is tried first; choose another");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    //= specs/auth.md#auth-48
    //= type=test
    //# A password that is short, too long, one of the most common or the account's own name MUST NOT
    //# be accepted for an account.
    #[test]
    fn what_would_be_guessed_is_not_accepted_and_every_other_is() {
        let long = "x1".repeat(129);
        let own = ["ada.lovelace", "ada.lovelace@example.org", "Ada.Lovelace"];
        let bad = ["", "short", "Password1", "aaaaaaaaaaaa", "QWERTYUIOP", &long];
        for password in bad.into_iter().chain(own) {
            assert!(check_password(password, "ada.lovelace@example.org").is_err(), "{password}");
        }
        let longest = "x1".repeat(128);
        let others = ["correct horse", "ünïcödé§", "password of ada", "x y z 1 2", &longest];
        for password in others {
            assert_eq!(check_password(password, "ada@example.org"), Ok(()), "{password}");
        }
    }

    #[test]
    fn every_obvious_one_would_be_long_enough() {
        for password in OBVIOUS {
            assert!(password.len() >= PASSWORD_MIN && password == password.to_lowercase());
        }
    }
}
