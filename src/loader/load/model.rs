//! The last stage of a load: the loaded model, with its tensors, the results of the checks and its
//! memory.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::contract::plan::{LoadStep, LoadTimes, MemoryPlan};
use crate::contract::reply::{GateReport, Transfer};
use crate::contract::{Device, Phase};

use crate::gpu::{Decoder, Runner};

use super::opened::Opened;
use super::planned::Planned;
use super::verified::Verified;
use crate::loader::error::{LoadError, Result};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::host_memory::host_bytes;
use crate::loader::infer::{RunnableModel, tied};
use crate::loader::memory::Memory;
use crate::loader::parallel::Divided;
use crate::loader::remedies::request::TENSOR_NOT_KNOWN;

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    /// The device that the request named.
    pub asked: Device,
    /// Size of the file, or of all files together, in bytes.
    pub file_bytes: u64,
    /// SHA-256 of the bytes that were used. For several files: SHA-256 over their digests (as
    /// bytes) in ascending order of the file names.
    pub sha256: [u8; 32],
    /// The tensors, in the header's order.
    pub tensors: Vec<PlacedTensor>,
    /// The header's `__metadata__`. For several files: from the first file that has any.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Counts of each gate; empty without admission.
    pub gates: Vec<GateReport>,
    /// How the bytes were copied to a device.
    pub transfer: Option<Transfer>,
    /// How long the load took.
    pub duration: Duration,
    /// Time of each step.
    pub times: LoadTimes,
    /// The memory that the model needs to run; `None` if it does not generate.
    pub plan: Option<MemoryPlan>,
    /// How to run the model, if it was loaded for inference.
    pub runnable: Option<RunnableModel>,
    /// The slices of every rank, if the model is divided. Its memory is then that of the ranks, in this order.
    pub divided: Option<Divided>,
    /// Buffers and recorded graphs on the device, kept between runs. The first run creates them.
    /// Declared before the memory, so that pending work ends before memory is freed.
    pub runner: Option<Runner>,
    /// The same for each rank of a divided model, in the order of the request.
    pub rank_runners: Vec<Option<Runner>>,
    /// The decoder on the device. The first generation creates it.
    pub decoder: Option<Decoder>,
    /// The bytes.
    pub memory: Memory,
}

impl Model {
    /// Waits for the last copies and for the kernels, and returns the model.
    ///
    /// # Errors
    /// `device_fault`, and those of compiling.
    pub fn register(verified: Verified<'_, '_>) -> Result<Model> {
        let Verified { planned, sha256, gates } = verified;
        let Planned { arena, compiling, plan, opened } = planned;
        let Opened { mut context, files, tensors, mut runnable, divided, .. } = opened;
        let (memory, transfer) = arena.finish()?;
        if let Some(factors) = runnable.as_mut().and_then(|model| model.rope_factors.as_mut()) {
            factors.fill(&memory)?;
        }
        // A divided model has no head beside its embeddings that could differ.
        if let Some(model) = runnable.as_ref().filter(|_| divided.is_none()) {
            let checked = tied::check(model, &tensors, &memory);
            let config = context.request.inference.as_ref().and_then(|asked| asked.config.as_ref());
            checked.map_err(|error| match config {
                Some(path) => error.path(path),
                None => error,
            })?;
        }
        context.watch.lap(LoadStep::Copy);
        if let Some(compiling) = compiling {
            compiling.done()?;
        }
        context.decisions.settle(&memory)?;
        context.watch.lap(LoadStep::Register);
        // The pass also scans and places the data while it is hashed.
        let beside = [LoadStep::CheckWeights, LoadStep::Copy];
        let admit = context.request.admit;
        let beside = beside.into_iter().filter(|step| admit || *step == LoadStep::Copy);
        Ok(Model {
            asked: context.request.device,
            file_bytes: files.bytes(),
            sha256,
            metadata: files.metadata(),
            tensors,
            gates,
            transfer,
            duration: context.watch.elapsed(),
            times: context.watch.times(beside.collect()),
            plan,
            runnable,
            divided,
            runner: None,
            rank_runners: Vec::new(),
            decoder: None,
            memory,
        })
    }

    /// Returns the tensor with this name.
    ///
    /// # Errors
    /// `unknown_tensor`.
    pub fn tensor(&self, name: &str) -> Result<&PlacedTensor> {
        self.tensors.iter().find(|tensor| tensor.info.name == name).ok_or_else(|| {
            LoadError::refused(Phase::Request, TENSOR_NOT_KNOWN, "no such tensor in the model")
                .tensor(name)
                .expected("a name that the load reported", crate::loader::error::quote(name))
        })
    }

    /// Returns a tensor's bytes, in its dtype in memory.
    ///
    /// # Errors
    /// `out_of_host_memory`, `device_fault`.
    pub fn read(&self, tensor: &PlacedTensor) -> Result<Vec<u8>> {
        let mut bytes = host_bytes(tensor.bytes)?;
        self.memory.read(tensor.offset, &mut bytes)?;
        Ok(bytes)
    }
}
