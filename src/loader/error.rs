//! The one error of the load path, and the table of `EMB` codes that people see.
//!
//! A [`LoadError`] carries the contract's closed [`Code`] together with the path, the tensor and
//! what was expected and found. Code and remedy come from one row of the [table of
//! causes](super::remedies). It turns into a [`Failure`] without losing anything.

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

/// Why a load, or a look at loaded weights, did not happen.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct LoadError {
    failure: Box<Failure>,
}

/// What loading code answers.
pub type Result<T> = std::result::Result<T, LoadError>;

impl LoadError {
    /// An error with a cause, which gives code and remedy, and a message.
    pub fn new(
        class: Class,
        phase: Phase,
        cause: impl Into<Cause>,
        message: impl Into<String>,
    ) -> Self {
        let Cause { code, text } = cause.into();
        LoadError { failure: Box::new(Failure::new(class, phase, code, message).remedy(text)) }
    }

    /// The input is bad.
    pub fn refused(phase: Phase, cause: impl Into<Cause>, message: impl Into<String>) -> Self {
        LoadError::new(Class::Refused, phase, cause, message)
    }

    /// The header is bad: class `refused`, phase `header`.
    pub fn header(cause: impl Into<Cause>, message: impl Into<String>) -> Self {
        LoadError::refused(Phase::Header, cause, message)
    }

    /// The capability was declared unsupported.
    pub fn unsupported(phase: Phase, cause: impl Into<Cause>, message: impl Into<String>) -> Self {
        LoadError::new(Class::Unsupported, phase, cause, message)
    }

    /// The loader's own fault: a state that its code should have made impossible.
    pub fn internal(message: impl Into<String>) -> Self {
        LoadError::new(Class::Internal, Phase::Copy, INTERNAL, message)
    }

    /// A part of a model that the device has no kernel for yet.
    pub fn no_kernel(what: &str) -> Self {
        let message = format!("no GPU kernel yet for {what}");
        LoadError::unsupported(Phase::Request, HEADS_TOO_LARGE, message)
            .expected("a model without it", what)
    }

    /// Host memory ran out in phase `alloc`.
    pub fn out_of_host_memory(requested: u64, available: u64) -> Self {
        let message = format!("not enough host memory: {requested} bytes asked for");
        LoadError::new(Class::Resource, Phase::Alloc, HOST_FULL, message)
            .expected(format!("at most {available} bytes"), format!("{requested} bytes"))
            .of_memory(requested, available)
    }

    /// Device memory ran out in phase `alloc`.
    pub fn out_of_device_memory(device: impl fmt::Display, requested: u64, available: u64) -> Self {
        let message = format!("not enough memory on {device}: {requested} bytes asked for");
        LoadError::new(Class::Resource, Phase::Alloc, DEVICE_FULL, message)
            .expected(format!("at most {available} free bytes"), format!("{requested} bytes"))
            .of_memory(requested, available)
    }

    /// Adds how much memory was asked for and how much there is.
    pub fn of_memory(mut self, requested: u64, available: u64) -> Self {
        self.failure.requested_bytes = Some(requested);
        self.failure.available_bytes = Some(available);
        self
    }

    /// Adds what was expected and what was found.
    pub fn expected(mut self, expected: impl ToString, actual: impl ToString) -> Self {
        self.failure.expected = Some(expected.to_string());
        self.failure.actual = Some(actual.to_string());
        self
    }

    /// Names the tensor at fault.
    ///
    /// Names of more than a mebibyte are cut: one must fit in a line of the protocol, escaped.
    pub fn tensor(mut self, name: impl Into<String>) -> Self {
        let mut name = name.into();
        let cut = (0..=LONGEST_NAME.min(name.len())).rev().find(|at| name.is_char_boundary(*at));
        name.truncate(cut.unwrap_or(0));
        self.failure.tensor = Some(name);
        self
    }

    /// Says how many rules are broken in how many tensors: this is the first of them.
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

    /// Says that the device can no longer be used, and what it holds is not known.
    pub fn poisoned(mut self) -> Self {
        self.failure.device = DeviceState::Poisoned;
        self.failure.effects = Effects::Unknown;
        self
    }

    /// Whose fault it is.
    pub fn class(&self) -> Class {
        self.failure.class
    }

    /// How far the work had come.
    pub fn phase(&self) -> Phase {
        self.failure.phase
    }

    /// What went wrong.
    pub fn code(&self) -> Code {
        self.failure.code
    }

    /// The contract's form, message without the `EMB` code and path.
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
/// 1, 4 and 7 are the numbers that TECH-EMB-002 uses, with its names; it gives no others. The rest
/// are ours, so that every failure has one number and every number one meaning.
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

/// A name from a file, fit for a message: quoted, control and direction characters escaped, cut.
pub fn quote(name: &str) -> String {
    match name.char_indices().nth(QUOTED_NAME) {
        Some((cut, _)) => format!("{:?}...", &name[..cut]),
        None => format!("{name:?}"),
    }
}

/// A shape for a message: its first sides, outermost first.
pub fn shape_text(shape: &[u64]) -> String {
    const SHOWN: usize = 8;
    let sides: Vec<String> = shape.iter().take(SHOWN).map(u64::to_string).collect();
    match shape.len().saturating_sub(SHOWN) {
        0 => format!("[{}]", sides.join(", ")),
        more => format!("[{}] and {more} more", sides.join(", ")),
    }
}

/// A choice as the protocol spells it.
pub fn wire_name(choice: &impl serde::Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(other) => json_text(&other),
        Err(error) => error.to_string(),
    }
}

/// A JSON value for a message, as it is written, cut.
pub fn json_text(value: &serde_json::Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(QUOTED_NAME) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::remedies::header::OVERLAP;
    use crate::loader::remedies::index_and_seal::DIGEST_DIFFERS;

    #[test]
    fn shows_number_name_and_remedy() {
        let error = LoadError::refused(Phase::Verify, DIGEST_DIFFERS, "digest differs")
            .expected("aa", "bb")
            .path(Path::new("/m/x"));
        let text = error.to_string();
        assert_eq!(
            text,
            "[EMB-E004] WEIGHT_CHECKSUM_MISMATCH: digest differs\n  file: /m/x\n  expected: aa\n  \
             actual: bb\n  remedy: Download the file again, or correct the expected SHA-256."
        );
        let failure = Failure::from(error);
        assert_eq!(failure.path.as_deref(), Some("/m/x"));
        assert!(failure.message.starts_with("[EMB-E004]") && failure.message.contains("/m/x"));
    }

    #[test]
    fn quotes_hostile_names() {
        assert_eq!(quote("a\u{202e}\n"), "\"a\\u{202e}\\n\"");
        assert!(quote(&"é".repeat(500)).len() < 300);
        let error = LoadError::header(OVERLAP, "x").tensor("é".repeat(LONGEST_NAME));
        assert_eq!(error.failure().tensor.as_ref().map(String::len), Some(LONGEST_NAME));
    }
}
