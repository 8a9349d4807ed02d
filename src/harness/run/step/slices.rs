//! Compares the bytes of a rank with the slices of the file that it says it holds.

use std::collections::BTreeMap;

use super::loaded_bytes::{
    Found, answer_by_file, answer_by_ipc, by_file_of, by_ipc_of, first_difference,
};
use crate::contract::parallel::{RankPart, Slice};
use crate::contract::{Capability, Failure};
use crate::harness::fixture::Truth;
use crate::harness::plan::{Interval, Share, spans};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun, FixtureOnDisk};

/// Fetches everything that a rank holds and compares it.
///
/// # Errors
/// [`CaseEnd::Failed`] where a byte differs, or where something is missing or too much.
pub fn compare(
    case_run: &mut CaseRun<'_>,
    file: &str,
    handle: u64,
    part: &RankPart,
) -> Result<(), CaseEnd> {
    let made_from = case_run.file(file)?.fixture.bytes.len() as u64;
    let rank = Some(part.rank);
    if part.device.is_gpu() {
        let found = by_ipc_of(case_run, handle, part.device, rank)?;
        judge(case_run, file, part, &found, "CUDA IPC")?;
    }
    // Only a file has shapes. Without a GPU it is the one way to the bytes.
    if !part.device.is_gpu() || case_run.serves(Capability::Read) {
        let found = by_file_of(case_run, handle, made_from, rank)?;
        judge(case_run, file, part, &found, "a file")?;
    }
    Ok(())
}

/// The same where the loader may refuse it, because a process of the ranks was hit. What it answers must be true.
/// Returns the refusal, if it is one.
///
/// # Errors
/// As above.
pub fn compare_or_refused(
    case_run: &mut CaseRun<'_>,
    file: &str,
    handle: u64,
    part: &RankPart,
) -> Result<Option<Failure>, CaseEnd> {
    let made_from = case_run.file(file)?.fixture.bytes.len() as u64;
    let rank = Some(part.rank);
    // A file has everything in one answer. A handle is of a process that may end before the judge has read.
    let by_file = !part.device.is_gpu() || case_run.serves(Capability::Read);
    let (answer, way) = match by_file {
        true => (answer_by_file(case_run, handle, made_from, rank)?, "a file"),
        false => (answer_by_ipc(case_run, handle, part.device, rank)?, "CUDA IPC"),
    };
    match answer {
        Ok(found) => judge(case_run, file, part, &found, way).map(|()| None),
        Err(failure) => Ok(Some(failure)),
    }
}

fn judge(
    case_run: &mut CaseRun<'_>,
    file: &str,
    part: &RankPart,
    found: &BTreeMap<String, Found>,
    way: &str,
) -> Result<(), CaseEnd> {
    let placed = case_run.file(file)?.clone();
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::contract::{DType, Device};
    use crate::harness::fixture::Fixture;

    /// A file with one matrix of six rows and four columns.
    fn placed() -> FixtureOnDisk {
        let recipe = serde_yaml::from_str("tensors: [{name: w, dtype: F32, shape: [6, 4]}]");
        let fixture = Fixture::build(&recipe.expect("a recipe"), 7, None).expect("a file");
        FixtureOnDisk { fixture: Arc::new(fixture), path: PathBuf::new() }
    }

    /// Its last two rows and a row of zeros: what a rank claims, and what is found there.
    fn rank(placed: &FixtureOnDisk) -> (RankPart, BTreeMap<String, Found>) {
        let slice = Slice {
            tensor: "w".to_owned(),
            ranges: vec![vec![[4, 6]], vec![[0, 4]]],
            padding: 1,
            adds: None,
        };
        let truth = &placed.tensors().expect("tensors")[0];
        let bytes = [&placed.stored(truth)[64..], &[0; 16]].concat();
        let found = Found { dtype: Some(DType::F32), shape: Some(vec![3, 4]), bytes };
        let (device, tensors) = (Device::Cpu, vec![slice]);
        let part =
            RankPart { rank: 2, device, held_bytes: 48, tensors, elsewhere: None, busy_us: None };
        (part, BTreeMap::from([("w".to_owned(), found)]))
    }

    #[test]
    fn a_slice_is_its_bytes_with_the_padding_and_nothing_else() {
        type Lie = fn(&mut Slice, &mut Found);
        let lies: [(Lie, &str, &str); 10] = [
            (|_, _| (), "", ""),
            (|_, found| found.bytes[5] ^= 1, "byte 5 is", "1 of 48 bytes differ"),
            (|_, found| found.bytes[47] = 1, "byte 47 is 0x00", "0x01"),
            (|slice, _| slice.tensor = "v".into(), "tensors of the file", "\"v\""),
            (|slice, _| slice.ranges[0] = vec![[4, 7]], "a part of [6, 4]", ""),
            (|slice, _| slice.ranges[0] = vec![[4, 6], [5, 6]], "each element once", "some twice"),
            (|_, found| found.dtype = Some(DType::F16), "as F32", "F16"),
            (|_, found| found.shape = Some(vec![4, 3]), "of shape [3, 4]", "[4, 3]"),
            (|slice, _| slice.padding = 0, "of shape [2, 4]", "[3, 4]"),
            // A sum with it must not overflow, nor may as many zeros be made.
            (|slice, _| slice.padding = u64::MAX, "of shape [18446744073709551615, 4]", "[3, 4]"),
        ];
        let placed = placed();
        for (lie, wanted, told) in lies {
            let (mut part, mut found) = rank(&placed);
            lie(&mut part.tensors[0], found.get_mut("w").expect("the slice"));
            match same(&placed, &part, &found).unwrap_or_else(|_| panic!("a fault")) {
                Ok(bytes) => assert!(wanted.is_empty() && bytes == 48, "{bytes}: {wanted}"),
                Err((expected, found)) => {
                    assert!(!wanted.is_empty(), "{expected}: {found}");
                    assert!(
                        expected.contains(wanted) && found.contains(told),
                        "{expected}: {found}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_padding_without_end_takes_no_memory() {
        let placed = placed();
        let (mut part, _) = rank(&placed);
        let truth = &placed.tensors().expect("tensors")[0];
        part.tensors[0].padding = u64::MAX;
        let bytes = expected(&placed, truth, &part.tensors[0], &share(&part.tensors[0]));
        assert_eq!(bytes.len(), 32 + 96, "its rows, and at most as much again as the tensor has");
    }

    #[test]
    fn what_is_missing_or_too_much_is_named() {
        let placed = placed();
        let (part, mut found) = rank(&placed);
        let more = Found { dtype: None, shape: None, bytes: Vec::new() };
        found.insert("v".to_owned(), more);
        let too_much = ("only what it says it holds".to_owned(), "\"v\" too".to_owned());
        assert!(same(&placed, &part, &found).is_ok_and(|same| same == Err(too_much)));
        let missing = same(&placed, &part, &BTreeMap::new());
        assert!(missing.is_ok_and(|same| same.is_err_and(|(_, told)| told == "no such tensor")));
    }
}
