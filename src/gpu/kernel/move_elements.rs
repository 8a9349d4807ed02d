//! Moves tensors within device memory. Can widen F16 and BF16 elements to F32.

use super::Kernels;
use crate::gpu::driver::error::{GpuError, check_range};
use crate::gpu::driver::memory::DeviceBuffer;
use crate::gpu::driver::stream::Stream;

/// Elements that one block moves.
const SPAN: u64 = 1 << 16;

/// Threads of a block.
const THREADS: u32 = 256;

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

/// A contiguous run of elements to move.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// Where it begins in the source, in bytes, with any alignment.
    pub from: u64,
    /// Where it begins in the target, in bytes; a multiple of 4 if elements are widened.
    pub to: u64,
    /// How many elements.
    pub count: u64,
    /// How they are converted.
    pub kind: MoveKind,
}

/// Moves runs from one buffer to another one, and waits until they have arrived.
///
/// # Errors
///
/// Refused if a run lies outside its buffer, if a target is misaligned, or if a buffer is on
/// another device.
pub fn move_elements(
    kernels: &Kernels,
    from: &DeviceBuffer,
    to: &DeviceBuffer,
    moves: &[Move],
) -> Result<(), GpuError> {
    let mut table = Vec::new();
    for each in moves {
        let (read, written) = if each.kind == MoveKind::Copy { (1, 1) } else { (2, 4) };
        let bytes = |width: u64| each.count.saturating_mul(width) as usize;
        check_range("move_elements", each.from as usize, bytes(read), from.bytes())?;
        check_range("move_elements", each.to as usize, bytes(written), to.bytes())?;
        if !each.to.is_multiple_of(written) {
            return Err(GpuError::refused(
                "move_elements",
                "elements to be written are misaligned",
            ));
        }
        let mut done = 0;
        while done < each.count {
            let count = SPAN.min(each.count - done);
            for word in [each.from + done * read, each.to + done * written, count, each.kind as u64]
            {
                table.extend(word.to_le_bytes());
            }
            done += count;
        }
    }
    if table.is_empty() {
        return Ok(());
    }
    let context = kernels.context();
    if !context.is_same(from.context()) || !context.reach(to.context())? {
        return Err(GpuError::refused("move_elements", "a buffer is on another device"));
    }
    let blocks = u32::try_from(table.len() / 32)
        .map_err(|_| GpuError::refused("move_elements", "too many runs for one launch"))?;
    let runs = context.allocate(table.len())?;
    runs.write(0, &table)?;
    let stream = Stream::new(context)?;
    let (mut source, mut target, mut list) = (from.pointer(), to.pointer(), runs.pointer());
    // SAFETY: three pointers, as the kernel declares them. Every run was checked to lie in its
    // buffer; all three are borrowed or owned until the stream has been waited for, and drain the
    // device before they free their memory should that fail.
    unsafe {
        kernels.move_elements.launch(
            &stream,
            blocks,
            THREADS,
            &mut [(&raw mut source).cast(), (&raw mut target).cast(), (&raw mut list).cast()],
        )
    }?;
    stream.synchronize()
}
