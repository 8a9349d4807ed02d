//! Runs a model on the device that holds its weights, or on the host if host memory holds them.

use crate::contract::Phase;
use crate::contract::inference::{Batch, OutputKind, State, Traced, TracedForward};
use crate::gpu::{Decoder, Runner};
use crate::loader::decisions::LoadDecisions;
use crate::loader::device;
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::memory::Memory;

use crate::loader::infer::RunnableModel;
use crate::loader::infer::device::{DeviceOps, DeviceSequence};
use crate::loader::infer::forward;
use crate::loader::infer::forward::{Batched, Output, See};
use crate::loader::infer::generate::{HostSequence, Sequence};
use crate::loader::infer::host::HostOps;
use crate::loader::infer::ops::Ops;
use crate::loader::remedies::input_and_output::OUTPUT_NOT_FINITE;

/// A model, its memory, and the device state that is kept between runs.
pub struct Engine<'a> {
    /// The model.
    pub runnable: &'a RunnableModel,
    /// Its weights.
    pub memory: &'a Memory,
    /// A runner on its device; `None` on the host.
    pub runner: Option<&'a mut Runner>,
    /// The open devices, to compile a decoder's kernels if needed. Only generation needs them.
    pub gpus: Option<&'a mut Gpus>,
    /// The decoder on a device. The first generation creates it.
    pub decoder: &'a mut Option<Decoder>,
}

impl<'a> Engine<'a> {
    /// Turns into a sequence with room for `room` tokens.
    ///
    /// # Errors
    /// If memory runs out, or the device fails.
    pub fn sequence(
        self,
        room: usize,
        decisions: &dyn LoadDecisions,
    ) -> Result<Box<dyn Sequence + 'a>> {
        match self.memory {
            Memory::Host(bytes) => {
                Ok(Box::new(HostSequence::new(self.runnable, bytes, room, decisions.caches())?))
            }
            Memory::Device(block) => {
                let runner = self.runner;
                let runner =
                    runner.ok_or_else(|| LoadError::internal("a device without a runner"))?;
                let gpus = self.gpus;
                let gpus = gpus.ok_or_else(|| LoadError::internal("generation without devices"))?;
                Ok(Box::new(DeviceSequence::new(
                    self.runnable,
                    (runner, gpus),
                    self.decoder,
                    block,
                    room,
                    decisions.caches(),
                )?))
            }
            Memory::Divided(_) => Err(LoadError::internal("an engine for a divided model")),
        }
    }
}

impl TracedForward for Engine<'_> {
    type Error = LoadError;

    fn forward(&mut self, batch: &Batch, trace: bool) -> Result<Traced> {
        crate::loader::infer::input::check(self.runnable, batch)?;
        match (self.memory, &mut self.runner) {
            (Memory::Host(bytes), _) => {
                let mut ops = HostOps::new(bytes);
                let inputs = forward::prepare(self.runnable, batch, &mut ops)?;
                traced(self.runnable, &inputs, &mut ops, trace)
            }
            (Memory::Device(block), Some(runner)) => {
                let failed = |error| device::fault(block.ordinal(), Phase::Infer, &error);
                runner.reset().map_err(failed)?;
                let mut ops = DeviceOps::new(runner, block);
                let inputs = forward::prepare(self.runnable, batch, &mut ops)?;
                // Do not record a CUDA graph for a streamed model: the gain is tiny compared to its
                // copies.
                if trace || block.is_streamed() {
                    return traced(self.runnable, &inputs, &mut ops, trace);
                }
                let output = ops.repeat(batch_shape(batch), |ops| {
                    forward::run(self.runnable, &inputs, ops, None)
                })?;
                finish(&mut ops, (self.runnable.head.gives(), output), Vec::new())
            }
            (Memory::Divided(_), _) => Err(LoadError::internal("an engine for a divided model")),
            (Memory::Device(_), None) => Err(LoadError::internal("a device without a runner")),
        }
    }
}

fn batch_shape(batch: &Batch) -> (usize, usize) {
    match batch {
        Batch::Tokens { rows, columns, .. } | Batch::Vectors { rows, columns, .. } => {
            (*rows, *columns)
        }
    }
}

/// Runs the model. Fetches every intermediate state if a trace is requested.
///
/// # Errors
/// Those of the engine; `output_not_finite`.
pub fn traced<O: Ops>(
    runnable: &RunnableModel,
    inputs: &Batched<O>,
    ops: &mut O,
    trace: bool,
) -> Result<Traced> {
    let mut states = Vec::new();
    let mut see = |ops: &mut O, name: &str, shape: &[usize], buffer: &O::Buffer| {
        let mut values = vec![0.0; shape.iter().product()];
        ops.fetch(buffer, &mut values)?;
        states.push(State { name: name.to_owned(), shape: shape.to_vec(), values });
        Ok(())
    };
    let see: Option<&mut See<'_, O>> = if trace { Some(&mut see) } else { None };
    let output = forward::run(runnable, inputs, ops, see)?;
    finish(ops, (runnable.head.gives(), output), states)
}

fn finish<O: Ops>(
    ops: &mut O,
    (gives, (buffer, shape)): (OutputKind, Output<O::Buffer>),
    states: Vec<State>,
) -> Result<Traced> {
    let mut values = vec![0.0; shape.iter().product()];
    ops.fetch(&buffer, &mut values)?;
    let output = finite(State { name: gives.name().to_owned(), shape, values })?;
    Ok(Traced { output, states })
}

/// Refuses an output with a value that is no number.
///
/// # Errors
/// `output_not_finite`.
pub fn finite(output: State) -> Result<State> {
    let values = &output.values;
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        let message = format!("value {index} of the output is not finite");
        return Err(LoadError::refused(Phase::Infer, OUTPUT_NOT_FINITE, message)
            .expected("finite values", format!("{} at index {index}", values[index])));
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;
    use crate::loader::decisions::Honest;
    use crate::loader::infer::tests::{bert, decoder};

    /// Neither a pass nor a sequence is served from this memory without a device, and both say why.
    fn refused(memory: &Memory, why: &str) {
        let runnable = decoder().runnable().expect("a sound model");
        let (runner, gpus, decoder_of) = (None, None, &mut None);
        let mut engine = Engine { runnable: &runnable, memory, runner, gpus, decoder: decoder_of };
        let run = engine.forward(&decoder().batch(), false).map(drop);
        let sequence = engine.sequence(4, &Honest).map(drop);
        for refused in [run, sequence] {
            let error = refused.expect_err(why);
            assert_eq!(error.code(), Code::Internal);
            assert_eq!(error.failure().message, why);
        }
    }

    #[test]
    fn a_divided_model_is_not_run_by_one_engine() {
        let memory = Memory::Divided(vec![Memory::Host(decoder().placed().1)]);
        refused(&memory, "an engine for a divided model");
    }

    #[test]
    fn an_output_that_is_no_number_is_refused_with_its_place() {
        let mut model = bert();
        let bias = model.values("encoder.layer.1.output.LayerNorm.bias");
        bias[2] = f32::INFINITY;
        let error = model.run(&model.batch()).expect_err("an infinite output");
        let failure = error.failure();
        assert_eq!((failure.code, failure.phase), (Code::OutputNotFinite, Phase::Infer));
        assert_eq!(failure.actual.as_deref(), Some("inf at index 2"));
        assert_eq!(failure.message, "value 2 of the output is not finite");
    }

    #[test]
    fn a_model_on_a_device_needs_what_runs_it() {
        let memory = Memory::Device(crate::loader::memory::block::tests::empty(0));
        refused(&memory, "a device without a runner");
    }
}
