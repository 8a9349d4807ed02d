//! Where data is first copied to in device memory, how it moves from there to its final position,
//! and what is counted for the gates.

use super::shared::Place;
use crate::contract::DType;
use crate::gpu::{
    DeviceBuffer, Element, GpuError, Kernels, Move, MoveKind, ScanTensor, Tally, TensorScan,
};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::gates::{Scan, row_windows, windows};
use crate::loader::load::evidence::{FileEvidence, Hashed};
use crate::loader::open::files::File;

/// Returns where each file's data is in device memory, and the total size, in bytes.
pub fn places(files: &[File], direct: bool) -> (Vec<Place>, u64) {
    let mut end = 0u64;
    let places = files.iter().map(|file| {
        let start = if direct { file.part.start } else { end.next_multiple_of(256) };
        end = start + file.data_bytes();
        Place { start, data: 0..file.data_bytes() }
    });
    (places.collect(), end)
}

/// Returns what the gates count, in order, at the final positions: each tensor, followed by the rows
/// that its windows touch, if its rows may be zeros.
pub fn counted(files: &[File]) -> Vec<ScanTensor> {
    let of_tensor = |file: &File, tensor: &PlacedTensor| -> Option<Vec<ScanTensor>> {
        let elements = tensor.info.elements()?;
        let offset = file.part.start + tensor.offset;
        let element = element(tensor.dtype)?;
        let whole = ScanTensor { offset, elements, element, windows: windows(elements) };
        let rows = row_windows(&tensor.info).into_iter().flatten().map(|rows| ScanTensor {
            offset: offset + rows.start * element.bytes() as u64,
            elements: rows.end - rows.start,
            element,
            windows: windows(rows.end - rows.start),
        });
        Some(std::iter::once(whole).chain(rows).collect())
    };
    let tensors = files.iter().flat_map(|file| {
        let counted = file.tensors.iter().filter(|tensor| is_counted(tensor));
        counted.filter_map(move |tensor| of_tensor(file, tensor)).flatten()
    });
    tensors.collect()
}

/// Counts tensors that were moved to their positions. Widening keeps every value, so the counts are
/// those of the stored 16-bit values.
pub fn count_moved(
    files: &[File],
    kernels: &Kernels,
    buffer: &DeviceBuffer,
) -> std::result::Result<Vec<Tally>, GpuError> {
    let mut count = TensorScan::new(kernels, buffer, &counted(files))?;
    count.landed(u64::MAX, &[])?;
    count.tallies()
}

/// Returns the moves from the temporary memory to the final positions.
pub fn moves(files: &[File], places: &[Place]) -> Vec<Move> {
    let moves = files.iter().zip(places).flat_map(|(file, Place { start, .. })| {
        file.tensors.iter().filter(|tensor| tensor.bytes > 0).map(move |tensor| {
            let (kind, count) = match (tensor.info.dtype, tensor.dtype) {
                (DType::F16, DType::F32) => (MoveKind::WidenF16, tensor.bytes / 4),
                (DType::BF16, DType::F32) => (MoveKind::WidenBf16, tensor.bytes / 4),
                _ => (MoveKind::Copy, tensor.bytes),
            };
            let (from, to) = (start + tensor.info.begin, file.part.start + tensor.offset);
            Move::run(from, to, count, kind)
        })
    });
    moves.collect()
}

/// The scan of every tensor of each file, from the counts, or without any.
pub fn scans(files: &[File], tallies: Vec<Tally>) -> Vec<Vec<Scan>> {
    let mut tallies = tallies.into_iter();
    let of_file = |file: &File| {
        let scans = file.tensors.iter().map(|tensor| {
            match is_counted(tensor).then(|| tallies.next()).flatten() {
                Some(tally) => {
                    let rows = row_windows(&tensor.info).is_some();
                    let rows = rows.then(|| [(); 3].map(|()| tallies.next()));
                    let rows = rows.and_then(|[a, b, c]| Some([a?, b?, c?]));
                    Scan::counted(&tensor.info, &tally, rows)
                }
                None => Scan::new(&tensor.info),
            }
        });
        scans.collect()
    };
    files.iter().map(of_file).collect()
}

/// Joins digests and scans of each file.
pub fn evidence(digests: Vec<Option<[u8; 32]>>, scans: Vec<Vec<Scan>>) -> Vec<FileEvidence> {
    let joined = digests.into_iter().zip(scans).map(|(digest, scans)| {
        let hashed = digest.map_or(Hashed::Nothing, Hashed::Whole);
        FileEvidence { hashed, scans, tail: None }
    });
    joined.collect()
}

/// Whether all tensors keep their dtype and their offset of the file, so that no move is needed, and
/// none is left out, so that all data has a place.
pub fn is_direct(file: &File) -> bool {
    file.left_out.is_empty()
        && file.tensors.iter().all(|tensor| {
            tensor.bytes == 0
                || (tensor.dtype == tensor.info.dtype && tensor.offset == tensor.info.begin)
        })
}

/// Whether the gates count the values of this tensor.
fn is_counted(tensor: &PlacedTensor) -> bool {
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
