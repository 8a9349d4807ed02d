//! The second stage of a load: the memory is planned and allocated, still empty.

use super::compiling::Compiling;
use super::memory_plan::{self, Card};
use super::opened::Opened;
use crate::contract::plan::{LoadStep, MemoryPlan};
use crate::contract::{Device, Phase};
use crate::gpu::ForwardKernels;
use crate::loader::device::{Gpus, fault};
use crate::loader::error::Result;
use crate::loader::infer::compute::precision;
use crate::loader::infer::device::forms;
use crate::loader::memory::Arena;
use crate::loader::memory::divided_arena::DividedArena;

/// Open files and allocated memory for them. Dropping it frees the memory.
pub struct Planned<'a, 'g> {
    // Declared before the kernels, so that it is dropped first: a refused load frees its memory
    // before it waits for the compiler.
    /// The memory.
    pub(super) arena: Arena<'g>,
    /// The thread that compiles the model's kernels.
    pub(super) compiling: Option<Compiling>,
    /// The memory that the model needs to run; `None` if it does not generate.
    pub(super) plan: Option<MemoryPlan>,
    /// The files.
    pub(super) opened: Opened<'a>,
}

impl<'a, 'g> Planned<'a, 'g> {
    /// Plans a decoder's memory, starts to compile kernels, and allocates the model's memory.
    ///
    /// # Errors
    /// `out_of_host_memory`, `out_of_device_memory`, and those of the device.
    pub fn reserve(mut opened: Opened<'a>, gpus: &'g mut Gpus) -> Result<Planned<'a, 'g>> {
        let Opened { context, device, files, runnable, divided, .. } = &mut opened;
        let device = *device;
        if let Some(divided) = divided {
            context.progress.begin(files.data_bytes());
            let ranks = divided.ranks.iter().map(|rank| (rank.at.device, rank.bytes()));
            let arena = DividedArena::new(gpus, &ranks.collect::<Vec<_>>())?;
            context.watch.lap(LoadStep::Allocate);
            let arena = Arena::Divided(arena);
            return Ok(Planned { arena, compiling: None, plan: None, opened });
        }
        let fit = match runnable {
            None => None,
            Some(runnable) => {
                let card = card(gpus, device)?;
                memory_plan::decide(runnable, device, files.arena_bytes(), card, context.decisions)?
            }
        };
        let (plan, layout) = fit.map_or((None, None), |fit| (Some(fit.plan), fit.layout));
        // Compiling kernels takes as long as loading a model, so both run at the same time.
        let compiling = match (device, runnable) {
            (Device::Cuda(ordinal), Some(runnable)) => {
                let kernels = (precision(runnable.compute), forms(runnable));
                Some(Compiling::start(gpus, ordinal, kernels))
            }
            _ => None,
        };
        context.progress.begin(files.data_bytes());
        let arena = Arena::reserve(gpus, device, files.arena_bytes(), layout)?;
        context.watch.lap(LoadStep::Allocate);
        Ok(Planned { arena, compiling, plan, opened })
    }
}

/// The device, as far as a plan must know it; `None` for the host.
fn card(gpus: &mut Gpus, device: Device) -> Result<Option<Card>> {
    let Device::Cuda(ordinal) = device else { return Ok(None) };
    let failed = |error| fault(ordinal, Phase::Alloc, &error);
    let context = gpus.context(ordinal)?;
    let (free, _) = context.memory().map_err(failed)?;
    let multiplies_parts = ForwardKernels::multiplies_parts(&context).map_err(failed)?;
    Ok(Some(Card { free: free as u64, multiplies_parts }))
}
