//! Steps that measure the memory of the loader's process, or fill the GPU's memory.

use serde::Deserialize;

use super::expect::Bounds;

/// Remembers the process's memory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Under this name.
    #[serde(rename = "as")]
    pub name: String,
}

/// Compares memory with a mark.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grown {
    /// Which mark.
    pub since: String,
    /// The payload that bounds are counted in: the bytes of this file's tensors.
    #[serde(default = "super::default_names::main_file")]
    pub payload: String,
    /// A model whose plan of memory takes the payload's place: all that it says has to be free.
    #[serde(default)]
    pub plan_of: Option<String>,
    /// By how much it may and must have grown.
    pub by: Bounds,
}

/// Compares what the loader has kept with a mark.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// Which mark.
    pub since: String,
    /// By how many its descriptors, its threads and its processes may have grown. A pool may start late, so
    /// this is more than nothing, and less than one for each load.
    pub most: u64,
    /// Whether the files of the case must be as they were. Not where steps between the mark and this one
    /// write files themselves, as inputs.
    #[serde(default = "is_so")]
    pub files: bool,
}

const fn is_so() -> bool {
    true
}

/// Begins to watch the process's highest host memory.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkPeak {}

/// Bounds the growth of the process's highest host memory since it was begun to be watched.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peak {
    /// The payload that the bound is counted in: the bytes of this file's tensors.
    #[serde(default = "super::default_names::main_file")]
    pub payload: String,
    /// By how much it may have grown.
    pub by: Bounds,
}

/// Fills the card.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ballast {
    /// How much stays free, in MiB.
    pub leave_mib: u64,
}

/// Lets the ballast go.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {}
