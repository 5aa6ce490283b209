//! One server at a time works on a data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// The file that is locked; it stays when the server ends, its lock does not.
const NAME: &str = "server.lock";

/// A data folder that is ours until this is dropped, or the process ends in any way.
///
/// Whoever only imports or looks does not need it: SQLite keeps writers apart. But a second server would
/// take the runs of the first for what a crash left behind.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Why a folder is not ours.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError {
    /// Another server has it.
    Held {
        /// The folder.
        folder: PathBuf,
        /// The other's process id, as it wrote it down.
        by: String,
    },
    /// The file cannot be made or locked.
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
}

impl FolderLock {
    /// Takes the folder, which is made if there is none.
    ///
    /// # Errors
    /// [`LockError`]: another server has it, or there is no way to know.
    //= specs/storage.md#stor-30
    //# A server MUST NOT start on a data folder that another one works on.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(NAME);
        let failed = |error| LockError::Io { path: path.clone(), error };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut by = String::new();
                let _ = file.read_to_string(&mut by); // only to say it better
                return Err(LockError::Held { folder: folder.into(), by: by.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

impl core::fmt::Display for LockError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Held { folder, by } => {
                let by = if by.is_empty() { "unknown" } else { by };
                write!(
                    f,
                    "another server works on {} (process {by}); stop it, or name another folder \
                     with --data",
                    folder.display()
                )
            }
            Self::Io { path, error } => write!(f, "{} cannot be locked: {error}", path.display()),
        }
    }
}

impl core::error::Error for LockError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_servers_at_a_time() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("data");
        let first = FolderLock::take(&folder).expect("nobody has it");
        let refused = FolderLock::take(&folder).expect_err("it is taken").to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        FolderLock::take(&folder).expect("it was given back");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let refused = FolderLock::take(file.path()).expect_err("it is no folder").to_string();
        assert!(refused.contains("server.lock cannot be locked"), "{refused}");
    }
}
