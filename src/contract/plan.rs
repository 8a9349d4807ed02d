//! What a load tells of itself beyond the weights: the memory that the model will take, planned before
//! anything was copied, and where the load's time went.

use serde::{Deserialize, Serialize};

use super::DType;

/// Where a model's weights are while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Residency {
    /// All in the memory of its device.
    Whole,
    /// Those of the layers in host memory, from where each layer comes to the device as it is needed.
    Streamed,
}

/// The memory that a decoder will take, from its configuration and the tables of its files alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryPlan {
    /// Where its weights are.
    pub mode: Residency,
    /// All weights that the architecture uses, at the width that they are held in, in bytes.
    pub weights_bytes: u64,
    /// What its weights take on the device: all of them, or those that stay there and the room that
    /// layers come to. In bytes.
    pub device_bytes: u64,
    /// Tokens of the longest sequence that the plan has room for.
    pub tokens: u64,
    /// Element type of keys and values.
    pub cache_dtype: DType,
    /// Keys and values of every layer for so many tokens, in bytes.
    pub cache_bytes: u64,
    /// Activations of such a sequence's prompt and whatever else running it takes, in bytes.
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
    /// Judging every tensor by the gates.
    CheckWeights,
    /// Moving bytes to where they stay.
    Copy,
    /// Making the model known under its handle, and its kernels ready where they were not.
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

/// Where a load's time went: for each step the time in which the load waited for it, in microseconds.
/// No moment is counted twice, so the sum is the time that the load took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadTimes {
    /// Opening files, reading headers, tables and configuration.
    pub parse_us: u64,
    /// Reserving memory.
    pub allocate_us: u64,
    /// Reading the data and computing its digests, with whatever else was done meanwhile.
    pub read_and_hash_us: u64,
    /// Judging every tensor by the gates, as far as that was not done meanwhile.
    pub check_weights_us: u64,
    /// Moving bytes to where they stay, as far as that was not done meanwhile.
    pub copy_us: u64,
    /// Making the model known under its handle, and its kernels ready where they were not.
    pub register_us: u64,
    /// Steps of which some or all went on while another one was waited for.
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
