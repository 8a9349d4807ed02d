//! `weighbridge inspect`: shows what a model's files contain, sound or broken.

mod config_fields;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::fault::print;
use super::{CommandError, beside_lines, exit, gate};
use crate::contract::request::DtypePolicy;
use crate::loader::Honest;
use crate::loader::error::{LoadError, quote};
use crate::loader::infer::config::Config;
use crate::loader::open::beside;
use crate::loader::open::checkpoint::Checkpoint;
use crate::loader::open::files::Files;
use crate::loader::verbs::examine;

/// Show header, tensors, element types, shards and configuration of a model. Reads no weights.
///
/// Exit codes: 0 done, 2 usage, 6 the headers cannot be read.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The model's folder, its weight file or its index, or its `.gguf` or `.apr` file.
    model: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Reads the headers and prints what they contain.
///
/// # Errors
/// If the headers cannot be read.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let failed = |error: LoadError| gate::stop(&error);
    let checkpoint = Checkpoint::find(&arguments.model).map_err(failed)?;
    let (weights, format) = (&checkpoint.weights, checkpoint.format);
    let runs = examine::has_config(&checkpoint);
    let files = Files::open(weights, format, &Honest, DtypePolicy::Stored, runs).map_err(failed)?;
    let left_out = beside::left_out(&checkpoint, &files);
    let tensors = files.tensors();
    let mut types: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for tensor in &tensors {
        let row = types.entry(tensor.dtype.to_string()).or_default();
        *row = (row.0 + 1, row.1 + tensor.bytes);
    }
    let config = match files.documents() {
        Some(documents) => Some(Config::parse(documents.config.to_string().as_bytes())),
        None => checkpoint
            .beside("config.json")
            .filter(|path| path.exists())
            .map(|path| Config::read(&path)),
    };
    // Only the unused tensors are shown here, not what is wrong with the tensors.
    let whole = examine::contract(&checkpoint, &files, &tensors).and_then(Result::ok);
    let (unread, unused) = match (whole, &config) {
        (Some((config, unused)), _) => (config.unread, unused),
        (None, Some(Ok(config))) => (config.unread.clone(), Vec::new()),
        _ => (Vec::new(), Vec::new()),
    };
    let shards: Vec<(String, u64)> = files
        .all()
        .iter()
        .map(|file| {
            let name = file.source.path().file_name().unwrap_or_default();
            (name.to_string_lossy().into_owned(), file.source.bytes())
        })
        .collect();
    if arguments.json {
        let tensors: Vec<_> = tensors.iter().map(|tensor| json!(tensor.entry())).collect();
        let config = config.map(|config| match config {
            Ok(config) => config_fields::of(&config).into_iter().collect::<Value>(),
            Err(error) => json!({"failure": error.failure()}),
        });
        let value = json!({
            "files": shards.iter().map(|(name, bytes)| json!({"name": name, "bytes": bytes}))
                .collect::<Vec<_>>(),
            "metadata": files.metadata(),
            "tensors": tensors,
            "config": config,
            "unused": unused,
            "notes": files.notes(),
            "left_out": beside_lines::value(&left_out),
            "unread": unread,
        });
        print(out, &format!("{value}\n"))?;
        return Ok(exit::CORROBORATED);
    }
    let mut text = String::new();
    for (name, bytes) in &shards {
        text += &format!("file         {name}, {bytes} bytes\n");
    }
    text += &beside_lines::text(&left_out, files.notes());
    for (key, value) in files.metadata().unwrap_or_default() {
        text += &format!("metadata     {key}: {value}\n");
    }
    for (dtype, (count, bytes)) in &types {
        text += &format!("{dtype:<12} {count} tensors, {bytes} bytes\n");
    }
    text += &match &config {
        None => "config       no config.json beside the weights\n".to_owned(),
        Some(Ok(config)) => config_lines(config),
        Some(Err(error)) => format!("config       {error}\n"),
    };
    for name in &unused {
        text += &format!("unused       {}\n", quote(name));
    }
    for field in &unread {
        text += &format!("unread       {}\n", quote(field));
    }
    for tensor in &tensors {
        let (name, dtype, shape) = (&tensor.info.name, tensor.dtype, &tensor.info.shape);
        let sides: Vec<String> = shape.iter().map(u64::to_string).collect();
        text += &format!("{name:<60} {dtype:<5} [{}]\n", sides.join(", "));
    }
    print(out, &text)?;
    Ok(exit::CORROBORATED)
}

/// The configuration, one line for each field.
fn config_lines(config: &Config) -> String {
    let fields = config_fields::of(config);
    let lines = fields.iter().enumerate().map(|(at, (name, value))| {
        let label = if at == 0 { "config" } else { "" };
        // A text without its quotes.
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{label:<12} {name} {value}\n")
    });
    lines.collect()
}
