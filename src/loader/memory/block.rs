//! A model's memory on a device. For a streamed model, also the host memory that holds its layers.

use crate::contract::{Device, Phase};
use crate::gpu::{Context, DeviceBuffer, Layers, Piece, Weights};
use crate::loader::device::{Gpus, fault};
use crate::loader::error::{LoadError, Result};

/// A model's memory on a device. It has no buffer if the model has no bytes, because the driver
/// cannot allocate zero bytes.
#[derive(Debug)]
pub struct Block {
    pub(crate) ordinal: u32,
    // Declared before the store, so that it is dropped first: no copy from the store is in flight
    // when the store is freed.
    pub(crate) buffer: Option<DeviceBuffer>,
    /// A streamed model's layers in host memory; `None` if the device holds the whole model.
    pub(crate) store: Option<LayerStore>,
}

impl Block {
    /// Allocates device memory and copies `bytes` there in one copy, without a file or staging
    /// ring.
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

    /// Size of the device memory, in bytes.
    pub fn bytes(&self) -> u64 {
        self.buffer.as_ref().map_or(0, |buffer| buffer.bytes() as u64)
    }

    /// Host memory that a streamed model occupies, in bytes; 0 for a model that is not streamed.
    pub fn home_bytes(&self) -> u64 {
        self.store.as_ref().map_or(0, |store| store.layers.home().len() as u64)
    }

    /// Whether the layers are copied from host memory while the model runs.
    pub fn is_streamed(&self) -> bool {
        self.store.is_some()
    }

    /// The model's weights, in the form that kernels take; `None` for a model without bytes.
    pub fn weights(&self) -> Option<Weights<'_>> {
        let layers = self.store.as_ref().map(|store| &store.layers);
        self.buffer.as_ref().map(|memory| Weights { memory, layers })
    }

    /// The device allocation; `None` for a model without bytes.
    pub fn buffer(&self) -> Option<&DeviceBuffer> {
        self.buffer.as_ref()
    }

    /// Copies `into.len()` bytes that begin at `offset` to the host.
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

/// The host copy of a streamed model, and the ranges that also stay on the device.
#[derive(Debug)]
pub struct LayerStore {
    pub(crate) layers: Layers,
    pub(crate) resident: Vec<Piece>,
}

impl LayerStore {
    /// Reads a model's bytes. A range that stays on the device is read there; any other range is
    /// read from host memory.
    ///
    /// # Errors
    /// `device_fault`; `internal` if the range is outside the model.
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

/// Allocates device memory; `None` for 0 bytes.
///
/// # Errors
/// `out_of_device_memory` with the requested and the free bytes, `device_fault`.
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::contract::Code;

    /// The memory on a device of a model without bytes, which no driver is needed for.
    pub(crate) fn empty(ordinal: u32) -> Block {
        Block { ordinal, buffer: None, store: None }
    }

    #[test]
    fn a_model_without_bytes_holds_nothing_and_gives_nothing() {
        let block = empty(3);
        assert_eq!((block.ordinal(), block.bytes(), block.home_bytes()), (3, 0, 0));
        assert!(!block.is_streamed() && block.weights().is_none() && block.buffer().is_none());
        assert_eq!(block.read(7, &mut []), Ok(()));
        let error = block.read(0, &mut [0]).expect_err("no byte is there");
        assert_eq!(
            (error.code(), &*error.failure().message),
            (Code::Internal, "range outside a model")
        );
    }

    #[test]
    fn bytes_without_a_device_are_an_error_of_the_driver() {
        if crate::gpu::device_count().is_err() {
            let error = Block::from_bytes(&mut Gpus::default(), 0, &[1]).expect_err("no device");
            assert_eq!(error.code(), Code::CudaUnavailable);
        }
    }
}
