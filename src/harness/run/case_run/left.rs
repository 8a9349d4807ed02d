//! The end of a loader on request, and the files that it has left by then.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{CaseEnd, CaseRun};
use crate::harness::client::{Ending, GOODBYE};

/// So many files are looked at in one folder and its subfolders.
const MOST: usize = 10_000;

impl CaseRun<'_> {
    /// Asks the loader to leave. What it held is gone with it.
    ///
    /// # Errors
    /// Untested, where the loader runs in this process.
    pub fn dismiss(&mut self) -> Result<Ending, CaseEnd> {
        // How a thread of this process ends says nothing.
        let _pid = self.pid()?;
        self.loaded.clear();
        let ending = self.client.leave(GOODBYE.max(self.context.setting.patience));
        let waited = Duration::from_micros(ending.elapsed_us);
        self.loader_time += waited;
        self.context.waiting.spend(waited);
        Ok(ending)
    }

    /// Notes which files there are beside those of the case.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn note_files(&mut self) -> io::Result<()> {
        self.noted = below(self.folder)?;
        Ok(())
    }

    /// The files that are new since then, and those in the folder of the loader's process. What the judge
    /// asked for was taken from there before.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn left_files(&self) -> io::Result<Vec<String>> {
        let name = |path: &PathBuf, of: &Path| {
            path.strip_prefix(of).unwrap_or(path).to_string_lossy().escape_debug().to_string()
        };
        let beside = below(self.folder)?;
        let beside = beside.difference(&self.noted);
        let mut all: Vec<String> =
            beside.map(|path| format!("{} beside the files", name(path, self.folder))).collect();
        let own = self.work.parent().unwrap_or(self.work);
        let within = below(own)?;
        let within = within.iter().filter(|path| *path != self.work);
        all.extend(within.map(|path| format!("{} in its folder", name(path, own))));
        Ok(all)
    }
}

/// Everything below a folder; links are not followed.
fn below(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
            found.insert(entry.path());
            if found.len() >= MOST {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_is_listed_and_no_link_is_followed() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        fs::write(path("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink("/", path("root")).unwrap();
        let found = below(place.path()).unwrap();
        assert_eq!(found, [path("a"), path("a/b"), path("a/b/file"), path("root")].into());
    }
}
