//! The one folder of this house that talks to the GPU: opening devices, arenas on them, the pinned
//! rings that feed them, landing at full width, and what errors mean.

mod fault;

pub use self::fault::{fault, open_fault};
pub use super::infer::device::{DeviceOps, DeviceSequence, forms, not_yet};
pub use super::load::device_pass::{Landed, Landing};
pub use super::memory::device_arena::{DeviceArena, DeviceSink};
pub use super::memory::streamed_arena::StreamedArena;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use crate::contract::{Device, Phase};
use crate::gpu::{
    Blas, Context, DecoderForms, DecoderKernels, DeviceBuffer, ForwardKernels, GpuError, Kernels,
    RoundTrip, Runner, Uploader, Weights,
};

use super::error::{LoadError, Result};

/// The devices opened so far, each with its pinned rings. A context and rings cost more than a
/// small model's load, so they are kept.
#[derive(Debug, Default)]
pub struct Gpus {
    open: BTreeMap<u32, Gpu>,
}

#[derive(Debug)]
struct Gpu {
    context: Context,
    kernels: Option<Kernels>,
    /// Shared with siblings, so that the kernels of the forward pass are compiled once for all of them.
    forward: Arc<Mutex<Option<ForwardKernels>>>,
    /// Those of decoders, each kind once.
    decoders: Arc<Mutex<BTreeMap<DecoderForms, DecoderKernels>>>,
    lanes: Vec<Uploader>,
}

impl Gpus {
    /// Another holder of the same open devices, for another thread: rings of its own, kernels of
    /// the forward pass in common.
    pub fn sibling(&self) -> Gpus {
        let open = self.open.iter().map(|(ordinal, gpu)| {
            let (context, forward) = (gpu.context.clone(), Arc::clone(&gpu.forward));
            let (kernels, decoders) = (gpu.kernels.clone(), Arc::clone(&gpu.decoders));
            (*ordinal, Gpu { context, kernels, forward, decoders, lanes: Vec::new() })
        });
        Gpus { open: open.collect() }
    }

    /// The context of a device.
    ///
    /// # Errors
    /// `cuda_unavailable` with the driver's own words, `invalid_device`, `device_fault`.
    pub fn context(&mut self, ordinal: u32) -> Result<Context> {
        Ok(self.gpu(ordinal)?.context.clone())
    }

    /// A device's kernels, compiled by the first who asks.
    ///
    /// # Errors
    /// `cuda_unavailable` where there is no NVRTC; `device_fault`.
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

    /// A runner of models on a device, its kernels compiled by the first who asks.
    ///
    /// # Errors
    /// As for [`kernels`](Self::kernels).
    pub fn runner(&mut self, ordinal: u32) -> Result<Runner> {
        let gpu = self.gpu(ordinal)?;
        let mut held = gpu.forward.lock().unwrap_or_else(PoisonError::into_inner);
        let kernels = match &*held {
            Some(kernels) => kernels,
            None => {
                let kernels = ForwardKernels::new(&gpu.context);
                let kernels = kernels.map_err(|error| fault::compile_fault(ordinal, &error))?;
                held.insert(kernels)
            }
        };
        Runner::new(kernels).map_err(|error| fault(ordinal, Phase::Infer, &error))
    }

    /// The kernels of a decoder, compiled by the first who asks.
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

    /// Takes so many of a device's rings, making those that are missing. They come back by
    /// [`return_lanes`](Self::return_lanes).
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

/// An arena on a device; empty where the model has no bytes, as the driver has no empty allocation.
#[derive(Debug)]
pub struct Block {
    pub(crate) ordinal: u32,
    // Before the source, so that nothing is on its way from there when it goes.
    pub(crate) buffer: Option<DeviceBuffer>,
    /// Where layers come from that do not lie here.
    pub(crate) source: Option<super::memory::streamed_arena::Source>,
}

impl Block {
    /// Copies bytes to a device in one plain copy, for callers without a file.
    ///
    /// # Errors
    /// Those of opening the device and of [`allocate`], and `device_fault`.
    pub fn from_bytes(gpus: &mut Gpus, ordinal: u32, bytes: &[u8]) -> Result<Self> {
        let buffer = allocate(&gpus.context(ordinal)?, bytes.len() as u64)?;
        if let Some(buffer) = &buffer {
            buffer.write(0, bytes).map_err(|error| fault(ordinal, Phase::Copy, &error))?;
        }
        Ok(Block { ordinal, buffer, source: None })
    }

    /// The device's ordinal.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Its size, in bytes.
    pub fn bytes(&self) -> u64 {
        self.buffer.as_ref().map_or(0, |buffer| buffer.bytes() as u64)
    }

    /// Bytes of a streamed model that it holds in host memory.
    pub fn home_bytes(&self) -> u64 {
        self.source.as_ref().map_or(0, |source| source.layers.home().len() as u64)
    }

    /// Whether layers come to it from host memory.
    pub fn is_streamed(&self) -> bool {
        self.source.is_some()
    }

    /// The model's weights, as kernels meet them; nothing for a model without bytes.
    pub fn weights(&self) -> Option<Weights<'_>> {
        let layers = self.source.as_ref().map(|source| &source.layers);
        self.buffer.as_ref().map(|memory| Weights { memory, layers })
    }

    /// The driver's allocation, if there are bytes.
    pub fn buffer(&self) -> Option<&DeviceBuffer> {
        self.buffer.as_ref()
    }

    /// Copies bytes from `offset` on to the host.
    ///
    /// # Errors
    /// `device_fault`.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        if let (Some(buffer), Some(source)) = (&self.buffer, &self.source) {
            return source.read((self.ordinal, buffer), offset, into);
        }
        match &self.buffer {
            Some(buffer) => buffer
                .read(offset as usize, into)
                .map_err(|error| fault(self.ordinal, Phase::Read, &error)),
            None if into.is_empty() => Ok(()),
            None => Err(LoadError::internal("range outside a model")),
        }
    }
}

/// Reserves device memory.
///
/// # Errors
/// `out_of_device_memory` with the bytes asked for and those free, `device_fault`.
pub fn allocate(context: &Context, bytes: u64) -> Result<Option<DeviceBuffer>> {
    if bytes == 0 {
        return Ok(None);
    }
    let ordinal = context.ordinal();
    let short = || {
        let free = context.memory().map_or(0, |(free, _)| free as u64);
        LoadError::out_of_device_memory(Device::Cuda(ordinal), bytes, free)
    };
    let wanted = usize::try_from(bytes).map_err(|_| short())?;
    match context.allocate(wanted) {
        Ok(buffer) => Ok(Some(buffer)),
        Err(error) if error.is_out_of_memory() => Err(short()),
        Err(error) => Err(fault(ordinal, Phase::Alloc, &error)),
    }
}

/// Multiplies two F32 matrices that lie in `block`, at these byte offsets.
///
/// # Errors
/// `device_fault`; `cuda_unavailable` where there is no cuBLAS.
pub fn multiply(
    block: &Block,
    a: u64,
    b: u64,
    (m, k, n): (usize, usize, usize),
) -> Result<Vec<f32>> {
    let Some(buffer) = block.buffer() else {
        return Err(LoadError::internal("matrices in an empty model"));
    };
    let product = || {
        let mut blas = Blas::new(buffer.context())?;
        let a = buffer.range(a as usize, m * k * 4)?;
        let b = buffer.range(b as usize, k * n * 4)?;
        blas.multiply(a, b, (m, k, n))
    };
    product().map_err(|error| fault(block.ordinal(), Phase::Infer, &error))
}

/// Sends what `fill` writes to a device and back, `rounds` times, over a stream made for this, and
/// hands `see` what came back.
///
/// # Errors
/// Those of opening the device and of `fill` and `see`, and `device_fault`.
pub fn round_trip<T>(
    gpus: &mut Gpus,
    ordinal: u32,
    bytes: usize,
    rounds: u32,
    fill: impl FnOnce(&mut [u8]) -> Result<()>,
    see: impl FnOnce(&[u8]) -> Result<T>,
) -> Result<T> {
    let context = gpus.context(ordinal)?;
    if bytes == 0 {
        return see(&[]);
    }
    let failed = |error: GpuError| fault(ordinal, Phase::Copy, &error);
    let mut trip = RoundTrip::new(&context, bytes).map_err(failed)?;
    fill(trip.bytes_mut())?;
    let mut trip = trip.go(rounds).map_err(failed)?;
    see(trip.bytes_mut())
}
