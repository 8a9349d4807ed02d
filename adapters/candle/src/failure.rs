//! Translates candle's errors to the contract's codes. The map is total: an error without a specific code gets
//! a broad one.

use std::io::ErrorKind;

use candle_core::Error;
use safetensors::SafeTensorError;
use weighbridge::contract::{Class, Code, DType, Failure, Phase};

/// candle's result, or its failure or panic as a failure of the contract.
pub fn asked<T>(phase: Phase, work: impl FnOnce() -> candle_core::Result<T>) -> Result<T, Failure> {
    weighbridge_adapter::asked("candle", phase, work, told)
}

/// One error. Wrappers are opened; the message stays the whole one.
fn told(phase: Phase, error: &Error) -> Failure {
    let mut inner = error;
    let mut path = None;
    loop {
        inner = match inner {
            Error::WithPath { inner, path: named } => {
                path = Some(named.clone());
                inner
            }
            Error::WithBacktrace { inner, .. } | Error::Context { inner, .. } => inner,
            _ => break,
        };
    }
    let (class, at, code) = kind(phase, inner);
    let mut failure = Failure::new(class, at, code, error.to_string());
    match inner {
        Error::CannotFindTensor { path } => failure.tensor = Some(path.clone()),
        Error::UnsupportedSafeTensorDtype(dtype) => {
            failure.dtype = DType::from_name(&format!("{dtype:?}"));
        }
        Error::SafeTensor(SafeTensorError::InvalidOffset(name)) => {
            failure.tensor = Some(name.clone())
        }
        Error::UnexpectedShape { msg, expected, got } => {
            failure.tensor = msg.strip_prefix("shape mismatch for ").map(str::to_owned);
            failure = failure.expected(format!("{expected:?}"), format!("{got:?}"));
        }
        _ => {}
    }
    match path {
        Some(path) => failure.path(path),
        None => failure,
    }
}

/// Class, phase and code of an error without its wrappers.
fn kind(phase: Phase, error: &Error) -> (Class, Phase, Code) {
    use Class::{Internal, Refused};
    match error {
        Error::Io(error) => (Refused, Phase::Open, opening(error.kind())),
        Error::SafeTensor(error) => (Refused, Phase::Header, header(error)),
        Error::UnsupportedSafeTensorDtype(_) => (Refused, Phase::Header, Code::UnsupportedDtype),
        Error::CannotFindTensor { .. } => (Refused, phase, Code::IncompleteModel),
        Error::NotCompiledWithCudaSupport | Error::Cuda(_) => {
            (Class::Device, Phase::Preflight, Code::CudaUnavailable)
        }
        // While a model is built, an error without its own variant is about the configuration.
        Error::Msg(_) if phase == Phase::Header => (Refused, phase, Code::InvalidConfig),
        // While a model runs, a size that does not fit is the input's; while it is built, its tensors'.
        _ if shapes(error) && phase == Phase::Infer => (Refused, phase, Code::InvalidInput),
        _ if shapes(error) => (Refused, phase, Code::ShapeMismatch),
        _ => (Internal, phase, Code::Internal),
    }
}

fn shapes(error: &Error) -> bool {
    matches!(
        error,
        Error::UnexpectedShape { .. }
            | Error::UnexpectedNumberOfDims { .. }
            | Error::ShapeMismatch { .. }
            | Error::ShapeMismatchBinaryOp { .. }
            | Error::ShapeMismatchCat { .. }
            | Error::BroadcastIncompatibleShapes { .. }
            | Error::NarrowInvalidArgs { .. }
            | Error::InvalidIndex { .. }
            | Error::DimOutOfRange { .. }
            | Error::EmptyTensor { .. }
            | Error::UnexpectedDType { .. }
            | Error::UnsupportedDTypeForOp(..)
    )
}

/// The code of a file that cannot be opened or mapped.
pub fn opening(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::IsADirectory => Code::NotAFile,
        _ => Code::Unreadable,
    }
}

/// The errors of the safetensors crate, which candle passes on.
fn header(error: &SafeTensorError) -> Code {
    match error {
        SafeTensorError::InvalidHeader(_) => Code::HeaderNotUtf8,
        SafeTensorError::HeaderTooLarge => Code::HeaderTooLarge,
        SafeTensorError::HeaderTooSmall => Code::TooShort,
        SafeTensorError::InvalidHeaderLength => Code::HeaderTruncated,
        SafeTensorError::TensorInvalidInfo => Code::SizeMismatch,
        SafeTensorError::ValidationOverflow => Code::SizeOverflow,
        SafeTensorError::IoError(_) => Code::ReadFailed,
        SafeTensorError::InvalidOffset(_)
        | SafeTensorError::InvalidTensorView(..)
        | SafeTensorError::MetadataIncompleteBuffer
        | SafeTensorError::MisalignedSlice => Code::InvalidLayout,
        // Syntax, fields and dtypes alike.
        SafeTensorError::InvalidHeaderDeserialization(_)
        | SafeTensorError::JsonError(_)
        | SafeTensorError::TensorNotFound(_) => Code::InvalidHeader,
    }
}
