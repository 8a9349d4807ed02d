//! Where the file is: folders, their file systems, and the copies that are deleted at the end.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::cli::CommandError;
use crate::harness::scratch::{Scratch, sweep};

/// A file to load, on one file system.
#[derive(Debug)]
pub struct Place {
    /// The file system's name; with a number where there are several of that name.
    pub label: String,
    /// Its kind, as the kernel names it.
    pub kind: String,
    /// The file.
    pub file: PathBuf,
    /// Its seal.
    pub seal: PathBuf,
    /// Holds what is deleted at the end.
    _folder: Scratch,
}

impl Place {
    /// A new folder below `folder`, with room for a model to be written as [`file`](Self::file).
    pub fn new(folder: &Path) -> Result<Place, CommandError> {
        let made = scratch(folder)?;
        let file = made.path().join("model.safetensors");
        Place::begin(file, made)
    }

    /// A model where it is.
    pub fn of(model: &Path) -> Result<Place, CommandError> {
        let model = fs::canonicalize(model).map_err(CommandError::usage)?;
        let seals = scratch(&std::env::temp_dir())?;
        Place::begin(model, seals)
    }

    fn begin(file: PathBuf, folder: Scratch) -> Result<Place, CommandError> {
        let kind = file_system(file.parent().unwrap_or(Path::new("/")));
        let seal = folder.path().join("seal.json");
        Ok(Place { label: kind.clone(), kind, file, seal, _folder: folder })
    }

    /// Replaces the file's folder in a text, because reports are read on other machines.
    pub fn without_folders(&self, text: &str) -> String {
        let folder = self.file.parent().unwrap_or(Path::new("/")).display().to_string();
        text.replace(&folder, "FOLDER")
    }

    /// Whether its file system holds files only in memory.
    pub fn in_memory(&self) -> bool {
        matches!(self.kind.as_str(), "tmpfs" | "ramfs" | "hugetlbfs" | "devtmpfs")
    }
}

/// Numbers the places of the same kind.
pub fn number(places: &mut [Place]) {
    for at in 1..places.len() {
        let (before, rest) = places.split_at_mut(at);
        let same = before.iter().filter(|place| place.kind == rest[0].kind).count();
        if same > 0 {
            rest[0].label = format!("{} #{}", rest[0].kind, same + 1);
        }
    }
}

/// Default folder of a synthetic model: in memory, as in the peers' own measurements.
pub fn usual_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn scratch(folder: &Path) -> Result<Scratch, CommandError> {
    sweep(folder);
    Scratch::new_in(folder)
        .map_err(|error| CommandError::usage(format!("--folder: {}: {error}", folder.display())))
}

/// The kind of file system that a folder lies on, from the kernel's table of mounts.
fn file_system(folder: &Path) -> String {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    kind_of(&folder, &table).unwrap_or_else(|| "unknown file system".to_owned())
}

fn kind_of(folder: &Path, table: &str) -> Option<String> {
    let mounts = table.lines().filter_map(|line| {
        // See proc(5): the fifth field is where it is mounted; after a lone dash comes the kind.
        let (left, right) = line.split_once(" - ")?;
        let at = unescape(left.split(' ').nth(4)?);
        Some((at, right.split(' ').next()?))
    });
    mounts
        .filter(|(at, _)| folder.starts_with(at))
        // Of mounts at the same point the last one covers the others, and `max_by_key` takes it.
        .max_by_key(|(at, _)| at.components().count())
        .map(|(_, kind)| kind.to_owned())
}

/// Undoes the table's octal escapes, such as `\040` for a space.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..3).filter(|_| *first == b'\\');
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_and_last_mount_decides() {
        let table = "\
            22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            30 22 0:25 / /dev/shm rw shared:4 - tmpfs tmpfs rw\n\
            31 22 0:26 / /a\\040b rw - xfs /dev/b rw\n\
            32 31 0:27 / /a\\040b rw master:1 - btrfs /dev/c rw\n";
        for (folder, kind) in
            [("/", "ext4"), ("/dev/shm/x", "tmpfs"), ("/dev/shmx", "ext4"), ("/a b/c", "btrfs")]
        {
            assert_eq!(kind_of(Path::new(folder), table).as_deref(), Some(kind), "{folder}");
        }
        assert_eq!(kind_of(Path::new("/"), "nonsense"), None);
    }
}
