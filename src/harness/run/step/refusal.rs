//! Judges a refusal by its class, phase and code. Its wording is only shown.

use serde_json::json;

use super::expected::{PAGE, most_held};
use crate::contract::{Capability, Code, Failure};
use crate::harness::case::expect::Refusal;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::filled::ASTIR;
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

/// Checks the free bytes that the loader reports while the ballast fills the GPU. They may be a
/// little less than what the harness measures. They may be at most that or what the ballast leaves,
/// whichever is larger, and one page.
fn full_card(case_run: &mut CaseRun<'_>, failure: &Failure) -> Result<(), CaseEnd> {
    let left = case_run.ballast.as_ref().map(|filled| filled.left);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Class, DType, Phase};
    use crate::harness::run::trial::{self, Tried};

    /// Loads a file of 32 bytes that a loader refuses with a failure.
    fn refused(keys: &str, served: &[Capability], failure: &Failure) -> Tried {
        let case = trial::case(
            "{main: {tensors: [{name: w, dtype: F32, shape: [8]}]}}",
            "{}",
            &format!("[{{load: {{expect: {{refused: {{{keys}}}}}}}}}]"),
        );
        trial::tried(
            &case,
            served,
            |_| {},
            |request| {
                matches!(request, crate::contract::request::Request::Load(_))
                    .then(|| Err(failure.clone()))
            },
        )
    }

    fn sound() -> Failure {
        let mut failure = Failure::new(
            Class::Refused,
            Phase::Header,
            Code::UnsupportedDtype,
            "F64 of layer.weight is not held",
        );
        failure.dtype = Some(DType::F64);
        failure.tensor = Some("layer.weight".to_owned());
        failure.expected("F32", "F64").remedy("Convert the file.")
    }

    #[test]
    fn each_part_of_a_refusal_is_asked_for() {
        let keys = "class: refused, phase: [header], code: [unsupported_dtype], exact: true, dtype: F64, \
                    tensor: layer.weight, mentions: [CONVERT], mentions_one_of: [nobody, layer], clear: true";
        let told = |change: fn(&mut Failure)| {
            let mut failure = sound();
            change(&mut failure);
            let tried = refused(keys, &Capability::ALL, &failure);
            let broken = tried.broken().map(|(what, found)| (what.to_owned(), found.to_owned()));
            assert_eq!(tried.end.is_ok(), broken.is_none());
            broken
        };
        let broken = |what: &str, found: &str| Some((what.to_owned(), found.to_owned()));
        assert_eq!(told(|_| {}), None);
        let other = told(|failure| failure.code = Code::OutOfHostMemory).unwrap();
        assert_eq!(other.0, "answer");
        assert_eq!(told(|failure| failure.class = Class::Internal).unwrap().0, "answer");
        assert_eq!(told(|failure| failure.phase = Phase::Infer).unwrap().0, "answer");
        assert_eq!(told(|failure| failure.dtype = None), broken("element type named", "none"));
        assert_eq!(
            told(|failure| failure.tensor = Some("head".to_owned())),
            broken("tensor named", "head")
        );
        let unsaid = told(|failure| failure.remedy = None).unwrap();
        assert_eq!(unsaid.0, "named in the failure", "no remedy has the word");
        let unclear = told(|failure| failure.actual = Some(" ".to_owned()));
        assert_eq!(unclear, broken("missing from the error", "actual"));
    }

    /// Phase and code are policy: whoever refuses with others fails, and the case goes on to what is held.
    #[test]
    fn another_code_does_not_hide_what_is_held() {
        let keys = "class: refused, phase: [header], code: [unsupported_dtype]";
        let mut failure = sound();
        failure.code = Code::NotFound;
        let tried = refused(keys, &Capability::ALL, &failure);
        assert!(matches!(tried.end, Err(CaseEnd::Failed)));
        let checks = &tried.steps[0].checks;
        let shown: Vec<_> = checks.iter().map(|check| (check.what.as_str(), check.held)).collect();
        assert_eq!(shown, [("answer", false), ("models held afterwards", true)]);
        failure.class = Class::Internal;
        let tried = refused(keys, &Capability::ALL, &failure);
        assert_eq!(tried.steps[0].checks.len(), 1, "another class ends the case");
    }

    /// Only a loader that declares no CUDA may say that it lacks the capability.
    #[test]
    fn absent_cuda_may_be_an_absent_capability() {
        let keys = "class: device, code: [cuda_unavailable]";
        let lacks = Failure::unsupported(Phase::Request, "built without CUDA");
        let without: Vec<Capability> =
            Capability::ALL.into_iter().filter(|one| *one != Capability::DeviceCuda).collect();
        assert!(refused(keys, &without, &lacks).end.is_ok());
        let tried = refused(keys, &Capability::ALL, &lacks);
        assert_eq!(tried.broken().map(|(what, _)| what), Some("answer"));
        // The driver's own words cannot come from a loader without CUDA.
        let with_words = format!("{keys}, driver_words: true");
        assert_eq!(refused(&with_words, &without, &lacks).broken().unwrap().0, "answer");
        let mut own =
            Failure::new(Class::Device, Phase::Preflight, Code::CudaUnavailable, "no GPU");
        let silent = refused(&with_words, &without, &own);
        assert_eq!(silent.broken(), Some(("driver's own words", "no GPU ")));
        own.actual = Some("libcuda.so.1: cannot open shared object file".to_owned());
        assert!(refused(&with_words, &without, &own).end.is_ok());
    }

    #[test]
    fn bytes_asked_for_are_those_of_the_file() {
        let keys = "class: resource, code: [out_of_host_memory], asked_for: main, clear: true";
        let told = |requested: Option<u64>, available: Option<u64>| {
            let mut failure =
                Failure::new(Class::Resource, Phase::Header, Code::OutOfHostMemory, "no memory");
            (failure.requested_bytes, failure.available_bytes) = (requested, available);
            let tried = refused(keys, &Capability::ALL, &failure.remedy("Free some."));
            tried.broken().map(|(what, found)| format!("{what}: {found}"))
        };
        assert_eq!(told(Some(32), Some(8)), None);
        assert_eq!(told(Some(31), Some(8)).as_deref(), Some("bytes asked for: 31"));
        assert_eq!(told(Some(1 << 30), Some(8)).as_deref(), Some("bytes asked for: 1073741824"));
        let unsaid = told(Some(32), None);
        assert_eq!(unsaid.as_deref(), Some("missing from the error: available_bytes"));
    }

    /// The bytes of a full card are compared only where the judge has filled it.
    #[test]
    fn a_card_that_nobody_filled_is_a_fault_of_the_case() {
        let mut failure =
            Failure::new(Class::Resource, Phase::Header, Code::OutOfDeviceMemory, "no memory");
        failure.requested_bytes = Some(32);
        let keys = "class: resource, code: [out_of_device_memory], full_card: true";
        assert_eq!(refused(keys, &Capability::ALL, &failure).why(), "no ballast fills the GPU");
    }

    #[test]
    fn a_broader_code_counts_unless_the_exact_one_is_asked_for() {
        assert_eq!(names(&[Code::Gguf], true), "gguf");
        assert_eq!(names(&[Code::Gguf], false), "gguf or foreign_format");
        let both = names(&[Code::Gguf, Code::Pickle, Code::Gguf], false);
        assert_eq!(both, "gguf or pickle or foreign_format", "each once");
    }
}
