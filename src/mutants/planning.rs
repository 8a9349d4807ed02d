//! Lies about what a card is and holds, what a model will take there, how it is held, and where a load's
//! time went.

use super::between::{Answer, Between, between};
use super::{Mutant, reference};
use crate::contract::plan::{LoadTimes, MemoryPlan, Residency};
use crate::contract::reply::DeviceInfo;
use crate::contract::request::{DeviceQuery, Request};
use crate::contract::{Code, Device, Loader};
use crate::loader::device::Gpus;
use crate::loader::error::Result;
use crate::loader::infer::RunnableModel;
use crate::loader::infer::residence::Layout;
use crate::loader::verbs::preflight;
use crate::loader::{ReferenceLoader, Steps};

/// These mutants.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "preflight-ignored",
        lie: "describes a card that falls short of what was asked as if it would do",
        seen_in: "TECH-EMB-002: checks that nobody called",
        needs_gpu: true,
        make: || reference(Unchecked),
    },
    Mutant {
        name: "facts-made-up",
        lie: "takes a card's memory from a brochure",
        seen_in: "TECH-EMB-002, the code it replaces",
        needs_gpu: true,
        make: || reference(Brochure),
    },
    Mutant {
        name: "card-made-up",
        lie: "describes the same eight cards whatever is there and whatever is asked",
        seen_in: "TECH-EMB-002, the code it replaces",
        needs_gpu: true,
        make: || reference(Eight),
    },
    Mutant {
        name: "oom-unexplained",
        lie: "says that nearly as much memory was there as was asked for",
        seen_in: "errors that guess the figures they name",
        needs_gpu: true,
        make: || between(Guessed),
    },
    Mutant {
        name: "plan-made-up",
        lie: "plans with a fifth more than the weights, whatever the configuration says",
        seen_in: "rules of thumb for memory",
        needs_gpu: false,
        make: || reference(RuleOfThumb),
    },
    Mutant {
        name: "streaming-mode-unsaid",
        lie: "says that a model is held whole when it is streamed",
        seen_in: "loaders that slow down without a word",
        needs_gpu: true,
        make: || reference(Unsaid),
    },
    Mutant {
        name: "streamed-never",
        lie: "refuses what does not fit whole",
        seen_in: "GH-201",
        needs_gpu: true,
        make: || reference(Always(Residency::Whole)),
    },
    Mutant {
        name: "streamed-always",
        lie: "streams what would fit whole",
        seen_in: "GH-201: streaming as the only mode",
        needs_gpu: true,
        make: || reference(Always(Residency::Streamed)),
    },
    Mutant {
        name: "streamed-stale-layer",
        lie: "runs a streamed model's last layer on the weights of the one before",
        seen_in: "buffers that are used before the copy into them",
        needs_gpu: true,
        make: || reference(Stale),
    },
    Mutant {
        name: "streamed-layer-skipped",
        lie: "leaves a streamed model's last layer out",
        seen_in: "loops over what happens to be in memory",
        needs_gpu: true,
        make: || reference(Skipped),
    },
    Mutant {
        name: "unused-unsaid",
        lie: "names no tensor as unused, whatever is in the file",
        seen_in: "loaders that ignore what they do not know",
        needs_gpu: false,
        make: || reference(NothingUnused),
    },
    Mutant {
        name: "unused-made-up",
        lie: "names a tensor as unused that every model uses",
        seen_in: "lists of names kept by hand",
        needs_gpu: false,
        make: || reference(HeadUnused),
    },
    Mutant {
        name: "times-made-up",
        lie: "tells the same times of every load",
        seen_in: "budgets copied from a document",
        needs_gpu: true,
        make: || reference(SameTimes),
    },
];

/// Profiles compared with nothing.
struct Unchecked;

impl Steps for Unchecked {
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

/// No driver was asked.
struct Eight;

impl Steps for Eight {
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

/// Eighty gigabytes, as printed.
struct Brochure;

impl Steps for Brochure {
    fn device_info(&self, query: &DeviceQuery, found: Result<DeviceInfo>) -> Result<DeviceInfo> {
        found.map(|info| match query.device {
            Device::Cpu => info,
            Device::Cuda(_) => DeviceInfo { total_bytes: 80_000_000_000, ..info },
        })
    }
}

/// Just too little memory, always.
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

/// A fifth on top of the weights.
struct RuleOfThumb;

impl Steps for RuleOfThumb {
    fn plan(&self, made: MemoryPlan) -> MemoryPlan {
        let fifth = made.weights_bytes / 5;
        MemoryPlan { cache_bytes: fifth / 2, workspace_bytes: fifth / 2, ..made }
    }
}

/// Whole, by its own word.
struct Unsaid;

impl Steps for Unsaid {
    fn plan(&self, made: MemoryPlan) -> MemoryPlan {
        MemoryPlan { mode: Residency::Whole, ..made }
    }
}

/// One mode, wherever there is room.
struct Always(Residency);

impl Steps for Always {
    fn residency(&self, _fits: Residency) -> Residency {
        self.0
    }
}

/// Nothing comes for the last layer.
struct Stale;

impl Steps for Stale {
    fn streamed(&self, _model: &mut RunnableModel, mut needed: Layout) -> Layout {
        if let Some(last) = needed.layers.last_mut() {
            last.clear();
        }
        needed
    }
}

/// One layer fewer.
struct Skipped;

impl Steps for Skipped {
    fn streamed(&self, model: &mut RunnableModel, needed: Layout) -> Layout {
        if let Some(body) = &mut model.parts.body {
            body.layers.pop();
        }
        needed
    }
}

/// Every tensor of some use.
struct NothingUnused;

impl Steps for NothingUnused {
    fn unused(&self, _found: Vec<String>) -> Vec<String> {
        Vec::new()
    }
}

/// A tensor that is in use.
struct HeadUnused;

impl Steps for HeadUnused {
    fn unused(&self, _found: Vec<String>) -> Vec<String> {
        vec!["lm_head.weight".to_owned()]
    }
}

/// The shares of the budget, in full.
struct SameTimes;

impl Steps for SameTimes {
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
