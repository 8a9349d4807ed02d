//! What hashing uses on a device and what is kept from one user to the next.

use crate::gpu::driver::pinned::PinnedBuffer;
use crate::gpu::driver::stream::Stream;

/// Streams, and host memory for digests. It needs no memory of the device.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) streams: Vec<Stream>,
    /// Pinned memory for the digests of one launch each.
    pub(super) places: Vec<PinnedBuffer>,
}
