//! The ways through each kind of step, with the necessary checks of each.

mod loads;
mod models;
#[cfg(test)]
mod tests;

use super::refusal::{and_nothing_held, besides, refusal};
use super::stage::{Name, Stage, stage};
use crate::contract::Device;
use crate::harness::case::expect::{DeviceCheck, DeviceOutcome};
use crate::harness::case::leave::Remains;
use crate::harness::case::step::{self, DeviceStep, Step};
use crate::harness::run::case_run::words::plain;

/// Every way through a step.
pub(super) fn ways(step: &Step, device: Device) -> Vec<Stage> {
    match step {
        Step::Load(step) => return loads::load(step, device),
        Step::Divide(step) => return loads::divided(step),
        Step::Device(step) => return vec![described(step, device)],
        Step::Real(_) => return models::real(),
        _ => {}
    }
    let one = models::of(step).or_else(|| loads::of(step)).or_else(|| of_harness(step));
    one.map_or_else(Vec::new, |stage| vec![stage])
}

/// Steps that measure, wait, or look at the loader's program.
fn of_harness(step: &Step) -> Option<Stage> {
    Some(match step {
        Step::Mark(step) => stage(format!("measure the process's memory: {}", step.name), vec![]),
        Step::Grown(step) => stage(
            format!("measure the process's memory against {}", step.since),
            vec![Name::begins("growth in bytes since ")],
        ),
        Step::Left(step) => {
            let files = step.files.then(|| Name::is("files of the case"));
            let used = [
                "descriptors of the loader ",
                "threads of the loader ",
                "processes of the loader ",
                "maps of the case's files ",
            ];
            let checks = files.into_iter().chain(used.map(Name::begins)).collect();
            stage(format!("look at what was left since {}", step.since), checks)
        }
        Step::MarkPeak(_) => stage("begin to measure the process's peak host memory", vec![]),
        Step::Peak(_) => stage(
            "read the process's peak host memory since then",
            vec![Name::begins("growth in bytes since ")],
        ),
        Step::Ballast(_) => stage("fill the GPU's memory until ", vec![]),
        Step::Release(_) => stage("release the ballast", vec![]),
        Step::Synchronize(step) => stage(
            "ask for a synchronisation of ",
            step.refused.as_ref().map_or_else(|| vec![Name::is("answer")], refusal),
        )
        .also(step.refused.as_ref().map(besides).unwrap_or_default()),
        Step::Stream(step) => {
            stage(format!("send {} to the device and back on a stream", step.file), streamed(step))
                .also([Name::begins("SHA-256 after ")])
        }
        Step::Command(_) => stage("run ", vec![Name::is("exit")]),
        Step::Name(_) => stage("compile a crate that names ", vec![Name::is("exit")]),
        Step::Sources(_) => stage(
            "scan the sources for unsafe ",
            vec![Name::is("Rust files read"), Name::begins("bare unsafe among ")],
        ),
        Step::Cli(step) => {
            let mut checks = vec![Name::is("exit code")];
            checks.extend(step.silent.then(|| Name::is("output")));
            checks.extend((!step.contains.is_empty()).then(|| Name::is("output")));
            checks.extend(step.says.iter().map(|_| Name::is("what it says")));
            checks.extend(step.on_gpu.map(|_| Name::is("the process, by NVML")));
            stage(format!("run the loader's command: {}", plain(step.command)), checks)
                .also([Name::is("output")])
        }
        Step::SameProgram(_) => stage(
            "read the files of the loader's program again",
            vec![Name::is("files that were changed")],
        ),
        Step::WithinBudget(_) => stage(
            "add up how long the run has waited for the loader",
            vec![Name::is("seconds spent waiting for the loader")],
        ),
        Step::Leave(step) => {
            let name = |remains: &Remains| match remains {
                Remains::Exit => "the end",
                Remains::Output => "output after the answer to bye",
                Remains::Processes => "processes that outlive the loader",
                Remains::Files => "files left behind",
            };
            let checks = step.look_at.iter().map(|remains| Name::is(name(remains))).collect();
            stage("ask the loader to leave, and look at what remains", checks)
        }
        _ => return None,
    })
}

fn streamed(step: &step::Stream) -> Vec<Name> {
    let mut checks = vec![Name::begins("SHA-256 after ")];
    if step.rounds.is_some() {
        let bounds = [true, step.least_gbps.is_some(), step.least_of_pageable.is_some()];
        let asked = bounds.into_iter().filter(|asked| *asked);
        checks.extend(asked.map(|_| Name::is("rate by the harness's clock")));
    }
    checks
}

fn described(step: &DeviceStep, device: Device) -> Stage {
    let begins = match step.every {
        true => "ask about ".to_owned(),
        false => format!("ask about {}", step.device.unwrap_or(device)),
    };
    let name = |fact: &DeviceCheck| match fact {
        DeviceCheck::Name => "name",
        DeviceCheck::Memory => "total bytes",
        DeviceCheck::ComputeCapability => "compute capability",
        DeviceCheck::Count => "devices",
        DeviceCheck::Uuid => "UUID",
        DeviceCheck::Listed => "GPU in NVML",
    };
    let checks = match &step.expect {
        DeviceOutcome::Facts(facts) => facts.iter().map(|fact| Name::is(name(fact))).collect(),
        DeviceOutcome::Refused(refused) => and_nothing_held(refusal(refused)),
    };
    let again: Vec<Name> = if step.every { checks.clone() } else { Vec::new() };
    let besides = match &step.expect {
        DeviceOutcome::Refused(refused) => besides(refused),
        DeviceOutcome::Facts(_) => Vec::new(),
    };
    stage(begins, checks).also(again).also(besides).also(step.every.then(|| Name::is("UUID")))
}
