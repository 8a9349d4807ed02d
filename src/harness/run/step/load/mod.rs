//! Steps that load and unload models, ask what is held, and send malformed requests.

pub mod claims;
pub mod flips;
pub mod memory_plan;
pub mod race;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use self::claims::claim_holds;
use self::race::Answered;
use super::expected::{PAGE, format, payloads};
use super::keep::keep;
use super::loaded_bytes::compare_all;
use super::refusal::{names, refused, wanted};
use super::sealing::{sound_seal, write_seal};
use super::times::times;
use crate::contract::reply::{Loaded, Reply};
use crate::contract::request::{self, Request};
use crate::contract::{Capability, Device};
use crate::harness::case::expect::LoadOutcome;
use crate::harness::case::seal::Sealing;
use crate::harness::case::step::{Load, MalformedRequest, Meanwhile, Pin, Stat, Unload, Write};
use crate::harness::fixture::Fixture;
use crate::harness::record::{Basis, Check, Digits};
use crate::harness::run::case_run::{
    CaseEnd, CaseRun, FixtureOnDisk, failure_claim, summary, view,
};

/// Asks for a load and judges the result.
pub fn load(case_run: &mut CaseRun<'_>, step: &Load) -> Result<(), CaseEnd> {
    let device = match step.next_card {
        true => view::next_card(case_run.device())?,
        false => step.device.unwrap_or(case_run.device()),
    };
    let sealing = sealing(case_run, step);
    let mode = if sealing.is_some() { "sealed" } else { "strict" };
    case_run.begin(format!("load {} to {device}, {mode}", step.file));
    let seal = sealing.map(|sealing| write_seal(case_run, &step.file, &sealing)).transpose()?;
    let placed = case_run.file(&step.file)?;
    let (path, size) = (placed.path.clone(), placed.fixture.bytes.len() as u64);
    let gates = case_run.introduction.capabilities.get(&Capability::Gates);
    let admit = step.admit.unwrap_or(gates.is_some_and(|support| support.supported));
    let known = case_run.placed.get(&step.file);
    let inference = known.map(|model| model.inference());
    let format = format(case_run, step);
    let request = request::Load {
        path,
        format,
        device,
        keep: step.keep,
        expect_sha256: pin(step.sha256, &placed.fixture),
        seal,
        admit,
        parallel: None,
        inference,
    };
    let Answered { answer, began, answered } = race::ask(case_run, step, &request, size)?;
    let answer = match answer {
        Ok(Reply::Load(loaded)) => Ok(loaded),
        Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to load", other.verb()))),
        Err(failure) => Err(failure),
    };
    let loaded_checks = match &step.expect {
        LoadOutcome::Loaded(checks) => Some(checks),
        LoadOutcome::Either(either) => Some(&either.loaded),
        LoadOutcome::Refused(_) | LoadOutcome::OneOf(_) => None,
    };
    match (&step.expect, answer) {
        (LoadOutcome::Loaded(_) | LoadOutcome::Either(_), Ok(loaded)) => {
            note_rate(case_run, size, answered - began, device, mode)?;
            keep(case_run, (&step.file, &step.name), (step.keep, device), &loaded)?;
            in_time(case_run, step, size, answered - began)?;
            times(case_run, step, &loaded, answered - began)?;
            let mut checks = loaded_checks.into_iter().flatten();
            checks.try_for_each(|check| claim_holds(case_run, step, *check, &loaded, device))
        }
        (LoadOutcome::Either(either), Err(failure)) => {
            refused(case_run, &either.refused, &failure)?;
            case_run.refused.insert(step.name.clone());
            case_run.check_nothing_left()
        }
        (LoadOutcome::Loaded(_), Err(failure)) => Err(case_run.not_loaded(&step.file, &failure)),
        (LoadOutcome::Refused(refusal), Err(failure)) => {
            refused(case_run, refusal, &failure)?;
            case_run.check_nothing_left()
        }
        (LoadOutcome::Refused(refusal), Ok(loaded)) => {
            keep(case_run, (&step.file, &step.name), (step.keep, device), &loaded)?;
            if let Some(filled) = &case_run.ballast {
                let alone = filled.nobody_made_room(&case_run.family()?, case_run.device());
                alone.map_err(CaseEnd::Untested)?;
            }
            case_run.check(Check::broken("answer", wanted(refusal), "loaded", Basis::Observed))
        }
        (LoadOutcome::OneOf(codes), Err(failure)) => {
            case_run.claim(failure_claim(&failure));
            let wanted = format!("any class/any phase/{}", names(codes, false));
            case_run.check(Check::one_of("answer", wanted, summary(&failure), Basis::Observed))?;
            case_run.check_nothing_left()
        }
        (LoadOutcome::OneOf(_), Ok(loaded)) => {
            keep(case_run, (&step.file, &step.name), (step.keep, device), &loaded)?;
            one_whole_file(case_run, step, &loaded)
        }
    }
}

/// The seal of a load: the one that the case asks for, or a sound one for a quick load by a loader that
/// serves seals. A seal of the harness is for one file that it made itself.
fn sealing(case_run: &CaseRun<'_>, step: &Load) -> Option<Sealing> {
    let sound = || step.quick.then(|| sound_seal(case_run, &step.file)).flatten();
    step.seal.clone().or_else(sound)
}

/// Checks the bounds on a load's time, by the harness's own clock.
fn in_time(
    case_run: &mut CaseRun<'_>,
    step: &Load,
    size: u64,
    took: Duration,
) -> Result<(), CaseEnd> {
    if let Some(limit) = step.within_ms {
        let found = took.as_secs_f64() * 1e3;
        let texts = |digits: Digits| {
            (format!("below {limit} ms"), format!("{} ms", digits.fixed(found, 1)))
        };
        case_run.check(Check::measured("time of the load", texts, Basis::Observed))?;
    }
    if let Some(least) = step.least_gbps {
        let gbps = size as f64 / took.as_secs_f64() / 1e9;
        let texts = |digits: Digits| {
            (format!("at least {least} GB/s"), format!("{} GB/s", digits.fixed(gbps, 2)))
        };
        case_run.check(Check::measured("rate of the load", texts, Basis::Observed))?;
    }
    Ok(())
}

/// The time of a load smaller than this is mostly latency, so its rate is not noted.
const WORTH_A_RATE: u64 = 1 << 30;

/// Keeps the rate of a large load for the report, and its ratio to the copy limit of this run.
fn note_rate(
    case_run: &CaseRun<'_>,
    size: u64,
    took: Duration,
    device: Device,
    mode: &str,
) -> Result<(), CaseEnd> {
    if size < WORTH_A_RATE {
        return Ok(());
    }
    let gbps = size as f64 / took.as_secs_f64() / 1e9;
    let what = format!("{mode} load of {:.2} GB", size as f64 / 1e9);
    case_run.context.note(&format!("{what}, seconds"), took.as_secs_f64());
    case_run.context.note(&format!("{what}, GB/s"), gbps);
    if device.is_gpu() {
        let limit = case_run.context.copy_limit().map_err(CaseEnd::Untested)?.h2d_pinned_gbps;
        case_run.context.note(&format!("{what}, share of the pinned copy limit"), gbps / limit);
    }
    Ok(())
}

/// Frees a model.
pub fn unload(case_run: &mut CaseRun<'_>, step: &Unload) -> Result<(), CaseEnd> {
    case_run.begin(format!("unload {}", step.model));
    let handle = case_run.model(&step.model)?.handle;
    match case_run.ask(Request::Unload(request::Unload { handle }), 0)? {
        Ok(_) => {
            if let Some(model) = case_run.loaded.remove(&step.model) {
                case_run.unloaded.insert(step.model.clone(), model);
            }
            case_run.check_nothing_left()
        }
        Err(failure) => Err(case_run.unexpected("unloaded", &failure)),
    }
}

/// Asks what is held.
pub fn stat(case_run: &mut CaseRun<'_>, step: &Stat) -> Result<(), CaseEnd> {
    case_run.begin("ask what is held");
    let held = match case_run.ask(Request::Stat(request::Stat {}), 0)? {
        Ok(Reply::Stat(held)) => held,
        Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to stat", other.verb()))),
        Err(failure) => return Err(case_run.unexpected("holdings", &failure)),
    };
    case_run.claim(json!(held));
    case_run.check(Check::equal("models", step.models, held.models, Basis::Declared))?;
    if step.bytes_of.is_empty() && step.models > 0 {
        return Ok(());
    }
    let (mut least, mut besides) = (0, 0);
    for name in &step.bytes_of {
        let (must, may) = payloads(case_run, name)?;
        (least, besides) = (least + must, besides + may);
    }
    let bytes = if case_run.device().is_gpu() { held.device_bytes } else { held.host_bytes };
    let most = least + besides + least / 50 + PAGE * step.bytes_of.len() as u64;
    let wanted = format!("{least} to {most}");
    case_run.check(Check::within("bytes held", wanted, bytes, Basis::Declared))
}

/// Sends a request that is not part of the contract.
pub fn malformed_request(
    case_run: &mut CaseRun<'_>,
    step: &MalformedRequest,
) -> Result<(), CaseEnd> {
    case_run.begin(format!("send a request that is not part of the contract: {}", step.request));
    let request = serde_json::from_str(&step.request)
        .map_err(|error| CaseEnd::Fault(format!("the case's request is no JSON: {error}")))?;
    match case_run.ask_odd(request)? {
        Err(failure) => {
            refused(case_run, &step.refused, &failure)?;
            case_run.check_nothing_left()
        }
        Ok(reply) => {
            let found = format!("a {} reply", reply.verb());
            case_run.check(Check::broken("answer", wanted(&step.refused), found, Basis::Observed))
        }
    }
}

/// Writes one file's bytes over the path of another.
pub fn write(case_run: &mut CaseRun<'_>, step: &Write) -> Result<(), CaseEnd> {
    let how = match (step.documents, step.unseen) {
        (true, _) => ", the documents alone",
        (false, true) => ", its metadata kept",
        (false, false) => "",
    };
    case_run.begin(format!("write {} over the path of {}{how}", step.from, step.over));
    case_run.gathering(|case_run| {
        if step.documents {
            case_run.take_documents(&step.from, &step.over)?;
            let folder = case_run.placed_model(&step.over)?.folder.clone();
            return case_run.has_changed(&folder);
        }
        let fixture = Arc::clone(&case_run.file(&step.from)?.fixture);
        let path = case_run.file(&step.over)?.path.clone();
        let written =
            if step.unseen { fixture.write_unseen(&path) } else { fixture.write_over(&path) };
        written.map_err(|error| CaseEnd::Fault(error.to_string()))?;
        case_run.has_changed(&path)?;
        case_run.files.insert(step.over.clone(), FixtureOnDisk { fixture, path });
        Ok(())
    })
}

fn pin(pin: Pin, fixture: &Fixture) -> Option<String> {
    if pin == Pin::None {
        // The hash of a large file is expensive, so it is not computed without need.
        return None;
    }
    let right = fixture.sha256();
    let with_digit = |at: usize, flip: u32| {
        let mut digits: Vec<char> = right.chars().collect();
        let value = digits[at].to_digit(16).unwrap_or(0) ^ flip;
        digits[at] = char::from_digit(value, 16).unwrap_or('0');
        digits.into_iter().collect::<String>()
    };
    match pin {
        Pin::None => None,
        Pin::Right => Some(right.to_owned()),
        Pin::Undamaged => Some(fixture.undamaged_sha256().to_owned()),
        Pin::Wrong => Some(right.chars().rev().collect()),
        Pin::FirstBitOff => Some(with_digit(0, 8)),
        Pin::LastBitOff => Some(with_digit(right.len() - 1, 1)),
        Pin::Zeros => Some("0".repeat(64)),
    }
}

/// If the file changed during the load, the digest must be that of one whole file, old or new, and
/// the bytes must be those of that file.
fn one_whole_file(case_run: &mut CaseRun<'_>, step: &Load, loaded: &Loaded) -> Result<(), CaseEnd> {
    let claimed = loaded.sha256.clone().unwrap_or_else(|| "none".to_owned());
    let mut candidates = vec![step.file.clone()];
    if let Some(Meanwhile::Replace(other)) = &step.meanwhile {
        candidates.push(other.clone());
    }
    let (mut whose, mut wanted) = (None, Vec::new());
    for name in &candidates {
        let own = case_run.file(name)?.fixture.sha256().to_owned();
        if own == claimed {
            whose = Some(name.clone());
        }
        wanted.push(own);
    }
    let wanted = wanted.join(" or ");
    case_run.check(Check::one_of("digest", wanted, &claimed, Basis::Observed))?;
    if let Some(whose) = whose {
        let from = case_run.file(&whose)?.clone();
        if let Some(model) = case_run.loaded.get_mut(&step.name) {
            (model.file, model.from) = (whose, from);
        }
    }
    compare_all(case_run, &step.name, Default::default())
}
