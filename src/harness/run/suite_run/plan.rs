//! The plan of a run. Before the run starts, every case of the profile is either scheduled or left
//! out by the selection.

use std::collections::BTreeSet;

use crate::harness::case::recipe::Node;
use crate::harness::case::step::Step;
use crate::harness::case::{Case, Environment, Want};
use crate::harness::record::RequirementRow;
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
