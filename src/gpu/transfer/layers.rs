//! Weights that stay in page-locked host memory and come to the device layer by layer.
//!
//! All layers share one place on the device. Copies and kernels are queued on one stream. So a
//! layer's kernels have ended before the next layer overwrites it, and the next layer's kernels
//! begin after its copy. A second place and a second stream would let copies and kernels overlap,
//! but that would save little, because the copies take by far the longest.

use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::{GpuError, check_range, report};
use crate::gpu::driver::memory::DeviceBuffer;
use crate::gpu::driver::pinned::PinnedBuffer;
use crate::gpu::driver::stream::Stream;

/// A range of host memory and where it goes on the device, in bytes from the start of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it lies in host memory.
    pub from: u64,
    /// Where it goes.
    pub to: u64,
    /// Its length.
    pub bytes: u64,
}

/// A model's weights in host memory, and what of them each layer needs.
#[derive(Debug)]
pub struct Layers {
    home: PinnedBuffer,
    layers: Vec<Vec<Piece>>,
}

/// A model's weights, as runners and decoders use them.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'m> {
    /// Where kernels read them.
    pub memory: &'m DeviceBuffer,
    /// The layers in host memory, if they are copied to the device one at a time.
    pub layers: Option<&'m Layers>,
}

impl Layers {
    /// Takes a model's bytes, which do not change any more, and the pieces of every layer.
    pub fn new(home: PinnedBuffer, layers: Vec<Vec<Piece>>) -> Layers {
        Layers { home, layers }
    }

    /// The model's bytes.
    pub fn home(&self) -> &[u8] {
        self.home.as_slice()
    }

    /// Copies pieces to the device and waits for them.
    ///
    /// # Errors
    ///
    /// Refused if a piece lies outside either memory; or the driver's error.
    pub fn place(&self, pieces: &[Piece], target: &DeviceBuffer) -> Result<(), GpuError> {
        let stream = Stream::new(self.context())?;
        pieces.iter().try_for_each(|piece| self.copy(&stream, piece, target))?;
        stream.synchronize()
    }

    /// Queues the copy of a layer. On the stream, it must come after all work of the previous layer
    /// and before all work of this one.
    pub(crate) fn queue(
        &self,
        stream: &Stream,
        layer: usize,
        target: &DeviceBuffer,
    ) -> Result<(), GpuError> {
        let pieces = self.layers.get(layer);
        let pieces =
            pieces.ok_or_else(|| GpuError::refused("layer", format!("no layer {layer}")))?;
        pieces.iter().try_for_each(|piece| self.copy(stream, piece, target))
    }

    fn copy(&self, stream: &Stream, piece: &Piece, target: &DeviceBuffer) -> Result<(), GpuError> {
        let Piece { from, to, bytes } = *piece;
        let (from, bytes) = (from as usize, bytes as usize);
        check_range("layer", from, bytes, self.home.bytes())?;
        check_range("layer", to as usize, bytes, target.bytes())?;
        let start = self.home.as_slice()[from..].as_ptr();
        // SAFETY: both ranges were checked. Nothing writes to the host memory any more, and neither
        // it nor the target is freed before the device has been waited for, by their drops.
        unsafe { stream.copy_to_device(start, target.pointer() + to, bytes) }
    }

    fn context(&self) -> &Context {
        self.home.context()
    }
}

impl Drop for Layers {
    fn drop(&mut self) {
        // Running copies read from the memory that is about to be freed. If the wait fails, the
        // context is lost, and every copy has stopped.
        report(self.context().synchronize());
    }
}
