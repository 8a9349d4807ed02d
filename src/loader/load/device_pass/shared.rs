//! What the threads of one pass share.

use super::pieces::Piece;
use crate::contract::Phase;
use crate::gpu::{DeviceBuffer, GpuError, Kernels};
use crate::loader::device::fault;
use crate::loader::error::LoadError;
use crate::loader::load::evidence::PassInput;

/// A pass under way.
pub struct DevicePass<'a> {
    /// What it was given.
    pub input: &'a PassInput<'a>,
    /// In what pieces, in order.
    pub pieces: Vec<Piece>,
    /// Where to; absent where there is no data.
    pub image: Option<&'a DeviceBuffer>,
    /// Where in it each file's data begins.
    pub starts: Vec<u64>,
    /// Whether to count what the gates ask, where the bytes land.
    pub count: bool,
    /// The device's kernels.
    pub kernels: Kernels,
    /// The device's ordinal.
    pub ordinal: u32,
}

impl DevicePass<'_> {
    /// What a failed call means here.
    pub fn failed(&self, error: GpuError) -> LoadError {
        fault(self.ordinal, Phase::Copy, &error)
    }
}
