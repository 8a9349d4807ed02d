//! Steps about devices: what the loader says about them, and whether it can copy and synchronise.

pub mod memory;
pub mod multiply;
pub mod residue;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use serde_json::json;

use super::refusal::{refused, wanted};
use crate::contract::Device;
use crate::contract::reply::{DeviceInfo, Reply};
use crate::contract::request::{self, Request};
use crate::gpu;
use crate::harness::case::expect::{DeviceCheck, DeviceOutcome};
use crate::harness::case::step::{DeviceStep, Stream};
use crate::harness::case::synchronize::Synchronize;
use crate::harness::evidence::digest::sha256_hex;
use crate::harness::record::{Basis, Check, Digits};
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// How often a rate that lies outside its bounds is measured.
const TRIES: u32 = 3;

/// Noise does not change a rate by more than this factor.
const NOISE: f64 = 2.0;

/// Asks about a device and compares with what the driver tells the harness.
pub fn describe(case_run: &mut CaseRun<'_>, step: &DeviceStep) -> Result<(), CaseEnd> {
    if !step.every {
        return describe_one(case_run, step, step.device.unwrap_or(case_run.device())).map(drop);
    }
    let count = gpu::device_count().map_err(|error| CaseEnd::Fault(error.to_string()))?;
    let mut uuids = BTreeSet::new();
    for ordinal in 0..count {
        let uuid = describe_one(case_run, step, Device::Cuda(ordinal))?;
        // A refusal names no card.
        if matches!(step.expect, DeviceOutcome::Refused(_)) {
            continue;
        }
        let is_new = uuids.insert(uuid.clone());
        let found = uuid.unwrap_or_else(|| "none".to_owned());
        let found = if is_new { Ok(found) } else { Err(found) };
        let wanted = "one that no earlier GPU has";
        case_run.check(Check::judged("UUID", wanted, found, Basis::Observed))?;
    }
    Ok(())
}

/// Asks about one device. Returns the UUID that the loader reports.
fn describe_one(
    case_run: &mut CaseRun<'_>,
    step: &DeviceStep,
    device: Device,
) -> Result<Option<String>, CaseEnd> {
    case_run.begin(format!("ask about {device}"));
    let request = request::DeviceQuery { device, profile: step.profile.clone() };
    let answer = match case_run.ask(Request::Device(request), 0)? {
        Ok(Reply::Device(info)) => Ok(info),
        Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to device", other.verb()))),
        Err(failure) => Err(failure),
    };
    match (&step.expect, answer) {
        (DeviceOutcome::Facts(facts), Ok(info)) => {
            case_run.claim(json!(info));
            facts.iter().try_for_each(|fact| {
                let check = fact_holds(case_run, *fact, &info, device)?;
                case_run.check(check)
            })?;
            Ok(info.uuid)
        }
        (DeviceOutcome::Facts(_), Err(failure)) => {
            Err(case_run.unexpected("a description", &failure))
        }
        (DeviceOutcome::Refused(refusal), Err(failure)) => {
            refused(case_run, refusal, &failure)?;
            case_run.check_nothing_left().map(|()| None)
        }
        (DeviceOutcome::Refused(refusal), Ok(info)) => {
            case_run.claim(json!(info));
            let check = Check::broken("answer", wanted(refusal), "a description", Basis::Observed);
            case_run.check(check).map(|()| None)
        }
    }
}

fn fact_holds(
    case_run: &CaseRun<'_>,
    fact: DeviceCheck,
    info: &DeviceInfo,
    device: Device,
) -> Result<Check, CaseEnd> {
    let fault = |error: gpu::GpuError| CaseEnd::Fault(error.to_string());
    let Device::Cuda(ordinal) = device else {
        return Err(CaseEnd::Untested("the driver describes only GPUs".to_owned()));
    };
    let context = match case_run.device() == device {
        true => case_run.context.gpu().map_err(CaseEnd::Untested)?.clone(),
        false => gpu::Context::open(ordinal).map_err(fault)?,
    };
    Ok(match fact {
        DeviceCheck::Name => {
            let own = context.name().map_err(fault)?;
            match info.name.trim().is_empty() {
                true => Check::broken("name", own, "none", Basis::Observed),
                false => Check::equal("name", own, info.name.clone(), Basis::Observed),
            }
        }
        DeviceCheck::Memory => {
            let (_, total) = context.memory().map_err(fault)?;
            let told = (info.free_bytes, info.total_bytes);
            match told {
                (_, 0) => Check::broken("total bytes", total, "none", Basis::Observed),
                (free, total_told) if free > total_told => {
                    let found = format!("{total_told}, of which {free} are free");
                    Check::broken("total bytes", total, found, Basis::Observed)
                }
                (_, told) => Check::equal("total bytes", total as u64, told, Basis::Observed),
            }
        }
        DeviceCheck::ComputeCapability => Check::equal(
            "compute capability",
            capability_text(context.compute_capability().map_err(fault)?),
            info.compute_capability.map_or_else(|| "none".to_owned(), capability_text),
            Basis::Observed,
        ),
        DeviceCheck::Count => {
            let own = gpu::device_count().map_err(fault)?;
            match info.count {
                0 => Check::broken("devices", own, "none", Basis::Observed),
                told => Check::equal("devices", own, told, Basis::Observed),
            }
        }
        DeviceCheck::Uuid => Check::equal(
            "UUID",
            context.uuid().map_err(fault)?,
            info.uuid.clone().unwrap_or_else(|| "none".to_owned()),
            Basis::Observed,
        ),
        DeviceCheck::Listed => {
            let told = info.uuid.clone().unwrap_or_default();
            let (name, least) = (&info.name, info.total_bytes);
            let most = least.saturating_add(least / 20);
            let wanted = format!("{told}, {name}, {least} to {most} bytes");
            let found = match gpu::nvml::card(&told) {
                Err(error) => error.to_string(),
                Ok((name, bytes)) => format!("{told}, {name}, {bytes} bytes"),
            };
            Check::within("GPU in NVML", wanted, found, Basis::Observed)
        }
    })
}

/// A compute capability as NVIDIA writes it.
fn capability_text((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}

/// Asks for a synchronisation.
pub fn synchronize(case_run: &mut CaseRun<'_>, step: &Synchronize) -> Result<(), CaseEnd> {
    let device = step.device.unwrap_or(case_run.device());
    case_run.begin(format!("ask for a synchronisation of {device}"));
    let answer = case_run.ask(Request::Synchronize(request::Synchronize { device }), 0)?;
    match (answer, &step.refused) {
        (Ok(_), None) => case_run.check(Check::equal("answer", "done", "done", Basis::Declared)),
        (Err(failure), None) => Err(case_run.unexpected("done", &failure)),
        (Err(failure), Some(refusal)) => refused(case_run, refusal, &failure),
        (Ok(_), Some(refusal)) => {
            case_run.check(Check::broken("answer", wanted(refusal), "done", Basis::Observed))
        }
    }
}

/// Sends a file to the device and back, once and many times, and takes the difference.
pub fn stream(case_run: &mut CaseRun<'_>, step: &Stream) -> Result<(), CaseEnd> {
    case_run.begin(format!("send {} to the device and back on a stream", step.file));
    let once = round_trips(case_run, step, 1)?;
    let Some(rounds) = step.rounds else { return Ok(()) };
    let limit = *case_run.context.copy_limit().map_err(CaseEnd::Untested)?;
    let possible = 1.1 * (limit.h2d_pinned_gbps + limit.d2h_pinned_gbps);
    let least = (step.least_of_pageable.unwrap_or(0.0) * limit.h2d_pageable_gbps)
        .max(step.least_gbps.unwrap_or(0.0));
    let gbps = rate(case_run, step, (once, rounds), least..=possible)?;
    case_run.context.note("round trips GB/s", gbps);
    // Faster than both directions together means that trips were left out.
    // It is compared with both directions' limits and a tenth.
    let rate = |wanted: &dyn Fn(Digits) -> String, more: &str| {
        let texts = |digits| (wanted(digits), format!("{} GB/s{more}", digits.fixed(gbps, 1)));
        Check::measured("rate by the harness's clock", texts, Basis::Observed)
    };
    let most = |digits: Digits| format!("at most {} GB/s", digits.fixed(possible, 1));
    case_run.check(rate(&most, ""))?;
    if let Some(least) = step.least_gbps {
        case_run.check(rate(&|_| format!("at least {least} GB/s"), ""))?;
    }
    if let Some(least) = step.least_of_pageable {
        let limit = limit.h2d_pageable_gbps;
        let wanted = |digits: Digits| format!("at least {} GB/s", digits.fixed(least * limit, 1));
        let more = format!(", {:.2} times the pageable copy limit", gbps / limit);
        case_run.check(rate(&wanted, &more))?;
    }
    Ok(())
}

/// The rate of many round trips, in GB/s both ways together. `once` is the time of the first round
/// trip, which includes the set-up that happens once in a process.
///
/// Other work on the machine can only make a round trip slower, so the shortest of several times counts.
/// It is measured again while the rate lies outside these bounds, but so near that noise may be the
/// reason.
fn rate(
    case_run: &mut CaseRun<'_>,
    step: &Stream,
    (mut once, rounds): (Duration, u32),
    wanted: RangeInclusive<f64>,
) -> Result<f64, CaseEnd> {
    let bytes = case_run.file(&step.file)?.fixture.bytes.len() as f64;
    let moved = 2.0 * bytes * f64::from(rounds.saturating_sub(1));
    let (mut many, mut gbps) = (Duration::MAX, 0.0);
    for _ in 0..TRIES {
        once = once.min(round_trips(case_run, step, 1)?);
        many = many.min(round_trips(case_run, step, rounds)?);
        let between = many.saturating_sub(once).max(Duration::from_micros(1));
        gbps = moved / between.as_secs_f64() / 1e9;
        let near = (wanted.start() / NOISE..=wanted.end() * NOISE).contains(&gbps);
        if wanted.contains(&gbps) || !near {
            break;
        }
    }
    Ok(gbps)
}

fn round_trips(
    case_run: &mut CaseRun<'_>,
    step: &Stream,
    rounds: u32,
) -> Result<Duration, CaseEnd> {
    let placed = case_run.file(&step.file)?;
    let (path, size) = (placed.path.clone(), placed.fixture.bytes.len() as u64);
    let expected = placed.fixture.sha256().to_owned();
    let into = case_run.scratch_file();
    let device = case_run.device();
    let request = request::Stream { device, path, rounds, into: into.clone() };
    let begin = Instant::now();
    let answer = case_run.ask(Request::Stream(request), size * u64::from(rounds))?;
    let took = begin.elapsed();
    match answer {
        Err(failure) => return Err(case_run.unexpected("bytes sent and fetched", &failure)),
        Ok(Reply::Stream(written)) if written.bytes != size => {
            let what = "size of the file written";
            case_run.check(Check::equal(what, size, written.bytes, Basis::Observed))?;
        }
        Ok(_) => {}
    }
    let found = case_run
        .gathering(|case_run| Ok(sha256_hex(&case_run.take_answer(&into, size)?)))
        .unwrap_or_else(|error: String| error);
    let what = format!("SHA-256 after {rounds} round trips");
    case_run.check(Check::equal(what, expected, found, Basis::Observed))?;
    Ok(took)
}
