//! Processes one file's data on the host: splits it into whole elements, scans, converts and places
//! them.
//!
//! A tensor may begin at any offset, so an element may cross the border of two chunks. A carry
//! buffer holds its first part until the rest arrives. Whole elements then go to the gates' scan,
//! to the conversion and to their position. Blocks of packed elements are treated the same way, and
//! are unpacked first.

use crate::contract::Device;

use crate::loader::decisions::LoadDecisions;
use crate::loader::error::Result;
use crate::loader::format::blocks::Packing;
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::format::widen::width;
use crate::loader::gates::Scan;
use crate::loader::memory::sink::Sink;

/// The pass over one file's tensors.
pub struct FilePass<'a> {
    tensors: &'a [PlacedTensor],
    scan: bool,
    decisions: &'a dyn LoadDecisions,
    device: Device,
    sink: &'a mut dyn Sink,
    scans: Vec<Scan>,
    /// Tensors whose data has not arrived yet, in descending order, so that `pop` gives the next.
    waiting: Vec<Part>,
    active: Vec<Part>,
    scratch: Vec<u8>,
    unpacked: Vec<u8>,
}

impl<'a> FilePass<'a> {
    /// Creates a pass over `tensors`, which all belong to one file. Their offsets count from the
    /// sink's start. `scan` says whether to collect statistics for the gates.
    pub fn new(
        tensors: &'a [PlacedTensor],
        scan: bool,
        decisions: &'a dyn LoadDecisions,
        device: Device,
        sink: &'a mut dyn Sink,
    ) -> Self {
        let mut waiting: Vec<Part> = tensors
            .iter()
            .enumerate()
            .filter(|(_, tensor)| tensor.bytes > 0)
            .map(|(index, tensor)| Part {
                index,
                span: decisions.span(&tensor.info),
                width: unit(tensor) as usize,
                carry: Carry::default(),
                placed: 0,
            })
            .collect();
        waiting.sort_by_key(|part| std::cmp::Reverse(part.span.start));
        FilePass {
            tensors,
            scan,
            decisions,
            device,
            sink,
            scans: tensors.iter().map(|tensor| Scan::new(&tensor.info)).collect(),
            waiting,
            active: Vec::new(),
            scratch: Vec::new(),
            unpacked: Vec::new(),
        }
    }

    /// Processes the next bytes of the data, which begin at offset `start`.
    ///
    /// # Errors
    /// Those of placing.
    pub fn take(&mut self, start: u64, bytes: &[u8]) -> Result<()> {
        let end = start + bytes.len() as u64;
        while let Some(part) = self.waiting.pop_if(|part| part.span.start < end) {
            self.active.push(part);
        }
        for part in &mut self.active {
            let here = part.span.start.max(start)..part.span.end.min(end);
            if here.is_empty() {
                continue;
            }
            let bytes = &bytes[(here.start - start) as usize..(here.end - start) as usize];
            let tensor = &self.tensors[part.index];
            let mut scan = self.scan.then_some(&mut self.scans[part.index]);
            let (unpacked, scratch) = (&mut self.unpacked, &mut self.scratch);
            let sink = &mut *self.sink;
            part.take(bytes, |offset, stored| {
                scratch.clear();
                unpacked.clear();
                let elements = match tensor.import.packing {
                    None => stored,
                    Some(packing) => {
                        self.decisions.unpack(packing, stored, unpacked);
                        unpacked.as_slice()
                    }
                };
                if let Some(scan) = &mut scan {
                    scan.feed(elements);
                }
                let kept = self.decisions.convert(&tensor.info, tensor.dtype, elements, scratch);
                let offset = kept_offset(offset, tensor);
                in_rows(tensor, offset, kept, |offset, bytes| {
                    let offset = tensor.offset + offset;
                    self.decisions.place(self.device, &tensor.info, &mut *sink, offset, bytes)
                })
            })?;
        }
        self.active.retain(|part| part.span.end > end);
        Ok(())
    }

    /// Returns a scan for each tensor, in their order. The scans are empty if `scan` was false.
    pub fn end(self) -> Vec<Scan> {
        self.scans
    }
}

/// A tensor in progress.
struct Part {
    index: usize,
    span: std::ops::Range<u64>,
    width: usize,
    carry: Carry,
    placed: u64,
}

impl Part {
    fn take(
        &mut self,
        bytes: &[u8],
        mut place: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let placed = &mut self.placed;
        self.carry.feed(self.width, bytes, |elements| {
            let offset = *placed;
            *placed += elements.len() as u64;
            place(offset, elements)
        })
    }
}

/// The incomplete element at the end of a chunk.
#[derive(Clone, Debug, Default)]
struct Carry {
    bytes: Vec<u8>,
    held: usize,
}

impl Carry {
    /// Passes all whole elements of `width` bytes to `emit`, in order, and stores the rest.
    fn feed<E>(
        &mut self,
        width: usize,
        mut bytes: &[u8],
        mut emit: impl FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.bytes.resize(width, 0);
        if self.held > 0 {
            let taken = (width - self.held).min(bytes.len());
            self.bytes[self.held..self.held + taken].copy_from_slice(&bytes[..taken]);
            self.held += taken;
            bytes = &bytes[taken..];
            if self.held < width {
                return Ok(());
            }
            self.held = 0;
            emit(&self.bytes[..width])?;
        }
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % width);
        self.bytes[..rest.len()].copy_from_slice(rest);
        self.held = rest.len();
        if whole.is_empty() { Ok(()) } else { emit(whole) }
    }
}

/// Size of the smallest unit, in bytes: an element, or a block of packed elements.
fn unit(tensor: &PlacedTensor) -> u64 {
    let packing = tensor.import.packing;
    packing.map_or(width(tensor.info.dtype).unwrap_or(1), Packing::bytes)
}

/// Converts an offset in the stored tensor to an offset in the tensor in memory, in bytes.
fn kept_offset(offset: u64, tensor: &PlacedTensor) -> u64 {
    let elements = tensor.import.packing.map_or(1, Packing::elements);
    offset / unit(tensor) * elements * width(tensor.dtype).unwrap_or(1)
}

/// Passes converted bytes to `place` with their offset in the tensor. If the rows must be
/// reordered, passes them row by row.
fn in_rows(
    tensor: &PlacedTensor,
    mut offset: u64,
    mut bytes: &[u8],
    mut place: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let rows = tensor.info.shape.first().copied().unwrap_or(1);
    if tensor.import.heads.is_none() || rows == 0 {
        return place(offset, bytes);
    }
    let length = tensor.bytes / rows;
    while !bytes.is_empty() {
        let (row, within) = (offset / length, offset % length);
        let here = (length - within).min(bytes.len() as u64);
        let (now, rest) = bytes.split_at(here as usize);
        place(tensor.import.row(row, rows) * length + within, now)?;
        (offset, bytes) = (offset + here, rest);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn carry_keeps_order_and_elements(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cuts in prop::collection::vec(1usize..9, 200),
            width in prop::sample::select(vec![1usize, 2, 4, 8]),
        ) {
            let bytes = &bytes[..bytes.len() - bytes.len() % width];
            let (mut carry, mut out, mut rest) = (Carry::default(), Vec::new(), bytes);
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                carry.feed(width, piece, |elements| {
                    assert_eq!(elements.len() % width, 0);
                    out.extend_from_slice(elements);
                    Ok::<(), ()>(())
                }).unwrap();
                rest = after;
            }
            carry.feed(width, rest, |elements| {
                out.extend_from_slice(elements);
                Ok::<(), ()>(())
            }).unwrap();
            prop_assert_eq!(&out, bytes);
        }
    }
}
