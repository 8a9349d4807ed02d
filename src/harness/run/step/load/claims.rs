//! Checks each claim of a load's reply against what the harness knows about the file.

use serde_json::json;

use super::memory_plan;
use crate::contract::Device;
use crate::contract::plan::Residency;
use crate::contract::reply::Loaded;
use crate::harness::case::expect::LoadCheck;
use crate::harness::case::step::Load;
use crate::harness::fixture::Truth;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::words::wire;
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::expected::{format, may_be_left_out, most_held, payloads};
use crate::harness::run::step::table::{size_of_file, table};

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
            let size = size_of_file(case_run, &step.file, loaded)?;
            case_run.check(size)?;
            let check = table(case_run, &step.file, step.keep, loaded)?;
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
