//! Writes a file atomically, so that a reader never sees a partial file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The value cannot be expressed in JSON.
    #[error("cannot convert to JSON: {0}")]
    Json(serde_json::Error),
    /// The file could not be written completely. An older file of that name is unchanged.
    #[error("cannot write {path}: {source}{}", describe_copy(.copy.as_deref()))]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Path of a complete copy in the temporary folder, if one was written.
        copy: Option<PathBuf>,
        /// The operating system's error; `StorageFull` if the disk is full.
        source: io::Error,
    },
}

/// Writes a file completely or not at all: writes a new file in the same folder, synchronises it to
/// the disk and renames it over the old one. Creates missing folders.
///
/// # Errors
///
/// [`WriteError::File`]. If the disk is full, a copy is written to the system's temporary folder if
/// possible, and the error names its path.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_through(path, bytes, &std::env::temp_dir(), &mut |file, bytes| file.write_all(bytes))
}

/// [`write_whole`] with a given folder for the copy and a given write function.
fn write_through(
    path: &Path,
    bytes: &[u8],
    refuge: &Path,
    put: &mut dyn FnMut(&mut File, &[u8]) -> io::Result<()>,
) -> Result<(), WriteError> {
    let mut write = || -> io::Result<()> {
        let target = match fs::metadata(path) {
            // A device or a pipe is written to directly; a rename over it would destroy it.
            Ok(found) if !found.is_file() && !found.is_dir() => {
                return put(&mut File::options().write(true).open(path)?, bytes);
            }
            // For a symbolic link, its target is replaced, not the link.
            Ok(_) => fs::canonicalize(path)?,
            Err(_) => path.to_owned(),
        };
        let folder = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder)?;
        let mut file = shared().prefix(".weighbridge-").tempfile_in(folder)?;
        put(file.as_file_mut(), bytes)?;
        file.as_file().sync_all()?;
        file.persist(&target).map_err(|error| error.error)?;
        // The folder is synchronised to make the rename durable. If that fails, the file is
        // still complete, so it is no error.
        File::open(folder).and_then(|folder| folder.sync_all()).unwrap_or_default();
        Ok(())
    };
    write().map_err(|source| WriteError::File {
        path: path.to_owned(),
        copy: is_space(&source).then(|| keep_copy(path, bytes, refuge)).flatten(),
        source,
    })
}

/// By default a temporary file is readable by its owner only. A report gets the permissions that
/// the user's umask allows.
fn shared<'a, 'b>() -> tempfile::Builder<'a, 'b> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
}

fn is_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

fn keep_copy(path: &Path, bytes: &[u8], refuge: &Path) -> Option<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut file = tempfile::Builder::new()
        .prefix("weighbridge-")
        .suffix(&format!("-{name}"))
        .tempfile_in(refuge)
        .ok()?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).ok()?;
    file.keep().ok().map(|(_, path)| path)
}

fn describe_copy(copy: Option<&Path>) -> String {
    match copy {
        Some(copy) => format!("; a complete copy is at {}", copy.display()),
        None => String::new(),
    }
}

/// A value as JSON, with a newline at its end.
///
/// # Errors
///
/// [`WriteError::Json`].
pub fn json<T: Serialize>(value: &T) -> Result<String, WriteError> {
    let mut text = serde_json::to_string_pretty(value).map_err(WriteError::Json)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_keeps_the_old_file_and_says_where_the_copy_is() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let refuge = tempfile::tempdir()?;
        let path = folder.path().join("report.json");
        fs::write(&path, "old")?;
        let mut full = |file: &mut File, bytes: &[u8]| {
            file.write_all(&bytes[..1])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        let Err(error) = write_through(&path, b"new", refuge.path(), &mut full) else {
            return Err(io::Error::other("a full disk was not noticed"));
        };
        let text = error.to_string();
        let WriteError::File { copy: Some(copy), .. } = error else {
            return Err(io::Error::other(text));
        };
        assert_eq!(fs::read_to_string(&path)?, "old");
        assert_eq!(fs::read_to_string(&copy)?, "new");
        assert!(text.contains(&copy.display().to_string()), "{text}");
        assert_eq!(fs::read_dir(folder.path())?.count(), 1, "a half file was left behind");
        Ok(())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn links_and_devices_stay_what_they_are() -> io::Result<()> {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir()?;
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old")?;
        symlink(&file, &link)?;
        assert!(write_whole(&link, b"new").is_ok());
        assert_eq!(fs::read_to_string(&file)?, "new");
        assert!(fs::symlink_metadata(&link)?.is_symlink());

        let full = folder.path().join("full");
        symlink("/dev/full", &full)?;
        match write_whole(&full, b"new") {
            Err(WriteError::File { copy: Some(copy), source, .. }) => {
                assert_eq!(source.kind(), io::ErrorKind::StorageFull);
                assert_eq!(fs::read_to_string(&copy)?, "new");
                fs::remove_file(copy)?;
            }
            other => panic!("{other:?}"),
        }
        assert!(fs::symlink_metadata(&full)?.is_symlink());
        assert!(write_whole(folder.path(), b"new").is_err(), "a folder is no file");
        assert!(folder.path().is_dir());
        Ok(())
    }
}
