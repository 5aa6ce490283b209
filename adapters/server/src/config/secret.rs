//! The signing key of a development machine: made once, kept in the data folder, readable by its owner.

use super::Finding;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use goldenpath_core::wire::Secret;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

const NAME: &str = "jwt.key";

/// The key in `data/jwt.key`, made from the operating system's randomness when it is not there.
///
/// # Errors
/// When the folder cannot be written or the file cannot be read; only used outside production.
pub(super) fn stored_or_made(data: &Path) -> Result<Secret, Finding> {
    let path = data.join(NAME);
    let failed = |what: &str, error: &dyn core::fmt::Display| {
        Finding::new(
            "JWT_SECRET_KEY",
            format!("is not set, and {what} {} failed: {error}", path.display()),
            "Set it, or make the data folder (GOLDENPATH_DATA) writable",
        )
    };
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= 32 => return Ok(Secret(text.trim().to_owned())),
        Ok(_) => return Err(failed("the key in", &"it is too short; remove the file")),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed("reading", &error)),
    }
    fs::create_dir_all(data).map_err(|error| failed("making the folder of", &error))?;
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| failed("making", &error))?;
    let key = URL_SAFE_NO_PAD.encode(bytes);
    match write_new(&path, &key) {
        Ok(()) => Ok(Secret(key)),
        // Another process was quicker: its key counts.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => stored_or_made(data),
        Err(error) => Err(failed("writing", &error)),
    }
}

/// The file appears with its whole content or not at all: written aside, then linked to its name.
fn write_new(path: &Path, key: &str) -> std::io::Result<()> {
    let aside = path.with_extension(format!("key.{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&aside)?;
    file.write_all(key.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    linked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = stored_or_made(folder.path()).unwrap();
        assert_eq!(stored_or_made(folder.path()).unwrap(), first);
        assert_eq!(first.0.len(), 43);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(folder.path().join(NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_key_is_not_replaced_silently() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "short").unwrap();
        assert!(stored_or_made(folder.path()).is_err());
    }
}
