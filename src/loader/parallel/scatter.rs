//! The destination of one file's bytes when a model is divided: each byte goes to every rank that holds it.

use crate::loader::error::{LoadError, Result};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::format::widen::width;
use crate::loader::memory::sink::Sink;

use super::divided::{Divided, HeldSlice};

/// Pieces of a tensor that lie at equal distances, and where they go. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// Start of the first piece in the tensor.
    from: u64,
    /// Length of a piece.
    bytes: u64,
    /// Number of pieces.
    count: u64,
    /// Distance between the starts of two pieces in the tensor.
    stride: u64,
    /// Start of the first piece in the slice.
    to: u64,
    /// Distance between the starts of two pieces in the slice.
    to_stride: u64,
}

/// Returns the pieces of a tensor that a slice consists of. At most one dimension is divided.
pub fn pieces(slice: &HeldSlice, shape: &[u64], width: u64) -> Vec<Pieces> {
    let product = |sides: &[u64]| sides.iter().product::<u64>();
    let is_divided = |at: &usize| slice.ranges[*at] != [[0, shape[*at]]];
    let Some(at) = (0..shape.len()).find(is_divided) else {
        let bytes = product(shape) * width;
        return vec![Pieces { from: 0, bytes, count: 1, stride: bytes, to: 0, to_stride: bytes }];
    };
    let (outer, inner) = (product(&shape[..at]), product(&shape[at + 1..]) * width);
    let held: u64 = slice.ranges[at].iter().map(|[begin, end]| end - begin).sum();
    let mut to = 0;
    let pieces = slice.ranges[at].iter().map(|[begin, end]| {
        let bytes = (end - begin) * inner;
        let piece = Pieces {
            from: begin * inner,
            bytes,
            count: outer,
            stride: shape[at] * inner,
            to,
            to_stride: held * inner,
        };
        to += bytes;
        piece
    });
    pieces.collect()
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
            let of_rank = |(at, rank): (usize, &super::RankMemory)| {
                let at_slice = rank.slices.binary_search_by_key(&index, |slice| slice.tensor);
                let slice = &rank.slices[at_slice.ok()?];
                let start = slice.offset - rank.files[number].start;
                let pieces = pieces(slice, &tensor.info.shape, width);
                Some(pieces.into_iter().map(move |pieces| Copy { rank: at, start, pieces }))
            };
            divided.ranks.iter().enumerate().filter_map(of_rank).flatten().collect()
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
        let end = begin + bytes.len() as u64;
        for Copy { rank, start, pieces } in &target.copies {
            let Pieces { from, bytes: length, count, stride, to, to_stride } = *pieces;
            if length == 0 || stride == 0 {
                continue;
            }
            let first = begin.saturating_sub(from + length - 1).div_ceil(stride);
            for piece in first..count {
                let at = from + piece * stride;
                if at >= end {
                    break;
                }
                let here = at.max(begin)..(at + length).min(end);
                if here.is_empty() {
                    continue;
                }
                let into = start + to + piece * to_stride + (here.start - at);
                let part = &bytes[(here.start - begin) as usize..(here.end - begin) as usize];
                self.ranks[*rank].put(into, part)?;
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
        assert!(pieces(&slice(&[&[], &[[0, 4]]]), &[2, 4], 1).is_empty());
    }
}
