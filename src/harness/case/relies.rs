//! Everything that a case relies on: capabilities, and what only a run's device decides.

use std::collections::BTreeSet;

use super::divide::DividedOutcome;
use super::expect::{DeviceOutcome, LoadOutcome};
use super::step::{Route, Step};
use super::{Case, Want};
use crate::contract::{Capability, Device, capability};
use crate::harness::model::Architecture;

/// What a case relies on, whatever the device of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relies {
    /// Capabilities that are the same on every device.
    pub capabilities: BTreeSet<Capability>,
    /// Whether it uses the run's device.
    pub device: bool,
    /// Whether it fetches bytes on the way that the device implies.
    pub bytes: bool,
    /// Whether it starts the loader's command-line program.
    pub program: bool,
}

impl Case {
    /// Whether models are divided over ranks and not run: a loader of weights alone can do that.
    pub(super) fn only_divides(&self) -> bool {
        let steps = self.flat_steps();
        let others =
            |step: &&Step| matches!(step, Step::Load(_) | Step::Forward(_) | Step::Generate(_));
        steps.iter().any(|step| matches!(step, Step::Divide(_))) && !steps.iter().any(others)
    }

    /// The fewest cards with which the case can be tried on a GPU.
    pub fn cards(&self) -> u32 {
        let of_ranks = self.flat_steps().into_iter().map(|step| match step {
            Step::Divide(divide) => divide.cards(),
            _ => 1,
        });
        let of_ranks = of_ranks.max().unwrap_or(1);
        let least = if self.needs.contains(&Want::Cards) { 2 } else { 1 };
        u32::try_from(of_ranks).unwrap_or(u32::MAX).max(least)
    }

    /// Whether a model runs that is divided over ranks.
    pub(super) fn runs_divided(&self) -> bool {
        let mut divided = BTreeSet::new();
        self.flat_steps().iter().any(|step| match step {
            Step::Divide(step) => {
                divided.insert(step.name.as_str());
                false
            }
            Step::Load(load) => {
                divided.remove(load.name.as_str());
                false
            }
            Step::Forward(step) => divided.contains(step.model.as_str()),
            Step::Generate(step) => divided.contains(step.model.as_str()),
            _ => false,
        })
    }

    /// What the case relies on in a run with this checkpoint.
    pub fn relies(&self, checkpoint: Option<Architecture>) -> Relies {
        let mut all = Relies {
            capabilities: self.capabilities(checkpoint),
            device: false,
            bytes: false,
            program: false,
        };
        for step in self.flat_steps() {
            match step {
                Step::Load(load) => match &load.expect {
                    LoadOutcome::Refused(refusal) if refusal.is_absent_cuda() => {}
                    _ => all.uses(load.device),
                },
                Step::Device(query) => match &query.expect {
                    DeviceOutcome::Refused(refusal) if refusal.is_absent_cuda() => {}
                    _ => all.uses(query.device),
                },
                Step::Divide(step) => {
                    all.uses(None);
                    all.bytes |= matches!(step.expect, DividedOutcome::Held);
                }
                // The second process is the same loader.
                Step::LoadBeside(_) => all.uses(None),
                Step::CompareBeside(_) => all.bytes = true,
                Step::Compare(compare) => all.bytes |= compare.route == Route::Auto,
                Step::Cli(_) => all.program = true,
                _ => {}
            }
        }
        all
    }

    /// What the case relies on, as words: the names of capabilities, `device` and `bytes` for those that
    /// the run's device decides, `on.gpu` and `on.host` for runs that it is limited to, and `toolchain`
    /// and `program` for what a manifest names.
    pub fn words(&self) -> BTreeSet<String> {
        let relies = self.relies(None);
        let mut words: BTreeSet<String> =
            relies.capabilities.into_iter().map(capability::name).collect();
        let named = [
            (relies.device, "device"),
            (relies.bytes, "bytes"),
            (relies.program, "program"),
            (self.needs.contains(&Want::Gpu), "on.gpu"),
            (self.needs.contains(&Want::Cpu), "on.host"),
            (self.needs.contains(&Want::Toolchain), "toolchain"),
        ];
        words.extend(named.into_iter().filter(|(is, _)| *is).map(|(_, word)| word.to_owned()));
        words
    }
}

impl Relies {
    fn uses(&mut self, device: Option<Device>) {
        match device {
            Some(device) => drop(self.capabilities.insert(of_device(device))),
            None => self.device = true,
        }
    }

    /// The capabilities in a run on this device.
    pub fn on(self, device: Device) -> BTreeSet<Capability> {
        let mut all = self.capabilities;
        if self.device {
            all.insert(of_device(device));
        }
        if self.bytes {
            // On host memory the tensors travel by file; on a device by IPC.
            all.insert(if device.is_gpu() { Capability::Export } else { Capability::Read });
        }
        all
    }
}

fn of_device(device: Device) -> Capability {
    match device {
        Device::Cpu => Capability::DeviceCpu,
        Device::Cuda(_) => Capability::DeviceCuda,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_decides_what_a_case_relies_on() {
        let text = "{requirement: R, name: n, tries: t, needs: [gpu], files: {main: {tensors: []}}, steps: \
                    [{load: {expect: {loaded: []}}}, {compare: {}}]}";
        let case: Case = serde_yaml::from_str(text).unwrap();
        let on = |device| case.relies(None).on(device);
        let host = [Capability::DeviceCpu, Capability::Read, Capability::FormatSafetensors];
        assert_eq!(on(Device::Cpu), host.into_iter().collect());
        assert!(
            on(Device::Cuda(1))
                .is_superset(&[Capability::DeviceCuda, Capability::Export].into_iter().collect())
        );
        let words: Vec<String> = case.words().into_iter().collect();
        assert_eq!(words, ["bytes", "device", "format.safetensors", "on.gpu"]);
    }

    #[test]
    fn that_there_is_no_cuda_can_be_said_by_a_loader_without_it() {
        let words = |more: &str| {
            let text = format!(
                "{{requirement: R, name: n, tries: t, files: {{main: {{tensors: []}}}}, steps: [{{load: \
                 {{device: 'cuda:0', expect: {{refused: {{class: device, code: [cuda_unavailable]{more}}}}}}}}}]}}"
            );
            serde_yaml::from_str::<Case>(&text).unwrap().words()
        };
        assert_eq!(words("").into_iter().collect::<Vec<_>>(), ["format.safetensors"]);
        assert!(words(", driver_words: true").contains("device.cuda"));
    }

    #[test]
    fn a_device_by_name_is_asked_for_by_name() {
        let text = "{requirement: R, name: n, tries: t, files: {main: {tensors: []}}, steps: \
                    [{load: {device: 'cuda:99', expect: {loaded: []}}}]}";
        let case: Case = serde_yaml::from_str(text).unwrap();
        let words: Vec<String> = case.words().into_iter().collect();
        assert_eq!(words, ["device.cuda", "format.safetensors"]);
    }
}
