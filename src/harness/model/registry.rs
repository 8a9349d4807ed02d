//! The thirteen encoder models of `fixtures/models/registry.yaml`: recipes at both scales, pinned
//! digests, tolerances and golden references.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use super::recipe::{Architecture, Decoder, HeadKind, Projected, Recipe, Sizes};
use crate::contract::DType;

static TEXT: &str = include_str!("../../../fixtures/models/registry.yaml");
static GOLDENS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/fixtures/models/goldens");

/// The size of the models.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Reduced dimensions: a few megabytes in total.
    Small,
    /// Real dimensions: about eight gigabytes in total.
    Full,
}

impl Scale {
    /// The name on the command line and in files.
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
    /// Name of the model.
    pub name: String,
    /// Further information for a reader.
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
    /// Whether the embedding is L2-normalised.
    pub normalize: bool,
    /// Number of weight files.
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
    /// If the registry does not have this scale.
    pub fn recipe(&self, scale: Scale) -> Result<Recipe, String> {
        let sizes = self.sizes.get(&scale);
        let sizes = sizes.ok_or_else(|| format!("{} has no scale {}", self.id, scale.name()))?;
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

    /// The golden reference at a scale; `None` if there is none.
    pub fn golden(&self, scale: Scale) -> Option<Golden> {
        let file = |name: &str| {
            let path = format!("{}/{}/{name}", scale.name(), self.id);
            GOLDENS.get_file(path).map(include_dir::File::contents)
        };
        Some(Golden { input: file("test_input.bin")?, output: file("golden_output.bin")? })
    }

    /// The largest allowed absolute difference from a golden value at a scale; 1e-5 unless the
    /// registry gives one.
    pub fn tolerance(&self, scale: Scale) -> f32 {
        self.tolerance.get(&scale).copied().unwrap_or(1e-5)
    }
}

/// The thirteen models, in order.
///
/// # Errors
/// The YAML reader's error. A unit test shows that the embedded text has none.
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
/// If there is no such model.
pub fn model(id: &str) -> Result<&'static Entry, String> {
    let found = models()?.iter().find(|entry| entry.id == id);
    found.ok_or_else(|| format!("the registry has no model {id}; expected E1 to E13"))
}

/// The values of a golden file: a count (u32), then that many F32 values, all little-endian.
///
/// # Errors
/// If the file's length does not match its count.
pub fn golden_values(bytes: &[u8]) -> Result<Vec<f32>, String> {
    let (count, values) =
        bytes.split_first_chunk::<4>().ok_or("the golden file is too short for its count")?;
    let (values, rest) = values.as_chunks::<4>();
    if values.len() != u32::from_le_bytes(*count) as usize || !rest.is_empty() {
        let (length, count) = (bytes.len(), u32::from_le_bytes(*count));
        return Err(format!("the golden file has {length} bytes, but counts {count} values"));
    }
    Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

#[cfg(test)]
mod tests;
