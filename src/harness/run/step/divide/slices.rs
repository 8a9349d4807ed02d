//! Compares the bytes of a rank with the slices of the file that it says it holds.

use std::collections::BTreeMap;

use crate::contract::Capability;
use crate::contract::parallel::{RankPart, Slice};
use crate::harness::case::divide::Divide;
use crate::harness::fixture::Truth;
use crate::harness::plan::{Interval, Share, spans};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun, FixtureOnDisk};
use crate::harness::run::step::loaded_bytes::{Found, by_file_of, by_ipc_of, first_difference};

/// Fetches everything that a rank holds and compares it.
///
/// # Errors
/// [`CaseEnd::Failed`] where a byte differs, or where something is missing or too much.
pub fn compare(
    case_run: &mut CaseRun<'_>,
    step: &Divide,
    handle: u64,
    part: &RankPart,
) -> Result<(), CaseEnd> {
    let made_from = case_run.file(&step.file)?.fixture.bytes.len() as u64;
    let rank = Some(part.rank);
    if part.device.is_gpu() {
        let found = by_ipc_of(case_run, handle, part.device, rank)?;
        judge(case_run, step, part, &found, "CUDA IPC")?;
    }
    // Only a file has shapes. Without a GPU it is the one way to the bytes.
    if !part.device.is_gpu() || case_run.serves(Capability::Read) {
        let found = by_file_of(case_run, handle, made_from, rank)?;
        judge(case_run, step, part, &found, "a file")?;
    }
    Ok(())
}

fn judge(
    case_run: &mut CaseRun<'_>,
    step: &Divide,
    part: &RankPart,
    found: &BTreeMap<String, Found>,
    way: &str,
) -> Result<(), CaseEnd> {
    let placed = case_run.file(&step.file)?.clone();
    let what = format!("slices of rank {}, byte for byte, through {way}", part.rank);
    let verdict = case_run.gathering(|_| same(&placed, part, found))?;
    let check = match verdict {
        Ok(bytes) => {
            Check::judged(what, "those of the file", Ok(format!("{bytes} bytes")), Basis::Observed)
        }
        Err((expected, found)) => Check::judged(what, expected, Err(found), Basis::Observed),
    };
    case_run.check(check)
}

/// Bytes of all slices that a rank claims.
pub fn bytes(case_run: &CaseRun<'_>, file: &str, part: &RankPart) -> Result<u64, CaseEnd> {
    let placed = case_run.file(file)?;
    let tensors = by_name(placed)?;
    let of_slice = |slice: &Slice| {
        let truth = tensors.get(slice.tensor.as_str())?;
        let elements = share(slice).elements().saturating_add(padding(slice, truth));
        Some(elements.saturating_mul(truth.dtype.bits()) / 8)
    };
    Ok(part.tensors.iter().filter_map(of_slice).fold(0, u64::saturating_add))
}

/// What was expected, and what was found.
type Difference = (String, String);

fn same(
    placed: &FixtureOnDisk,
    part: &RankPart,
    found: &BTreeMap<String, Found>,
) -> Result<Result<u64, Difference>, CaseEnd> {
    let tensors = by_name(placed)?;
    let mut total = 0;
    for slice in &part.tensors {
        let name = &slice.tensor;
        let Some(truth) = tensors.get(name.as_str()) else {
            return Ok(Err(("tensors of the file".to_owned(), format!("{name:?}"))));
        };
        let share = share(slice);
        if let Some(misfit) = share.misfit(&truth.shape) {
            return Ok(Err((format!("{name:?}: a part of {:?}", truth.shape), misfit)));
        }
        // A slice may not be larger than its tensor, however often a loader names the same elements.
        if share.repeats() {
            return Ok(Err((format!("{name:?}: each element once"), "some twice".to_owned())));
        }
        let expected = expected(placed, truth, slice, &share);
        let Some(there) = found.get(name) else {
            match expected.is_empty() {
                true => continue,
                false => {
                    return Ok(Err((format!("{name:?} {share}"), "no such tensor".to_owned())));
                }
            }
        };
        if let Some(claimed) = there.dtype.filter(|dtype| *dtype != truth.dtype) {
            return Ok(Err((format!("{name:?} as {}", truth.dtype), claimed.to_string())));
        }
        let shape = shape(&share, slice);
        if let Some(written) = there.shape.as_ref().filter(|written| **written != shape) {
            return Ok(Err((
                format!("{name:?} {share} of shape {shape:?}"),
                format!("{written:?}"),
            )));
        }
        if there.bytes != expected {
            let (wanted, told) = first_difference(&expected, &there.bytes);
            return Ok(Err((format!("{name:?} {share}: {wanted}"), told)));
        }
        total += expected.len() as u64;
    }
    let claimed = |name: &&String| part.tensors.iter().any(|slice| slice.tensor == **name);
    match found.keys().find(|name| !claimed(name)) {
        Some(name) => Ok(Err(("only what it says it holds".to_owned(), format!("{name:?} too")))),
        None => Ok(Ok(total)),
    }
}

/// The bytes of a slice: those of the file, in the order of the rank, and zeros for its padding.
fn expected(placed: &FixtureOnDisk, truth: &Truth, slice: &Slice, share: &Share) -> Vec<u8> {
    let stored = placed.stored(truth);
    let width = truth.dtype.bits() / 8;
    let mut bytes = Vec::new();
    for spans in spans::of(share, &truth.shape, width, 0) {
        for Interval { begin, end } in spans.iter() {
            bytes.extend_from_slice(&stored[begin as usize..end as usize]);
        }
    }
    let padded = bytes.len() + (padding(slice, truth) * width) as usize;
    bytes.resize(padded.min(bytes.len() + stored.len()), 0);
    bytes
}

/// The shape of a slice, with the rows of zeros behind it.
fn shape(share: &Share, slice: &Slice) -> Vec<u64> {
    let mut shape = share.shape();
    if let Some(rows) = shape.first_mut() {
        *rows = rows.saturating_add(slice.padding);
    }
    shape
}

/// Elements of the rows of zeros behind a slice.
fn padding(slice: &Slice, truth: &Truth) -> u64 {
    let row = truth.shape.iter().skip(1).fold(1, |all: u64, side| all.saturating_mul(*side));
    slice.padding.min(truth.shape.first().copied().unwrap_or(0)).saturating_mul(row)
}

/// The elements that a slice claims.
pub fn share(slice: &Slice) -> Share {
    let side = |held: &Vec<[u64; 2]>| held.iter().copied().map(Interval::from).collect::<Vec<_>>();
    slice.ranges.iter().map(side).collect::<Vec<_>>().into()
}

fn by_name(placed: &FixtureOnDisk) -> Result<BTreeMap<&str, &Truth>, CaseEnd> {
    Ok(placed.tensors()?.iter().map(|truth| (truth.name.as_str(), truth)).collect())
}
