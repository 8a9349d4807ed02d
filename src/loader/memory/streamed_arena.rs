//! The memory of a streamed decoder while a load fills it. All bytes go to page-locked host memory
//! and stay there. The device has room for the resident pieces and for one layer.
//!
//! The load hashes and checks the bytes on their way into host memory; only checked bytes are
//! copied to the device. Host memory also holds the resident pieces, so that it contains the
//! complete model.

use std::time::{Duration, Instant};

use crate::contract::Phase;
use crate::contract::reply::Transfer;
use crate::gpu::{DeviceBuffer, Layers, PinnedBuffer};
use crate::loader::error::{LoadError, Result};
use crate::loader::host_memory::host_available;

use super::block::{Block, LayerStore, allocate};
use super::device_arena::micros;
use super::layout::Layout;
use crate::loader::device::{Gpus, fault, pinned_fault};

/// Host and device memory of a streamed model. Dropping it before [`finish`](Self::finish) frees
/// everything.
#[derive(Debug)]
pub struct StreamedArena {
    ordinal: u32,
    buffer: DeviceBuffer,
    home: PinnedBuffer,
    layout: Layout,
    alloc: Duration,
    began: Instant,
}

impl StreamedArena {
    /// Allocates host and device memory for a model of `bytes` bytes.
    ///
    /// # Errors
    /// `out_of_device_memory`, `out_of_host_memory`; those of opening the device.
    pub fn new(gpus: &mut Gpus, ordinal: u32, bytes: u64, layout: Layout) -> Result<Self> {
        let context = gpus.context(ordinal)?;
        let start = Instant::now();
        let buffer = allocate(&context, layout.bytes)?;
        let buffer = buffer.ok_or_else(|| LoadError::internal("a layout without bytes"))?;
        let available = host_available().unwrap_or(u64::MAX);
        let short = || LoadError::out_of_host_memory(bytes, available);
        let wanted = usize::try_from(bytes).ok().filter(|_| bytes <= available);
        let home = PinnedBuffer::allocate(&context, wanted.ok_or_else(short)?);
        let home = home.map_err(|error| pinned_fault(ordinal, &error, bytes))?;
        let began = Instant::now();
        Ok(StreamedArena { ordinal, buffer, home, layout, alloc: began - start, began })
    }

    /// The host memory to fill with the model's bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.home.as_mut_slice()
    }

    /// Copies the resident pieces to the device.
    ///
    /// # Errors
    /// `device_fault`.
    pub fn finish(self) -> Result<(Block, Transfer)> {
        let StreamedArena { ordinal, buffer, home, layout, alloc, began } = self;
        let staging_bytes = home.bytes() as u64;
        let layers = Layers::new(home, layout.layers);
        let placed = layers.place(&layout.resident, &buffer);
        placed.map_err(|error| fault(ordinal, Phase::Copy, &error))?;
        let transfer = Transfer {
            asynchronous: true,
            pinned: true,
            bytes: layout.resident.iter().map(|piece| piece.bytes).sum(),
            copy_us: micros(began.elapsed()),
            alloc_us: micros(alloc),
            staging_bytes,
        };
        let store = LayerStore { layers, resident: layout.resident };
        Ok((Block { ordinal, buffer: Some(buffer), store: Some(store) }, transfer))
    }
}
