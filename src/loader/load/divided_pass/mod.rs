//! The pass over the data of a divided model on several devices: each brings a share of the files and hashes it,
//! and hands every rank its slices.
//!
//! The files are divided evenly among the devices, whatever the slices are. So every byte crosses to one device
//! once, and a chunk that crosses slices lies on one device whole, where its digest is compared. Every device has
//! a ring of places for batches. When a batch has landed, it is hashed there, and its bytes are copied to the ranks
//! that hold them: within the device, or card to card. When both have ended, its place is free. So a device needs
//! memory for its slices and for a ring. Nobody can use a rank's memory before the load returns, and it is freed if
//! a chunk is not the sealed one.

mod ring;
mod shares;

use std::thread;
use std::time::{Duration, Instant};

use self::ring::Ring;
use self::shares::shares;
use super::device_pass::late_seal::{self, LateSeal};
use super::device_pass::pieces::{ReadPlan, lanes};
use super::device_pass::shared::{DevicePass, FirstFailure, sealed_of};
use super::device_pass::{evidence, scans};
use super::evidence::{FileEvidence, PassInput};
use crate::contract::Phase;
use crate::gpu::DeviceBuffer;
use crate::loader::device::fault;
use crate::loader::error::{LoadError, Result};
use crate::loader::memory::block::allocate;
use crate::loader::memory::divided_arena::{DividedArena, RankDevice};
use crate::loader::open::files::File;
use crate::loader::parallel::Divided;
use crate::loader::read::stream;

/// Whether this pass serves a load: all ranks on devices that reach each other, every tensor as it is stored, and
/// nothing to count.
///
/// # Errors
/// Those of the devices.
pub fn serves(arena: &mut DividedArena<'_>, input: &PassInput<'_>) -> Result<bool> {
    let stored = |file: &File| {
        file.data_bytes() > 0
            && file.left_out.is_empty()
            && file.tensors.iter().all(|tensor| tensor.dtype == tensor.info.dtype)
    };
    Ok(!input.scan && input.files.iter().all(stored) && arena.devices_reach_each_other()?)
}

/// Brings every file to the ranks. Returns also how long each rank's device worked.
///
/// # Errors
/// Those of reading, of the seal and of the devices; the first of any device.
pub fn run(
    arena: &mut DividedArena<'_>,
    input: &PassInput<'_>,
) -> Result<(Vec<FileEvidence>, Vec<Duration>)> {
    late_seal::beside(input, |seal| passes(arena, input, seal))
}

fn passes(
    arena: &mut DividedArena<'_>,
    input: &PassInput<'_>,
    seal: Option<&LateSeal>,
) -> Result<(Vec<FileEvidence>, Vec<Duration>)> {
    let began = Instant::now();
    let divided = input.divided.ok_or_else(|| LoadError::internal("ranks without slices"))?;
    let sizes: Vec<u64> = input.files.iter().map(File::data_bytes).collect();
    let shares = shares(&sizes, divided.ranks.len());
    let sizes = ring::sizes(divided.ranks.len());
    let plans: Vec<ReadPlan> = shares.into_iter().map(|share| ReadPlan::of(share, sizes)).collect();
    let most = plans.iter().map(|plan| plan.pieces.len()).max().unwrap_or(0);
    let most = lanes(input.files, most, divided.ranks.len());
    let mut devices = arena.rank_devices(most)?;
    let ranks: Vec<Option<&DeviceBuffer>> = devices.iter().map(|device| device.buffer).collect();
    // The driver allocates for one device at a time, so one thread asks for all of them.
    let memory = devices.iter().zip(&plans);
    let memory = memory.map(|(device, plan)| allocate(&device.context, ring::bytes(plan)));
    let memory = memory.collect::<Result<Vec<_>>>()?;
    let failure = FirstFailure::default();
    let done: Vec<Result<Duration>> = thread::scope(|scope| {
        let mut threads = Vec::new();
        for (device, (plan, memory)) in devices.iter_mut().zip(plans.iter().zip(&memory)) {
            let (ranks, failure) = (&ranks, &failure);
            let work = move || {
                let done = match memory {
                    Some(memory) => {
                        bring(device, (input, divided, plan), (memory, ranks), (seal, failure))
                    }
                    None => Ok(()),
                };
                done.map(|()| began.elapsed()).map_err(|error| failure.keep(error))
            };
            let name = "device".to_owned();
            let thread = thread::Builder::new().name(name).spawn_scoped(scope, work);
            threads.push(thread.map_err(|error| failure.keep(stream::no_thread(&error))));
        }
        threads.into_iter().map(|thread| thread.and_then(stream::join)).collect()
    });
    let busy = done.into_iter().collect::<Result<_>>()?;
    let digests = match seal {
        None => vec![None; input.files.len()],
        Some(seal) => {
            let seal = seal.wait()?;
            let whole = |file: &File| Ok(Some(sealed_of(&seal, file)?.whole));
            input.files.iter().map(whole).collect::<Result<_>>()?
        }
    };
    Ok((evidence(digests, scans(input.files, Vec::new())), busy))
}

/// Brings the share of one device through a ring in this memory to the memory of the ranks.
fn bring(
    device: &mut RankDevice<'_>,
    (input, divided, plan): (&PassInput<'_>, &Divided, &ReadPlan),
    (memory, ranks): (&DeviceBuffer, &[Option<&DeviceBuffer>]),
    (seal, failure): (Option<&LateSeal>, &FirstFailure),
) -> Result<()> {
    let ring = &Ring::new(device, memory, plan, (divided, input.files), ranks)?;
    let pass = DevicePass {
        input,
        plan,
        landing: ring,
        seal,
        failure,
        count: false,
        kernels: device.kernels.clone(),
        ordinal: device.ordinal,
    };
    pass.run(device.lanes)?;
    ring.finish().map_err(|error| fault(device.ordinal, Phase::Copy, &error))
}
