//! Opens a file that a loader says it has written, without trust in it.
//!
//! The path may lead through a link, to a pipe without a writer, to a device without an end, or to a file
//! far larger than any answer. None of these may hang the judge, fill its memory or show it another file.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use super::CaseRun;

/// Most bytes of the outputs of a model: the logits of a thousand tokens over the largest vocabulary that a
/// case has.
pub const OUTPUTS: u64 = 1 << 30;

/// Most bytes that the header of an answer may add to its values.
const HEADER: u64 = 64 << 20;

/// Widening a block of a quantised type to F32 makes it at most so many times larger.
const WIDEST: u64 = 24;

impl CaseRun<'_> {
    /// Reads a file that the loader was asked to write, and removes it.
    ///
    /// # Errors
    /// Why it is no answer: not there, no regular file, reached by a link, or larger than `most` bytes.
    pub fn take_answer(&self, path: &Path, most: u64) -> Result<Vec<u8>, String> {
        let work = self.context.setting.work().map_err(|error| error.to_string())?;
        let bytes = read_below(&work, path, most);
        // If this fails, it is removed with the case's folder.
        let _gone = std::fs::remove_file(path);
        bytes
    }

    /// Most bytes of a file with all tensors of a model that was made from so many bytes.
    pub fn most_of_tensors(made_from: u64) -> u64 {
        made_from.saturating_mul(WIDEST).saturating_add(HEADER)
    }

    /// A fresh path for what the harness writes and the loader only reads.
    pub fn input_file(&self) -> PathBuf {
        let path = self.folder().join(format!("{:016x}", rand::random::<u64>()));
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
        path
    }
}

fn read_below(folder: &Path, path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let within =
        path.strip_prefix(folder).map_err(|_| "a path outside of its folder".to_owned())?;
    let opened = open_below(folder, within).map_err(|error| match error {
        Errno::ELOOP | Errno::EXDEV => "reached by a link".to_owned(),
        Errno::ENXIO => "no regular file".to_owned(),
        error => io::Error::from(error).to_string(),
    })?;
    let mut file = File::from(opened);
    let data = file.metadata().map_err(|error| error.to_string())?;
    if !data.is_file() {
        return Err("no regular file".to_owned());
    }
    if data.len() > most {
        return Err(format!("{} bytes, where at most {most} can be an answer", data.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(data.len()).unwrap_or(0));
    // It may grow while it is read.
    file.by_ref().take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("grows beyond {most} bytes while it is read"));
    }
    Ok(bytes)
}

fn open_below(folder: &Path, within: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let top = open(folder, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(&top, within, how) {
        // An older kernel, or a container that does not know the call: only the last part is checked.
        Err(Errno::ENOSYS | Errno::EPERM) => open(&folder.join(within), flags, Mode::empty()),
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn only_a_plain_file_of_the_right_size_is_an_answer() {
        let place = tempfile::tempdir().unwrap();
        let work = place.path().join("work");
        fs::create_dir_all(work.join("case")).unwrap();
        let secret = place.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        let at = |name: &str| work.join("case").join(name);
        let read = |name: &str| read_below(&work, &at(name), 8);

        fs::write(at("plain"), "12345678").unwrap();
        assert_eq!(read("plain").unwrap(), b"12345678");
        fs::write(at("large"), "123456789").unwrap();
        assert_eq!(read("large").unwrap_err(), "9 bytes, where at most 8 can be an answer");
        File::create(at("sparse")).unwrap().set_len(1 << 40).unwrap();
        assert!(read("sparse").unwrap_err().contains("1099511627776 bytes"));
        mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
        assert_eq!(read("pipe").unwrap_err(), "no regular file");
        symlink(&secret, at("link")).unwrap();
        assert_eq!(read("link").unwrap_err(), "reached by a link");
        symlink("/dev/zero", at("zero")).unwrap();
        assert_eq!(read("zero").unwrap_err(), "reached by a link");
        symlink(place.path(), work.join("away")).unwrap();
        let through = read_below(&work, &work.join("away/secret"), 8).unwrap_err();
        assert_eq!(through, "reached by a link");
        let outside = read_below(&work, &secret, 8).unwrap_err();
        assert_eq!(outside, "a path outside of its folder");
        fs::create_dir(at("folder")).unwrap();
        assert_eq!(read("folder").unwrap_err(), "no regular file");
        assert!(read("missing").unwrap_err().contains("No such file"));
    }
}
