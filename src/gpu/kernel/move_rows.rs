//! Moves rows of elements within device memory and to other devices. Can widen F16 and BF16 elements to F32.

use std::ops::Range;
use std::ptr;
use std::sync::Arc;

use super::Kernels;
use super::launch::argument;
use crate::gpu::driver::error::{GpuError, check_range, report};
use crate::gpu::driver::memory::DeviceBuffer;
use crate::gpu::driver::stream::{Event, Stream};

/// Elements of a row into which contiguous elements are divided. A warp moves a row.
const ROW: u64 = 1 << 12;

/// Elements of a row that is not divided because others lie beside it.
const LONG: u64 = 1 << 16;

/// Threads of a block: eight warps.
const THREADS: u32 = 256;

/// Blocks for each multiprocessor, at most. More of them would take the place of kernels that hash.
const BLOCKS: u64 = 2;

/// Bytes of an entry in the list on the device.
const ENTRY: usize = 7 * size_of::<u64>();

/// How elements are converted when they are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveKind {
    /// Bytes stay as they are; an element is a byte.
    Copy,
    /// F16 becomes F32, bit for bit, with NaN payloads.
    WidenF16,
    /// BF16 becomes F32, bit for bit.
    WidenBf16,
}

impl MoveKind {
    /// Bytes of an element that is read, and of one that is written.
    const fn widths(self) -> (u64, u64) {
        match self {
            MoveKind::Copy => (1, 1),
            MoveKind::WidenF16 | MoveKind::WidenBf16 => (2, 4),
        }
    }
}

/// Rows of elements at equal distances. A row is contiguous in the source and in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where the first row begins in the source, in bytes, with any alignment.
    pub from: u64,
    /// Where the first row begins in the target, in bytes; a multiple of 4 if elements are widened.
    pub to: u64,
    /// Elements of a row.
    pub count: u64,
    /// How many rows.
    pub rows: u64,
    /// Distance between the starts of two rows in the source, in bytes.
    pub from_stride: u64,
    /// The same in the target; a multiple of 4 if elements are widened.
    pub to_stride: u64,
    /// How the elements are converted.
    pub kind: MoveKind,
}

impl Move {
    /// Contiguous elements.
    pub const fn run(from: u64, to: u64, count: u64, kind: MoveKind) -> Move {
        Move { from, to, count, rows: 1, from_stride: 0, to_stride: 0, kind }
    }

    /// Bytes from the start of the first row to the end of the last one, in the source and in the target. More
    /// than any buffer has if that is not a number of 64 bits.
    fn extents(&self) -> (usize, usize) {
        let (read, written) = self.kind.widths();
        let of = |stride: u64, width: u64| {
            let last = self.rows.saturating_sub(1).saturating_mul(stride);
            usize::try_from(last.saturating_add(self.count.saturating_mul(width)))
                .unwrap_or(usize::MAX)
        };
        (of(self.from_stride, read), of(self.to_stride, written))
    }

    /// Divides it so that no warp has much more to do than others.
    fn divide(&self, into: &mut Vec<Move>) {
        let (read, written) = self.kind.widths();
        let Move { count, rows, from_stride, to_stride, .. } = *self;
        if count == 0 || rows == 0 {
            return;
        }
        if rows == 1 || from_stride == count * read && to_stride == count * written {
            Move { count: count * rows, ..*self }.divide_run(into);
        } else if count <= LONG {
            into.push(*self);
        } else {
            let row = |at| Move {
                from: self.from + at * from_stride,
                to: self.to + at * to_stride,
                ..*self
            };
            (0..rows).for_each(|at| row(at).divide_run(into));
        }
    }

    /// The same for `count` elements that follow each other: rows that do, and perhaps a shorter one.
    fn divide_run(&self, into: &mut Vec<Move>) {
        let (read, written) = self.kind.widths();
        let (rows, rest) = (self.count / ROW, self.count % ROW);
        let (from_stride, to_stride) = (ROW * read, ROW * written);
        if rows > 0 {
            into.push(Move { count: ROW, rows, from_stride, to_stride, ..*self });
        }
        if rest > 0 {
            let (from, to) = (self.from + rows * from_stride, self.to + rows * to_stride);
            into.push(Move::run(from, to, rest, self.kind));
        }
    }
}

/// Groups of moves out of one buffer, to be launched group by group. Dropping it waits for them.
#[derive(Debug)]
pub struct Moves<'b> {
    kernels: Kernels,
    from: &'b DeviceBuffer,
    stream: Stream,
    /// The list of all entries, on the device; `None` if there is nothing to move.
    list: Option<DeviceBuffer>,
    groups: Vec<Group>,
    /// Most blocks of a launch.
    most: u64,
}

/// Moves that are launched together.
#[derive(Debug)]
struct Group {
    /// Its part of the list.
    entries: Range<usize>,
    /// Rows of all entries.
    rows: u64,
}

impl<'b> Moves<'b> {
    /// Checks the moves of every group, each with its target, and writes their list to the device.
    ///
    /// # Errors
    ///
    /// Refused if a row lies outside its buffer, if a target is misaligned, if the source is on another device
    /// than the kernels, or if that device does not reach a target's.
    pub fn new(
        kernels: &Kernels,
        from: &'b DeviceBuffer,
        groups: &[Vec<(&'b DeviceBuffer, Move)>],
    ) -> Result<Moves<'b>, GpuError> {
        let refuse = |why: &str| Err(GpuError::refused("move_rows", why));
        let context = kernels.context();
        if !context.is_same(from.context()) {
            return refuse("the source is on another device");
        }
        let (mut list, mut entries, mut listed) = (Vec::new(), Vec::new(), Vec::new());
        // Asking takes longer than describing a move.
        let mut reached: Vec<&DeviceBuffer> = Vec::new();
        for group in groups {
            let (start, mut all_rows) = (list.len() / ENTRY, 0);
            for (to, each) in group {
                let (read, written) = each.extents();
                check_range("move_rows", each.from as usize, read, from.bytes())?;
                check_range("move_rows", each.to as usize, written, to.bytes())?;
                let width = each.kind.widths().1;
                if !each.to.is_multiple_of(width) || !each.to_stride.is_multiple_of(width) {
                    return refuse("elements to be written are misaligned");
                }
                if !reached.iter().any(|known| ptr::eq(*known, *to)) {
                    if !context.reach(to.context())? {
                        return refuse("the target is on a device that cannot be reached");
                    }
                    reached.push(to);
                }
                entries.clear();
                each.divide(&mut entries);
                for Move { from, to: at, count, rows, from_stride, to_stride, kind } in &entries {
                    let to = to.pointer() + at;
                    all_rows += rows;
                    for word in [*from, to, *count, *rows, *from_stride, *to_stride, *kind as u64] {
                        list.extend(word.to_le_bytes());
                    }
                }
            }
            listed.push(Group { entries: start..list.len() / ENTRY, rows: all_rows });
        }
        let on_device = (!list.is_empty()).then(|| context.allocate(list.len())).transpose()?;
        if let Some(on_device) = &on_device {
            on_device.write(0, &list)?;
        }
        Ok(Moves {
            kernels: kernels.clone(),
            from,
            stream: Stream::new(context)?,
            list: on_device,
            groups: listed,
            most: context.multiprocessors()? as u64 * BLOCKS,
        })
    }

    /// Queues the moves of a group, to begin after all events in `after`. The event passes when they have ended,
    /// together with those of all groups before.
    ///
    /// # Errors
    ///
    /// Refused if there is no such group; the driver's.
    pub fn launch(&self, group: usize, after: &[Arc<Event>]) -> Result<Arc<Event>, GpuError> {
        let Some(Group { entries, rows }) = self.groups.get(group) else {
            return Err(GpuError::refused("move_rows", "no such group"));
        };
        after.iter().try_for_each(|event| self.stream.wait(event))?;
        if let Some(list) = self.list.as_ref().filter(|_| *rows > 0) {
            let mut first = list.pointer() + (entries.start * ENTRY) as u64;
            let (mut source, mut count) = (self.from.pointer(), entries.len() as u64);
            let blocks = rows.div_ceil(u64::from(THREADS) / 32).min(self.most) as u32;
            // SAFETY: two pointers and a number, as the kernel declares them. Every row was checked to lie in its
            // buffer. The buffers are borrowed or owned by `self`, which waits for the stream before it releases
            // them.
            unsafe {
                self.kernels.move_rows.launch(
                    &self.stream,
                    blocks,
                    THREADS,
                    &mut [argument(&mut source), argument(&mut first), argument(&mut count)],
                )
            }?;
        }
        let ended = Event::new(self.kernels.context())?;
        ended.record(&self.stream)?;
        Ok(Arc::new(ended))
    }

    /// Waits until all queued moves have ended.
    ///
    /// # Errors
    ///
    /// The driver's.
    pub fn finish(&self) -> Result<(), GpuError> {
        self.stream.synchronize()
    }
}

impl Drop for Moves<'_> {
    fn drop(&mut self) {
        // A target on another device does not wait for this stream when it is freed.
        report(self.stream.synchronize());
    }
}

/// Moves rows from one buffer to another one, and waits until they have arrived.
///
/// # Errors
///
/// Those of [`Moves`].
pub fn move_rows(
    kernels: &Kernels,
    from: &DeviceBuffer,
    to: &DeviceBuffer,
    moves: &[Move],
) -> Result<(), GpuError> {
    let group = moves.iter().map(|each| (to, *each)).collect();
    let moves = Moves::new(kernels, from, &[group])?;
    moves.launch(0, &[])?;
    moves.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// From which byte each byte of the target comes.
    fn origins(entries: &[Move]) -> BTreeMap<u64, u64> {
        let mut all = BTreeMap::new();
        for Move { from, to, count, rows, from_stride, to_stride, .. } in entries {
            for row in 0..*rows {
                for at in 0..*count {
                    let (from, to) = (from + row * from_stride + at, to + row * to_stride + at);
                    assert_eq!(all.insert(to, from), None, "byte {to} is written twice");
                }
            }
        }
        all
    }

    #[test]
    fn entries_move_every_element_once_and_none_has_long_rows() {
        let copy = MoveKind::Copy;
        for (count, rows, from_stride, to_stride, least) in [
            (0, 1, 0, 0, 0),
            (1, 1, 0, 0, 1),
            (ROW - 1, 1, 0, 0, 1),
            (20 * ROW + 3, 1, 0, 0, 2),
            (96, 5000, 96, 96, 2),
            (96, 5000, 200, 96, 1),
            (LONG + 5, 3, LONG + 6, LONG + 8, 6),
        ] {
            let whole = Move { from: 7, to: 3, count, rows, from_stride, to_stride, kind: copy };
            let mut entries = Vec::new();
            whole.divide(&mut entries);
            assert_eq!(origins(&entries), origins(&[whole]), "{whole:?}");
            assert!(entries.iter().all(|entry| (1..=LONG).contains(&entry.count)));
            assert_eq!(entries.len(), least, "{whole:?}");
        }
    }

    #[test]
    fn widened_elements_are_twice_as_far_apart_where_they_are_written() {
        let kind = MoveKind::WidenBf16;
        let mut entries = Vec::new();
        Move::run(2, 8, 5 * ROW + 3, kind).divide(&mut entries);
        let (from_stride, to_stride) = (2 * ROW, 4 * ROW);
        let whole = Move { from: 2, to: 8, count: ROW, rows: 5, from_stride, to_stride, kind };
        let rest = Move::run(2 + 5 * from_stride, 8 + 5 * to_stride, 3, kind);
        assert_eq!(entries, [whole, rest]);
    }

    #[test]
    fn what_does_not_fit_in_64_bits_is_longer_than_any_buffer() {
        let far = Move { rows: 3, from_stride: u64::MAX / 2, ..Move::run(0, 0, 9, MoveKind::Copy) };
        assert_eq!(far.extents(), (usize::MAX, 9));
        let long = Move::run(0, 0, u64::MAX / 2, MoveKind::WidenF16);
        assert_eq!(long.extents(), (usize::MAX - 1, usize::MAX));
    }
}
