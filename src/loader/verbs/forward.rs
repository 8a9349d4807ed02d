//! The verbs `forward` and `validate`, which run a model.

use std::time::Instant;

use crate::contract::inference::{Batch, Compute, State, TRACE, Traced, TracedForward};
use crate::contract::reply::{Forwarded, Validated, Written};
use crate::contract::request::{Forward, Validate};
use crate::contract::{DType, Phase};

use super::engine::Engine;
use super::golden;
use super::ranks::Ranks;
use super::read_back;
use super::read_back::Entry;
use crate::loader::decisions::{Honest, LoadDecisions, Run};
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::infer::compute::precision;
use crate::loader::infer::config::Architecture;
use crate::loader::infer::{RunnableModel, input};
use crate::loader::load::model::Model;
use crate::loader::memory::Memory;
use crate::loader::remedies::request::NOT_FOR_RUNNING;

/// Compiles the kernels and creates the runner of a model on each of its devices, if that is not done yet.
///
/// # Errors
/// Those of compiling.
pub fn ready(model: &mut Model, gpus: &mut Gpus) -> Result<()> {
    let compute = model.runnable.as_ref().map_or(Compute::Exact, |runnable| runnable.compute);
    let precision = precision(compute);
    match &model.memory {
        Memory::Host(_) => {}
        Memory::Device(block) => {
            if model.runner.is_none() {
                model.runner = Some(gpus.runner(block.ordinal(), precision)?);
            }
        }
        Memory::Divided(ranks) => {
            for memory in &ranks[model.rank_runners.len()..] {
                let runner = match memory {
                    Memory::Device(block) => Some(gpus.runner(block.ordinal(), precision)?),
                    _ => None,
                };
                model.rank_runners.push(runner);
            }
        }
    }
    Ok(())
}

/// Runs a model on the device that holds it.
///
/// # Errors
/// `invalid_request` for a model that was not loaded for inference; those of a run.
pub fn run(model: &mut Model, gpus: &mut Gpus, batch: &Batch, trace: bool) -> Result<Traced> {
    run_with(model, gpus, &Honest, batch, trace)
}

/// The same by a loader's decisions.
fn run_with(
    model: &mut Model,
    gpus: &mut Gpus,
    decisions: &dyn LoadDecisions,
    batch: &Batch,
    trace: bool,
) -> Result<Traced> {
    ready(model, gpus)?;
    let Model { runnable, divided, tensors, memory, runner, rank_runners, .. } = model;
    let runnable = runnable.as_ref().ok_or_else(not_for_inference)?;
    let run = Run { runnable, memory, trace };
    if let (Memory::Divided(memories), Some(divided)) = (&*memory, divided) {
        let (whole, exchange) = ((runnable, &*divided), decisions.exchange());
        let mut ranks = Ranks::of(whole, tensors, memories, rank_runners, exchange)?;
        return decisions.compute(&run, batch, &mut |batch| ranks.forward(batch, trace));
    }
    let (runner, decoder) = (runner.as_mut(), &mut None);
    let mut engine = Engine { runnable, memory, runner, gpus: None, decoder };
    decisions.compute(&run, batch, &mut |batch| engine.forward(batch, trace))
}

/// Answers `forward`.
///
/// # Errors
/// As above, those of reading the input and of writing the file.
pub fn forward(
    model: &mut Model,
    gpus: &mut Gpus,
    decisions: &dyn LoadDecisions,
    request: &Forward,
) -> Result<Forwarded> {
    let batch = decisions.input(input::batch(runnable(model)?, &request.input)?);
    let began = Instant::now();
    let Traced { output, states } = run_with(model, gpus, decisions, &batch, request.trace)?;
    let elapsed_us = Some(micros(began));
    let output = decisions.output(request.handle, &batch, output);
    let gives = runnable(model)?.head.gives().shaped(&output.shape);
    let gives = gives.ok_or_else(|| LoadError::internal("an output of the wrong rank"))?;
    let written = write_states(&output, &states, &request.into)?;
    let device = decisions.claimed_device(model.asked, model.memory.device());
    Ok(Forwarded { written, device, output: gives, elapsed_us })
}

/// Answers `validate`.
///
/// # Errors
/// As above; `invalid_golden`, `golden_mismatch`.
pub fn validate(
    model: &mut Model,
    gpus: &mut Gpus,
    decisions: &dyn LoadDecisions,
    request: &Validate,
) -> Result<Validated> {
    let began = Instant::now();
    let input = golden::read(&request.input)?;
    let golden = golden::read(&request.golden)?;
    let batch = golden_batch(runnable(model)?, &input);
    let given = run_with(model, gpus, decisions, &batch, false)?.output;
    let given = decisions.output(request.handle, &batch, given);
    let given = decisions.validated(given.values, &golden);
    let worst = golden::compare(&given, &golden, request.tolerance)?;
    Ok(Validated {
        values: golden.len() as u64,
        max_difference: worst.difference,
        index: worst.index as u64,
        device: decisions.claimed_device(model.asked, model.memory.device()),
        elapsed_us: Some(micros(began)),
    })
}

/// Microseconds since `began`.
pub(crate) fn micros(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Converts a golden input to a batch: one vector, or one sentence of token ids.
fn golden_batch(runnable: &RunnableModel, input: &[f32]) -> Batch {
    let columns = input.len();
    if runnable.config.architecture == Architecture::Projection {
        return Batch::Vectors { rows: 1, columns, values: input.to_vec() };
    }
    // A number that is not a whole number becomes -1, which every vocabulary refuses.
    let id = |value: &f32| if value.fract() == 0.0 { *value as i64 } else { -1 };
    Batch::Tokens {
        rows: 1,
        columns,
        ids: input.iter().map(id).collect(),
        mask: vec![1; columns],
        types: Vec::new(),
    }
}

fn runnable(model: &Model) -> Result<&RunnableModel> {
    model.runnable.as_ref().ok_or_else(not_for_inference)
}

/// Writes states to a file.
///
/// # Errors
/// Those of writing.
pub(crate) fn write_states(
    output: &State,
    states: &[State],
    into: &std::path::Path,
) -> Result<Written> {
    let named: Vec<(String, Vec<u64>, &State)> = std::iter::once((output.name.clone(), output))
        .chain(states.iter().map(|state| (format!("{TRACE}{}", state.name), state)))
        .map(|(name, state)| (name, state.shape.iter().map(|side| *side as u64).collect(), state))
        .collect();
    let entries: Vec<Entry<'_>> = named
        .iter()
        .map(|(name, shape, state)| Entry {
            name,
            dtype: DType::F32,
            shape,
            bytes: state.values.len() as u64 * 4,
        })
        .collect();
    let header = read_back::header(&entries, None)?;
    read_back::file(into, |out| {
        out.put(&header)?;
        for (_, _, state) in &named {
            let bytes: Vec<u8> =
                state.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            out.put(&bytes)?;
        }
        Ok(())
    })
}

/// The error for a model that was not loaded for inference.
pub(crate) fn not_for_inference() -> LoadError {
    let message = "the model was loaded without a way to run it";
    LoadError::refused(Phase::Request, NOT_FOR_RUNNING, message)
        .expected("a load with `inference`", "one without")
}
