//! What will be tried in a run, decided before anything is: every case of the profile is either
//! scheduled, or not selected; nothing disappears.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::contract::Device;
use crate::harness::case::recipe::Node;
use crate::harness::case::{Case, Environment, Want};
use crate::harness::client::{Bounds, HELLO};
use crate::harness::manifest::Manifest;
use crate::harness::record::RequirementRow;
use crate::harness::run::case_run::full_size::FullSize;
use crate::harness::spec::{Profile, Severity, Spec};

/// How a run is done.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The loader.
    pub manifest: Manifest,
    /// Name of the profile that is weighed.
    pub profile: String,
    /// Where weights must land.
    pub device: Device,
    /// Seed of everything random.
    pub seed: u64,
    /// Folder for the run's files.
    pub scratch: PathBuf,
    /// The full-size model in it, once a case has made it.
    pub full_size: FullSize,
    /// A real checkpoint for the cases that take one.
    pub checkpoint: Option<PathBuf>,
    /// A loader of GGUF that speeds are compared with.
    pub gguf_runtime: Option<Manifest>,
    /// Worker processes at a time.
    pub jobs: usize,
    /// Longest wait for an answer, before what the file's size adds.
    pub patience: Duration,
    /// File that the conversation is written to.
    pub transcript: Option<PathBuf>,
    /// How the loader is reached.
    pub reach: Reach,
}

/// How the loader is reached.
#[derive(Clone, Copy)]
pub enum Reach {
    /// A child process, as the manifest says.
    Process,
    /// In this process: only for the self-test that both ways give the same verdicts.
    InProcess(fn() -> Box<dyn crate::contract::Loader + Send>),
}

impl Setting {
    /// How long a hello may take: whatever any answer may, and starting CUDA at the least.
    pub fn greeting(&self) -> Bounds {
        Bounds::within(HELLO.max(self.patience))
    }

    /// A command that repeats one case just as it was.
    pub fn repeat_command(&self, case: &str) -> String {
        let mut words = vec![format!(
            "weighbridge certify --profile {} --device {} --case {case} --seed {:#018x}",
            self.profile, self.device, self.seed
        )];
        if let Some(path) = &self.manifest.file {
            words.push(format!("--loader {}", quoted(path)));
        }
        if let Some(path) = &self.checkpoint {
            words.push(format!("--model {}", quoted(path)));
        }
        if let Some(path) = self.gguf_runtime.as_ref().and_then(|other| other.file.as_ref()) {
            words.push(format!("--gguf-runtime {}", quoted(path)));
        }
        words.join(" ")
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Reach::Process => "Process",
            Reach::InProcess(_) => "InProcess",
        })
    }
}

/// Which cases of a profile are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Section keys; empty: all.
    pub sections: Vec<String>,
    /// Parts of case ids; empty: all.
    pub cases: Vec<String>,
}

impl Selection {
    /// Whether everything is wanted.
    pub fn is_everything(&self) -> bool {
        self.sections.is_empty() && self.cases.is_empty()
    }

    /// The selection as it would be typed.
    pub fn typed(&self) -> Option<String> {
        let sections = self.sections.iter().map(|section| format!("--section {section}"));
        let cases = self.cases.iter().map(|case| format!("--case {case}"));
        (!self.is_everything()).then(|| sections.chain(cases).collect::<Vec<_>>().join(" "))
    }

    fn wants(&self, section: &str, id: &str) -> bool {
        (self.sections.is_empty() || self.sections.iter().any(|wanted| wanted == section))
            && (self.cases.is_empty() || self.cases.iter().any(|wanted| id.contains(wanted)))
    }
}

/// The cases of a run.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Every requirement of the spec.
    pub requirements: Vec<RequirementRow>,
    /// What is tried, in the order of the spec.
    pub scheduled: Vec<&'a Case>,
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
        Plan { requirements, scheduled }
    }
}

/// Whether a case has a say in a profile: one about host memory has none in a GPU certificate, and
/// the other way round.
fn speaks_for(case: &Case, profile: &Profile) -> bool {
    let other = if profile.gpu_certificate { Want::Cpu } else { Want::Gpu };
    !case.needs.contains(&other)
}

/// Why a case cannot be tried on this device, whatever the loader.
pub fn obstacle(case: &Case, device: Device) -> Option<String> {
    if case.needs.contains(&Want::Gpu) && !device.is_gpu() {
        return Some("needs a GPU, and this run loads into host memory".to_owned());
    }
    if case.needs.contains(&Want::Cpu) && device.is_gpu() {
        return Some("is about host memory, and this run loads onto a GPU".to_owned());
    }
    None
}

/// Whether a case needs a loader process at all.
pub fn needs_loader(case: &Case) -> bool {
    !case.needs.contains(&Want::Toolchain)
}

/// Whether a case gets a process of its own.
pub fn needs_own_process(case: &Case) -> bool {
    case.fresh_process || case.environment == Environment::GpusHidden || needs_file_modes(case)
}

/// Whether a file's mode must count for the loader, whoever runs it.
pub fn needs_file_modes(case: &Case) -> bool {
    case.files.values().any(|recipe| recipe.node == Node::Unreadable)
}
