//! What every command that tests a loader needs: arguments, the suite, the setting, progress.

mod given;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::card::{SickCard, check_device};
use super::lookup::{self, Covered};
use super::{CommandError, case_words, exit, sections, seed};
use crate::contract::Device;
use crate::harness::against::Own;
use crate::harness::case::read::CaseSet;
use crate::harness::cell::{self, Level, Views, Wanted};
use crate::harness::class;
use crate::harness::manifest::Manifest;
use crate::harness::report::Titles;
use crate::harness::run::case_run::room::Ledger;
use crate::harness::run::case_run::setting::{Reach, Setting, USUAL_PATIENCE};
use crate::harness::run::case_run::shared_models::SharedModels;
use crate::harness::run::{Run, Selection, Suite};
use crate::harness::scratch::{self, Scratch};
use crate::harness::spec::{Profile, Spec};

/// Longest wait for an answer, in seconds.
const PATIENCE: f64 = USUAL_PATIENCE.as_secs_f64();

/// Where large files may be held in memory.
const IN_MEMORY: &str = "/dev/shm";

/// Options of the commands that test a loader.
#[derive(Clone, Debug, Default, Args)]
pub struct Weighing {
    /// The profile, which is the set of requirements to test: `full`, `host` or `build`. The default is
    /// `full` for the bundled loader.
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// The device: `cpu`, `cuda` (the first GPU) or `cuda:N`. Nothing falls back to the CPU. The
    /// default is `cuda:0` for the profile `full` and `cpu` for the others.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<Device>,
    /// Manifest of the loader to test. The default is the bundled reference loader.
    #[arg(long, value_name = "FILE")]
    pub loader: Option<PathBuf>,
    /// Only this section, by key (`IV`), folder (`parse`) or title (`Parsing`). Repeatable.
    #[arg(long, value_name = "SECTION")]
    pub section: Vec<String>,
    /// Only cases whose id contains this text; a whole id selects that case alone, and `@FILE` the whole
    /// ids in a file, one a line. Repeatable.
    #[arg(long, value_name = "TEXT")]
    pub case: Vec<String>,
    /// Number of worker processes. The default is one for each core on the CPU, and half as many, at
    /// most 8, on a GPU. Cases whose evidence is a time, or the memory of the whole card, always run
    /// alone.
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Seed of everything random: decimal, or hex with `0x`. The default is a new one for each run, which the
    /// loader cannot know before the end; the report says if it was given.
    #[arg(long, value_name = "SEED", value_parser = seed::parse)]
    pub seed: Option<u64>,
    /// A real checkpoint for the cases that take one: a safetensors file, its index, or the folder
    /// of either. A decoder replaces the generated ones in cases about chat and timing.
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Manifest of a GGUF loader, for the comparison of speed in F-PERF-090.
    #[arg(long, value_name = "FILE")]
    pub gguf_runtime: Option<PathBuf>,
    /// Folder for the files of the run. The default is a new temporary folder.
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Longest wait for an answer, in seconds. Large files get more, and the first answer of each process may
    /// take three times as long.
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE)]
    pub patience: f64,
    /// How long the run waits for the loader's answers in all, all workers together, in seconds; a loader
    /// that spends it is refuted. The default is the patience times 20, and once more for each four cases.
    #[arg(long, value_name = "SECONDS")]
    pub waiting: Option<f64>,
    /// How strong the loader's cell must be.
    #[arg(skip)]
    pub isolation: Isolation,
    /// What is done about a sick card.
    #[command(flatten)]
    pub card: SickCard,
}

/// How strong a loader's cell must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Isolation {
    /// The strongest that this machine allows.
    #[default]
    Auto,
    /// Namespaces, or no run.
    Require,
    /// Another user where possible, but no namespaces.
    Process,
    /// No cell.
    None,
}

impl Isolation {
    /// The cell of a loader, started by this program.
    ///
    /// # Errors
    /// If namespaces are required and cannot be had.
    fn find(self, manifest: &Manifest) -> Result<cell::Found, CommandError> {
        let exe = std::env::current_exe().map_err(CommandError::harness)?;
        let wanted = match self {
            Isolation::Auto => Wanted::Best,
            Isolation::Require => Wanted::Namespaces,
            Isolation::Process => Wanted::Process,
            Isolation::None => Wanted::Nothing,
        };
        let found = cell::find(
            wanted,
            &exe,
            manifest.written.network,
            &[&manifest.program, &manifest.folder],
        );
        if self == Isolation::Require && found.level() != Level::Namespaces {
            return Err(CommandError::usage(format!(
                "--isolation require: expected namespaces, found {}: {}\n  remedy: allow this user \
                 to make user namespaces, or use --isolation auto, which the report names",
                found.level(),
                found.missing
            )));
        }
        Ok(found)
    }
}

/// The embedded requirements and cases.
pub struct Embedded {
    /// Requirements.
    pub spec: Spec,
    /// Cases.
    pub cases: CaseSet,
}

impl Embedded {
    /// Reads both.
    ///
    /// # Errors
    /// Where an embedded file is broken. A test of this project prevents this.
    pub fn read() -> Result<Self, CommandError> {
        let spec = Spec::embedded().map_err(CommandError::harness)?;
        let cases = CaseSet::embedded(&crate::mutants::names()).map_err(CommandError::harness)?;
        class::check(&spec, cases.cases()).map_err(CommandError::harness)?;
        Ok(Embedded { spec, cases })
    }

    /// The suite that records are held against.
    pub fn own(&self) -> Own<'_> {
        Own { spec: &self.spec, cases: &self.cases }
    }

    /// Section titles by key.
    pub fn titles(&self) -> Titles {
        let sections = self.spec.sections().iter();
        sections.map(|section| (section.id.clone(), section.title.clone())).collect()
    }

    /// Case ids by requirement.
    pub fn covered(&self) -> Covered {
        let mut covered = Covered::new();
        for case in self.cases.cases() {
            covered.entry(case.requirement.clone()).or_default().push(case.id());
        }
        covered
    }

    /// The profile of this name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn profile(&self, name: &str) -> Result<&Profile, CommandError> {
        Ok(lookup::profile(name, &self.spec)?)
    }
}

impl Weighing {
    /// The default of every option, for callers without a command line.
    pub fn strict() -> Self {
        // A program that is not this one may not know how to supervise.
        Weighing { patience: PATIENCE, isolation: Isolation::None, ..Weighing::default() }
    }

    /// The name of the profile.
    pub fn profile(&self) -> &str {
        self.profile.as_deref().unwrap_or("full")
    }

    /// Which cases are wanted.
    ///
    /// # Errors
    /// Where a section does not exist, or no case has such an id.
    pub fn selection(&self, embedded: &Embedded) -> Result<Selection, CommandError> {
        let sections = match self.section.is_empty() {
            true => Vec::new(),
            false => sections::resolve(&self.section, &embedded.spec)?,
        };
        let sections = sections.into_iter().map(|section| section.id.clone()).collect();
        let mut selection = Selection { sections, ..Selection::default() };
        case_words::select(&self.case, embedded.cases.cases(), &mut selection)?;
        Ok(selection)
    }

    /// The setting of a run, and the scratch folder, which is deleted when it is dropped.
    ///
    /// # Errors
    /// Where a path is wrong, or a GPU is asked for and the driver has none.
    pub fn setting(&self, profile: &Profile) -> Result<(Setting, Scratch), CommandError> {
        let device = self.device.unwrap_or(if profile.gpu_certificate {
            Device::Cuda(0)
        } else {
            Device::Cpu
        });
        check_device(device)?;
        let manifest = match &self.loader {
            Some(path) => Manifest::load(path).map_err(CommandError::usage)?,
            None => reference()?,
        };
        let temporary = std::env::temp_dir();
        let parent = self.scratch.as_deref().unwrap_or(&temporary);
        for folder in [parent, &temporary, Path::new(IN_MEMORY)] {
            scratch::sweep(folder);
        }
        let scratch = Scratch::new_in(parent).map_err(|error| CommandError::usage(format!("no scratch folder: {error}\n  remedy: name a folder that can be written with --scratch")))?;
        if self.jobs == Some(0) {
            return Err(CommandError::usage("--jobs: at least 1"));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let setting = Setting {
            isolation: self.isolation.find(&manifest)?,
            secret: Views::default(),
            manifest,
            profile: profile.name.clone(),
            asked: format!("--profile {}", profile.name),
            device,
            seed: self.seed.unwrap_or_else(rand::random),
            salt: self.seed.is_none().then(rand::random),
            scratch: scratch.path().to_owned(),
            shared_models: SharedModels::default(),
            keeps_process: false,
            ledger: Ledger::default(),
            checkpoint: self.model.as_deref().map(checkpoint).transpose()?,
            gguf_runtime: match &self.gguf_runtime {
                Some(path) => Some(Manifest::load(path).map_err(CommandError::usage)?),
                None => None,
            },
            jobs: self.jobs.unwrap_or(if device.is_gpu() { on_a_gpu(cores) } else { cores }),
            patience: seconds("--patience", self.patience)?,
            waiting: self.waiting.map(|waiting| seconds("--waiting", waiting)).transpose()?,
            transcript: None,
            reach: Reach::Process,
            card: self.card.check(),
        };
        Ok((setting, scratch))
    }
}

fn seconds(option: &str, given: f64) -> Result<Duration, CommandError> {
    Duration::try_from_secs_f64(given)
        .ok()
        .filter(|time| *time >= Duration::from_millis(1))
        .ok_or_else(|| CommandError::usage(format!("{option}: at least 0.001 seconds")))
}

/// Meets the loader and plans a run.
///
/// # Errors
/// Why the loader cannot be tested at all.
pub fn begin(setting: Setting, suite: Suite<'_>) -> Result<Run<'_>, CommandError> {
    Run::begin(setting, suite)
        .map_err(|broken| CommandError::harness(format!("the loader cannot be tested: {broken}")))
}

/// The error of a selection that fits no case of its profile.
pub fn nothing_selected() -> CommandError {
    CommandError::new(
        exit::NOTHING_SELECTED,
        "nothing selected: no case of this profile fits the selection\n  remedy: name another \
         --section or --case, or another --profile",
    )
}

/// Worker processes on a GPU: half the cores, because the judge computes beside every loader, and no
/// more than share one card well. Cases that need much memory wait for it.
fn on_a_gpu(cores: usize) -> usize {
    (cores / 2).clamp(1, 8)
}

/// The bundled reference loader, run by this binary. Where the current folder is a checkout of its
/// sources, its toolchain is known too; elsewhere section I stays untested.
fn reference() -> Result<Manifest, CommandError> {
    let exe = std::env::current_exe().map_err(CommandError::harness)?;
    let mut manifest = Manifest::reference(&exe).map_err(CommandError::harness)?;
    let described = Path::new("adapters/reference.yaml");
    if described.is_file() && Path::new("Cargo.toml").is_file() {
        let written = Manifest::read(described).map_err(CommandError::usage)?;
        manifest.folder = std::path::absolute("adapters").map_err(CommandError::harness)?;
        manifest.written.toolchain = written.toolchain;
        manifest.written.source = written.source;
    }
    Ok(manifest)
}

fn checkpoint(path: &Path) -> Result<PathBuf, CommandError> {
    given::safetensors(path)?;
    let named = |name: &str| path.join(name);
    let index = named("model.safetensors.index.json");
    let file = match path.is_dir() {
        true if index.is_file() => index,
        true => named("model.safetensors"),
        false => path.to_owned(),
    };
    // Checked before opening, because opening a pipe without a writer would block.
    if std::fs::metadata(&file).is_ok_and(|data| !data.is_file()) {
        return Err(CommandError::usage(format!(
            "--model: {}: not a regular file",
            file.display()
        )));
    }
    match std::fs::File::open(&file) {
        Ok(_) => std::path::absolute(&file).map_err(CommandError::usage),
        Err(error) => Err(CommandError::usage(format!("--model: {}: {error}", file.display()))),
    }
}

/// A path with `.ending` added to whatever it ends in.
pub fn with_ending(prefix: &Path, ending: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(format!(".{ending}"));
    PathBuf::from(path)
}
