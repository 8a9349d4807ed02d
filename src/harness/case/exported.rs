//! How the files of a made model look that another tool has written: names, buffers, the index, and
//! what lies beside them. The model stays the same, so the oracle knows nothing of it.

use serde::Deserialize;

use crate::contract::DType;

/// What a tool has made of a model's files. Applied in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exported {
    /// Parts of tensors' names, and what stands in their place.
    #[serde(default)]
    pub renamed: Vec<(String, String)>,
    /// Tensors that are stored a second time, under these names.
    #[serde(default)]
    pub copied: Vec<(String, String)>,
    /// The same, but the second holds other values.
    #[serde(default)]
    pub doubled: Vec<(String, String)>,
    /// Tensors whose header says another element type of the same size.
    #[serde(default)]
    pub stored_as: Vec<(String, DType)>,
    /// Buffers of older exports, in every layer that has them.
    #[serde(default)]
    pub buffers: Vec<Buffer>,
    /// What stands in front of every name.
    #[serde(default)]
    pub prefix: String,
    /// Of a model in several files: its index.
    #[serde(default)]
    pub index: IndexForm,
    /// Files beside the weights that do not belong to them.
    #[serde(default)]
    pub beside: Vec<Beside>,
    /// Where the files lie.
    #[serde(default)]
    pub layout: Layout,
}

/// A buffer, and its element type. Its values are not those that the model computes for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Buffer {
    /// The causal mask of an attention block.
    Mask(DType),
    /// The value that hidden positions get: minus infinity where the type is a half, else -10000.
    MaskedBias(DType),
    /// The positions of an encoder.
    PositionIds(DType),
    /// The rotary frequencies of an attention block.
    InvFreq(DType),
}

/// What is unusual about an index.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexForm {
    /// Its metadata, in JSON; left out if the text is empty.
    #[serde(default)]
    pub metadata: Option<String>,
    /// A tensor that the map leaves out.
    #[serde(default)]
    pub unmapped: Option<String>,
    /// A tensor that a second shard holds too.
    #[serde(default)]
    pub twice: Option<String>,
}

/// A file beside the weights.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beside {
    /// The index of shards that are gone.
    StaleIndex,
    /// Shards of the same names with other values, and their index.
    OtherShards,
    /// A LoRA adapter of the model, with its configuration.
    Adapter,
    /// The model with other values, in a file of this name.
    Weights(String),
    /// Bytes that are no weights, in a file of this name.
    Noise(String),
}

/// Where the files lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// In one folder.
    #[default]
    Folder,
    /// As a hub cache keeps them: a snapshot of links to blobs.
    HubCache,
    /// The same, but the blob of the last weight file is gone.
    HubCacheCut,
}
