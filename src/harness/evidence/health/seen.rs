//! What was seen of a card, before anything is judged; tests make it up.

use crate::gpu::nvml::{self, CardPace, CardState, XidEvents};
use crate::gpu::{self, GpuError};

use super::kernel_log;

/// Why a figure is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// This machine does not give it.
    Unknown(String),
    /// The card is the reason.
    Broken(String),
}

/// Everything that was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What can be read without work on the card.
    pub counters: Counters,
    /// Paces of the card at rest, at work and after it.
    pub paces: Vec<CardPace>,
    /// Rate of pinned memory to the device, in GB/s.
    pub copy_gbps: Result<f64, Unread>,
    /// The canary: chunks that were hashed, how, and how many of them differ.
    pub canary: Result<Canary, Unread>,
}

/// What NVML and the kernel count.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Whether driver and NVML reach the card.
    pub reach: Reach,
    /// NVML's state of the card; nothing where it is not reached.
    pub state: Option<CardState>,
    /// Xid errors of this card in the kernel log: seconds ago, and the number.
    pub log: Result<Vec<(f64, u64)>, String>,
    /// Xid errors since the run began to listen; nothing where it could not.
    pub events: Option<Vec<u64>>,
    /// This process.
    pub own: u32,
}

/// Whether the card can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// By a context of this process.
    pub driver: Result<(), Unread>,
    /// By NVML.
    pub nvml: Result<(), Unread>,
}

/// What became of a pattern in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Bytes written and compared.
    pub bytes: u64,
    /// Chunks that are not what was written.
    pub wrong: u64,
    /// Whether the device hashed them; otherwise they were read back.
    pub hashed: bool,
}

/// An error of NVML: about the card, or about what this machine gives.
pub fn unread(error: &GpuError) -> Unread {
    match error.is_lost() {
        true => Unread::Broken(error.to_string()),
        false => Unread::Unknown(error.to_string()),
    }
}

/// Whose fault an error of the driver is.
pub type Blame = fn(&GpuError) -> Unread;

/// In work that nobody has disturbed: the card's, unless there is no room, or the machine lacks a library.
pub fn at_rest(error: &GpuError) -> Unread {
    match error.is_out_of_memory() || error.is_unavailable() {
        true => Unread::Unknown(error.to_string()),
        false => Unread::Broken(error.to_string()),
    }
}

/// After a loader's work: the card's only where the driver says so. This process has opened the loader's
/// memory, and a loader that takes it away may cost this process its context.
pub fn in_use(error: &GpuError) -> Unread {
    match error.is_hardware_fault() {
        true => Unread::Broken(error.to_string()),
        false => Unread::Unknown(error.to_string()),
    }
}

/// Reads what is counted, without work on the card.
pub fn counters(ordinal: u32, events: Option<&XidEvents>, blame: Blame) -> Counters {
    let state = nvml::card_state(ordinal);
    let bus = state.as_ref().ok().and_then(|state| state.bus.clone().ok());
    Counters {
        reach: Reach {
            driver: gpu::Context::open(ordinal)
                .and_then(|context| context.memory())
                .map(drop)
                .map_err(|error| blame(&error)),
            nvml: state.as_ref().map(drop).map_err(unread),
        },
        log: match bus {
            Some(bus) => kernel_log::xids(&bus),
            None => Err("NVML does not give the card's address on the bus".to_owned()),
        },
        state: state.ok(),
        events: events.map(XidEvents::take),
        own: std::process::id(),
    }
}
