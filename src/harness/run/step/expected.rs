//! What a load must result in: its format, the element types in memory, and the bytes that they
//! take. The harness derives this from the file and the request.

use crate::contract::DType;
use crate::contract::request::{DtypePolicy, Format};
use crate::harness::case::step::Load;
use crate::harness::fixture::Truth;
use crate::harness::oracle::gates::is_buffer;
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// One page of device memory: what an allocation may be rounded up to.
pub const PAGE: u64 = 2 << 20;

/// The most memory that an allocation of these bytes may take: 2 % and one page more.
pub fn most_held(bytes: u64) -> u64 {
    bytes + bytes / 50 + PAGE
}

/// The element type that a tensor has in memory.
pub fn kept(stored: DType, keep: DtypePolicy) -> DType {
    match (keep, stored) {
        (DtypePolicy::F32, DType::F16 | DType::BF16) => DType::F32,
        _ => stored,
    }
}

/// Whether a loader need not load a tensor of a model that is run: a buffer of an older export, or a tensor that the
/// architecture does not use. That the latter is named is another check.
pub fn may_be_left_out(case_run: &CaseRun<'_>, file: &str, truth: &Truth) -> bool {
    let model = case_run.placed.get(file);
    model.is_some_and(|model| {
        is_buffer(&truth.name, &truth.shape) || model.stray.contains(&truth.name)
    })
}

/// Bytes that a model's tensors must take in memory, and those that they may take besides.
pub fn payloads(case_run: &CaseRun<'_>, model: &str) -> Result<(u64, u64), CaseEnd> {
    let model = case_run.model(model)?;
    let sum = |optional: bool| -> Result<u64, CaseEnd> {
        let tensors = model.from.tensors()?.iter();
        let counted = tensors
            .filter(|truth| may_be_left_out(case_run, &model.file, truth) == optional)
            .map(|truth| truth.elements() * kept(truth.dtype, model.keep).bits() / 8);
        Ok(counted.sum())
    };
    Ok((sum(false)?, sum(true)?))
}

/// Bytes that a model's tensors must take in memory.
pub fn payload(case_run: &CaseRun<'_>, model: &str) -> Result<u64, CaseEnd> {
    payloads(case_run, model).map(|(least, _)| least)
}

/// The format of a load: the one that the step names, else that of the file.
pub fn format(case_run: &CaseRun<'_>, step: &Load) -> Format {
    let own = case_run.placed.get(&step.file).map(|model| model.format);
    step.format.or(own).unwrap_or_default()
}
