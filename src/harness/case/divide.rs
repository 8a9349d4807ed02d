//! The step that divides a model over ranks.

use serde::{Deserialize, Serialize};

use super::expect::Refusal;

/// Loads a model divided over ranks, and compares what each rank holds with its slice of the file.
///
/// On the host, all ranks are in host memory. On a GPU, each rank gets a card of its own if the machine shows
/// enough of them. Otherwise one card plays every rank in turn.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Divide {
    /// Which file.
    #[serde(default = "super::default_names::main_file")]
    pub file: String,
    /// What later steps call the model. After ranks in turn, it is the last one.
    #[serde(default = "super::default_names::first_model", rename = "as")]
    pub name: String,
    /// Tensor-parallel ranks of a stage.
    pub tp: u32,
    /// Pipeline stages of a replica.
    #[serde(default = "one")]
    pub pp: u32,
    /// Copies of the model.
    #[serde(default = "one")]
    pub replicas: u32,
    /// The ranks to ask for, in this order; all of the grid in their order unless named.
    #[serde(default)]
    pub ranks: Vec<u32>,
    /// Whether each rank is loaded and freed by itself.
    #[serde(default)]
    pub in_turn: bool,
    /// Whether all ranks must be loaded at once, so that later steps can run the model. On a GPU the case is
    /// then untested where there are fewer cards than ranks.
    #[serde(default)]
    pub together: bool,
    /// Whether the request names the run's device for every rank.
    #[serde(default)]
    pub one_device: bool,
    /// Whether a loader that serves seals loads the model sealed.
    #[serde(default)]
    pub sealed: bool,
    /// Whether the bytes that the loader reads are counted.
    #[serde(default)]
    pub reads: bool,
    /// What happens to the process of one rank, where ranks have processes. The model is unloaded behind it.
    #[serde(default)]
    pub lose: Option<Lose>,
    /// What must come of it.
    pub expect: DividedOutcome,
}

/// What happens to the process of one rank, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lose {
    /// It is killed between two requests.
    Ended,
    /// It is killed while a request waits for it.
    EndedInRequest,
    /// It is killed while the model is loaded.
    EndedInLoad,
    /// It is stopped for a short time while a request waits for it.
    PausedInRequest,
    /// It is stopped for a short time while the model is loaded.
    PausedInLoad,
}

impl Lose {
    /// Whether it happens during the load.
    pub fn in_load(self) -> bool {
        matches!(self, Lose::EndedInLoad | Lose::PausedInLoad)
    }

    /// Whether the process ends.
    pub fn ends(self) -> bool {
        !matches!(self, Lose::PausedInRequest | Lose::PausedInLoad)
    }
}

/// What a divided load must come to.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DividedOutcome {
    /// Each rank holds its slices, and says so.
    Held,
    /// It is refused, and nothing stays behind.
    Refused(Refusal),
}

impl Divide {
    /// Number of ranks of the grid.
    pub fn world(&self) -> u64 {
        let tensor = u64::from(self.tp).saturating_mul(u64::from(self.pp));
        tensor.saturating_mul(u64::from(self.replicas))
    }

    /// The ranks to ask for.
    pub fn asked(&self) -> Vec<u32> {
        match self.ranks.is_empty() {
            true => (0..u32::try_from(self.world()).unwrap_or(u32::MAX)).collect(),
            false => self.ranks.clone(),
        }
    }

    /// The fewest cards with which it can be tried on a GPU.
    pub(super) fn cards(&self) -> usize {
        if self.together && !self.one_device { self.asked().len() } else { 1 }
    }
}

fn one() -> u32 {
    1
}
