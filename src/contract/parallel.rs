//! Loads that divide one model over several ranks.
//!
//! The grid has `tp` x `pp` x `replicas` ranks. Ranks of a stage are neighbours, then come the stages, then
//! the replicas: the global rank is `(replica * pp + stage) * tp + tp_rank`. Only `tp_rank` decides the slice.
//!
//! One conversation serves all ranks of a request. A loader that needs a process for each rank starts these
//! processes itself.

use serde::{Deserialize, Serialize};

use super::Device;

/// How a load divides a model, and which ranks it loads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parallel {
    /// Tensor-parallel ranks of a stage.
    pub tp: u32,
    /// Pipeline stages of a replica.
    pub pp: u32,
    /// Copies of the model.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub replicas: u32,
    /// The ranks to load: all of the grid, or some of them, each once.
    ///
    /// The loader must refuse a grid that does not divide the model, a rank that the grid does not have, a rank
    /// that is named twice, and a CUDA device that is named for two ranks. It loads all of these ranks or none.
    pub ranks: Vec<RankPlace>,
}

/// A rank, and where its part must be loaded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankPlace {
    /// The global rank.
    pub rank: u32,
    /// Its device.
    pub device: Device,
}

/// What one rank holds of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankPart {
    /// The global rank.
    pub rank: u32,
    /// The device that holds it.
    pub device: Device,
    /// Memory held for this rank on its device, in bytes.
    pub held_bytes: u64,
    /// What it holds of each tensor. A tensor of which it holds nothing is left out.
    pub tensors: Vec<Slice>,
    /// Number of tensors that belong to other stages only; absent if the loader does not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<u64>,
    /// Microseconds from the start of the load until this rank's device had done its work; absent if the loader does not
    /// measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_us: Option<u64>,
}

/// What a rank holds of one tensor: the elements in the product of the intervals, row-major, without gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// The tensor's name in the files.
    pub tensor: String,
    /// For each dimension the intervals `[begin, end)` that the rank holds, in its own order.
    pub ranges: Vec<Vec<[u64; 2]>>,
    /// Rows of zeros that follow, so that all ranks have equally many rows of a vocabulary.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub padding: u64,
    /// For a bias of a row-parallel layer: whether this rank adds it to its part of the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adds: Option<bool>,
}

impl Parallel {
    /// Number of ranks of the grid; `None` if it does not fit in 64 bits.
    pub fn world(&self) -> Option<u64> {
        let tensor = u64::from(self.tp).checked_mul(u64::from(self.pp))?;
        tensor.checked_mul(u64::from(self.replicas))
    }
}

const fn one() -> u32 {
    1
}

// Serde gives references to the functions that decide whether to skip a field.
#[expect(clippy::trivially_copy_pass_by_ref)]
const fn is_one(number: &u32) -> bool {
    *number == 1
}

#[expect(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}
