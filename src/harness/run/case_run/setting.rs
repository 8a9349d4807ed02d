//! How a run is done: which loader, on which device, from which seed, with which files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::full_size::FullSize;
use crate::contract::Device;
use crate::harness::client::{Bounds, HELLO};
use crate::harness::manifest::Manifest;

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
