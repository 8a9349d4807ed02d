//! The files of a run that its loader must not see: the journal and the folders of reports.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::CommandError;
use super::run_folder::{RUNS, RunFiles};
use crate::harness::cell::Views;

/// What a cell hides of this run. It can only hide what is there, so a journal that is still to be written
/// is made empty, and goes again if nothing was written to it.
#[derive(Debug)]
pub struct Secret {
    folder: Option<PathBuf>,
    journal: Option<PathBuf>,
}

impl Secret {
    /// For a run that writes at this prefix, or in a folder of its own; or that goes on with a journal.
    ///
    /// # Errors
    /// If the place cannot be written to.
    pub fn prepare(out: Option<&Path>, resumed: Option<&Path>) -> Result<Secret, CommandError> {
        let journal =
            out.map(|prefix| RunFiles::at(prefix).journal).or(resumed.map(Path::to_owned));
        let made = match &journal {
            Some(journal) => touch(journal),
            None => fs::create_dir_all(RUNS),
        };
        made.map_err(|error| {
            let place = journal.as_deref().unwrap_or(Path::new(RUNS)).display();
            CommandError::harness(format!(
                "{place}: {error}\n  remedy: name a place that can be written with --out"
            ))
        })?;
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = journal.is_none().then(|| whole(Path::new(RUNS)));
        Ok(Secret { folder, journal: journal.as_deref().map(whole) })
    }

    /// What a cell does not show.
    pub fn views(&self) -> Views {
        Views {
            hidden: self.folder.iter().cloned().collect(),
            blank: self.journal.iter().cloned().collect(),
            ..Views::default()
        }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let is_empty = |path: &&PathBuf| {
            fs::symlink_metadata(path).is_ok_and(|data| data.is_file() && data.len() == 0)
        };
        if let Some(journal) = self.journal.as_ref().filter(is_empty) {
            // Nothing was written, so nothing is lost either way.
            let _ = fs::remove_file(journal);
        }
    }
}

fn touch(journal: &Path) -> io::Result<()> {
    if let Some(folder) = journal.parent() {
        fs::create_dir_all(folder)?;
    }
    if fs::symlink_metadata(journal).is_ok() {
        return Ok(());
    }
    // A loader may be another user.
    OpenOptions::new().append(true).create(true).mode(0o600).open(journal).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_journal_goes_again_and_a_written_one_stays() {
        let place = tempfile::tempdir().unwrap();
        let prefix = place.path().join("deep/report");
        let journal = place.path().join("deep/report.journal.ndjson");
        let secret = Secret::prepare(Some(&prefix), None).unwrap();
        assert!(journal.is_file());
        assert_eq!(secret.views().blank, [journal.as_path()]);
        drop(secret);
        assert!(!journal.exists());
        let secret = Secret::prepare(Some(&prefix), None).unwrap();
        fs::write(&journal, "line\n").unwrap();
        drop(secret);
        assert!(journal.is_file());
    }
}
