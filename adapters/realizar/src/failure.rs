//! Translates realizar's errors to the contract's codes. The map is total: an error without a specific code
//! gets a broad one.
//!
//! Most of its errors are one variant, and only the name of the operation differs. The system's own error and
//! the tensor are only in the text, so this module reads them from there.

use std::io;

use realizar::RealizarError as Error;
use realizar::safetensors::ContractValidationError;
use weighbridge::contract::{Class, Code, DType, Failure, Phase};
use weighbridge_adapter::{refused, unopened, unparsed};

/// realizar's result, or its failure or panic as a failure of the contract.
pub fn asked<T>(phase: Phase, work: impl FnOnce() -> realizar::Result<T>) -> Result<T, Failure> {
    weighbridge_adapter::asked("realizar", phase, work, told)
}

/// A gate that refuses, by the rule that it names.
pub fn rule(error: &ContractValidationError) -> Failure {
    let failure = refused(Phase::Admit, broken(&error.rule_id), error.to_string());
    failure.tensor(&error.tensor_name)
}

fn told(phase: Phase, error: &Error) -> Failure {
    let text = error.to_string();
    let (class, phase, code) = match error {
        Error::UnsupportedOperation { operation, reason } => operated(phase, operation, reason),
        Error::FormatError { reason } => formed(reason),
        Error::InvalidConfiguration(_) => (Class::Refused, Phase::Header, Code::InvalidConfig),
        Error::IoError { .. } => (Class::Refused, Phase::Open, system(&text)),
        Error::ShapeMismatch { .. }
        | Error::InvalidShape { .. }
        | Error::DataShapeMismatch { .. }
        | Error::InvalidDimension { .. }
        | Error::MatmulDimensionMismatch { .. }
        | Error::IndexOutOfBounds { .. } => match phase {
            Phase::Infer => (Class::Refused, phase, Code::InvalidInput),
            _ => (Class::Refused, phase, Code::ShapeMismatch),
        },
        Error::ContextLimitExceeded { .. } => (Class::Refused, phase, Code::InvalidInput),
        Error::HostRamRefused(_) => (Class::Resource, Phase::Alloc, Code::OutOfHostMemory),
        Error::CapacityRefused(_) => (Class::Resource, Phase::Alloc, Code::OutOfDeviceMemory),
        Error::GpuError { .. } | Error::CapabilityMismatch { .. } => {
            (Class::Device, phase, Code::DeviceFault)
        }
        Error::TruenoError(_)
        | Error::RegistryError(_)
        | Error::ModelNotFound(_)
        | Error::ModelAlreadyExists(_)
        | Error::MoeError(_)
        | Error::ExpertCapacityExceeded { .. }
        | Error::InvalidUri(_)
        | Error::SecurityError { .. }
        | Error::ConnectionError(_)
        | Error::InferenceError(_)
        | Error::Constraint(_) => (Class::Internal, phase, Code::Internal),
    };
    let failure = valued(Failure::new(class, phase, code, &text), error);
    match quoted(&text) {
        Some(name) if code != Code::Internal && phase != Phase::Open => failure.tensor(name),
        _ => failure,
    }
}

/// What was expected and what was found, where the error has both as fields.
fn valued(failure: Failure, error: &Error) -> Failure {
    match error {
        Error::UnsupportedOperation { operation, reason }
            if operation == "parse_tensor_metadata" =>
        {
            Failure { dtype: entry(reason).1, ..failure }
        }
        Error::ShapeMismatch { expected, actual } => {
            failure.expected(format!("{expected:?}"), format!("{actual:?}"))
        }
        Error::DataShapeMismatch { data_size, shape, expected } => {
            failure.expected(format!("{expected} values for the shape {shape:?}"), data_size)
        }
        Error::InvalidDimension { dim, ndim } => {
            failure.expected(format!("a dimension below {ndim}"), dim)
        }
        Error::IndexOutOfBounds { index, size } => {
            failure.expected(format!("an index below {size}"), index)
        }
        Error::ContextLimitExceeded { provided, maximum } => {
            failure.expected(format!("at most {maximum} tokens"), provided)
        }
        _ => failure,
    }
}

/// The one variant that stands for most errors.
fn operated(phase: Phase, operation: &str, reason: &str) -> (Class, Phase, Code) {
    let (phase, code) = match operation {
        "open_safetensors" | "mmap_safetensors" => (Phase::Open, system(reason)),
        "parse_safetensors_header" | "parse_json" => (Phase::Header, Code::InvalidHeader),
        "parse_tensor_metadata" => (Phase::Header, entry(reason).0),
        "validate_safetensors_size" => (Phase::Header, Code::Truncated),
        "validate_shape_matches_bytes" | "get_tensor_bytes" => (Phase::Header, Code::InvalidLayout),
        "safetensors_convert" => (Phase::Header, Code::InvalidConfig),
        "get_tensor_auto" if phase == Phase::Header => (phase, Code::IncompleteModel),
        _ => return (Class::Internal, phase, Code::Internal),
    };
    (Class::Refused, phase, code)
}

/// The parser's error about one tensor's entry, behind the tensor's name.
fn entry(reason: &str) -> (Code, Option<DType>) {
    unparsed(reason.split_once("': ").map_or(reason, |(_, said)| said))
}

/// `[RULE] ...` of a gate, or what the configuration lacks.
fn formed(reason: &str) -> (Class, Phase, Code) {
    let rule = reason.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match rule {
        Some((rule, _)) if rule.starts_with("F-DATA-QUALITY-") => {
            (Class::Refused, Phase::Admit, broken(rule))
        }
        Some((rule, _)) => (Class::Refused, Phase::Header, broken(rule)),
        None if reason.starts_with("config.json") => {
            (Class::Refused, Phase::Header, Code::InvalidConfig)
        }
        None => (Class::Internal, Phase::Header, Code::Internal),
    }
}

/// The code of a rule of realizar's contracts.
fn broken(rule: &str) -> Code {
    match rule {
        "F-DATA-QUALITY-001" => Code::Density,
        "F-DATA-QUALITY-002" => Code::NonFinite,
        "F-DATA-QUALITY-004" => Code::SpotCheck,
        _ if rule.starts_with("F-DATA-QUALITY") => Code::GateFailed,
        _ => Code::ShapeMismatch,
    }
}

/// The system's error of a text that ends as the standard library writes one: `(os error 2)`.
fn system(text: &str) -> Code {
    let number = text.rsplit_once("(os error ").and_then(|(_, rest)| rest.strip_suffix(')'));
    match number.and_then(|number| number.parse().ok()).map(io::Error::from_raw_os_error) {
        Some(error) => unopened(&error),
        None => Code::Unreadable,
    }
}

/// The first name in single quotes after the word tensor.
fn quoted(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("ensor ").or_else(|| text.split_once("names: "))?;
    let from = &rest[rest.find('\'')? + 1..];
    from.split_once('\'').map(|(name, _)| name)
}
