//! One pass over a file's data: chunks in, and each chunk to its consumers.
//!
//! The hasher takes every byte. Each tensor takes the bytes of its span, as whole elements: a
//! tensor may begin at any offset, so an element may lie across two chunks, and a carry holds
//! the first part of it until the rest comes. Whole elements go to the gates' scan, through
//! conversion, to their place.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use sha2::{Digest, Sha256};

use crate::contract::{Class, Code, DType, Device, Phase};

use super::admit::Scan;
use super::error::{LoadError, Result};
use super::load::Held;
use super::memory::{Sink, host_bytes};
use super::source::Source;
use super::steps::Steps;
use super::widen::width;

/// Bytes read at once. Large enough that calls cost nothing, small enough to stay in the cache
/// between the consumers.
pub const CHUNK: u64 = 1 << 20;

/// Chunks that may wait for the hasher, which is the slowest consumer; more would only hold memory.
const AHEAD: usize = 8;

/// Data shorter than this is hashed in place: a thread would cost more than it saves.
const WORTH_A_THREAD: u64 = 2 << 20;

/// What is streamed.
pub struct Job<'a> {
    /// The file, read up to the data's first byte.
    pub source: &'a mut Source,
    /// Size of the data, in bytes.
    pub data_bytes: u64,
    /// Every tensor, in the header's order.
    pub tensors: &'a [Held],
    /// Whether the gates will want to know.
    pub scan: bool,
}

/// Where it goes.
pub struct Consumers<'a> {
    /// Takes every byte.
    pub hasher: &'a mut Sha256,
    /// Decides.
    pub steps: &'a dyn Steps,
    /// Where `sink` leads.
    pub device: Device,
    /// Takes the elements.
    pub sink: &'a mut dyn Sink,
}

/// Runs the pass. Returns a scan for each tensor, in the order given; they have seen nothing where
/// `job.scan` is off.
///
/// # Errors
/// Those of reading and of placing.
pub fn run(job: Job<'_>, to: Consumers<'_>) -> Result<Vec<Scan>> {
    let Consumers { hasher, steps, device, sink } = to;
    if job.source.left() < WORTH_A_THREAD {
        return pass(job, steps, device, sink, |chunk| hasher.update(&chunk[..]));
    }
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Arc<Vec<u8>>>(AHEAD);
        let hashing = move || receiver.into_iter().for_each(|chunk| hasher.update(&chunk[..]));
        let spawned = thread::Builder::new().name("sha256".into()).spawn_scoped(scope, hashing);
        spawned.map_err(|error| no_thread(&error))?;
        // The scope joins the thread, which ends when the sender is dropped.
        pass(job, steps, device, sink, |chunk| hand_over(&sender, chunk))
    })
}

/// Gives a chunk to the hashing thread, waiting while it is behind. The receiver is dropped only
/// with a panic in the hasher, which the scope passes on.
fn hand_over(sender: &SyncSender<Arc<Vec<u8>>>, chunk: &Arc<Vec<u8>>) {
    let _ = sender.send(Arc::clone(chunk));
}

fn no_thread(error: &std::io::Error) -> LoadError {
    LoadError::new(
        Class::Resource,
        Phase::Alloc,
        Code::OutOfHostMemory,
        format!("no thread to hash with: {error}"),
    )
    .expected("a thread", error)
    .remedy("raise the limits on threads and memory")
}

/// Reads the data and feeds all consumers; `hash` takes every chunk.
fn pass(
    job: Job<'_>,
    steps: &dyn Steps,
    device: Device,
    sink: &mut dyn Sink,
    mut hash: impl FnMut(&Arc<Vec<u8>>),
) -> Result<Vec<Scan>> {
    let mut scans: Vec<Scan> = job.tensors.iter().map(|tensor| Scan::new(&tensor.info)).collect();
    let mut waiting: Vec<Part> = job
        .tensors
        .iter()
        .enumerate()
        .filter(|(_, tensor)| tensor.bytes > 0)
        .map(|(index, tensor)| Part {
            index,
            span: steps.span(&tensor.info),
            width: width(tensor.info.dtype).unwrap_or(1) as usize,
            carry: Carry::default(),
            placed: 0,
        })
        .collect();
    // Last first, so that the next one is popped from the end.
    waiting.sort_by_key(|part| std::cmp::Reverse(part.span.start));
    let mut active: Vec<Part> = Vec::new();
    let mut scratch = Vec::new();
    let source_start = job.source.bytes() - job.data_bytes;
    chunks(job.source, |at, chunk| {
        hash(chunk);
        let start = at - source_start;
        let end = start + chunk.len() as u64;
        while let Some(part) = waiting.pop_if(|part| part.span.start < end) {
            active.push(part);
        }
        for part in &mut active {
            let here = part.span.start.max(start)..part.span.end.min(end);
            if here.is_empty() {
                continue;
            }
            let bytes = &chunk[(here.start - start) as usize..(here.end - start) as usize];
            let tensor = &job.tensors[part.index];
            let scan = job.scan.then_some(&mut scans[part.index]);
            part.take(bytes, scan, |offset, elements| {
                scratch.clear();
                let kept = steps.convert(&tensor.info, tensor.dtype, elements, &mut scratch);
                let offset = tensor.offset + kept_offset(offset, &tensor.info.dtype, tensor.dtype);
                steps.place(device, &tensor.info, sink, offset, kept)
            })?;
        }
        active.retain(|part| part.span.end > end);
        Ok(())
    })?;
    Ok(scans)
}

/// Reads what is left of a file in chunks, each with its offset in the file. A chunk that `see`
/// keeps a share of stays as it is; otherwise its memory is used again.
///
/// # Errors
/// Those of reading and of `see`.
pub fn chunks(
    source: &mut Source,
    mut see: impl FnMut(u64, &Arc<Vec<u8>>) -> Result<()>,
) -> Result<()> {
    // As many as can be shared at once, and the one that is being read.
    let mut pool: VecDeque<Arc<Vec<u8>>> = VecDeque::new();
    while source.left() > 0 {
        let at = source.bytes() - source.left();
        let wanted = source.left().min(CHUNK);
        let idle = pool.front().is_some_and(|chunk| Arc::strong_count(chunk) == 1);
        let mut chunk = match idle.then(|| pool.pop_front()).flatten() {
            Some(chunk) => chunk,
            None => Arc::new(host_bytes(wanted)?),
        };
        let Some(bytes) = Arc::get_mut(&mut chunk) else {
            return Err(LoadError::internal("chunk in use"));
        };
        bytes.resize(wanted as usize, 0);
        source.read(bytes)?;
        see(at, &chunk)?;
        pool.push_back(chunk);
    }
    Ok(())
}

/// A tensor on its way.
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
        mut scan: Option<&mut Scan>,
        mut place: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let placed = &mut self.placed;
        self.carry.feed(self.width, bytes, |elements| {
            if let Some(scan) = &mut scan {
                scan.feed(elements);
            }
            let offset = *placed;
            *placed += elements.len() as u64;
            place(offset, elements)
        })
    }
}

/// The part of an element that came at the end of a piece.
#[derive(Clone, Debug, Default)]
struct Carry {
    bytes: [u8; 8],
    held: usize,
}

impl Carry {
    /// Hands on all whole elements of `width` bytes (at most 8), in order, and keeps the rest.
    fn feed<E>(
        &mut self,
        width: usize,
        mut bytes: &[u8],
        mut emit: impl FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
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

/// Where the kept form of the element at stored byte `offset` begins.
fn kept_offset(offset: u64, stored: &DType, kept: DType) -> u64 {
    offset / width(*stored).unwrap_or(1) * width(kept).unwrap_or(1)
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
