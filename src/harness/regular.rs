//! Reads and rewrites files that the judge has written and that a loader could have replaced meanwhile, where it has the
//! judge's user and no cell: a pipe, a device or an endless file in their place neither hangs the judge nor
//! fills its memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

/// Most bytes of a document beside weights.
const MOST: u64 = 1 << 28;

/// What a document of JSON may take: bytes of its text, and bytes of its values in memory.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    text: u64,
    tree: usize,
}

/// A configuration, settings, special tokens. The largest in use have 2 MB, of labels.
pub const SMALL: Size = Size { text: 16 << 20, tree: 256 << 20 };
/// A tokenizer or an index. The largest in use have 33 MB.
pub const LARGE: Size = Size { text: 64 << 20, tree: 512 << 20 };

/// Deepest nesting of a document. Those of published models have less than 20.
const DEEPEST: usize = 100;

/// What a value takes in memory beside its text, and what a list or an object takes, in bytes.
const VALUE: usize = 64;
const NEST: usize = 256;

/// The bytes of a document of JSON that a stranger has written, if it can be parsed within bounds. Whether it is
/// JSON is not looked at.
///
/// # Errors
/// As for [`read`], and what is beyond the bounds.
pub fn document(path: &Path, most: Size) -> io::Result<Vec<u8>> {
    let bytes = read_at_most(path, most.text)?;
    match beyond(&bytes, most.tree) {
        Some(why) => Err(too_large(why)),
        None => Ok(bytes),
    }
}

fn too_large(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, why)
}

/// What of a document is beyond the bounds, if anything is.
fn beyond(text: &[u8], tree: usize) -> Option<String> {
    let (mut deep, mut taken, mut quoted, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text {
        match (quoted, *byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (true, _) => {}
            (false, b'[' | b'{') => {
                deep += 1;
                taken += NEST;
            }
            (false, b']' | b'}') => deep = deep.saturating_sub(1),
            (false, b',' | b':') => taken += VALUE,
            (false, _) => {}
        }
        taken += usize::from(quoted);
        if deep > DEEPEST {
            return Some(format!("nests more than {DEEPEST} deep"));
        }
        if taken > tree {
            return Some(format!("takes more than {} MiB of memory", tree >> 20));
        }
    }
    None
}

/// The bytes of a regular file. Links are followed: models may be made of links to published files.
///
/// # Errors
/// If it cannot be read, is no regular file, or is longer than a document can be.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_at_most(path, MOST)
}

/// The bytes of a regular file that has at most so many.
///
/// # Errors
/// As of [`read`].
pub fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = checked(OpenOptions::new().read(true), 0, path)?;
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large(format!("longer than {most} bytes")));
    }
    Ok(bytes)
}

/// The first bytes of a regular file, at most so many, and how many bytes it has in all. Links are followed.
///
/// # Errors
/// As of [`read`], but for the length.
pub fn front(path: &Path, most: u64) -> io::Result<(Vec<u8>, u64)> {
    let file = checked(OpenOptions::new().read(true), 0, path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok((bytes, length))
}

/// Opens a regular file to be read. A link is not followed.
///
/// # Errors
/// If it cannot be opened, or is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    checked(OpenOptions::new().read(true), libc::O_NOFOLLOW, path)
}

/// Opens a regular file to be written in place. A link is not followed.
///
/// # Errors
/// As of [`open`].
pub fn open_to_write(path: &Path) -> io::Result<File> {
    checked(OpenOptions::new().write(true), libc::O_NOFOLLOW, path)
}

/// Writes other bytes to a regular file that is there.
///
/// # Errors
/// As of [`open`], and if it cannot be written.
pub fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open_to_write(path)?;
    file.set_len(0)?;
    file.write_all(bytes)
}

fn checked(options: &mut OpenOptions, flags: i32, path: &Path) -> io::Result<File> {
    // Opening a pipe without somebody at its other end would wait.
    let file = options.custom_flags(flags | libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("no regular file")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn a_document_that_takes_much_is_refused_before_it_is_parsed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("document");
        let judged = |text: &str| {
            fs::write(&path, text).unwrap();
            document(&path, Size { text: 4096, tree: 1 << 15 }).map_err(|error| error.to_string())
        };
        let nested = |count: usize| "[".repeat(count) + &"]".repeat(count);
        assert!(judged(&nested(60)).is_ok());
        assert!(judged(&nested(101)).unwrap_err().contains("nests"));
        assert!(judged(&format!("[{}0]", "0,".repeat(200))).is_ok());
        assert!(judged(&format!("[{}0]", "{},".repeat(120))).unwrap_err().contains("memory"));
        // Brackets in a text are no structure.
        let quoted = format!("[\"\\\"{}\", 1]", "[".repeat(200));
        assert!(judged(&quoted).is_ok(), "{quoted}");
        assert!(judged(&" ".repeat(4097)).unwrap_err().contains("longer"));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::write(path("file"), "text").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        mkfifo(&path("pipe"), Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("endless")).unwrap();
        File::create(path("sparse")).unwrap().set_len(1 << 42).unwrap();
        assert_eq!(read(&path("file")).unwrap(), b"text");
        assert_eq!(read(&path("link")).unwrap(), b"text");
        assert_eq!(front(&path("link"), 2).unwrap(), (b"te".to_vec(), 4));
        assert_eq!(front(&path("sparse"), 2).unwrap(), (vec![0, 0], 1 << 42));
        for name in ["pipe", "endless", "sparse", "missing"] {
            assert!(read(&path(name)).is_err(), "{name}");
            assert!(name == "sparse" || front(&path(name), 8).is_err(), "{name}");
        }
        for name in ["pipe", "endless", "link", "missing"] {
            assert!(
                overwrite(&path(name), b"other").is_err() && open(&path(name)).is_err(),
                "{name}"
            );
        }
        // A pipe with somebody at its other end can be opened.
        let mut reader = OpenOptions::new();
        let reader = reader.read(true).custom_flags(libc::O_NONBLOCK).open(path("pipe")).unwrap();
        assert!(overwrite(&path("pipe"), b"other").is_err());
        drop(reader);
        assert_eq!(read(&path("file")).unwrap(), b"text", "not through the link");
        overwrite(&path("file"), b"new").unwrap();
        assert_eq!(read(&path("file")).unwrap(), b"new");
    }
}
