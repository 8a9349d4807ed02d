//! What a reply to a load tells of the file: its size, and the table of its tensors.

use super::expected::{kept, may_be_left_out};
use crate::contract::reply::Loaded;
use crate::contract::request::DtypePolicy;
use crate::harness::fixture::Truth;
use crate::harness::record::{Basis, Check, Values};
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Checks the size that a reply tells of the file.
pub fn size_of_file(case_run: &CaseRun<'_>, file: &str, loaded: &Loaded) -> Result<Check, CaseEnd> {
    let own = case_run.file(file)?.fixture.bytes.len() as u64;
    Ok(Check::equal("size of the file", own, loaded.file_bytes, Basis::Observed))
}

/// Compares names, element types, shapes and sizes in any order, since the format defines no order.
pub fn table(
    case_run: &CaseRun<'_>,
    file: &str,
    keep: DtypePolicy,
    loaded: &Loaded,
) -> Result<Check, CaseEnd> {
    let shown = |truth: &Truth| {
        let dtype = kept(truth.dtype, keep);
        let bytes = truth.elements() * dtype.bits() / 8;
        format!("{:?} {} as {dtype} {:?}, {bytes} bytes", truth.name, truth.dtype, truth.shape)
    };
    let (optional, own): (Vec<&Truth>, Vec<&Truth>) = case_run
        .file(file)?
        .tensors()?
        .iter()
        .partition(|truth| may_be_left_out(case_run, file, truth));
    let mut own: Vec<String> = own.into_iter().map(shown).collect();
    let optional: Vec<String> = optional.into_iter().map(shown).collect();
    let mut claimed: Vec<String> = loaded
        .tensors
        .iter()
        .map(|entry| {
            format!(
                "{:?} {} as {} {:?}, {} bytes",
                entry.name, entry.stored, entry.dtype, entry.shape, entry.bytes
            )
        })
        .collect();
    claimed.retain(|entry| !optional.contains(entry));
    own.sort();
    claimed.sort();
    let what = format!("table of {} tensors", own.len());
    Ok(match own.iter().zip(&claimed).find(|(own, claimed)| own != claimed) {
        Some((own, claimed)) => Check::broken(what, own, claimed, Basis::Observed)
            .with(other_type(case_run.file(file)?.tensors()?, keep, loaded)),
        None => Check::equal(what, own.len(), claimed.len(), Basis::Observed),
    })
}

/// The first tensor that is held as another element type than the one asked for.
fn other_type(tensors: &[Truth], keep: DtypePolicy, loaded: &Loaded) -> Option<Values> {
    tensors.iter().find_map(|truth| {
        let entry = loaded.tensors.iter().find(|entry| entry.name == truth.name)?;
        let dtype = kept(truth.dtype, keep);
        let name = match (entry.stored == truth.dtype, entry.dtype == dtype) {
            (false, _) => format!("{} taken for {}", truth.dtype, entry.stored),
            (true, false) if entry.dtype == truth.dtype => {
                format!("{} not widened to {dtype}", truth.dtype)
            }
            (true, false) => format!("{} held as {}", truth.dtype, entry.dtype),
            (true, true) => return None,
        };
        Some(Values {
            difference: Some(name),
            or: Vec::new(),
            tensor: truth.name.clone(),
            dtype: truth.dtype.to_string(),
            kept: (dtype != truth.dtype).then(|| dtype.to_string()),
            element: 0,
            stored: truth.dtype.to_string(),
            expected: (dtype != truth.dtype).then(|| dtype.to_string()),
            found: entry.dtype.to_string(),
            wrong: 0,
            of: truth.elements(),
        })
    })
}
