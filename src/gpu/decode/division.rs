//! How a device computes a product: its rows, divided among blocks and warps.
//!
//! docs/performance.md says what the numbers were measured on.

use crate::gpu::kernel::tensor_scan::Element;

use super::shape::{Shape, defined, name};

/// Warps of a block at most.
const WARPS: usize = 16;
/// Blocks that a multiprocessor runs at a time. They take all of its registers, which spreads the blocks of a kernel
/// evenly: where a multiprocessor has room for more blocks of a kernel, it gets them, and others get none.
const RESIDENT: usize = 2;
/// Rounds of a product that parks some of them. One of few rounds has most of its weights under way without; of many
/// rounds, one more makes no difference.
const PARKING: std::ops::RangeInclusive<usize> = 4..=32;
/// Rounds that are parked.
const PARKED: usize = 1;
/// Shared memory that a block needs beside what it asks for, in bytes: the driver's, and the kernel's own variables.
const OWN_SHARED: usize = 2 << 10;

/// What of a device decides how it computes products.
#[derive(Clone, Copy, Debug)]
pub(super) struct Card {
    /// Its multiprocessors.
    pub(super) multiprocessors: usize,
    /// Shared memory of each, in bytes.
    pub(super) shared: usize,
    /// Whether it copies to shared memory in bulk: compute capability 9.0 and later.
    pub(super) copies: bool,
}

/// How a device computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Divided {
    /// Warps of a block.
    pub(super) warps: usize,
    /// Warps that share a row.
    pub(super) split: usize,
    /// Blocks of the grid.
    pub(super) blocks: usize,
    /// Loads of a matrix that a thread has under way.
    pub(super) depth: usize,
    /// Rounds behind the first one whose rows wait in shared memory.
    pub(super) parked: usize,
}

impl Shape {
    /// Loads that a row takes.
    fn loads(self) -> usize {
        self.inner / if self.wide { 16 / self.element.bytes() } else { 1 }
    }

    /// Matrices whose rows belong together.
    fn matrices(self) -> usize {
        if self.pair { 2 } else { 1 }
    }

    /// Divides the product among multiprocessors.
    pub(super) fn divided(self, card: Card) -> Divided {
        let most = RESIDENT * card.multiprocessors;
        let units = |split: usize| self.rows.div_ceil(WARPS / split);
        let each = |split: usize| self.loads().div_ceil(32 * split);
        // Loads of a matrix that a thread can have under way: as many as registers hold.
        let deepest = if self.pair { 3 } else { 8 };
        let padded = |split: usize| each(split) * split;
        let least = (1..=WARPS).map(padded).min().unwrap_or(1);
        // Few lanes may be without a load.
        let splits = || (1..=WARPS).filter(|split| padded(*split) * 100 <= least * 115);
        // What one thread does one after the other. To add up a row costs it about as much as three quarters of a load. A
        // row that is not under way as a whole costs more, because its second part is asked for late; so do rounds of
        // single loads, because few bytes are under way.
        let cost = |split: &usize| {
            let (rounds, loads) = (units(*split).div_ceil(most), each(*split));
            let all = rounds * (4 * loads + 3);
            match loads {
                _ if loads > deepest => all * 13 / 10,
                _ if rounds > 2 && loads * self.matrices() < 4 => all * 2,
                _ => all,
            }
        };
        // A short product without a norm, which is that of attention, takes few warps: then the product behind it, the
        // largest of a layer, finds room to begin early.
        let few = |split: &usize| {
            let some = card.multiprocessors.div_ceil(2)..=most;
            self.norm.is_none() && each(*split) <= deepest && some.contains(&units(*split))
        };
        let split = splits().find(few).or_else(|| splits().min_by_key(cost)).unwrap_or(1);
        // Of a row that is longer, so many that few are left for its last part.
        let last = |depth: &usize| each(split).next_multiple_of(*depth);
        let depth = (deepest / 2 + 1..=deepest).rev().min_by_key(last).unwrap_or(deepest);
        let depth = if each(split) <= deepest { each(split) } else { depth }.max(1);
        let (warps, blocks) = (WARPS / split * split, units(split).min(most).max(1));
        let parking = Divided { warps, split, blocks, depth, parked: PARKED };
        let fits = RESIDENT * (self.shared_bytes(parking) + OWN_SHARED) <= card.shared;
        let rounds = units(split).div_ceil(blocks);
        let parks = card.copies && self.wide && each(split) <= deepest;
        let parks = parks && fits && PARKING.contains(&rounds);
        Divided { parked: if parks { PARKED } else { 0 }, ..parking }
    }

    /// Shared memory of a block, in bytes: x, a sum for each warp, matrix and round, and the rows that are parked.
    pub(super) fn shared_bytes(self, divided: Divided) -> usize {
        let rows_of_block = divided.warps / divided.split;
        let rounds = self.rows.div_ceil(rows_of_block).div_ceil(divided.blocks);
        let values = 4 * (self.inner + rounds * divided.warps * self.matrices());
        match divided.parked * rows_of_block * self.matrices() {
            0 => values,
            rows => values.next_multiple_of(16) + rows * self.inner * self.element.bytes(),
        }
    }

    /// What `product.cu` is compiled with.
    pub(super) fn constants(self, divided: Divided) -> String {
        let or_any = |element: Option<Element>| name(element.unwrap_or(Element::F32)).to_owned();
        let norm_bias = self.norm.and_then(|norm| norm.bias);
        let kind = self.norm.map_or(0, |norm| if norm.rms { 2 } else { 1 });
        let all = [
            ("WEIGHTS", name(self.element).to_owned()),
            ("ALIGNED", self.wide.to_string()),
            ("PAIR", self.pair.to_string()),
            ("INNER", self.inner.to_string()),
            ("ROWS", self.rows.to_string()),
            ("NORM", kind.to_string()),
            ("NORM_ELEMENT", or_any(self.norm.map(|norm| norm.element))),
            ("NORM_BIASED", norm_bias.is_some().to_string()),
            ("NORM_BIAS_ELEMENT", or_any(norm_bias)),
            ("BIASED", self.bias.is_some().to_string()),
            ("BIAS_ELEMENT", or_any(self.bias)),
            ("ACTIVATION", self.activation.to_string()),
            ("WARPS", divided.warps.to_string()),
            ("SPLIT", divided.split.to_string()),
            ("BLOCKS", divided.blocks.to_string()),
            ("DEPTH", divided.depth.to_string()),
            ("PARKED", divided.parked.to_string()),
        ];
        defined(&all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H200: Card = Card { multiprocessors: 132, shared: 228 << 10, copies: true };

    fn shape(rows: &[usize], inner: usize, element: Element, normed: bool) -> Shape {
        Shape::made(rows, inner, element, normed, false)
    }

    #[test]
    fn the_products_of_a_known_model_are_divided_as_it_was_measured_to_be_fast() {
        use Element::{BF16, F32};
        let of = |shape: Shape| {
            let Divided { warps, split, blocks, depth, parked } = shape.divided(H200);
            (warps, split, blocks, depth, parked)
        };
        // Queries, keys and values; the projection of attention; gate and up; down.
        assert_eq!(of(shape(&[1536, 256, 256], 1536, BF16, true)), (16, 2, 256, 3, 0));
        assert_eq!(of(shape(&[1536], 1536, BF16, false)), (16, 1, 96, 6, 0));
        assert_eq!(of(shape(&[8960; 2], 1536, BF16, true)), (16, 2, 264, 3, PARKED));
        assert_eq!(of(shape(&[1536], 8960, BF16, false)), (15, 5, 264, 7, 0));
        assert_eq!(of(shape(&[1536, 256, 256], 1536, F32, true)), (16, 2, 256, 6, 0));
        assert_eq!(of(shape(&[1536], 1536, F32, false)), (16, 2, 192, 6, 0));
        assert_eq!(of(shape(&[8960; 2], 1536, F32, true)), (16, 4, 264, 3, PARKED));
        assert_eq!(of(shape(&[1536], 8960, F32, false)), (14, 14, 264, 5, PARKED));
        // The head: many rounds.
        assert_eq!(of(shape(&[151_936], 1536, BF16, true)), (16, 1, 264, 6, 0));
        // A larger model's gate and up.
        assert_eq!(of(shape(&[14_336; 2], 4096, BF16, true)), (16, 8, 264, 2, PARKED));
        // Rows of which a thread can have no more than a part under way: two parts of five loads, and not of eight.
        assert_eq!(of(shape(&[600], 18_432, F32, true)), (16, 16, 264, 5, 0));
    }

    #[test]
    fn rows_are_parked_where_they_can_be_copied_and_fit() {
        let gate = shape(&[8960; 2], 1536, Element::BF16, true);
        assert_eq!(gate.divided(H200).parked, PARKED);
        assert_eq!(gate.divided(Card { copies: false, ..H200 }).parked, 0);
        assert_eq!(gate.divided(Card { shared: 100 << 10, ..H200 }).parked, 0);
        let bytes = |parked| gate.shared_bytes(Divided { parked, ..gate.divided(H200) });
        // x, sums of five rounds, and eight pairs of rows.
        assert_eq!(bytes(0), 4 * (1536 + 5 * 16 * 2));
        assert_eq!(bytes(1), bytes(0) + 8 * 2 * 1536 * 2);
        let odd = shape(&[7], 33, Element::BF16, true);
        assert!(!odd.wide && odd.divided(H200).depth >= 1, "{odd:?}");
    }

    #[test]
    fn every_shape_is_divided_into_what_a_block_can_be() {
        for inner in [5, 8, 33, 64, 576, 1536, 2304, 4096, 8960, 14_336, 53_248] {
            for rows in [1, 7, 576, 1536, 8960, 151_936] {
                for (element, normed) in [(Element::BF16, true), (Element::F32, false)] {
                    for layers in [&[rows][..], &[rows; 2]] {
                        let of = shape(layers, inner, element, normed);
                        let Divided { warps, split, blocks, depth, .. } = of.divided(H200);
                        assert!((1..=WARPS).contains(&warps) && warps.is_multiple_of(split));
                        assert!(
                            depth >= 1
                                && blocks <= 264
                                && blocks * (warps / split) >= rows.min(264)
                        );
                    }
                }
            }
        }
    }
}
