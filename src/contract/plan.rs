//! What a load reports besides the tensors: the memory that the model will need, planned before
//! anything is copied, and the time of each step of the load.

use serde::{Deserialize, Serialize};

use super::DType;

/// Where a model's weights are while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Residency {
    /// All weights are in the memory of the device.
    Whole,
    /// The weights of the layers are in host memory. Each layer is copied to the device when it is
    /// needed.
    Streamed,
}

/// The memory that a decoder will need, calculated only from its configuration and the tensor
/// tables of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryPlan {
    /// Where its weights are.
    pub mode: Residency,
    /// Size of all weights that the architecture uses, in the element types that they have in
    /// memory, in bytes.
    pub weights_bytes: u64,
    /// Device memory for weights, in bytes: all of them or, if streamed, those that stay on the
    /// device and the buffers for layers.
    pub device_bytes: u64,
    /// Length of the longest sequence that the plan has memory for, in tokens.
    pub tokens: u64,
    /// Element type of keys and values.
    pub cache_dtype: DType,
    /// Size of the keys and values of all layers for that many tokens, in bytes.
    pub cache_bytes: u64,
    /// Size of the activations of such a sequence's prompt and of everything else that a run needs,
    /// in bytes.
    pub workspace_bytes: u64,
}

impl MemoryPlan {
    /// Device memory that has to be free, in bytes.
    pub fn needed_bytes(&self) -> u64 {
        [self.cache_bytes, self.workspace_bytes]
            .iter()
            .fold(self.device_bytes, |sum, part| sum.saturating_add(*part))
    }
}

/// A step of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadStep {
    /// Opening files, reading headers, tables and configuration.
    Parse,
    /// Reserving memory.
    Allocate,
    /// Reading the data and computing its digests.
    ReadAndHash,
    /// Running the data-quality gates on every tensor.
    CheckWeights,
    /// Copying bytes to their final place.
    Copy,
    /// Registering the model under its handle, and preparing its kernels if they are not ready.
    Register,
}

impl LoadStep {
    /// Every step.
    pub const ALL: [LoadStep; 6] = [
        LoadStep::Parse,
        LoadStep::Allocate,
        LoadStep::ReadAndHash,
        LoadStep::CheckWeights,
        LoadStep::Copy,
        LoadStep::Register,
    ];
}

/// The time of a load by step, in microseconds. The time of a step is the time in which the load
/// waited for it. No time is counted twice, so the sum is the time of the load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadTimes {
    /// Opening files, reading headers, tables and configuration.
    pub parse_us: u64,
    /// Reserving memory.
    pub allocate_us: u64,
    /// Reading the data and computing its digests, together with all work done at the same time.
    pub read_and_hash_us: u64,
    /// Running the data-quality gates, without the part that ran during another step.
    pub check_weights_us: u64,
    /// Copying bytes to their final place, without the part that ran during another step.
    pub copy_us: u64,
    /// Registering the model under its handle, and preparing its kernels if they are not ready.
    pub register_us: u64,
    /// Steps that ran, partly or completely, while the load waited for another step.
    pub overlapped: Vec<LoadStep>,
}

impl LoadTimes {
    /// Every step with its time, in microseconds.
    pub fn each(&self) -> [(LoadStep, u64); 6] {
        [
            (LoadStep::Parse, self.parse_us),
            (LoadStep::Allocate, self.allocate_us),
            (LoadStep::ReadAndHash, self.read_and_hash_us),
            (LoadStep::CheckWeights, self.check_weights_us),
            (LoadStep::Copy, self.copy_us),
            (LoadStep::Register, self.register_us),
        ]
    }

    /// All steps together, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.each().iter().fold(0, |sum, (_, each)| sum.saturating_add(*each))
    }
}
