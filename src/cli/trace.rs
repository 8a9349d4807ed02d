//! `weighbridge trace`: runs a prompt through a decoder on the CPU and on the GPU, and compares the
//! states layer by layer. It marks the first divergence, and says what its ratio suggests.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::device::OnDeviceOrShort;
use super::fault::print;
use super::sealed::SealArgs;
use super::{CommandError, exit, gate, kind};
use crate::contract::generation::{Role, Turn};
use crate::contract::inference::{Batch, State, Traced};
use crate::contract::{Device, Phase};
use crate::loader::device::Gpus;
use crate::loader::error::LoadError;
use crate::loader::load::model::Model;
use crate::loader::open::checkpoint::Checkpoint;
use crate::loader::progress::Progress;
use crate::loader::remedies::Remedy;
use crate::loader::remedies::tokenizer_and_template::{NO_TEMPLATE, NO_TOKENIZER};
use crate::loader::verbs::forward;
use crate::loader::{Honest, load};

/// Largest difference of a state's L2 norm that does not count as a divergence, as a share. Source:
/// PMAT-216.
const SAME: f64 = 1e-4;

/// Compare the states of a decoder on the CPU and on the GPU, layer by layer.
///
/// With `--device cpu` the CPU runs twice, which shows states that differ between two calls. The
/// data-quality gates do not run. Exit codes: 0 they agree, 1 they diverge, 2 usage, 5 refused by the
/// contract gate, 6 failed for another reason.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The model's folder, as it was published, or its `.gguf` or `.apr` file.
    model: PathBuf,
    /// Text of the user's turn.
    #[arg(long, default_value = "Hello!", value_name = "TEXT")]
    prompt: String,
    #[command(flatten)]
    on: OnDeviceOrShort,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    seal: SealArgs,
}

/// One state, by both runs.
struct Row {
    name: String,
    own: f64,
    other: f64,
    again: f64,
}

impl Row {
    fn diverges(&self) -> bool {
        let share = (self.other - self.own).abs() / self.own.max(1e-12);
        share.is_nan() || share > SAME || self.other.to_bits() != self.again.to_bits()
    }

    /// What a ratio suggests, from the failure guide.
    fn reading(&self) -> &'static str {
        let ratio = self.other / self.own;
        let near = |wanted: f64| (ratio - wanted).abs() < 0.05 * wanted;
        match () {
            () if self.other.to_bits() != self.again.to_bits() => {
                "drifts between two calls: a buffer that is not cleared, or a race"
            }
            () if near(2.0) => "twice the norm: added up over two calls, or a residual added twice",
            () if near(4.0) => "four times the norm: added up, or a wrong stride over heads",
            () if near(8.0) => "eight times the norm: added up over a warp's or a tile's parts",
            () if near(0.5) => "half the norm: half of the inner dimension is left out",
            () if !ratio.is_finite() => "not finite: an overflow, or memory that was never written",
            () => "no simple ratio: look at the operation behind the state before it",
        }
    }
}

/// Runs both and prints the comparison.
///
/// # Errors
/// Where the model cannot be run.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let failed = |error: LoadError| gate::stop(&error);
    let checkpoint = Checkpoint::find(&arguments.model).map_err(failed)?;
    kind::must_be_decoder(&checkpoint, &arguments.model)?;
    let sealed = arguments.seal.check(&arguments.model, &checkpoint).map_err(failed)?;
    let mut gpus = Gpus::default();
    // A diagnosis must also run on models that the gates would refuse.
    let open = |gpus: &mut Gpus, device: Device| -> Result<Model, CommandError> {
        let mut request = checkpoint.decoder(device, false);
        request.seal = sealed.seal.clone();
        let model = load::load(gpus, &Honest, &request, &Progress::default()).map_err(failed)?;
        sealed.held(device).map_err(failed)?;
        Ok(model)
    };
    let mut host = open(&mut gpus, Device::Cpu)?;
    let batch = batch(&host, &arguments.prompt).map_err(failed)?;
    let walk = |model: &mut Model, gpus: &mut Gpus| -> Result<Traced, CommandError> {
        forward::run(model, gpus, &batch, true).map_err(failed)
    };
    let own = walk(&mut host, &mut gpus)?;
    let device = arguments.on.device();
    let (other, again) = if device == Device::Cpu {
        (walk(&mut host, &mut gpus)?, walk(&mut host, &mut gpus)?)
    } else {
        let mut other = open(&mut gpus, device)?;
        (walk(&mut other, &mut gpus)?, walk(&mut other, &mut gpus)?)
    };
    let states = |traced: Traced| -> Vec<State> {
        traced.states.into_iter().chain([traced.output]).collect()
    };
    let rows: Vec<Row> = states(own)
        .into_iter()
        .zip(states(other).into_iter().zip(states(again)))
        .map(|(own, (other, again))| Row {
            own: norm(&own),
            other: norm(&other),
            again: norm(&again),
            name: own.name,
        })
        .collect();
    let first = rows.iter().position(Row::diverges);
    let column = if device.is_gpu() { "GPU" } else { "CPU again" };
    if arguments.json {
        let states: Vec<_> = rows
            .iter()
            .map(|row| json!({"state": row.name, "cpu": row.own, "other": row.other}))
            .collect();
        let reading =
            first.map(|at| json!({"state": rows[at].name, "reading": rows[at].reading()}));
        let value = json!({"other": column, "states": states, "first_divergence": reading});
        print(out, &format!("{value}\n"))?;
    } else {
        let mut text = format!("{:<24} {:>16} {:>16}   ratio\n", "L2 norm of", "CPU", column);
        for (at, row) in rows.iter().enumerate() {
            let mark = if Some(at) == first { "  <- first divergence" } else { "" };
            let ratio = row.other / row.own;
            let Row { name, own, other, .. } = row;
            text += &format!("{name:<24} {own:>16.6} {other:>16.6}   {ratio:.6}{mark}\n");
        }
        text += &match first {
            None => "no divergence\n".to_owned(),
            Some(at) => format!("{}: {}\n", rows[at].name, rows[at].reading()),
        };
        print(out, &text)?;
    }
    Ok(if first.is_none() { exit::CORROBORATED } else { exit::REFUTED })
}

fn norm(state: &State) -> f64 {
    state.values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

/// The prompt as the model reads it.
fn batch(model: &Model, said: &str) -> Result<Batch, LoadError> {
    let missing = |cause: Remedy, what: &str| {
        LoadError::refused(Phase::Request, cause, format!("the model has no {what}"))
            .expected(format!("a {what}"), "none")
    };
    let runnable = model.runnable.as_ref().ok_or_else(forward::not_for_inference)?;
    let template = runnable.template.as_ref();
    let template = template.ok_or_else(|| missing(NO_TEMPLATE, "chat template"))?;
    let tokenizer = runnable.tokenizer.as_ref();
    let tokenizer = tokenizer.ok_or_else(|| missing(NO_TOKENIZER, "tokenizer"))?;
    let turn = Turn { role: Role::User, content: said.to_owned() };
    let ids = template.prepare(&[turn], tokenizer)?;
    let ids: Vec<i64> = ids.ids().iter().map(|id| i64::from(*id)).collect();
    let mask = vec![1; ids.len()];
    Ok(Batch::Tokens { rows: 1, columns: ids.len(), ids, mask, types: Vec::new() })
}
