//! Loading, freeing, and what the loader says it holds.

pub mod claims;
pub mod flips;
pub mod memory_plan;
pub mod refusal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use self::claims::{PAGE, claim_holds};
use self::refusal::{matches, names, refused, wanted};
use super::bytes;
use crate::contract::reply::{Loaded, Reply};
use crate::contract::request::{self, Format, Request};
use crate::contract::{Capability, Device};
use crate::harness::case::expect::LoadOutcome;
use crate::harness::case::seal::Sealing;
use crate::harness::case::step::{Load, Meanwhile, Odd, Pin, Stat, Unload, Write};
use crate::harness::evidence::change::{Ambush, Change};
use crate::harness::fixture::Fixture;
use crate::harness::fixture::seal::seal;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Model, Placed, Stop, failure_claim, summary};

/// Asks for a load and judges what comes of it.
pub fn load(attempt: &mut Attempt<'_>, step: &Load) -> Result<(), Stop> {
    let device = step.device.unwrap_or(attempt.device());
    let mode = mode(step);
    attempt.begin(format!("load {} to {device}, {mode}", step.file));
    let seal = step.seal.as_ref().map(|sealing| write_seal(attempt, step, sealing)).transpose()?;
    let placed = attempt.file(&step.file)?;
    let (path, size) = (placed.path.clone(), placed.fixture.bytes.len() as u64);
    let gates = attempt.introduction.capabilities.get(&Capability::Gates);
    let admit = step.admit.unwrap_or(gates.is_some_and(|support| support.supported));
    let known = attempt.encoders.get(&step.file);
    let inference = known.map(|model| model.inference());
    let format = format(attempt, step);
    let request = Request::Load(request::Load {
        path: path.clone(),
        format,
        device,
        keep: step.keep,
        expect_sha256: pin(step.sha256, &placed.fixture),
        seal,
        admit,
        inference,
    });
    let ambush = attempt.gathering(|attempt| {
        step.meanwhile.as_ref().map(|change| lay(attempt, &path, size, change)).transpose()
    })?;
    let began = Instant::now();
    let answer = attempt.ask(request, size);
    let answered = Instant::now();
    if let Some(ambush) = ambush {
        let changed =
            ambush.end().map_err(|error| Stop::Fault(format!("changing the file: {error}")))?;
        if changed.is_none_or(|began| began > answered) {
            return Err(Stop::Untested("the load ended before the file could change".to_owned()));
        }
    }
    let answer = match answer? {
        Ok(Reply::Load(loaded)) => Ok(loaded),
        Ok(other) => return Err(Stop::Fault(format!("a {} reply to load", other.verb()))),
        Err(failure) => Err(failure),
    };
    match (&step.expect, answer) {
        (LoadOutcome::Loaded(checks), Ok(loaded)) => {
            note_rate(attempt, size, answered - began, device, mode)?;
            keep(attempt, step, &loaded)?;
            in_time(attempt, step, size, answered - began)?;
            memory_plan::times(attempt, step, &loaded, answered - began)?;
            checks.iter().try_for_each(|check| claim_holds(attempt, step, *check, &loaded, device))
        }
        (LoadOutcome::Loaded(_), Err(failure)) => Err(attempt.unexpected("loaded", &failure)),
        (LoadOutcome::Refused(refusal), Err(failure)) => {
            refused(attempt, refusal, &failure)?;
            attempt.check_nothing_left()
        }
        (LoadOutcome::Refused(refusal), Ok(loaded)) => {
            keep(attempt, step, &loaded)?;
            attempt.check(Check::of("answer", wanted(refusal), "loaded", false, Basis::Observed))
        }
        (LoadOutcome::OneOf(codes), Err(failure)) => {
            attempt.claim(failure_claim(&failure));
            let held = codes.iter().any(|code| matches(*code, failure.code, false));
            attempt.check(Check::of(
                "answer",
                names(codes),
                summary(&failure),
                held,
                Basis::Observed,
            ))?;
            attempt.check_nothing_left()
        }
        (LoadOutcome::OneOf(_), Ok(loaded)) => {
            keep(attempt, step, &loaded)?;
            one_whole_file(attempt, step, &loaded)
        }
    }
}

/// As which format: the one that is named, or the file's own.
pub(super) fn format(attempt: &Attempt<'_>, step: &Load) -> Format {
    let own = attempt.encoders.get(&step.file).map(|model| model.format);
    step.format.or(own).unwrap_or_default()
}

/// What the bytes are checked with.
fn mode(step: &Load) -> &'static str {
    if step.seal.is_some() { "sealed" } else { "strict" }
}

/// Writes the seal that a load asks for.
fn write_seal(
    attempt: &mut Attempt<'_>,
    step: &Load,
    sealing: &Sealing,
) -> Result<request::Seal, Stop> {
    attempt.gathering(|attempt| {
        let fixture = &attempt.file(sealing.of.as_ref().unwrap_or(&step.file))?.fixture;
        let bytes = if sealing.undamaged { fixture.undamaged_bytes() } else { &fixture.bytes };
        let path = &attempt.file(&step.file)?.path;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let sealed = seal(bytes, &name, sealing.chunk_bytes, sealing.flaw);
        let path = attempt.scratch_file();
        if let Some(text) = sealed.text {
            std::fs::write(&path, text)
                .map_err(|error| Stop::Fault(format!("writing a seal: {error}")))?;
        }
        Ok(request::Seal { path, sha256: sealed.pin })
    })
}

/// Checks the bounds on a load's time, by the harness's own clock.
fn in_time(attempt: &mut Attempt<'_>, step: &Load, size: u64, took: Duration) -> Result<(), Stop> {
    if let Some(limit) = step.within_ms {
        let held = took < Duration::from_millis(limit);
        let (wanted, found) =
            (format!("below {limit} ms"), format!("{:.1} ms", took.as_secs_f64() * 1e3));
        attempt.check(Check::of("time of the load", wanted, found, held, Basis::Observed))?;
    }
    if let Some(least) = step.least_gbps {
        let gbps = size as f64 / took.as_secs_f64() / 1e9;
        let (wanted, found) = (format!("at least {least} GB/s"), format!("{gbps:.2} GB/s"));
        attempt.check(Check::of(
            "rate of the load",
            wanted,
            found,
            gbps >= least,
            Basis::Observed,
        ))?;
    }
    Ok(())
}

/// Loads smaller than this say more of latency than of rate.
const WORTH_A_RATE: u64 = 1 << 30;

/// Keeps the rate of a large load for the report, and its ratio to the copy limit of this run.
fn note_rate(
    attempt: &Attempt<'_>,
    size: u64,
    took: Duration,
    device: Device,
    mode: &str,
) -> Result<(), Stop> {
    if size < WORTH_A_RATE {
        return Ok(());
    }
    let gbps = size as f64 / took.as_secs_f64() / 1e9;
    let what = format!("{mode} load of {:.2} GB", size as f64 / 1e9);
    attempt.lab.note(&format!("{what}, seconds"), took.as_secs_f64());
    attempt.lab.note(&format!("{what}, GB/s"), gbps);
    if device.is_gpu() {
        let limit = attempt.lab.copy_limit().map_err(Stop::Untested)?.h2d_pinned_gbps;
        attempt.lab.note(&format!("{what}, share of the pinned copy limit"), gbps / limit);
    }
    Ok(())
}

/// Frees a model.
pub fn unload(attempt: &mut Attempt<'_>, step: &Unload) -> Result<(), Stop> {
    attempt.begin(format!("unload {}", step.model));
    let handle = attempt.model(&step.model)?.handle;
    match attempt.ask(Request::Unload(request::Unload { handle }), 0)? {
        Ok(_) => {
            if let Some(model) = attempt.models.remove(&step.model) {
                attempt.gone.insert(step.model.clone(), model);
            }
            attempt.check_nothing_left()
        }
        Err(failure) => Err(attempt.unexpected("unloaded", &failure)),
    }
}

/// Asks what is held.
pub fn stat(attempt: &mut Attempt<'_>, step: &Stat) -> Result<(), Stop> {
    attempt.begin("ask what is held");
    let held = match attempt.ask(Request::Stat(request::Stat {}), 0)? {
        Ok(Reply::Stat(held)) => held,
        Ok(other) => return Err(Stop::Fault(format!("a {} reply to stat", other.verb()))),
        Err(failure) => return Err(attempt.unexpected("holdings", &failure)),
    };
    attempt.claim(json!(held));
    attempt.check(Check::equal("models", step.models, held.models, Basis::Declared))?;
    if step.bytes_of.is_empty() && step.models > 0 {
        return Ok(());
    }
    let mut payload = 0;
    for name in &step.bytes_of {
        payload += bytes::payload(attempt, name)?;
    }
    let bytes = if attempt.device().is_gpu() { held.device_bytes } else { held.host_bytes };
    let most = payload + payload / 50 + PAGE * step.bytes_of.len() as u64;
    attempt.check(Check::of(
        "bytes held",
        format!("{payload} to {most}"),
        bytes,
        (payload..=most).contains(&bytes),
        Basis::Declared,
    ))
}

/// Sends a request that the contract does not have.
pub fn odd(attempt: &mut Attempt<'_>, step: &Odd) -> Result<(), Stop> {
    attempt.begin(format!("send a request of no contract: {}", step.request));
    let request = serde_json::from_str(&step.request)
        .map_err(|error| Stop::Fault(format!("the case's request is no JSON: {error}")))?;
    match attempt.ask_odd(request)? {
        Err(failure) => {
            refused(attempt, &step.refused, &failure)?;
            attempt.check_nothing_left()
        }
        Ok(reply) => {
            let found = format!("a {} reply", reply.verb());
            attempt.check(Check::of("answer", wanted(&step.refused), found, false, Basis::Observed))
        }
    }
}

/// Writes one file's bytes over another's path.
pub fn write(attempt: &mut Attempt<'_>, step: &Write) -> Result<(), Stop> {
    let how = if step.unseen { ", its metadata kept" } else { "" };
    attempt.begin(format!("write {} over the path of {}{how}", step.from, step.over));
    attempt.gathering(|attempt| {
        let fixture = Arc::clone(&attempt.file(&step.from)?.fixture);
        let path = attempt.file(&step.over)?.path.clone();
        let written =
            if step.unseen { fixture.write_unseen(&path) } else { fixture.write_over(&path) };
        written.map_err(|error| Stop::Fault(error.to_string()))?;
        attempt.files.insert(step.over.clone(), Placed { fixture, path });
        Ok(())
    })
}

fn keep(attempt: &mut Attempt<'_>, step: &Load, loaded: &Loaded) -> Result<(), Stop> {
    attempt.claim(json!({
        "handle": loaded.handle, "device": loaded.device, "sha256": loaded.sha256,
        "file_bytes": loaded.file_bytes, "held_bytes": loaded.held_bytes,
        "tensors": loaded.tensors.len(), "gates": loaded.gates, "transfer": loaded.transfer,
        "plan": loaded.plan, "unused": loaded.unused, "times": loaded.times,
    }));
    let model = Model {
        handle: loaded.handle,
        file: step.file.clone(),
        from: attempt.file(&step.file)?.clone(),
        keep: step.keep,
        loaded: loaded.clone(),
    };
    attempt.models.insert(step.name.clone(), model);
    Ok(())
}

fn lay(
    attempt: &Attempt<'_>,
    path: &std::path::Path,
    size: u64,
    change: &Meanwhile,
) -> Result<Ambush, Stop> {
    let change = match change {
        Meanwhile::Replace(other) => {
            // A copy: the change uses it up, and a later step may want the file again. On the disk already,
            // since file systems write a file out before they let it take another's name.
            let other = attempt.file(other)?.fixture.write(attempt.folder());
            let other = other.map_err(|error| Stop::Fault(error.to_string()))?;
            let written = std::fs::File::open(&other).and_then(|file| file.sync_all());
            written.map_err(|error| Stop::Fault(error.to_string()))?;
            Change::Replace(other)
        }
        Meanwhile::Cut => Change::Cut(size / 2),
    };
    Ambush::lay(path, change).map_err(|error| Stop::Fault(format!("watching the file: {error}")))
}

fn pin(pin: Pin, fixture: &Fixture) -> Option<String> {
    if pin == Pin::None {
        // Hashing a large file for nothing would be the case's dearest part.
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

/// After a change under way, the digest must be that of one whole file, old or new, and the bytes
/// must be that file's.
fn one_whole_file(attempt: &mut Attempt<'_>, step: &Load, loaded: &Loaded) -> Result<(), Stop> {
    let claimed = loaded.sha256.clone().unwrap_or_else(|| "none".to_owned());
    let mut candidates = vec![step.file.clone()];
    if let Some(Meanwhile::Replace(other)) = &step.meanwhile {
        candidates.push(other.clone());
    }
    let mut whose = None;
    for name in &candidates {
        if attempt.file(name)?.fixture.sha256() == claimed {
            whose = Some(name.clone());
        }
    }
    attempt.check(Check::of(
        "digest",
        "that of one whole file, old or new",
        &claimed,
        whose.is_some(),
        Basis::Observed,
    ))?;
    if let Some(whose) = whose {
        let from = attempt.file(&whose)?.clone();
        if let Some(model) = attempt.models.get_mut(&step.name) {
            (model.file, model.from) = (whose, from);
        }
    }
    bytes::compare_all(attempt, &step.name, Default::default())
}
