//! What the measurements share: the output options, and for those that run a model, the arguments,
//! the bundled loader's model, and the adapter of transformers.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;

use super::figures::{Missing, median};
use super::peer::{Peer, Python, TRANSFORMERS, other};
use crate::cli::card::SickCard;
use crate::cli::device::OnDevice;
use crate::cli::fault::{Fault, print};
use crate::cli::show::Show;
use crate::cli::{CommandError, exit};
use crate::contract::Device;
use crate::contract::inference::{Compute, Head};
use crate::contract::reply::Reply;
use crate::contract::request::{Load, Request};
use crate::harness::record::write_whole;
use crate::loader::device::Gpus;
use crate::loader::infer::config::Config;
use crate::loader::load::model::Model;
use crate::loader::open::checkpoint::Checkpoint;
use crate::loader::progress::Progress;
use crate::loader::{Honest, load};

/// Longest wait for an answer of a peer: the first one of transformers compiles.
pub const PATIENCE: Duration = Duration::from_secs(400);

/// Where the figures go.
#[derive(Debug, Args)]
pub struct Output {
    /// Print everything as JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Also write the JSON to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub show: Show,
}

impl Output {
    /// Checks before a run that its output can be written, because a run takes minutes.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn check(&self) -> Result<(), CommandError> {
        let Some(path) = &self.out else { return Ok(()) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let there = if path.exists() {
            File::options().append(true).open(path).map(drop)
        } else {
            tempfile::tempfile_in(folder).map(drop)
        };
        there.map_err(|error| CommandError::usage(format!("--out: {}: {error}", path.display())))
    }

    /// Writes and prints the figures.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn tell(
        &self,
        figures: &impl Serialize,
        table: &str,
        out: &mut dyn Write,
    ) -> Result<(), CommandError> {
        let json = serde_json::to_string_pretty(figures).map_err(CommandError::harness)? + "\n";
        if let Some(path) = &self.out {
            write_whole(path, json.as_bytes()).map_err(Fault::from)?;
        }
        if self.json || !self.show.quiet {
            print(out, if self.json { &json } else { table })?;
        }
        Ok(())
    }
}

/// The arguments of measurements that run a model.
#[derive(Debug, Args)]
pub struct Common {
    /// Folder of the model. The default is a synthetic model, with weights from a seed.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub on: OnDevice,
    #[command(flatten)]
    pub card: SickCard,
    /// Also measure transformers, which runs in Python.
    #[arg(long)]
    pub peers: bool,
    /// Python program that runs transformers.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

impl Common {
    /// Starts the adapter of transformers and lets it load a model.
    ///
    /// # Errors
    /// Why it does not start, or does not load the model.
    pub fn start(&self, arm: &str, folder: &Path, head: Head) -> Result<Holding, String> {
        let python = Python { program: &self.python, folder: None, patience: PATIENCE };
        let peer = Peer::start(TRANSFORMERS, &[arm, &self.on.device.to_string()], python)?;
        // The peer has another working folder, so the path must be absolute.
        let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
        let checkpoint = Checkpoint::find(&folder).map_err(|error| error.to_string())?;
        hold(peer, checkpoint.tokens(self.on.device, false, head))
    }
}

/// A peer that holds a model: its process, its name with versions, and the model's handle.
pub type Holding = (Peer, String, u64);

/// Lets a peer load a model.
///
/// # Errors
/// Why it does not load it.
pub fn hold(mut peer: Peer, request: Load) -> Result<Holding, String> {
    match peer.ask(Request::Load(request))? {
        (Reply::Load(loaded), _) => {
            let name = format!("{} {}", peer.hello.name, peer.hello.version);
            Ok((peer, name, loaded.handle))
        }
        (reply, _) => Err(other(&reply)),
    }
}

/// The bundled loader's model, and the devices that it runs on.
///
/// # Errors
/// Where it does not load.
pub fn load_ours(
    folder: &Path,
    device: Device,
    head: Head,
    compute: Compute,
) -> Result<(Model, Gpus), CommandError> {
    let mut gpus = Gpus::default();
    let checkpoint = Checkpoint::find(folder).map_err(CommandError::harness)?;
    let request = checkpoint.tokens(device, true, head).computing(compute);
    let model = load::load(&mut gpus, &Honest, &request, &Progress::default())
        .map_err(CommandError::harness)?;
    Ok((model, gpus))
}

/// The ids that the inputs of a measurement consist of.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    first: usize,
    count: usize,
}

impl Ids {
    /// The ids in `wanted` that the model in this folder has. Special tokens come before them; they are left out unless
    /// the model has hardly other ids. All of `wanted` for a file that holds its own configuration, or where the
    /// configuration cannot be read: the load says why.
    ///
    /// # Errors
    /// Usage, if the model takes fewer tokens than the inputs have.
    pub fn of(folder: &Path, tokens: usize, wanted: Range<usize>) -> Result<Ids, CommandError> {
        let checkpoint = Checkpoint::find(folder).ok();
        let path = checkpoint.and_then(|checkpoint| checkpoint.beside("config.json"));
        let config = path.and_then(|path| Config::read(&path).ok());
        if let Some(config) = config.as_ref().filter(|config| config.longest < tokens) {
            return Err(CommandError::usage(format!(
                "{}: this command runs inputs of {tokens} tokens, and the model takes {}: name a model that takes more",
                folder.display(),
                config.longest
            )));
        }
        let end = config.map_or(wanted.end, |config| config.vocabulary.min(wanted.end));
        let first = if end > 2 * wanted.start { wanted.start } else { 0 };
        Ok(Ids { first, count: (end - first).max(1) })
    }

    /// The id at a place of an input.
    pub fn at(self, place: usize) -> usize {
        self.first + (place * 7919) % self.count
    }
}

/// The values of the F32 tensor of this name in a file that a loader wrote.
///
/// # Errors
/// Why there are none.
pub fn written(path: &Path, name: &str) -> Result<Vec<f32>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| error.to_string())?;
    let found = file.tensor(name).map_err(|error| error.to_string())?;
    if found.dtype() != Dtype::F32 {
        return Err(format!("{name} of {}", found.dtype()));
    }
    Ok(found.data().as_chunks().0.iter().map(|v| f32::from_le_bytes(*v)).collect())
}

/// Notes why an arm has no figures. Returns the exit code.
pub fn lacks(missing: &mut Vec<Missing>, name: String, why: String) -> u8 {
    missing.push(Missing { name, why, asked: true });
    exit::INCOMPLETE
}

/// The arms that could not be measured, one line each.
pub fn without(missing: &[Missing]) -> String {
    missing.iter().map(|one| format!("without {}: {}\n", one.name, one.why)).collect()
}

/// The median of values in any order; NaN if there are none.
pub fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    median(&values).unwrap_or(f64::NAN)
}
