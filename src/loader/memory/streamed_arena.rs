//! The memory of a decoder that is streamed, while it is being filled: all of it in page-locked host
//! memory, where it stays, and on the device what is always needed and room for one layer.
//!
//! Bytes are hashed and judged on their way into host memory, and nothing else is ever copied to the
//! device. What stays there lies in host memory too, so that every byte is in one place.

use std::time::{Duration, Instant};

use super::{Memory, host_available};
use crate::contract::Phase;
use crate::contract::reply::Transfer;
use crate::gpu::{DeviceBuffer, Layers, PinnedBuffer};
use crate::loader::error::{LoadError, Result};
use crate::loader::infer::residence::Layout;

use super::device_arena::micros;
use crate::loader::device::{Block, Gpus, allocate, fault};

/// An arena of a streamed model. Dropped unfinished, it frees everything.
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
    /// Reserves both memories for a model of so many bytes.
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
        let home = home.map_err(|error| match error.is_out_of_memory() {
            true => short(),
            false => fault(ordinal, Phase::Alloc, &error),
        })?;
        let began = Instant::now();
        Ok(StreamedArena { ordinal, buffer, home, layout, alloc: began - start, began })
    }

    /// The model's bytes, to be filled.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.home.as_mut_slice()
    }

    /// Brings what stays on the device there.
    ///
    /// # Errors
    /// `device_fault`.
    pub fn finish(self) -> Result<(Memory, Option<Transfer>)> {
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
        let source = Source { layers, resident: layout.resident };
        Ok((
            Memory::Device(Block { ordinal, buffer: Some(buffer), source: Some(source) }),
            Some(transfer),
        ))
    }
}

/// Where the layers of a streamed model come from.
#[derive(Debug)]
pub struct Source {
    pub(crate) layers: Layers,
    resident: Vec<crate::gpu::Piece>,
}

impl Source {
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
