//! Whether files that the judge has made are still what it made: a loader that has the judge's user, and no cell,
//! could write to them, or put a link, a pipe or another folder in their place.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::harness::hex::hex;
use crate::harness::regular;

/// So many files are looked at.
const MOST: usize = 10_000;

/// A longer file is known by its length and its times, not by its digest.
const DIGESTED: u64 = 256 << 20;

/// What there was at each path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made(BTreeMap<PathBuf, Kept>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    /// A folder, by device and number.
    Folder(u64, u64),
    /// A file, by its digest.
    File(String),
    /// A file that is long or cannot be read, by number, length, and time of the last change.
    Long(u64, u64, i64, i64),
    Link(PathBuf),
    Pipe,
    Other,
}

impl Made {
    /// Looks at folders and everything below them, and at the folders that lead to them from `top` on. Links are
    /// not followed. Files that end meanwhile are left out.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn look(top: &Path, folders: &[PathBuf]) -> io::Result<Made> {
        let mut found = BTreeMap::new();
        for folder in folders {
            let leading = folder.ancestors().skip(1).take_while(|path| path.starts_with(top));
            for path in leading {
                found.insert(path.to_owned(), kept(path, &path.symlink_metadata()?)?);
            }
            below(folder, &mut found)?;
        }
        Ok(Made(found))
    }

    /// Leaves out what is at a path and below: the judge changes it itself.
    pub fn forget(&mut self, path: &Path) {
        self.0.retain(|one, _| !one.starts_with(path));
    }

    /// Looks again at a path and below, after the judge has written there.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn look_again(&mut self, path: &Path) -> io::Result<()> {
        self.forget(path);
        below(path, &mut self.0)
    }

    /// The first path at which there is something else now, and what it is. What is new does not count.
    pub fn difference(&self) -> Option<String> {
        self.0.iter().find_map(|(path, was)| {
            let now = path.symlink_metadata().and_then(|data| kept(path, &data));
            let is = match now {
                Ok(now) if now == *was => return None,
                Ok(now) => now.named(was),
                Err(error) if error.kind() == io::ErrorKind::NotFound => "gone".to_owned(),
                Err(error) => error.to_string(),
            };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Some(format!("{} {name} is {is}", was.kind()))
        })
    }
}

impl Kept {
    const fn kind(&self) -> &'static str {
        match self {
            Kept::Folder(..) => "the folder",
            Kept::File(_) | Kept::Long(..) => "the file",
            Kept::Link(_) => "the link",
            Kept::Pipe => "the pipe",
            Kept::Other => "the entry",
        }
    }

    /// What it is, where something else was.
    fn named(&self, was: &Kept) -> String {
        match (was, self) {
            (Kept::File(_) | Kept::Long(..), Kept::File(_) | Kept::Long(..)) => {
                "another than the judge has written".to_owned()
            }
            (_, Kept::Folder(..)) => "another folder".to_owned(),
            (_, Kept::File(_) | Kept::Long(..)) => "a file".to_owned(),
            (_, Kept::Link(to)) => format!("a link to {}", to.display()),
            (_, Kept::Pipe) => "a pipe".to_owned(),
            (_, Kept::Other) => "no regular file".to_owned(),
        }
    }
}

fn below(folder: &Path, found: &mut BTreeMap<PathBuf, Kept>) -> io::Result<()> {
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        if found.len() >= MOST {
            return Ok(());
        }
        let Ok(data) = next.symlink_metadata() else { continue };
        let Ok(one) = kept(&next, &data) else { continue };
        if matches!(one, Kept::Folder(..)) {
            for entry in fs::read_dir(&next)? {
                open.push(entry?.path());
            }
        }
        found.insert(next, one);
    }
    Ok(())
}

fn kept(path: &Path, data: &Metadata) -> io::Result<Kept> {
    let kind = data.file_type();
    if kind.is_dir() {
        return Ok(Kept::Folder(data.dev(), data.ino()));
    }
    if kind.is_symlink() {
        return fs::read_link(path).map(Kept::Link);
    }
    if kind.is_fifo() {
        return Ok(Kept::Pipe);
    }
    if !kind.is_file() {
        return Ok(Kept::Other);
    }
    let long = Kept::Long(data.ino(), data.len(), data.mtime(), data.mtime_nsec());
    if data.len() > DIGESTED {
        return Ok(long);
    }
    match regular::open(path) {
        Ok(file) => Ok(Kept::File(digest(file)?)),
        // A case may take away the right to read a file.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(long),
        Err(error) => Err(error),
    }
}

fn digest(file: File) -> io::Result<String> {
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 16]);
    // It may grow while it is read.
    let mut file = file.take(DIGESTED + 1);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&piece[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    /// A folder `top/cases/one` with the files `a` and `b`.
    fn place() -> (tempfile::TempDir, PathBuf, Made) {
        let top = tempfile::tempdir().unwrap();
        let one = top.path().join("cases/one");
        fs::create_dir_all(&one).unwrap();
        fs::write(one.join("a"), "weights").unwrap();
        fs::write(one.join("b"), "others").unwrap();
        symlink("b", one.join("link")).unwrap();
        let made = Made::look(top.path(), std::slice::from_ref(&one)).unwrap();
        (top, one, made)
    }

    fn after(change: impl Fn(&Path)) -> Option<String> {
        let (_top, one, made) = place();
        change(&one);
        made.difference()
    }

    #[test]
    fn what_is_the_same_or_new_is_no_difference() {
        assert_eq!(after(|_| ()), None);
        assert_eq!(after(|one| fs::write(one.join("lock"), "").unwrap()), None);
        assert_eq!(after(|one| fs::write(one.join("a"), "weights").unwrap()), None);
    }

    #[test]
    fn every_kind_of_change_is_named() {
        let put = |what: fn(&Path)| {
            after(move |one| {
                fs::remove_file(one.join("a")).unwrap();
                what(&one.join("a"));
            })
            .unwrap()
        };
        assert_eq!(put(|_| ()), "the file a is gone");
        let pipe = put(|path| mkfifo(path, Mode::S_IRWXU).unwrap());
        assert_eq!(pipe, "the file a is a pipe");
        let link = put(|path| symlink("/dev/zero", path).unwrap());
        assert_eq!(link, "the file a is a link to /dev/zero");
        let other = put(|path| fs::write(path, "weightS").unwrap());
        assert_eq!(other, "the file a is another than the judge has written");
        assert_eq!(put(|path| fs::create_dir(path).unwrap()), "the file a is another folder");
        let sparse = put(|path| File::create(path).unwrap().set_len(1 << 42).unwrap());
        assert_eq!(sparse, "the file a is another than the judge has written");
        let moved = after(|one| {
            let aside = one.with_file_name("aside");
            fs::rename(one, &aside).unwrap();
            symlink(&aside, one).unwrap();
        });
        assert!(moved.unwrap().starts_with("the folder one is a link to "));
        let leading = after(|one| {
            let (cases, aside) = (one.parent().unwrap(), one.ancestors().nth(2).unwrap());
            fs::rename(cases, aside.join("aside")).unwrap();
            symlink(aside.join("aside"), cases).unwrap();
        });
        assert!(leading.unwrap().starts_with("the folder cases is a link to "));
        let link = after(|one| {
            fs::remove_file(one.join("link")).unwrap();
            symlink("a", one.join("link")).unwrap();
        });
        assert_eq!(link.unwrap(), "the link link is a link to a");
    }

    #[test]
    fn what_the_judge_changed_itself_does_not_count() {
        let (_top, one, mut made) = place();
        fs::write(one.join("a"), "cut").unwrap();
        fs::write(one.join("b"), "cut too").unwrap();
        made.forget(&one.join("b"));
        assert_eq!(made.difference().unwrap(), "the file a is another than the judge has written");
        made.look_again(&one.join("a")).unwrap();
        assert_eq!(made.difference(), None);
        fs::remove_file(one.join("a")).unwrap();
        assert_eq!(made.difference().unwrap(), "the file a is gone");
    }
}
