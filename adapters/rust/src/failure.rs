//! A library's errors and panics as failures of the contract.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use weighbridge::contract::{Class, Code, Effects, Failure, Phase};

/// A library's result, its error as `told` translates it, or its panic as a failure.
///
/// # Errors
/// As `told` says; `internal` for a panic.
pub fn asked<T, E>(
    library: &str,
    phase: Phase,
    work: impl FnOnce() -> Result<T, E>,
    told: impl FnOnce(Phase, &E) -> Failure,
) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(given) => given.map_err(|error| told(phase, &error)),
        Err(panic) => Err(panicked(library, phase, &*panic)),
    }
}

/// A request that the library does not accept.
pub fn refused(phase: Phase, code: Code, message: impl Into<String>) -> Failure {
    Failure::new(Class::Refused, phase, code, message)
}

fn panicked(library: &str, phase: Phase, panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    let text = format!("{library} panicked: {text}");
    let mut failure = Failure::new(Class::Internal, phase, Code::Internal, text);
    failure.effects = Effects::Unknown;
    failure
}
