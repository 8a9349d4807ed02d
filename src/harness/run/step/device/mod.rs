//! Devices: what the loader says of them, and whether it can work them.

pub mod memory;
pub mod multiply;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use super::load::refusal::refused;
use crate::contract::Device;
use crate::contract::reply::{DeviceInfo, Reply};
use crate::contract::request::{self, Request};
use crate::gpu;
use crate::harness::case::expect::{DeviceCheck, DeviceOutcome};
use crate::harness::case::step::{DeviceStep, Stream};
use crate::harness::evidence::digest::sha256_file;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop};

/// Asks about a device and compares with what the driver tells the harness.
pub fn describe(attempt: &mut Attempt<'_>, step: &DeviceStep) -> Result<(), Stop> {
    if !step.every {
        return describe_one(attempt, step, step.device.unwrap_or(attempt.device())).map(drop);
    }
    let count = gpu::device_count().map_err(|error| Stop::Fault(error.to_string()))?;
    let mut uuids = BTreeSet::new();
    for ordinal in 0..count {
        let uuid = describe_one(attempt, step, Device::Cuda(ordinal))?;
        let held = uuids.insert(uuid.clone());
        let found = uuid.unwrap_or_else(|| "none".to_owned());
        let wanted = "that of no card before";
        attempt.check(Check::of("UUID", wanted, found, held, Basis::Observed))?;
    }
    Ok(())
}

/// The same about one device; the UUID that it was given.
fn describe_one(
    attempt: &mut Attempt<'_>,
    step: &DeviceStep,
    device: Device,
) -> Result<Option<String>, Stop> {
    attempt.begin(format!("ask about {device}"));
    let request = request::DeviceQuery { device, profile: step.profile.clone() };
    let answer = match attempt.ask(Request::Device(request), 0)? {
        Ok(Reply::Device(info)) => Ok(info),
        Ok(other) => return Err(Stop::Fault(format!("a {} reply to device", other.verb()))),
        Err(failure) => Err(failure),
    };
    match (&step.expect, answer) {
        (DeviceOutcome::Facts(facts), Ok(info)) => {
            attempt.claim(json!(info));
            facts.iter().try_for_each(|fact| {
                let check = fact_holds(attempt, *fact, &info, device)?;
                attempt.check(check)
            })?;
            Ok(info.uuid)
        }
        (DeviceOutcome::Facts(_), Err(failure)) => {
            Err(attempt.unexpected("a description", &failure))
        }
        (DeviceOutcome::Refused(refusal), Err(failure)) => {
            refused(attempt, refusal, &failure)?;
            attempt.check_nothing_left().map(|()| None)
        }
        (DeviceOutcome::Refused(refusal), Ok(info)) => {
            attempt.claim(json!(info));
            let wanted = format!("{:?}/{:?}", refusal.class, refusal.code);
            let check = Check::of("answer", wanted, "a description", false, Basis::Observed);
            attempt.check(check).map(|()| None)
        }
    }
}

fn fact_holds(
    attempt: &Attempt<'_>,
    fact: DeviceCheck,
    info: &DeviceInfo,
    device: Device,
) -> Result<Check, Stop> {
    let fault = |error: gpu::GpuError| Stop::Fault(error.to_string());
    let Device::Cuda(ordinal) = device else {
        return Err(Stop::Untested("the driver knows GPUs only".to_owned()));
    };
    let context = match attempt.device() == device {
        true => attempt.lab.context().map_err(Stop::Untested)?.clone(),
        false => gpu::Context::open(ordinal).map_err(fault)?,
    };
    Ok(match fact {
        DeviceCheck::Name => {
            let own = context.name().map_err(fault)?;
            let mut check = Check::equal("name", own, info.name.clone(), Basis::Observed);
            check.held &= !info.name.trim().is_empty();
            check
        }
        DeviceCheck::Memory => {
            let (_, total) = context.memory().map_err(fault)?;
            let mut check =
                Check::equal("total bytes", total as u64, info.total_bytes, Basis::Observed);
            check.held &= info.total_bytes > 0 && info.free_bytes <= info.total_bytes;
            check
        }
        DeviceCheck::ComputeCapability => Check::equal(
            "compute capability",
            format!("{:?}", context.compute_capability().map_err(fault)?),
            format!("{:?}", info.compute_capability.unwrap_or_default()),
            Basis::Observed,
        ),
        DeviceCheck::Count => {
            let own = gpu::device_count().map_err(fault)?;
            let mut check = Check::equal("devices", own, info.count, Basis::Observed);
            check.held &= info.count >= 1;
            check
        }
        DeviceCheck::Uuid => Check::equal(
            "UUID",
            context.uuid().map_err(fault)?,
            info.uuid.clone().unwrap_or_else(|| "none".to_owned()),
            Basis::Observed,
        ),
        DeviceCheck::Listed => {
            let told = info.uuid.clone().unwrap_or_default();
            let wanted =
                format!("{told}, {}, {} bytes or somewhat more", info.name, info.total_bytes);
            match gpu::nvml::card(&told) {
                Err(error) => Check::of("NVML's card", wanted, error, false, Basis::Observed),
                Ok((name, bytes)) => {
                    let most = info.total_bytes + info.total_bytes / 20;
                    let held = name == info.name && (info.total_bytes..=most).contains(&bytes);
                    let found = format!("{name}, {bytes} bytes");
                    Check::of("NVML's card", wanted, found, held, Basis::Observed)
                }
            }
        }
    })
}

/// Asks for a synchronisation.
pub fn synchronize(attempt: &mut Attempt<'_>) -> Result<(), Stop> {
    attempt.begin("ask for a synchronisation");
    let device = attempt.device();
    match attempt.ask(Request::Synchronize(request::Synchronize { device }), 0)? {
        Ok(_) => attempt.check(Check::of("answer", "done", "done", true, Basis::Declared)),
        Err(failure) => Err(attempt.unexpected("done", &failure)),
    }
}

/// Sends a file to the device and back, once and many times, and takes the difference.
pub fn stream(attempt: &mut Attempt<'_>, step: &Stream) -> Result<(), Stop> {
    attempt.begin(format!("send {} to the device and back on a stream", step.file));
    let mut once = round_trips(attempt, step, 1)?;
    let Some(rounds) = step.rounds else { return Ok(()) };
    // The first run also paid for what happens once in a process.
    once = once.min(round_trips(attempt, step, 1)?);
    let many = round_trips(attempt, step, rounds)?;
    let bytes = attempt.file(&step.file)?.fixture.bytes.len() as f64;
    let moved = 2.0 * bytes * f64::from(rounds.saturating_sub(1));
    let gbps = moved / many.saturating_sub(once).max(Duration::from_micros(1)).as_secs_f64() / 1e9;
    attempt.lab.note("round trips GB/s", gbps);
    let limit = *attempt.lab.copy_limit().map_err(Stop::Untested)?;
    let possible = 1.1 * (limit.h2d_pinned_gbps + limit.d2h_pinned_gbps);
    // Faster than both directions together means that trips were left out.
    attempt.check(Check::of(
        "rate by the harness's clock",
        format!("at most {possible:.1} GB/s, both directions' limits and a tenth"),
        format!("{gbps:.1} GB/s"),
        gbps <= possible,
        Basis::Observed,
    ))?;
    if let Some(least) = step.least_gbps {
        attempt.check(Check::of(
            "rate by the harness's clock",
            format!("at least {least} GB/s"),
            format!("{gbps:.1} GB/s"),
            gbps >= least,
            Basis::Observed,
        ))?;
    }
    if let Some(least) = step.least_of_pageable {
        let limit = limit.h2d_pageable_gbps;
        attempt.check(Check::of(
            "rate by the harness's clock",
            format!("at least {least} times the pageable copy limit of {limit:.1} GB/s"),
            format!("{gbps:.1} GB/s, {:.2} times", gbps / limit),
            gbps >= least * limit,
            Basis::Observed,
        ))?;
    }
    Ok(())
}

fn round_trips(attempt: &mut Attempt<'_>, step: &Stream, rounds: u32) -> Result<Duration, Stop> {
    let placed = attempt.file(&step.file)?;
    let (path, size) = (placed.path.clone(), placed.fixture.bytes.len() as u64);
    let expected = placed.fixture.sha256().to_owned();
    let into = attempt.scratch_file();
    let device = attempt.device();
    let request = request::Stream { device, path, rounds, into: into.clone() };
    let begin = Instant::now();
    let answer = attempt.ask(Request::Stream(request), size * u64::from(rounds))?;
    let took = begin.elapsed();
    if let Err(failure) = answer {
        return Err(attempt.unexpected("bytes sent and fetched", &failure));
    }
    let found = attempt
        .gathering(|_| {
            let digest = sha256_file(&into);
            // The file has served; the folder goes with the case if this fails.
            let _gone = std::fs::remove_file(&into);
            digest
        })
        .unwrap_or_else(|error| error.to_string());
    let what = format!("SHA-256 after {rounds} round trips");
    attempt.check(Check::equal(what, expected, found, Basis::Observed))?;
    Ok(took)
}
