//! The bytes that were really loaded, fetched by the harness and compared with the file's.

pub mod ipc;
use std::collections::BTreeMap;

use self::ipc::Imported;
use super::load::claims::kept;
use crate::contract::DType;
use crate::contract::reply::Reply;
use crate::contract::request::{self, DtypePolicy, Request};
use crate::harness::case::step::{Compare, Poke, Route};
use crate::harness::evidence::digest::sha256_hex;
use crate::harness::oracle::widen::same_after_widening;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop};

/// A tensor as it was found: element type where the route tells it, and bytes.
struct Found {
    dtype: Option<DType>,
    bytes: Vec<u8>,
}

/// Compares every tensor of a model with its file.
pub fn compare(attempt: &mut Attempt<'_>, step: &Compare) -> Result<(), Stop> {
    attempt.begin(format!("fetch every byte of {} and compare", step.model));
    compare_all(attempt, &step.model, step.route)
}

/// The same within another step.
pub fn compare_all(attempt: &mut Attempt<'_>, model: &str, route: Route) -> Result<(), Stop> {
    let by_ipc = match route {
        Route::Auto => attempt.model(model)?.loaded.device.is_gpu(),
        Route::Ipc => true,
        Route::File => false,
    };
    let found = if by_ipc { by_ipc_all(attempt, model)? } else { by_file(attempt, model)? };
    let check = attempt.gathering(|attempt| same(attempt, model, &found, by_ipc))?;
    attempt.check(check)
}

/// Bytes that a model's tensors must take in memory.
pub fn payload(attempt: &Attempt<'_>, model: &str) -> Result<u64, Stop> {
    let model = attempt.model(model)?;
    let tensors = model.from.tensors()?;
    Ok(tensors
        .iter()
        .map(|truth| truth.elements() * kept(truth.dtype, model.keep).bits() / 8)
        .sum())
}

fn same(
    attempt: &Attempt<'_>,
    model: &str,
    found: &BTreeMap<String, Found>,
    by_ipc: bool,
) -> Result<Check, Stop> {
    let model = attempt.model(model)?;
    let placed = &model.from;
    let tensors = placed.tensors()?;
    let way = if by_ipc { "CUDA IPC" } else { "a file" };
    let what = format!("{} tensors, byte for byte, through {way}", tensors.len());
    let broken = |expected: String, found: String| {
        Ok(Check::of(&what, expected, found, false, Basis::Observed))
    };
    let mut total = 0u64;
    for truth in tensors {
        let Some(there) = found.get(&truth.name) else {
            return broken(format!("tensor {:?}", truth.name), "no such tensor".to_owned());
        };
        let dtype = kept(truth.dtype, model.keep);
        if let Some(claimed) = there.dtype
            && claimed != dtype
        {
            return broken(format!("{:?} as {dtype}", truth.name), claimed.to_string());
        }
        let stored = placed.stored(truth);
        total += there.bytes.len() as u64;
        if model.keep == DtypePolicy::F32 && dtype != truth.dtype {
            if let Err(mismatch) = same_after_widening(truth.dtype, stored, &there.bytes) {
                let expected = format!("{:?} widened from {}", truth.name, truth.dtype);
                return broken(expected, mismatch.to_string());
            }
        } else if stored != there.bytes {
            return broken(
                format!("{:?}: {}", truth.name, first_difference(stored, &there.bytes).0),
                first_difference(stored, &there.bytes).1,
            );
        }
    }
    if found.len() != tensors.len() {
        return broken(format!("{} tensors", tensors.len()), format!("{} tensors", found.len()));
    }
    Ok(Check::of(&what, "equal", format!("{total} bytes equal"), true, Basis::Observed))
}

/// Where two byte strings first differ, told from both sides.
fn first_difference(expected: &[u8], found: &[u8]) -> (String, String) {
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

fn by_file(attempt: &mut Attempt<'_>, model: &str) -> Result<BTreeMap<String, Found>, Stop> {
    let (handle, size) = {
        let model = attempt.model(model)?;
        (model.handle, model.loaded.held_bytes)
    };
    let into = attempt.scratch_file();
    let request = Request::Read(request::Read { handle, into: into.clone() });
    let written = match attempt.ask(request, size)? {
        Ok(Reply::Read(written)) => written,
        Ok(other) => return Err(Stop::Fault(format!("a {} reply to read", other.verb()))),
        Err(failure) => return Err(attempt.unexpected("tensors written", &failure)),
    };
    let bytes = attempt.gathering(|_| std::fs::read(&into));
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => {
            attempt.check(Check::of(
                "file read back",
                "readable",
                error,
                false,
                Basis::Observed,
            ))?;
            return Err(Stop::Failed);
        }
    };
    let digest = attempt.gathering(|_| {
        // The file has served; the folder goes with the case if this fails.
        let _gone = std::fs::remove_file(&into);
        sha256_hex(&bytes)
    });
    attempt.check(Check::equal(
        "SHA-256 of the file written",
        digest,
        written.sha256,
        Basis::Observed,
    ))?;
    parse(attempt, &bytes)
}

fn parse(attempt: &mut Attempt<'_>, bytes: &[u8]) -> Result<BTreeMap<String, Found>, Stop> {
    let parsed = match safetensors::SafeTensors::deserialize(bytes) {
        Ok(parsed) => parsed,
        Err(error) => {
            let check =
                Check::of("file written", "a safetensors file", error, false, Basis::Observed);
            attempt.check(check)?;
            return Err(Stop::Failed);
        }
    };
    Ok(parsed
        .iter()
        .map(|(name, view)| {
            let dtype = DType::from_name(&format!("{:?}", view.dtype()));
            (name.to_owned(), Found { dtype, bytes: view.data().to_vec() })
        })
        .collect())
}

fn by_ipc_all(attempt: &mut Attempt<'_>, model: &str) -> Result<BTreeMap<String, Found>, Stop> {
    let imported = Imported::open(attempt, model)?;
    let mut found = BTreeMap::new();
    for placement in &imported.placements {
        let bytes = imported.read(attempt, placement)?;
        found.insert(placement.name.clone(), Found { dtype: None, bytes });
    }
    Ok(found)
}

/// Writes a pattern into the first tensor from here, and reads it back through the loader.
pub fn poke(attempt: &mut Attempt<'_>, step: &Poke) -> Result<(), Stop> {
    attempt.begin(format!("write into {} by CUDA IPC, read it through the loader", step.model));
    let imported = Imported::open(attempt, &step.model)?;
    let Some(placement) = imported.placements.iter().find(|placement| placement.bytes >= 4) else {
        return Err(Stop::Fault("no tensor to write into".to_owned()));
    };
    let pattern: Vec<u8> = (0..placement.bytes).map(|_| rand::random::<u8>() & 0x3f).collect();
    imported.write(attempt, placement, &pattern)?;
    let found = by_file(attempt, &step.model)?;
    let read = found.get(&placement.name).map(|found| found.bytes.as_slice()).unwrap_or_default();
    let held = read == pattern;
    attempt.check(Check::of(
        "what the loader reads",
        "the bytes just written from outside",
        if held { "those bytes" } else { "other bytes" },
        held,
        Basis::Observed,
    ))
}
