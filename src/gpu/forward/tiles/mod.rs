//! Linear layers of few rows, by a kernel of our own. It reads weights in their stored type, and
//! computes in F32.

pub(super) mod forms;

use self::forms::WARPS;
use super::runner::Runner;
use super::shape::{ActivationParams, DeviceWeight, Layer, word};
use crate::gpu::driver::error::GpuError;
use crate::gpu::kernel::launch::argument;
use crate::gpu::kernel::tensor_scan::Element;

const THREADS: u32 = 32 * WARPS as u32;

/// Most layers of one launch.
const MOST_LAYERS: usize = 3;

/// The struct `Layers` of `layers.cu`.
#[repr(C)]
pub(super) struct Layers {
    weight: [u64; MOST_LAYERS],
    bias: [u64; MOST_LAYERS],
    bias_element: [u32; MOST_LAYERS],
    outputs: [u32; MOST_LAYERS],
    first_tile: [u32; MOST_LAYERS],
    pub(super) count: u32,
    copied: u32,
}

impl Layers {
    /// Layers of one element type, for kernels that do not divide them into tiles.
    fn new(layers: &[Layer<'_>]) -> Result<Layers, GpuError> {
        let mut of = Layers::none();
        for (weight, bias) in layers {
            of.push(weight.address()?, weight.rows, *bias)?;
        }
        Ok(of)
    }

    const fn none() -> Layers {
        Layers {
            weight: [0; MOST_LAYERS],
            bias: [0; MOST_LAYERS],
            bias_element: [0; MOST_LAYERS],
            outputs: [0; MOST_LAYERS],
            first_tile: [0; MOST_LAYERS],
            count: 0,
            copied: 0,
        }
    }

    fn push(
        &mut self,
        weight: u64,
        outputs: usize,
        bias: Option<DeviceWeight<'_>>,
    ) -> Result<(), GpuError> {
        let index = self.count as usize;
        self.weight[index] = weight;
        if let Some(bias) = bias {
            self.bias[index] = bias.address()?;
            self.bias_element[index] = bias.element as u32;
        }
        self.outputs[index] = word(outputs)?;
        self.count += 1;
        Ok(())
    }

    fn outputs(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        self.outputs.into_iter().take(self.count as usize).map(|outputs| outputs as usize)
    }

    /// Numbers the tiles of so many outputs. Returns how many there are.
    fn divide(&mut self, tile: usize) -> Result<u32, GpuError> {
        let mut tiles = 0;
        let outputs = self.outputs();
        for (first, outputs) in self.first_tile.iter_mut().zip(outputs) {
            *first = word(tiles)?;
            tiles += outputs.div_ceil(tile);
        }
        word(tiles)
    }
}

/// The layers as launches take them: of one element type, and not too many. With each the element
/// type, and the column of its first output.
pub(super) fn launches(
    layers: &[Layer<'_>],
) -> impl Iterator<Item = Result<(Layers, Element, usize), GpuError>> {
    let same = layers.chunk_by(|a, b| a.0.element == b.0.element);
    let mut column = 0;
    same.flat_map(|same| same.chunks(MOST_LAYERS)).map(move |part| {
        let first = column;
        column += part.iter().map(|(weight, _)| weight.rows).sum::<usize>();
        Ok((Layers::new(part)?, part[0].0.element, first))
    })
}

impl Runner {
    /// Computes layers over the same x, side by side in y. The caller has checked addresses and
    /// sizes.
    pub(super) fn tiles(
        &self,
        (x, y): (u64, u64),
        (rows, inner, stride): (usize, usize, usize),
        layers: &[Layer<'_>],
        activated: ActivationParams,
    ) -> Result<(), GpuError> {
        for launch in launches(layers) {
            let (of, element, column) = launch?;
            let y = (y + column as u64 * 4, stride);
            self.queue_tiles((x, rows, inner), (of, element), activated, y)?;
        }
        Ok(())
    }

    /// The same for one layer, whose F32 weight an earlier operation of this runner writes.
    pub(super) fn tiles_copied(
        &self,
        (x, y): (u64, u64),
        (rows, inner, outputs): (usize, usize, usize),
        weight: u64,
        bias: Option<DeviceWeight<'_>>,
        activated: ActivationParams,
    ) -> Result<(), GpuError> {
        let mut of = Layers { copied: 1, ..Layers::none() };
        of.push(weight, outputs, bias)?;
        self.queue_tiles((x, rows, inner), (of, Element::F32), activated, (y, outputs))
    }

    fn queue_tiles(
        &self,
        (mut x, rows, inner): (u64, usize, usize),
        (mut of, element): (Layers, Element),
        activated: ActivationParams,
        (mut y, stride): (u64, usize),
    ) -> Result<(), GpuError> {
        let Some(chosen) = self.kernels.tiles.choose(element, rows, of.outputs()) else {
            return Err(GpuError::refused("linear", "no tile fits the device's shared memory"));
        };
        let blocks = [of.divide(chosen.form.outputs)?, word(rows.div_ceil(chosen.form.rows))?, 1];
        let (mut rows, mut inner, mut stride) = (word(rows)?, word(inner)?, word(stride)?);
        let mut activation = activated as u32;
        // SAFETY: the arguments are those of the kernel. x, y and every weight were checked to hold
        // what the sizes say; all of them are borrowed or owned, and their drops wait for the
        // device before they free the memory.
        unsafe {
            chosen.kernel.launch_grid(
                self.queueing(),
                blocks,
                THREADS,
                chosen.shared_bytes,
                &mut [
                    argument(&mut x),
                    argument(&mut rows),
                    argument(&mut inner),
                    argument(&mut of),
                    argument(&mut activation),
                    argument(&mut y),
                    argument(&mut stride),
                ],
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_numbered_from_layer_to_layer() {
        let mut of = Layers { outputs: [33, 1, 64], count: 3, ..Layers::none() };
        assert_eq!(of.divide(32).ok(), Some(5));
        assert_eq!(of.first_tile, [0, 2, 3]);
        let mut two = Layers { outputs: [16, 17, 0], count: 2, ..Layers::none() };
        assert_eq!(two.divide(16).ok(), Some(3));
        assert_eq!(two.first_tile, [0, 1, 0]);
    }
}
