//! Translates candle's errors to the contract's codes. The map is total: an error without a specific code gets
//! a broad one.

use candle_core::Error;
use safetensors::SafeTensorError;
use weighbridge::contract::{Class, Code, DType, DeviceState, Effects, Failure, Phase};
use weighbridge_adapter::{unopened, unparsed};

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
    if code == Code::DeviceFault {
        failure.effects = Effects::Unknown;
        if ENDS_THE_CONTEXT.iter().any(|name| failure.message.contains(name)) {
            failure.device = DeviceState::Poisoned;
        }
    }
    match inner {
        Error::CannotFindTensor { path } => {
            failure.expected = Some(format!("a tensor named {path}"));
            failure.tensor = Some(path.clone());
        }
        Error::UnsupportedSafeTensorDtype(dtype) => {
            failure.dtype = DType::from_name(&dtype.to_string());
            failure = failure.expected("an element type of candle", dtype);
        }
        Error::UnexpectedDType { expected, got, .. } => {
            failure = failure.expected(expected.as_str(), got.as_str());
        }
        Error::UnexpectedNumberOfDims { expected, got, shape } => {
            let found = format!("{got} dimensions, {shape:?}");
            failure = failure.expected(format!("{expected} dimensions"), found);
        }
        Error::InvalidIndex { index, size, .. } => {
            failure = failure.expected(format!("an index below {size}"), index);
        }
        Error::SafeTensor(SafeTensorError::InvalidHeaderDeserialization(error)) => {
            failure.dtype = unparsed(&error.to_string()).1;
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
        Error::Io(error) => (Refused, Phase::Open, unopened(error)),
        Error::SafeTensor(error) => (Refused, Phase::Header, header(error)),
        Error::UnsupportedSafeTensorDtype(_) => (Refused, Phase::Header, Code::UnsupportedDtype),
        Error::CannotFindTensor { .. } => (Refused, phase, Code::IncompleteModel),
        Error::NotCompiledWithCudaSupport => {
            (Class::Device, Phase::Preflight, Code::CudaUnavailable)
        }
        Error::Cuda(error) => on_a_card(phase, &error.to_string()),
        // While a model is built, an error without its own variant is about the configuration; while it runs,
        // about the input.
        Error::Msg(_) if phase == Phase::Header => (Refused, phase, Code::InvalidConfig),
        Error::Msg(_) if phase == Phase::Infer => (Refused, phase, Code::InvalidInput),
        // While a model runs, a size that does not fit is the input's; while it is built, its tensors'.
        _ if shapes(error) && phase == Phase::Infer => (Refused, phase, Code::InvalidInput),
        _ if shapes(error) => (Refused, phase, Code::ShapeMismatch),
        _ => (Internal, phase, Code::Internal),
    }
}

/// An error of CUDA, by the driver's name for it: candle's own type of it is only there where CUDA is built in.
fn on_a_card(phase: Phase, text: &str) -> (Class, Phase, Code) {
    match () {
        () if text.contains("OUT_OF_MEMORY") || text.contains("ALLOC_FAILED") => {
            (Class::Resource, Phase::Alloc, Code::OutOfDeviceMemory)
        }
        () if text.contains("INVALID_DEVICE") => (Class::Device, phase, Code::InvalidDevice),
        // Nothing but the making of a device has this phase.
        () if phase == Phase::Preflight => (Class::Device, phase, Code::CudaUnavailable),
        () => (Class::Device, phase, Code::DeviceFault),
    }
}

/// The driver's names of errors after which a process can do nothing more with CUDA.
const ENDS_THE_CONTEXT: [&str; 9] = [
    "ILLEGAL_ADDRESS",
    "LAUNCH_TIMEOUT",
    "CUDA_ERROR_ASSERT",
    "HARDWARE_STACK_ERROR",
    "ILLEGAL_INSTRUCTION",
    "MISALIGNED_ADDRESS",
    "INVALID_ADDRESS_SPACE",
    "INVALID_PC",
    "LAUNCH_FAILED",
];

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
        SafeTensorError::InvalidHeaderDeserialization(error) => unparsed(&error.to_string()).0,
        SafeTensorError::JsonError(_) | SafeTensorError::TensorNotFound(_) => Code::InvalidHeader,
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType as Kind, Device, Error, Shape, Tensor};
    use weighbridge::contract::{Class, Code, DeviceState, Failure, Phase};

    use super::asked;

    fn of(phase: Phase, error: Error) -> Failure {
        match asked::<()>(phase, || Err(error)) {
            Err(failure) => failure,
            Ok(()) => unreachable!("the error is given"),
        }
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let error = Error::CannotFindTensor { path: "lm_head.weight".to_owned() };
        let failure = of(Phase::Header, error);
        assert_eq!(failure.code, Code::IncompleteModel);
        assert_eq!(failure.tensor.as_deref(), Some("lm_head.weight"));
        assert_eq!(failure.expected.as_deref(), Some("a tensor named lm_head.weight"));
        assert_eq!(failure.actual.as_deref(), Some("cannot find tensor lm_head.weight"));
        assert!(failure.remedy.is_some());
    }

    #[test]
    fn a_wrong_shape_has_both_shapes() {
        let error = Error::UnexpectedShape {
            msg: "shape mismatch for a.weight".to_owned(),
            expected: Shape::from((2, 3)),
            got: Shape::from((3, 2)),
        };
        let failure = of(Phase::Header, error);
        assert_eq!((failure.class, failure.code), (Class::Refused, Code::ShapeMismatch));
        assert_eq!(failure.tensor.as_deref(), Some("a.weight"));
        assert_eq!(failure.expected.as_deref(), Some("[2, 3]"));
        assert_eq!(failure.actual.as_deref(), Some("[3, 2]"));
    }

    #[test]
    fn an_id_beyond_the_vocabulary_has_the_bound() {
        let look = || {
            let table = Tensor::zeros((4, 2), Kind::F32, &Device::Cpu)?;
            table.index_select(&Tensor::new(&[7u32], &Device::Cpu)?, 0)
        };
        let failure = asked(Phase::Infer, look).map(drop).unwrap_err();
        assert_eq!(failure.code, Code::InvalidInput);
        assert_eq!(failure.expected.as_deref(), Some("an index below 4"));
        assert_eq!(failure.actual.as_deref(), Some("7"));
    }

    #[test]
    fn an_error_of_a_card_is_told_by_its_name() {
        let told = |phase, text: &str| of(phase, Error::Cuda(text.into()));
        let full = told(Phase::Copy, r#"DriverError(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")"#);
        assert_eq!((full.class, full.code), (Class::Resource, Code::OutOfDeviceMemory));
        let none = told(Phase::Preflight, r#"DriverError(CUDA_ERROR_NO_DEVICE, "no device")"#);
        assert_eq!((none.class, none.code), (Class::Device, Code::CudaUnavailable));
        let other = told(Phase::Preflight, "DriverError(CUDA_ERROR_INVALID_DEVICE, ...)");
        assert_eq!(other.code, Code::InvalidDevice);
        let fault = told(Phase::Infer, "DriverError(CUDA_ERROR_ASSERT, ...)");
        assert_eq!((fault.code, fault.device), (Code::DeviceFault, DeviceState::Poisoned));
    }

    #[test]
    fn a_wrapped_error_keeps_its_kind_and_its_path() {
        let inner = Error::Io(std::io::Error::from(std::io::ErrorKind::NotFound));
        let failure = of(Phase::Header, inner.with_path("gone.safetensors"));
        assert_eq!((failure.phase, failure.code), (Phase::Open, Code::NotFound));
        assert_eq!(failure.path.as_deref(), Some("gone.safetensors"));
        assert_eq!(failure.expected.as_deref(), Some("a file at this path"));
    }
}
