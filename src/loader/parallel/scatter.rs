//! Where the bytes of a file go when a model is divided: each byte to every rank that holds it.

use std::ops::Range;

use crate::loader::error::{LoadError, Result};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::format::widen::width;
use crate::loader::memory::sink::Sink;

use super::divided::{Divided, HeldSlice, RankMemory};

/// Pieces of a tensor that lie at equal distances, and where they go. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// Start of the first piece in the tensor.
    pub from: u64,
    /// Length of a piece.
    pub bytes: u64,
    /// Number of pieces.
    pub count: u64,
    /// Distance between the starts of two pieces in the tensor.
    pub stride: u64,
    /// Start of the first piece in the slice.
    pub to: u64,
    /// Distance between the starts of two pieces in the slice.
    pub to_stride: u64,
}

/// Returns the pieces of a tensor that a slice consists of. At most one dimension is divided.
pub fn pieces<'s>(
    slice: &'s HeldSlice,
    shape: &[u64],
    width: u64,
) -> impl Iterator<Item = Pieces> + use<'s> {
    let product = |sides: &[u64]| sides.iter().product::<u64>();
    let is_divided = |at: &usize| slice.ranges[*at] != [[0, shape[*at]]];
    // If none is divided, the whole first one is held. A scalar has no dimension.
    let at = (0..shape.len()).find(is_divided).unwrap_or(0);
    let (outer, inner) = shape.split_at(at);
    let (side, inner) = inner.split_first().unwrap_or((&1, &[]));
    let ranges = slice.ranges.get(at).map_or([[0, 1]].as_slice(), Vec::as_slice);
    let (count, inner) = (product(outer), product(inner) * width);
    let held: u64 = ranges.iter().map(|[begin, end]| end - begin).sum();
    let (stride, to_stride) = (side * inner, held * inner);
    let mut to = 0;
    ranges.iter().map(move |[begin, end]| {
        let bytes = (end - begin) * inner;
        let piece = Pieces { from: begin * inner, bytes, count, stride, to, to_stride };
        to += bytes;
        piece
    })
}

impl Pieces {
    /// What of them is in this part of the tensor, in bytes: perhaps a piece that is cut, whole pieces, and perhaps
    /// another piece that is cut.
    fn within(self, part: &Range<u64>) -> impl Iterator<Item = Pieces> + use<> {
        let Pieces { from, bytes, count, stride, to, to_stride } = self;
        let empty = bytes == 0 || stride == 0 || part.is_empty();
        // The pieces from the first one that ends in the part, to the last one that begins there.
        let first = match empty {
            true => count,
            false => (part.start + 1).saturating_sub(from + bytes).div_ceil(stride).min(count),
        };
        let end = match empty {
            true => count,
            false => part.end.saturating_sub(from).div_ceil(stride).min(count),
        };
        let several = |pieces: Range<u64>| {
            let (from, to) = (from + pieces.start * stride, to + pieces.start * to_stride);
            (!pieces.is_empty()).then(|| Pieces {
                from,
                to,
                count: pieces.end - pieces.start,
                ..self
            })
        };
        let cut = |piece: u64| {
            let at = from + piece * stride;
            let here = at.max(part.start)..(at + bytes).min(part.end);
            let to = to + piece * to_stride + (here.start - at);
            let bytes = here.end - here.start;
            Pieces { from: here.start, bytes, count: 1, stride: bytes, to, to_stride: bytes }
        };
        let is_cut = |piece: u64| {
            let at = from + piece * stride;
            at < part.start || at + bytes > part.end
        };
        let head = (first < end && is_cut(first)).then_some(first);
        let first = head.map_or(first, |head| head + 1);
        let tail = (first < end && is_cut(end - 1)).then(|| end - 1);
        let whole = several(first..tail.unwrap_or(end));
        [head.map(cut), whole, tail.map(cut)].into_iter().flatten()
    }

    /// The runs of contiguous bytes within this part of the tensor, in bytes.
    fn runs(self, within: &Range<u64>) -> impl Iterator<Item = Run> + use<> {
        self.within(within).flat_map(|pieces| {
            let Pieces { from, bytes, count, stride, to, to_stride } = pieces;
            let run = move |at| Run { from: from + at * stride, to: to + at * to_stride, bytes };
            (0..count).map(run)
        })
    }
}

/// Contiguous bytes that are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Where they come from.
    from: u64,
    /// Where they go to.
    to: u64,
    /// How many.
    bytes: u64,
}

/// What a rank needs of a part of a file's data. `from` counts in the file's data and `to` in the rank's memory.
/// `first` is the index of the file's first tensor among those of all files.
pub fn needed<'a>(
    rank: &'a RankMemory,
    first: usize,
    tensors: &'a InOrder<'_>,
    part: &'a Range<u64>,
) -> impl Iterator<Item = Pieces> + 'a {
    tensors
        .within(part)
        .filter_map(move |(index, tensor)| {
            let index = first + index;
            let (slice, begin) = (rank.slice_of(index)?, tensor.info.begin);
            let within = part.start.saturating_sub(begin)..part.end.saturating_sub(begin);
            let pieces = pieces(slice, &tensor.info.shape, width(tensor.dtype).unwrap_or(1));
            let here = pieces.flat_map(move |pieces| pieces.within(&within));
            let placed = move |pieces: Pieces| Pieces {
                from: begin + pieces.from,
                to: slice.offset + pieces.to,
                ..pieces
            };
            Some(here.map(placed))
        })
        .flatten()
}

/// The tensors of a file in the order of their bytes. So those of a part are found by a binary search.
pub struct InOrder<'a> {
    tensors: &'a [PlacedTensor],
    order: Vec<usize>,
}

impl<'a> InOrder<'a> {
    /// Sorts these tensors.
    pub fn new(tensors: &'a [PlacedTensor]) -> InOrder<'a> {
        let mut order: Vec<usize> = (0..tensors.len()).collect();
        order.sort_by_key(|index| (tensors[*index].info.begin, tensors[*index].info.end));
        InOrder { tensors, order }
    }

    /// The tensors with bytes in this part, and their indices in the file.
    fn within(&self, part: &Range<u64>) -> impl Iterator<Item = (usize, &'a PlacedTensor)> {
        let info = |index: usize| &self.tensors[index].info;
        // No two tensors overlap, so the ends are in order too.
        let first = self.order.partition_point(|index| info(*index).end <= part.start);
        let there = self.order[first..].iter().map(|index| (*index, &self.tensors[*index]));
        there.take_while(|(_, tensor)| tensor.info.begin < part.end)
    }
}

/// A copy of some pieces to one rank.
struct Copy {
    rank: usize,
    /// Start of the slice in the rank's part for this file, in bytes.
    start: u64,
    pieces: Pieces,
}

/// A tensor of the file, and the copies of it.
struct Target {
    start: u64,
    copies: Vec<Copy>,
}

/// Copies the bytes of one file to the ranks.
pub struct ScatterSink<'a> {
    /// Tensors of the file that have bytes, in ascending order of their offset.
    targets: Vec<Target>,
    /// A sink for each rank.
    ranks: Vec<Box<dyn Sink + Send + 'a>>,
}

impl<'a> ScatterSink<'a> {
    /// Creates the sink of file number `number`, which has these tensors. `first` is the index of the first one
    /// among those of all files, and `ranks` are sinks into the part of each rank's memory that this file fills.
    pub fn new(
        divided: &Divided,
        (number, first): (usize, usize),
        tensors: &[PlacedTensor],
        ranks: Vec<Box<dyn Sink + Send + 'a>>,
    ) -> Self {
        let copies = |index: usize, tensor: &PlacedTensor| {
            let width = width(tensor.dtype).unwrap_or(1);
            let mut copies = Vec::new();
            for (at, rank) in divided.ranks.iter().enumerate() {
                let Some(slice) = rank.slice_of(index) else { continue };
                let start = slice.offset - rank.files[number].start;
                let pieces = pieces(slice, &tensor.info.shape, width);
                copies.extend(pieces.map(|pieces| Copy { rank: at, start, pieces }));
            }
            copies
        };
        let tensors = tensors.iter().zip(first..).filter(|(tensor, _)| tensor.bytes > 0);
        let mut targets: Vec<Target> = tensors
            .map(|(tensor, index)| Target { start: tensor.offset, copies: copies(index, tensor) })
            .collect();
        targets.sort_by_key(|target| target.start);
        ScatterSink { targets, ranks }
    }
}

impl Sink for ScatterSink<'_> {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        // The pass places the bytes of one tensor at a time.
        let after = self.targets.partition_point(|target| target.start <= offset);
        let target = after.checked_sub(1).map(|at| &self.targets[at]);
        let target = target.ok_or_else(|| LoadError::internal("bytes of no tensor"))?;
        let begin = offset - target.start;
        for Copy { rank, start, pieces } in &target.copies {
            for run in pieces.runs(&(begin..begin + bytes.len() as u64)) {
                let from = (run.from - begin) as usize;
                let part = &bytes[from..from + run.bytes as usize];
                self.ranks[*rank].put(start + run.to, part)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.ranks.iter_mut().try_for_each(|sink| sink.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(ranges: &[&[[u64; 2]]]) -> HeldSlice {
        let ranges = ranges.iter().map(|held| held.to_vec()).collect();
        HeldSlice { tensor: 0, file: 0, ranges, offset: 0, bytes: 0, adds: None }
    }

    fn pieces(slice: &HeldSlice, shape: &[u64], width: u64) -> Vec<Pieces> {
        super::pieces(slice, shape, width).collect()
    }

    /// The bytes that pieces copy, for a tensor whose bytes count upwards.
    fn copied(pieces: &[Pieces], bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        for one in pieces {
            for piece in 0..one.count {
                for byte in 0..one.bytes {
                    let from = one.from + piece * one.stride + byte;
                    out[(one.to + piece * one.to_stride + byte) as usize] = from as u8;
                }
            }
        }
        out
    }

    #[test]
    fn slices_of_rows_columns_and_fused_blocks() {
        let rows = pieces(&slice(&[&[[1, 2]], &[[0, 3]]]), &[2, 3], 2);
        assert_eq!(copied(&rows, 6), [6, 7, 8, 9, 10, 11]);
        let columns = pieces(&slice(&[&[[0, 2]], &[[1, 3]]]), &[2, 4], 1);
        assert_eq!(copied(&columns, 4), [1, 2, 5, 6]);
        let fused = pieces(&slice(&[&[[0, 2]], &[[0, 1], [2, 4]]]), &[2, 4], 1);
        assert_eq!(copied(&fused, 6), [0, 2, 3, 4, 6, 7]);
        let whole = pieces(&slice(&[&[[0, 2]], &[[0, 4]]]), &[2, 4], 1);
        assert_eq!((whole.len(), copied(&whole, 8)), (1, (0..8).collect()));
        let scalar = pieces(&slice(&[]), &[], 4);
        assert_eq!((scalar.len(), copied(&scalar, 4)), (1, (0..4).collect()));
        assert!(pieces(&slice(&[&[], &[[0, 4]]]), &[2, 4], 1).is_empty());
    }

    #[test]
    fn what_parts_need_is_what_a_whole_pass_copies() {
        use crate::contract::Device;
        use crate::contract::parallel::{Parallel, RankPlace};
        use crate::loader::infer::tests::decoder;

        let model = decoder();
        let (tensors, bytes) = model.placed();
        let ranks = (0..4).map(|rank| RankPlace { rank, device: Device::Cpu }).collect();
        let asked = Parallel { tp: 4, pp: 1, replicas: 1, ranks };
        let folder = tempfile::tempdir().expect("a folder");
        let request = model.save(folder.path());
        let runnable = model.runnable().expect("a sound model");
        let counts = [tensors.len()];
        let divided = Divided::of(&request, &asked, (&tensors, &counts), Some(&runnable));
        let divided = divided.expect("divides");
        for rank in &divided.ranks {
            // The memory of a whole model is the data of its file here.
            let mut wanted = vec![0; rank.bytes() as usize];
            for (slice, tensor) in rank.slices.iter().map(|slice| (slice, &tensors[slice.tensor])) {
                for one in pieces(slice, &tensor.info.shape, 4) {
                    for piece in 0..one.count {
                        let from = (tensor.offset + one.from + piece * one.stride) as usize;
                        let to = (slice.offset + one.to + piece * one.to_stride) as usize;
                        let part = &bytes[from..from + one.bytes as usize];
                        wanted[to..to + one.bytes as usize].copy_from_slice(part);
                    }
                }
            }
            let in_order = InOrder::new(&tensors);
            for window in [1, 7, 64, 1000, 5000, bytes.len()] {
                let mut found = vec![0; wanted.len()];
                for begin in (0..bytes.len()).step_by(window) {
                    let part = begin as u64..(begin + window).min(bytes.len()) as u64;
                    for one in needed(rank, 0, &in_order, &part) {
                        for piece in 0..one.count {
                            let from = one.from + piece * one.stride;
                            assert!(from >= part.start && from + one.bytes <= part.end);
                            let (from, count) = (from as usize, one.bytes as usize);
                            let to = (one.to + piece * one.to_stride) as usize;
                            found[to..to + count].copy_from_slice(&bytes[from..from + count]);
                        }
                    }
                }
                assert_eq!(found, wanted, "windows of {window} bytes");
            }
        }
    }
}
