//! The one file of this house that talks to the GPU: opening devices, arenas on them, the pinned
//! ring that feeds them, and what their errors mean.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use crate::contract::reply::Transfer;
use crate::contract::{Class, Code, Device, Phase};
use crate::gpu::{Blas, Context, DeviceBuffer, GpuError, RoundTrip, Slot, Uploader};

use super::error::{LoadError, Result};
use super::memory::{Memory, Sink};

/// The devices opened so far, each with its staging ring. A context and a ring cost more than a
/// small model's load, so both are kept.
#[derive(Debug, Default)]
pub struct Gpus {
    open: BTreeMap<u32, Gpu>,
}

#[derive(Debug)]
struct Gpu {
    context: Context,
    uploader: Option<Uploader>,
}

impl Gpus {
    /// The context of a device.
    ///
    /// # Errors
    /// `cuda_unavailable` with the driver's own words, `invalid_device`, `device_fault`.
    pub fn context(&mut self, ordinal: u32) -> Result<Context> {
        Ok(self.gpu(ordinal)?.context.clone())
    }

    /// Takes a device's ring, or makes one. It comes back by [`return_uploader`](Self::return_uploader).
    fn take_uploader(&mut self, ordinal: u32) -> Result<Uploader> {
        let gpu = self.gpu(ordinal)?;
        match gpu.uploader.take() {
            Some(uploader) => Ok(uploader),
            None => Uploader::new(&gpu.context).map_err(|error| staging_fault(ordinal, &error)),
        }
    }

    fn return_uploader(&mut self, ordinal: u32, uploader: Uploader) {
        if let Some(gpu) = self.open.get_mut(&ordinal) {
            gpu.uploader = Some(uploader);
        }
    }

    fn gpu(&mut self, ordinal: u32) -> Result<&mut Gpu> {
        Ok(match self.open.entry(ordinal) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let context =
                    Context::open(ordinal).map_err(|error| open_fault(ordinal, &error))?;
                entry.insert(Gpu { context, uploader: None })
            }
        })
    }
}

/// An arena on a device; empty where the model has no bytes, as the driver has no empty allocation.
#[derive(Debug)]
pub struct Block {
    ordinal: u32,
    buffer: Option<DeviceBuffer>,
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
        Ok(Block { ordinal, buffer })
    }

    /// The device's ordinal.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Its size, in bytes.
    pub fn bytes(&self) -> u64 {
        self.buffer.as_ref().map_or(0, |buffer| buffer.bytes() as u64)
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

/// Feeds an arena through the pinned ring, joining neighbouring pieces into whole slots.
pub struct DeviceSink<'g> {
    gpus: &'g mut Gpus,
    ordinal: u32,
    // Before the buffer, so that copies in flight are waited for before memory is given back.
    uploader: Option<Uploader>,
    buffer: Option<DeviceBuffer>,
    slot: Option<Filling>,
    alloc: Duration,
    first_copy: Option<Instant>,
    copied: u64,
}

struct Filling {
    slot: Slot,
    offset: u64,
    bytes: usize,
}

impl<'g> DeviceSink<'g> {
    /// Reserves the arena and takes the device's ring.
    ///
    /// # Errors
    /// Those of [`allocate`], of opening the device and of reserving pinned memory.
    pub fn new(gpus: &'g mut Gpus, ordinal: u32, bytes: u64) -> Result<Self> {
        let context = gpus.context(ordinal)?;
        let start = Instant::now();
        let buffer = allocate(&context, bytes)?;
        let alloc = start.elapsed();
        let uploader = gpus.take_uploader(ordinal)?;
        Ok(DeviceSink {
            gpus,
            ordinal,
            uploader: Some(uploader),
            buffer,
            slot: None,
            alloc,
            first_copy: None,
            copied: 0,
        })
    }

    fn flush(&mut self) -> Result<()> {
        let Some(Filling { slot, offset, bytes }) = self.slot.take() else { return Ok(()) };
        let (Some(uploader), Some(buffer)) = (&mut self.uploader, &self.buffer) else {
            return Err(LoadError::internal("bytes for an empty model"));
        };
        self.first_copy.get_or_insert_with(Instant::now);
        self.copied += bytes as u64;
        uploader
            .submit(slot, bytes, buffer, offset as usize)
            .map_err(|error| fault(self.ordinal, Phase::Copy, &error))
    }

    /// The slot that the byte at `offset` goes to, with room in it, and where in it.
    fn room(&mut self, offset: u64) -> Result<(&mut Filling, usize)> {
        let Some(uploader) = &mut self.uploader else {
            return Err(LoadError::internal("sink used after its end"));
        };
        let size = uploader.slot_bytes() as u64;
        let fits = |filling: &Filling| {
            let end = filling.offset + filling.bytes as u64;
            // Gaps are only those that alignment makes; a real jump begins a new slot.
            offset >= end && offset - end < 64 && offset - filling.offset < size
        };
        if !self.slot.as_ref().is_some_and(fits) {
            self.flush()?;
            let uploader = self.uploader.as_mut();
            let uploader =
                uploader.ok_or_else(|| LoadError::internal("sink used after its end"))?;
            let slot = uploader.slot().map_err(|error| fault(self.ordinal, Phase::Copy, &error))?;
            self.slot = Some(Filling { slot, offset, bytes: 0 });
        }
        let filling = self.slot.as_mut().ok_or_else(|| LoadError::internal("no slot"))?;
        let at = (offset - filling.offset) as usize;
        filling.slot.as_mut_slice()[filling.bytes..at].fill(0);
        Ok((filling, at))
    }
}

impl Sink for DeviceSink<'_> {
    fn put(&mut self, mut offset: u64, mut bytes: &[u8]) -> Result<()> {
        let held = self.buffer.as_ref().map_or(0, |buffer| buffer.bytes() as u64);
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > held) {
            return Err(LoadError::internal("range outside a model"));
        }
        while !bytes.is_empty() {
            let (filling, at) = self.room(offset)?;
            let target = &mut filling.slot.as_mut_slice()[at..];
            let taken = target.len().min(bytes.len());
            target[..taken].copy_from_slice(&bytes[..taken]);
            filling.bytes = at + taken;
            offset += taken as u64;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(Memory, Option<Transfer>)> {
        self.flush()?;
        let mut staging = 0;
        if let Some(uploader) = &mut self.uploader {
            uploader.finish().map_err(|error| fault(self.ordinal, Phase::Copy, &error))?;
            staging = uploader.staging_bytes() as u64;
        }
        let copy = self.first_copy.map_or(Duration::ZERO, |start| start.elapsed());
        let transfer = Transfer {
            asynchronous: true,
            pinned: true,
            bytes: self.copied,
            copy_us: micros(copy),
            alloc_us: micros(self.alloc),
            staging_bytes: staging,
        };
        let block = Block { ordinal: self.ordinal, buffer: self.buffer.take() };
        Ok((Memory::Device(block), Some(transfer)))
    }
}

impl Drop for DeviceSink<'_> {
    fn drop(&mut self) {
        let Some(mut uploader) = self.uploader.take() else { return };
        if let Some(Filling { slot, .. }) = self.slot.take() {
            uploader.give_back(slot);
        }
        // A ring whose copies failed is not used again.
        if uploader.finish().is_ok() {
            self.gpus.return_uploader(self.ordinal, uploader);
        }
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

/// What a failed call in the middle of work means.
pub fn fault(ordinal: u32, phase: Phase, error: &GpuError) -> LoadError {
    if error.is_unavailable() {
        return open_fault(ordinal, error);
    }
    if error.is_out_of_memory() {
        return LoadError::new(
            Class::Resource,
            Phase::Alloc,
            Code::OutOfDeviceMemory,
            format!("not enough memory on cuda:{ordinal} for the driver's own needs: {error}"),
        )
        .expected("free device memory", error)
        .remedy("unload other models, or use a device with more memory");
    }
    let lost = error.is_sticky();
    let remedy = if lost { "end this process and start again" } else { "see the driver's words" };
    let fault = LoadError::new(
        Class::Device,
        phase,
        Code::DeviceFault,
        format!("call failed on cuda:{ordinal}: {error}"),
    )
    .expected("success", error)
    .remedy(remedy);
    if lost { fault.poisoned() } else { fault }
}

/// What a device that cannot be opened means.
pub fn open_fault(ordinal: u32, error: &GpuError) -> LoadError {
    let device = |code: Code, message: String| {
        LoadError::new(Class::Device, Phase::Preflight, code, message)
    };
    if error.is_unavailable() {
        device(Code::CudaUnavailable, format!("no usable CUDA device: {error}"))
            .expected("a CUDA driver and a device", error)
            .remedy("install the NVIDIA driver, make a GPU visible, or ask for device cpu")
    } else if error.is_invalid_device() {
        let count = crate::gpu::device_count().unwrap_or(0);
        device(Code::InvalidDevice, format!("no CUDA device with ordinal {ordinal}: {error}"))
            .expected(format!("an ordinal below {count}"), ordinal)
            .remedy("choose another device, or check CUDA_VISIBLE_DEVICES")
    } else {
        fault(ordinal, Phase::Preflight, error)
    }
}

fn staging_fault(ordinal: u32, error: &GpuError) -> LoadError {
    if error.is_out_of_memory() {
        let wanted = (crate::gpu::SLOTS * crate::gpu::SLOT_BYTES) as u64;
        let available = super::memory::host_available().unwrap_or(0);
        return LoadError::out_of_host_memory(wanted, available);
    }
    fault(ordinal, Phase::Alloc, error)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
