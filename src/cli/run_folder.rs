//! Where a run writes: a folder of its own, or a prefix that was asked for.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::CommandError;

/// Where the folders of runs are.
pub(super) const RUNS: &str = "target/weighbridge/runs";
/// A link to the folder of the run that began last.
const LATEST: &str = "target/weighbridge/latest";
/// How the name of a journal ends.
const JOURNAL: &str = "journal.ndjson";
/// How the reports in a run's own folder are called.
const REPORT: &str = "report";

/// The files of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFiles {
    /// The reports: this path with .json, .md and .junit.xml added.
    pub prefix: PathBuf,
    /// The journal.
    pub journal: PathBuf,
}

impl RunFiles {
    /// In a new folder, which no other run has.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new_folder() -> Result<RunFiles, CommandError> {
        let failed = |error: io::Error| {
            CommandError::harness(format!(
                "cannot make a folder for the run in {RUNS}: {error}\n  remedy: name a place that can \
                 be written with --out"
            ))
        };
        let folder = new_folder(Path::new(RUNS)).map_err(failed)?;
        link(Path::new(LATEST), &folder);
        Ok(RunFiles { prefix: folder.join(REPORT), journal: folder.join(JOURNAL) })
    }

    /// At a prefix.
    pub fn at(prefix: &Path) -> RunFiles {
        RunFiles { prefix: prefix.to_owned(), journal: with_ending(prefix, JOURNAL) }
    }

    /// Where the run with this journal writes.
    pub fn of_journal(journal: &Path) -> RunFiles {
        let name = journal.file_name().unwrap_or_default().to_string_lossy();
        let prefix = match name.strip_suffix(&format!(".{JOURNAL}")) {
            Some(stem) => journal.with_file_name(stem),
            None if name == JOURNAL => journal.with_file_name(REPORT),
            None => journal.with_extension(""),
        };
        RunFiles { prefix, journal: journal.to_owned() }
    }
}

/// A path with `.ending` added to whatever it ends in.
fn with_ending(prefix: &Path, ending: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(format!(".{ending}"));
    PathBuf::from(path)
}

/// Makes a folder that was not there before, named after the time.
fn new_folder(runs: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(runs)?;
    loop {
        let time = chrono::Utc::now().format("%Y%m%dT%H%M%SZ");
        let folder = runs.join(format!("{time}-{:06x}", rand::random::<u32>() >> 8));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| folder),
        }
    }
}

/// Points a link to a folder near it. What is there and no link stays; without the link, a run only
/// is harder to find.
fn link(latest: &Path, folder: &Path) {
    let (Some(parent), Some(name)) = (latest.parent(), folder.file_name()) else { return };
    if fs::symlink_metadata(latest).is_ok_and(|data| !data.is_symlink()) {
        return;
    }
    let Some(runs) = folder.parent().and_then(Path::file_name) else { return };
    let new = parent.join(format!(".latest-{:08x}", rand::random::<u32>()));
    let target = Path::new(runs).join(name);
    // The rename replaces the link at once, so that it always points to a run.
    if std::os::unix::fs::symlink(target, &new).and_then(|()| fs::rename(&new, latest)).is_err() {
        let _ = fs::remove_file(&new);
    }
}

/// A prefix that no other run writes to as long as this is held. The lock file goes when it is
/// dropped.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    _file: File,
}

impl Claim {
    /// Claims a prefix.
    ///
    /// # Errors
    /// If another run holds it, or the lock file cannot be made.
    pub fn of(prefix: &Path) -> Result<Claim, CommandError> {
        let path = with_ending(prefix, "lock");
        let failed = |error: io::Error| {
            CommandError::harness(format!(
                "--out: {}: {error}\n  remedy: name a place that can be written",
                path.display()
            ))
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        loop {
            let mut options = File::options();
            let file = options.append(true).create(true).open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(CommandError::usage(format!(
                        "--out: {}: another run is writing there\n  remedy: wait until it has ended, or \
                         name another place with --out",
                        prefix.display()
                    )));
                }
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            // Between opening and locking, its holder may have removed it.
            let identity = |data: fs::Metadata| (data.dev(), data.ino());
            if fs::metadata(&path).map(identity).ok() == file.metadata().map(identity).ok() {
                return Ok(Claim { path, _file: file });
            }
        }
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A lock file that stays holds nothing.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_has_a_folder_and_the_link_points_to_the_last() {
        let place = tempfile::tempdir().unwrap();
        let (runs, latest) = (place.path().join("runs"), place.path().join("latest"));
        let first = new_folder(&runs).unwrap();
        link(&latest, &first);
        let second = new_folder(&runs).unwrap();
        assert_ne!(first, second);
        link(&latest, &second);
        assert_eq!(fs::canonicalize(&latest).unwrap(), fs::canonicalize(&second).unwrap());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2, "nothing else is left");
        fs::remove_file(&latest).unwrap();
        fs::create_dir(&latest).unwrap();
        link(&latest, &second);
        assert!(fs::symlink_metadata(&latest).unwrap().is_dir(), "it was no link");
    }

    #[test]
    fn a_prefix_has_one_holder() {
        let place = tempfile::tempdir().unwrap();
        let prefix = place.path().join("new/p");
        let held = Claim::of(&prefix).unwrap();
        let refused = Claim::of(&prefix).unwrap_err().message;
        assert!(refused.contains("another run is writing there"), "{refused}");
        drop(held);
        drop(Claim::of(&prefix).unwrap());
        assert_eq!(fs::read_dir(place.path().join("new")).unwrap().count(), 0);
    }

    #[test]
    fn a_journal_tells_where_its_reports_go() {
        let of = |path: &str| RunFiles::of_journal(Path::new(path)).prefix;
        assert_eq!(of("a/b.journal.ndjson"), Path::new("a/b"));
        assert_eq!(of("a/journal.ndjson"), Path::new("a/report"));
        assert_eq!(of("a/saved.ndjson"), Path::new("a/saved"));
        let out = RunFiles::at(Path::new("x/y.1"));
        assert_eq!(out.journal, Path::new("x/y.1.journal.ndjson"));
        assert_eq!(RunFiles::of_journal(&out.journal), out);
    }
}
