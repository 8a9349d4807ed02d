//! The failure that a loader returns. The harness judges class, phase and code, and only shows the
//! message.
//!
//! The codes are a closed list. Some are special cases of a broader code: an overlap is an invalid
//! layout. [`Code::family`] gives the broader code. The harness also accepts the broader code,
//! except in a case that asks for the exact one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::DType;

/// What is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The input is bad. The loader works as it should.
    Refused,
    /// The loader does not serve this.
    Unsupported,
    /// The device, its driver or its configuration is at fault.
    Device,
    /// Memory, disk or descriptors ran out.
    Resource,
    /// The loader itself is at fault.
    Internal,
}

/// The phase of the request in which it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Understanding the request.
    Request,
    /// Finding and checking the device.
    Preflight,
    /// Opening the file.
    Open,
    /// Reading and checking the header, layout included.
    Header,
    /// Comparing digests.
    Verify,
    /// Running the data-quality gates.
    Admit,
    /// Reserving memory.
    Alloc,
    /// Reading the data and copying it to its destination.
    Copy,
    /// Reading loaded data back, or exporting it.
    Read,
    /// Running the model.
    Infer,
}

/// What went wrong, from a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// No file at that path.
    NotFound,
    /// The path is a directory, a FIFO or a device.
    NotAFile,
    /// The file is there and may not be read.
    Unreadable,
    /// Reading failed midway.
    ReadFailed,

    /// Broader code: not a safetensors file at all.
    ForeignFormat,
    /// A git-lfs pointer instead of the file it points to.
    GitLfsPointer,
    /// A web page instead of a file.
    HtmlPage,
    /// A Python pickle, or the zip archive PyTorch wraps it in.
    Pickle,
    /// A GGUF file.
    Gguf,

    /// Broader code: the header breaks a rule of the format.
    InvalidHeader,
    /// Fewer than the eight bytes of the length prefix.
    TooShort,
    /// The declared header length passes the loader's bound.
    HeaderTooLarge,
    /// The declared header length passes the end of the file.
    HeaderTruncated,
    /// Header bytes that are not UTF-8.
    HeaderNotUtf8,
    /// Header text that is not one strict JSON value.
    HeaderNotJson,
    /// Header text that does not begin with `{`, or is padded with something else than spaces.
    HeaderPadding,
    /// The same key twice in one object, after escapes are decoded.
    DuplicateKey,
    /// A field the format does not have.
    UnknownField,
    /// `dtype`, `shape` or `data_offsets` missing.
    MissingField,
    /// A field of the wrong JSON type, or a number that is not an unsigned integer.
    InvalidField,
    /// A dtype the format does not have.
    UnknownDtype,
    /// `__metadata__` that is not a map of strings to strings.
    InvalidMetadata,

    /// Broader code: header readable, offsets and sizes contradict each other or the file.
    InvalidLayout,
    /// A tensor ends before it begins.
    OffsetsReversed,
    /// shape x dtype does not fit in 64 bits.
    SizeOverflow,
    /// shape x dtype is not the number of bytes between the offsets.
    SizeMismatch,
    /// Two tensors share bytes.
    Overlap,
    /// Bytes that no tensor covers, between tensors or before the first.
    Gap,
    /// Bytes after the last tensor.
    TrailingBytes,
    /// The file ends before the last tensor does.
    Truncated,

    /// A dtype of the format that this loader does not hold.
    UnsupportedDtype,

    /// The SHA-256 of the file, of a sealed part of it, or of the seal is not the expected one.
    ChecksumMismatch,
    /// A file that is not a shard index, or an index that contradicts its shards.
    InvalidIndex,
    /// A file that is not a seal, or a seal that contradicts itself or does not list the loaded
    /// file.
    InvalidSeal,
    /// The file changed while it was being loaded.
    FileChanged,

    /// Broader code: the weights break a data-quality gate.
    GateFailed,
    /// NaN or infinity among the weights.
    NonFinite,
    /// Too many zeros.
    Density,
    /// L2 norm too small.
    Norm,
    /// Every value the same in a tensor that is not exempt.
    Constant,
    /// Zeros at the sampled positions.
    SpotCheck,

    /// No usable CUDA driver or device.
    CudaUnavailable,
    /// No device with that ordinal.
    InvalidDevice,
    /// Compute capability below the profile's.
    ComputeCapability,
    /// Less device memory than the profile asks for.
    VramInsufficient,
    /// A CUDA call failed.
    DeviceFault,

    /// The device cannot hold the request.
    OutOfDeviceMemory,
    /// The host cannot hold the request.
    OutOfHostMemory,
    /// No disk space for a file that the loader must write.
    OutOfDisk,

    /// A `config.json` that is missing, cannot be read as one, or contradicts itself.
    InvalidConfig,
    /// An architecture that the loader does not know.
    UnknownArchitecture,
    /// Tensors that the architecture needs are not there.
    IncompleteModel,
    /// A tensor's shape is not what the configuration asks for.
    ShapeMismatch,
    /// A tokenizer that is missing or cannot be read as one.
    InvalidTokenizer,
    /// A chat template that is missing, cannot be read as one, or does not accept the conversation.
    InvalidTemplate,
    /// An input that does not fit the model.
    InvalidInput,
    /// NaN or infinity in the output of a model.
    OutputNotFinite,
    /// A golden file that is not in its format.
    InvalidGolden,
    /// The output of a model differs from its golden output.
    GoldenMismatch,
    /// A file that is not a registry of models, or a registry that contradicts itself.
    InvalidRegistry,

    /// The request is malformed or names an unknown field.
    InvalidRequest,
    /// No loaded model with that handle.
    UnknownHandle,
    /// No tensor with that name in the model.
    UnknownTensor,
    /// The capability was declared unsupported.
    UnsupportedCapability,
    /// Any fault of the loader itself.
    Internal,
}

impl Code {
    /// The broader code that this one is a case of, if any.
    pub const fn family(self) -> Option<Code> {
        match self {
            Code::GitLfsPointer | Code::HtmlPage | Code::Pickle | Code::Gguf => {
                Some(Code::ForeignFormat)
            }
            Code::TooShort
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
            | Code::InvalidMetadata => Some(Code::InvalidHeader),
            Code::OffsetsReversed
            | Code::SizeOverflow
            | Code::SizeMismatch
            | Code::Overlap
            | Code::Gap
            | Code::TrailingBytes
            | Code::Truncated => Some(Code::InvalidLayout),
            Code::NonFinite | Code::Density | Code::Norm | Code::Constant | Code::SpotCheck => {
                Some(Code::GateFailed)
            }
            _ => None,
        }
    }

    /// The code as the wire spells it, for messages.
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            other => unreachable!("a unit variant serialises to a string, got {other:?}"),
        }
    }
}

/// Whether the failed request left anything behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effects {
    /// Nothing is held: memory is as before the request.
    None,
    /// The loader does not know.
    Unknown,
}

/// Whether the device can be used after the failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// The next request may succeed.
    Ok,
    /// The context is lost; the harness discards the process.
    Poisoned,
}

/// A refused, unsupported or failed request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Whose fault it is.
    pub class: Class,
    /// The phase of the request in which it failed.
    pub phase: Phase,
    /// What went wrong.
    pub code: Code,
    /// Whether the failed request left anything behind.
    pub effects: Effects,
    /// State of the device afterwards.
    pub device: DeviceState,
    /// For people. Neither a pass nor a fail follows from it.
    pub message: String,
    /// What was expected, if a value was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was found instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The tensor at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor: Option<String>,
    /// The element type at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<DType>,
    /// The path at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Bytes requested, if memory ran out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_bytes: Option<u64>,
    /// Bytes that were available, if memory ran out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
}

impl Failure {
    /// A failure that left nothing behind and the device usable.
    pub fn new(class: Class, phase: Phase, code: Code, message: impl Into<String>) -> Self {
        Failure {
            class,
            phase,
            code,
            effects: Effects::None,
            device: DeviceState::Ok,
            message: message.into(),
            expected: None,
            actual: None,
            remedy: None,
            tensor: None,
            dtype: None,
            path: None,
            requested_bytes: None,
            available_bytes: None,
        }
    }

    /// The answer to a verb or option that the loader does not serve.
    pub fn unsupported(phase: Phase, what: impl Into<String>) -> Self {
        Failure::new(Class::Unsupported, phase, Code::UnsupportedCapability, what)
            .remedy("Use a loader whose `hello` declares this capability.")
    }

    /// Adds what was expected and what was found.
    pub fn expected(mut self, expected: impl ToString, actual: impl ToString) -> Self {
        self.expected = Some(expected.to_string());
        self.actual = Some(actual.to_string());
        self
    }

    /// Adds what to do about it.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Names the tensor at fault.
    pub fn tensor(mut self, tensor: impl Into<String>) -> Self {
        self.tensor = Some(tensor.into());
        self
    }

    /// Names the path at fault.
    pub fn path(mut self, path: impl AsRef<std::path::Path>) -> Self {
        self.path = Some(path.as_ref().display().to_string());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (label, value) in
            [("expected", &self.expected), ("actual", &self.actual), ("remedy", &self.remedy)]
        {
            if let Some(value) = value {
                write!(f, "\n  {label}: {value}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
