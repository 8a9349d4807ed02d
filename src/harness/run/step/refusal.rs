//! Refusals: the kind of error is compared, its wording only shown.

use super::super::attempt::{Attempt, Stop, failure_claim, summary};
use crate::contract::{Code, Failure};
use crate::harness::case::expect::Refusal;
use crate::harness::record::{Basis, Check};

/// Judges a refusal: class, phase and code, and what must be named in it.
///
/// # Errors
/// [`Stop::Failed`] where it is another refusal.
pub fn refused(
    attempt: &mut Attempt<'_>,
    refusal: &Refusal,
    failure: &Failure,
) -> Result<(), Stop> {
    attempt.claim(failure_claim(failure));
    let held = failure.class == refusal.class
        && (refusal.phase.is_empty() || refusal.phase.contains(&failure.phase))
        && refusal.code.iter().any(|code| matches(*code, failure.code, refusal.exact));
    attempt.check(Check::of("answer", wanted(refusal), summary(failure), held, Basis::Observed))?;
    if let Some(dtype) = refusal.dtype {
        let found = failure.dtype.map_or_else(|| "none".to_owned(), |dtype| dtype.to_string());
        attempt.check(Check::equal(
            "element type named",
            dtype.to_string(),
            found,
            Basis::Observed,
        ))?;
    }
    if let Some(tensor) = &refusal.tensor {
        let found = failure.tensor.clone().unwrap_or_else(|| "none".to_owned());
        attempt.check(Check::equal("tensor named", tensor.clone(), found, Basis::Observed))?;
    }
    if refusal.clear {
        attempt.check(clarity(failure))?;
    }
    if refusal.driver_words {
        let said = format!("{} {}", failure.message, failure.actual.as_deref().unwrap_or_default());
        let held = said.contains("libcuda") || said.contains("CUDA_ERROR");
        let wanted = "the name of the driver's library or of its error";
        attempt.check(Check::of("driver's own words", wanted, said, held, Basis::Observed))?;
    }
    Ok(())
}

/// A clear error says what was expected, what was found and what to do; a lack of memory says
/// how much was wanted and how much there was.
fn clarity(failure: &Failure) -> Check {
    let said = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
    let memory = failure.code == Code::OutOfDeviceMemory || failure.code == Code::OutOfHostMemory;
    let mut missing = Vec::new();
    if failure.message.trim().is_empty() {
        missing.push("message");
    }
    if memory {
        if failure.requested_bytes.is_none() {
            missing.push("requested_bytes");
        }
        if failure.available_bytes.is_none() {
            missing.push("available_bytes");
        }
    } else {
        for (name, text) in [("expected", &failure.expected), ("actual", &failure.actual)] {
            if !said(text) {
                missing.push(name);
            }
        }
    }
    if !said(&failure.remedy) {
        missing.push("remedy");
    }
    let found = if missing.is_empty() { "none".to_owned() } else { missing.join(", ") };
    Check::equal("missing from the error", "none".to_owned(), found, Basis::Observed)
}

/// A loader that knows only the broader word answers truthfully with it.
pub fn matches(wanted: Code, found: Code, exact: bool) -> bool {
    wanted == found || (!exact && (wanted.family() == Some(found)))
}

/// Codes in words.
pub fn names(codes: &[Code]) -> String {
    codes.iter().map(|code| code.name()).collect::<Vec<_>>().join(" or ")
}

/// A wanted refusal in words.
pub fn wanted(refusal: &Refusal) -> String {
    let phases: Vec<String> = refusal.phase.iter().map(|phase| format!("{phase:?}")).collect();
    let phases = if phases.is_empty() { "any phase".to_owned() } else { phases.join(" or ") };
    format!("{:?}/{phases}/{}", refusal.class, names(&refusal.code))
}
