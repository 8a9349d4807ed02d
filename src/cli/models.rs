//! `weighbridge models`: writes the thirteen models of the registry, for `weighbridge warm`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::progress::watched;
use super::show::Show;
use super::{CommandError, cut_short, exit, fault};
use crate::contract::registry::{PinnedSeal, RegisteredModel, Registry};
use crate::harness::model::deploy;
use crate::harness::model::registry::{self, Entry, Scale};
use crate::loader::progress::{Progress, Reading};
use crate::loader::seal::{DEFAULT_CHUNK, make};

/// Write the thirteen synthetic models, their goldens and a registry to a folder.
///
/// Exit codes: 0 written, 2 usage, 3 interrupted, 5 not written.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder to write to. It is created if needed.
    folder: PathBuf,
    /// `small` is a few megabytes; `full` has the real dimensions, about eight gigabytes.
    #[arg(long, value_enum, default_value_t = Scale::Small)]
    scale: Scale,
    /// Only these models, by id, separated by commas.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    only: Vec<String>,
    /// Also seal every model, so that `weighbridge warm` compares its chunks on the device. Without a seal, one
    /// thread hashes each file.
    #[arg(long)]
    seal: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    show: Show,
}

/// Name of a model's seal, in its folder.
const SEAL: &str = "weights.seal.json";

/// Writes them in parallel.
///
/// # Errors
/// Where a model cannot be written, or is not the pinned one.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let all = registry::models().map_err(CommandError::harness)?;
    let entries: Vec<&Entry> = match arguments.only.as_slice() {
        [] => all.iter().collect(),
        ids => ids
            .iter()
            .map(|id| registry::model(id).map_err(CommandError::usage))
            .collect::<Result<_, _>>()?,
    };
    let left = arguments.folder.display();
    let watch = cut_short::watch(format!(
        "the models in {left} are not complete, and there is no registry; run the command again"
    ))?;
    let start = Instant::now();
    let written = AtomicU64::new(0);
    let write = |entry: &Entry| {
        let own = AtomicU64::new(0);
        let count = |bytes| {
            written.fetch_add(bytes, Relaxed);
            own.fetch_add(bytes, Relaxed);
        };
        let mut model = deploy::write(entry, arguments.scale, &arguments.folder, &count)
            .map_err(CommandError::harness)?;
        if arguments.seal {
            model.seal = Some(sealed(&arguments.folder.join(&model.folder), &model)?);
        }
        let (bytes, seconds) = (own.into_inner(), start.elapsed().as_secs_f64());
        arguments.show.tell(&format!("{}: {bytes} bytes, after {seconds:.1} s", entry.id));
        Ok(model)
    };
    let write_all = || {
        thread::scope(|scope| {
            let threads: Vec<_> =
                entries.iter().map(|entry| scope.spawn(|| write(entry))).collect();
            let lost = |_| Err(CommandError::harness("a thread that writes a model ended early"));
            let models = threads.into_iter().map(|thread| thread.join().unwrap_or_else(lost));
            models.collect::<Result<Vec<_>, CommandError>>()
        })
    };
    let so_far = || Reading { read: written.load(Relaxed), ..Reading::default() };
    let models = watched("writing models", arguments.show, &so_far, write_all)?;
    watch.close();
    let text = serde_yaml::to_string(&Registry { models }).map_err(CommandError::harness)?;
    let path = arguments.folder.join("registry.yaml");
    std::fs::write(&path, text).map_err(|error| {
        CommandError::harness(format!("cannot write {}: {error}", path.display()))
    })?;
    let (bytes, seconds) = (written.into_inner(), start.elapsed().as_secs_f64());
    if arguments.json {
        let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        let value = json!({
            "registry": path.display().to_string(),
            "scale": arguments.scale.name(),
            "models": ids,
            "bytes": bytes,
            "seconds": seconds,
        });
        fault::print(out, &format!("{value}\n"))?;
        return Ok(exit::CORROBORATED);
    }
    if arguments.show.quiet {
        return Ok(exit::CORROBORATED);
    }
    let summary = format!(
        "{} models of the {} scale, {} bytes in {:.1} s\nregistry: {}\n",
        entries.len(),
        arguments.scale.name(),
        bytes,
        seconds,
        path.display()
    );
    fault::print(out, &summary)?;
    Ok(exit::CORROBORATED)
}

/// Seals a model's weights.
fn sealed(folder: &Path, model: &RegisteredModel) -> Result<PinnedSeal, CommandError> {
    let path = folder.join(SEAL);
    // A seal of several files is one of their folder.
    let weights = match model.sha256.len() {
        1 => folder.join(&model.weights),
        _ => folder.to_owned(),
    };
    let made = make(&weights, DEFAULT_CHUNK, &path, &Progress::default());
    let made = made.map_err(CommandError::harness)?;
    std::fs::write(&path, &made.text).map_err(|error| {
        CommandError::harness(format!("cannot write {}: {error}", path.display()))
    })?;
    Ok(PinnedSeal { file: SEAL.into(), pin: made.sha256 })
}
