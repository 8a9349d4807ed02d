//! Data that the threads of one device pass share.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::late_seal::LateSeal;
use super::pieces::ReadPlan;
use crate::contract::Phase;
use crate::gpu::{DeviceBuffer, Event, GpuError, Kernels};
use crate::loader::device::fault;
use crate::loader::error::{LoadError, Result};
use crate::loader::load::evidence::PassInput;
use crate::loader::open::files::File;
use crate::loader::seal::{Pieces, Seal};

/// A device pass in progress.
pub struct DevicePass<'a> {
    /// The input.
    pub input: &'a PassInput<'a>,
    /// What it reads.
    pub plan: &'a ReadPlan,
    /// Where the pieces go.
    pub landing: &'a dyn Landing,
    /// The seal, which is read once for all passes over the same files; `None` if nothing is compared with one.
    pub seal: Option<&'a LateSeal>,
    /// What ends all passes over the same files.
    pub failure: &'a FirstFailure,
    /// Whether to count for the gates while the data arrives.
    pub count: bool,
    /// The device's kernels.
    pub kernels: Kernels,
    /// The device's ordinal.
    pub ordinal: u32,
}

/// Device memory that the pieces of a pass are copied to.
pub trait Landing: Sync {
    /// The memory; `None` if there is no data.
    fn memory(&self) -> Option<&DeviceBuffer>;

    /// Where the bytes of this batch go.
    fn place(&self, batch: usize) -> Place;

    /// Waits until a batch may be copied to its place, or until a pass has failed. The copies must begin after
    /// these events.
    ///
    /// # Errors
    /// If a pass has failed.
    fn room(&self, batch: usize, failure: &FirstFailure) -> Result<Vec<Arc<Event>>>;

    /// Says that these events pass when a batch has arrived, and that one when it is hashed. Batches come in order.
    ///
    /// # Errors
    /// Those of the device.
    fn landed(
        &self,
        batch: usize,
        arrived: &[Arc<Event>],
        hashed: Option<Arc<Event>>,
    ) -> std::result::Result<(), GpuError>;
}

/// Where bytes of a file are in a landing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Offset in the memory, in bytes.
    pub start: u64,
    /// The range of the file's data that is there, in bytes.
    pub data: Range<u64>,
}

impl Place {
    /// The offset of a byte of the file's data, in bytes.
    pub fn of(&self, byte: u64) -> u64 {
        self.start + (byte - self.data.start)
    }
}

/// Memory with room for all data, where everything stays.
pub struct Whole<'a> {
    /// The memory; `None` if there is no data.
    pub memory: Option<&'a DeviceBuffer>,
    /// The place of each batch.
    pub places: Vec<Place>,
}

impl Landing for Whole<'_> {
    fn memory(&self) -> Option<&DeviceBuffer> {
        self.memory
    }

    fn place(&self, batch: usize) -> Place {
        self.places[batch].clone()
    }

    fn room(&self, _: usize, _: &FirstFailure) -> Result<Vec<Arc<Event>>> {
        Ok(Vec::new())
    }

    fn landed(
        &self,
        _: usize,
        _: &[Arc<Event>],
        _: Option<Arc<Event>>,
    ) -> std::result::Result<(), GpuError> {
        Ok(())
    }
}

/// The first failure of several passes over the same files. It ends all of them.
#[derive(Default)]
pub struct FirstFailure {
    failed: AtomicBool,
    error: Mutex<Option<LoadError>>,
}

impl FirstFailure {
    /// Keeps the error if it is the first one. Returns the first one: others may follow from it.
    pub fn keep(&self, error: LoadError) -> LoadError {
        let mut kept = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        let first = kept.get_or_insert(error).clone();
        self.failed.store(true, Relaxed);
        first
    }

    /// Whether a pass has failed.
    pub fn happened(&self) -> bool {
        self.failed.load(Relaxed)
    }
}

/// The sealed chunks of a file.
///
/// # Errors
/// Where the seal is not of this file.
pub fn sealed_of<'s>(seal: &'s Seal, file: &File) -> Result<&'s Pieces> {
    seal.file(file.source.path(), file.source.bytes())
}

impl DevicePass<'_> {
    /// Converts the error of a driver call.
    pub fn failed(&self, error: GpuError) -> LoadError {
        fault(self.ordinal, Phase::Copy, &error)
    }
}
