//! The open CUDA devices, with their compiled kernels and pinned staging rings. Also converts
//! driver errors to loader errors.

mod fault;

pub use self::fault::{fault, open_fault, pinned_fault};

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use crate::contract::Phase;
use crate::gpu::{
    Context, DecoderForms, DecoderKernels, ForwardKernels, Kernels, Precision, Runner, Uploader,
};

use super::error::Result;

/// The devices opened so far, each with its pinned rings. Creating a context and rings takes longer
/// than loading a small model, so they are reused for later loads.
#[derive(Debug, Default)]
pub struct Gpus {
    open: BTreeMap<u32, Gpu>,
}

#[derive(Debug)]
struct Gpu {
    context: Context,
    kernels: Option<Kernels>,
    /// Kernels of the forward pass, one set for each precision that a model asked for. Siblings share
    /// them, so that they are compiled only once.
    forward: Arc<Mutex<BTreeMap<Precision, ForwardKernels>>>,
    /// Kernels of decoders, one set for each form. Siblings share them too.
    decoders: Arc<Mutex<BTreeMap<DecoderForms, DecoderKernels>>>,
    lanes: Vec<Uploader>,
}

impl Gpus {
    /// Returns a second handle to the open devices, for another thread. It shares the compiled
    /// kernels and has its own rings.
    pub fn sibling(&self) -> Gpus {
        let open = self.open.iter().map(|(ordinal, gpu)| {
            let (context, forward) = (gpu.context.clone(), Arc::clone(&gpu.forward));
            let (kernels, decoders) = (gpu.kernels.clone(), Arc::clone(&gpu.decoders));
            (*ordinal, Gpu { context, kernels, forward, decoders, lanes: Vec::new() })
        });
        Gpus { open: open.collect() }
    }

    /// Returns a device's context. Opens the device at the first call.
    ///
    /// # Errors
    /// `cuda_unavailable` with the driver's message, `invalid_device`, `device_fault`.
    pub fn context(&mut self, ordinal: u32) -> Result<Context> {
        Ok(self.gpu(ordinal)?.context.clone())
    }

    /// Returns a device's kernels. Compiles them at the first call.
    ///
    /// # Errors
    /// `cuda_unavailable` if NVRTC is missing; `device_fault`.
    pub fn kernels(&mut self, ordinal: u32) -> Result<Kernels> {
        let gpu = self.gpu(ordinal)?;
        match &gpu.kernels {
            Some(kernels) => Ok(kernels.clone()),
            None => {
                let kernels = Kernels::new(&gpu.context);
                let kernels = kernels.map_err(|error| fault::compile_fault(ordinal, &error))?;
                Ok(gpu.kernels.insert(kernels).clone())
            }
        }
    }

    /// Creates a runner of models on a device. Compiles its kernels at the first call for a precision.
    ///
    /// # Errors
    /// As for [`kernels`](Self::kernels).
    pub fn runner(&mut self, ordinal: u32, precision: Precision) -> Result<Runner> {
        let gpu = self.gpu(ordinal)?;
        let mut held = gpu.forward.lock().unwrap_or_else(PoisonError::into_inner);
        let kernels = match held.entry(precision) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let kernels = ForwardKernels::new(&gpu.context, precision);
                let kernels = kernels.map_err(|error| fault::compile_fault(ordinal, &error))?;
                entry.insert(kernels)
            }
        };
        Runner::new(kernels).map_err(|error| fault(ordinal, Phase::Infer, &error))
    }

    /// Returns the kernels for decoders of this form. Compiles them at the first call.
    ///
    /// # Errors
    /// As for [`kernels`](Self::kernels).
    pub fn decoder(&mut self, ordinal: u32, of: &DecoderForms) -> Result<DecoderKernels> {
        let gpu = self.gpu(ordinal)?;
        let mut held = gpu.decoders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernels) = held.get(of) {
            return Ok(kernels.clone());
        }
        let kernels = DecoderKernels::new(&gpu.context, of);
        let kernels = kernels.map_err(|error| fault::compile_fault(ordinal, &error))?;
        held.insert(of.clone(), kernels.clone());
        Ok(kernels)
    }

    /// Takes `count` of a device's rings, and creates those that are missing. The caller returns
    /// them with [`return_lanes`](Self::return_lanes).
    pub(crate) fn take_lanes(&mut self, ordinal: u32, count: usize) -> Result<Vec<Uploader>> {
        let gpu = self.gpu(ordinal)?;
        let mut lanes = gpu.lanes.split_off(gpu.lanes.len().saturating_sub(count));
        while lanes.len() < count {
            match Uploader::new(&gpu.context) {
                Ok(lane) => lanes.push(lane),
                Err(error) => {
                    gpu.lanes.append(&mut lanes);
                    return Err(fault::staging_fault(ordinal, &error));
                }
            }
        }
        Ok(lanes)
    }

    pub(crate) fn return_lanes(&mut self, ordinal: u32, lanes: impl Iterator<Item = Uploader>) {
        if let Some(gpu) = self.open.get_mut(&ordinal) {
            gpu.lanes.extend(lanes);
        }
    }

    fn gpu(&mut self, ordinal: u32) -> Result<&mut Gpu> {
        Ok(match self.open.entry(ordinal) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let context =
                    Context::open(ordinal).map_err(|error| open_fault(ordinal, &error))?;
                entry.insert(Gpu {
                    context,
                    kernels: None,
                    forward: Arc::default(),
                    decoders: Arc::default(),
                    lanes: Vec::new(),
                })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;
    use crate::gpu::HeadShape;

    #[test]
    fn what_needs_a_device_fails_with_the_drivers_words() {
        if crate::gpu::device_count().is_ok_and(|count| count > 0) {
            return; // Device tests cover a machine that has one.
        }
        let mut gpus = Gpus::default();
        let heads = HeadShape {
            group: 1,
            size: 4,
            windowed: false,
            rotary: true,
            neighbours: false,
            norms: None,
        };
        let forms = DecoderForms::new(heads);
        for refused in [
            gpus.context(3).map(drop),
            gpus.kernels(3).map(drop),
            gpus.runner(3, Precision::Exact).map(drop),
            gpus.decoder(3, &forms).map(drop),
            gpus.take_lanes(3, 1).map(drop),
        ] {
            let error = refused.expect_err("no device");
            assert_eq!((error.code(), error.phase()), (Code::CudaUnavailable, Phase::Preflight));
        }
        assert!(gpus.open.is_empty() && gpus.sibling().open.is_empty(), "nothing was opened");
    }
}
