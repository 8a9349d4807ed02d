//! Where the weights of a streamed model lie on its device.

use crate::gpu::Piece;

/// Where a decoder's weights go on a device that cannot hold them all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// What stays there.
    pub resident: Vec<Piece>,
    /// What comes for each layer.
    pub layers: Vec<Vec<Piece>>,
    /// Device memory that this takes, in bytes.
    pub bytes: u64,
}
