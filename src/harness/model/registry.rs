//! The thirteen models: recipes of both scales, pinned digests and tolerances, as
//! `fixtures/models/registry.yaml` has them, and their golden references.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use super::recipe::{Architecture, Decoder, HeadKind, Projected, Recipe, Sizes};
use crate::contract::DType;

static TEXT: &str = include_str!("../../../fixtures/models/registry.yaml");
static GOLDENS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/fixtures/models/goldens");

/// How large the models are.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// The same shapes shrunk: a few megabytes in all.
    Small,
    /// The real dimensions: about eight gigabytes in all.
    Full,
}

impl Scale {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Scale::Small => "small",
            Scale::Full => "full",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    models: Vec<Entry>,
}

/// One model of the registry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `E1` to `E13`.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What is worth knowing of it.
    #[serde(default)]
    pub note: Option<String>,
    /// Its architecture.
    pub architecture: Architecture,
    /// Element type of its weights.
    pub dtype: DType,
    /// What its head makes of the token states.
    pub output: HeadKind,
    /// The head's linear layer.
    #[serde(default)]
    pub projection: Option<Projected>,
    /// Whether the embedding is normalised.
    pub normalize: bool,
    /// How many files it is spread over.
    #[serde(default = "one")]
    pub shards: usize,
    /// Largest absolute difference from a golden value, by scale.
    pub tolerance: BTreeMap<Scale, f32>,
    /// Sizes by scale.
    pub sizes: BTreeMap<Scale, Sizes>,
    /// SHA-256 of each weight file, by scale.
    #[serde(default)]
    pub sha256: BTreeMap<Scale, BTreeMap<String, String>>,
}

fn one() -> usize {
    1
}

/// A golden reference: the numbers of `test_input.bin` and `golden_output.bin`.
#[derive(Clone, Copy, Debug)]
pub struct Golden {
    /// The input file's bytes.
    pub input: &'static [u8],
    /// The output file's bytes.
    pub output: &'static [u8],
}

impl Entry {
    /// The recipe at a scale.
    ///
    /// # Errors
    /// Where the registry has no such scale.
    pub fn recipe(&self, scale: Scale) -> Result<Recipe, String> {
        let sizes = self.sizes.get(&scale);
        let sizes = sizes.ok_or_else(|| format!("{} has no {} scale", self.id, scale.name()))?;
        Ok(Recipe {
            architecture: self.architecture,
            dtype: self.dtype,
            sizes: sizes.clone(),
            output: self.output,
            projection: self.projection.clone(),
            normalize: self.normalize,
            shards: self.shards,
            decoder: Decoder::default(),
            seed: format!("weighbridge {} {}", self.id, scale.name()),
        })
    }

    /// The golden reference at a scale, where one has been made.
    pub fn golden(&self, scale: Scale) -> Option<Golden> {
        let file = |name: &str| {
            let path = format!("{}/{}/{name}", scale.name(), self.id);
            GOLDENS.get_file(path).map(include_dir::File::contents)
        };
        Some(Golden { input: file("test_input.bin")?, output: file("golden_output.bin")? })
    }

    /// The tolerance at a scale.
    pub fn tolerance(&self, scale: Scale) -> f32 {
        self.tolerance.get(&scale).copied().unwrap_or(1e-5)
    }
}

/// The thirteen models, in order.
///
/// # Errors
/// What is wrong with the registry's text; a test holds that nothing is.
pub fn models() -> Result<&'static [Entry], String> {
    static MODELS: OnceLock<Result<Vec<Entry>, String>> = OnceLock::new();
    let read = || match serde_yaml::from_str::<Written>(TEXT) {
        Ok(written) => Ok(written.models),
        Err(error) => Err(format!("fixtures/models/registry.yaml: {error}")),
    };
    MODELS.get_or_init(read).as_deref().map_err(Clone::clone)
}

/// A model by its id.
///
/// # Errors
/// Where there is none.
pub fn model(id: &str) -> Result<&'static Entry, String> {
    let found = models()?.iter().find(|entry| entry.id == id);
    found.ok_or_else(|| format!("no model {id} in the registry: E1 to E13 expected"))
}

/// The values of a golden file, read by the harness's own code.
///
/// # Errors
/// What is wrong with it.
pub fn golden_values(bytes: &[u8]) -> Result<Vec<f32>, String> {
    let (count, values) = bytes.split_first_chunk::<4>().ok_or("a golden without a count")?;
    let (values, rest) = values.as_chunks::<4>();
    if values.len() != u32::from_le_bytes(*count) as usize || !rest.is_empty() {
        return Err(format!("a golden of {} bytes that counts otherwise", bytes.len()));
    }
    Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

#[cfg(test)]
mod tests;
