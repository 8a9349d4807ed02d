//! Checks each claim of a load's reply against what the harness knows about the file.

use serde_json::json;

use super::memory_plan;
use crate::contract::Device;
use crate::contract::plan::Residency;
use crate::contract::reply::Loaded;
use crate::harness::case::expect::LoadCheck;
use crate::harness::case::step::Load;
use crate::harness::fixture::Truth;
use crate::harness::record::{Basis, Check, Values};
use crate::harness::run::case_run::words::wire;
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::expected::{format, kept, may_be_left_out, most_held, payloads};

/// Checks one claim.
///
/// # Errors
/// [`CaseEnd::Failed`] where it does not hold.
pub fn claim_holds(
    case_run: &mut CaseRun<'_>,
    step: &Load,
    check: LoadCheck,
    loaded: &Loaded,
    device: Device,
) -> Result<(), CaseEnd> {
    let check = match check {
        LoadCheck::Device => Check::equal("device", device, loaded.device, Basis::Declared),
        LoadCheck::Sha256 => {
            let own = case_run.file(&step.file)?.fixture.sha256().to_owned();
            let claimed = loaded.sha256.clone().unwrap_or_else(|| "none".to_owned());
            Check::equal("SHA-256 of the file", own, claimed, Basis::Observed)
        }
        LoadCheck::Table => {
            let own = case_run.file(&step.file)?.fixture.bytes.len() as u64;
            case_run.check(Check::equal(
                "size of the file",
                own,
                loaded.file_bytes,
                Basis::Observed,
            ))?;
            let check = table(case_run, step, loaded)?;
            // GGUF and APR have names, orders and types of their own, and loaders report either.
            match format(case_run, step).is_usual() {
                true => check,
                false => check.as_policy(),
            }
        }
        LoadCheck::Metadata => {
            let own = &case_run.file(&step.file)?.fixture.metadata;
            let show = |map: &Option<_>| json!(map).to_string();
            Check::equal("__metadata__", show(own), show(&loaded.metadata), Basis::Observed)
        }
        LoadCheck::Gates => return gates(case_run, step, loaded),
        LoadCheck::Held => {
            let (payload, besides) = payloads(case_run, &step.name)?;
            let most = most_held(payload + besides);
            // Quantised blocks of another format may be held as they are stored, and they are most
            // of the file.
            let file = case_run.file(&step.file)?.fixture.bytes.len() as u64;
            let least = match format(case_run, step).is_usual() {
                true => payload,
                false => payload.min(file / 2),
            };
            let wanted = format!("{least} to {most}");
            let what = "bytes held for the model";
            Check::within(what, wanted, loaded.held_bytes, Basis::Declared)
        }
        LoadCheck::Transfer => transfer(loaded),
        LoadCheck::Plan => return memory_plan::planned(case_run, step, loaded),
        LoadCheck::Whole => memory_plan::mode(loaded, Residency::Whole),
        LoadCheck::Streamed => memory_plan::mode(loaded, Residency::Streamed),
        LoadCheck::Unused => memory_plan::unused(case_run, step, loaded)?,
        // The load step has already compared the times with its clock.
        LoadCheck::Times => return Ok(()),
    };
    case_run.check(check)
}

/// Compares names, element types, shapes and sizes in any order, since the format defines no order.
fn table(case_run: &CaseRun<'_>, step: &Load, loaded: &Loaded) -> Result<Check, CaseEnd> {
    let shown = |truth: &Truth| {
        let dtype = kept(truth.dtype, step.keep);
        let bytes = truth.elements() * dtype.bits() / 8;
        format!("{:?} {} as {dtype} {:?}, {bytes} bytes", truth.name, truth.dtype, truth.shape)
    };
    let (optional, own): (Vec<&Truth>, Vec<&Truth>) = case_run
        .file(&step.file)?
        .tensors()?
        .iter()
        .partition(|truth| may_be_left_out(case_run, &step.file, truth));
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
            .with(other_type(case_run.file(&step.file)?.tensors()?, step, loaded)),
        None => Check::equal(what, own.len(), claimed.len(), Basis::Observed),
    })
}

/// The first tensor that is held as another element type than the one asked for.
fn other_type(tensors: &[Truth], step: &Load, loaded: &Loaded) -> Option<Values> {
    tensors.iter().find_map(|truth| {
        let entry = loaded.tensors.iter().find(|entry| entry.name == truth.name)?;
        let dtype = kept(truth.dtype, step.keep);
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

fn gates(case_run: &mut CaseRun<'_>, step: &Load, loaded: &Loaded) -> Result<(), CaseEnd> {
    let counts = case_run.gathering(|case_run| {
        let truth = case_run.file(&step.file)?.fixture.gates();
        let none = || CaseEnd::Fault("no gates for such a file".to_owned());
        truth.map(|truth| truth.counts.clone()).ok_or_else(none)
    })?;
    let tensors = case_run.file(&step.file)?.tensors()?.iter();
    let optional = |truth: &&Truth| may_be_left_out(case_run, &step.file, truth);
    let optional = tensors.filter(optional).count() as u64;
    for own in counts {
        let report = loaded.gates.iter().find(|report| report.gate == own.gate);
        let elements = format!("{} to {}", own.least_elements, own.most_elements);
        let exempt = format!("{} to {}", own.exempt.saturating_sub(optional), own.exempt);
        case_run.check(Check::within(
            format!("{} gate", wire(own.gate)),
            format!(
                "{} tensors and {elements} elements checked, {exempt} tensors exempt",
                own.checked
            ),
            report.map_or_else(
                || "the gate did not run".to_owned(),
                |report| {
                    format!(
                        "{} tensors and {} elements checked, {} tensors exempt",
                        report.checked, report.elements, report.exempt
                    )
                },
            ),
            Basis::Declared,
        ))?;
    }
    Ok(())
}

fn transfer(loaded: &Loaded) -> Check {
    let small = 512 << 20;
    let wanted = format!("pinned, asynchronous, at most {small} bytes of staging");
    let not = |is: bool| if is { "" } else { "not " };
    let said = loaded.transfer.as_ref().map(|said| {
        let (pinned, asynchronous) = (not(said.pinned), not(said.asynchronous));
        let bytes = said.staging_bytes;
        format!("{pinned}pinned, {asynchronous}asynchronous, {bytes} bytes of staging")
    });
    let said = said.unwrap_or_else(|| "not reported".to_owned());
    Check::within("transfer", wanted, said, Basis::Declared)
}
