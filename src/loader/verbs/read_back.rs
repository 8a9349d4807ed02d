//! Writes loaded tensors to a safetensors file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::contract::reply::Written;
use crate::contract::{Class, DType, Phase};

use crate::loader::error::{LoadError, Result};
use crate::loader::load::held::Held;
use crate::loader::load::model::Model;
use crate::loader::read::digest::hex;
use crate::loader::remedies::files::{
    DISK_FULL, FILE_TOO_LARGE, FOLDER_MISSING, WRITE_FAILED, WRITE_LINKS_IN_A_CIRCLE,
    WRITE_NOT_PERMITTED, WRITE_PATH_TOO_LONG, WRITE_TO_A_DIRECTORY,
};

/// Bytes copied at once from a model to a file.
const CHUNK: usize = 8 << 20;

/// A tensor to be written.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its element type.
    pub dtype: DType,
    /// Its shape, outermost dimension first.
    pub shape: &'a [u64],
    /// Its size, in bytes.
    pub bytes: u64,
}

impl<'a> From<&'a Held<'a>> for Entry<'a> {
    fn from(held: &'a Held<'a>) -> Self {
        let Held { name, dtype, ref shape, bytes, .. } = *held;
        Entry { name, dtype, shape, bytes }
    }
}

/// Writes a model's tensors in their dtype in memory and in the order of the header, with its
/// `__metadata__`. Of a divided model, writes the slices of one rank.
///
/// # Errors
/// `invalid_request` for a rank that the model does not have; `out_of_disk`, `not_found` (no such folder),
/// `unreadable` (not permitted), `device_fault`. A partly written file is removed.
pub fn model(model: &Model, rank: Option<u32>, into: &Path) -> Result<Written> {
    let (memory, held) = model.held(rank)?;
    let entries: Vec<Entry<'_>> = held.iter().map(Entry::from).collect();
    let header = header(&entries, model.metadata.as_ref())?;
    file(into, |out| {
        out.put(&header)?;
        let mut chunk = Vec::new();
        for tensor in &held {
            let mut done = 0;
            while done < tensor.bytes {
                chunk.resize((tensor.bytes - done).min(CHUNK as u64) as usize, 0);
                memory.read(tensor.offset + done, &mut chunk)?;
                out.put(&chunk)?;
                done += chunk.len() as u64;
            }
        }
        Ok(())
    })
}

/// Writes one tensor.
///
/// # Errors
/// Those of [`model`].
pub fn tensor(entry: Entry<'_>, bytes: &[u8], into: &Path) -> Result<Written> {
    let header = header(&[entry], None)?;
    file(into, |out| {
        out.put(&header)?;
        out.put(bytes)
    })
}

/// Writes a file piece by piece and computes its SHA-256.
///
/// # Errors
/// Those of [`model`].
pub fn file(into: &Path, fill: impl FnOnce(&mut Out) -> Result<()>) -> Result<Written> {
    // Do not remove a file that could not be opened. Remove a file that was partly written.
    let mut out = begin(into).map_err(|error| error.path(into))?;
    let result = fill(&mut out).and_then(|()| out.end());
    result.map_err(|error| {
        // An incomplete file must not be mistaken for a complete one. If removing it fails, the
        // error still says that it was not written. Keep devices and FIFOs: they existed before.
        if std::fs::symlink_metadata(into).is_ok_and(|metadata| metadata.is_file()) {
            let _ = std::fs::remove_file(into);
        }
        error.path(into)
    })
}

/// A file being written.
pub struct Out {
    file: BufWriter<File>,
    hasher: Sha256,
    bytes: u64,
}

impl Out {
    /// Appends bytes.
    ///
    /// # Errors
    /// `out_of_disk` and others of [`model`].
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| cannot_write(&error))?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn end(mut self) -> Result<Written> {
        self.file.flush().map_err(|error| cannot_write(&error))?;
        Ok(Written { bytes: self.bytes, sha256: hex(&self.hasher.finalize()) })
    }
}

fn begin(into: &Path) -> Result<Out> {
    let file = File::create(into).map_err(|error| cannot_write(&error))?;
    Ok(Out { file: BufWriter::new(file), hasher: Sha256::new(), bytes: 0 })
}

/// Builds a safetensors header: length prefix and JSON text, padded with spaces to a multiple of
/// eight bytes, as other writers do.
///
/// # Errors
/// `internal` if a name or the metadata cannot be written as JSON.
pub fn header(
    entries: &[Entry<'_>],
    metadata: Option<&BTreeMap<String, String>>,
) -> Result<Vec<u8>> {
    let text = |text: &str| {
        serde_json::to_string(text)
            .map_err(|error| LoadError::internal(format!("name not written: {error}")))
    };
    let mut members = Vec::with_capacity(entries.len() + 1);
    if let Some(metadata) = metadata {
        let map = serde_json::to_string(metadata)
            .map_err(|error| LoadError::internal(format!("metadata not written: {error}")))?;
        members.push(format!("\"__metadata__\":{map}"));
    }
    let mut begin = 0u64;
    for Entry { name, dtype, shape, bytes } in entries {
        let end = begin + bytes;
        members.push(format!(
            "{}:{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[{begin},{end}]}}",
            text(name)?
        ));
        begin = end;
    }
    let mut json = format!("{{{}}}", members.join(","));
    while json.len() % 8 != 0 {
        json.push(' ');
    }
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    Ok(bytes)
}

fn cannot_write(error: &io::Error) -> LoadError {
    use nix::libc;
    let (class, cause) = match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => (Class::Resource, DISK_FULL),
        Some(libc::EFBIG) => (Class::Resource, FILE_TOO_LARGE),
        Some(libc::ENOENT) => (Class::Refused, FOLDER_MISSING),
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => (Class::Refused, WRITE_NOT_PERMITTED),
        Some(libc::EISDIR) => (Class::Refused, WRITE_TO_A_DIRECTORY),
        Some(libc::ELOOP) => (Class::Refused, WRITE_LINKS_IN_A_CIRCLE),
        Some(libc::ENAMETOOLONG) => (Class::Refused, WRITE_PATH_TOO_LONG),
        _ => (Class::Refused, WRITE_FAILED),
    };
    LoadError::new(class, Phase::Read, cause, "cannot write the file")
        .expected("a writable file", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    const ENTRY: Entry<'_> = Entry { name: "a\"\n", dtype: DType::F16, shape: &[1, 3], bytes: 6 };

    #[test]
    fn writes_what_others_read() {
        let into = tempfile::NamedTempFile::new().unwrap();
        let written = tensor(ENTRY, &[1, 2, 3, 4, 5, 6], into.path()).unwrap();
        let bytes = std::fs::read(into.path()).unwrap();
        assert_eq!(written.bytes, bytes.len() as u64);
        assert_eq!(written.sha256, hex(&Sha256::digest(&bytes)));
        let back = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(back.tensor(ENTRY.name).unwrap().data(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(back.tensor(ENTRY.name).unwrap().shape(), [1, 3]);
    }

    #[test]
    fn removes_only_what_it_began() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("half");
        let fault = LoadError::internal("midway");
        let result = file(&into, |out| {
            out.put(b"x")?;
            Err(fault.clone())
        });
        assert_eq!(result.unwrap_err().code(), Code::Internal);
        assert!(!into.exists());
        let missing = tensor(ENTRY, &[0; 6], &folder.path().join("no/such")).unwrap_err();
        assert_eq!((missing.phase(), missing.code()), (Phase::Read, Code::NotFound));
        assert!(tensor(ENTRY, &[0; 6], folder.path()).is_err());
        assert!(folder.path().is_dir());
        let full = tensor(ENTRY, &[0; 6], Path::new("/dev/full")).unwrap_err();
        assert_eq!((full.class(), full.code()), (Class::Resource, Code::OutOfDisk));
        assert!(Path::new("/dev/full").exists());
    }

    #[test]
    fn each_error_of_the_system_has_its_class_and_its_cause() {
        use nix::libc;
        for (number, class, cause) in [
            (libc::ENOSPC, Class::Resource, DISK_FULL),
            (libc::EDQUOT, Class::Resource, DISK_FULL),
            (libc::EFBIG, Class::Resource, FILE_TOO_LARGE),
            (libc::ENOENT, Class::Refused, FOLDER_MISSING),
            (libc::EACCES, Class::Refused, WRITE_NOT_PERMITTED),
            (libc::EPERM, Class::Refused, WRITE_NOT_PERMITTED),
            (libc::EROFS, Class::Refused, WRITE_NOT_PERMITTED),
            (libc::EISDIR, Class::Refused, WRITE_TO_A_DIRECTORY),
            (libc::ELOOP, Class::Refused, WRITE_LINKS_IN_A_CIRCLE),
            (libc::ENAMETOOLONG, Class::Refused, WRITE_PATH_TOO_LONG),
            (libc::EIO, Class::Refused, WRITE_FAILED),
        ] {
            let error = io::Error::from_raw_os_error(number);
            let wanted = LoadError::new(class, Phase::Read, cause, "cannot write the file");
            assert_eq!(cannot_write(&error), wanted.expected("a writable file", &error));
        }
    }

    #[test]
    fn the_metadata_goes_before_the_tensors() {
        let metadata = BTreeMap::from([("by".to_owned(), "\"me\"".to_owned())]);
        let written = header(&[ENTRY], Some(&metadata)).expect("a header");
        let text = std::str::from_utf8(&written[8..]).expect("UTF-8").trim_end_matches(' ');
        let metadata = r#""__metadata__":{"by":"\"me\""}"#;
        let tensor = r#""a\"\n":{"dtype":"F16","shape":[1, 3],"data_offsets":[0,6]}"#;
        assert_eq!(text, format!("{{{metadata},{tensor}}}"));
        let length = (written.len() as u64 - 8).to_le_bytes();
        assert_eq!((&written[..8], written.len() % 8), (&length[..], 0));
    }
}
