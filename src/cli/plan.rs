//! `weighbridge plan`: who holds what of a model that is loaded in parallel, and whether a loader's own plan
//! breaks a rule. Needs no GPU and reads no weights.

mod claim;
mod text;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::fault::print;
use super::{CommandError, exit};
use crate::harness::plan::{Document, Fault, Grid, Headers, Plan, Refusal, judge};
use crate::loader::error::emb;

/// Show which rank holds what slice of every tensor, and which bytes it reads. Reads no weights.
///
/// Exit codes: 0 planned, or the claimed plan breaks no rule, 1 it breaks one, 2 usage, 5 the model cannot
/// be divided so, 6 its files cannot be read.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The model's folder, its safetensors file or its index, with `config.json` beside it. An index may stand
    /// alone: without its files, shapes and element type are those of `config.json`.
    model: PathBuf,
    /// Ranks that divide each layer (tensor parallelism).
    #[arg(long, value_name = "N", default_value_t = 1)]
    tp: u64,
    /// Stages that divide the list of layers (pipeline parallelism).
    #[arg(long, value_name = "N", default_value_t = 1)]
    pp: u64,
    /// Copies of the model.
    #[arg(long, value_name = "N", default_value_t = 1)]
    replicas: u64,
    /// The device of each rank, separated by commas; without it, the one of the rank's number.
    #[arg(long, value_name = "ORDINAL", value_delimiter = ',')]
    devices: Vec<u64>,
    /// The rows of the vocabulary that a rank has are a multiple of this. What is beyond the file is padding.
    #[arg(long, value_name = "N", default_value_t = 1)]
    vocabulary_multiple: u64,
    /// A plan that a loader claims, to be judged: JSON as in the member `plan` of `--json`.
    #[arg(long, value_name = "FILE")]
    claimed: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Makes the plan and prints it, or judges the claimed one.
///
/// # Errors
/// Where the files cannot be read, or the model cannot be divided so.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let Arguments { tp, pp, replicas, vocabulary_multiple: multiple, .. } = *arguments;
    let grid = Grid::new(tp, pp, replicas, &arguments.devices).map_err(stop)?;
    if let Some(path) = &arguments.claimed {
        let headers = Headers::read(&arguments.model).map_err(stop)?;
        let claimed = Document::read(path).map_err(stop)?;
        let judgement = judge(&headers, &grid, multiple, &claimed).map_err(stop)?;
        let told = match arguments.json {
            true => format!("{}\n", claim::value(&judgement)),
            false => claim::text(&judgement),
        };
        print(out, &told)?;
        let holds = judgement.findings.is_empty();
        return Ok(if holds { exit::CORROBORATED } else { exit::REFUTED });
    }
    let headers = Headers::read_or_configured(&arguments.model).map_err(stop)?;
    let plan = Plan::of(&headers, &grid, multiple).map_err(stop)?;
    let told = if arguments.json { format!("{}\n", value(&plan)) } else { text::of(&plan) };
    print(out, &told)?;
    Ok(exit::CORROBORATED)
}

/// The error of the command, from the refusal of the judge.
fn stop(refusal: Refusal) -> CommandError {
    let code = match refusal.fault {
        Fault::Grid | Fault::Claim => exit::USAGE,
        Fault::Model => exit::GATE_REFUSED,
        Fault::Files => exit::NOT_WARM,
    };
    let mut failure = *refusal.failure;
    if let Some(rule) = refusal.rule {
        failure.message = format!("rule {}: {}", rule.number(), failure.message);
    }
    let (number, name) = emb(failure.code);
    CommandError::new(code, format!("[EMB-E{number:03}] {name}: {failure}")).of(failure)
}

/// The plan as JSON: about the model, the ranks in short, and the whole plan as a document of claims.
fn value(plan: &Plan) -> Value {
    let ranks: Vec<Value> = plan
        .grid
        .places()
        .map(|place| {
            let load = plan.load(&place);
            let mut rank = json!(place);
            rank["tensors"] = json!(load.tensors);
            rank["bytes"] = json!(load.bytes);
            rank["elsewhere"] = json!(load.elsewhere);
            rank["bytes_elsewhere"] = json!(load.bytes_elsewhere);
            rank
        })
        .collect();
    let tensors: Vec<Value> = plan
        .entries
        .iter()
        .map(|entry| {
            let declared = &entry.declared;
            json!({
                "name": declared.name,
                "dtype": declared.dtype,
                "shape": declared.shape,
                "role": entry.part.role.name(),
                "whole_because": entry.part.role.reason(),
                "home": entry.part.home,
            })
        })
        .collect();
    let unused = plan.unused.iter().map(|(name, why)| json!({"name": name, "why": why}));
    json!({
        "architecture": plan.architecture.model_type(),
        "files": plan.files.iter().map(|file| json!({"name": file.name, "bytes": file.bytes}))
            .collect::<Vec<_>>(),
        "by_config": plan.by_config.as_ref()
            .map(|by| json!({"dtype": by.dtype, "total_size": by.total})),
        "bytes": plan.bytes(),
        "bytes_of_ranks": plan.bytes_of_ranks(),
        "times_the_model": plan.times_the_model(),
        "tied": plan.tied,
        "stages": plan.stages,
        "vocabulary": plan.division.vocabulary,
        "padded_vocabulary": plan.division.padded,
        "tensors": tensors,
        "unused": unused.collect::<Vec<_>>(),
        "ranks": ranks,
        "plan": plan.document(),
    })
}
