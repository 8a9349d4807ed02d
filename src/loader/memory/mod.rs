//! A model's bytes: one arena for each model, in host memory or on a device.

pub mod block;
pub mod device_arena;
pub mod divided_arena;
pub mod layout;
pub mod sink;
pub mod streamed_arena;

use std::ops::Range;

use crate::contract::Device;
use crate::contract::reply::Transfer;

use super::device::Gpus;
use super::error::{LoadError, Result};
use super::host_memory::host_bytes;

use self::block::Block;
use self::device_arena::DeviceArena;
use self::divided_arena::{DividedArena, RankBytes};
use self::layout::Layout;
use self::sink::{Sink, host_sinks};
use self::streamed_arena::StreamedArena;

/// Every tensor begins at a multiple of this offset in its arena, in bytes. This is enough for
/// every vector load of the kernels and of cuBLAS, and wastes at most 15 bytes for each tensor.
pub const ALIGNMENT: u64 = 16;

/// A model's bytes, freed on drop.
#[derive(Debug)]
pub enum Memory {
    /// In this process.
    Host(Vec<u8>),
    /// On a CUDA device.
    Device(Block),
    /// Divided over ranks, in the order of the request. Each rank has its own offsets.
    Divided(Vec<Memory>),
}

impl Memory {
    /// The device that holds the bytes.
    pub fn device(&self) -> Device {
        match self {
            Memory::Host(_) => Device::Cpu,
            Memory::Device(block) => Device::Cuda(block.ordinal()),
            Memory::Divided(ranks) => ranks.first().map_or(Device::Cpu, Memory::device),
        }
    }

    /// Its size, in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Memory::Host(bytes) => bytes.len() as u64,
            Memory::Device(block) => block.bytes(),
            Memory::Divided(ranks) => ranks.iter().map(Memory::bytes).sum(),
        }
    }

    /// Copies `into.len()` bytes that begin at `offset` to the host.
    ///
    /// # Errors
    /// `device_fault`; `internal` if the range is outside the model.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        match self {
            Memory::Host(bytes) => {
                let from = usize::try_from(offset).ok();
                let range = from.and_then(|from| bytes.get(from..from.checked_add(into.len())?));
                let range = range.ok_or_else(|| LoadError::internal("range outside a model"))?;
                into.copy_from_slice(range);
                Ok(())
            }
            Memory::Device(block) => block.read(offset, into),
            Memory::Divided(_) => Err(LoadError::internal("the ranks have offsets of their own")),
        }
    }
}

/// A model's memory while a load fills it. Dropping it before [`finish`](Self::finish) frees
/// everything.
#[derive(Debug)]
pub enum Arena<'g> {
    /// In this process.
    Host(Vec<u8>),
    /// On a device.
    Device(DeviceArena<'g>),
    /// All bytes in host memory, and a part of them on a device.
    Streamed(StreamedArena),
    /// The memory of several ranks.
    Divided(DividedArena<'g>),
}

impl<'g> Arena<'g> {
    /// Allocates `bytes` bytes on `device`. With a layout, allocates the layout's size on the
    /// device and `bytes` bytes in host memory.
    ///
    /// # Errors
    /// `out_of_host_memory`, `out_of_device_memory`, and those of opening a device.
    pub fn reserve(
        gpus: &'g mut Gpus,
        device: Device,
        bytes: u64,
        layout: Option<Layout>,
    ) -> Result<Arena<'g>> {
        match (device, layout) {
            (Device::Cpu, _) => Ok(Arena::Host(host_bytes(bytes)?)),
            (Device::Cuda(ordinal), None) => {
                Ok(Arena::Device(DeviceArena::new(gpus, ordinal, bytes)?))
            }
            (Device::Cuda(ordinal), Some(layout)) => {
                Ok(Arena::Streamed(StreamedArena::new(gpus, ordinal, bytes, layout)?))
            }
        }
    }

    /// Creates a sink for each part. Parts must be in ascending order and must not overlap.
    ///
    /// # Errors
    /// `internal` if a part is outside the arena; those of allocating pinned memory.
    pub fn sinks(&mut self, parts: &[Range<u64>]) -> Result<Vec<Box<dyn Sink + Send + '_>>> {
        match self {
            Arena::Host(bytes) => host_sinks(bytes, parts),
            Arena::Streamed(arena) => host_sinks(arena.bytes_mut(), parts),
            Arena::Divided(_) => Err(LoadError::internal("the ranks have parts of their own")),
            Arena::Device(arena) => {
                let sinks = arena.sinks(parts)?.into_iter();
                Ok(sinks.map(|sink| Box::new(sink) as Box<dyn Sink + Send + '_>).collect())
            }
        }
    }

    /// Returns the filled memory, and how the bytes were copied to a device (`None` on the host).
    ///
    /// # Errors
    /// `device_fault`.
    pub fn finish(self) -> Result<(Memory, Option<Transfer>)> {
        match self {
            Arena::Host(bytes) => Ok((Memory::Host(bytes), None)),
            Arena::Device(arena) => {
                let (block, transfer) = arena.finish()?;
                Ok((Memory::Device(block), Some(transfer)))
            }
            Arena::Divided(arena) => {
                let (ranks, transfer) = arena.finish()?;
                let memory = ranks.into_iter().map(|rank| match rank {
                    RankBytes::Host(bytes) => Memory::Host(bytes),
                    RankBytes::Device(block) => Memory::Device(block),
                });
                Ok((Memory::Divided(memory.collect()), transfer))
            }
            Arena::Streamed(arena) => {
                let (block, transfer) = arena.finish()?;
                Ok((Memory::Device(block), Some(transfer)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    #[test]
    fn host_memory_is_checked_at_its_ends() {
        let mut gpus = Gpus::default();
        let mut arena = Arena::reserve(&mut gpus, Device::Cpu, 12, None).unwrap();
        assert!(arena.sinks(&[0..4, 8..13]).is_err() && arena.sinks(&[4..8, 0..4]).is_err());
        let mut sinks = arena.sinks(&[0..8, 10..12]).unwrap();
        sinks[0].put(4, &[1, 2, 3, 4]).unwrap();
        assert_eq!(sinks[0].put(5, &[0; 4]).unwrap_err().code(), Code::Internal);
        assert_eq!(sinks[0].put(u64::MAX, &[0; 4]).unwrap_err().code(), Code::Internal);
        sinks[1].put(0, &[5, 6]).unwrap();
        drop(sinks);
        let (memory, transfer) = arena.finish().unwrap();
        let mut read = [9; 10];
        memory.read(2, &mut read).unwrap();
        assert_eq!(read, [0, 0, 1, 2, 3, 4, 0, 0, 5, 6]);
        assert!(memory.read(3, &mut read).is_err() && transfer.is_none());
    }

    #[test]
    fn memory_is_where_its_first_rank_is_and_as_large_as_all() {
        let device = |ordinal| Memory::Device(block::tests::empty(ordinal));
        let host = |bytes| Memory::Host(vec![0; bytes]);
        for (memory, wanted) in [
            (host(3), (Device::Cpu, 3)),
            (device(4), (Device::Cuda(4), 0)),
            (Memory::Divided(vec![device(2), host(5)]), (Device::Cuda(2), 5)),
            (Memory::Divided(vec![host(5), host(6)]), (Device::Cpu, 11)),
            (Memory::Divided(Vec::new()), (Device::Cpu, 0)),
        ] {
            assert_eq!((memory.device(), memory.bytes()), wanted, "{memory:?}");
        }
        assert_eq!(device(4).read(0, &mut []), Ok(()));
        let error = Memory::Divided(vec![host(5)]).read(0, &mut []).expect_err("several");
        assert_eq!(error.failure().message, "the ranks have offsets of their own");
    }

    #[test]
    fn a_divided_arena_becomes_the_memory_of_its_ranks() {
        let mut gpus = Gpus::default();
        let ranks = [(Device::Cpu, 4), (Device::Cpu, 2)];
        let mut arena = Arena::Divided(DividedArena::new(&mut gpus, &ranks).expect("reserved"));
        let error = arena.sinks(&[Range { start: 0, end: 4 }]).map(drop).expect_err("several");
        assert_eq!(error.failure().message, "the ranks have parts of their own");
        let (memory, transfer) = arena.finish().expect("finished");
        let Memory::Divided(ranks) = memory else { panic!("{memory:?}") };
        assert_eq!(ranks.iter().map(Memory::bytes).collect::<Vec<_>>(), [4, 2]);
        assert!(transfer.is_none(), "nothing went to a device");
    }

    #[test]
    fn no_memory_is_reserved_on_a_device_that_is_not_there() {
        if crate::gpu::device_count().is_ok_and(|count| count > 0) {
            return; // Device tests cover a machine that has one.
        }
        for layout in [None, Some(Layout::default())] {
            let mut gpus = Gpus::default();
            let arena = Arena::reserve(&mut gpus, Device::Cuda(0), 4, layout);
            let error = arena.map(drop).expect_err("no device");
            assert_eq!(error.code(), Code::CudaUnavailable);
        }
        let mut gpus = Gpus::default();
        let ranks = [(Device::Cpu, 4), (Device::Cuda(0), 2)];
        let error = DividedArena::new(&mut gpus, &ranks).map(drop).expect_err("no device");
        assert_eq!(error.code(), Code::CudaUnavailable);
    }
}
