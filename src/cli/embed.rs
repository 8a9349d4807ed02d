//! `weighbridge embed`: turns texts into embeddings with an encoder, one vector for each text.

mod head;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use self::head::{Chosen, HeadArgs};
use super::device::{OnDevice, backend};
use super::fault::print;
use super::gate::{self, Gate};
use super::sealed::SealArgs;
use super::{CommandError, exit};
use crate::contract::Device;
use crate::contract::inference::{Batch, Input};
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, quote};
use crate::loader::infer::input;
use crate::loader::load::model::Model;
use crate::loader::open::beside;
use crate::loader::open::checkpoint::Checkpoint;
use crate::loader::progress::Progress;
use crate::loader::verbs::forward;
use crate::loader::{Honest, load};

/// Texts that run at once.
const AT_ONCE: usize = 32;
/// Values of a vector that the text output shows.
const SHOWN: usize = 8;

/// Turn texts into embeddings with an encoder.
///
/// Exit codes: 0 done, 2 usage, 5 refused by the contract gate, 6 failed for another reason.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The model's folder, as it was published, or its weight file.
    model: PathBuf,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    on: OnDevice,
    #[command(flatten)]
    head: HeadArgs,
    /// Print one JSON object with the whole vectors.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gate: Gate,
    #[command(flatten)]
    seal: SealArgs,
}

/// What is embedded.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The texts.
    #[arg(long, value_name = "TEXT", num_args = 1..)]
    text: Vec<String>,
    /// A file with one text a line; `-` reads stdin. Empty lines are left out.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A safetensors file with `input_ids` and `attention_mask`, or with `vectors`.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// Everything that is printed.
#[derive(Serialize)]
struct Embeddings<'a> {
    architecture: &'a str,
    device: Device,
    backend: String,
    #[serde(flatten)]
    chosen: &'a Chosen,
    dimension: usize,
    embeddings: Vec<Embedding>,
    contract: &'a str,
}

#[derive(Serialize)]
struct Embedding {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    norm: f64,
    vector: Vec<f32>,
}

/// Runs the model and prints the vectors.
///
/// # Errors
/// 5 if the contract gate refuses the model, 6 for other reasons.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let failed = |error: LoadError| gate::stop(&error);
    let texts = arguments.what.texts()?;
    let checkpoint = Checkpoint::find(&arguments.model).map_err(failed)?;
    let sealed = arguments.seal.check(&arguments.model, &checkpoint).map_err(failed)?;
    let chosen = head::choose(&arguments.head, &checkpoint, &arguments.model)?;
    let mut request =
        checkpoint.tokens(arguments.on.device, arguments.gate.admits(), chosen.head.clone());
    if let (Some(inference), Some(_)) = (&mut request.inference, &texts) {
        inference.tokenizer = checkpoint.beside("tokenizer.json");
    }
    request.seal = sealed.seal.clone();
    let mut gpus = Gpus::default();
    let mut model =
        load::load(&mut gpus, &Honest, &request, &Progress::default()).map_err(failed)?;
    sealed.held(request.device).map_err(failed)?;
    let embeddings = match texts {
        Some(texts) => embed_texts(&mut model, &mut gpus, texts).map_err(failed)?,
        None => {
            let path = arguments.what.input.clone().unwrap_or_default();
            rows(&mut model, &mut gpus, &Input::File(path), &[]).map_err(failed)?
        }
    };
    let warnings = arguments.gate.warning().map(str::to_owned);
    for warning in warnings.into_iter().chain(beside::warnings(&checkpoint)) {
        // A warning that cannot be shown changes nothing.
        let _ = writeln!(std::io::stderr(), "{warning}");
    }
    let architecture = model.runnable.as_ref().map(|runnable| runnable.config.architecture.name());
    let all = Embeddings {
        architecture: architecture.unwrap_or_default(),
        device: model.memory.device(),
        backend: backend(&model, &mut gpus).map_err(failed)?,
        chosen: &chosen,
        dimension: embeddings.first().map_or(0, |first| first.vector.len()),
        embeddings,
        contract: arguments.gate.word(),
    };
    let text = match arguments.json {
        true => serde_json::to_string(&all).map_err(CommandError::harness)? + "\n",
        false => all.text(),
    };
    print(out, &text)?;
    Ok(exit::CORROBORATED)
}

impl What {
    /// The texts; `None` if numbers are given in place of texts.
    fn texts(&self) -> Result<Option<Vec<String>>, CommandError> {
        let Some(file) = &self.file else {
            return Ok(self.input.is_none().then(|| self.text.clone()));
        };
        let wrong = |error| CommandError::usage(format!("--file: {}: {error}", file.display()));
        let mut text = String::new();
        match file == Path::new("-") {
            true => std::io::stdin().read_to_string(&mut text).map(drop).map_err(wrong)?,
            false => text = std::fs::read_to_string(file).map_err(wrong)?,
        }
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        match lines.is_empty() {
            true => Err(CommandError::usage(format!("--file: {}: no text in it", file.display()))),
            false => Ok(Some(lines)),
        }
    }
}

fn embed_texts(
    model: &mut Model,
    gpus: &mut Gpus,
    texts: Vec<String>,
) -> Result<Vec<Embedding>, LoadError> {
    let mut all = Vec::with_capacity(texts.len());
    for some in texts.chunks(AT_ONCE) {
        all.extend(rows(model, gpus, &Input::Texts(some.to_vec()), some)?);
    }
    Ok(all)
}

/// The vectors of one batch, with the texts that they are of.
fn rows(
    model: &mut Model,
    gpus: &mut Gpus,
    input: &Input,
    texts: &[String],
) -> Result<Vec<Embedding>, LoadError> {
    let runnable = model.runnable.as_ref().ok_or_else(forward::not_for_inference)?;
    let batch: Batch = input::batch(runnable, input)?;
    let dimension = runnable.dimension().max(1);
    let output = forward::run(model, gpus, &batch, false)?.output;
    let vectors = output.values.chunks(dimension).enumerate();
    Ok(vectors
        .map(|(row, vector)| Embedding {
            text: texts.get(row).cloned(),
            norm: vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt(),
            vector: vector.to_vec(),
        })
        .collect())
}

impl Embeddings<'_> {
    fn text(&self) -> String {
        let mut text =
            format!("{} on {}, {}\n", self.architecture, self.backend, self.chosen.words());
        for (row, embedding) in self.embeddings.iter().enumerate() {
            let name = match &embedding.text {
                Some(text) => quote(text),
                None => format!("row {row}"),
            };
            let values = embedding.vector.iter().take(SHOWN);
            let values: Vec<String> = values.map(|value| format!("{value:.6}")).collect();
            let more = if embedding.vector.len() > SHOWN { " ..." } else { "" };
            text += &format!(
                "{name}\n  dimension {}, norm {:.6}\n  {}{more}\n",
                self.dimension,
                embedding.norm,
                values.join(" ")
            );
        }
        text
    }
}
