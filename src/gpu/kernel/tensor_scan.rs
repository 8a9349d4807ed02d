//! Counts zeros, non-finite values and more in tensors in device memory, for the data-quality
//! gates.

use std::ops::Range;
use std::sync::Arc;

use super::Kernels;
use crate::gpu::driver::error::GpuError;
use crate::gpu::driver::memory::DeviceBuffer;
use crate::gpu::driver::stream::{Event, Stream};

/// Elements that one block counts: enough to be worth a block, and few enough that many blocks
/// share a tensor.
const SPAN: u64 = 1 << 16;

/// Threads of a block.
const THREADS: u32 = 256;

/// Bytes of a span and of a tensor in the kernel's tables: three and six words.
const SPAN_BYTES: usize = 24;
const TENSOR_BYTES: usize = 48;

/// An element type that can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    /// IEEE half precision.
    F16,
    /// The upper half of an F32.
    BF16,
    /// IEEE single precision.
    F32,
}

impl Element {
    /// Size of an element, in bytes.
    pub const fn bytes(self) -> usize {
        self.width() as usize
    }

    const fn width(self) -> u64 {
        match self {
            Element::F16 | Element::BF16 => 2,
            Element::F32 => 4,
        }
    }
}

/// A tensor to be counted; one without elements counts nothing.
#[derive(Clone, Debug)]
pub struct ScanTensor {
    /// Where it begins in the buffer, in bytes: a multiple of its element's width.
    pub offset: u64,
    /// Its elements.
    pub elements: u64,
    /// Their type.
    pub element: Element,
    /// Three windows of equal width, in elements, that are searched for a value other than zero.
    pub windows: [Range<u64>; 3],
}

/// What was counted of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Tally {
    /// Elements that are +0 or -0.
    pub zeros: u64,
    /// Elements that are NaN or infinite.
    pub non_finite: u64,
    /// Index of the first such element; `u64::MAX` where there is none.
    pub first_non_finite: u64,
    /// Sum of the squares.
    pub squares: f64,
    /// Not zero where some value differs from the first.
    pub varies: u32,
    /// Bit i is set where window i holds a value other than zero.
    pub hits: u32,
}

/// Counts tensors of one buffer as their bytes arrive.
#[derive(Debug)]
pub struct TensorScan<'a> {
    kernels: Kernels,
    stream: Stream,
    buffer: &'a DeviceBuffer,
    /// Spans, tensors and tallies, one behind the other; `None` if there are no spans.
    tables: Option<DeviceBuffer>,
    count: usize,
    /// Where each span ends in the buffer, in ascending order.
    ends: Vec<u64>,
    scanned: usize,
}

impl<'a> TensorScan<'a> {
    /// Prepares the counting of these tensors.
    ///
    /// # Errors
    ///
    /// Refused if a tensor lies outside the buffer or is not aligned to its element type.
    pub fn new(
        kernels: &Kernels,
        buffer: &'a DeviceBuffer,
        tensors: &[ScanTensor],
    ) -> Result<TensorScan<'a>, GpuError> {
        let mut spans: Vec<(u64, [u64; 3])> = Vec::new();
        let mut rows = Vec::with_capacity(tensors.len() * TENSOR_BYTES);
        for (index, tensor) in tensors.iter().enumerate() {
            let width = tensor.element.width();
            let inside = tensor
                .elements
                .checked_mul(width)
                .and_then(|bytes| tensor.offset.checked_add(bytes))
                .is_some_and(|end| end <= buffer.bytes() as u64);
            if !inside || !tensor.offset.is_multiple_of(width) {
                return Err(GpuError::refused(
                    "scan",
                    "a tensor lies outside its memory, or is misaligned",
                ));
            }
            let [a, b, c] = &tensor.windows;
            let element = tensor.element as u64;
            for word in [tensor.offset, a.start, b.start, c.start, a.end - a.start, element] {
                rows.extend(word.to_le_bytes());
            }
            let mut first = 0;
            while first < tensor.elements {
                let count = SPAN.min(tensor.elements - first);
                let end = tensor.offset + (first + count) * width;
                spans.push((end, [index as u64, first, count]));
                first += count;
            }
        }
        spans.sort_unstable();
        // One allocation and one copy: each copy waits until the data before it has been copied.
        let words = |words: [u64; 3]| words.into_iter().flat_map(u64::to_le_bytes);
        let mut table = Vec::with_capacity(
            spans.len() * SPAN_BYTES + tensors.len() * (TENSOR_BYTES + Tally::BYTES),
        );
        table.extend(spans.iter().flat_map(|(_, span)| words(*span)));
        table.extend(rows);
        table.extend(tensors.iter().flat_map(|_| Tally::NOTHING.to_bytes()));
        let context = kernels.context();
        let tables = (!spans.is_empty()).then(|| {
            let buffer = context.allocate(table.len())?;
            buffer.write(0, &table)?;
            Ok(buffer)
        });
        Ok(TensorScan {
            kernels: kernels.clone(),
            stream: Stream::new(context)?,
            buffer,
            tables: tables.transpose()?,
            count: tensors.len(),
            ends: spans.into_iter().map(|(end, _)| end).collect(),
            scanned: 0,
        })
    }

    /// Queues the counting of everything in the first `landed` bytes of the buffer that was not
    /// counted yet, to begin after all events in `after`. Bytes arrive from front to back.
    pub fn landed(&mut self, landed: u64, after: &[Arc<Event>]) -> Result<(), GpuError> {
        after.iter().try_for_each(|event| self.stream.wait(event))?;
        let until = self.ends.partition_point(|end| *end <= landed);
        let blocks = until.saturating_sub(self.scanned);
        let Some(tables) = self.tables.as_ref().filter(|_| blocks > 0) else { return Ok(()) };
        let blocks = u32::try_from(blocks)
            .map_err(|_| GpuError::refused("scan", "too many spans for one launch"))?;
        let mut base = self.buffer.pointer();
        let mut spans = tables.pointer() + (self.scanned * SPAN_BYTES) as u64;
        let mut tensors = tables.pointer() + (self.ends.len() * SPAN_BYTES) as u64;
        let mut tallies = tables.pointer() + self.tallies_at() as u64;
        // SAFETY: four pointers, as the kernel declares them. Spans and tensors were checked to lie
        // in the buffer, which outlives this object; the tables are owned by it, and buffers drain
        // the device before they free their memory.
        unsafe {
            self.kernels.scan_spans.launch(
                &self.stream,
                blocks,
                THREADS,
                &mut [
                    (&raw mut base).cast(),
                    (&raw mut spans).cast(),
                    (&raw mut tensors).cast(),
                    (&raw mut tallies).cast(),
                ],
            )
        }?;
        self.scanned = until;
        Ok(())
    }

    /// Waits for the counting and fetches a tally for each tensor.
    ///
    /// # Errors
    ///
    /// Refused if [`landed`](Self::landed) was not told that every tensor has arrived.
    pub fn tallies(&self) -> Result<Vec<Tally>, GpuError> {
        if self.scanned != self.ends.len() {
            return Err(GpuError::refused("tallies", "not every tensor has arrived"));
        }
        self.stream.synchronize()?;
        let Some(tables) = &self.tables else { return Ok(vec![Tally::NOTHING; self.count]) };
        let mut bytes = vec![0; self.count * Tally::BYTES];
        tables.read(self.tallies_at(), &mut bytes)?;
        Ok(bytes.as_chunks().0.iter().map(Tally::from_bytes).collect())
    }

    /// Where the tallies begin in the tables, in bytes.
    fn tallies_at(&self) -> usize {
        self.ends.len() * SPAN_BYTES + self.count * TENSOR_BYTES
    }
}

impl Tally {
    /// Its size on the device.
    const BYTES: usize = 40;

    /// That of a tensor of which nothing was counted.
    const NOTHING: Tally = Tally {
        zeros: 0,
        non_finite: 0,
        first_non_finite: u64::MAX,
        squares: 0.0,
        varies: 0,
        hits: 0,
    };

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.zeros.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.non_finite.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_non_finite.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.squares.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.varies.to_le_bytes());
        bytes[36..].copy_from_slice(&self.hits.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; Self::BYTES]) -> Tally {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |at: usize| u64::from_le_bytes(words[at]);
        Tally {
            zeros: word(0),
            non_finite: word(1),
            first_non_finite: word(2),
            squares: f64::from_bits(word(3)),
            varies: word(4) as u32,
            hits: (word(4) >> 32) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_keeps_its_fields_through_bytes() {
        let tally = Tally {
            zeros: 1,
            non_finite: 2,
            first_non_finite: 3,
            squares: 4.5,
            varies: 1,
            hits: 5,
        };
        assert_eq!(Tally::from_bytes(&tally.to_bytes()), tally);
        assert_eq!(size_of::<Tally>(), Tally::BYTES);
    }
}
