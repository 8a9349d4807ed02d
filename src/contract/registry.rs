//! A registry of models that belong together: what `weighbridge warm` loads.
//!
//! It is a YAML file. Its paths are relative to its folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::DType;
use super::inference::Head;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// The models. Each id is unique.
    pub models: Vec<RegisteredModel>,
}

/// One model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredModel {
    /// Its id, such as `E1`.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// The folder of its files.
    pub folder: PathBuf,
    /// Its configuration, in the folder.
    pub config: PathBuf,
    /// Its weight file or shard index, in the folder.
    pub weights: PathBuf,
    /// Its tokenizer, in the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
    /// What output is made of its token states.
    pub head: Head,
    /// Element type of its weights.
    pub dtype: DType,
    /// Size of its embedding.
    pub dimension: u64,
    /// SHA-256 of each weight file, by its name in the folder: 64 lower-case hex digits.
    pub sha256: BTreeMap<String, String>,
    /// Its seal; the weights are then compared with it chunk by chunk, on the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<PinnedSeal>,
    /// Its golden reference.
    pub golden: GoldenFiles,
    /// Largest absolute difference from a golden value.
    pub tolerance: f32,
}

/// A seal and its pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedSeal {
    /// The seal, in the folder.
    pub file: PathBuf,
    /// The digest that `weighbridge seal` printed: 64 lower-case hex digits.
    pub pin: String,
}

/// A golden reference, in the folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenFiles {
    /// `test_input.bin`.
    pub input: PathBuf,
    /// `golden_output.bin`.
    pub output: PathBuf,
}
