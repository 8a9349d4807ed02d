//! A library's errors and panics as failures of the contract.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use weighbridge::contract::{Class, Code, Effects, Failure, Phase};

use super::words::completed;

/// A library's result, its error as `told` translates it, or its panic as a failure. Every field for
/// people is filled.
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
        Ok(given) => given.map_err(|error| completed(told(phase, &error))),
        Err(panic) => Err(completed(panicked(library, phase, &*panic))),
    }
}

/// A request that the library does not accept. Every field for people is filled; who knows more
/// overwrites them.
pub fn refused(phase: Phase, code: Code, message: impl Into<String>) -> Failure {
    completed(Failure::new(Class::Refused, phase, code, message))
}

/// A request for what the hello does not declare: what was asked for, and why it is not served.
pub fn unserved(phase: Phase, asked_for: &str, why: &str) -> Failure {
    let failure = Failure::new(Class::Unsupported, phase, Code::UnsupportedCapability, why);
    completed(Failure { actual: Some(asked_for.to_owned()), ..failure })
}

fn panicked(library: &str, phase: Phase, panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    let text = format!("{library} panicked: {text}");
    let mut failure = Failure::new(Class::Internal, phase, Code::Internal, text);
    failure.effects = Effects::Unknown;
    failure
}

#[cfg(test)]
mod tests {
    use weighbridge::contract::{Class, Code, Effects, Failure, Phase};

    use super::{asked, refused, unserved};

    fn told(phase: Phase, error: &&str) -> Failure {
        Failure::new(Class::Refused, phase, Code::InvalidHeader, *error)
    }

    fn whole(failure: &Failure) -> bool {
        let fields = [&failure.expected, &failure.actual, &failure.remedy];
        fields.iter().all(|field| field.as_ref().is_some_and(|text| !text.is_empty()))
    }

    #[test]
    fn an_error_is_told_whole() {
        let failure = asked("lib", Phase::Header, || Err::<(), _>("bad"), told).unwrap_err();
        assert_eq!((failure.code, failure.actual.as_deref()), (Code::InvalidHeader, Some("bad")));
        assert!(whole(&failure), "{failure}");
    }

    #[test]
    fn a_panic_is_a_fault_of_the_library_and_told_whole() {
        let fall = || -> Result<(), &str> { panic!("index out of range") };
        let failure = asked("lib", Phase::Copy, fall, told).unwrap_err();
        assert_eq!((failure.class, failure.effects), (Class::Internal, Effects::Unknown));
        assert_eq!(failure.actual.as_deref(), Some("lib panicked: index out of range"));
        assert!(whole(&failure), "{failure}");
    }

    #[test]
    fn a_refusal_of_the_adapter_is_whole() {
        assert!(whole(&refused(Phase::Header, Code::InvalidConfig, "not an object")));
        let failure = unserved(Phase::Infer, "text", "no tokenizer");
        assert_eq!(failure.actual.as_deref(), Some("text"));
        assert_eq!(failure.class, Class::Unsupported);
        assert!(whole(&failure), "{failure}");
    }
}
