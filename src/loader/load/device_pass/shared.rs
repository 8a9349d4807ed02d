//! Data that the threads of one device pass share.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::pieces::Piece;
use crate::contract::Phase;
use crate::gpu::{DeviceBuffer, GpuError, Kernels};
use crate::loader::device::fault;
use crate::loader::error::{LoadError, Result};
use crate::loader::load::evidence::PassInput;
use crate::loader::open::files::File;
use crate::loader::seal::{Pieces, Seal};

/// A device pass in progress.
pub struct DevicePass<'a> {
    /// The input.
    pub input: &'a PassInput<'a>,
    /// The pieces, in order.
    pub pieces: Vec<Piece>,
    /// The destination; `None` if there is no data.
    pub image: Option<&'a DeviceBuffer>,
    /// Where each file's data is in the destination.
    pub places: Vec<Place>,
    /// The seal, which is read once for all passes over the same files.
    pub seal: &'a SealOnce,
    /// Whether to count for the gates while the data arrives.
    pub count: bool,
    /// The device's kernels.
    pub kernels: Kernels,
    /// The device's ordinal.
    pub ordinal: u32,
}

/// Where the data of a file is in the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Offset in the destination, in bytes.
    pub start: u64,
    /// The part of the file's data that is there, in bytes.
    pub data: Range<u64>,
}

/// A seal that several passes need. The first one reads it, while its pieces are already on their way.
#[derive(Default)]
pub struct SealOnce(Mutex<Option<Arc<Seal>>>);

impl SealOnce {
    /// The seal; `None` if nothing is compared with one.
    ///
    /// # Errors
    /// Those of reading it.
    pub fn read(&self, input: &PassInput<'_>) -> Result<Option<Arc<Seal>>> {
        let Some(named) = input.seal.filter(|_| input.decisions.hashes()) else {
            return Ok(None);
        };
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            *held = Some(Arc::new(Seal::read(named, input.decisions)?));
        }
        Ok(held.clone())
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
