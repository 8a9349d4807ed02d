//! Positions of a streamed model's weights in device memory.

use crate::gpu::Piece;

/// Positions of a decoder's weights on a device that cannot hold all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Pieces that stay on the device.
    pub resident: Vec<Piece>,
    /// For each layer, the pieces that are copied to the device before it runs.
    pub layers: Vec<Vec<Piece>>,
    /// Device memory that the layout needs, in bytes.
    pub bytes: u64,
}
