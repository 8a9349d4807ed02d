//! Loads a model divided over ranks, and judges what each rank says that it holds and what it really holds.
//!
//! The judge makes its own plan of the same grid from `config.json` and the headers ([`plan`](crate::harness::plan))
//! and holds the claimed slices against it. Then it fetches the bytes of each rank and compares them with the
//! claimed slices of the file.

mod claim;
mod lost;
mod processes;
mod reads;

use std::time::Instant;

use self::lost::Watch;
use self::reads::Reads;
use super::expected::most_held;
use super::keep::keep;
use super::refusal::{refused, wanted};
use super::sealing::{sound_seal, write_seal};
use super::slices;
use super::table::{size_of_file, table};
use super::times;
use crate::contract::parallel::{Parallel, RankPart, RankPlace};
use crate::contract::reply::{Loaded, Reply};
use crate::contract::request::{self, DtypePolicy, Request, Unload};
use crate::contract::{Device, Failure};
use crate::gpu;
use crate::harness::case::divide::{Divide, DividedOutcome};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Asks for a divided load and judges the result.
pub fn divide(case_run: &mut CaseRun<'_>, step: &Divide) -> Result<(), CaseEnd> {
    let Divide { file, tp, pp, replicas, .. } = step;
    case_run.begin(format!("divide {file} over tp {tp}, pp {pp}, replicas {replicas}"));
    let mut watch = Watch::begin(case_run, step)?;
    let requests = requests(case_run.device(), step)?;
    let count = requests.len();
    let mut claimed: Vec<RankPart> = Vec::new();
    for (at, ranks) in requests.into_iter().enumerate() {
        let reads = step.reads.then(|| Reads::begin(case_run)).transpose()?;
        let names = (step.file.as_str(), step.name.as_str());
        let how = (DtypePolicy::Stored, named(case_run, &ranks));
        let begin = Instant::now();
        let answer = match &mut watch {
            Some(watch) => watch.while_loading(|| ask(case_run, step, &ranks))?,
            None => ask(case_run, step, &ranks)?,
        };
        let took = begin.elapsed();
        let loaded = match (answer, &step.expect) {
            (Ok(loaded), DividedOutcome::Held) => loaded,
            (Err(failure), DividedOutcome::Held) => {
                if let Some(watch) = &watch
                    && watch.refused(case_run, &failure)?
                {
                    return Ok(());
                }
                return Err(case_run.not_loaded(&step.file, &failure));
            }
            (Err(failure), DividedOutcome::Refused(refusal)) => {
                refused(case_run, refusal, &failure)?;
                return case_run.check_nothing_left();
            }
            (Ok(loaded), DividedOutcome::Refused(refusal)) => {
                keep(case_run, names, how, &loaded)?;
                let expected = wanted(refusal);
                let check = Check::broken("answer", expected, "loaded", Basis::Observed);
                return case_run.check(check);
            }
        };
        // First of all, so that it is unloaded behind any check that does not hold.
        keep(case_run, names, how, &loaded)?;
        if let Some(reads) = reads {
            reads.end(case_run, &step.file)?;
        }
        case_run.check(asked_for(&ranks, &loaded))?;
        case_run.check(size_of_file(case_run, &step.file, &loaded)?)?;
        case_run.check(table(case_run, &step.file, DtypePolicy::Stored, &loaded)?)?;
        for part in &loaded.parts {
            slices::compare(case_run, &step.file, loaded.handle, part)?;
            case_run.check(held(case_run, step, part)?)?;
            let busy = times::within(part.busy_us, took);
            busy.map_or(Ok(()), |longer| case_run.check(longer))?;
        }
        case_run.check(held_by_all(&loaded))?;
        claimed.extend(loaded.parts);
        if at + 1 < count {
            free(case_run, &step.name)?;
        }
    }
    claim::judge(case_run, step, &claimed)?;
    watch.map_or(Ok(()), |watch| watch.afterwards(case_run, step))
}

/// The requests of a step: the ranks of each, with their devices.
fn requests(own: Device, step: &Divide) -> Result<Vec<Vec<RankPlace>>, CaseEnd> {
    let asked = step.asked();
    let together = |device: &dyn Fn(u32) -> Device| {
        let place = |(at, rank): (u32, u32)| RankPlace { rank, device: device(at) };
        vec![(0..).zip(asked.iter().copied()).map(place).collect()]
    };
    let in_turn = || {
        let alone = |rank: &u32| vec![RankPlace { rank: *rank, device: own }];
        asked.iter().map(alone).collect()
    };
    Ok(match own {
        _ if step.in_turn => in_turn(),
        Device::Cpu => together(&|_| own),
        Device::Cuda(_) if step.one_device => together(&|_| own),
        Device::Cuda(first) => {
            let cards =
                gpu::device_count().map_err(|error| CaseEnd::Untested(error.to_string()))?;
            // Ranks that are named and must be refused are wrong only beside each other.
            let refused = matches!(step.expect, DividedOutcome::Refused(_));
            let apart = step.ranks.is_empty() || !refused;
            // Where ranks must be loaded together, the case is planned only with a card for each.
            match apart && asked.len() as u64 > u64::from(cards) {
                true => in_turn(),
                false => together(&|at| Device::Cuda((first + at) % cards.max(1))),
            }
        }
    })
}

fn ask(
    case_run: &mut CaseRun<'_>,
    step: &Divide,
    ranks: &[RankPlace],
) -> Result<Result<Loaded, Failure>, CaseEnd> {
    let sealing = step.sealed.then(|| sound_seal(case_run, &step.file)).flatten();
    let seal = sealing.map(|sealing| write_seal(case_run, &step.file, &sealing)).transpose()?;
    let placed = case_run.file(&step.file)?;
    let (path, size) = (placed.path.clone(), placed.fixture.bytes.len() as u64);
    let known = case_run.placed.get(&step.file);
    let request = request::Load {
        path,
        format: known.map(|model| model.format).unwrap_or_default(),
        device: named(case_run, ranks),
        keep: DtypePolicy::Stored,
        expect_sha256: None,
        seal,
        admit: false,
        inference: known.map(|model| model.inference()),
        parallel: Some(Parallel {
            tp: step.tp,
            pp: step.pp,
            replicas: step.replicas,
            ranks: ranks.to_vec(),
        }),
    };
    match case_run.ask(Request::Load(request), size)? {
        Ok(Reply::Load(loaded)) => Ok(Ok(loaded)),
        Ok(other) => Err(CaseEnd::Fault(format!("a {} reply to load", other.verb()))),
        Err(failure) => Ok(Err(failure)),
    }
}

/// The device that a divided load names beside its ranks.
fn named(case_run: &CaseRun<'_>, ranks: &[RankPlace]) -> Device {
    ranks.first().map_or(case_run.device(), |first| first.device)
}

/// Checks that just the ranks that were asked for answer, each on its device.
fn asked_for(asked: &[RankPlace], loaded: &Loaded) -> Check {
    let text = |(rank, device): (u32, Device)| format!("rank {rank} on {device}");
    let mut wanted: Vec<_> = asked.iter().map(|one| (one.rank, one.device)).collect();
    let mut found: Vec<_> = loaded.parts.iter().map(|part| (part.rank, part.device)).collect();
    wanted.sort_unstable();
    found.sort_unstable();
    let joined = |all: Vec<_>| all.into_iter().map(text).collect::<Vec<_>>().join(", ");
    let found = if found.is_empty() { "no rank".to_owned() } else { joined(found) };
    Check::equal("ranks and their devices", joined(wanted), found, Basis::Declared)
}

/// Checks the bytes that a rank says it holds.
fn held(case_run: &CaseRun<'_>, step: &Divide, part: &RankPart) -> Result<Check, CaseEnd> {
    let least = slices::bytes(case_run, &step.file, part)?;
    let what = format!("bytes held by rank {}", part.rank);
    let wanted = format!("{least} to {}", most_held(least));
    Ok(Check::within(what, wanted, part.held_bytes, Basis::Declared))
}

/// Checks that the memory of the whole load is that of its ranks.
fn held_by_all(loaded: &Loaded) -> Check {
    let sum = loaded.parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.held_bytes));
    Check::equal("bytes held by all ranks", sum, loaded.held_bytes, Basis::Declared)
}

/// Frees the model of one rank, so that the next one finds an empty device.
fn free(case_run: &mut CaseRun<'_>, name: &str) -> Result<(), CaseEnd> {
    let Some(model) = case_run.loaded.remove(name) else { return Ok(()) };
    match case_run.ask(Request::Unload(Unload { handle: model.handle }), 0)? {
        Ok(_) => Ok(()),
        Err(failure) => Err(case_run.unexpected("unloaded", &failure)),
    }
}
