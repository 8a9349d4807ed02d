//! What a load must result in: its format, the element types in memory, and the bytes that they
//! take. The harness derives this from the file and the request.

use crate::contract::DType;
use crate::contract::request::{DtypePolicy, Format};
use crate::harness::case::step::Load;
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

/// Bytes that a model's tensors must take in memory.
pub fn payload(case_run: &CaseRun<'_>, model: &str) -> Result<u64, CaseEnd> {
    let model = case_run.model(model)?;
    let tensors = model.from.tensors()?;
    Ok(tensors
        .iter()
        .map(|truth| truth.elements() * kept(truth.dtype, model.keep).bits() / 8)
        .sum())
}

/// The format of a load: the one that the step names, else that of the file.
pub fn format(case_run: &CaseRun<'_>, step: &Load) -> Format {
    let own = case_run.placed.get(&step.file).map(|model| model.format);
    step.format.or(own).unwrap_or_default()
}
