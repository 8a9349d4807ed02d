//! Steps that compare a loaded model's bytes with its file, or change them from outside.

use super::ipc::Imported;
use super::loaded_bytes::{by_file, compare_all};
use super::slices;
use crate::harness::case::step::{Compare, Poke};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Compares every tensor of a model with its file; of a divided model, every slice of each rank.
pub fn compare(case_run: &mut CaseRun<'_>, step: &Compare) -> Result<(), CaseEnd> {
    case_run.begin(format!("fetch every byte of {} and compare", step.model));
    let model = case_run.model(&step.model)?;
    let (file, handle, parts) = (model.file.clone(), model.handle, model.loaded.parts.clone());
    if !parts.is_empty() {
        return parts.iter().try_for_each(|part| slices::compare(case_run, &file, handle, part));
    }
    compare_all(case_run, &step.model, step.route)
}

/// Writes a pattern into the first tensor from here, and reads it back through the loader.
pub fn poke(case_run: &mut CaseRun<'_>, step: &Poke) -> Result<(), CaseEnd> {
    case_run.begin(format!("write into {} by CUDA IPC, read it through the loader", step.model));
    let imported = Imported::open(case_run, &step.model)?;
    let Some(placement) = imported.placements.iter().find(|placement| placement.bytes >= 4) else {
        return Err(CaseEnd::Fault("no tensor to write into".to_owned()));
    };
    let pattern: Vec<u8> = (0..placement.bytes).map(|_| rand::random::<u8>() & 0x3f).collect();
    imported.write(case_run, placement, &pattern)?;
    let found = by_file(case_run, &step.model)?;
    let read = found.get(&placement.name).map(|found| found.bytes.as_slice()).unwrap_or_default();
    let same = if read == pattern { Ok(String::new()) } else { Err("other bytes".to_owned()) };
    case_run.check(Check::judged(
        "what the loader reads",
        "the bytes just written from outside",
        same,
        Basis::Observed,
    ))
}
