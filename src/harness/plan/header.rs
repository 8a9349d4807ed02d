//! One weight file: its size, and the tensors that its header declares. The header is parsed by the library of
//! the safetensors format. No weight is read.

use std::io;
use std::path::Path;

use safetensors::tensor::Metadata;
use serde_json::Value;

use super::refusal::Refusal;
use crate::contract::{Code, DType};
use crate::harness::regular;

/// Longest header, in bytes: the bound of the format's own library.
const LONGEST: u64 = 100_000_000;

/// A weight file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightFile {
    /// Its name in the model's folder.
    pub name: String,
    /// Its size in bytes; `None` if it is not there.
    pub bytes: Option<u64>,
}

/// A tensor as its file's header declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Which of the files has it.
    pub file: usize,
    /// Where it begins in the file, in bytes; `None` if the file is not there.
    pub begin: Option<u64>,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A file's size, and its tensors by its header.
pub(super) fn header(path: &Path, file: usize) -> Result<(WeightFile, Vec<Declared>), Refusal> {
    let damaged = |code: Code, message: String, expected: String, actual: String| {
        let remedy = "Get the file again, or write it with a safetensors library.";
        Refusal::file(path, code, message).told(expected, actual, remedy)
    };
    let absent = "Get all files of the model: its index names this one.";
    let unread = |error: io::Error| unreadable(path, &error, absent);
    let (length, bytes) = regular::front(path, 8).map_err(unread)?;
    let Ok(prefix) = <[u8; 8]>::try_from(length) else {
        let (expected, actual) = ("8 bytes at least".to_owned(), format!("{bytes} bytes"));
        return Err(damaged(Code::TooShort, "no safetensors file".to_owned(), expected, actual));
    };
    if prefix.starts_with(b"GGUF") {
        let refusal = Refusal::file(path, Code::Gguf, "a GGUF file, which is not planned");
        return Err(refusal.told("a safetensors file", "GGUF", "Plan the model's safetensors."));
    }
    let declared = u64::from_le_bytes(prefix);
    if declared > LONGEST || declared > bytes - 8 {
        let code = if declared > LONGEST { Code::HeaderTooLarge } else { Code::HeaderTruncated };
        let expected = format!("a header of at most {} bytes", LONGEST.min(bytes - 8));
        let message = "the header is longer than it can be".to_owned();
        return Err(damaged(code, message, expected, declared.to_string()));
    }
    let (front, bytes) = regular::front(path, 8 + declared).map_err(unread)?;
    let data = 8 + declared;
    let metadata: Metadata =
        serde_json::from_slice(front.get(8..).unwrap_or_default()).map_err(|error| {
            let message = "the header cannot be read".to_owned();
            let expected = "a header of the safetensors format".to_owned();
            damaged(Code::InvalidHeader, message, expected, error.to_string())
        })?;
    let held = metadata.data_len() as u64;
    if data + held != bytes {
        let code = if data + held > bytes { Code::Truncated } else { Code::TrailingBytes };
        let message = "the file has not the length that its header declares".to_owned();
        let (expected, actual) = (format!("{} bytes", data + held), format!("{bytes} bytes"));
        return Err(damaged(code, message, expected, actual));
    }
    let mut tensors = Vec::new();
    for (name, info) in metadata.tensors() {
        let told = info.dtype.to_string();
        let dtype = serde_json::from_value(Value::String(told.clone())).map_err(|_| {
            let (expected, message) = ("a dtype of the format", "an unknown dtype");
            damaged(Code::UnknownDtype, message.to_owned(), expected.to_owned(), told).tensor(&name)
        })?;
        let (begin, end) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        let shape = info.shape.iter().map(|side| *side as u64).collect();
        tensors.push(Declared {
            name,
            dtype,
            shape,
            file,
            begin: Some(data + begin),
            bytes: end - begin,
        });
    }
    Ok((WeightFile { name: name_of(path), bytes: Some(bytes) }, tensors))
}

/// The refusal of a file that cannot be read at all. `absent` is the remedy where there is no such file.
pub(super) fn unreadable(path: &Path, error: &io::Error, absent: &str) -> Refusal {
    let regular = "a regular file";
    let (code, expected, remedy) = match error.kind() {
        io::ErrorKind::NotFound => (Code::NotFound, regular, absent),
        io::ErrorKind::PermissionDenied => {
            (Code::Unreadable, "a file that may be read", "Let this user read it.")
        }
        io::ErrorKind::FileTooLarge => (
            Code::Unreadable,
            "a document that a model can have",
            "Get it again from where it was published: no model has such a document.",
        ),
        _ => (Code::Unreadable, regular, "Name a regular file."),
    };
    Refusal::file(path, code, "cannot be read").told(expected, error, remedy)
}

/// A file's name without its folder.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
