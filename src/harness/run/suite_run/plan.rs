//! The plan of a run. Before the run starts, every case of the profile is either scheduled or left
//! out by the selection.

use std::collections::BTreeSet;

use crate::contract::Device;
use crate::gpu;
use crate::harness::case::recipe::Node;
use crate::harness::case::step::Step;
use crate::harness::case::{Case, Environment, Want};
use crate::harness::record::RequirementRow;
use crate::harness::run::step::NO_RUNTIME;
use crate::harness::spec::{Profile, Severity, Spec};

/// Which cases of a profile are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Section keys; empty: all.
    pub sections: Vec<String>,
    /// Parts of case ids; empty, without `ids`: all.
    pub cases: Vec<String>,
    /// Whole ids. Each selects that case alone.
    pub ids: BTreeSet<String>,
    /// Whole ids to which everything above is limited.
    pub among: Option<BTreeSet<String>>,
    /// `ids` and `among` as they were typed.
    pub typed: Vec<String>,
}

impl Selection {
    /// Whether everything is wanted.
    pub fn is_everything(&self) -> bool {
        self.sections.is_empty()
            && self.cases.is_empty()
            && self.ids.is_empty()
            && self.among.is_none()
    }

    /// The selection as it would be typed.
    pub fn typed(&self) -> Option<String> {
        let sections = self.sections.iter().map(|section| format!("--section {section}"));
        let cases = self.cases.iter().map(|case| format!("--case {case}"));
        let words = sections.chain(cases).chain(self.typed.iter().cloned());
        (!self.is_everything()).then(|| words.collect::<Vec<_>>().join(" "))
    }

    fn wants(&self, section: &str, id: &str) -> bool {
        (self.sections.is_empty() || self.sections.iter().any(|wanted| wanted == section))
            && (self.cases.is_empty() && self.ids.is_empty()
                || self.ids.contains(id)
                || self.cases.iter().any(|wanted| id.contains(wanted)))
            && self.among.as_ref().is_none_or(|among| among.contains(id))
    }
}

/// The cases of a run.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Every requirement of the spec.
    pub requirements: Vec<RequirementRow>,
    /// What is tried, in the order of the spec.
    pub scheduled: Vec<&'a Case>,
    /// Whether the first refutation ends the run.
    pub fail_fast: bool,
}

impl<'a> Plan<'a> {
    /// Plans the cases of a profile that a selection wants.
    pub fn new(spec: &Spec, profile: &Profile, cases: &'a [Case], selection: &Selection) -> Self {
        let mut scheduled = Vec::new();
        let mut requirements = Vec::new();
        for requirement in spec.requirements() {
            let own: Vec<&Case> =
                cases.iter().filter(|case| case.requirement == requirement.id).collect();
            let in_profile = profile.requirements.contains(&requirement.id);
            if in_profile {
                scheduled.extend(own.iter().copied().filter(|case| {
                    selection.wants(&requirement.section, &case.id()) && speaks_for(case, profile)
                }));
            }
            requirements.push(RequirementRow {
                id: requirement.id.clone(),
                section: requirement.section.clone(),
                points: u64::from(requirement.points),
                warning: requirement.severity == Severity::Warning,
                in_profile,
                sentence: requirement.sentence.clone(),
                cases: own
                    .iter()
                    .filter(|case| speaks_for(case, profile))
                    .map(|case| case.id())
                    .collect(),
            });
        }
        Plan { requirements, scheduled, fail_fast: false }
    }
}

/// Whether a case counts in a profile. A case about host memory does not count in a GPU
/// certificate, and a case about a GPU counts in no other.
fn speaks_for(case: &Case, profile: &Profile) -> bool {
    let other = if profile.gpu_certificate { Want::Cpu } else { Want::Gpu };
    !case.needs.contains(&other)
}

/// Why a case cannot be tried on this device, whatever the loader.
pub fn obstacle(case: &Case, device: Device) -> Option<String> {
    // Only a case that asks for several cards makes the driver count them.
    obstacle_with(case, device, || gpu::device_count().unwrap_or(0))
}

/// The same whatever machine this is. A record does not tell how many cards its machine had.
pub fn obstacle_everywhere(case: &Case, device: Device) -> Option<String> {
    obstacle_with(case, device, || u32::MAX)
}

/// Whether a case was left untested because its machine had too few cards for it.
pub fn lacked_cards(case: &Case, reason: &str) -> bool {
    case.needs.contains(&Want::Cards) && reason.starts_with(TOO_FEW_CARDS)
}

/// How the reason begins where a case needs more cards than the machine shows.
const TOO_FEW_CARDS: &str = "needs two cards, and this machine shows ";

/// The same on a machine with so many cards.
pub fn obstacle_with(case: &Case, device: Device, cards: impl Fn() -> u32) -> Option<String> {
    if case.needs.contains(&Want::Gpu) && !device.is_gpu() {
        return Some("needs a GPU, and this run loads into host memory".to_owned());
    }
    if case.needs.contains(&Want::Cpu) && device.is_gpu() {
        return Some("is about host memory, and this run loads onto a GPU".to_owned());
    }
    if case.needs.contains(&Want::Cards) {
        let cards = cards();
        if cards < 2 {
            return Some(format!("{TOO_FEW_CARDS}{cards}"));
        }
    }
    None
}

/// Why a case cannot be tried in a run without a GGUF runtime: it compares the loader's speed with one.
pub fn lacks_runtime(case: &Case) -> Option<String> {
    let compares =
        |step: &&Step| matches!(step, Step::Throughput(step) if step.most_shortfall.is_some());
    case.flat_steps().iter().any(compares).then(|| NO_RUNTIME.to_owned())
}

/// Whether a case needs a loader process at all.
pub fn needs_loader(case: &Case) -> bool {
    !case.needs.contains(&Want::Toolchain)
}

/// Whether a case gets a process of its own.
pub fn needs_own_process(case: &Case) -> bool {
    case.fresh_process
        || case.environment != Environment::AsIs
        || needs_file_modes(case)
        || looks_back(case)
        || case.flat_steps().into_iter().any(|step| matches!(step, Step::Leave(_)))
}

/// Whether a case looks back on the whole run. It is tried when all others are decided.
pub fn looks_back(case: &Case) -> bool {
    let looks = |step: &&Step| matches!(step, Step::SameProgram(_) | Step::WithinBudget(_));
    case.flat_steps().iter().any(looks)
}

/// Whether a file's mode must be enforced for the loader, also if root runs it.
pub fn needs_file_modes(case: &Case) -> bool {
    case.files.values().any(|recipe| recipe.node == Node::Unreadable)
}

/// Whether a case gives the loader something at which a program can wait without end. That it does says
/// nothing about the other cases.
pub fn tries_a_hang(case: &Case) -> bool {
    case.files.values().any(|recipe| recipe.node == Node::Fifo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::run::trial;

    #[test]
    fn a_case_that_compares_with_a_runtime_is_told_before_it_makes_a_model() {
        let alone = trial::case(
            "{}",
            "{}",
            "[{throughput: {prompt: 4, tokens: 8, least_per_second: 1.0}}]",
        );
        assert_eq!(lacks_runtime(&alone), None);
        let beside = "[{throughput: {prompt: 4, tokens: 8, most_shortfall: 20.0}}]";
        let why = lacks_runtime(&trial::case("{}", "{}", beside)).expect("it compares");
        assert!(why.contains("--gguf-runtime"), "{why}");
    }

    #[test]
    fn a_case_about_several_cards_is_planned_by_the_cards_that_are_there() {
        let file = "{main: {tensors: [{name: w, dtype: F32, shape: [2]}]}}";
        let mut case = trial::case(file, "{}", "[{load: {next_card: true, expect: {loaded: []}}}]");
        let card = Device::Cuda(0);
        assert_eq!(obstacle_with(&case, card, || panic!("nobody asks")), None);
        case.needs.extend([Want::Gpu, Want::Cards]);
        let one = obstacle_with(&case, card, || 1).unwrap();
        assert_eq!(one, "needs two cards, and this machine shows 1");
        assert_eq!(obstacle_with(&case, card, || 2), None);
        let host = obstacle_with(&case, Device::Cpu, || panic!("nobody asks")).unwrap();
        assert!(host.starts_with("needs a GPU"), "{host}");
        assert!(lacked_cards(&case, &one) && !lacked_cards(&case, "the loader said no"));
        case.needs.clear();
        assert!(!lacked_cards(&case, &one));
    }
}
