//! The bytes of a loaded model: fetched through a file or by CUDA IPC, and compared with its file.

use std::collections::BTreeMap;

use super::expected::{kept, may_be_left_out};
use super::ipc::{Asked, Imported, shut};
use crate::contract::reply::Reply;
use crate::contract::request::{self, DtypePolicy, Request};
use crate::contract::{DType, Device, Failure};
use crate::harness::case::step::Route;
use crate::harness::evidence::digest::sha256_hex;
use crate::harness::fixture::Truth;
use crate::harness::oracle::difference::{Tensor, difference};
use crate::harness::oracle::widen::same_after_widening;
use crate::harness::record::{Basis, Check, Values};
use crate::harness::run::case_run::{CaseEnd, CaseRun, FixtureOnDisk};

/// A tensor as it was found: its element type and shape if the route reports them, and its bytes.
pub struct Found {
    pub(super) dtype: Option<DType>,
    pub(super) shape: Option<Vec<u64>>,
    /// Its elements, little-endian.
    pub bytes: Vec<u8>,
}

/// Compares every tensor of a model with its file.
pub fn compare_all(case_run: &mut CaseRun<'_>, model: &str, route: Route) -> Result<(), CaseEnd> {
    let by_ipc = match route {
        Route::Auto => case_run.model(model)?.loaded.device.is_gpu(),
        Route::Ipc => true,
        Route::File => false,
    };
    let found = if by_ipc { by_ipc_all(case_run, model)? } else { by_file(case_run, model)? };
    let check = case_run.gathering(|case_run| same(case_run, model, &found, by_ipc))?;
    case_run.check(check)
}

fn same(
    case_run: &CaseRun<'_>,
    model: &str,
    found: &BTreeMap<String, Found>,
    by_ipc: bool,
) -> Result<Check, CaseEnd> {
    let model = case_run.model(model)?;
    let placed = &model.from;
    let tensors = placed.tensors()?;
    let way = if by_ipc { "CUDA IPC" } else { "a file" };
    let what = format!("{} tensors, byte for byte, through {way}", tensors.len());
    let broken = |expected: String, found: String| {
        Ok(Check::judged(&what, expected, Err(found), Basis::Observed))
    };
    // Loaders of other formats give shapes in either order.
    let usual = !placed.fixture.is_imported();
    let (mut total, mut left_out) = (0u64, 0);
    for truth in tensors {
        let Some(there) = found.get(&truth.name) else {
            if may_be_left_out(case_run, &model.file, truth) {
                left_out += 1;
                continue;
            }
            return broken(format!("tensor {:?}", truth.name), "no such tensor".to_owned());
        };
        let dtype = kept(truth.dtype, model.keep);
        if let Some(claimed) = there.dtype
            && claimed != dtype
        {
            let check = broken(format!("{:?} as {dtype}", truth.name), claimed.to_string())?;
            return Ok(check.with(relabelled(placed, truth, there, dtype, claimed)));
        }
        let written = there.shape.as_ref().filter(|shape| usual && **shape != truth.shape);
        if let Some(shape) = written {
            return broken(
                format!("{:?} of shape {:?}", truth.name, truth.shape),
                format!("{shape:?}"),
            );
        }
        let stored = placed.stored(truth);
        total += there.bytes.len() as u64;
        if model.keep == DtypePolicy::F32 && dtype != truth.dtype {
            if let Err(mismatch) = same_after_widening(truth.dtype, stored, &there.bytes) {
                let expected = format!("{:?} widened from {}", truth.name, truth.dtype);
                let check = broken(expected, mismatch.to_string())?;
                return Ok(check.with(values(placed, truth, there, dtype)));
            }
        } else if stored != there.bytes {
            let check = broken(
                format!("{:?}: {}", truth.name, first_difference(stored, &there.bytes).0),
                first_difference(stored, &there.bytes).1,
            )?;
            return Ok(check.with(values(placed, truth, there, dtype)));
        }
    }
    let wanted = tensors.len() - left_out;
    if found.len() != wanted {
        return broken(format!("{wanted} tensors"), format!("{} tensors", found.len()));
    }
    Ok(Check::judged(&what, "equal", Ok(format!("{total} bytes")), Basis::Observed))
}

/// The first wrong element of a tensor, and what is wrong with all of them.
fn values(placed: &FixtureOnDisk, truth: &Truth, there: &Found, kept: DType) -> Option<Values> {
    let tensor =
        Tensor { dtype: truth.dtype, kept, shape: &truth.shape, stored: placed.stored(truth) };
    let all = placed.tensors().ok()?.iter().filter(|other| other.name != truth.name);
    let wrong = difference(&tensor, &there.bytes, all.map(|other| placed.stored(other)))?;
    let mut names = wrong.names.into_iter();
    Some(Values {
        difference: names.next(),
        or: names.collect(),
        tensor: truth.name.clone(),
        dtype: truth.dtype.to_string(),
        kept: (kept != truth.dtype).then(|| kept.to_string()),
        element: wrong.at as u64,
        stored: wrong.stored,
        expected: wrong.expected,
        found: wrong.found,
        wrong: wrong.wrong as u64,
        of: wrong.of as u64,
    })
}

/// The same of a tensor whose element type is not the one asked for.
fn relabelled(
    placed: &FixtureOnDisk,
    truth: &Truth,
    there: &Found,
    kept: DType,
    claimed: DType,
) -> Option<Values> {
    let mut values = values(placed, truth, there, kept).unwrap_or_else(|| Values {
        difference: Some(format!("{kept} bytes labelled {claimed}")),
        or: Vec::new(),
        tensor: truth.name.clone(),
        dtype: truth.dtype.to_string(),
        kept: (kept != truth.dtype).then(|| kept.to_string()),
        element: 0,
        stored: kept.to_string(),
        expected: None,
        found: claimed.to_string(),
        wrong: 0,
        of: truth.elements(),
    });
    values.difference.get_or_insert_with(|| format!("{kept} held as {claimed}"));
    Some(values)
}

/// The first difference of two byte strings, described for each of them.
pub fn first_difference(expected: &[u8], found: &[u8]) -> (String, String) {
    if expected.len() != found.len() {
        return (format!("{} bytes", expected.len()), format!("{} bytes", found.len()));
    }
    let at = expected.iter().zip(found).position(|(a, b)| a != b).unwrap_or(0);
    let wrong = expected.iter().zip(found).filter(|(a, b)| a != b).count();
    (
        format!("byte {at} is 0x{:02x}", expected[at]),
        format!("0x{:02x}; {wrong} of {} bytes differ", found[at], found.len()),
    )
}

/// Fetches every tensor of a model through a file that the loader writes.
///
/// # Errors
/// [`CaseEnd::Failed`] where the file is not the one claimed, or no safetensors file.
pub fn by_file(
    case_run: &mut CaseRun<'_>,
    model: &str,
) -> Result<BTreeMap<String, Found>, CaseEnd> {
    let (handle, made_from) = {
        let model = case_run.model(model)?;
        (model.handle, model.from.fixture.bytes.len() as u64)
    };
    by_file_of(case_run, handle, made_from, None)
}

/// The same for one rank of a divided model. `made_from` is the size of the model's file: what the judge has
/// made counts, not what the loader claims to hold.
///
/// # Errors
/// As above.
pub fn by_file_of(
    case_run: &mut CaseRun<'_>,
    handle: u64,
    made_from: u64,
    rank: Option<u32>,
) -> Result<BTreeMap<String, Found>, CaseEnd> {
    let answer = answer_by_file(case_run, handle, made_from, rank)?;
    answer.map_err(|failure| case_run.unexpected("tensors written", &failure))
}

/// The same where the loader may refuse it.
///
/// # Errors
/// As above.
pub fn answer_by_file(
    case_run: &mut CaseRun<'_>,
    handle: u64,
    made_from: u64,
    rank: Option<u32>,
) -> Result<Result<BTreeMap<String, Found>, Failure>, CaseEnd> {
    let into = case_run.scratch_file();
    let request = Request::Read(request::Read { handle, into: into.clone(), rank });
    let written = match case_run.ask(request, made_from)? {
        Ok(Reply::Read(written)) => written,
        Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to read", other.verb()))),
        Err(failure) => return Ok(Err(failure)),
    };
    let most = CaseRun::most_of_tensors(made_from);
    let bytes = case_run.gathering(|case_run| case_run.take_answer(&into, most));
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => {
            case_run.check(Check::broken("file read back", "readable", error, Basis::Observed))?;
            return Err(CaseEnd::Failed);
        }
    };
    let digest = case_run.gathering(|_| sha256_hex(&bytes));
    case_run.check(Check::equal(
        "SHA-256 of the file written",
        digest,
        written.sha256,
        Basis::Observed,
    ))?;
    let (size, told) = (bytes.len() as u64, written.bytes);
    case_run.check(Check::equal("size of the file written", size, told, Basis::Observed))?;
    parse(case_run, &bytes).map(Ok)
}

fn parse(case_run: &mut CaseRun<'_>, bytes: &[u8]) -> Result<BTreeMap<String, Found>, CaseEnd> {
    let parsed = match safetensors::SafeTensors::deserialize(bytes) {
        Ok(parsed) => parsed,
        Err(error) => {
            let check = Check::broken("file written", "a safetensors file", error, Basis::Observed);
            case_run.check(check)?;
            return Err(CaseEnd::Failed);
        }
    };
    Ok(parsed
        .iter()
        .map(|(name, view)| {
            let dtype = DType::from_name(&format!("{:?}", view.dtype()));
            let shape = Some(view.shape().iter().map(|side| *side as u64).collect());
            (name.to_owned(), Found { dtype, shape, bytes: view.data().to_vec() })
        })
        .collect())
}

fn by_ipc_all(case_run: &mut CaseRun<'_>, model: &str) -> Result<BTreeMap<String, Found>, CaseEnd> {
    let imported = Imported::open(case_run, model)?;
    every(case_run, &imported)
}

/// Fetches every slice of one rank of a divided model by CUDA IPC.
///
/// # Errors
/// [`CaseEnd::Failed`] where a handle does not open, or a slice lies outside of its block.
pub fn by_ipc_of(
    case_run: &mut CaseRun<'_>,
    handle: u64,
    device: Device,
    rank: Option<u32>,
) -> Result<BTreeMap<String, Found>, CaseEnd> {
    let imported = Imported::open_of(case_run, handle, device, rank)?;
    every(case_run, &imported)
}

/// The same where the loader may refuse it, or end the process of the rank because another one is lost: then it is
/// asked once more.
///
/// # Errors
/// As above.
pub fn answer_by_ipc(
    case_run: &mut CaseRun<'_>,
    handle: u64,
    device: Device,
    rank: Option<u32>,
) -> Result<Result<BTreeMap<String, Found>, Failure>, CaseEnd> {
    let mut asked = Imported::ask(case_run, handle, device, rank)?;
    if matches!(asked, Asked::Shut(_)) {
        asked = Imported::ask(case_run, handle, device, rank)?;
    }
    match asked {
        Asked::Open(imported) => every(case_run, &imported).map(Ok),
        Asked::Refused(failure) => Ok(Err(failure)),
        Asked::Shut(why) => Err(shut(case_run, why)),
    }
}

fn every(
    case_run: &mut CaseRun<'_>,
    imported: &Imported,
) -> Result<BTreeMap<String, Found>, CaseEnd> {
    let mut found = BTreeMap::new();
    for placement in &imported.placements {
        let bytes = imported.read(case_run, placement)?;
        found.insert(placement.name.clone(), Found { dtype: None, shape: None, bytes });
    }
    Ok(found)
}
