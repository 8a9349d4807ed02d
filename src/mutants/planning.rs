//! Mutants of device facts, memory plans, residency, unused tensors and load times.

use super::between::{Answer, Between, between};
use super::mutant::{Mutant, reference};
use crate::contract::plan::{LoadTimes, MemoryPlan, Residency};
use crate::contract::reply::DeviceInfo;
use crate::contract::request::{DeviceQuery, Request};
use crate::contract::{Code, Device, Loader};
use crate::loader::device::Gpus;
use crate::loader::error::Result;
use crate::loader::infer::RunnableModel;
use crate::loader::memory::layout::Layout;
use crate::loader::verbs::preflight;
use crate::loader::{LoadDecisions, ReferenceLoader};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "preflight-ignored",
        lie: "reports a card that does not meet the requested profile as if it did",
        seen_in: "TECH-EMB-002: checks that were never called",
        needs_gpu: true,
        make: || reference(Unchecked),
    },
    Mutant {
        name: "facts-made-up",
        lie: "reports the memory size from a data sheet instead of the card's own",
        seen_in: "TECH-EMB-002: the replaced code",
        needs_gpu: true,
        make: || reference(Brochure),
    },
    Mutant {
        name: "card-made-up",
        lie: "reports the same eight GPUs on every machine, for every request",
        seen_in: "TECH-EMB-002: the replaced code",
        needs_gpu: true,
        make: || reference(Eight),
    },
    Mutant {
        name: "oom-unexplained",
        lie: "reports 99 % of the requested bytes as available when memory runs out",
        seen_in: "errors with guessed figures",
        needs_gpu: true,
        make: || between(Guessed),
    },
    Mutant {
        name: "plan-made-up",
        lie: "plans a fifth more than the weights, for every configuration",
        seen_in: "rules of thumb for memory",
        needs_gpu: false,
        make: || reference(RuleOfThumb),
    },
    Mutant {
        name: "streaming-mode-unsaid",
        lie: "reports a streamed model as held whole",
        seen_in: "loaders that fall back to a slow mode without reporting it",
        needs_gpu: true,
        make: || reference(Unsaid),
    },
    Mutant {
        name: "streamed-never",
        lie: "refuses a model that does not fit whole, instead of streaming it",
        seen_in: "GH-201",
        needs_gpu: true,
        make: || reference(Always(Residency::Whole)),
    },
    Mutant {
        name: "streamed-always",
        lie: "streams a model that would fit whole",
        seen_in: "GH-201: streaming as the only mode",
        needs_gpu: true,
        make: || reference(Always(Residency::Streamed)),
    },
    Mutant {
        name: "streamed-stale-layer",
        lie: "runs a streamed model's last layer with another layer's weights",
        seen_in: "buffers that are used before the copy into them has finished",
        needs_gpu: true,
        make: || reference(Stale),
    },
    Mutant {
        name: "streamed-layer-skipped",
        lie: "skips the last layer of a streamed model",
        seen_in: "loops over the layers that are in memory",
        needs_gpu: true,
        make: || reference(Skipped),
    },
    Mutant {
        name: "unused-unsaid",
        lie: "reports no unused tensors, whatever the file holds",
        seen_in: "loaders that ignore unknown tensors",
        needs_gpu: false,
        make: || reference(NothingUnused),
    },
    Mutant {
        name: "unused-made-up",
        lie: "reports lm_head.weight as unused",
        seen_in: "lists of names maintained by hand",
        needs_gpu: false,
        make: || reference(HeadUnused),
    },
    Mutant {
        name: "times-made-up",
        lie: "reports the same phase times for every load",
        seen_in: "budgets copied from a document",
        needs_gpu: false,
        make: || reference(SameTimes),
    },
];

/// Answers as if no hardware profile was requested when the card does not meet it.
struct Unchecked;

impl LoadDecisions for Unchecked {
    fn device_info(&self, query: &DeviceQuery, found: Result<DeviceInfo>) -> Result<DeviceInfo> {
        found.or_else(|error| match error.code() {
            Code::ComputeCapability | Code::VramInsufficient => {
                let query = DeviceQuery { profile: None, ..query.clone() };
                preflight::describe(&mut Gpus::default(), &query)
            }
            _ => Err(error),
        })
    }
}

/// Describes invented cards without asking the driver.
struct Eight;

impl LoadDecisions for Eight {
    fn device_info(&self, query: &DeviceQuery, found: Result<DeviceInfo>) -> Result<DeviceInfo> {
        match query.device {
            Device::Cpu => found,
            Device::Cuda(_) => Ok(DeviceInfo {
                device: query.device,
                name: "CUDA device".to_owned(),
                compute_capability: Some((7, 0)),
                total_bytes: 16 << 30,
                free_bytes: 15 << 30,
                uuid: None,
                count: 8,
            }),
        }
    }
}

/// Reports 80 GB, the size in a data sheet.
struct Brochure;

impl LoadDecisions for Brochure {
    fn device_info(&self, query: &DeviceQuery, found: Result<DeviceInfo>) -> Result<DeviceInfo> {
        found.map(|info| match query.device {
            Device::Cpu => info,
            Device::Cuda(_) => DeviceInfo { total_bytes: 80_000_000_000, ..info },
        })
    }
}

/// Reports 99 % of the requested bytes as available when memory runs out.
struct Guessed;

impl Between for Guessed {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        loader.answer(request).map_err(|mut failure| {
            if failure.code == Code::OutOfDeviceMemory {
                failure.available_bytes = failure.requested_bytes.map(|asked| asked - asked / 100);
            }
            failure
        })
    }
}

/// Plans a fifth of the weights' size for cache and workspace together.
struct RuleOfThumb;

impl LoadDecisions for RuleOfThumb {
    fn plan(&self, made: MemoryPlan) -> MemoryPlan {
        let fifth = made.weights_bytes / 5;
        MemoryPlan { cache_bytes: fifth / 2, workspace_bytes: fifth / 2, ..made }
    }
}

/// Reports the residency as whole.
struct Unsaid;

impl LoadDecisions for Unsaid {
    fn plan(&self, made: MemoryPlan) -> MemoryPlan {
        MemoryPlan { mode: Residency::Whole, ..made }
    }
}

/// Always chooses this residency.
struct Always(Residency);

impl LoadDecisions for Always {
    fn residency(&self, _fits: Residency) -> Residency {
        self.0
    }
}

/// Copies nothing for the last streamed layer.
struct Stale;

impl LoadDecisions for Stale {
    fn streamed(&self, _encoder: &mut RunnableModel, mut needed: Layout) -> Layout {
        if let Some(last) = needed.layers.last_mut() {
            last.clear();
        }
        needed
    }
}

/// Removes the last layer.
struct Skipped;

impl LoadDecisions for Skipped {
    fn streamed(&self, model: &mut RunnableModel, needed: Layout) -> Layout {
        if let Some(body) = &mut model.parts.body {
            body.layers.pop();
        }
        needed
    }
}

/// Reports no unused tensors.
struct NothingUnused;

impl LoadDecisions for NothingUnused {
    fn unused(&self, _found: Vec<String>) -> Vec<String> {
        Vec::new()
    }
}

/// Reports `lm_head.weight` as unused.
struct HeadUnused;

impl LoadDecisions for HeadUnused {
    fn unused(&self, _found: Vec<String>) -> Vec<String> {
        vec!["lm_head.weight".to_owned()]
    }
}

/// Reports the time budget of each phase as the measured time.
struct SameTimes;

impl LoadDecisions for SameTimes {
    fn times(&self, taken: LoadTimes) -> LoadTimes {
        LoadTimes {
            parse_us: 100_000,
            allocate_us: 10_000,
            read_and_hash_us: 200_000,
            check_weights_us: 100_000,
            copy_us: 800_000,
            register_us: 10_000,
            ..taken
        }
    }
}

#[cfg(test)]
mod tests;
