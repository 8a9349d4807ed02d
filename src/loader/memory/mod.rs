//! Where a model's bytes lie: one arena a model, in host memory or on a device.

pub mod device_arena;
pub mod streamed_arena;
use std::ops::Range;

use crate::contract::Device;
use crate::contract::reply::Transfer;

use super::device::{Block, DeviceArena, Gpus, StreamedArena};
use super::error::{LoadError, Result};
use super::infer::residence::Layout;

/// Every tensor begins at a multiple of this in its arena, in bytes: enough for any vector load
/// that kernels or cuBLAS make, and at most 15 bytes lost a tensor.
pub const ALIGNMENT: u64 = 16;

/// A model's bytes, freed on drop.
#[derive(Debug)]
pub enum Memory {
    /// In this process.
    Host(Vec<u8>),
    /// On a CUDA device.
    Device(Block),
}

impl Memory {
    /// Where it lies.
    pub fn device(&self) -> Device {
        match self {
            Memory::Host(_) => Device::Cpu,
            Memory::Device(block) => Device::Cuda(block.ordinal()),
        }
    }

    /// Its size, in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Memory::Host(bytes) => bytes.len() as u64,
            Memory::Device(block) => block.bytes(),
        }
    }

    /// Copies bytes from `offset` on to the host.
    ///
    /// # Errors
    /// `device_fault`; `internal` where the range lies outside.
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
        }
    }
}

/// Takes bytes of one file, in pieces, while a model loads.
pub trait Sink {
    /// Puts bytes at `offset`, counted from where the file's part of the model begins.
    ///
    /// # Errors
    /// `device_fault`; `internal` where the range lies outside.
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Waits until every byte is in place.
    ///
    /// # Errors
    /// `device_fault`.
    fn finish(&mut self) -> Result<()>;
}

/// A model's memory while it is being filled. Dropped unfinished, it frees everything.
#[derive(Debug)]
pub enum Arena<'g> {
    /// In this process.
    Host(Vec<u8>),
    /// On a device.
    Device(DeviceArena<'g>),
    /// On a device in part, the layers in host memory.
    Streamed(StreamedArena),
}

impl<'g> Arena<'g> {
    /// Reserves `bytes` bytes on `device`, or what a layout has there and the rest in host memory.
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

    /// A sink for each part; parts are in order and do not overlap.
    ///
    /// # Errors
    /// `internal` where a part lies outside; those of reserving pinned memory.
    pub fn sinks(&mut self, parts: &[Range<u64>]) -> Result<Vec<Box<dyn Sink + Send + '_>>> {
        match self {
            Arena::Host(bytes) => host_sinks(bytes, parts),
            Arena::Streamed(arena) => host_sinks(arena.bytes_mut(), parts),
            Arena::Device(arena) => {
                let sinks = arena.sinks(parts)?.into_iter();
                Ok(sinks.map(|sink| Box::new(sink) as Box<dyn Sink + Send + '_>).collect())
            }
        }
    }

    /// The memory, filled, and how the bytes travelled to a device.
    ///
    /// # Errors
    /// `device_fault`.
    pub fn finish(self) -> Result<(Memory, Option<Transfer>)> {
        match self {
            Arena::Host(bytes) => Ok((Memory::Host(bytes), None)),
            Arena::Device(arena) => arena.finish(),
            Arena::Streamed(arena) => arena.finish(),
        }
    }
}

/// A sink over host memory for each part.
fn host_sinks<'a>(
    mut rest: &'a mut [u8],
    parts: &[Range<u64>],
) -> Result<Vec<Box<dyn Sink + Send + 'a>>> {
    let mut at = 0;
    let mut sinks: Vec<Box<dyn Sink + Send + 'a>> = Vec::new();
    for part in parts {
        let outside = || LoadError::internal("a file's part lies outside the model");
        let gap = part.start.checked_sub(at).ok_or_else(outside)? as usize;
        let length = part.end.checked_sub(part.start).ok_or_else(outside)? as usize;
        let (_, after) = rest.split_at_mut_checked(gap).ok_or_else(outside)?;
        let (mine, after) = after.split_at_mut_checked(length).ok_or_else(outside)?;
        sinks.push(Box::new(HostSink { bytes: mine }));
        (rest, at) = (after, part.end);
    }
    Ok(sinks)
}

/// Zeroed host memory, refused rather than overcommitted: the kernel would grant more than there
/// is and end the process at the page that is one too many.
///
/// # Errors
/// `out_of_host_memory`.
pub fn host_bytes(bytes: u64) -> Result<Vec<u8>> {
    let available = host_available().unwrap_or(u64::MAX);
    let wanted = usize::try_from(bytes).ok().filter(|_| bytes <= available);
    let wanted = wanted.ok_or_else(|| LoadError::out_of_host_memory(bytes, available))?;
    let mut memory = Vec::new();
    memory.try_reserve_exact(wanted).map_err(|_| {
        let left = address_space_left().unwrap_or(available).min(available);
        LoadError::out_of_host_memory(bytes, left)
    })?;
    memory.resize(wanted, 0);
    Ok(memory)
}

/// Host memory that can be had without swapping, in bytes, as the kernel estimates it.
pub fn host_available() -> Option<u64> {
    meminfo("MemAvailable:")
}

/// All host memory, in bytes.
pub fn host_total() -> Option<u64> {
    meminfo("MemTotal:")
}

/// What the limit on this process's address space leaves, in bytes, if there is one.
fn address_space_left() -> Option<u64> {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
    let (limit, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    if limit == RLIM_INFINITY {
        return None;
    }
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(limit.saturating_sub(kibibytes(&text, "VmSize:")?))
}

fn meminfo(field: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    kibibytes(&text, field)
}

/// A field of the kernel's tables, such as `MemTotal:  1024 kB`, in bytes.
fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

struct HostSink<'a> {
    bytes: &'a mut [u8],
}

impl Sink for HostSink<'_> {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let from = usize::try_from(offset).ok();
        let range = from.and_then(|from| self.bytes.get_mut(from..from.checked_add(bytes.len())?));
        range.ok_or_else(|| LoadError::internal("range outside a model"))?.copy_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    #[test]
    fn refuses_more_than_there_is() {
        let error = host_bytes(1 << 60).unwrap_err();
        assert_eq!(error.code(), Code::OutOfHostMemory);
        assert_eq!(error.failure().requested_bytes, Some(1 << 60));
        assert!(error.failure().available_bytes.is_some_and(|bytes| bytes < 1 << 60));
    }

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
}
