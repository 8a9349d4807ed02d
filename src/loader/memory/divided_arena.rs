//! The memory of several ranks while a load fills it. Each rank has its own, on its own device.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::block::{Block, allocate};
use super::device_arena::{DeviceSink, copied, micros};
use super::sink::{RankSinks, Sink, host_sinks};
use crate::contract::reply::Transfer;
use crate::contract::{Device, Phase};
use crate::gpu::{Context, DeviceBuffer, Kernels, Uploader};
use crate::loader::device::{Gpus, fault};
use crate::loader::error::{LoadError, Result};
use crate::loader::host_memory::host_bytes;

/// Memory of several ranks. Dropping it before [`finish`](Self::finish) frees everything.
#[derive(Debug)]
pub struct DividedArena<'g> {
    gpus: &'g mut Gpus,
    ranks: Vec<Rank>,
    alloc: Duration,
    began: Instant,
    /// Bytes that the rings had copied before this load.
    copied_before: u64,
}

/// The filled memory of one rank.
#[derive(Debug)]
pub enum RankBytes {
    /// In this process.
    Host(Vec<u8>),
    /// On a device.
    Device(Block),
}

/// A rank's device during a load.
pub struct RankDevice<'a> {
    /// The device's ordinal.
    pub ordinal: u32,
    /// Its context.
    pub context: Context,
    /// Its kernels.
    pub kernels: Kernels,
    /// Rings to copy through.
    pub lanes: &'a mut [Uploader],
    /// The rank's memory; `None` if it holds nothing.
    pub buffer: Option<&'a DeviceBuffer>,
}

#[derive(Debug)]
enum Rank {
    Host(Vec<u8>),
    // The rings are declared first, so that pending copies end before memory is freed.
    Device { ordinal: u32, lanes: Vec<Uploader>, buffer: Option<DeviceBuffer> },
}

impl<'g> DividedArena<'g> {
    /// Allocates the memory of every rank: its device, and its size in bytes.
    ///
    /// # Errors
    /// `out_of_host_memory`, `out_of_device_memory`, and those of opening a device.
    pub fn new(gpus: &'g mut Gpus, ranks: &[(Device, u64)]) -> Result<Self> {
        let start = Instant::now();
        let mut held = Vec::new();
        for (device, bytes) in ranks {
            held.push(match *device {
                Device::Cpu => Rank::Host(host_bytes(*bytes)?),
                Device::Cuda(ordinal) => {
                    let buffer = allocate(&gpus.context(ordinal)?, *bytes)?;
                    Rank::Device { ordinal, lanes: Vec::new(), buffer }
                }
            });
        }
        let began = Instant::now();
        Ok(DividedArena { gpus, ranks: held, alloc: began - start, began, copied_before: 0 })
    }

    /// Creates the sinks of several files: for each file one into each rank's part. `parts` has for each rank
    /// the parts that the files fill, in ascending order.
    ///
    /// # Errors
    /// `internal` if a part is outside the rank's memory; those of reserving pinned memory.
    pub fn sinks(&mut self, parts: &[Vec<Range<u64>>]) -> Result<Vec<RankSinks<'_>>> {
        let (files, ranks) = (parts.first().map_or(0, Vec::len), self.ranks.len());
        for rank in &mut self.ranks {
            if let Rank::Device { ordinal, lanes, .. } = rank {
                let missing = files.saturating_sub(lanes.len());
                let mut fresh = self.gpus.take_lanes(*ordinal, missing)?;
                self.copied_before += copied(*ordinal, &mut fresh)?;
                lanes.append(&mut fresh);
            }
        }
        let mut all: Vec<RankSinks<'_>> = (0..files).map(|_| Vec::new()).collect();
        for (rank, parts) in self.ranks.iter_mut().zip(parts) {
            let sinks: RankSinks<'_> = match rank {
                Rank::Host(bytes) => host_sinks(bytes, parts)?,
                Rank::Device { ordinal, lanes, buffer } => {
                    let lanes = lanes.iter_mut().zip(parts);
                    let sink = |(lane, part): (_, &Range<u64>)| {
                        let sink = DeviceSink::new(*ordinal, lane, buffer.as_ref(), part.clone());
                        Box::new(sink) as Box<dyn Sink + Send + '_>
                    };
                    lanes.map(sink).collect()
                }
            };
            for (file, sink) in all.iter_mut().zip(sinks) {
                file.push(sink);
            }
        }
        match all.iter().all(|file| file.len() == ranks) {
            true => Ok(all),
            false => Err(LoadError::internal("a rank without a sink")),
        }
    }

    /// Whether all ranks are on devices, and every device can write to the memory of every other.
    ///
    /// # Errors
    /// `device_fault`.
    pub fn devices_reach_each_other(&mut self) -> Result<bool> {
        let mut contexts = Vec::new();
        for rank in &self.ranks {
            let Rank::Device { ordinal, .. } = rank else { return Ok(false) };
            contexts.push(self.gpus.context(*ordinal)?);
        }
        for from in &contexts {
            for to in &contexts {
                let reached = from.reach(to);
                if !reached.map_err(|error| fault(from.ordinal(), Phase::Copy, &error))? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Every rank's device, with so many rings.
    ///
    /// # Errors
    /// Those of reserving pinned memory and of compiling; `internal` for a rank on the host.
    pub fn rank_devices(&mut self, rings: usize) -> Result<Vec<RankDevice<'_>>> {
        let mut devices = Vec::new();
        for rank in &mut self.ranks {
            let Rank::Device { ordinal, lanes, buffer } = rank else {
                return Err(LoadError::internal("a rank on the host among devices"));
            };
            let missing = rings.saturating_sub(lanes.len());
            let mut fresh = self.gpus.take_lanes(*ordinal, missing)?;
            self.copied_before += copied(*ordinal, &mut fresh)?;
            lanes.append(&mut fresh);
            devices.push(RankDevice {
                ordinal: *ordinal,
                context: self.gpus.context(*ordinal)?,
                kernels: self.gpus.kernels(*ordinal)?,
                lanes: lanes.as_mut_slice(),
                buffer: buffer.as_ref(),
            });
        }
        Ok(devices)
    }

    /// Waits until every byte is copied. Returns the memory of each rank, and how the bytes were copied to
    /// devices; `None` if all ranks are on the host.
    ///
    /// # Errors
    /// `device_fault`.
    pub fn finish(mut self) -> Result<(Vec<RankBytes>, Option<Transfer>)> {
        let (mut done, mut staging_bytes, mut on_device) = (0, 0, false);
        for rank in &mut self.ranks {
            if let Rank::Device { ordinal, lanes, .. } = rank {
                done += copied(*ordinal, lanes)?;
                staging_bytes += lanes.iter().map(|lane| lane.staging_bytes() as u64).sum::<u64>();
                on_device = true;
            }
        }
        let transfer = on_device.then(|| Transfer {
            asynchronous: true,
            pinned: true,
            bytes: done - self.copied_before,
            copy_us: micros(self.began.elapsed()),
            alloc_us: micros(self.alloc),
            staging_bytes,
        });
        let memory = self.ranks.iter_mut().map(|rank| match rank {
            Rank::Host(bytes) => RankBytes::Host(std::mem::take(bytes)),
            Rank::Device { ordinal, buffer, .. } => {
                RankBytes::Device(Block { ordinal: *ordinal, buffer: buffer.take(), store: None })
            }
        });
        Ok((memory.collect(), transfer))
    }
}

impl Drop for DividedArena<'_> {
    fn drop(&mut self) {
        for rank in &mut self.ranks {
            if let Rank::Device { ordinal, lanes, .. } = rank {
                // Do not reuse a ring whose copies failed.
                let sound =
                    lanes.drain(..).filter_map(|mut lane| lane.finish().is_ok().then_some(lane));
                self.gpus.return_lanes(*ordinal, sound);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rank_has_its_own_memory() {
        let mut gpus = Gpus::default();
        let mut arena =
            DividedArena::new(&mut gpus, &[(Device::Cpu, 4), (Device::Cpu, 2)]).unwrap();
        let parts = [vec![0..2, 2..4], vec![0..0, 0..2]];
        let mut sinks = arena.sinks(&parts).unwrap();
        sinks[0][0].put(0, &[1, 2]).unwrap();
        sinks[1][0].put(1, &[3]).unwrap();
        sinks[1][1].put(0, &[4, 5]).unwrap();
        assert!(sinks[0][1].put(0, &[9]).is_err(), "this rank has nothing of the first file");
        drop(sinks);
        let beyond = Range { start: 0, end: 5 };
        assert!(arena.sinks(&[vec![beyond.clone()], vec![beyond]]).is_err());
        let (ranks, transfer) = arena.finish().unwrap();
        let bytes: Vec<&[u8]> = ranks
            .iter()
            .map(|rank| match rank {
                RankBytes::Host(bytes) => bytes.as_slice(),
                RankBytes::Device(_) => panic!("on the host"),
            })
            .collect();
        assert!(transfer.is_none());
        assert_eq!(bytes, [&[1, 2, 0, 3][..], &[4, 5]]);
    }
}
