//! A file of a case that is spread over shards with an index, as publishers spread large models. It needs no
//! configuration: nothing runs it.

use serde::Deserialize;

use super::damage::Damage;
use super::edits::TextEdits;

/// How a file is spread over shards.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shards {
    /// How many. The tensors are dealt out one by one, so that neighbours lie in different shards.
    pub count: usize,
    /// How the shards are named.
    #[serde(default)]
    pub names: ShardNames,
    /// What is wrong. A file with a fault must be refused.
    #[serde(default)]
    pub fault: Option<ShardFault>,
    /// Safetensors files by these names, beside the index, which does not name them. They hold tensors of
    /// the same names with other values.
    #[serde(default)]
    pub beside: Vec<String>,
    /// Another index by this name, which names the first of these files for every tensor.
    #[serde(default)]
    pub other_index: Option<String>,
    /// What is done to the index's text.
    #[serde(default)]
    pub edits: Option<TextEdits>,
    /// What is done to finished shards.
    #[serde(default)]
    pub damaged: Vec<DamagedShard>,
}

/// Damage to one shard.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DamagedShard {
    /// Which, counted from 1.
    pub shard: usize,
    /// What is done to it.
    pub by: Damage,
}

/// How shards are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardNames {
    /// `model-00002-of-00012.safetensors`: sorted as text, they are in the order of their numbers.
    #[default]
    Padded,
    /// `part-2.safetensors`: sorted as text, `part-10` comes before it.
    Plain,
    /// `2/model.safetensors`: the same name in folders of their own.
    Folders,
}

/// A fault of an index or of its shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardFault {
    /// The last shard is not there, though the index names it.
    AbsentShard,
    /// The index gives the first tensor to another shard than holds it.
    Misplaced,
    /// The index names a tensor that no shard holds.
    Unheld,
    /// The last shard holds the first tensor too, with other bytes.
    HeldTwice,
    /// The last shard lies outside the index's folder, and the index names it by a path that leads there.
    Outside,
    /// The same, by an absolute path.
    Absolute,
    /// The index gives the first tensor two places, of which the second is right.
    KeyTwice,
    /// Behind the index's object stands another one.
    TextBehind,
    /// What the edits of its text make of the index.
    Edited,
}
