//! Data that the threads of one device pass share.

use super::pieces::Piece;
use crate::contract::Phase;
use crate::gpu::{DeviceBuffer, GpuError, Kernels};
use crate::loader::device::fault;
use crate::loader::error::LoadError;
use crate::loader::load::evidence::PassInput;

/// A device pass in progress.
pub struct DevicePass<'a> {
    /// The input.
    pub input: &'a PassInput<'a>,
    /// The pieces, in order.
    pub pieces: Vec<Piece>,
    /// The destination; `None` if there is no data.
    pub image: Option<&'a DeviceBuffer>,
    /// The offset in the destination of each file's data, in bytes.
    pub starts: Vec<u64>,
    /// Whether to count for the gates while the data arrives.
    pub count: bool,
    /// The device's kernels.
    pub kernels: Kernels,
    /// The device's ordinal.
    pub ordinal: u32,
}

impl DevicePass<'_> {
    /// Converts the error of a driver call.
    pub fn failed(&self, error: GpuError) -> LoadError {
        fault(self.ordinal, Phase::Copy, &error)
    }
}
