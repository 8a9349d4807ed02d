//! The program of a loader as it lies on the disk: the SHA-256 of the program, of the files that its command
//! names, and of those that its manifest lists.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::digest::sha256_file;
use crate::harness::manifest::Manifest;
use crate::harness::record::ProgramFile;

/// So many files of one loader are hashed at most.
const MOST: usize = 10_000;

/// The files of a loader's program, with their digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    files: Vec<File>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    path: PathBuf,
    file: ProgramFile,
    /// What the kernel says of it. It sets the time of the last change by itself.
    seen: Option<Seen>,
}

/// Device, number, size and time of the last change.
type Seen = (u64, u64, u64, i64, i64);

/// Digests of files that were read before: this program may be a loader a thousand times.
static KNOWN: Mutex<BTreeMap<Seen, String>> = Mutex::new(BTreeMap::new());

impl Program {
    /// Reads the files of a loader.
    pub fn of(manifest: &Manifest) -> Program {
        let words = &manifest.written.command;
        let first = words.first().map(String::as_str).unwrap_or_default();
        let own = std::env::current_exe().ok();
        let name = match own.as_ref() == Some(&manifest.program) {
            true => "weighbridge",
            false => first,
        };
        let mut named = vec![(name.to_owned(), manifest.program.clone())];
        for word in words.iter().skip(1) {
            let path = manifest.folder.join(word);
            if path.is_file() {
                named.push((word.clone(), path));
            }
        }
        for listed in &manifest.written.files {
            within(&listed.display().to_string(), &manifest.folder.join(listed), &mut named);
        }
        named.truncate(MOST);
        let files = named.into_iter().map(|(name, path)| {
            let seen = seen(&path);
            let sha256 = seen.map_or_else(|| digest(&path), |seen| digest_once(seen, &path));
            File { path, file: ProgramFile { name, sha256 }, seen }
        });
        Program { files: files.collect() }
    }

    /// The digests, for the report.
    pub fn digests(&self) -> Vec<ProgramFile> {
        self.files.iter().map(|file| file.file.clone()).collect()
    }

    /// The names of the files that are no longer what they were.
    pub fn changed(&self) -> Vec<String> {
        let is_other = |file: &&File| {
            let now = seen(&file.path);
            (now.is_none() || now != file.seen) && digest(&file.path) != file.file.sha256
        };
        self.files.iter().filter(is_other).map(|file| file.file.name.clone()).collect()
    }
}

/// A file, or all files below a folder in the order of their names. Links are followed to files only.
fn within(name: &str, path: &Path, found: &mut Vec<(String, PathBuf)>) {
    if found.len() >= MOST {
        return;
    }
    if !fs::symlink_metadata(path).is_ok_and(|data| data.is_dir()) {
        found.push((name.to_owned(), path.to_owned()));
        return;
    }
    let mut entries: Vec<_> = fs::read_dir(path).into_iter().flatten().flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let own = entry.file_name();
        // What an interpreter keeps of its own.
        if own != "__pycache__" {
            within(&format!("{name}/{}", own.to_string_lossy()), &entry.path(), found);
        }
    }
}

fn digest_once(seen: Seen, path: &Path) -> String {
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(digest) = known().get(&seen) {
        return digest.clone();
    }
    let digest = digest(path);
    known().insert(seen, digest.clone());
    digest
}

fn seen(path: &Path) -> Option<Seen> {
    let data = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some((data.dev(), data.ino(), data.size(), data.ctime(), data.ctime_nsec()))
}

fn digest(path: &Path) -> String {
    // Opening a pipe without a writer would block.
    let regular = |data: fs::Metadata| match data.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("not a regular file")),
    };
    let read = fs::metadata(path).and_then(regular).and_then(|()| sha256_file(path));
    read.unwrap_or_else(|error| format!("unreadable: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_named_and_an_untouched_one_is_not() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir_all(path("package/deep")).unwrap();
        for (name, text) in
            [("run.sh", "exec true"), ("package/a.py", "a"), ("package/deep/b", "b")]
        {
            fs::write(path(name), text).unwrap();
        }
        let text = "name: trial\ncommand: [sh, run.sh]\nfiles: [package]\n";
        fs::write(path("loader.yaml"), text).unwrap();
        let manifest = Manifest::load(&path("loader.yaml")).unwrap();
        let program = Program::of(&manifest);
        let names: Vec<String> = program.digests().into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["sh", "run.sh", "package/a.py", "package/deep/b"]);
        assert_eq!(program.changed(), Vec::<String>::new());
        // Written again with the same bytes, it is the same.
        fs::write(path("run.sh"), "exec true").unwrap();
        assert_eq!(program.changed(), Vec::<String>::new());
        fs::write(path("package/deep/b"), "c").unwrap();
        fs::remove_file(path("package/a.py")).unwrap();
        assert_eq!(program.changed(), ["package/a.py", "package/deep/b"]);
    }
}
