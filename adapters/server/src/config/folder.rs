//! Can the store's folder be written?

use super::{Config, Finding, Findings};
use std::io;
use std::path::Path;

/// Adds what is wrong with where data are kept. What it makes to try, it removes again.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    let folder = config.store_folder();
    let name = if config.database_url.is_some() { "DATABASE_URL" } else { "GOLDENPATH_DATA" };
    if folder.as_os_str().is_empty() {
        let remedy = "Write sqlite://FOLDER, or remove it for the data folder";
        findings.push(Finding::new(name, "names no folder", remedy));
    } else if let Err(error) = try_it(&folder) {
        let problem = format!("is {}, which cannot be written: {error}", folder.display());
        findings.push(Finding::new(name, problem, "Name a folder this user may write to"));
    }
}

fn try_it(folder: &Path) -> io::Result<()> {
    let probe = format!("probe.{}", std::process::id());
    // The folder itself, or the nearest one above it in which it would be made.
    let above =
        folder.ancestors().map(|path| if path == Path::new("") { Path::new(".") } else { path });
    let existing = above.into_iter().find(|path| path.exists()).unwrap_or(Path::new("."));
    let probe = existing.join(probe);
    std::fs::create_dir(&probe)?;
    std::fs::remove_dir(&probe)
}
