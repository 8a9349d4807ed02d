//! A model's memory on a device, and the host memory that its layers may come from.

use crate::contract::{Device, Phase};
use crate::gpu::{Context, DeviceBuffer, Layers, Piece, Weights};
use crate::loader::device::{Gpus, fault};
use crate::loader::error::{LoadError, Result};

/// An arena on a device; empty where the model has no bytes, as the driver has no empty allocation.
#[derive(Debug)]
pub struct Block {
    pub(crate) ordinal: u32,
    // Before the store, so that nothing is on its way from there when it goes.
    pub(crate) buffer: Option<DeviceBuffer>,
    /// Where layers come from that do not lie here.
    pub(crate) store: Option<LayerStore>,
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
        Ok(Block { ordinal, buffer, store: None })
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
        self.store.as_ref().map_or(0, |store| store.layers.home().len() as u64)
    }

    /// Whether layers come to it from host memory.
    pub fn is_streamed(&self) -> bool {
        self.store.is_some()
    }

    /// The model's weights, as kernels meet them; nothing for a model without bytes.
    pub fn weights(&self) -> Option<Weights<'_>> {
        let layers = self.store.as_ref().map(|store| &store.layers);
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
        if let (Some(buffer), Some(store)) = (&self.buffer, &self.store) {
            return store.read((self.ordinal, buffer), offset, into);
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

/// Where the layers of a streamed model come from.
#[derive(Debug)]
pub struct LayerStore {
    pub(crate) layers: Layers,
    pub(crate) resident: Vec<Piece>,
}

impl LayerStore {
    /// Reads a model's bytes where they lie: on the device what stays there, everything else at home.
    ///
    /// # Errors
    /// `device_fault`; `internal` where the range lies outside.
    pub(crate) fn read(
        &self,
        (ordinal, buffer): (u32, &DeviceBuffer),
        offset: u64,
        into: &mut [u8],
    ) -> Result<()> {
        let outside = || LoadError::internal("range outside a model");
        let end = offset.checked_add(into.len() as u64).ok_or_else(outside)?;
        let stays = self
            .resident
            .iter()
            .find(|piece| piece.from <= offset && end <= piece.from + piece.bytes);
        if let Some(piece) = stays {
            let read = buffer.read((piece.to + (offset - piece.from)) as usize, into);
            return read.map_err(|error| fault(ordinal, Phase::Read, &error));
        }
        let home = self.layers.home().get(offset as usize..end as usize);
        into.copy_from_slice(home.ok_or_else(outside)?);
        Ok(())
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
