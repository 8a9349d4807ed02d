//! The error type of the load path, and the table of `EMB` numbers that messages show.
//!
//! A [`LoadError`] holds a [`Code`] of the contract, the path, the tensor, and what was expected
//! and found. One row of the [table of causes](super::remedies) gives code and remedy. A
//! `LoadError` converts to a [`Failure`] without loss.

use std::fmt;
use std::path::Path;

use crate::contract::{Class, Code, DType, DeviceState, Effects, Failure, Phase};

use super::remedies::Cause;
use super::remedies::device_and_memory::{DEVICE_FULL, HEADS_TOO_LARGE, HOST_FULL};
use super::remedies::request::INTERNAL;

/// Longest tensor name that a message quotes, in characters.
const QUOTED_NAME: usize = 120;

/// Longest tensor name that a failure carries in its own field, in bytes.
const LONGEST_NAME: usize = 1 << 20;

/// Longest expected or actual value in an error, in bytes.
const LONGEST_PART: usize = 16 << 10;

/// The error of a load, or of an operation on a loaded model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct LoadError {
    failure: Box<Failure>,
}

/// Result of the load path.
pub type Result<T> = std::result::Result<T, LoadError>;

impl LoadError {
    /// Creates an error. The cause gives its code and remedy.
    pub fn new(
        class: Class,
        phase: Phase,
        cause: impl Into<Cause>,
        message: impl Into<String>,
    ) -> Self {
        let Cause { code, text } = cause.into();
        LoadError { failure: Box::new(Failure::new(class, phase, code, message).remedy(text)) }
    }

    /// Creates an error for invalid input: class `refused`.
    pub fn refused(phase: Phase, cause: impl Into<Cause>, message: impl Into<String>) -> Self {
        LoadError::new(Class::Refused, phase, cause, message)
    }

    /// Creates an error for an invalid header: class `refused`, phase `header`.
    pub fn header(cause: impl Into<Cause>, message: impl Into<String>) -> Self {
        LoadError::refused(Phase::Header, cause, message)
    }

    /// Creates an error for something that the loader does not support: class `unsupported`.
    pub fn unsupported(phase: Phase, cause: impl Into<Cause>, message: impl Into<String>) -> Self {
        LoadError::new(Class::Unsupported, phase, cause, message)
    }

    /// Creates an error for a fault of the loader: a state that should be impossible.
    pub fn internal(message: impl Into<String>) -> Self {
        LoadError::new(Class::Internal, Phase::Copy, INTERNAL, message)
    }

    /// Creates an error for a part of a model that has no GPU kernel yet.
    pub fn no_kernel(what: &str) -> Self {
        let message = format!("no GPU kernel yet for {what}");
        LoadError::unsupported(Phase::Request, HEADS_TOO_LARGE, message)
            .expected("a model without it", what)
    }

    /// Creates an error for too little host memory, in phase `alloc`. Sizes are in bytes.
    pub fn out_of_host_memory(requested: u64, available: u64) -> Self {
        let message = format!("not enough host memory: {requested} bytes asked for");
        LoadError::new(Class::Resource, Phase::Alloc, HOST_FULL, message)
            .expected(format!("at most {available} bytes"), format!("{requested} bytes"))
            .of_memory(requested, available)
    }

    /// Creates an error for too little device memory, in phase `alloc`. Sizes are in bytes.
    pub fn out_of_device_memory(device: impl fmt::Display, requested: u64, available: u64) -> Self {
        let message = format!("not enough memory on {device}: {requested} bytes asked for");
        LoadError::new(Class::Resource, Phase::Alloc, DEVICE_FULL, message)
            .expected(format!("at most {available} free bytes"), format!("{requested} bytes"))
            .of_memory(requested, available)
    }

    /// Adds the requested and the available memory, in bytes.
    pub fn of_memory(mut self, requested: u64, available: u64) -> Self {
        self.failure.requested_bytes = Some(requested);
        self.failure.available_bytes = Some(available);
        self
    }

    /// Adds what was expected and what was found.
    pub fn expected(mut self, expected: impl ToString, actual: impl ToString) -> Self {
        self.failure.expected = Some(cut(expected.to_string()));
        self.failure.actual = Some(cut(actual.to_string()));
        self
    }

    /// Names the tensor at fault.
    ///
    /// Names longer than a mebibyte are cut, because an escaped name must fit in a line of the
    /// protocol.
    pub fn tensor(mut self, name: impl Into<String>) -> Self {
        let mut name = name.into();
        let cut = (0..=LONGEST_NAME.min(name.len())).rev().find(|at| name.is_char_boundary(*at));
        name.truncate(cut.unwrap_or(0));
        self.failure.tensor = Some(name);
        self
    }

    /// Adds to the message how many rules are broken in how many tensors. This error is the first
    /// of them.
    pub fn breaches(mut self, rules: usize, tensors: usize) -> Self {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        self.failure.message += &format!(
            " ({rules} rule{} broken in {tensors} tensor{})",
            plural(rules),
            plural(tensors)
        );
        self
    }

    /// Names the element type at fault.
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.failure.dtype = Some(dtype);
        self
    }

    /// Names the file at fault, unless one is named already.
    pub fn path(mut self, path: &Path) -> Self {
        self.failure.path.get_or_insert_with(|| path.display().to_string());
        self
    }

    /// Marks the device as unusable, and its content as unknown.
    pub fn poisoned(mut self) -> Self {
        self.failure.device = DeviceState::Poisoned;
        self.failure.effects = Effects::Unknown;
        self
    }

    /// The class of the error.
    pub fn class(&self) -> Class {
        self.failure.class
    }

    /// The phase in which it occurred.
    pub fn phase(&self) -> Phase {
        self.failure.phase
    }

    /// The code of the contract.
    pub fn code(&self) -> Code {
        self.failure.code
    }

    /// Returns the contract's form. Its message has neither `EMB` number nor path.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, name) = emb(self.code());
        write!(f, "[EMB-E{number:03}] {name}: {}", self.failure.message)?;
        for (label, value) in [
            ("file", &self.failure.path),
            ("expected", &self.failure.expected),
            ("actual", &self.failure.actual),
            ("remedy", &self.failure.remedy),
        ] {
            if let Some(value) = value {
                write!(f, "\n  {label}: {value}")?;
            }
        }
        Ok(())
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let (number, name) = emb(error.code());
        let mut failure = *error.failure;
        let file = failure.path.as_ref().map(|path| format!(": {path}")).unwrap_or_default();
        failure.message = format!("[EMB-E{number:03}] {name}: {}{file}", failure.message);
        failure
    }
}

/// The `EMB` number and name of a code.
///
/// Numbers 1, 4 and 7 and their names are those of TECH-EMB-002, which defines no others. The other
/// numbers are ours. Every code has exactly one number, and every number has one meaning.
pub const fn emb(code: Code) -> (u16, &'static str) {
    match code {
        Code::CudaUnavailable => (1, "CUDA_UNAVAILABLE"),
        Code::ComputeCapability => (2, "COMPUTE_CAPABILITY_INSUFFICIENT"),
        Code::VramInsufficient => (3, "VRAM_INSUFFICIENT"),
        Code::ChecksumMismatch => (4, "WEIGHT_CHECKSUM_MISMATCH"),
        Code::OutOfDeviceMemory => (5, "VRAM_ALLOCATION_FAILED"),
        Code::InvalidDevice => (6, "INVALID_DEVICE"),
        Code::GateFailed
        | Code::NonFinite
        | Code::Density
        | Code::Norm
        | Code::Constant
        | Code::SpotCheck => (7, "CORRUPTED_WEIGHT"),
        Code::NotFound | Code::NotAFile => (8, "WEIGHT_FILE_NOT_FOUND"),
        Code::Unreadable | Code::ReadFailed => (9, "WEIGHT_FILE_UNREADABLE"),
        Code::ForeignFormat | Code::GitLfsPointer | Code::HtmlPage | Code::Pickle | Code::Gguf => {
            (10, "FOREIGN_FORMAT")
        }
        Code::InvalidHeader
        | Code::TooShort
        | Code::HeaderTooLarge
        | Code::HeaderTruncated
        | Code::HeaderNotUtf8
        | Code::HeaderNotJson
        | Code::HeaderPadding
        | Code::DuplicateKey
        | Code::UnknownField
        | Code::MissingField
        | Code::InvalidField
        | Code::UnknownDtype
        | Code::InvalidMetadata => (11, "WEIGHT_PARSE_ERROR"),
        Code::InvalidLayout
        | Code::OffsetsReversed
        | Code::SizeOverflow
        | Code::SizeMismatch
        | Code::Overlap
        | Code::Gap
        | Code::TrailingBytes
        | Code::Truncated => (12, "WEIGHT_LAYOUT_ERROR"),
        Code::UnsupportedDtype => (13, "UNSUPPORTED_DTYPE"),
        Code::FileChanged => (14, "WEIGHT_FILE_CHANGED"),
        Code::DeviceFault => (15, "DEVICE_FAULT"),
        Code::OutOfHostMemory => (16, "HOST_ALLOCATION_FAILED"),
        Code::OutOfDisk => (17, "DISK_FULL"),
        Code::InvalidRequest => (18, "INVALID_REQUEST"),
        Code::UnknownHandle => (19, "UNKNOWN_HANDLE"),
        Code::UnknownTensor => (20, "UNKNOWN_TENSOR"),
        Code::UnsupportedCapability => (21, "UNSUPPORTED"),
        Code::Internal => (22, "INTERNAL"),
        Code::InvalidSeal => (23, "INVALID_SEAL"),
        Code::InvalidIndex => (24, "INVALID_SHARD_INDEX"),
        Code::InvalidConfig => (25, "INVALID_CONFIG"),
        Code::UnknownArchitecture => (26, "UNKNOWN_ARCHITECTURE"),
        Code::IncompleteModel => (27, "INCOMPLETE_MODEL"),
        Code::ShapeMismatch => (28, "SHAPE_MISMATCH"),
        Code::InvalidTokenizer => (29, "INVALID_TOKENIZER"),
        Code::InvalidInput => (30, "INVALID_INPUT"),
        Code::OutputNotFinite => (31, "OUTPUT_NOT_FINITE"),
        Code::InvalidGolden => (32, "INVALID_GOLDEN"),
        Code::GoldenMismatch => (33, "GOLDEN_MISMATCH"),
        Code::InvalidRegistry => (34, "INVALID_REGISTRY"),
        Code::InvalidTemplate => (35, "INVALID_TEMPLATE"),
    }
}

/// Formats a name from a file for a message: quoted, escaped (control and direction characters),
/// cut.
pub fn quote(name: &str) -> String {
    match name.char_indices().nth(QUOTED_NAME) {
        Some((cut, _)) => format!("{:?}...", &name[..cut]),
        None => format!("{name:?}"),
    }
}

/// Cuts a text that came out of a file: a line of the protocol has an end.
fn cut(mut text: String) -> String {
    if text.len() > LONGEST_PART {
        let at = (0..=LONGEST_PART).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(at.unwrap_or(0));
        text.push_str("...");
    }
    text
}

/// Formats a shape for a message: at most its first eight sides, outermost first.
pub fn shape_text(shape: &[u64]) -> String {
    const SHOWN: usize = 8;
    let sides: Vec<String> = shape.iter().take(SHOWN).map(u64::to_string).collect();
    match shape.len().saturating_sub(SHOWN) {
        0 => format!("[{}]", sides.join(", ")),
        more => format!("[{}] and {more} more", sides.join(", ")),
    }
}

/// Returns the name of an enum value in the protocol.
pub fn wire_name(choice: &impl serde::Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(other) => json_text(&other),
        Err(error) => error.to_string(),
    }
}

/// Formats a JSON value for a message; long text is cut.
pub fn json_text(value: &serde_json::Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(QUOTED_NAME) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
pub(crate) mod tests;
