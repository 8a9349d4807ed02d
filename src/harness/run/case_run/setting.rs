//! How a run is done: which loader, on which device, from which seed, with which files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::card::CardCheck;
use super::room::Ledger;
use super::shared_models::SharedModels;
use crate::contract::Device;
use crate::harness::case::Case;
use crate::harness::cell::{Found as Isolation, Views};
use crate::harness::client::{Bounds, HELLO};
use crate::harness::evidence::digest::mix;
use crate::harness::manifest::Manifest;

/// Longest wait for an answer where none is asked for: far more than any working loader needs for a small
/// file.
pub const USUAL_PATIENCE: Duration = Duration::from_secs(30);

/// How a run is done.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The loader.
    pub manifest: Manifest,
    /// Name of the profile that is tested.
    pub profile: String,
    /// The option that asks for it, such as `--profile host`; empty where none does.
    pub asked: String,
    /// Where weights must be loaded to.
    pub device: Device,
    /// Seed of everything random.
    pub seed: u64,
    /// Salt of the run's commitment to the seed; `None` where the seed was given, and the loader may know it.
    pub salt: Option<[u8; 32]>,
    /// Folder for the run's files.
    pub scratch: PathBuf,
    /// The full-size models in it that cases have made.
    pub shared_models: SharedModels,
    /// The memory that running cases need.
    pub ledger: Ledger,
    /// A real checkpoint for the cases that take one.
    pub checkpoint: Option<PathBuf>,
    /// A GGUF loader to compare speeds with.
    pub gguf_runtime: Option<Manifest>,
    /// Worker processes at a time.
    pub jobs: usize,
    /// Longest wait for an answer, without the extra time for large files.
    pub patience: Duration,
    /// How long the run waits for the loader in all; by its plan where none is given.
    pub waiting: Option<Duration>,
    /// File that all messages are written to.
    pub transcript: Option<PathBuf>,
    /// How the loader is reached.
    pub reach: Reach,
    /// Whether a process that answers and holds nothing goes on after a case that failed, and a loader
    /// that failed at hello is started again for each case. Only audits do this: they would otherwise
    /// start a process, and on a GPU a context, for each refuted case.
    pub keeps_process: bool,
    /// What is done about the card's health.
    pub card: CardCheck,
    /// The cell that a loader is started in.
    pub isolation: Isolation,
    /// Files and folders of the judge that a cell does not show.
    pub secret: Views,
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
    /// How long `hello` may take: the patience of the run, but at least the time for starting CUDA.
    pub fn greeting(&self) -> Bounds {
        Bounds::within(HELLO.max(self.patience))
    }

    /// The seed of something in a case, by its name.
    pub fn seed_of(&self, case: &Case, name: &str) -> u64 {
        mix(&[&self.seed.to_le_bytes(), case.id().as_bytes(), name.as_bytes()])
    }

    /// A command that repeats one case exactly.
    pub fn repeat_command(&self, case: &str) -> String {
        let mut words = vec!["weighbridge certify".to_owned()];
        words.extend(Some(self.asked.clone()).filter(|option| !option.is_empty()));
        words.push(format!("--device {} --case {case} --seed {:#018x}", self.device, self.seed));
        if let Some(path) = &self.manifest.file {
            words.push(format!("--loader {}", quoted(path)));
        }
        if let Some(path) = &self.checkpoint {
            words.push(format!("--model {}", quoted(path)));
        }
        if let Some(path) = self.gguf_runtime.as_ref().and_then(|other| other.file.as_ref()) {
            words.push(format!("--gguf-runtime {}", quoted(path)));
        }
        if self.patience != USUAL_PATIENCE {
            words.push(format!("--patience {}", self.patience.as_secs_f64()));
        }
        if let Some(waiting) = self.waiting {
            words.push(format!("--waiting {}", waiting.as_secs_f64()));
        }
        words.join(" ")
    }
}

/// A path as a shell takes it.
pub fn quoted(path: &Path) -> String {
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
