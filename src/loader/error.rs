//! The one error of the load path, and the table of `EMB` codes that people see.
//!
//! A [`LoadError`] carries the contract's closed [`Code`] together with the path, the tensor and
//! what was expected and found. It turns into a [`Failure`] without losing anything.

use std::fmt;
use std::path::Path;

use crate::contract::{Class, Code, DType, DeviceState, Effects, Failure, Phase};

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
    /// An error with nothing but its kind and a message.
    pub fn new(class: Class, phase: Phase, code: Code, message: impl Into<String>) -> Self {
        LoadError { failure: Box::new(Failure::new(class, phase, code, message)) }
    }

    /// The input is bad.
    pub fn refused(phase: Phase, code: Code, message: impl Into<String>) -> Self {
        LoadError::new(Class::Refused, phase, code, message)
    }

    /// The header is bad: class `refused`, phase `header`.
    pub fn header(code: Code, message: impl Into<String>) -> Self {
        LoadError::refused(Phase::Header, code, message)
    }

    /// The capability was declared unsupported.
    pub fn unsupported(phase: Phase, message: impl Into<String>) -> Self {
        LoadError { failure: Box::new(Failure::unsupported(phase, message)) }
    }

    /// The loader's own fault: a state that its code should have made impossible.
    pub fn internal(message: impl Into<String>) -> Self {
        LoadError::new(Class::Internal, Phase::Copy, Code::Internal, message)
            .remedy("report this as a defect of the loader")
    }

    /// A part of a model that the device has no kernel for yet.
    pub fn no_kernel(what: &str) -> Self {
        LoadError::unsupported(Phase::Request, format!("no kernel yet for {what}"))
            .expected("a model without it", what)
            .remedy("run this model on the host: device cpu")
    }

    /// Host memory ran out in phase `alloc`.
    pub fn out_of_host_memory(requested: u64, available: u64) -> Self {
        let mut error = LoadError::new(
            Class::Resource,
            Phase::Alloc,
            Code::OutOfHostMemory,
            format!("not enough host memory: {requested} bytes asked for"),
        )
        .expected(format!("at most {available} bytes"), format!("{requested} bytes"))
        .remedy("unload other models, or load on a machine with more memory");
        error.failure.requested_bytes = Some(requested);
        error.failure.available_bytes = Some(available);
        error
    }

    /// Device memory ran out in phase `alloc`.
    pub fn out_of_device_memory(device: impl fmt::Display, requested: u64, available: u64) -> Self {
        let mut error = LoadError::new(
            Class::Resource,
            Phase::Alloc,
            Code::OutOfDeviceMemory,
            format!("not enough memory on {device}: {requested} bytes asked for"),
        )
        .expected(format!("at most {available} free bytes"), format!("{requested} bytes"))
        .remedy("unload other models, or use a device with more memory");
        error.failure.requested_bytes = Some(requested);
        error.failure.available_bytes = Some(available);
        error
    }

    /// Adds what was expected and what was found.
    pub fn expected(mut self, expected: impl ToString, actual: impl ToString) -> Self {
        self.failure.expected = Some(expected.to_string());
        self.failure.actual = Some(actual.to_string());
        self
    }

    /// Adds what to do about it.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.failure.remedy = Some(remedy.into());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_number_name_and_remedy() {
        let error = LoadError::refused(Phase::Verify, Code::ChecksumMismatch, "digest differs")
            .expected("aa", "bb")
            .remedy("download again")
            .path(Path::new("/m/x"));
        let text = error.to_string();
        assert_eq!(
            text,
            "[EMB-E004] WEIGHT_CHECKSUM_MISMATCH: digest differs\n  file: /m/x\n  expected: aa\n  \
             actual: bb\n  remedy: download again"
        );
        let failure = Failure::from(error);
        assert_eq!(failure.path.as_deref(), Some("/m/x"));
        assert!(failure.message.starts_with("[EMB-E004]") && failure.message.contains("/m/x"));
    }

    #[test]
    fn quotes_hostile_names() {
        assert_eq!(quote("a\u{202e}\n"), "\"a\\u{202e}\\n\"");
        assert!(quote(&"é".repeat(500)).len() < 300);
        let error = LoadError::header(Code::Overlap, "x").tensor("é".repeat(LONGEST_NAME));
        assert_eq!(error.failure().tensor.as_ref().map(String::len), Some(LONGEST_NAME));
    }
}
