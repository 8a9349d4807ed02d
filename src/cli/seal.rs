//! `weighbridge seal`: hashes a model once, so that later loads run at full speed and still check
//! every byte.

mod check;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::progress::watched;
use super::sealed::beside;
use super::show::Show;
use super::signed::SignatureArgs;
use super::{CommandError, cut_short, exit, fault};
use crate::contract::seal::{MAX_CHUNK, MIN_CHUNK};
use crate::loader::error::LoadError;
use crate::loader::progress::Progress;
use crate::loader::seal::{DEFAULT_CHUNK, make};

/// How the name of a shard index ends.
const INDEX: &str = ".safetensors.index.json";

/// Hash a model once, write its seal, and print the digest to pin.
///
/// With --signature, the seal is written only if every file is the one that was signed: the signature then vouches for
/// what the seal lets the device check.
///
/// Exit codes: 0 sealed, or every file is the sealed or signed one, 1 one is not, 2 usage, or no model,
/// 3 interrupted.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A safetensors file, or a folder with a model in it, or the index of its shards.
    model: PathBuf,
    /// Where the seal is. The default is beside the file, or in the folder.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write nothing: compare every file with the seal that has this pin.
    #[arg(long, value_name = "PIN", conflicts_with_all = ["chunk", "signature"])]
    check: Option<String>,
    #[command(flatten)]
    signature: SignatureArgs,
    /// With --signature: compare every file with it, and write no seal.
    #[arg(long, requires = "signature")]
    dry_run: bool,
    /// Size of a chunk in bytes: a power of two from 4096 to 1048576.
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_CHUNK, value_parser = chunk)]
    chunk: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    show: Show,
}

fn chunk(text: &str) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(bytes) if bytes.is_power_of_two() && (MIN_CHUNK..=MAX_CHUNK).contains(&bytes) => {
            Ok(bytes)
        }
        _ => Err(format!("expected a power of two from {MIN_CHUNK} to {MAX_CHUNK}")),
    }
}

/// Seals.
///
/// # Errors
/// Where the model cannot be read or is none, or the seal cannot be written.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    // An index stands for the folder that it is in.
    let model = match arguments.model.to_str().is_some_and(|name| name.ends_with(INDEX)) {
        true => arguments.model.parent().unwrap_or(Path::new("")),
        false => arguments.model.as_path(),
    };
    let model = if model.as_os_str().is_empty() { Path::new(".") } else { model };
    let path = arguments.out.clone().unwrap_or_else(|| beside(model));
    let told = |error: LoadError| CommandError::usage(&error).of(error.failure().clone());
    if let Some(pin) = &arguments.check {
        let differences = check::run(model, &path, pin, arguments.show).map_err(told)?;
        return check::print(
            &differences,
            ("sealed", &path),
            (arguments.json, arguments.show),
            out,
        );
    }
    let signature = arguments.signature.open().map_err(told)?;
    let watch = cut_short::watch("no seal was written")?;
    let progress = Progress::default();
    let start = Instant::now();
    let made = watched("sealing", arguments.show, &|| progress.reading(), || {
        make(model, arguments.chunk, &path, &progress)
    })
    .map_err(told)?;
    let took = start.elapsed();
    watch.close();
    if let Some(signature) = &signature {
        let differences = check::signed(signature, model, &path, &made).map_err(told)?;
        if arguments.dry_run || !differences.is_empty() {
            let what = ("signed", signature.path.as_path());
            return check::print(&differences, what, (arguments.json, arguments.show), out);
        }
    }
    write_whole(&path, &made.text)?;
    let predicate = &made.statement.predicate;
    let bytes = progress.reading().total;
    if arguments.json {
        let files: Vec<Value> = (predicate.resources.iter())
            .map(|file| json!({"name": file.name, "sha256": file.digest}))
            .collect();
        let value = json!({
            "seal": path.display().to_string(),
            "pin": made.sha256,
            "bytes": bytes,
            "chunk_bytes": arguments.chunk,
            "seconds": took.as_secs_f64(),
            "files": files,
            "signed_by": signature.as_ref().map(|signature| &signature.key),
        });
        fault::print(out, &format!("{value}\n"))?;
        return Ok(exit::CORROBORATED);
    }
    if arguments.show.quiet {
        return Ok(exit::CORROBORATED);
    }
    let mut text = String::new();
    for resource in &predicate.resources {
        text += &format!("{}  {}\n", resource.digest, resource.name);
    }
    text += &format!(
        "sealed {} files, {} bytes in {:.1} s, chunks of {} bytes\nseal: {}\npin: {}\n",
        predicate.resources.len(),
        bytes,
        took.as_secs_f64(),
        arguments.chunk,
        path.display(),
        made.sha256
    );
    if let Some(signature) = &signature {
        text += &format!("signed by the key {}: every file\n", signature.key);
    }
    fault::print(out, &text)?;
    Ok(exit::CORROBORATED)
}

/// Writes the seal whole or not at all: half of one would be refused at every load.
fn write_whole(path: &Path, text: &[u8]) -> Result<(), CommandError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let failed = |error: &std::io::Error| {
        CommandError::harness(format!(
            "cannot write the seal {}: {error}\n  remedy: name another place with --out",
            path.display()
        ))
    };
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
        .map_err(|error| failed(&error))?;
    file.write_all(text).map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}
