//! The text of a refresh token: a prefix by which secret scanners know it, then two halves in hexadecimal.

use super::Entropy;
use goldenpath_core::auth::Digest;
use goldenpath_core::fault::Fault;
use goldenpath_core::wire::Secret;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

const PREFIX: &str = "gpr_";
/// Of the half that stays, alone: it names a log-in and is good for nothing else.
const DEVICE_PREFIX: &str = "gpd_";
/// Hexadecimal digits of a half.
const DIGITS: usize = 64;

/// Makes the next token of one, as long as this process lives.
#[derive(Clone, Copy)]
pub(super) struct RotationKey(pub(super) [u8; 32]);

/// A token and what the store keeps of it.
pub(super) struct Drawn {
    pub(super) text: Secret,
    /// Of the half that stays, of the half that changes.
    pub(super) digests: [Digest; 2],
}

impl Drawn {
    pub(super) const fn half(&self) -> Digest {
        self.digests[1]
    }
}

/// A token somebody presents.
pub(super) struct Given<'a> {
    family: &'a str,
    half: &'a str,
    digests: [Digest; 2],
}

/// The first token of a new family.
pub(super) fn draw(entropy: &dyn Entropy) -> Result<Drawn, Fault> {
    Ok(with_family(&hex(&entropy.draw()?), &entropy.draw()?))
}

/// What somebody presents, if it has the shape of one.
pub(super) fn read(token: &Secret) -> Option<Given<'_>> {
    let halves = token.0.strip_prefix(PREFIX)?;
    if halves.len() != 2 * DIGITS || !halves.bytes().all(is_digit) {
        return None;
    }
    let (family, half) = halves.split_at(DIGITS);
    Some(Given { family, half, digests: [digest(family), digest(half)] })
}

/// The device credential that belongs to a refresh token of ours.
pub(super) fn device_of(token: &Secret) -> Secret {
    let family = token.0.get(PREFIX.len()..PREFIX.len() + DIGITS).unwrap_or_default();
    Secret(format!("{DEVICE_PREFIX}{family}"))
}

/// The family a device credential names, if it has the shape of one.
pub(super) fn read_device(device: &Secret) -> Option<Digest> {
    let family = device.0.strip_prefix(DEVICE_PREFIX)?;
    (family.len() == DIGITS && family.bytes().all(is_digit)).then(|| digest(family))
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

impl Given<'_> {
    pub(super) const fn key(&self) -> Digest {
        self.digests[0]
    }

    pub(super) const fn half(&self) -> Digest {
        self.digests[1]
    }

    /// The next token of the same family: for the same key always the same one, and nobody without the
    /// key can tell it from one that was drawn (SHA-256 over a key and texts of fixed length).
    //= specs/auth.md#auth-77
    //# Whoever repeats a refresh within the grace MUST be answered with the same token as before,
    //# unless the server was restarted in between.
    pub(super) fn next(&self, key: &RotationKey) -> Drawn {
        let mut hash = Sha256::new();
        hash.update(key.0);
        hash.update(self.family.as_bytes());
        hash.update(self.half.as_bytes());
        let half: [u8; 32] = hash.finalize().into();
        with_family(self.family, &half)
    }
}

fn with_family(family: &str, half: &[u8; 32]) -> Drawn {
    let half = hex(half);
    let digests = [digest(family), digest(&half)];
    Drawn { text: Secret(format!("{PREFIX}{family}{half}")), digests }
}

//= specs/auth.md#auth-55
//# A password, token, ticket or key MUST NOT be found in a log, an error or a file of the database.
/// Of random bytes there is nothing to guess, so no salt and no slow hash is needed.
fn digest(half: &str) -> Digest {
    Digest(Sha256::digest(half.as_bytes()).into())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, Ordering};

    struct Counting(AtomicU8);

    impl Entropy for Counting {
        fn draw(&self) -> Result<[u8; 32], Fault> {
            Ok([self.0.fetch_add(1, Ordering::Relaxed); 32])
        }
    }

    #[test]
    fn the_next_token_has_the_same_family_and_another_half() {
        let entropy = Counting(AtomicU8::new(1));
        let first = draw(&entropy).unwrap();
        let given = read(&first.text).unwrap();
        assert_eq!([given.key(), given.half()], first.digests);
        let key = RotationKey([9; 32]);
        let next = given.next(&key);
        assert_eq!(next.digests[0], first.digests[0]);
        assert_ne!(next.half(), first.half());
        assert_eq!(next.text.0, given.next(&key).text.0, "whoever asks again is answered the same");
        assert_ne!(next.half(), given.next(&RotationKey([8; 32])).half());
        assert_ne!(next.half(), read(&next.text).unwrap().next(&key).half());
        assert_eq!(read(&next.text).unwrap().half(), next.half());
    }

    #[test]
    fn a_device_credential_names_the_family_and_is_no_refresh_token() {
        let entropy = Counting(AtomicU8::new(1));
        let first = draw(&entropy).unwrap();
        let next = read(&first.text).unwrap().next(&RotationKey([9; 32]));
        let device = device_of(&first.text);
        assert_eq!(device.0, device_of(&next.text).0, "it stays while tokens come and go");
        assert_eq!(read_device(&device), Some(first.digests[0]));
        assert!(read(&device).is_none() && read_device(&first.text).is_none());
        for bad in ["", "gpd_", &device.0[..67], &format!("{}0", device.0)] {
            assert_eq!(read_device(&Secret(bad.to_owned())), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_refresh_token_is_not_looked_up() {
        let good = draw(&Counting(AtomicU8::new(1))).unwrap().text.0;
        let upper = good.to_uppercase();
        let other = good.replacen("gpr_", "gps_", 1);
        for bad in ["", "gpr_", &good[..good.len() - 1], &format!("{good}0"), &upper, &other] {
            assert!(read(&Secret(bad.to_owned())).is_none(), "{bad}");
        }
    }
}
