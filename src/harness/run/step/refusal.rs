//! Judges a refusal by its class, phase and code. Its wording is only shown.

use serde_json::json;

use super::expected::{PAGE, most_held};
use crate::contract::{Capability, Code, Failure};
use crate::harness::case::expect::Refusal;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::words::wire;
use crate::harness::run::case_run::{CaseEnd, CaseRun, failure_claim, summary};

/// Judges a refusal: class, phase and code, and what must be named in it.
///
/// # Errors
/// [`CaseEnd::Failed`] where it is another refusal.
pub fn refused(
    case_run: &mut CaseRun<'_>,
    refusal: &Refusal,
    failure: &Failure,
) -> Result<(), CaseEnd> {
    case_run.claim(failure_claim(failure));
    if refusal.is_absent_cuda()
        && failure.code == Code::UnsupportedCapability
        && !case_run.serves(Capability::DeviceCuda)
    {
        // A loader that has no CUDA at all cannot say why there is none.
        let codes = [refusal.code.as_slice(), &[failure.code]].concat();
        let (own, codes) = (wire(refusal.class), names(&codes, refusal.exact));
        let wanted = format!("{own} or {}/any phase/{codes}", wire(failure.class));
        return case_run.check(Check::one_of("answer", wanted, summary(failure), Basis::Observed));
    }
    let answer = Check::one_of("answer", wanted(refusal), summary(failure), Basis::Observed);
    // That it is refused is what a format demands. Phase and code are the contract's words for it, and
    // policy unless the case is about the very code.
    let about_code = refusal.exact && !refusal.code.contains(&failure.code);
    let in_other_words = failure.class == refusal.class && !about_code;
    case_run.check(if in_other_words { answer.as_policy() } else { answer })?;
    if let Some(dtype) = refusal.dtype {
        let found = failure.dtype.map_or_else(|| "none".to_owned(), |dtype| dtype.to_string());
        case_run.check(Check::equal(
            "element type named",
            dtype.to_string(),
            found,
            Basis::Observed,
        ))?;
    }
    if let Some(tensor) = &refusal.tensor {
        let found = failure.tensor.clone().unwrap_or_else(|| "none".to_owned());
        let named = Check::equal("tensor named", tensor.clone(), found, Basis::Observed);
        case_run.check(named.as_policy())?;
    }
    for text in &refusal.mentions {
        case_run.check(mention(failure, std::slice::from_ref(text)))?;
    }
    if !refusal.mentions_one_of.is_empty() {
        case_run.check(mention(failure, &refusal.mentions_one_of))?;
    }
    if refusal.clear {
        case_run.check(clarity(failure).as_policy())?;
    }
    if let Some(file) = &refusal.asked_for {
        let payload = case_run.file(file)?.fixture.payload_bytes();
        let most = most_held(payload);
        let asked = failure.requested_bytes.unwrap_or_default();
        let wanted = format!("{payload} to {most}");
        case_run.check(Check::within("bytes asked for", wanted, asked, Basis::Observed))?;
    }
    if refusal.full_card {
        full_card(case_run, failure)?;
    }
    if refusal.driver_words {
        let said = format!("{} {}", failure.message, failure.actual.as_deref().unwrap_or_default());
        let wanted = "the driver's \"libcuda\" or \"CUDA_ERROR\"";
        case_run.check(Check::contains("driver's own words", wanted, said, Basis::Observed))?;
    }
    Ok(())
}

/// Bytes that other processes and the driver's own tables may take or free meanwhile.
const ASTIR: u64 = 64 << 20;

/// Checks the free bytes that the loader reports while the ballast fills the GPU. They may be a
/// little less than what the harness measures. They may be at most that or what the ballast leaves,
/// whichever is larger, and one page.
fn full_card(case_run: &mut CaseRun<'_>, failure: &Failure) -> Result<(), CaseEnd> {
    let left = case_run.ballast.as_ref().map(|(_, left)| *left);
    let left = left.ok_or_else(|| CaseEnd::Fault("no ballast fills the GPU".to_owned()))?;
    let context = case_run.context.gpu().map_err(CaseEnd::Untested)?;
    let (free, _) = context.memory().map_err(|error| CaseEnd::Fault(error.to_string()))?;
    let least = (free as u64).saturating_sub(ASTIR);
    let most = left.max(free as u64) + PAGE;
    let available = failure.available_bytes.unwrap_or_default();
    case_run.check(Check::within(
        format!("free bytes as reported, {free} as the harness measures"),
        format!("{} to {most}", least.max(1)),
        available,
        Basis::Observed,
    ))?;
    let asked = failure.requested_bytes.unwrap_or_default();
    let wanted = format!("more than {available}");
    case_run.check(Check::within("bytes asked for", wanted, asked, Basis::Observed))
}

/// Whether one of these texts stands in any part of the failure that a person reads.
fn mention(failure: &Failure, texts: &[String]) -> Check {
    let parts = [
        Some(&failure.message),
        failure.path.as_ref(),
        failure.tensor.as_ref(),
        failure.expected.as_ref(),
        failure.actual.as_ref(),
        failure.remedy.as_ref(),
    ];
    let all = parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" | ");
    let quoted: Vec<String> = texts.iter().map(|text| json!(text).to_string()).collect();
    let wanted = format!("the text {}", quoted.join(" or "));
    Check::mentions("named in the failure", wanted, all, Basis::Observed)
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

/// Codes in words. The broader code of the same family is accepted too, unless the case needs the exact one.
pub fn names(codes: &[Code], exact: bool) -> String {
    let families = codes.iter().filter_map(|code| code.family()).filter(|_| !exact);
    let mut names: Vec<String> = Vec::new();
    for name in codes.iter().copied().chain(families).map(Code::name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" or ")
}

/// A wanted refusal in words.
pub fn wanted(refusal: &Refusal) -> String {
    let phases: Vec<String> = refusal.phase.iter().map(wire).collect();
    let phases = if phases.is_empty() { "any phase".to_owned() } else { phases.join(" or ") };
    format!("{}/{phases}/{}", wire(refusal.class), names(&refusal.code, refusal.exact))
}
