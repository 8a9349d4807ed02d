//! The second stage of a load: the memory is planned and reserved, still empty.

use super::compiling::Compiling;
use super::memory_plan;
use super::opened::Opened;
use crate::contract::plan::{LoadStep, MemoryPlan};
use crate::contract::{Device, Phase};
use crate::loader::device::{Gpus, fault};
use crate::loader::error::Result;
use crate::loader::infer::device::forms;
use crate::loader::memory::Arena;

/// Open files, and reserved memory for them. Dropped, it frees that memory.
pub struct Planned<'a, 'g> {
    // Before the kernels, so that memory is given back before they are waited for.
    /// The memory.
    pub(super) arena: Arena<'g>,
    /// The kernels that running the model will need.
    pub(super) compiling: Option<Compiling>,
    /// The memory that the model takes to run, where it generates.
    pub(super) plan: Option<MemoryPlan>,
    /// The files.
    pub(super) opened: Opened<'a>,
}

impl<'a, 'g> Planned<'a, 'g> {
    /// Plans a decoder's memory, and reserves what the model needs.
    ///
    /// # Errors
    /// `out_of_host_memory`, `out_of_device_memory`, and those of the device.
    pub fn reserve(mut opened: Opened<'a>, gpus: &'g mut Gpus) -> Result<Planned<'a, 'g>> {
        let Opened { context, device, files, runnable, .. } = &mut opened;
        let device = *device;
        let fit = match runnable {
            None => None,
            Some(runnable) => {
                let free = free(gpus, device)?;
                memory_plan::decide(runnable, device, files.arena_bytes(), free, context.decisions)?
            }
        };
        let (plan, layout) = fit.map_or((None, None), |fit| (Some(fit.plan), fit.layout));
        // Kernels take as long to compile as a model to load: they are made meanwhile.
        let compiling = match (device, runnable) {
            (Device::Cuda(ordinal), Some(runnable)) => {
                Some(Compiling::start(gpus, ordinal, forms(runnable)))
            }
            _ => None,
        };
        context.progress.begin(files.data_bytes());
        let arena = Arena::reserve(gpus, device, files.arena_bytes(), layout)?;
        context.watch.lap(LoadStep::Allocate);
        Ok(Planned { arena, compiling, plan, opened })
    }
}

/// Device memory that is free now, in bytes; nothing of the host.
fn free(gpus: &mut Gpus, device: Device) -> Result<Option<u64>> {
    let Device::Cuda(ordinal) = device else { return Ok(None) };
    let memory = gpus.context(ordinal)?.memory();
    let (free, _) = memory.map_err(|error| fault(ordinal, Phase::Alloc, &error))?;
    Ok(Some(free as u64))
}
