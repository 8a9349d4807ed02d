//! Landing at full width: many threads read and copy, while the device hashes what has landed.
//!
//! Bytes land where they are to stay, in the order and at the distances that they have in the file,
//! wherever the file keeps its tensors at multiples of [`ALIGNMENT`](crate::loader::memory::ALIGNMENT)
//! and nothing is to be widened: nearly every model. Otherwise they land in memory beside the
//! model, are verified there, and are then moved to their places; that memory, as large as
//! the data, is freed before the load is answered.
//!
//! The threads go through the pieces in order. This thread follows them in batches: it reads the
//! seal meanwhile, has every batch hashed and counted once its pieces are there, and compares the
//! digests, oldest batch first, so that the first bad chunk in the file is the one that is told.

mod proof;
pub mod threads;

use crate::contract::{DType, Phase, request};
use crate::gpu::{
    DeviceBuffer, Element, GpuError, Kernels, Move, MoveKind, ScanTensor, Tally, TensorScan,
    move_elements,
};
use crate::loader::decisions::Steps;
use crate::loader::error::Result;
use crate::loader::format::tensor::Held;
use crate::loader::gates::{Scan, windows};
use crate::loader::open::files::File;
use crate::loader::progress::Progress;

use self::threads::Flight;
use crate::loader::device::fault;
use crate::loader::memory::block::allocate;
use crate::loader::memory::device_arena::DeviceArena;

/// What is to land.
pub struct Landing<'a> {
    /// The files, in order.
    pub files: &'a [File],
    /// Decides.
    pub steps: &'a dyn Steps,
    /// What the bytes are compared with; nothing, where nothing is hashed.
    pub seal: Option<&'a request::Seal>,
    /// Whether the gates will want to know.
    pub scan: bool,
    /// Told how far it is.
    pub progress: &'a Progress,
}

/// A file that has landed.
pub struct Landed {
    /// Its sealed digest, which is thereby proven.
    pub digest: Option<[u8; 32]>,
    /// What the gates need to know of its tensors; nothing was seen where that was not wanted.
    pub scans: Vec<Scan>,
}

impl DeviceArena<'_> {
    /// Lands every file in this arena.
    ///
    /// # Errors
    /// Those of reading, of the seal and of the device.
    pub fn land(&mut self, landing: &Landing<'_>) -> Result<Vec<Landed>> {
        let pieces = self::threads::pieces(landing.files);
        self.take_lanes(self::threads::lanes(landing.files, pieces.len()))?;
        let (context, kernels, ordinal) = (self.context()?, self.kernels()?, self.ordinal());
        let direct = landing.files.iter().all(is_direct);
        let (starts, bytes) = landing.starts(direct);
        let beside = if direct { None } else { allocate(&context, bytes)? };
        let (buffer, lanes) = self.parts();
        let image = beside.as_ref().or(buffer);
        let count = direct && landing.scan;
        let flight = Flight { landing, pieces, image, starts, count, kernels, ordinal };
        let (digests, mut tallies) = flight.fly(lanes)?;
        if let (Some(from), Some(to)) = (&beside, buffer) {
            let failed = |error| fault(ordinal, Phase::Copy, &error);
            let moves = landing.moves(&flight.starts);
            move_elements(&flight.kernels, from, to, &moves).map_err(failed)?;
            if landing.scan {
                tallies = landing.count_moved(&flight.kernels, to).map_err(failed)?;
            }
        }
        Ok(landing.found(digests, tallies))
    }
}

impl Landing<'_> {
    /// Where each file's data lands, and how much memory that takes.
    fn starts(&self, direct: bool) -> (Vec<u64>, u64) {
        let mut end = 0u64;
        let starts = self.files.iter().map(|file| {
            let start = if direct { file.part.start } else { end.next_multiple_of(256) };
            end = start + file.data_bytes();
            start
        });
        (starts.collect(), end)
    }

    /// The tensors that the gates count, in order, where they are to stay.
    fn counted(&self) -> Vec<ScanTensor> {
        let tensors = self.files.iter().flat_map(|file| {
            file.tensors.iter().filter(|tensor| is_counted(tensor)).filter_map(|tensor| {
                let elements = tensor.info.elements()?;
                let offset = file.part.start + tensor.offset;
                let element = element(tensor.dtype)?;
                Some(ScanTensor { offset, elements, element, windows: windows(elements) })
            })
        });
        tensors.collect()
    }

    /// Counts tensors that have been moved to their places. Widened values are those of the halves
    /// that they come from.
    fn count_moved(
        &self,
        kernels: &Kernels,
        buffer: &DeviceBuffer,
    ) -> std::result::Result<Vec<Tally>, GpuError> {
        let mut count = TensorScan::new(kernels, buffer, &self.counted())?;
        count.landed(u64::MAX, &[])?;
        count.finish()
    }

    /// How bytes that landed beside the model get to their places.
    fn moves(&self, starts: &[u64]) -> Vec<Move> {
        let moves = self.files.iter().zip(starts).flat_map(|(file, start)| {
            file.tensors.iter().filter(|tensor| tensor.bytes > 0).map(move |tensor| {
                let (kind, count) = match (tensor.info.dtype, tensor.dtype) {
                    (DType::F16, DType::F32) => (MoveKind::WidenF16, tensor.bytes / 4),
                    (DType::BF16, DType::F32) => (MoveKind::WidenBf16, tensor.bytes / 4),
                    _ => (MoveKind::Copy, tensor.bytes),
                };
                let (from, to) = (start + tensor.info.begin, file.part.start + tensor.offset);
                Move { from, to, count, kind }
            })
        });
        moves.collect()
    }

    /// Puts everything together by file.
    fn found(&self, digests: Vec<Option<[u8; 32]>>, tallies: Vec<Tally>) -> Vec<Landed> {
        let mut tallies = tallies.into_iter();
        let landed = self.files.iter().zip(digests).map(|(file, digest)| {
            let scans = file.tensors.iter().map(|tensor| {
                match is_counted(tensor).then(|| tallies.next()).flatten() {
                    Some(tally) => Scan::counted(&tensor.info, &tally),
                    None => Scan::new(&tensor.info),
                }
            });
            Landed { digest, scans: scans.collect() }
        });
        landed.collect()
    }
}

/// Whether bytes may stay where they land: at the offsets that they have in the file.
fn is_direct(file: &File) -> bool {
    file.tensors.iter().all(|tensor| {
        tensor.bytes == 0
            || (tensor.dtype == tensor.info.dtype && tensor.offset == tensor.info.begin)
    })
}

/// Whether the gates look at values of this tensor.
fn is_counted(tensor: &Held) -> bool {
    tensor.bytes > 0 && element(tensor.dtype).is_some()
}

const fn element(dtype: DType) -> Option<Element> {
    match dtype {
        DType::F16 => Some(Element::F16),
        DType::BF16 => Some(Element::BF16),
        DType::F32 => Some(Element::F32),
        _ => None,
    }
}
