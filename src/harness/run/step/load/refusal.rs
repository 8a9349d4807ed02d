//! Refusals: the kind of error is compared, its wording only shown.

use super::claims::PAGE;
use crate::contract::{Code, Failure};
use crate::harness::case::expect::Refusal;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop, failure_claim, summary};

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
    if let Some(file) = &refusal.asked_for {
        let payload = attempt.file(file)?.fixture.payload_bytes();
        let most = payload + payload / 50 + PAGE;
        let asked = failure.requested_bytes.unwrap_or_default();
        let held = (payload..=most).contains(&asked);
        let wanted = format!("{payload} to {most}");
        attempt.check(Check::of("bytes asked for", wanted, asked, held, Basis::Observed))?;
    }
    if refusal.full_card {
        full_card(attempt, failure)?;
    }
    if refusal.driver_words {
        let said = format!("{} {}", failure.message, failure.actual.as_deref().unwrap_or_default());
        let held = said.contains("libcuda") || said.contains("CUDA_ERROR");
        let wanted = "the name of the driver's library or of its error";
        attempt.check(Check::of("driver's own words", wanted, said, held, Basis::Observed))?;
    }
    Ok(())
}

/// Other processes and the driver's own tables may move this much meanwhile, in bytes.
const ASTIR: u64 = 64 << 20;

/// What is told to be free must be what the ballast leaves: no more than it was to leave or the harness itself
/// finds free, and hardly less than that.
fn full_card(attempt: &mut Attempt<'_>, failure: &Failure) -> Result<(), Stop> {
    let left = attempt.ballast.as_ref().map(|(_, left)| *left);
    let left = left.ok_or_else(|| Stop::Fault("no ballast fills the card".to_owned()))?;
    let context = attempt.lab.context().map_err(Stop::Untested)?;
    let (free, _) = context.memory().map_err(|error| Stop::Fault(error.to_string()))?;
    let least = (free as u64).saturating_sub(ASTIR);
    let most = left.max(free as u64) + PAGE;
    let available = failure.available_bytes.unwrap_or_default();
    attempt.check(Check::of(
        format!("bytes told to be there, {free} by the harness's own look"),
        format!("{least} to {most}"),
        available,
        (least.max(1)..=most).contains(&available),
        Basis::Observed,
    ))?;
    let asked = failure.requested_bytes.unwrap_or_default();
    attempt.check(Check::of(
        "bytes asked for",
        format!("more than {available}"),
        asked,
        asked > available,
        Basis::Observed,
    ))
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
