//! Freezes the plan of a run, and restricts a run to one part of a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::Run;
use super::shard::{Shard, divide};
use crate::contract::Device;
use crate::harness::evidence::digest::sha256_file;
use crate::harness::manifest::Manifest;
use crate::harness::record::plan::{Adapter, FORMAT, FrozenPlan, Planned};
use crate::harness::record::plan_part::{Ids, PlanPart};

/// The plan of a run: its cases, with these costs in microseconds where they are known.
///
/// # Errors
/// A file of the loader that cannot be read.
pub fn freeze(run: &Run<'_>, costs: &BTreeMap<String, u64>) -> io::Result<FrozenPlan> {
    let setting = &run.context.setting;
    let cases = run.plan.scheduled.iter().map(|case| {
        let id = case.id();
        Planned { cost_us: costs.get(&id).copied(), canary: case.canary, id }
    });
    Ok(FrozenPlan {
        format: FORMAT.to_owned(),
        digest: String::new(),
        subject: run.record.subject.clone(),
        adapter: adapter(&setting.manifest)?,
        gguf_runtime: setting.gguf_runtime.as_ref().map(adapter).transpose()?,
        model: setting.checkpoint.as_deref().map(sha256_file).transpose()?,
        device: match setting.device {
            Device::Cpu => "cpu".to_owned(),
            Device::Cuda(_) => "cuda".to_owned(),
        },
        seed: format!("{:016x}", setting.seed),
        selection: run.record.parts.first().and_then(|part| part.selection.clone()),
        cases: cases.collect(),
    }
    .sealed())
}

fn adapter(manifest: &Manifest) -> io::Result<Adapter> {
    let mut adapter = Adapter {
        manifest: manifest.file.as_deref().map(sha256_file).transpose()?,
        program: sha256_file(&manifest.program)?,
        files: BTreeMap::new(),
    };
    // An interpreter's program says little: the script is a file that the command line names.
    let words = manifest.written.command.iter().skip(1).filter(|_| manifest.file.is_some());
    for word in words {
        let path = manifest.folder.join(word);
        if path.is_file() {
            adapter.files.insert(word.clone(), sha256_file(&path)?);
        }
    }
    Ok(adapter)
}

/// Restricts a run to one part of a plan, whose cases it has scheduled. Returns how many cases of the part
/// are no canaries.
pub fn restrict(run: &mut Run<'_>, plan: &FrozenPlan, shard: Shard) -> u64 {
    let parts = divide(&plan.cases, shard.of);
    let of_part = plan.cases.iter().zip(&parts);
    let own: BTreeSet<&str> = of_part
        .filter(|(_, part)| **part == Some(shard.number))
        .map(|(case, _)| case.id.as_str())
        .collect();
    let canaries: Vec<String> =
        plan.cases.iter().filter(|case| case.canary).map(|case| case.id.clone()).collect();
    run.plan.scheduled.retain(|case| case.canary || own.contains(case.id().as_str()));
    let count = own.len() as u64;
    if let Some(part) = run.record.parts.first_mut() {
        part.selection.clone_from(&plan.selection);
        part.plan = Some(PlanPart {
            digest: plan.digest.clone(),
            shard: shard.number,
            of: shard.of,
            canaries,
            own: Ids::of(own),
            all: Ids::of(plan.cases.iter().map(|case| case.id.as_str())),
            merged: false,
            verdicts: BTreeMap::new(),
        });
    }
    count
}
