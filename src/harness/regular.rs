//! Reads files that the judge has written and that a loader could have replaced meanwhile, where it has the
//! judge's user and no cell: a pipe, a device or an endless file in their place neither hangs the judge nor
//! fills its memory.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

/// Most bytes of a document beside weights.
const MOST: u64 = 1 << 28;

/// The bytes of a regular file. Links are followed: models may be made of links to published files.
///
/// # Errors
/// If it cannot be read, is no regular file, or is longer than a document can be.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe without a writer would wait.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let data = file.metadata()?;
    if !data.is_file() {
        return Err(io::Error::other("no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::other(format!("longer than {MOST} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

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
        for name in ["pipe", "endless", "sparse", "missing"] {
            assert!(read(&path(name)).is_err(), "{name}");
        }
    }
}
